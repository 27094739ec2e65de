//! Errors in the form of RFC 6749 §5.2.

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use crate::error::{ApiError, ErrorContext, Failure, challenge};
use crate::json;
use crate::operation::Body;

/// Why a request to the token endpoint failed (RFC 6749 §5.2).
#[derive(Debug, thiserror::Error)]
pub enum OAuthError {
    /// `invalid_request`: a parameter is missing or malformed.
    #[error("{0}")]
    InvalidRequest(String),
    /// `invalid_client`: the client is unknown or could not prove itself.
    #[error("{0}")]
    InvalidClient(String),
    /// `unsupported_grant_type`: we do not know this kind of grant.
    #[error("The parameter grant_type {0} is not supported.")]
    UnsupportedGrantType(String),
    /// `other_error`, which is Keystone's own: anything else, with its status.
    #[error("An unknown error occurred and failed to get an OAuth2.0 access token.")]
    Other(#[source] ApiError),
    /// A method other than POST.
    #[error("The method is not allowed for the requested URL.")]
    MethodNotAllowed,
}

impl OAuthError {
    /// `invalid_client` in the words that tell nothing.
    pub fn client_failed() -> Self {
        Self::InvalidClient("Client authentication failed.".into())
    }

    fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidClient(_) => "invalid_client",
            Self::UnsupportedGrantType(_) => "unsupported_grant_type",
            Self::Other(_) | Self::MethodNotAllowed => "other_error",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::InvalidRequest(_) | Self::UnsupportedGrantType(_) => StatusCode::BAD_REQUEST,
            Self::InvalidClient(_) => StatusCode::UNAUTHORIZED,
            Self::Other(error) => error.status(),
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        }
    }
}

impl From<ApiError> for OAuthError {
    /// What a login fails with, as the token endpoint tells it.
    fn from(error: ApiError) -> Self {
        match error.status() {
            StatusCode::UNAUTHORIZED => Self::InvalidClient(error.to_string()),
            StatusCode::BAD_REQUEST => Self::InvalidRequest(error.to_string()),
            _ => Self::Other(error),
        }
    }
}

impl Failure for OAuthError {
    fn into_response(self, context: &ErrorContext<'_>) -> Response<Body> {
        let (status, code, description) = (self.status(), self.code(), self.to_string());
        // What is ours to mend is logged, and asks the client to come back, as anywhere else.
        let mut response = match self {
            Self::Other(error) => error.into_response(context),
            _ => Response::new(Body::default()),
        };
        let text = json::compact(&json!({ "error": code, "error_description": description }));
        *response.body_mut() = Body::from(text + "\n");
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, challenge(context.base_url));
        }
        response
    }

    fn asks_to_repeat(&self) -> bool {
        matches!(self, Self::Other(ApiError::Repeat(_)))
    }
}
