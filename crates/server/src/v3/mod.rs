//! The Identity API, version 3: one file for each resource, named like its URL.

pub mod auth;
pub mod projects;

use crate::operation::Routes;

/// All operations of the API.
pub fn routes() -> Routes {
    Routes::new().and(auth::routes()).and(projects::routes())
}
