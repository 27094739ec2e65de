//! `/v3/OS-FEDERATION`: who is trusted to speak of users, and what follows from what they say.

pub mod auth;
pub mod identity_providers;
pub mod mappings;
pub mod protocols;
pub mod saml2;
pub mod service_providers;

use crate::error::ApiError;
use crate::operation::Routes;

/// All operations below `/v3/OS-FEDERATION`.
pub fn routes() -> Routes {
    Routes::new()
        .and(auth::routes())
        .and(identity_providers::routes())
        .and(mappings::routes())
        .and(protocols::routes())
        .and(saml2::routes())
        .and(service_providers::routes())
}

/// Refuses an id that its column cannot hold: clients choose them here.
fn check_id(id: &str) -> Result<(), ApiError> {
    const LIMIT: usize = 64;
    if id.chars().count() > LIMIT {
        return Err(ApiError::too_long(id, "id", LIMIT));
    }
    Ok(())
}
