//! Logins, tokens and scopes over HTTP.

mod catalog;
mod scopes;
mod tokens;
