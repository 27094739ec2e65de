//! Us as OAuth 2.0 authorization server: what we issue. (Us as a client of others is federation.)

mod client_secret;
pub mod error;
pub mod token;

use auth::call::routes::Routes;

/// All operations of the authorization server.
pub fn routes() -> Routes {
    token::routes()
}
