//! From a path and a method to an operation.

use std::collections::BTreeMap;

use http::{HeaderValue, Method, Response, StatusCode, header};

use crate::json;
use crate::operation::{BodyKind, Operation};
use crate::reply::{Body, escape_html, html, not_found};
use crate::request::path::RequestPath;

/// Finds operations, each with a handler of the type `H`.
pub struct Router<H> {
    paths: matchit::Router<Resource<H>>,
}

/// What can be done at one path.
pub struct Resource<H> {
    path: &'static str,
    variables: Vec<&'static str>,
    body_kind: BodyKind,
    operations: BTreeMap<&'static str, (&'static Operation, H)>,
}

/// The resource at a path, and the values of the path's variables.
pub struct Found<'a, H> {
    /// The resource.
    pub resource: &'a Resource<H>,
    /// The variables and their values, in their order in the path.
    pub variables: Vec<(&'static str, String)>,
}

impl<H> Router<H> {
    /// A router over these operations.
    ///
    /// # Panics
    ///
    /// When two operations claim the same method and path, or a path reads forms and has a schema for
    /// JSON: defects that every test shows.
    pub fn new(entries: impl IntoIterator<Item = (&'static Operation, H)>) -> Self {
        let mut resources: BTreeMap<&'static str, Resource<H>> = BTreeMap::new();
        for (operation, handle) in entries {
            let resource = resources.entry(operation.path).or_insert_with(|| Resource {
                path: operation.path,
                variables: operation.variables().collect(),
                body_kind: BodyKind::Json,
                operations: BTreeMap::new(),
            });
            if operation.body_kind != BodyKind::Json {
                resource.body_kind = operation.body_kind;
            }
            let before = resource
                .operations
                .insert(method_name(operation), (operation, handle));
            assert!(
                before.is_none(),
                "{} {} twice",
                operation.method,
                operation.path
            );
        }
        let mut paths = matchit::Router::new();
        for (path, resource) in resources {
            let judged = resource
                .operations()
                .any(|it| it.body_schema.is_some() || it.part_schema.is_some());
            assert!(
                resource.body_kind == BodyKind::Json || !judged,
                "{path}: a schema judges a body that is not read as JSON"
            );
            paths
                .insert(path, resource)
                .expect("paths of operations do not collide");
        }
        Self { paths }
    }

    /// The resource at a decoded path.
    pub fn at(&self, path: &str) -> Option<Found<'_, H>> {
        let found = self.paths.at(path).ok()?;
        let values = found.params.iter().map(|(_, value)| value.to_owned());
        let variables = found.value.variables.iter().copied().zip(values).collect();
        Some(Found {
            resource: found.value,
            variables,
        })
    }

    /// The answer where there is no resource: where one would be without its doubled slashes, the
    /// way there.
    pub fn no_such_path(
        &self,
        path: &RequestPath<'_>,
        query: Option<&str>,
        base_url: &str,
    ) -> Response<Body> {
        let is_known = |merged: &String| self.at(&RequestPath::parse(merged).decoded).is_some();
        let Some(merged) = path.merged().filter(is_known) else {
            return not_found();
        };
        let target = match query {
            Some(query) => format!("{base_url}{merged}?{query}"),
            None => format!("{base_url}{merged}"),
        };
        let shown = escape_html(&target);
        let text = format!(
            "<!doctype html>\n<html lang=en>\n<title>Redirecting...</title>\n\
             <h1>Redirecting...</h1>\n<p>You should be redirected automatically to the target \
             URL: <a href=\"{shown}\">{shown}</a>. If not, click the link.\n"
        );
        let mut response = html(StatusCode::PERMANENT_REDIRECT, text);
        if let Ok(location) = HeaderValue::try_from(target) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

impl<H> Resource<H> {
    /// The operation of a method, and its handler. What answers GET answers HEAD too.
    pub fn operation(&self, method: &Method) -> Option<(&'static Operation, &H)> {
        let method = match method {
            &Method::HEAD if !self.operations.contains_key("HEAD") => &Method::GET,
            method => method,
        };
        let (operation, handle) = self.operations.get(method.as_str())?;
        Some((operation, handle))
    }

    /// What is read as the body of all requests to this path: one operation that reads no JSON
    /// decides for all.
    pub fn body_kind(&self) -> BodyKind {
        self.body_kind
    }

    /// The operations of all methods.
    pub fn operations(&self) -> impl Iterator<Item = &'static Operation> {
        self.operations.values().map(|(operation, _)| *operation)
    }

    fn methods(&self) -> Vec<&'static str> {
        let mut methods: Vec<_> = self.operations.keys().copied().collect();
        if self.operations.contains_key("GET") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        methods.sort_unstable();
        methods.dedup();
        methods
    }

    /// 405, or the methods that OPTIONS asks for.
    pub fn refuse_method(&self, method: &Method) -> Response<Body> {
        let allow = HeaderValue::try_from(self.methods().join(", "))
            .unwrap_or_else(|_| HeaderValue::from_static(""));
        let message = "The method is not allowed for the requested URL.";
        let mut response = if method == Method::OPTIONS {
            html(StatusCode::OK, "")
        } else if matches!(self.path, "/" | "/v3") {
            // Discovery speaks HTML when it refuses.
            html(
                StatusCode::METHOD_NOT_ALLOWED,
                format!(
                    "<!doctype html>\n<html lang=en>\n<title>405 Method Not Allowed</title>\n\
                     <h1>Method Not Allowed</h1>\n<p>{message}</p>\n"
                ),
            )
        } else {
            let text = json::spaced(&serde_json::json!({ "message": message })) + "\n";
            let mut response = Response::new(Body::from(text));
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response
        };
        response.headers_mut().insert(header::ALLOW, allow);
        response
    }
}

/// The methods that operations use are all standard ones, whose names are static.
fn method_name(operation: &Operation) -> &'static str {
    match operation.method {
        Method::DELETE => "DELETE",
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::PATCH => "PATCH",
        Method::POST => "POST",
        Method::PUT => "PUT",
        ref other => panic!("operations do not use {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(operations: &'static [Operation]) -> bool {
        std::panic::catch_unwind(|| Router::new(operations.iter().map(|it| (it, ())))).is_err()
    }

    #[test]
    fn tables_with_a_defect_make_no_router() {
        static GOOD: [Operation; 2] = [
            Operation::get("/things/{thing_id}", "Show a thing"),
            Operation::post("/things/{thing_id}", "Act on a thing").form(),
        ];
        static TWICE: [Operation; 2] = [
            Operation::get("/things", "List things"),
            Operation::get("/things", "List things again"),
        ];
        // The form would be judged as if there were no body.
        static JUDGED: [Operation; 2] = [
            Operation::post("/things", "Create a thing").body("thing"),
            Operation::put("/things", "Replace the things").form(),
        ];
        assert!(!is_refused(&GOOD));
        assert!(is_refused(&TWICE) && is_refused(&JUDGED));
    }

    #[test]
    fn one_operation_that_reads_a_form_decides_for_its_path() {
        static OPERATIONS: [Operation; 2] = [
            Operation::get("/things/{thing_id}", "Show a thing"),
            Operation::post("/things/{thing_id}", "Act on a thing").form(),
        ];
        let router = Router::new(OPERATIONS.iter().map(|it| (it, ())));
        let found = router.at("/things/1").unwrap();
        assert_eq!(found.resource.body_kind(), BodyKind::Form);
        assert_eq!(found.variables, [("thing_id", "1".to_owned())]);
        let (head, ()) = found.resource.operation(&Method::HEAD).unwrap();
        assert_eq!(head.method, Method::GET);
        assert!(router.at("/things").is_none());
    }
}
