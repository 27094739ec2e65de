//! Logins, tokens and scopes over HTTP.

mod access_rules;
mod admin_project;
mod catalog;
mod external;
mod inactivity;
mod kinds_of_token;
mod os_federation;
mod receipts;
mod scopes;
mod tokens;
