//! The Identity API, version 3: one file for each resource, named like its URL.

pub mod access_rules;
pub mod application_credentials;
pub mod auth;
pub mod credentials;
pub mod discovery;
pub mod domains;
pub mod endpoints;
pub mod grants;
pub mod groups;
pub mod implied_roles;
pub mod os_federation;
pub mod os_revoke;
pub mod os_simple_cert;
pub(crate) mod project_hierarchy;
pub mod project_tags;
pub mod projects;
pub mod regions;
pub(crate) mod resource_options;
pub mod role_assignments;
pub mod roles;
pub mod services;
mod times;
mod user_filters;
pub mod user_groups;
pub(crate) mod user_identities;
pub mod user_passwords;
pub mod user_projects;
pub mod users;

use ::auth::call::routes::Routes;

/// All operations of the API.
pub fn routes() -> Routes {
    Routes::new()
        .and(access_rules::routes())
        .and(application_credentials::routes())
        .and(auth::routes())
        .and(credentials::routes())
        .and(discovery::routes())
        .and(domains::routes())
        .and(endpoints::routes())
        .and(grants::routes())
        .and(groups::routes())
        .and(implied_roles::routes())
        .and(os_federation::routes())
        .and(os_revoke::routes())
        .and(os_simple_cert::routes())
        .and(project_tags::routes())
        .and(projects::routes())
        .and(regions::routes())
        .and(role_assignments::routes())
        .and(roles::routes())
        .and(services::routes())
        .and(user_groups::routes())
        .and(user_passwords::routes())
        .and(user_projects::routes())
        .and(users::routes())
}
