//! Logins, tokens and scopes over HTTP.

mod catalog;
mod os_federation;
mod scopes;
mod tokens;
