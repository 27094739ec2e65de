//! Everything a v3 request can fail with, in Keystone's words.

use std::borrow::Cow;

use federation::WrongSetting;
use http::{HeaderValue, Response, StatusCode, header};
use model::ids::UserId;
use serde_json::{Map, Value, json};
use store::StoreError;
use web::failure::{ErrorContext, Failure};
use web::json;
use web::reply::Body;
use web::request::BadRequest;
use web::request::bodies::BodyError;
use web::schemas::SchemaError;

/// How long a client should wait before it asks an overloaded server again, in seconds.
const RETRY_AFTER: &str = "1";

/// Why a v3 request failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// 401: the right password, but the user is disabled.
    #[error("The account is disabled for user: {user_id}.")]
    AccountDisabled {
        /// Whose.
        user_id: UserId,
    },
    /// 400, in these words.
    #[error("{0}")]
    BadRequest(String),
    /// 409: a unique index refused the row.
    #[error("Conflict occurred attempting to store {kind} - {details}.")]
    Conflict {
        /// What could not be stored.
        kind: &'static str,
        /// What it collides with.
        details: Cow<'static, str>,
    },
    /// 403: the policy refused. The action is the rule's name, or Keystone's own words.
    #[error("You are not authorized to perform the requested action: {action}.")]
    Denied {
        /// What was not allowed.
        action: Cow<'static, str>,
    },
    /// 403 for a reason that everybody may know, in these words.
    #[error("{0}")]
    Forbidden(String),
    /// 410, in these words.
    #[error("{0}")]
    Gone(&'static str),
    /// 500: a defect or a broken database. The cause goes to the log only.
    #[error("An unexpected error prevented the server from fulfilling your request.")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// 401 with what a client needs to go on (supported methods, a receipt), as it stands.
    #[error("{message}")]
    LoginIncomplete {
        /// The sentence for people.
        message: String,
        /// What stands beside it under `identity`.
        identity: Value,
    },
    /// 401 with a receipt: more methods are needed.
    #[error("more methods are needed")]
    MoreMethods {
        /// Proves what was passed so far.
        receipt: String,
        /// The body, as it stands.
        document: Value,
    },
    /// 404 for something with a name.
    #[error("Could not find {kind}: {id}.")]
    NotFound {
        /// What was looked for.
        kind: &'static str,
        /// How it was called.
        id: String,
    },
    /// 404 in other words.
    #[error("{0}")]
    NotFoundAs(String),
    /// 401: the right password, but it has ended.
    #[error("The password is expired and needs to be changed for user: {user_id}.")]
    PasswordExpired {
        /// Whose.
        user_id: UserId,
    },
    /// 403 for a reason that only the log tells.
    #[error("You are not authorized to perform the requested action.")]
    Refused {
        /// Why, for the operator.
        reason: Cow<'static, str>,
    },
    /// The whole request has to be retried. Never rendered before it was.
    #[error("An unexpected error prevented the server from fulfilling your request.")]
    Retry(#[source] StoreError),
    /// 413.
    #[error("The request body is too large.")]
    TooLarge,
    /// 408: nothing of the body came for too long.
    #[error("The request body took too long to arrive.")]
    TooSlow,
    /// 401: every failed login looks the same. The reason goes to the log only.
    #[error("The request you have made requires authentication.")]
    Unauthorized {
        /// Why, for the operator.
        reason: Cow<'static, str>,
    },
    /// 503: the database does not answer, or a queue is full.
    #[error("The service is temporarily unable to handle the request. Try again later.")]
    Unavailable(String),
}

impl ApiError {
    /// 404: there is no such thing.
    pub fn not_found(kind: &'static str, id: impl ToString) -> Self {
        Self::NotFound {
            kind,
            id: id.to_string(),
        }
    }

    /// 400: something is missing from where it should be.
    pub fn expecting(attribute: &str, target: &str) -> Self {
        BadRequest::expecting(attribute, target).into()
    }

    /// 400 with Keystone's common ending.
    pub fn malformed(complaint: &str) -> Self {
        BadRequest::malformed(complaint).into()
    }

    /// 404: the page should start behind something that is not there.
    pub fn unknown_marker(marker: &str) -> Self {
        Self::NotFoundAs(format!("Marker {marker} could not be found."))
    }

    /// Checks that a text fits into its column of `limit` characters, which not every database
    /// does.
    ///
    /// # Errors
    ///
    /// 400 when it does not.
    pub fn check_length(text: &str, column: &str, limit: usize) -> Result<(), Self> {
        if text.chars().count() <= limit {
            return Ok(());
        }
        Err(Self::BadRequest(format!(
            "String length exceeded. The length of string '{text}' exceeds the limit of column \
             {column}(CHAR({limit}))."
        )))
    }

    /// 401, for a reason that only the log tells.
    pub fn unauthorized(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Unauthorized {
            reason: reason.into(),
        }
    }

    /// 403, as a policy refusal with its own words.
    pub fn denied(action: impl Into<Cow<'static, str>>) -> Self {
        Self::Denied {
            action: action.into(),
        }
    }

    /// 403, for a reason that only the log tells.
    pub fn refused(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused {
            reason: reason.into(),
        }
    }

    /// 500 for a cause of any kind.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// An error of a request that looked before it wrote: what it finds is no longer so, because
    /// somebody else added or removed something meanwhile, so it is run again.
    pub fn overtaken(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { .. } | StoreError::Missing { .. } => Self::Retry(error),
            other => other.into(),
        }
    }

    /// An error of the store; other words for what is missing than those of a 404.
    pub fn missing_as(error: StoreError, missing: impl FnOnce() -> Self) -> Self {
        match error {
            StoreError::Missing { .. } => missing(),
            other => other.into(),
        }
    }

    /// Says more about a conflict; other errors pass unchanged.
    #[must_use]
    pub fn conflict_details(self, details: impl FnOnce() -> String) -> Self {
        match self {
            Self::Conflict { kind, .. } => Self::Conflict {
                kind,
                details: details().into(),
            },
            other => other,
        }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::Denied { .. } | Self::Forbidden(_) | Self::Refused { .. } => {
                StatusCode::FORBIDDEN
            }
            Self::Gone(_) => StatusCode::GONE,
            Self::Retry(StoreError::Retry(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) | Self::Retry(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::AccountDisabled { .. }
            | Self::LoginIncomplete { .. }
            | Self::MoreMethods { .. }
            | Self::PasswordExpired { .. }
            | Self::Unauthorized { .. } => StatusCode::UNAUTHORIZED,
            Self::NotFound { .. } | Self::NotFoundAs(_) => StatusCode::NOT_FOUND,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { kind } => Self::Conflict {
                kind,
                details: "Duplicate entry".into(),
            },
            // What a request has read may be gone when it writes: then it finds that out, and says
            // what is missing.
            StoreError::Retry(_) | StoreError::Reference(_) => Self::Retry(error),
            StoreError::Missing { kind, id } => Self::NotFound { kind, id },
            StoreError::Unstorable(reason) => {
                tracing::info!(reason, "the database cannot hold what the request says");
                Self::malformed("A value in the request cannot be stored.")
            }
            StoreError::Unavailable(_) | StoreError::TimedOut(_) => {
                Self::Unavailable(error.to_string())
            }
            other => Self::Internal(other.into()),
        }
    }
}

impl From<SchemaError> for ApiError {
    fn from(error: SchemaError) -> Self {
        Self::BadRequest(error.to_string())
    }
}

impl From<WrongSetting> for ApiError {
    fn from(wrong: WrongSetting) -> Self {
        Self::BadRequest(wrong.to_string())
    }
}

impl From<federation::Failure> for ApiError {
    fn from(failure: federation::Failure) -> Self {
        match failure {
            federation::Failure::Refused(_) | federation::Failure::Denied(_) => {
                Self::unauthorized(failure.to_string())
            }
            federation::Failure::Unavailable(_) => Self::Unavailable(failure.to_string()),
            federation::Failure::NotSupported(_) => Self::BadRequest(format!("{failure}.")),
        }
    }
}

impl From<federation::saml2::idp::Unwritable> for ApiError {
    fn from(unwritable: federation::saml2::idp::Unwritable) -> Self {
        match unwritable {
            // It is the names of the token's holder, project, roles and groups that do not fit.
            federation::saml2::idp::Unwritable::Name(_) => Self::BadRequest(format!(
                "No SAML assertion can be made for this token: {unwritable}."
            )),
            federation::saml2::idp::Unwritable::Signature(_) => Self::internal(unwritable),
        }
    }
}

impl From<BadRequest> for ApiError {
    fn from(BadRequest(complaint): BadRequest) -> Self {
        Self::BadRequest(complaint)
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

impl Failure for ApiError {
    fn into_response(self, context: &ErrorContext<'_>) -> Response<Body> {
        if let Self::Retry(StoreError::Retry(cause)) = self {
            // Too many want the same at once. What else is retried in vain is a defect.
            let reason = format!("retrying did not help: {cause}");
            return Self::Unavailable(reason).into_response(context);
        }
        log(&self);
        let status = self.status();
        if let Self::MoreMethods { receipt, document } = &self {
            return more_methods(receipt, document);
        }
        let mut error = Map::new();
        error.insert("code".into(), status.as_u16().into());
        if let Self::LoginIncomplete { identity, .. } = &self
            && !identity.is_null()
        {
            error.insert("identity".into(), identity.clone());
        }
        error.insert(
            "message".into(),
            self.message(context.insecure_debug).into(),
        );
        error.insert("title".into(), title(status).into());
        let text = json::compact(&json!({ "error": error })) + "\n";
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, challenge(context.base_url));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        response
    }

    fn should_retry(&self) -> bool {
        matches!(self, Self::Retry(_))
    }
}

impl ApiError {
    /// What the client is told.
    pub fn message(&self, insecure_debug: bool) -> String {
        match self {
            Self::Refused { reason } | Self::Unauthorized { reason } if insecure_debug => {
                format!("{reason} (Disable insecure_debug mode to suppress these details.)")
            }
            other => other.to_string(),
        }
    }

    /// What the log may tell: the reason of a refusal, even one that clients may not see.
    pub fn reason(&self) -> Cow<'_, str> {
        match self {
            Self::Refused { reason } | Self::Unauthorized { reason } => Cow::Borrowed(reason),
            other => Cow::Owned(other.to_string()),
        }
    }
}

/// The answer to a login that has not passed enough methods yet.
fn more_methods(receipt: &str, document: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(json::spaced(document)));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Ok(receipt) = HeaderValue::try_from(receipt) {
        headers.insert("Openstack-Auth-Receipt", receipt);
    }
    response
}

/// The one place a failure is logged; its cause never reaches the client.
fn log(error: &ApiError) {
    match error {
        ApiError::Internal(cause) => {
            tracing::error!(
                error = cause.as_ref() as &dyn std::error::Error,
                "request failed"
            );
        }
        ApiError::Retry(cause) => {
            tracing::error!(
                error = cause as &dyn std::error::Error,
                "request failed: retrying it did not help"
            );
        }
        ApiError::Unavailable(reason) => tracing::warn!(reason, "request refused for now"),
        ApiError::Unauthorized { reason } => tracing::info!(%reason, "authentication failed"),
        ApiError::Refused { reason } => tracing::info!(%reason, "the request was refused"),
        ApiError::Denied { action } => tracing::info!(%action, "the policy refused"),
        _ => {}
    }
}

impl ApiError {
    /// Whether the log says anything of it: what a client did wrong it is told itself.
    pub fn is_logged(&self) -> bool {
        matches!(
            self,
            Self::Internal(_)
                | Self::Retry(_)
                | Self::Unavailable(_)
                | Self::Unauthorized { .. }
                | Self::Refused { .. }
                | Self::Denied { .. }
        )
    }
}

/// The challenge of a 401 (RFC 9110 §11.6.1), in a scheme of Keystone's own.
pub fn challenge(base_url: &str) -> HeaderValue {
    HeaderValue::try_from(format!("Keystone uri=\"{base_url}/v3\""))
        .unwrap_or_else(|_| HeaderValue::from_static("Keystone"))
}

fn title(status: StatusCode) -> &'static str {
    match status {
        // Keystone's own; the others carry the standard phrase.
        StatusCode::PAYLOAD_TOO_LARGE => "Request is too large.",
        other => other.canonical_reason().unwrap_or("Error"),
    }
}
