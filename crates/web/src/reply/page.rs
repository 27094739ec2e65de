//! Pages for people.

use http::{HeaderMap, HeaderValue, header};

/// A page, with the headers that protect it.
pub struct Page {
    html: String,
    policy: String,
}

impl Page {
    /// A page under a Content Security Policy.
    pub fn new(html: String, policy: String) -> Self {
        Self { html, policy }
    }

    /// The body and its headers.
    pub fn into_parts(self) -> (String, HeaderMap) {
        let mut headers = HeaderMap::from_iter([
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("text/html; charset=utf-8"),
            ),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (
                header::REFERRER_POLICY,
                HeaderValue::from_static("no-referrer"),
            ),
            (
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            ),
        ]);
        if let Ok(policy) = HeaderValue::try_from(self.policy) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        (self.html, headers)
    }
}
