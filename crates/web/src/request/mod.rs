//! Requests: what came over a connection, and its parts.

pub mod accept;
mod bad_request;
pub mod bodies;
mod body_json;
pub mod extract;
pub mod origin;
pub mod path;
mod query;
mod request_id;

use std::sync::Arc;

use bytes::Bytes;
use http::header::AsHeaderName;
use http::{HeaderMap, Uri};
use serde_json::Value;

use crate::listen::Peer;
use crate::operation::Operation;
use accept::preferred;
use path::RequestPath;

pub use bad_request::BadRequest;
pub use body_json::read_json;
pub use query::Query;
pub use request_id::{RequestId, RequestIds};

/// A request as it came, read whole.
pub struct Request {
    /// What it asks for.
    pub operation: &'static Operation,
    /// How answers and logs name it.
    pub request_id: RequestId,
    /// The path and the query as the client wrote them.
    pub uri: Uri,
    /// The path's variables and their decoded values, in order.
    pub variables: Vec<(&'static str, String)>,
    /// The query.
    pub query: Query,
    /// The headers.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub body: Bytes,
    /// The body as JSON; `None` when there is none or the operation reads a form.
    pub json: Option<Value>,
    /// Who is at the other end of the connection.
    pub peer: Option<Arc<Peer>>,
}

impl Request {
    /// The path as the client wrote it, without what does not count at its end.
    pub fn path(&self) -> &str {
        RequestPath::parse(self.uri.path()).written
    }

    /// The same with the query.
    pub fn path_and_query(&self) -> String {
        match self.query.raw() {
            "" => self.path().to_owned(),
            query => format!("{}?{query}", self.path()),
        }
    }

    /// Whether the client is a browser that shows pages: programs do not ask for HTML.
    pub fn wants_html(&self) -> bool {
        let accepted = self.header("accept").unwrap_or_default();
        preferred(accepted, &["application/json", "text/html"]) == Some("text/html")
    }

    /// The fields of a form, in order; none when the body is of another kind.
    pub fn form(&self) -> impl Iterator<Item = (String, String)> {
        let content_type = self.header("content-type").unwrap_or_default();
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        let is_form = kind.eq_ignore_ascii_case("application/x-www-form-urlencoded");
        let body: &[u8] = if is_form { &self.body } else { &[] };
        form_urlencoded::parse(body).into_owned()
    }

    /// The first field of that name of a form.
    pub fn form_field(&self, name: &str) -> Option<String> {
        let found = self.form().find(|(key, _)| key == name);
        found.map(|(_, value)| value)
    }

    /// A header as text; absent when it is not ASCII.
    pub fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
