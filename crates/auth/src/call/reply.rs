//! Successful answers. Only an authorization decision can make one.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use store::Saved;
use web::json;
use web::reply::{Body, Page};

/// The right to answer a request. Only [`crate::call::Call`] gives it, after its decision.
#[must_use = "an answer needs this permit"]
pub struct Permit(pub(super) ());

/// A successful answer with a document.
pub struct Reply<T> {
    status: StatusCode,
    headers: HeaderMap,
    content: Content<T>,
    form: Form,
}

enum Content<T> {
    Nothing,
    Document(T),
    Json(Body),
    Text(String),
}

/// The textual form of the document.
#[derive(Clone, Copy)]
enum Form {
    /// With blanks and a final newline, as resources are.
    Resource,
    /// With blanks and without a final newline, as tokens are.
    Token,
    /// Without blanks and with a final newline, as OAuth answers are.
    Compact,
}

impl Permit {
    /// 200 with a document.
    pub fn ok<T>(self, document: T) -> Reply<T> {
        self.reply(StatusCode::OK, Some(document))
    }

    /// 200 with what was written.
    pub fn updated<T>(self, _: Saved, document: T) -> Reply<T> {
        self.reply(StatusCode::OK, Some(document))
    }

    /// 201 with what was written.
    pub fn created<T>(self, _: Saved, document: T) -> Reply<T> {
        self.reply(StatusCode::CREATED, Some(document))
    }

    /// 204: what was asked for is so.
    pub fn confirmed(self) -> Reply<()> {
        self.reply(StatusCode::NO_CONTENT, None)
    }

    /// 204: what was asked for is done.
    pub fn done(self, _: Saved) -> Reply<()> {
        self.reply(StatusCode::NO_CONTENT, None)
    }

    /// Any other success.
    pub fn reply<T>(self, status: StatusCode, document: Option<T>) -> Reply<T> {
        Reply {
            status,
            headers: HeaderMap::new(),
            content: document.map_or(Content::Nothing, Content::Document),
            form: Form::Resource,
        }
    }

    /// A success with a document that is written already.
    pub fn json(self, status: StatusCode, document: String) -> Reply<()> {
        let mut reply = self.reply(status, None);
        reply.content = Content::Json(document.into());
        reply
    }

    /// 200 with a list that is written while the client reads it.
    pub fn long_list(self, list: Body) -> Reply<()> {
        let mut reply = self.reply(StatusCode::OK, None);
        reply.content = Content::Json(list);
        reply
    }

    /// 200 with a page for people.
    pub fn page(self, page: Page) -> Reply<()> {
        let (html, headers) = page.into_parts();
        let mut reply = self.reply(StatusCode::OK, None);
        reply.content = Content::Text(html);
        reply.headers = headers;
        reply
    }

    /// 200 with a text of some kind.
    pub fn text<T>(self, kind: HeaderValue, text: String) -> Reply<T> {
        let mut reply = self.reply(StatusCode::OK, None);
        reply.content = Content::Text(text);
        reply.header(header::CONTENT_TYPE, kind)
    }
}

impl<T> Reply<T> {
    /// Sets a header; of cookies, there may be several.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        match name {
            header::SET_COOKIE => drop(self.headers.append(name, value)),
            name => drop(self.headers.insert(name, value)),
        }
        self
    }

    /// Writes the document as token bodies are written: without a final newline.
    #[must_use]
    pub fn as_token(mut self) -> Self {
        self.form = Form::Token;
        self
    }

    /// Writes the document without blanks, as OAuth answers are written.
    #[must_use]
    pub fn compact(mut self) -> Self {
        self.form = Form::Compact;
        self
    }
}

impl<T: Serialize> Reply<T> {
    pub(crate) fn into_response(self) -> http::Response<Body> {
        let is_json = !matches!(self.content, Content::Nothing | Content::Text(_));
        let body = match self.content {
            Content::Nothing => Body::default(),
            Content::Json(body) => body,
            Content::Text(text) => text.into(),
            Content::Document(document) => match self.form {
                Form::Resource => (json::spaced(&document) + "\n").into(),
                Form::Token => json::spaced(&document).into(),
                Form::Compact => (json::compact(&document) + "\n").into(),
            },
        };
        let mut response = http::Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        if is_json {
            let headers = response.headers_mut();
            let kind = headers.entry(header::CONTENT_TYPE);
            kind.or_insert(HeaderValue::from_static("application/json"));
        }
        response
    }
}

/// `{"project": {...}}`: one document under its singular name.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct One<T: Serialize>(std::collections::BTreeMap<&'static str, T>);

impl<T: Serialize> One<T> {
    /// Wraps a document.
    pub fn new(name: &'static str, document: T) -> Self {
        Self(std::iter::once((name, document)).collect())
    }
}
