//! From an HTTP request to a handler and back: each step in the order that clients depend on.

mod cors;
mod health;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use auth::admission::admit;
use auth::admission::caller::Caller;
use auth::admission::validate_token::ValidationError;
use auth::call::Call;
use auth::call::routes::{Handle, Routes};
use auth::error::ApiError;
use auth::parts::Parts;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body::Body as _;
use serde_json::Value;
use tracing::Instrument as _;
use web::failure::{ErrorContext, Failure as _};
use web::json;
use web::listen::{self, Incoming, Peer};
use web::operation::{BodyKind, Operation};
use web::reply::{Body, Links, not_found, too_large};
use web::request::bodies::{self, Bodies, BodyError, Place};
use web::request::origin::Origin;
use web::request::path::RequestPath;
use web::request::{self, Query, RequestId, RequestIds, read_json};
use web::router::{Found, Router};

use crate::oauth2::{self, error::OAuthError};
use cors::{Cors, Question};

/// The least bound on body bytes held at once.
const BODIES: usize = 64 << 20;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");

/// Answers requests.
pub(crate) struct Service {
    parts: Arc<Parts>,
    router: Router<Handle>,
    cors: Cors,
    bodies: Arc<Bodies>,
    request_ids: RequestIds,
}

/// How deep in the reference's layers an answer is made: each adds its header on the way out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    /// In the outermost ones, which add nothing.
    Limits,
    /// Behind the one that numbers requests.
    Health,
    /// Within the API, whose answers differ by token.
    Api,
}

/// A response that was made before the handler was reached, and where.
struct Early(Response<Body>, Layer);

impl Service {
    /// A service over these routes.
    pub(crate) fn new(parts: Arc<Parts>, routes: Routes) -> Self {
        let config = &parts.config;
        let largest = usize_of(config.oslo_middleware.max_request_body_size)
            .max(usize_of(config.archstone.provider_max_bytes));
        Self {
            router: routes.into_router(),
            cors: Cors::new(&config.cors),
            bodies: Bodies::new(BODIES.max(largest.saturating_mul(4))),
            request_ids: RequestIds::default(),
            parts,
        }
    }

    /// The steps on the way to the handler and its answer.
    async fn respond(
        &self,
        peer: Arc<Peer>,
        head: http::request::Parts,
        path: &RequestPath<'_>,
        body: Incoming,
        found: Option<Found<'_, Handle>>,
        request_id: &RequestId,
    ) -> Result<Response<Body>, Early> {
        let config = &self.parts.config;
        let parses_proxy_headers = config.oslo_middleware.enable_proxy_headers_parsing;
        let origin = Origin::of(&head, &peer, parses_proxy_headers);
        let links = match &config.default.public_endpoint {
            Some(url) => Links::new(url.as_str().trim_end_matches('/')),
            None => Links::new(origin.base_url.as_str()),
        };
        let context = ErrorContext {
            base_url: links.base_url(),
            insecure_debug: self.parts.insecure_debug(),
            request_id: request_id.as_str(),
            wants_html: false,
        };
        let fail = |error: ApiError| Early(error.into_response(&context), Layer::Api);
        let body_kind = match &found {
            Some(found) => found.resource.body_kind(),
            // Below it there are forms, also where there is nothing.
            None if oauth2::is_below(&path.decoded) => BodyKind::Form,
            None => BodyKind::Json,
        };
        let (body, place) = self
            .read_body(&head, body, body_kind, found.as_ref(), &fail)
            .await?;
        if health::is_at(&path.decoded) {
            let (settings, files) = (&config.healthcheck, &self.parts.files);
            let port = peer.local_address.port();
            let answer =
                health::answer(settings, &head.method, &head.headers, &origin, port, files);
            if let Some(response) = answer.await {
                return Err(Early(response, Layer::Health));
            }
        }
        // The order of checks is part of the contract: who asks, then what it says, and only then
        // whether there is anything at this path.
        let now = self.parts.clock.now();
        let caller = admit(&self.parts, &head.method, &path.decoded, &head.headers, now).await;
        let caller = caller.map_err(|refusal| match refusal {
            ValidationError::Unavailable(error) => fail(error),
            refusal => Early(early_error(refusal.into(), &context), Layer::Api),
        })?;
        let json = match body_kind {
            BodyKind::Json => {
                read_json(&head.headers, &body).map_err(|error| fail(error.into()))?
            }
            BodyKind::Form | BodyKind::FromProvider => None,
        };
        if path.has_dot_segments() {
            return Err(Early(not_found(), Layer::Api));
        }
        let Some(Found {
            resource,
            variables,
        }) = found
        else {
            let query = head.uri.query();
            let response = self.router.no_such_path(path, query, links.base_url());
            return Err(Early(response, Layer::Api));
        };
        let Some((operation, handle)) = resource.operation(&head.method) else {
            return Err(Early(resource.refuse_method(&head.method), Layer::Api));
        };
        let query = Query::parse(head.uri.query().unwrap_or_default());
        self.check_schemas(operation, &caller, json.as_ref(), &query)
            .map_err(fail)?;
        let request = Arc::new(request::Request {
            operation,
            request_id: *request_id,
            uri: head.uri,
            variables,
            query,
            headers: head.headers,
            body,
            json,
            peer: Some(peer),
        });
        let call = || Call::new(&self.parts, &caller, &links, &request, now);
        let response = handle.run(call).await;
        drop::<Option<Place>>(place);
        Ok(response)
    }

    /// Reads the body, within the limit of its kind.
    async fn read_body(
        &self,
        head: &http::request::Parts,
        body: Incoming,
        kind: BodyKind,
        found: Option<&Found<'_, Handle>>,
        fail: &impl Fn(ApiError) -> Early,
    ) -> Result<(Bytes, Option<Place>), Early> {
        let length = body.size_hint().exact();
        let limit = self.body_limit(kind, found, length).await.map_err(fail)?;
        if length.is_some_and(|length| length > limit as u64) {
            // Who asks before sending sends nothing now.
            if !head.headers.contains_key(header::EXPECT) {
                bodies::discard(body, 2 * limit).await;
            }
            return Err(Early(too_large(&head.headers), Layer::Limits));
        }
        let patience = self.parts.config.archstone.request_header_timeout;
        let read = self.bodies.read(body, limit, patience).await;
        read.map_err(|error| match error {
            BodyError::TooLarge => Early(too_large(&head.headers), Layer::Limits),
            error => fail(error.into()),
        })
    }

    /// How many bytes a body may have. What providers say through a browser may be as long as what
    /// they answer to us: somebody in a thousand groups has to get in. Only a provider that there is
    /// says anything.
    async fn body_limit(
        &self,
        kind: BodyKind,
        found: Option<&Found<'_, Handle>>,
        length: Option<u64>,
    ) -> Result<usize, ApiError> {
        let usual = self.parts.config.oslo_middleware.max_request_body_size;
        let longer = self.parts.config.archstone.provider_max_bytes;
        let may_be_longer = kind == BodyKind::FromProvider
            && longer > usual
            && length.is_none_or(|length| length > usual.into());
        let variable = |name| found?.variables.iter().find(|(known, _)| *known == name);
        let (Some((_, provider)), Some((_, protocol))) =
            (variable("idp_id"), variable("protocol_id"))
        else {
            return Ok(usize_of(usual));
        };
        if !may_be_longer {
            return Ok(usize_of(usual));
        }
        let mut protocols = self.parts.store.protocols();
        let (provider, protocol) = (provider.as_str().into(), protocol.as_str().into());
        let known = protocols.find(&provider, &protocol).await?;
        Ok(usize_of(if known.is_some() { longer } else { usual }))
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
        self.parts.schemas.check(operation, json, query.raw())?;
        if caller.credentials().is_none() && operation.public.is_none() {
            return Err(ApiError::unauthorized(caller.reason()));
        }
        Ok(())
    }
}

impl listen::Service for Service {
    type Body = Body;

    /// Nothing that can be in a request makes this fail.
    async fn answer(
        self: Arc<Self>,
        peer: Arc<Peer>,
        request: Request<Incoming>,
    ) -> Response<Body> {
        let request_id = self.request_ids.next();
        let time_limit = self.parts.config.archstone.request_timeout;
        let question = Question::of(&request);
        let (head, body) = request.into_parts();
        let uri = head.uri.clone();
        let path = RequestPath::parse(uri.path());
        let found = self.router.at(&path.decoded);
        // A program that asked for an OAuth endpoint gets an OAuth error.
        let operation = found.as_ref().map(|found| found.resource);
        let operation = operation.and_then(|resource| resource.operation(&head.method));
        let failed = |error: ApiError| {
            let context = ErrorContext {
                base_url: "",
                insecure_debug: false,
                request_id: request_id.as_str(),
                wants_html: false,
            };
            match operation {
                Some((_, handle)) => handle.fail(error, &context),
                None if oauth2::is_below(&path.decoded) => {
                    OAuthError::from(error).into_response(&context)
                }
                None => error.into_response(&context),
            }
        };
        // Whatever is logged on the way names the request.
        let span = tracing::info_span!("request", id = %request_id);
        // It is large, and stays where it is.
        let answer = pin!(self.respond(peer, head, &path, body, found, &request_id));
        let mut answer = pin!(caught(answer).instrument(span));
        let answered = tokio::time::timeout(time_limit, answer.as_mut()).await;
        let span = answer.span();
        let (mut response, layer) = match answered {
            Ok(Ok(Ok(response))) => (response, Layer::Api),
            Ok(Ok(Err(Early(response, layer)))) => (response, layer),
            Ok(Err(defect)) => span.in_scope(|| (failed(ApiError::internal(defect)), Layer::Api)),
            Err(_) => span.in_scope(|| {
                tracing::warn!("no answer within {time_limit:?}");
                let error = ApiError::Unavailable("the request took too long".into());
                (failed(error), Layer::Api)
            }),
        };
        let headers = response.headers_mut();
        if layer >= Layer::Api {
            headers.insert(header::VARY, HeaderValue::from_static("X-Auth-Token"));
        }
        if layer >= Layer::Health {
            headers.insert(REQUEST_ID, HeaderValue::from(&request_id));
        }
        self.cors.answer(&question, response)
    }
}

/// A request met a defect of this server.
#[derive(Debug, thiserror::Error)]
#[error("a panic: {0}")]
struct Defect(&'static str);

/// Runs a future, and ends it when it panics: the connection lives on.
async fn caught<F: Future>(mut future: Pin<&mut F>) -> Result<F::Output, Defect> {
    std::future::poll_fn(|context| {
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

/// An error that the reference answers before its routes are asked: with blanks, in this order,
/// and without a final newline.
fn early_error(error: ApiError, context: &ErrorContext<'_>) -> Response<Body> {
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
