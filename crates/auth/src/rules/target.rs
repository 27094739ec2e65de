//! What a policy decision is about: what rules see of a request and of what it acts on.

use std::borrow::Cow;
use std::marker::PhantomData;

use policy::Keys;
use serde_json::{Map, Value};
use web::request::Request;

/// Something that a request acts on, as rules see it: `%(target.project.id)s`.
///
/// Beside it a rule sees what is the same for every operation, see `Facts`.
pub trait Target {
    /// Every key that it can have a value for. Default rules may ask for no other.
    const KEYS: Keys;

    /// The value under a key, as Python's `str()` prints it. Attributes that clients stored beside those
    /// that the server knows have values as well, and are not among the keys.
    fn find(&self, key: &str) -> Option<Cow<'_, str>>;

    /// Whether it is one of the items of a list, to which the filters of the list say nothing.
    fn is_item(&self) -> bool {
        false
    }
}

/// What rules that are asked about this see of it.
pub const fn keys_of<T: Target>() -> Keys {
    T::KEYS
}

/// Nothing beyond what every request has.
impl Target for () {
    const KEYS: Keys = Keys::NONE;

    fn find(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

impl<T: Target> Target for &T {
    const KEYS: Keys = T::KEYS;

    fn find(&self, key: &str) -> Option<Cow<'_, str>> {
        (**self).find(key)
    }

    fn is_item(&self) -> bool {
        (**self).is_item()
    }
}

/// Something that may not be there.
impl<T: Target> Target for Option<T> {
    const KEYS: Keys = T::KEYS;

    fn find(&self, key: &str) -> Option<Cow<'_, str>> {
        self.as_ref()?.find(key)
    }

    fn is_item(&self) -> bool {
        self.as_ref().is_some_and(Target::is_item)
    }
}

/// Two things that a request is about.
impl<A: Target, B: Target> Target for (A, B) {
    const KEYS: Keys = Keys::All(&[A::KEYS, B::KEYS]);

    fn find(&self, key: &str) -> Option<Cow<'_, str>> {
        self.0.find(key).or_else(|| self.1.find(key))
    }

    fn is_item(&self) -> bool {
        self.0.is_item() || self.1.is_item()
    }
}

/// One of the items of a list, to which the filters of the list say nothing.
pub struct Item<T>(pub T);

impl<T: Target> Target for Item<T> {
    const KEYS: Keys = T::KEYS;

    fn find(&self, key: &str) -> Option<Cow<'_, str>> {
        self.0.find(key)
    }

    fn is_item(&self) -> bool {
        true
    }
}

/// A kind of resource with a name: rules see it under `target.NAME`, and a body describes it under `NAME`.
pub trait Resource: Target {
    /// The name.
    const NAME: &'static str;
}

/// A resource as the body describes it, as the client wrote it: `target.project.domain_id` is the
/// `domain_id` of the project that shall be created.
pub struct Wanted<'a, T> {
    body: Option<&'a Value>,
    kind: PhantomData<fn() -> T>,
}

impl<'a, T: Resource> Wanted<'a, T> {
    /// What the body of this request describes.
    pub fn of(request: &'a Request) -> Self {
        Self {
            body: request.json.as_ref().and_then(|body| body.get(T::NAME)),
            kind: PhantomData,
        }
    }
}

impl<T: Resource> Target for Wanted<'_, T> {
    const KEYS: Keys = T::KEYS;

    fn find(&self, key: &str) -> Option<Cow<'_, str>> {
        let (name, path) = key.strip_prefix("target.")?.split_once('.')?;
        attribute(self.body.filter(|_| name == T::NAME)?, path)
    }
}

/// A value of a target, as Python's `str()` prints it.
pub(super) trait Printed<'a> {
    /// The text; `None` when there is no value to print.
    fn printed(self) -> Option<Cow<'a, str>>;
}

impl<'a> Printed<'a> for &'a str {
    fn printed(self) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(self))
    }
}

impl<'a> Printed<'a> for bool {
    fn printed(self) -> Option<Cow<'a, str>> {
        Some(Cow::Borrowed(if self { "True" } else { "False" }))
    }
}

impl<'a> Printed<'a> for Value {
    fn printed(self) -> Option<Cow<'a, str>> {
        Some(Cow::Owned(policy::text(&self).into_owned()))
    }
}

/// An attribute that always is there, if only as `None`.
impl<'a, T: Printed<'a>> Printed<'a> for Option<T> {
    fn printed(self) -> Option<Cow<'a, str>> {
        self.map_or(Some(Cow::Borrowed("None")), T::printed)
    }
}

/// An attribute that is there only where it has a value.
pub(super) struct IfAny<T>(pub(super) Option<T>);

impl<'a, T: Printed<'a>> Printed<'a> for IfAny<T> {
    fn printed(self) -> Option<Cow<'a, str>> {
        self.0.and_then(T::printed)
    }
}

/// Declares what rules see of a type: under a prefix, each key with its value. Where it has attributes that
/// the server does not know, they come after those that it knows.
macro_rules! target {
    ($type:ty as $this:ident: $prefix:literal {
        $($key:literal => $value:expr,)*
    } $(else $extra:expr)?) => {
        impl $crate::rules::target::Target for $type {
            const KEYS: policy::Keys = policy::Keys::Named(&[$(concat!($prefix, $key)),*]);

            fn find(&self, key: &str) -> Option<std::borrow::Cow<'_, str>> {
                let $this = self;
                match key {
                    $(concat!($prefix, $key) => $crate::rules::target::Printed::printed($value),)*
                    _ => target!(@other key, $prefix $(, $extra)?),
                }
            }
        }
    };
    (@other $key:ident, $prefix:literal) => {
        None
    };
    (@other $key:ident, $prefix:literal, $extra:expr) => {
        $crate::rules::target::stored($extra, $key.strip_prefix($prefix)?)
    };
}
pub(super) use target;

/// All that a rule sees of a request:
///
/// - `%(user_id)s`: a variable of the path;
/// - `%(target.user.domain_id)s`: what the handler knows of the thing acted on;
/// - `%(filter_attr.domain_id)s`: a filter of a list, where the operation declares it;
/// - `%(request_body.user.domain_id)s`: a value of the JSON body.
///
/// They stand apart, so that nothing that a client writes passes for what the server knows.
pub(crate) struct Facts<'a, T> {
    /// The request.
    pub request: &'a Request,
    /// What it acts on.
    pub target: T,
}

impl<T: Target> policy::Target for Facts<'_, T> {
    fn find(&self, key: &str) -> Option<Cow<'_, str>> {
        let body = self.request.json.as_ref();
        if let Some(path) = key.strip_prefix("request_body.") {
            return attribute(body?, path);
        }
        if let Some(name) = key.strip_prefix("filter_attr.") {
            let is_filter = self.request.operation.filters.contains(&name);
            return (is_filter && !self.target.is_item())
                .then(|| self.request.query.get(name))?
                .map(Cow::Borrowed);
        }
        if let Some(value) = self.target.find(key) {
            return Some(value);
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
    stored(body.as_object()?, path)
}

/// The same, among the attributes of something.
pub(super) fn stored<'a>(extra: &'a Map<String, Value>, path: &str) -> Option<Cow<'a, str>> {
    let mut names = path.split('.');
    let first = extra.get(names.next()?)?;
    let value = names.try_fold(first, |value, name| value.as_object()?.get(name))?;
    // Objects are seen through, never seen.
    (!value.is_object()).then(|| policy::text(value))
}

#[cfg(test)]
mod tests {
    use model::Extra;
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
        struct Thing(Extra);
        target! {
            Thing as thing: "target.thing." {
                "domain_id" => "known",
                "description" => None::<&str>,
                "owner" => IfAny(None::<&str>),
                "enabled" => true,
            } else &thing.0
        }
        let extra = json!({
            "email": "a@example.org",
            "domain_id": "stored",
            "options": {"lock_password": true},
            "options.lock_password": "dotted",
        });
        let thing = Thing(extra.as_object().unwrap().clone());
        for (key, found) in [
            ("target.thing.domain_id", Some("known")),
            ("target.thing.description", Some("None")),
            ("target.thing.owner", None),
            ("target.thing.enabled", Some("True")),
            ("target.thing.email", Some("a@example.org")),
            ("target.thing.options.lock_password", Some("True")),
            ("target.thing.options", None),
            ("target.other.email", None),
            ("domain_id", None),
        ] {
            assert_eq!(thing.find(key).as_deref(), found, "{key}");
        }
    }
}
