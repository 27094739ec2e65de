//! `/v3/auth/OS-FEDERATION`: logging in with an identity provider, from the choice of one to the
//! token.

pub mod callback;
pub mod ecp;
pub mod identity_providers;
pub mod logout;
pub mod saml2;
pub mod websso;

use auth::call::routes::Routes;

/// All operations below `/v3/auth/OS-FEDERATION`.
pub fn routes() -> Routes {
    Routes::new()
        .and(callback::routes())
        .and(ecp::routes())
        .and(identity_providers::routes())
        .and(logout::routes())
        .and(saml2::routes())
        .and(websso::routes())
}
