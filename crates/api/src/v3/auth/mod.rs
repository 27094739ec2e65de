//! `/v3/auth`: logins, tokens, and what a token can be exchanged for.

pub mod catalog;
pub mod domains;
pub mod os_federation;
pub mod projects;
pub mod system;
pub mod tokens;

use auth::call::routes::Routes;

/// All operations below `/v3/auth`.
pub fn routes() -> Routes {
    Routes::new()
        .and(catalog::routes())
        .and(domains::routes())
        .and(os_federation::routes())
        .and(projects::routes())
        .and(system::routes())
        .and(tokens::routes())
}
