//! The parts of a request that a handler takes.

use model::ids;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::call::Incoming;
use crate::error::ApiError;

/// A part of a request.
pub trait Extract: Sized {
    /// Reads it; a request that lacks it is refused.
    ///
    /// # Errors
    ///
    /// [`ApiError::BadRequest`], saying what is wrong with the request.
    fn extract(request: &Incoming) -> Result<Self, ApiError>;
}

/// The variables of the path, in order.
pub struct Path<T>(pub T);

/// The type of one path variable: an id, or text.
pub trait Segment: From<String> {}

impl Segment for String {}

macro_rules! segments {
    ($($id:ident),*) => {$( impl Segment for ids::$id {} )*};
}

segments! {
    AccessRuleId, ApplicationCredentialId, CredentialId, DomainId, EndpointId, GroupId,
    IdentityProviderId, MappingId, ProjectId, ProtocolId, RegionId, RoleId, ServiceId,
    ServiceProviderId, TrustId, UserId
}

impl<A: Segment> Extract for Path<A> {
    fn extract(request: &Incoming) -> Result<Self, ApiError> {
        Ok(Self(segment(request, 0)))
    }
}

impl<A: Segment, B: Segment> Extract for Path<(A, B)> {
    fn extract(request: &Incoming) -> Result<Self, ApiError> {
        Ok(Self((segment(request, 0), segment(request, 1))))
    }
}

impl<A: Segment, B: Segment, C: Segment> Extract for Path<(A, B, C)> {
    fn extract(request: &Incoming) -> Result<Self, ApiError> {
        Ok(Self((
            segment(request, 0),
            segment(request, 1),
            segment(request, 2),
        )))
    }
}

fn segment<T: From<String>>(request: &Incoming, place: usize) -> T {
    let (_, value) = request
        .variables
        .get(place)
        .expect("a handler takes no more path variables than its operation declares");
    value.clone().into()
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
    fn extract(request: &Incoming) -> Result<Self, ApiError> {
        let body = request.json.as_ref();
        let nothing = Value::Object(Default::default());
        let value = body
            .and_then(|body| body.get(T::NAME))
            .or(T::OPTIONAL.then_some(&nothing))
            .ok_or_else(|| ApiError::BadRequest(format!("'{}' is a required property", T::NAME)))?;
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
            ApiError::BadRequest(format!("Invalid input for field '{}': {error}.", T::NAME))
        })?;
        Ok(Self(value))
    }
}

/// The whole JSON body; an absent one reads as `{}`.
pub struct Json(pub Value);

impl Extract for Json {
    fn extract(request: &Incoming) -> Result<Self, ApiError> {
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
