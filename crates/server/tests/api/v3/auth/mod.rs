//! Logins, tokens and scopes over HTTP.

mod scopes;
