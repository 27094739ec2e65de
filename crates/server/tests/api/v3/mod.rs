mod access_rules;
mod application_credentials;
mod os_revoke;
mod projects;
