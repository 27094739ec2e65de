//! The nouns and rules of identity: pure types and decisions, with no IO.

pub mod ids;
pub mod listing;
pub mod project;

pub use project::{Domain, Project};

/// A point in time. Stored dates have no zone and mean UTC.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// Attributes that Keystone stores and returns without knowing them.
pub type Extra = serde_json::Map<String, serde_json::Value>;
