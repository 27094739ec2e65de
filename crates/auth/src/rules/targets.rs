//! What rules see of each kind of resource.

use model::Timestamp;
use model::application_credential::ApplicationCredential;
use model::credential::Credential;
use model::project::{Domain, Project};
use model::role::Role;
use model::user::{Group, User};

use super::Target;

impl From<&User> for Target {
    fn from(user: &User) -> Self {
        let default_project_id = user.default_project_id.as_ref().map(|id| id.as_str());
        // As Python prints it.
        let form = |time: Timestamp| time.format("%Y-%m-%d %H:%M:%S%.f").to_string();
        Self::existing("user", &user.extra)
            .with("target.user.id", user.id.as_str())
            .with("target.user.name", user.name.as_str())
            .with("target.user.enabled", user.enabled)
            .with("target.user.domain_id", user.domain_id.as_str())
            .with_some("target.user.default_project_id", default_project_id)
            .with(
                "target.user.password_expires_at",
                user.password_expires_at.map(form),
            )
            .and_options("target.user.options", &user.options)
    }
}

impl From<&Credential> for Target {
    fn from(credential: &Credential) -> Self {
        let project_id = credential.project_id.as_ref().map(|id| id.as_str());
        Self::existing("credential", &credential.extra)
            .with("target.credential.id", credential.id.as_str())
            .with("target.credential.project_id", project_id)
            .with("target.credential.user_id", credential.user_id.as_str())
            .with("target.credential.type", credential.kind.as_str())
    }
}

impl From<&Group> for Target {
    fn from(group: &Group) -> Self {
        Self::existing("group", &group.extra)
            .with("target.group.id", group.id.as_str())
            .with("target.group.name", group.name.as_str())
            .with("target.group.domain_id", group.domain_id.as_str())
            .with("target.group.description", group.description.as_deref())
    }
}

impl From<&Project> for Target {
    fn from(project: &Project) -> Self {
        let domain_id = project.domain_id.as_ref().map(|id| id.as_str());
        let parent_id = project.parent_id.as_ref().map(|id| id.as_str());
        Self::existing("project", &project.extra)
            .with("target.project.id", project.id.as_str())
            .with("target.project.name", project.name.as_str())
            .with("target.project.enabled", project.enabled)
            .with("target.project.is_domain", project.is_domain())
            .with("target.project.domain_id", domain_id)
            .with("target.project.parent_id", parent_id)
            .with("target.project.description", project.description.as_deref())
            .with("target.project.tags", project.tags.clone())
            .and_options("target.project.options", &project.options)
    }
}

/// The owner counts, and not the user of the path: else everybody could name themselves there.
impl From<&ApplicationCredential> for Target {
    fn from(credential: &ApplicationCredential) -> Self {
        Self::none()
            .with("user_id", credential.user_id.as_str())
            .with("target.user_id", credential.user_id.as_str())
    }
}

impl From<&Role> for Target {
    fn from(role: &Role) -> Self {
        role_target("role", role)
    }
}

/// What rules see of a role that is there for this purpose.
pub fn role_target(name: &str, role: &Role) -> Target {
    let fact = |attribute: &str| format!("target.{name}.{attribute}");
    let domain_id = role.domain_id.as_ref().map(|id| id.as_str());
    Target::existing(name, &role.extra)
        .with(&fact("id"), role.id.as_str())
        .with(&fact("name"), role.name.as_str())
        .with(&fact("domain_id"), domain_id)
        .with(&fact("description"), role.description.as_deref())
        .and_options(&fact("options"), &role.options)
}

impl From<&Domain> for Target {
    fn from(domain: &Domain) -> Self {
        Self::existing("domain", &domain.extra)
            .with("target.domain.id", domain.id.as_str())
            .with("target.domain.name", domain.name.as_str())
            .with("target.domain.enabled", domain.enabled)
            .with("target.domain.description", domain.description.as_deref())
            .with("target.domain.tags", domain.tags.clone())
            .and_options("target.domain.options", &domain.options)
    }
}
