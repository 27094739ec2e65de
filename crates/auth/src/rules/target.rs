//! What a policy decision is about: what rules see of a request and of what it acts on.

use std::borrow::Cow;
use std::sync::Arc;

use model::Extra;
use serde::Serialize;
use serde_json::{Map, Value};
use web::request::Request;

/// What a policy decision is about: facts such as `target.project.id`.
///
/// Beside them a rule sees what is the same for every operation, see `Facts`.
#[derive(Clone, Default)]
pub struct Target {
    facts: Map<String, Value>,
    thing: Option<Arc<dyn policy::Target + Send + Sync>>,
    wanted: Option<&'static str>,
    is_item: bool,
}

impl Target {
    /// Nothing beyond what every request has.
    pub fn none() -> Self {
        Self::default()
    }

    /// Something that knows its facts by name.
    pub fn of(thing: Arc<dyn policy::Target + Send + Sync>) -> Self {
        Self {
            thing: Some(thing),
            ..Self::default()
        }
    }

    /// What the body describes under this name, as the client wrote it: `target.project.domain_id`
    /// is the `domain_id` of the project that shall be created.
    pub fn wanted(name: &'static str) -> Self {
        Self {
            wanted: Some(name),
            ..Self::default()
        }
    }

    /// Something that is there, by the attributes that the server does not know. Those that it
    /// knows are added behind them, and count more.
    pub fn existing(name: &str, extra: &Extra) -> Self {
        let mut target = Self::none();
        target.add_all(&format!("target.{name}"), extra);
        target
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a fact when there is a value.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds the options of something, each by its name.
    #[must_use]
    pub fn and_options(mut self, name: &str, options: &impl Serialize) -> Self {
        if let Ok(Value::Object(options)) = serde_json::to_value(options) {
            self.add_all(name, &options);
        }
        self
    }

    /// Adds all facts of another target.
    #[must_use]
    pub fn and(mut self, other: impl Into<Self>) -> Self {
        let other = other.into();
        self.facts.extend(other.facts);
        self.thing = self.thing.or(other.thing);
        self.wanted = self.wanted.or(other.wanted);
        self.is_item |= other.is_item;
        self
    }

    /// One of the items of a list, to which the filters of the list say nothing.
    #[must_use]
    pub fn item(mut self) -> Self {
        self.is_item = true;
        self
    }

    fn add_all(&mut self, prefix: &str, attributes: &Extra) {
        for (name, value) in attributes {
            // Such a name could be taken for the attribute of an attribute.
            if name.contains('.') {
                continue;
            }
            let key = format!("{prefix}.{name}");
            match value {
                Value::Object(inner) => self.add_all(&key, inner),
                value => {
                    self.facts.insert(key, value.clone());
                }
            }
        }
    }
}

impl<T> From<Option<&T>> for Target
where
    for<'a> &'a T: Into<Target>,
{
    fn from(target: Option<&T>) -> Self {
        target.map(Into::into).unwrap_or_default()
    }
}

/// All that a rule sees of a request:
///
/// - `%(user_id)s`: a variable of the path;
/// - `%(target.user.domain_id)s`: what the handler knows of the thing acted on;
/// - `%(filter_attr.domain_id)s`: a filter of a list, where the operation declares it;
/// - `%(request_body.user.domain_id)s`: a value of the JSON body.
///
/// They stand apart, so that nothing that a client writes passes for what the server knows.
pub(crate) struct Facts<'a> {
    /// The request.
    pub request: &'a Request,
    /// What it acts on.
    pub target: &'a Target,
}

impl policy::Target for Facts<'_> {
    fn find(&self, key: &str) -> Option<Cow<'_, str>> {
        let body = self.request.json.as_ref();
        if let Some(path) = key.strip_prefix("request_body.") {
            return attribute(body?, path);
        }
        if let Some(name) = key.strip_prefix("filter_attr.") {
            let is_filter = self.request.operation.filters.contains(&name);
            return (is_filter && !self.target.is_item)
                .then(|| self.request.query.get(name))?
                .map(Cow::Borrowed);
        }
        if let Some(value) = self.target.facts.get(key) {
            return Some(policy::text(value));
        }
        if let Some(thing) = &self.target.thing
            && let Some(value) = thing.find(key)
        {
            return Some(value);
        }
        if let Some(rest) = key.strip_prefix("target.") {
            let (name, path) = rest.split_once('.')?;
            return (self.target.wanted == Some(name))
                .then(|| attribute(body?.get(name)?, path))?;
        }
        let mut variables = self.request.variables.iter();
        variables
            .find(|(name, _)| *name == key)
            .map(|(_, value)| Cow::Borrowed(value.as_str()))
    }
}

/// The value at the end of a path of names. A member whose own name has a dot is never seen: it
/// could be taken for another.
fn attribute<'a>(body: &'a Value, path: &str) -> Option<Cow<'a, str>> {
    let value = path
        .split('.')
        .try_fold(body, |value, name| value.as_object()?.get(name))?;
    // Objects are seen through, never seen.
    (!value.is_object()).then(|| policy::text(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_attribute_is_found_by_its_own_path_alone() {
        let body = json!({
            "project": {"domain_id": "other", "tags": ["a"], "enabled": true, "options": {}},
            "project.domain_id": "mine",
        });
        for (path, found) in [
            ("project.domain_id", Some("other")),
            ("project.tags", Some("['a']")),
            ("project.enabled", Some("True")),
            ("project.options", None),
            ("project", None),
            ("project.name", None),
            ("", None),
        ] {
            assert_eq!(attribute(&body, path).as_deref(), found, "{path}");
        }
    }

    #[test]
    fn what_is_known_counts_more_than_what_was_stored_beside_it() {
        let extra = json!({
            "email": "a@example.org",
            "domain_id": "stored",
            "options": {"lock_password": true},
            "options.lock_password": "dotted",
        });
        let extra = extra.as_object().unwrap();
        let target = Target::existing("user", extra).with("target.user.domain_id", "known");
        let facts = Value::Object(target.facts);
        assert_eq!(
            facts,
            json!({
                "target.user.email": "a@example.org",
                "target.user.domain_id": "known",
                "target.user.options.lock_password": true,
            })
        );
    }
}
