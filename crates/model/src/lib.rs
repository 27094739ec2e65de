//! The nouns and rules of identity: pure types and decisions, with no IO.

pub mod application_credential;
pub mod assertion;
pub mod assignment;
pub mod clock;
pub mod credential;
pub mod federation;
pub mod ids;
pub mod json;
pub mod listing;
pub mod login_rules;
pub mod mapping;
pub mod method;
mod path_pattern;
pub mod project;
pub mod python;
pub mod receipt;
pub mod revocation;
pub mod revocation_index;
pub mod role;
pub mod scope;
pub mod secret;
pub mod service;
pub mod subject;
pub mod token;
pub mod user;

pub use assertion::Assertion;
pub use method::Method;
pub use project::{Domain, Project};
pub use receipt::Receipt;
pub use revocation::RevocationEvent;
pub use role::Role;
pub use scope::Scope;
pub use secret::Secret;
pub use token::Token;
pub use user::{Group, User};

/// A point in time. Stored dates have no zone and mean UTC.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// Attributes that Keystone stores and returns without knowing them.
pub type Extra = serde_json::Map<String, serde_json::Value>;
