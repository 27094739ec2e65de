//! The ways in which users prove who they are, a file for each.

pub mod application_credential;
pub(crate) mod external;
pub mod hashes;
pub mod login_request;
pub mod password;
pub mod source;
pub(crate) mod token;
pub(crate) mod users;
