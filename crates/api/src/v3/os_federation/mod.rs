//! `/v3/OS-FEDERATION`: who is trusted to speak of users, and what follows from what they say.

pub mod auth;
pub mod identity_providers;
pub mod mappings;
pub mod protocol_check;
pub mod protocols;
pub mod saml2;
pub mod service_providers;

use policy::{Rule, ScopeType};

use ::auth::call::routes::Routes;
use ::auth::error::ApiError;

/// All operations below `/v3/OS-FEDERATION`.
pub fn routes() -> Routes {
    Routes::new()
        .and(auth::routes())
        .and(identity_providers::routes())
        .and(mappings::routes())
        .and(protocols::routes())
        .and(protocol_check::routes())
        .and(saml2::routes())
        .and(service_providers::routes())
}

const SCOPES: &[ScopeType] = &[ScopeType::System, ScopeType::Project];
const ADMIN: &str = "rule:admin_required";

/// Who may see what is set up here.
const fn read_rule(name: &'static str) -> Rule {
    Rule::new(
        name,
        "rule:admin_required or (role:reader and system_scope:all)",
    )
    .scopes(SCOPES)
    .deprecated(ADMIN)
}

/// Who may set it up.
const fn manage_rule(name: &'static str) -> Rule {
    new_rule(name).deprecated(ADMIN)
}

/// The same for what Keystone does not have, so that it never was otherwise.
const fn new_rule(name: &'static str) -> Rule {
    Rule::new(name, ADMIN).scopes(SCOPES)
}

/// Refuses an id that its column cannot hold: clients choose them here.
fn check_id(id: &str) -> Result<(), ApiError> {
    ApiError::check_length(id, "id", 64)
}
