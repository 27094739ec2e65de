//! What rules see of a request: the caller, and what it acts on.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::python;

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

/// The values that `%(key)s` stands for: of the URL, of the thing acted on, of the request.
///
/// A handler that knows its values by name implements this and builds no map. JSON is a target too, nested or flat:
/// `{"target": {"user": {"id": "u1"}}}` and `{"target.user.id": "u1"}` say the same.
pub trait Target {
    /// The value under a dotted key such as `target.user.domain_id`, printed as Python's `str()` would (see
    /// [`text`](crate::text)): an absent domain is `None`, a truth is `True`. `None` when there is no such key.
    fn find(&self, key: &str) -> Option<Cow<'_, str>>;
}

/// A target that has no values.
impl Target for () {
    fn find(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

impl<T: Target + ?Sized> Target for &T {
    fn find(&self, key: &str) -> Option<Cow<'_, str>> {
        (**self).find(key)
    }
}

impl Target for Value {
    fn find(&self, key: &str) -> Option<Cow<'_, str>> {
        self.as_object()?.find(key)
    }
}

impl Target for Map<String, Value> {
    fn find(&self, key: &str) -> Option<Cow<'_, str>> {
        match self.get(key) {
            // Objects are seen through, never seen.
            Some(value) if !value.is_object() => Some(python::text(value)),
            _ => key
                .match_indices('.')
                .find_map(|(dot, _)| self.get(&key[..dot])?.find(&key[dot + 1..])),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn flat_and_nested_keys_are_the_same() {
        let target = json!({
            "user_id": "u1",
            "target": {"user": {"id": "u2", "domain_id": null}, "user.name": "dotted"},
            "target.role": {"name": "r"},
            "body": {"tags": ["a"], "empty": {}},
        });
        for (key, value) in [
            ("user_id", Some("u1")),
            ("target.user.id", Some("u2")),
            ("target.user.domain_id", Some("None")),
            ("target.user.name", Some("dotted")),
            ("target.role.name", Some("r")),
            ("body.tags", Some("['a']")),
            ("body.empty", None),
            ("target", None),
            ("target.user", None),
            ("target.user.id.x", None),
            ("", None),
            (".", None),
        ] {
            assert_eq!(target.find(key).as_deref(), value, "{key}");
        }
    }
}
