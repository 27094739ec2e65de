//! Application credentials: a part of a user's authority on one project, for a program.

use std::sync::Arc;

use crate::Timestamp;
use crate::ids::{AccessRuleId, ApplicationCredentialId, ProjectId, RoleId, UserId};
use crate::listing::TextMatch;
use crate::path_pattern;

/// A part of a user's authority on one project, obtained with a secret.
#[derive(Clone, Debug, PartialEq)]
pub struct ApplicationCredential {
    /// Its id; as an OAuth 2.0 client this is the client's id.
    pub id: ApplicationCredentialId,
    /// Unique for its user.
    pub name: String,
    /// What people wrote about it.
    pub description: Option<String>,
    /// Whose authority it carries.
    pub user_id: UserId,
    /// Where.
    pub project_id: Option<ProjectId>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Whether it may create and delete its own kind. `None` when the creator did not say.
    pub unrestricted: Option<bool>,
    /// The roles that it was given.
    pub role_ids: Vec<RoleId>,
    /// The only requests that it may make; empty when it may make all.
    pub access_rules: Vec<AccessRule>,
}

/// An application credential with what only logins look at.
#[derive(Clone, Debug)]
pub struct StoredCredential {
    /// The credential.
    pub credential: Arc<ApplicationCredential>,
    /// Its secret, hashed.
    pub secret_hash: String,
}

impl ApplicationCredential {
    /// Whether it has ended.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| now >= end)
    }

    /// Whether its access rules let it make a request to a service of this type.
    pub fn permits(&self, service: &str, method: &str, path: &str) -> bool {
        self.access_rules.is_empty()
            || self
                .access_rules
                .iter()
                .any(|rule| rule.permits(service, method, path))
    }
}

/// One kind of request that an application credential may make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// Its id.
    pub id: AccessRuleId,
    /// The type of the service, as the catalog has it.
    pub service: String,
    /// The path, in which `*`, `**` and `{name}` stand for parts.
    pub path: String,
    /// The HTTP method.
    pub method: String,
}

impl AccessRule {
    /// Whether it lets a request to a service of this type be made. HEAD is a method of its own.
    pub fn permits(&self, service: &str, method: &str, path: &str) -> bool {
        self.service == service && self.method == method && path_pattern::matches(&self.path, path)
    }
}

/// Which access rules to list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccessRuleFilter {
    /// Only those for this type of service.
    pub service: Option<TextMatch>,
    /// Only those with this path.
    pub path: Option<TextMatch>,
    /// Only those with this HTTP method.
    pub method: Option<TextMatch>,
}
