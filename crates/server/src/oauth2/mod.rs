//! Us as OAuth 2.0 authorization server: what we issue. (Us as a client of others is federation.)

mod client_secret;
pub mod error;
pub mod token;

use crate::operation::Routes;

/// What the paths of the authorization server begin with: errors have a form of their own there.
pub(crate) const PREFIX: &str = "/v3/OS-OAUTH2/";

/// All operations of the authorization server.
pub fn routes() -> Routes {
    token::routes()
}
