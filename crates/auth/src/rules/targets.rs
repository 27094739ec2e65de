//! What rules see of each kind of resource, and of each list.

use std::sync::Arc;

use model::Timestamp;
use model::application_credential::ApplicationCredential;
use model::credential::Credential;
use model::ids::{DomainId, UserId};
use model::project::{Domain, Project};
use model::role::Role;
use model::user::{Group, User};
use serde_json::json;

use super::target::{IfAny, Resource, target};
use crate::tokens::ValidToken;

impl Resource for User {
    const NAME: &'static str = "user";
}

target! {
    User as user: "target.user." {
        "id" => user.id.as_str(),
        "name" => user.name.as_str(),
        "enabled" => user.enabled,
        "domain_id" => user.domain_id.as_str(),
        "default_project_id" => IfAny(user.default_project_id.as_ref().map(|id| id.as_str())),
        "password_expires_at" => user.password_expires_at.map(|time| json!(python_time(time))),
        "options.ignore_change_password_upon_first_use" =>
            IfAny(user.options.ignore_change_password_upon_first_use),
        "options.ignore_password_expiry" => IfAny(user.options.ignore_password_expiry),
        "options.ignore_lockout_failure_attempts" =>
            IfAny(user.options.ignore_lockout_failure_attempts),
        "options.lock_password" => IfAny(user.options.lock_password),
        "options.ignore_user_inactivity" => IfAny(user.options.ignore_user_inactivity),
        "options.multi_factor_auth_rules" =>
            IfAny(user.options.multi_factor_auth_rules.as_ref().map(|rules| json!(rules))),
        "options.multi_factor_auth_enabled" => IfAny(user.options.multi_factor_auth_enabled),
    } else &user.extra
}

fn python_time(time: Timestamp) -> String {
    time.format("%Y-%m-%d %H:%M:%S%.f").to_string()
}

impl Resource for Group {
    const NAME: &'static str = "group";
}

target! {
    Group as group: "target.group." {
        "id" => group.id.as_str(),
        "name" => group.name.as_str(),
        "domain_id" => group.domain_id.as_str(),
        "description" => group.description.as_deref(),
    } else &group.extra
}

impl Resource for Credential {
    const NAME: &'static str = "credential";
}

target! {
    Credential as credential: "target.credential." {
        "id" => credential.id.as_str(),
        "project_id" => credential.project_id.as_ref().map(|id| id.as_str()),
        "user_id" => credential.user_id.as_str(),
        "type" => credential.kind.as_str(),
    } else &credential.extra
}

impl Resource for Project {
    const NAME: &'static str = "project";
}

target! {
    Project as project: "target.project." {
        "id" => project.id.as_str(),
        "name" => project.name.as_str(),
        "enabled" => project.enabled,
        "is_domain" => project.is_domain(),
        "domain_id" => project.domain_id.as_ref().map(|id| id.as_str()),
        "parent_id" => project.parent_id.as_ref().map(|id| id.as_str()),
        "description" => project.description.as_deref(),
        "tags" => json!(project.tags),
        "options.immutable" => IfAny(project.options.immutable),
    } else &project.extra
}

target! {
    Domain as domain: "target.domain." {
        "id" => domain.id.as_str(),
        "name" => domain.name.as_str(),
        "enabled" => domain.enabled,
        "description" => domain.description.as_deref(),
        "tags" => json!(domain.tags),
        "options.immutable" => IfAny(domain.options.immutable),
    } else &domain.extra
}

/// A role, or the same for another purpose.
macro_rules! role {
    ($type:ty as $this:ident: $prefix:literal, $role:expr) => {
        target! {
            $type as $this: $prefix {
                "id" => $role.id.as_str(),
                "name" => $role.name.as_str(),
                "domain_id" => $role.domain_id.as_ref().map(|id| id.as_str()),
                "description" => $role.description.as_deref(),
                "options.immutable" => IfAny($role.options.immutable),
            } else &$role.extra
        }
    };
}

impl Resource for Role {
    const NAME: &'static str = "role";
}

role! { Role as role: "target.role.", role }

/// A role that implies others.
pub struct PriorRole<'a>(pub &'a Role);

role! { PriorRole<'_> as prior: "target.prior_role.", prior.0 }

/// A role that another implies.
pub struct ImpliedRole<'a>(pub &'a Role);

role! { ImpliedRole<'_> as implied: "target.implied_role.", implied.0 }

// The owner counts, and not the user of the path: else everybody could name themselves there.
target! {
    ApplicationCredential as credential: "" {
        "user_id" => credential.user_id.as_str(),
        "target.user_id" => credential.user_id.as_str(),
    }
}

target! {
    Arc<ValidToken> as valid: "target.token." {
        "user_id" => valid.subject.id.as_str(),
        "user.domain.id" => valid.subject.domain.id.as_str(),
    }
}

/// A list that is confined to one domain, if the caller's token is one of a domain.
pub struct InDomain(pub Option<DomainId>);

target! {
    InDomain as list: "target." {
        "domain_id" => IfAny(list.0.as_ref().map(|id| id.as_str())),
    }
}

/// The same for groups.
pub struct GroupsInDomain(pub Option<DomainId>);

target! {
    GroupsInDomain as list: "target.group." {
        "domain_id" => IfAny(list.0.as_ref().map(|id| id.as_str())),
    }
}

/// The same for domains, of which it is the only one.
pub struct OnlyDomain(pub Option<DomainId>);

target! {
    OnlyDomain as list: "target.domain." {
        "id" => IfAny(list.0.as_ref().map(|id| id.as_str())),
    }
}

/// The credentials of one user, if the list is anybody's own.
pub struct CredentialsOf(pub Option<UserId>);

target! {
    CredentialsOf as list: "target.credential." {
        "user_id" => IfAny(list.0.as_ref().map(|id| id.as_str())),
    }
}
