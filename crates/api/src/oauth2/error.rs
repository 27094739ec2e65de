//! Errors in the form of RFC 6749 §5.2.

use auth::error::ApiError;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;
use web::failure::{ErrorContext, Failure};
use web::json;
use web::reply::Body;
use web::request::BadRequest;

/// Why a request to the token endpoint failed (RFC 6749 §5.2).
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    /// `invalid_request`: a parameter is missing.
    #[error("The parameter {0} is required.")]
    MissingParameter(&'static str),
    /// `invalid_request`: a parameter is there more than once (RFC 6749 §3.2).
    #[error("The parameter {0} is given more than once.")]
    RepeatedParameter(String),
    /// `unsupported_grant_type`: we do not know this kind of grant.
    #[error("The parameter grant_type {0} is not supported.")]
    UnsupportedGrantType(String),
    /// `invalid_client`: the client does not say who it is, or not in a way that it may. The
    /// reason goes to the log only.
    #[error("Client authentication failed.")]
    NotAuthenticated(&'static str),
    /// The client's login failed: `invalid_client` or `invalid_request` by its status, else
    /// Keystone's own `other_error`.
    #[error("{}", description(.0))]
    Login(#[source] ApiError),
    /// A method other than POST.
    #[error("The method is not allowed for the requested URL.")]
    MethodNotAllowed,
}

/// What a client may know of a failed login.
fn description(error: &ApiError) -> String {
    match error.status() {
        StatusCode::UNAUTHORIZED | StatusCode::BAD_REQUEST => error.to_string(),
        _ => "An unknown error occurred and failed to get an OAuth2.0 access token.".into(),
    }
}

impl OAuthError {
    /// Why a certificate did not do. What it lacks is for the log alone.
    pub(super) fn of_certificate(error: ApiError) -> Self {
        match error {
            ApiError::Unauthorized { reason } => {
                tracing::info!(%reason, "a client certificate was refused");
                Self::NotAuthenticated("the client certificate")
            }
            other => Self::Login(other),
        }
    }

    fn code(&self) -> &'static str {
        match self.status() {
            StatusCode::UNAUTHORIZED => "invalid_client",
            StatusCode::BAD_REQUEST if matches!(self, Self::UnsupportedGrantType(_)) => {
                "unsupported_grant_type"
            }
            StatusCode::BAD_REQUEST => "invalid_request",
            _ => "other_error",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::MissingParameter(_)
            | Self::RepeatedParameter(_)
            | Self::UnsupportedGrantType(_) => StatusCode::BAD_REQUEST,
            Self::NotAuthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::Login(error) => error.status(),
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        }
    }
}

impl From<ApiError> for OAuthError {
    fn from(error: ApiError) -> Self {
        Self::Login(match error {
            // There is no place for a receipt in this form.
            ApiError::MoreMethods { .. } => ApiError::unauthorized("more methods are needed"),
            other => other,
        })
    }
}

impl From<BadRequest> for OAuthError {
    fn from(complaint: BadRequest) -> Self {
        ApiError::from(complaint).into()
    }
}

impl Failure for OAuthError {
    fn into_response(self, context: &ErrorContext<'_>) -> Response<Body> {
        let (status, code) = (self.status(), self.code());
        let description = match &self {
            Self::Login(error) if status == StatusCode::UNAUTHORIZED => {
                error.message(context.insecure_debug)
            }
            other => other.to_string(),
        };
        let mut response = match self {
            // Logs the reason, and asks the client to come back where that helps, as anywhere.
            Self::Login(error) => error.into_response(context),
            Self::NotAuthenticated(reason) => ApiError::unauthorized(reason).into_response(context),
            _ => Response::new(Body::default()),
        };
        let document = json!({ "error": code, "error_description": description });
        *response.body_mut() = Body::from(json::compact(&document) + "\n");
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if status != StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        }
        response
    }

    fn should_retry(&self) -> bool {
        matches!(self, Self::Login(ApiError::Retry(_)))
    }
}
