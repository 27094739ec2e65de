//! Logins, tokens and scopes over HTTP.

mod catalog;
mod external;
mod os_federation;
mod scopes;
mod tokens;
