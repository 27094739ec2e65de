//! Acts that several routes, or the command line, share.

pub(crate) mod authenticate;
pub mod bootstrap;
pub mod certificate_login;
pub mod checks;
pub mod delete_domain;
pub mod federated_login;
pub mod issue_token;
pub mod migrate_credentials;
pub(crate) mod multi_factor;
pub mod new_password;
pub mod revoke;
mod shadow_user;
