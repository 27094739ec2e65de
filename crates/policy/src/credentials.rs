//! The caller, as rules see them.

use serde_json::Value;

/// What the left side of a check names: `user_id`, `roles` (names), `system_scope`, and the token's own document
/// under `token`.
///
/// A service that knows its callers implements this and builds nothing that no rule asks for. A JSON object is a set
/// of credentials too.
pub trait Credentials {
    /// The credential of that name.
    fn get(&self, name: &str) -> Option<&Value>;
}

impl Credentials for Value {
    fn get(&self, name: &str) -> Option<&Value> {
        self.as_object()?.get(name)
    }
}
