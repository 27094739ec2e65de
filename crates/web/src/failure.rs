//! How requests fail.

use http::Response;

use crate::reply::Body;
use crate::request::BadRequest;

/// What an error needs to know of the request it ends.
pub struct ErrorContext<'a> {
    /// The server as the client addressed it.
    pub base_url: &'a str,
    /// `[DEFAULT] insecure_debug`: tell everybody why.
    pub insecure_debug: bool,
    /// How logs name the request.
    pub request_id: &'a str,
    /// Whether the client is a browser that shows pages.
    pub wants_html: bool,
}

/// An error that ends a request.
pub trait Failure: From<BadRequest> + Send + 'static {
    /// The answer that the client gets.
    fn into_response(self, context: &ErrorContext<'_>) -> Response<Body>;

    /// Whether the whole request has to be retried.
    fn should_retry(&self) -> bool;
}
