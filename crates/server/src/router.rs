//! From an HTTP request to a handler and back.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, request,
};
use serde_json::Value;
use tracing::Instrument as _;

use crate::accept::preferred;
use crate::app::App;
use crate::bodies::{self, Bodies, BodyError, Place};
use crate::call::{Call, Incoming, Links, Query};
use crate::caller::Caller;
use crate::cors::{Cors, Question};
use crate::error::{ApiError, ErrorContext, Failure as _};
use crate::flows::validate_token::{Leniency, Refusal, ValidToken, refuse_ec2, validate_token};
use crate::health;
use crate::json;
use crate::listen::Peer;
use crate::oauth2;
use crate::operation::{Body, Handle, Operation, Outcome, Routes, hears_providers, takes_forms};
use crate::proxy_headers::Origin;
use crate::request_path::RequestPath;

/// The least bound on body bytes held at once.
const BODIES: usize = 64 << 20;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");

/// Finds the operation of a request, and runs it for its caller.
pub struct Router {
    app: Arc<App>,
    paths: matchit::Router<Resource>,
    cors: Cors,
    bodies: Arc<Bodies>,
}

/// What can be done at one path.
struct Resource {
    path: &'static str,
    variables: Vec<&'static str>,
    operations: BTreeMap<&'static str, (&'static Operation, Handle)>,
}

/// How deep in the reference's layers an answer is made: each adds its header on the way out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Depth {
    /// In the outermost ones, which add nothing.
    Limits,
    /// Behind the one that numbers requests.
    Health,
    /// Within the API, whose answers differ by token.
    Api,
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
                path: operation.path,
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
        let cors = Cors::new(&app.config.cors);
        let largest = usize_of(app.config.oslo_middleware.max_request_body_size)
            .max(usize_of(app.config.archstone.provider_max_bytes));
        let bodies = Bodies::new(BODIES.max(largest.saturating_mul(4)));
        Self {
            app,
            paths,
            cors,
            bodies,
        }
    }

    /// Answers one request. Nothing that can be in a request makes this fail.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let request_id = format!("req-{}", uuid(&self.app.random.id()));
        let time_limit = self.app.config.archstone.request_timeout;
        let question = Question::of(&request);
        let is_oauth = request.uri().path().starts_with(oauth2::PREFIX);
        // Whatever is logged on the way names the request.
        let span = tracing::info_span!("request", id = request_id);
        let answer = caught(self.route(request, &request_id)).instrument(span.clone());
        let failed = |error: ApiError| {
            let context = ErrorContext {
                base_url: "",
                insecure_debug: false,
                request_id: &request_id,
                wants_html: false,
            };
            let response = match is_oauth {
                true => oauth2::error::OAuthError::from(error).into_response(&context),
                false => error.into_response(&context),
            };
            (response, Depth::Api)
        };
        let (mut response, depth) = match tokio::time::timeout(time_limit, answer).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(defect)) => span.in_scope(|| failed(ApiError::internal(defect))),
            Err(_) => span.in_scope(|| {
                tracing::warn!("no answer within {time_limit:?}");
                failed(ApiError::Unavailable("the request took too long".into()))
            }),
        };
        let headers = response.headers_mut();
        if depth >= Depth::Api {
            headers.insert(header::VARY, HeaderValue::from_static("X-Auth-Token"));
        }
        if depth >= Depth::Health
            && let Ok(value) = HeaderValue::try_from(request_id)
        {
            headers.insert(REQUEST_ID, value);
        }
        self.cors.answer(&question, response)
    }

    async fn route<B>(&self, request: Request<B>, request_id: &str) -> (Response<Body>, Depth)
    where
        B: http_body::Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let path = RequestPath::parse(parts.uri.path());
        let decoded = path.decoded.as_str();
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
        let context = ErrorContext {
            base_url: &base_url,
            insecure_debug: self.app.insecure_debug(),
            request_id,
            wants_html: false,
        };
        let length = body.size_hint().exact();
        let limit = match self.body_limit(decoded, length).await {
            Ok(limit) => limit,
            Err(error) => return (error.into_response(&context), Depth::Api),
        };
        if length.is_some_and(|length| length > limit as u64) {
            // Who asks before sending sends nothing now.
            if !parts.headers.contains_key(header::EXPECT) {
                bodies::discard(body, 2 * limit).await;
            }
            return (too_large(&parts.headers), Depth::Limits);
        }
        let patience = self.app.config.archstone.request_header_timeout;
        let (body, place) = match self.bodies.read(body, limit, patience).await {
            Ok(read) => read,
            Err(BodyError::TooLarge) => return (too_large(&parts.headers), Depth::Limits),
            Err(error) => return (ApiError::from(error).into_response(&context), Depth::Api),
        };
        if health::is_at(decoded) {
            let settings = &self.app.config.healthcheck;
            let port = peer.local_address.port();
            let files = &self.app.files;
            let answer = health::answer(
                settings,
                &parts.method,
                &parts.headers,
                &origin,
                port,
                files,
            );
            if let Some(response) = answer.await {
                return (response, Depth::Health);
            }
        }
        // The order of checks is part of the contract: who asks, then what it says, and only then
        // whether there is anything at this path.
        let now = self.app.clock.now();
        let caller = match self.caller(&parts, decoded, now).await {
            Ok(caller) => caller,
            Err(Refusal::Failed(error)) => return (error.into_response(&context), Depth::Api),
            Err(refusal) => return (from_the_door(refusal.into(), &context), Depth::Api),
        };
        let json = match read_json(decoded, &parts.headers, &body) {
            Ok(json) => json,
            Err(error) => return (error.into_response(&context), Depth::Api),
        };
        if path.has_dot_segments() {
            return (not_found(), Depth::Api);
        }
        let Ok(found) = self.paths.at(decoded) else {
            let query = parts.uri.query();
            return (self.no_such_path(&path, query, &base_url), Depth::Api);
        };
        let resource = found.value;
        let asked = if parts.method == Method::HEAD && !resource.operations.contains_key("HEAD") {
            &Method::GET
        } else {
            &parts.method
        };
        let Some((operation, handle)) = resource.operations.get(asked.as_str()) else {
            return (resource.refuse_method(&parts.method), Depth::Api);
        };
        let segments = found.params.iter().map(|(_, value)| value.to_owned());
        let variables = resource.variables.iter().copied().zip(segments).collect();
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        if let Err(error) = self.check_schemas(operation, &caller, json.as_ref(), &query) {
            return (error.into_response(&context), Depth::Api);
        }
        let links = Links::new(base_url.clone());
        let request = Arc::new(Incoming {
            operation,
            request_id: request_id.to_owned(),
            path: path.written.to_owned(),
            variables,
            query,
            headers: parts.headers,
            body,
            json,
            peer: Some(peer),
        });
        let response = self.run(handle, caller, links, request, now).await;
        drop::<Place>(place);
        (response, Depth::Api)
    }

    /// The answer where there is no resource: where one would be without its doubled slashes, the
    /// way there.
    fn no_such_path(
        &self,
        path: &RequestPath<'_>,
        query: Option<&str>,
        base_url: &str,
    ) -> Response<Body> {
        let is_known = |merged: &String| self.paths.at(&RequestPath::parse(merged).decoded).is_ok();
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

    /// Runs the handler, and runs it again while the database asks for that. A handler has no
    /// effect outside of its transaction until it has answered.
    async fn run(
        &self,
        handle: &Handle,
        caller: Caller,
        links: Links,
        request: Arc<Incoming>,
        now: model::Timestamp,
    ) -> Response<Body> {
        let should_retry = |outcome: &Outcome| matches!(outcome, Outcome::Retry(_));
        let outcome = store::retrying(should_retry, || {
            handle(Call {
                app: Arc::clone(&self.app),
                store: self.app.store.clone(),
                caller: caller.clone(),
                links: links.clone(),
                request: Arc::clone(&request),
                now,
            })
        });
        match outcome.await {
            Outcome::Response(response) => response,
            Outcome::Retry(into_response) => into_response(),
        }
    }

    /// How many bytes a body at this path may have. What providers say through a browser may be as
    /// long as what they answer to us: somebody in a thousand groups has to get in. Only a provider
    /// that there is says anything.
    async fn body_limit(&self, path: &str, length: Option<u64>) -> Result<usize, ApiError> {
        let usual = self.app.config.oslo_middleware.max_request_body_size;
        let longer = self.app.config.archstone.provider_max_bytes;
        let may_be_longer = hears_providers(path)
            && longer > usual
            && length.is_none_or(|length| length > usual.into());
        if !may_be_longer {
            return Ok(usize_of(usual));
        }
        let Ok(found) = self.paths.at(path) else {
            return Ok(usize_of(usual));
        };
        let (provider, protocol) = (found.params.get("idp_id"), found.params.get("protocol_id"));
        let (Some(provider), Some(protocol)) = (provider, protocol) else {
            return Ok(usize_of(usual));
        };
        let mut protocols = self.app.store.protocols();
        let found = protocols.find(&provider.into(), &protocol.into()).await?;
        Ok(usize_of(if found.is_some() { longer } else { usual }))
    }

    /// Who asks, as far as their token lets them ask for this. A token that is bound to access rules
    /// is judged by them here, whatever else the request says: only its own path and method count.
    async fn caller(
        &self,
        parts: &request::Parts,
        path: &str,
        now: model::Timestamp,
    ) -> Result<Caller, Refusal> {
        let Some(text) = parts
            .headers
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
            access_rules: true,
            ..Leniency::default()
        };
        let token = match validate_token(&self.app, text, now, leniency).await {
            Ok(token) => token,
            Err(Refusal::Invalid(error) | Refusal::Unsupported(error)) => {
                return Ok(Caller::nobody(error.to_string()));
            }
            Err(refusal) => return Err(refusal),
        };
        if !permits(&token, &parts.method, path) {
            let reason =
                "the access rules of the application credential do not permit this request";
            return Err(Refusal::Invalid(ApiError::unauthorized(reason)));
        }
        refuse_ec2(&token).map_err(Refusal::Invalid)?;
        Ok(Caller::user(token))
    }

    fn check_schemas(
        &self,
        operation: &Operation,
        caller: &Caller,
        json: Option<&Value>,
        query: &Query,
    ) -> Result<(), ApiError> {
        if !operation.rules.is_empty() {
            query.check()?;
        }
        if operation.body_schema.is_none() && operation.query_schema.is_none() {
            return Ok(());
        }
        // As in the reference, what a request says is judged before who says it.
        self.app.schemas.check(operation, json, query.raw())?;
        if caller.credentials().is_none() && operation.public.is_none() {
            return Err(ApiError::unauthorized(caller.absence()));
        }
        Ok(())
    }
}

/// Whether the access rules of a token permit a request to this API. Every token may be validated.
fn permits(token: &ValidToken, method: &Method, path: &str) -> bool {
    let Some(credential) = &token.application_credential else {
        return true;
    };
    let validates = method == Method::GET && path == "/v3/auth/tokens";
    validates || credential.permits("identity", method.as_str(), path)
}

/// Whether the asker promises to enforce the access rules of the token that it asks about
/// (`OpenStack-Identity-Access-Rules` ≥ 1.0). It says nothing of the token that it asks with.
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

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::TooLarge,
            BodyError::TooSlow => Self::TooSlow,
            BodyError::Overloaded => Self::Unavailable("too many request bodies in flight".into()),
            BodyError::Broken => Self::malformed("The request body broke off."),
        }
    }
}

/// A request met a defect of this server.
#[derive(Debug, thiserror::Error)]
#[error("a panic: {0}")]
struct Defect(&'static str);

/// Runs a future, and ends it when it panics: the connection lives on.
async fn caught<F: Future>(future: F) -> Result<F::Output, Defect> {
    let mut future = Box::pin(future);
    std::future::poll_fn(move |context| {
        // What a panic leaves half done goes with the future; what is shared sits behind locks that
        // tell.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        match polled {
            Ok(polled) => polled.map(Ok),
            // A message that was put together may hold what the client sent.
            Err(cause) => Poll::Ready(Err(Defect(
                cause
                    .downcast_ref::<&'static str>()
                    .copied()
                    .unwrap_or("its message is on standard error"),
            ))),
        }
    })
    .await
}

fn usize_of(bytes: u32) -> usize {
    bytes.try_into().unwrap_or(usize::MAX)
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

/// Reads a body as the JSON that operations expect; `None` when there is none, or the path wants a
/// form.
///
/// # Errors
///
/// 400 for other kinds of bodies, and for JSON that is no object.
pub fn read_json(path: &str, headers: &HeaderMap, body: &[u8]) -> Result<Option<Value>, ApiError> {
    if takes_forms(path) || body.is_empty() {
        return Ok(None);
    }
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = content_type.unwrap_or("").split(';').next().unwrap_or("");
    let kind = kind.trim().to_ascii_lowercase();
    // The suffix is that of RFC 6839 §3.1.
    let is_json =
        kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"));
    if !kind.is_empty() && !is_json {
        return Err(ApiError::expecting(
            "application/json",
            "Content-Type header",
        ));
    }
    // As Python's `json.loads` does with bytes.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(_)) if has_wide_integer(body) => Err(ApiError::malformed(
            "An integer in the request body has more than 64 bits.",
        )),
        Ok(value @ Value::Object(_)) => Ok(Some(value)),
        _ => Err(ApiError::expecting("valid JSON", "request body")),
    }
}

/// Whether JSON holds an integer that the parser can only keep as a float. The reference breaks off
/// where it would have to write one.
fn has_wide_integer(json: &[u8]) -> bool {
    let mut rest = json;
    while let [first, after @ ..] = rest {
        let length = match first {
            b'"' => 1 + string_length(after),
            b'-' | b'0'..=b'9' => {
                let is_part =
                    |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                let length = rest.iter().take_while(is_part).count();
                let number = std::str::from_utf8(&rest[..length]).unwrap_or_default();
                let is_whole = number.bytes().skip(1).all(|byte| byte.is_ascii_digit());
                if is_whole && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
                    return true;
                }
                length
            }
            _ => 1,
        };
        rest = &rest[length..];
    }
    false
}

/// The length of a string behind its first quote, the last one included.
fn string_length(rest: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = rest.iter().position(|byte| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    });
    end.map_or(rest.len(), |end| end + 1)
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
    if status == StatusCode::UNAUTHORIZED {
        let challenge = format!("Keystone uri=\"{}\"", context.base_url);
        if let Ok(challenge) = HeaderValue::try_from(challenge) {
            let headers = response.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
    }
    response
}

fn not_found() -> Response<Body> {
    html(
        StatusCode::NOT_FOUND,
        "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n\
         <p>The requested URL was not found on the server. If you entered the URL manually please \
         check your spelling and try again.</p>\n",
    )
}

/// In the form that the client prefers; the reference forgets to fill in the number.
fn too_large(headers: &HeaderMap) -> Response<Body> {
    let title = "Request Entity Too Large";
    let explanation = "Request is too large. Larger than max_request_body_size (%s).";
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|value| value.to_str().ok());
    let offers = ["text/html", "application/json"];
    let (kind, text) = match preferred(accept.unwrap_or_default(), &offers) {
        Some("text/html") => (
            "text/html; charset=UTF-8",
            format!(
                "<html>\n <head>\n  <title>413 {title}</title>\n </head>\n <body>\n  \
                 <h1>413 {title}</h1>\n  {explanation}<br /><br />\n\n\n\n </body>\n</html>"
            ),
        ),
        Some("application/json") => (
            "application/json",
            json::spaced(&serde_json::json!({
                "message": format!("{explanation}<br /><br />\n\n\n"),
                "code": format!("413 {title}"),
                "title": title,
            })),
        ),
        _ => (
            "text/plain; charset=UTF-8",
            format!("413 {title}\n\n{explanation}\n\n   "),
        ),
    };
    let mut response = html(StatusCode::PAYLOAD_TOO_LARGE, text);
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn html(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(text.into()));
    *response.status_mut() = status;
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}

/// Text that may stand anywhere in HTML.
pub(crate) fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
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

#[cfg(test)]
mod tests {
    use super::has_wide_integer;

    #[test]
    fn integers_have_at_most_64_bits() {
        for narrow in [
            r#"{"a": 18446744073709551615, "b": -9223372036854775808, "c": 1e400}"#,
            r#"{"a": "18446744073709551616", "b": "\"18446744073709551616", "c": "\\"}"#,
            r#"{"a": 18446744073709551616.0, "18446744073709551616": [1, -0, 0.5e-3]}"#,
        ] {
            assert!(!has_wide_integer(narrow.as_bytes()), "{narrow}");
        }
        for wide in [
            r#"{"a": 18446744073709551616}"#,
            r#"{"a": [1, {"b": -9223372036854775809}]}"#,
            r#"{"a": "\\", "b": 18446744073709551616}"#,
        ] {
            assert!(has_wide_integer(wide.as_bytes()), "{wide}");
        }
    }
}
