//! Each driver against a provider that really listens.

mod listener;
mod oauth1;
mod oauth2;
mod oidc;
