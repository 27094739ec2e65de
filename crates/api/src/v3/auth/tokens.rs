//! Tokens: logging in, and asking what a token is good for.

use std::sync::Arc;

use auth::admission::proxy_variables::variables;
use auth::admission::validate_token::{ValidationOptions, validate_token};
use auth::admission::{X_AUTH_TOKEN, promises_access_rules};
use auth::call::Call;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::flows::issue_token::{IssuedToken, issue_token};
use auth::flows::revoke::revoke_chain;
use auth::methods::login_request::LoginRequest;
use auth::rules::keys_of;
use auth::tokens::ValidToken;
use chrono::TimeDelta;
use http::{HeaderName, HeaderValue, StatusCode};
use model::revocation::RevocationEvent;
use model::subject::CatalogService;
use policy::{Rule, ScopeType};
use web::operation::Operation;

/// The operations on tokens.
pub fn routes() -> Routes {
    Routes::new()
        .on(&ISSUE, issue)
        .on(&SHOW, show)
        .on(&CHECK, check)
        .on(&REVOKE, revoke_token)
        .on(&LIST_REVOKED, list_revoked)
}

static ISSUE: Operation = Operation::post("/v3/auth/tokens", "Authenticate and issue a token")
    .part("auth", "auth.token_issue")
    .public("the request authenticates the caller")
    .answers(&[(201, "The token, in `X-Subject-Token`, and its details.")]);
static SHOW: Operation = Operation::get("/v3/auth/tokens", "Validate a token and show its details")
    .rules(&[VALIDATE_TOKEN])
    .answers(&[(200, "The details of the token.")]);
static CHECK: Operation = Operation::head("/v3/auth/tokens", "Check a token")
    .rules(&[CHECK_TOKEN])
    .answers(&[(200, "The token is valid.")]);
static REVOKE: Operation = Operation::delete("/v3/auth/tokens", "Revoke a token")
    .rules(&[REVOKE_TOKEN])
    .answers(&[(204, "The token is revoked.")]);

static LIST_REVOKED: Operation =
    Operation::get("/v3/auth/tokens/OS-PKI/revoked", "List revoked PKI tokens")
        .public("the endpoint has been removed")
        .answers(&[
            (403, "Tokens are not stored."),
            (410, "Revocation by token ID is disabled."),
        ]);

const SCOPES: &[ScopeType] = &[ScopeType::System, ScopeType::Domain, ScopeType::Project];

const VALIDATE_TOKEN: Rule = Rule::new(
    "identity:validate_token",
    "rule:admin_required or (role:reader and system_scope:all) or rule:service_role or \
     rule:token_subject",
)
.scopes(SCOPES)
.deprecated("rule:service_admin_or_token_subject")
.about(keys_of::<Arc<ValidToken>>());
const CHECK_TOKEN: Rule = Rule::new(
    "identity:check_token",
    "rule:admin_required or (role:reader and system_scope:all) or rule:token_subject",
)
.scopes(SCOPES)
.deprecated("rule:admin_or_token_subject")
.about(keys_of::<Arc<ValidToken>>());
const REVOKE_TOKEN: Rule = Rule::new(
    "identity:revoke_token",
    "rule:admin_required or rule:token_subject",
)
.scopes(SCOPES)
.deprecated("rule:admin_or_token_subject")
.about(keys_of::<Arc<ValidToken>>());

const X_SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

async fn issue(call: Call) -> Result<Reply<()>, ApiError> {
    let body = call.request.json.as_ref();
    let auth = body
        .and_then(|body| body.get("auth"))
        .filter(|auth| !auth.is_null())
        .ok_or_else(|| ApiError::expecting("auth", "request body"))?;
    call.parts.schemas.validate("auth.token_issue", auth)?;
    let mut request = LoginRequest::parse(auth)?;
    if call.parts.config.archstone.external_logins {
        request.remote_user = variables(&call.parts.config, &call.request).remote_user;
    }
    let receipt = call.request.header("Openstack-Auth-Receipt");
    let with_catalog = call.request.query.get("nocatalog").is_none();
    let issued = issue_token(&call.parts, &request, receipt, with_catalog, call.now()).await?;
    created(&call, &issued).await
}

/// 201 with a new token.
///
/// # Errors
///
/// When the database does not answer.
pub(crate) async fn created(call: &Call, issued: &IssuedToken) -> Result<Reply<()>, ApiError> {
    let body = body(call, &issued.valid, issued.catalog.as_ref()).await?;
    let reply = call.public().json(StatusCode::CREATED, body);
    Ok(reply.header(X_SUBJECT_TOKEN, header_value(&issued.text)?))
}

async fn show(call: Call) -> Result<Reply<()>, ApiError> {
    validate(call, VALIDATE_TOKEN).await
}

async fn check(call: Call) -> Result<Reply<()>, ApiError> {
    validate(call, CHECK_TOKEN).await
}

async fn validate(call: Call, rule: Rule) -> Result<Reply<()>, ApiError> {
    call.require_token()?;
    let subject = subject_token(&call).await?;
    let permit = call.authorize(rule, subject.as_ref())?;
    let subject = subject.ok_or_else(no_token)?;
    let with_catalog = call.request.query.get("nocatalog").is_none();
    let catalog = match *subject.token.scope() {
        model::Scope::Unscoped => None,
        _ if !with_catalog => None,
        _ => Some(call.store.services_for(subject.token.project_id()).await?),
    };
    let body = body(&call, &subject, catalog.as_ref()).await?;
    let text = call.request.headers.get(&X_SUBJECT_TOKEN);
    let text = text.cloned().ok_or_else(no_token)?;
    let reply = permit.json(StatusCode::OK, body);
    Ok(reply.header(X_SUBJECT_TOKEN, text))
}

/// The body that shows a token.
async fn body(
    call: &Call,
    valid: &ValidToken,
    catalog: Option<&Arc<Vec<CatalogService>>>,
) -> Result<String, ApiError> {
    let providers = call.store.enabled_service_providers().await?;
    let cache = &call.parts.token_cache;
    let parts = cache.parts(valid, catalog, &providers);
    Ok(parts.body(&valid.token))
}

async fn revoke_token(call: Call) -> Result<Reply<()>, ApiError> {
    call.require_token()?;
    let subject = subject_token(&call).await?;
    let permit = call.authorize(REVOKE_TOKEN, subject.as_ref())?;
    let subject = subject.ok_or_else(no_token)?;
    let own = subject.token.audit_ids.own;
    let mut tx = call.begin().await?;
    // Tokens that were obtained with this one go with it, unless the client wants to keep them.
    if call.request.query.flag("cascade") != Some(false) {
        revoke_chain(&call.parts, &mut tx, own, call.now()).await?;
    } else {
        let event = RevocationEvent {
            audit_id: Some(own),
            ..RevocationEvent::at(call.parts.clock.now())
        };
        tx.revocations_mut().insert(&event).await?;
    }
    Ok(permit.done(tx.commit().await?))
}

async fn list_revoked(call: Call) -> Result<Reply<()>, ApiError> {
    if !call.parts.config.token.revoke_by_id {
        return Err(ApiError::Gone(
            "The service you have requested is no longer available on this server.",
        ));
    }
    Err(ApiError::refused("tokens are not stored"))
}

/// The token in `X-Subject-Token`; `None` when there is no such header. It is validated before
/// the policy is asked, since the policy asks whose it is.
async fn subject_token(call: &Call) -> Result<Option<Arc<ValidToken>>, ApiError> {
    let Some(text) = call.request.header(X_SUBJECT_TOKEN) else {
        return Ok(None);
    };
    let window = call.parts.config.token.allow_expired_window;
    let options = ValidationOptions {
        expired_for: match call.request.query.flag("allow_expired") {
            Some(true) => TimeDelta::from_std(window).unwrap_or(TimeDelta::MAX),
            _ => TimeDelta::zero(),
        },
        access_rules: promises_access_rules(&call.request.headers),
    };
    // Most clients ask about their own token: it has just been validated, but for its access rules.
    if let Some(own) = call.caller().token()
        && (options.access_rules || !own.has_access_rules())
        && call.request.header(X_AUTH_TOKEN) == Some(text)
    {
        return Ok(Some(Arc::clone(own)));
    }
    Ok(Some(
        validate_token(&call.parts, text, call.now(), options).await?,
    ))
}

fn no_token() -> ApiError {
    ApiError::NotFoundAs("No token in the request".into())
}

fn header_value(text: &str) -> Result<HeaderValue, ApiError> {
    HeaderValue::try_from(text).map_err(ApiError::internal)
}
