//! What goes back over a connection: bodies, links, lists, and the pages that tell what is not there.

mod body;
mod links;
mod listing;
mod page;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::json;
use crate::request::accept::preferred;

pub use body::Body;
pub use links::{Links, SelfLink};
pub use listing::{Collection, Range, long_list};
pub use page::Page;

/// 404 where there is nothing at the path.
pub fn not_found() -> Response<Body> {
    html(
        StatusCode::NOT_FOUND,
        "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n\
         <p>The requested URL was not found on the server. If you entered the URL manually please \
         check your spelling and try again.</p>\n",
    )
}

/// In the form that the client prefers; the reference forgets to fill in the number.
pub fn too_large(headers: &HeaderMap) -> Response<Body> {
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

/// A page of a status.
pub fn html(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(text.into()));
    *response.status_mut() = status;
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}

/// Text that may stand anywhere in HTML.
pub fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}
