//! From an HTTP request to a handler and back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::app::App;
use crate::call::{Call, Incoming, Links, Query};
use crate::caller::Caller;
use crate::error::{ApiError, ErrorContext, Failure as _};
use crate::flows::validate_token::{Leniency, Refusal, validate_token};
use crate::json;
use crate::listen::Peer;
use crate::operation::{Body, Handle, Input, Operation, Outcome, Routes};
use crate::proxy_headers::Origin;

/// How often a request is run anew when the database asks for that.
const ATTEMPTS: u32 = 5;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");

/// Finds the operation of a request, and runs it for its caller.
pub struct Router {
    app: Arc<App>,
    paths: matchit::Router<Resource>,
}

/// What can be done at one path.
struct Resource {
    variables: Vec<&'static str>,
    operations: BTreeMap<&'static str, (&'static Operation, Handle)>,
}

impl Router {
    /// A router over these routes.
    ///
    /// # Panics
    ///
    /// When two operations claim the same method and path: a defect that every test shows.
    pub fn new(app: Arc<App>, routes: Routes) -> Self {
        let mut resources: BTreeMap<&'static str, Resource> = BTreeMap::new();
        for (operation, handle) in routes.entries {
            let resource = resources.entry(operation.path).or_insert_with(|| Resource {
                variables: variables(operation.path),
                operations: BTreeMap::new(),
            });
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
            paths
                .insert(path, resource)
                .expect("paths of operations do not collide");
        }
        Self { app, paths }
    }

    /// Answers one request. Nothing that can be in a request makes this fail.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let request_id = format!("req-{}", uuid(&self.app.random.id()));
        let time_limit = self.app.config.archstone.request_timeout;
        let answer = self.route(request, &request_id);
        let mut response = match tokio::time::timeout(time_limit, answer).await {
            Ok(response) => response,
            Err(_) => {
                tracing::warn!(request.id = request_id, "no answer within {time_limit:?}");
                let error = ApiError::Unavailable("the request took too long".into());
                error.into_response(&ErrorContext {
                    base_url: "",
                    insecure_debug: false,
                })
            }
        };
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("X-Auth-Token"));
        if let Ok(value) = HeaderValue::try_from(request_id) {
            headers.insert(REQUEST_ID, value);
        }
        response
    }

    async fn route<B>(&self, request: Request<B>, request_id: &str) -> Response<Body>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let raw_path = parts.uri.path();
        let path = match raw_path.trim_end_matches('/') {
            "" => "/",
            trimmed => trimmed,
        };
        let peer = parts
            .extensions
            .get::<Peer>()
            .cloned()
            .expect("the listener names the peer");
        let origin = Origin::of(
            &parts,
            &peer,
            self.app.config.oslo_middleware.enable_proxy_headers_parsing,
        );
        let base_url = match &self.app.config.default.public_endpoint {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => origin.base_url.clone(),
        };
        let Ok(found) = self.paths.at(path) else {
            return no_such_path(path, &parts.uri, &base_url);
        };
        let resource = found.value;
        let asked = if parts.method == Method::HEAD && !resource.operations.contains_key("HEAD") {
            &Method::GET
        } else {
            &parts.method
        };
        let Some((operation, handle)) = resource.operations.get(asked.as_str()) else {
            return resource.refuse_method(&parts.method);
        };
        let segments = found
            .params
            .iter()
            .map(|(_, value)| percent_decode_str(value).decode_utf8_lossy().into_owned());
        let variables = resource.variables.iter().copied().zip(segments).collect();
        let context = ErrorContext {
            base_url: &base_url,
            insecure_debug: self.app.insecure_debug(),
        };
        let limit = self.app.config.oslo_middleware.max_request_body_size as usize;
        let body = match Limited::new(body, limit).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return too_large(),
        };
        let now = self.app.clock.now();
        let links = Links::new(base_url.clone());
        // The order of checks is part of the contract: who asks, then what it says.
        let caller = match self.caller(&parts.headers, now).await {
            Ok(caller) => caller,
            Err(Refusal::Failed(error)) => return error.into_response(&context),
            Err(refusal) => return from_the_door(refusal.into(), &context),
        };
        let json = match read_json(operation, &parts.headers, &body) {
            Ok(json) => json,
            Err(error) => return error.into_response(&context),
        };
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        if let Err(error) = self.check_schemas(operation, &caller, json.as_ref(), &query) {
            return error.into_response(&context);
        }
        let request = Arc::new(Incoming {
            operation,
            request_id: request_id.to_owned(),
            path: path.to_owned(),
            variables,
            query,
            headers: parts.headers,
            body,
            json,
            peer: Some(peer),
        });
        self.run(handle, caller, links, request, now).await
    }

    /// Runs the handler, and runs it anew while the database asks for that. A handler has no
    /// effect outside of its transaction until it has answered.
    async fn run(
        &self,
        handle: &Handle,
        caller: Caller,
        links: Links,
        request: Arc<Incoming>,
        now: model::Timestamp,
    ) -> Response<Body> {
        let mut attempt = 1;
        loop {
            let call = Call {
                app: Arc::clone(&self.app),
                store: self.app.store.clone(),
                caller: caller.clone(),
                links: links.clone(),
                request: Arc::clone(&request),
                now,
            };
            match handle(call).await {
                Outcome::Answer(response) => return response,
                Outcome::Repeat(response) if attempt == ATTEMPTS => return response,
                Outcome::Repeat(_) => {
                    tokio::time::sleep(Duration::from_millis(5 << attempt)).await;
                    attempt += 1;
                }
            }
        }
    }

    async fn caller(&self, headers: &HeaderMap, now: model::Timestamp) -> Result<Caller, Refusal> {
        let Some(text) = headers
            .get("X-Auth-Token")
            .and_then(|value| value.to_str().ok())
        else {
            return Ok(Caller::nobody("there is no X-Auth-Token"));
        };
        if let Some(operator) = &self.app.config.default.admin_token
            && subtle::ConstantTimeEq::ct_eq(operator.expose().as_bytes(), text.as_bytes()).into()
        {
            return Ok(Caller::operator());
        }
        let leniency = Leniency {
            access_rules: promises_access_rules(headers),
            ..Leniency::default()
        };
        match validate_token(&self.app, text, now, leniency).await {
            Ok(token) => Ok(Caller::user(token)),
            Err(Refusal::Invalid(error)) => Ok(Caller::nobody(error.to_string())),
            Err(refusal) => Err(refusal),
        }
    }

    fn check_schemas(
        &self,
        operation: &Operation,
        caller: &Caller,
        json: Option<&Value>,
        query: &Query,
    ) -> Result<(), ApiError> {
        if operation.body_schema.is_none() && operation.query_schema.is_none() {
            return Ok(());
        }
        if caller.credentials().is_none() && operation.public.is_none() {
            return Err(ApiError::unauthorized(caller.absence()));
        }
        Ok(self.app.schemas.check(operation, json, query.raw())?)
    }
}

/// Whether the asker promises to enforce access rules (`OpenStack-Identity-Access-Rules` ≥ 1.0).
pub(crate) fn promises_access_rules(headers: &HeaderMap) -> bool {
    headers
        .get("OpenStack-Identity-Access-Rules")
        .and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok())
        .is_some_and(|version| version >= 1.0)
}

impl Resource {
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

    fn refuse_method(&self, method: &Method) -> Response<Body> {
        let allow = HeaderValue::try_from(self.methods().join(", "))
            .unwrap_or_else(|_| HeaderValue::from_static(""));
        let mut response = if method == Method::OPTIONS {
            html(StatusCode::OK, "")
        } else {
            let message = "The method is not allowed for the requested URL.";
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

fn variables(path: &'static str) -> Vec<&'static str> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .collect()
}

/// Reads a body as the JSON that the operation expects; `None` when there is none.
///
/// # Errors
///
/// 400 for other kinds of bodies, and for JSON that is no object.
pub fn read_json(
    operation: &Operation,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Option<Value>, ApiError> {
    if operation.input == Input::Form || body.is_empty() {
        return Ok(None);
    }
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = content_type
        .unwrap_or("")
        .split(';')
        .next()
        .unwrap_or("")
        .trim();
    if !kind.is_empty() && !kind.eq_ignore_ascii_case("application/json") {
        return Err(ApiError::expecting(
            "application/json",
            "Content-Type header",
        ));
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(value @ Value::Object(_)) => Ok(Some(value)),
        _ => Err(ApiError::expecting("valid JSON", "request body")),
    }
}

/// An error that the reference answers before its routes are asked: with blanks, in this order,
/// and without a final newline.
fn from_the_door(error: ApiError, context: &ErrorContext<'_>) -> Response<Body> {
    let status = error.status();
    let text = json::spaced(&serde_json::json!({
        "error": {
            "code": status.as_u16(),
            "title": status.canonical_reason(),
            "message": error.to_string(),
        }
    }));
    let mut response = error.into_response(context);
    *response.body_mut() = Body::from(text);
    response
}

fn no_such_path(path: &str, uri: &http::Uri, base_url: &str) -> Response<Body> {
    if !path.starts_with("//") && path.contains("//") {
        let mut merged = String::with_capacity(path.len());
        for part in path.split('/').filter(|part| !part.is_empty()) {
            merged.push('/');
            merged.push_str(part);
        }
        if let Some(query) = uri.query() {
            merged = format!("{merged}?{query}");
        }
        let mut response = html(StatusCode::PERMANENT_REDIRECT, "<!doctype html>\n");
        if let Ok(location) = HeaderValue::try_from(format!("{base_url}{merged}")) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        return response;
    }
    html(
        StatusCode::NOT_FOUND,
        "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n\
         <p>The requested URL was not found on the server. If you entered the URL manually please \
         check your spelling and try again.</p>\n",
    )
}

fn too_large() -> Response<Body> {
    html(
        StatusCode::PAYLOAD_TOO_LARGE,
        "<html>\n <head>\n  <title>413 Request Entity Too Large</title>\n </head>\n <body>\n  \
         <h1>413 Request Entity Too Large</h1>\n  The body of your request was too large for this \
         server.<br /><br />\nRequest is too large.\n\n\n </body>\n</html>",
    )
}

fn html(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}

/// Puts the dashes into 32 hexadecimal digits.
fn uuid(digits: &str) -> String {
    match (
        digits.get(..8),
        digits.get(8..12),
        digits.get(12..16),
        digits.get(16..20),
    ) {
        (Some(a), Some(b), Some(c), Some(d)) => format!("{a}-{b}-{c}-{d}-{}", &digits[20..]),
        _ => digits.to_owned(),
    }
}
