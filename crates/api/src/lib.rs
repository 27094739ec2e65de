//! The Identity API over HTTP: `/v3`, OAuth 2.0, and the pages that people see.

pub mod app;
pub mod derived;
mod keystone_cache;
pub mod oauth2;
pub mod pages;
mod service;

pub mod saml_idp;
pub mod serve;
pub mod v3;

use auth::call::routes::Routes;

/// All operations of the server.
pub fn routes() -> Routes {
    Routes::new().and(v3::routes()).and(oauth2::routes())
}
