//! What a user may do on what a token is valid on, as it is now. Tokens of one user and one scope share
//! it, for as long as the facts that it was made of are the current ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use config::Resource;
use model::Token;
use model::assignment::EffectiveRoles;
use model::ids::RoleId;
use model::role::Role;
use model::subject::{ScopeTarget, Subject};
use serde_json::{Value, json};

use crate::delegation::Delegation;

/// What is looked up for a token.
pub(crate) struct Facts {
    /// Whose it is.
    pub subject: Arc<Subject>,
    /// What it is valid on.
    pub target: Option<Arc<ScopeTarget>>,
    /// What the user holds there.
    pub held: Arc<EffectiveRoles>,
    /// What it acts by, when that is not its user's own authority.
    pub delegation: Option<Delegation>,
}

/// The rights of a user, and how clients and policy rules see them.
#[derive(Debug)]
pub struct Rights {
    /// Whose they are.
    pub subject: Arc<Subject>,
    /// The project or domain that they are held on.
    pub target: Option<Arc<ScopeTarget>>,
    /// The roles, with those they imply.
    pub roles: Vec<Role>,
    /// The delegation that they are a part of.
    pub delegation: Option<Delegation>,
    /// Whether the project that they are held on is that of the cloud's administrators; `None` where
    /// no project is named as such, or they are held on something else.
    pub is_admin_project: Option<bool>,
    held: Arc<EffectiveRoles>,
    role_ids: Vec<RoleId>,
    credentials: [(&'static str, Value); 13],
    id: u64,
}

impl Rights {
    /// The rights of the user of a token on what the token is valid on.
    pub(crate) fn new(settings: &Resource, token: &Token, facts: Facts) -> Self {
        let delegation = facts.delegation.as_ref();
        let is_given =
            |role: &&Role| delegation.is_none_or(|delegation| delegation.includes(&role.id));
        let roles: Vec<Role> = facts.held.roles.iter().filter(is_given).cloned().collect();
        let is_admin_project = is_admin_project(settings, facts.target.as_deref());
        Self {
            role_ids: roles.iter().map(|role| role.id.clone()).collect(),
            credentials: credentials(token, &facts, &roles, is_admin_project),
            subject: facts.subject,
            target: facts.target,
            roles,
            delegation: facts.delegation,
            is_admin_project,
            held: facts.held,
            id: next_id(),
        }
    }

    /// Whether they were made of these facts, or of equal ones.
    pub(crate) fn are_of(&self, facts: &Facts) -> bool {
        is_same(&self.subject, &facts.subject)
            && is_same_option(self.target.as_ref(), facts.target.as_ref())
            && is_same(&self.held, &facts.held)
            && self.delegation == facts.delegation
    }

    /// The ids of the roles.
    pub(crate) fn role_ids(&self) -> &[RoleId] {
        &self.role_ids
    }

    /// What policy rules see under a name, but for the token's own document.
    pub(crate) fn credential(&self, name: &str) -> Option<&Value> {
        let mut credentials = self.credentials.iter();
        let (_, value) = credentials.find(|(known, _)| *known == name)?;
        Some(value)
    }

    /// No two rights of a process have the same.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Mostly the very same fact, which takes one comparison.
fn is_same<T: PartialEq>(one: &Arc<T>, other: &Arc<T>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

fn is_same_option<T: PartialEq>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => is_same(one, other),
        _ => false,
    }
}

fn credentials(
    token: &Token,
    facts: &Facts,
    roles: &[Role],
    is_admin_project: Option<bool>,
) -> [(&'static str, Value); 13] {
    let subject = &facts.subject;
    let project = token.project_id().and(facts.target.as_ref());
    let project_domain = project.and_then(|project| project.domain.as_ref());
    let names: Vec<_> = roles.iter().map(|role| role.name.as_str()).collect();
    // Every project counts while none is named, and so does what is no project, but for domains: their
    // administrators are not the cloud's.
    let is_admin_project = token.domain_id().is_none() && is_admin_project.unwrap_or(true);
    let system_scope = token.has_system_scope().then_some("all");
    [
        ("user_id", json!(subject.id)),
        ("user_domain_id", json!(subject.domain.id)),
        ("system_scope", json!(system_scope)),
        ("domain_id", json!(token.domain_id())),
        ("project_id", json!(project.map(|project| &project.id))),
        (
            "project_domain_id",
            json!(project_domain.map(|domain| &domain.id)),
        ),
        ("roles", json!(names)),
        ("is_admin_project", is_admin_project.into()),
        // No service vouches for a request here.
        ("service_user_id", Value::Null),
        ("service_user_domain_id", Value::Null),
        ("service_project_id", Value::Null),
        ("service_project_domain_id", Value::Null),
        ("service_roles", json!([])),
    ]
}

/// Whether a token on this target is one on the project of the cloud's administrators; `None` where
/// no project is named as such, or the target is a domain.
fn is_admin_project(settings: &Resource, target: Option<&ScopeTarget>) -> Option<bool> {
    let name = settings.admin_project_name.as_deref();
    let domain_name = settings.admin_project_domain_name.as_deref();
    let name = name.filter(|name| !name.is_empty())?;
    let domain_name = domain_name.filter(|name| !name.is_empty())?;
    let target = target?;
    let domain = target.domain.as_ref()?;
    Some(target.name == name && domain.name == domain_name)
}
