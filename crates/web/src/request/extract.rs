//! The parts of a request that a handler takes.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{BadRequest, Request};

/// A part of a request.
pub trait Extract: Sized {
    /// Reads it; a request that lacks it is refused.
    ///
    /// # Errors
    ///
    /// [`BadRequest`], saying what is wrong with the request.
    fn extract(request: &Request) -> Result<Self, BadRequest>;

    /// The variables of the path that it takes, in their order: how each may be called.
    const VARIABLES: &'static [&'static [&'static str]] = &[];
}

/// The JSON body under its singular name: `{"project": {...}}` gives the inner object as `T`.
///
/// The operation's schema has judged it before; what still does not fit the type (such as
/// `"enabled": "yes"`, which Keystone's schema lets pass and its database refuses) is a 400.
pub struct Body<T>(pub T);

/// A type that stands in a body under a name.
pub trait Named {
    /// The name.
    const NAME: &'static str;

    /// Whether `:` and `-` in the names of its attributes read as `_`, as they do in most of
    /// Keystone's bodies of new resources.
    const UNDERSCORES: bool = false;

    /// Whether a body without it reads as one that says nothing about it.
    const OPTIONAL: bool = false;
}

impl<T: Named + DeserializeOwned> Extract for Body<T> {
    fn extract(request: &Request) -> Result<Self, BadRequest> {
        let body = request.json.as_ref();
        let nothing = Value::Object(Default::default());
        let value = body
            .and_then(|body| body.get(T::NAME))
            .or(T::OPTIONAL.then_some(&nothing))
            .ok_or_else(|| BadRequest(format!("'{}' is a required property", T::NAME)))?;
        let parsed = match value {
            Value::Object(attributes) if T::UNDERSCORES => {
                let mut named = attributes.clone();
                for (key, value) in attributes
                    .iter()
                    .filter(|(key, _)| key.contains([':', '-']))
                {
                    let name = key.replace([':', '-'], "_");
                    named.remove(key);
                    // The policy has seen the one with the right name, and so that one counts.
                    named.entry(name).or_insert_with(|| value.clone());
                }
                T::deserialize(Value::Object(named))
            }
            value => T::deserialize(value),
        };
        let value = parsed.map_err(|error| {
            BadRequest(format!("Invalid input for field '{}': {error}.", T::NAME))
        })?;
        Ok(Self(value))
    }
}

/// The whole JSON body; an absent one reads as `{}`.
pub struct Json(pub Value);

impl Extract for Json {
    fn extract(request: &Request) -> Result<Self, BadRequest> {
        Ok(Self(
            request
                .json
                .clone()
                .unwrap_or_else(|| Value::Object(Default::default())),
        ))
    }
}

/// Reads an attribute that may be absent (`None`), null (`Some(None)`) or set.
///
/// # Errors
///
/// What the attribute's own type says.
pub fn nullable<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}
