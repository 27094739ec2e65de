mod access_rules;
mod application_credentials;
mod auth;
mod groups;
mod os_federation;
mod os_revoke;
mod projects;
mod users;
