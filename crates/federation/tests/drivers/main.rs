//! Each driver against a provider that really listens.

mod listener;
mod oauth1;
mod oauth2;
mod oidc;
mod saml2;
mod saml2_attacks;
mod saml2_documents;
mod saml2_idp;
mod saml2_issuer;
mod saml2_vectors;
