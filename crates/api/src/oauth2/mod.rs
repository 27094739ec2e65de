//! Us as OAuth 2.0 authorization server: what we issue. (Us as a client of others is federation.)

mod client_secret;
pub mod error;
pub mod token;

use auth::call::routes::Routes;

/// Whether a path is below that of the authorization server: errors have a form of their own there,
/// and bodies are forms.
pub(crate) fn is_below(path: &str) -> bool {
    path.starts_with("/v3/OS-OAUTH2/")
}

/// All operations of the authorization server.
pub fn routes() -> Routes {
    token::routes()
}
