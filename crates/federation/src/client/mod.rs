//! What the drivers of OAuth and OpenID Connect have in common as clients of a provider.

pub(crate) mod authorization;
pub(crate) mod cached;
pub(crate) mod document;
pub(crate) mod introspection;
pub(crate) mod requested;
