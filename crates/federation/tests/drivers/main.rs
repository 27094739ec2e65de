//! The drivers, against providers that the tests run.

mod saml2;
mod saml2_attacks;
mod saml2_idp;
mod saml2_vectors;
