//! Each driver against a provider that really listens.

mod oidc;
