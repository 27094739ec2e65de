//! `/v3/auth`: logins, tokens, and what a token can be exchanged for.

pub mod tokens;

use crate::operation::Routes;

/// All operations below `/v3/auth`.
pub fn routes() -> Routes {
    tokens::routes()
}
