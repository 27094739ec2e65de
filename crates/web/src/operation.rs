//! Operations of the API, each declared once beside its handler.
//!
//! From the list of them come the router, the default policy and its sample, `Allow` headers,
//! span names and the API description.

use http::{Method, StatusCode};
use policy::Rule;

/// One thing that a client can ask for.
#[derive(Debug)]
pub struct Operation {
    /// The HTTP method. What answers GET answers HEAD too.
    pub method: Method,
    /// The path, with `{name}` for each variable.
    pub path: &'static str,
    /// What it does, in a few words.
    pub summary: &'static str,
    /// The policy rules that it may ask.
    pub rules: &'static [Rule],
    /// What its body is.
    pub body_kind: BodyKind,
    /// The name of the JSON schema of its body.
    pub body_schema: Option<&'static str>,
    /// The name of one attribute of its body, and of the JSON schema by which the handler judges it.
    pub part_schema: Option<(&'static str, &'static str)>,
    /// The name of the JSON schema of its query.
    pub query_schema: Option<&'static str>,
    /// The filters of its list that rules may name, as `%(filter_attr.NAME)s`.
    pub filters: &'static [&'static str],
    /// Why it needs no authentication; `None` for all that do.
    pub public: Option<&'static str>,
    /// The statuses that it answers with, each with a sentence; `None` for the usual one of its
    /// method. An operation that is always refused names errors.
    pub answers: Option<&'static [(u16, &'static str)]>,
}

/// What an operation reads as its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// A JSON object.
    Json,
    /// A form, as OAuth clients and browsers send it (RFC 6749, appendix B).
    Form,
    /// What an identity provider sends, itself or through a browser: it may be as long as what
    /// providers answer to us.
    FromProvider,
}

impl Operation {
    const fn new(method: Method, path: &'static str, summary: &'static str) -> Self {
        Self {
            method,
            path,
            summary,
            rules: &[],
            body_kind: BodyKind::Json,
            body_schema: None,
            part_schema: None,
            query_schema: None,
            filters: &[],
            public: None,
            answers: None,
        }
    }

    /// An operation that reads.
    pub const fn get(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::GET, path, summary)
    }

    /// An operation that only checks; where there is none, the one that reads answers.
    pub const fn head(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::HEAD, path, summary)
    }

    /// An operation that adds something under an id of our choice, or acts.
    pub const fn post(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::POST, path, summary)
    }

    /// An operation that adds or replaces something under an id of the client's choice.
    pub const fn put(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::PUT, path, summary)
    }

    /// An operation that changes something.
    pub const fn patch(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::PATCH, path, summary)
    }

    /// An operation that removes something.
    pub const fn delete(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::DELETE, path, summary)
    }

    /// The policy rules that its handler asks.
    pub const fn rules(mut self, rules: &'static [Rule]) -> Self {
        self.rules = rules;
        self
    }

    /// The JSON schema that its body must meet before the handler runs.
    pub const fn body(mut self, schema: &'static str) -> Self {
        self.body_schema = Some(schema);
        self
    }

    /// The attribute of its body that its handler judges, and by which JSON schema.
    pub const fn part(mut self, attribute: &'static str, schema: &'static str) -> Self {
        self.part_schema = Some((attribute, schema));
        self
    }

    /// The JSON schema that its query must meet before the handler runs.
    pub const fn query(mut self, schema: &'static str) -> Self {
        self.query_schema = Some(schema);
        self
    }

    /// Reads a form.
    pub const fn form(mut self) -> Self {
        self.body_kind = BodyKind::Form;
        self
    }

    /// Reads what an identity provider sends.
    pub const fn from_provider(mut self) -> Self {
        self.body_kind = BodyKind::FromProvider;
        self
    }

    /// The filters of its list that rules may name.
    pub const fn filters(mut self, filters: &'static [&'static str]) -> Self {
        self.filters = filters;
        self
    }

    /// The statuses that it answers with, each with a sentence for API readers.
    pub const fn answers(mut self, answers: &'static [(u16, &'static str)]) -> Self {
        self.answers = Some(answers);
        self
    }

    /// Needs no authentication, for this reason.
    pub const fn public(mut self, reason: &'static str) -> Self {
        self.public = Some(reason);
        self
    }

    /// Whether it declares that it answers with this status.
    pub fn answers_with(&self, status: StatusCode) -> bool {
        match self.answers {
            Some(answers) => answers.iter().any(|(declared, _)| *declared == status),
            None => self.usual_status() == status,
        }
    }

    /// The status of a success that is not declared: what the method usually answers with.
    pub(crate) fn usual_status(&self) -> StatusCode {
        match self.method {
            Method::POST | Method::PUT => StatusCode::CREATED,
            Method::DELETE => StatusCode::NO_CONTENT,
            _ => StatusCode::OK,
        }
    }

    /// The variables of its path, in their order.
    pub fn variables(&self) -> impl Iterator<Item = &'static str> + use<> {
        let parts = self.path.split('/');
        parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}
