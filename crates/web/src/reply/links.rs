//! The URLs in documents.

use std::sync::Arc;

use serde::Serialize;

/// Makes the URLs of documents, as the client addressed the server.
#[derive(Clone, Debug)]
pub struct Links {
    base_url: Arc<str>,
}

impl Links {
    /// Links below this URL, which has no final slash.
    pub fn new(base_url: impl Into<Arc<str>>) -> Self {
        let base_url = base_url.into();
        Self { base_url }
    }

    /// The server as the client addressed it, without a final slash.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The URL of a path below `/v3`.
    pub fn to(&self, path: &str) -> SelfLink {
        SelfLink {
            itself: format!("{}/v3/{path}", self.base_url),
        }
    }
}

/// `{"self": "..."}`.
#[derive(Clone, Debug, Serialize)]
pub struct SelfLink {
    #[serde(rename = "self")]
    itself: String,
}
