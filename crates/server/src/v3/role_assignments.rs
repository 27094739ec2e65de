//! Role assignments: who holds which role where, as given or in effect.

use std::collections::HashMap;

use model::assignment::{Actor, Assignment, AssignmentTarget};
use model::ids::{GroupId, ProjectId, RoleId};
use policy::{Rule, ScopeType};
use serde_json::{Map, Value, json};
use store::{Memberships, NamedRow};

use crate::call::{Call, Collection, Target};
use crate::error::ApiError;
use crate::operation::{Operation, Routes};
use crate::reply::Reply;

/// The operations on role assignments.
pub fn routes() -> Routes {
    Routes::new().on(&LIST, list)
}

static LIST: Operation = Operation::get("/v3/role_assignments", "List role assignments")
    .rules(&[LIST_ASSIGNMENTS, LIST_FOR_TREE])
    .query("assignment.role_assignments_index_request_query");

const SCOPES: &[ScopeType] = &[ScopeType::System, ScopeType::Domain, ScopeType::Project];
const READ: &str = "(rule:admin_required) or (role:reader and system_scope:all) or \
     (role:reader and domain_id:%(target.domain_id)s and not None:%(target.domain_id)s)";
const LIST_ASSIGNMENTS: Rule = Rule::new("identity:list_role_assignments", READ)
    .scopes(SCOPES)
    .deprecated("rule:admin_required");
const LIST_FOR_TREE: Rule = Rule::new("identity:list_role_assignments_for_tree", READ)
    .scopes(SCOPES)
    .deprecated("rule:admin_required");

async fn list(call: Call) -> Result<Reply<Collection<Value>>, ApiError> {
    let scope = call.caller.domain_scope();
    let for_tree = call.request.query.flag("include_subtree") == Some(true);
    let rule = if for_tree {
        LIST_FOR_TREE
    } else {
        LIST_ASSIGNMENTS
    };
    let target = Target::none().with_some("target.domain_id", scope.clone().map(String::from));
    let permit = call.authorize(rule, target)?;
    let filter = Filter::parse(&call, for_tree)?;

    let mut found: Vec<Held> = call
        .store
        .assignments()
        .list()
        .await?
        .into_iter()
        .map(Held::as_given)
        .collect();
    let memberships = call.store.assignments().memberships().await?;
    if filter.effective {
        let implications = call.store.roles().list_implications().await?;
        found = expand(found, &memberships, &implications);
    }
    let names = call.store.assignments().names().await?;
    let names: HashMap<&str, &NamedRow> = names.iter().map(|row| (row.id.as_str(), row)).collect();
    if filter.effective {
        // Roles of one domain are in no token, only what they imply.
        found.retain(|held| {
            names
                .get(held.role_id.as_str())
                .is_none_or(|role| role.domain.is_none())
        });
    }
    if let Some(domain) = &scope {
        found.retain(|held| match &held.target {
            AssignmentTarget::Domain(id) => id == domain,
            AssignmentTarget::Project(id) => names.get(id.as_str()).is_some_and(|row| {
                row.domain
                    .as_ref()
                    .is_some_and(|(id, _)| domain == id.as_str())
            }),
            AssignmentTarget::System => false,
        });
    }
    found.retain(|held| filter.accepts(held, &memberships));
    let named = call.request.query.flag("include_names") == Some(true);
    let documents = found
        .iter()
        .map(|held| held.document(&call, named.then_some(&names)));
    let documents = documents.collect();
    Ok(permit.ok(call.collection("role_assignments", documents)))
}

/// What the query asks for.
struct Filter {
    user: Option<String>,
    group: Option<String>,
    role: Option<String>,
    project: Option<ProjectId>,
    domain: Option<String>,
    system: bool,
    inherited: Option<bool>,
    effective: bool,
    for_tree: bool,
}

impl Filter {
    fn parse(call: &Call, for_tree: bool) -> Result<Self, ApiError> {
        let query = &call.request.query;
        let text = |name: &str| query.get(name).map(str::to_owned);
        let filter = Self {
            user: text("user.id"),
            group: text("group.id"),
            role: text("role.id"),
            project: query.id("scope.project.id"),
            domain: text("scope.domain.id"),
            system: query.get("scope.system").is_some(),
            inherited: query
                .get("scope.OS-INHERIT:inherited_to")
                .map(|to| to == "projects"),
            effective: query.flag("effective") == Some(true),
            for_tree,
        };
        let refuse = |words: &str| Err(ApiError::BadRequest(words.to_owned()));
        if filter.domain.is_some() && filter.project.is_some() {
            return refuse("Specify a domain or project, not both");
        }
        if filter.system && filter.project.is_some() {
            return refuse("Specify system or project, not both");
        }
        if filter.system && filter.domain.is_some() {
            return refuse("Specify system or domain, not both");
        }
        if filter.effective && filter.group.is_some() {
            return refuse(
                "Combining effective and group filter will always result in an empty list.",
            );
        }
        Ok(filter)
    }

    fn accepts(&self, held: &Held, memberships: &Memberships) -> bool {
        let actor = match &held.actor {
            Actor::User(id) => {
                self.group.is_none() && self.user.as_deref().is_none_or(|user| id.as_str() == user)
            }
            Actor::Group(id) => {
                self.user.is_none()
                    && self
                        .group
                        .as_deref()
                        .is_none_or(|group| id.as_str() == group)
            }
        };
        let target = match &held.target {
            AssignmentTarget::System => {
                !self.effective && self.project.is_none() && self.domain.is_none()
            }
            AssignmentTarget::Domain(id) => {
                !self.system
                    && self.project.is_none()
                    && self
                        .domain
                        .as_deref()
                        .is_none_or(|domain| id.as_str() == domain)
            }
            AssignmentTarget::Project(id) => {
                !self.system
                    && self.domain.is_none()
                    && self.project.as_ref().is_none_or(|wanted| {
                        id == wanted || (self.for_tree && is_below(id, wanted, memberships))
                    })
            }
        };
        actor
            && target
            && self
                .role
                .as_deref()
                .is_none_or(|role| held.role_id.as_str() == role)
            && self
                .inherited
                .is_none_or(|inherited| held.inherited == inherited)
    }
}

/// A role that somebody holds somewhere, and the assignment that it comes from.
#[derive(Clone, PartialEq)]
struct Held {
    source: Assignment,
    actor: Actor,
    target: AssignmentTarget,
    role_id: RoleId,
    inherited: bool,
    /// The group through which a user holds it.
    through: Option<GroupId>,
    /// The role that implies it.
    prior: Option<RoleId>,
}

impl Held {
    fn as_given(source: Assignment) -> Self {
        Self {
            actor: source.actor.clone(),
            target: source.target.clone(),
            role_id: source.role_id.clone(),
            inherited: source.inherited,
            through: None,
            prior: None,
            source,
        }
    }

    fn document(&self, call: &Call, names: Option<&HashMap<&str, &NamedRow>>) -> Value {
        let base = call.links.base_url();
        let mut links = Map::new();
        links.insert(
            "assignment".into(),
            format!("{base}/v3{}", path(&self.source)).into(),
        );
        if let (Some(group), Actor::User(user)) = (&self.through, &self.actor) {
            links.insert(
                "membership".into(),
                format!("{base}/v3/groups/{group}/users/{user}").into(),
            );
        }
        if let Some(prior) = &self.prior {
            let path = format!("{base}/v3/prior_role/{prior}/implies/{}", self.role_id);
            links.insert("prior_role".into(), path.into());
        }
        let mut scope = match &self.target {
            AssignmentTarget::Project(id) => json!({"project": named(id.as_str(), names)}),
            AssignmentTarget::Domain(id) => json!({"domain": named(id.as_str(), names)}),
            AssignmentTarget::System => json!({"system": {"all": true}}),
        };
        if self.inherited {
            scope["OS-INHERIT:inherited_to"] = "projects".into();
        }
        let actor = match &self.actor {
            Actor::User(_) => "user",
            Actor::Group(_) => "group",
        };
        json!({
            "links": links,
            "scope": scope,
            actor: named(self.actor.id(), names),
            "role": named(self.role_id.as_str(), names),
        })
    }
}

/// `{"id"}`, and the name and domain when they are asked for.
fn named(id: &str, names: Option<&HashMap<&str, &NamedRow>>) -> Value {
    let mut out = json!({ "id": id });
    if let Some(row) = names.and_then(|names| names.get(id)) {
        out["name"] = row.name.as_str().into();
        if let Some((id, name)) = &row.domain {
            out["domain"] = json!({"id": id, "name": name});
        }
    }
    out
}

/// Where the assignment can be revoked.
fn path(assignment: &Assignment) -> String {
    let actor = match &assignment.actor {
        Actor::User(id) => format!("users/{id}"),
        Actor::Group(id) => format!("groups/{id}"),
    };
    let target = match &assignment.target {
        AssignmentTarget::Project(id) => format!("projects/{id}"),
        AssignmentTarget::Domain(id) => format!("domains/{id}"),
        AssignmentTarget::System => "system".to_owned(),
    };
    let role = &assignment.role_id;
    if assignment.inherited {
        format!("/OS-INHERIT/{target}/{actor}/roles/{role}/inherited_to_projects")
    } else {
        format!("/{target}/{actor}/roles/{role}")
    }
}

/// Replaces groups by their members, what is inherited by what inherits, and adds what is implied.
fn expand(
    given: Vec<Held>,
    memberships: &Memberships,
    implications: &[(RoleId, RoleId)],
) -> Vec<Held> {
    let mut found: Vec<Held> = Vec::new();
    for held in given {
        for held in by_member(held, memberships) {
            for held in by_target(held, memberships) {
                add_with_implied(&mut found, held, implications);
            }
        }
    }
    found
}

fn by_member(held: Held, memberships: &Memberships) -> Vec<Held> {
    let Actor::Group(group) = held.actor.clone() else {
        return vec![held];
    };
    let members = memberships.members.iter().filter(|(id, _)| *id == group);
    members
        .map(|(_, user)| Held {
            actor: Actor::User(user.clone()),
            through: Some(group.clone()),
            ..held.clone()
        })
        .collect()
}

fn by_target(held: Held, memberships: &Memberships) -> Vec<Held> {
    if !held.inherited {
        return vec![held];
    }
    let inherits = |project: &ProjectId, owner: &str| match &held.target {
        AssignmentTarget::Domain(domain) => domain.as_str() == owner,
        AssignmentTarget::Project(above) => is_below(project, above, memberships),
        AssignmentTarget::System => false,
    };
    memberships
        .projects
        .iter()
        .filter(|(project, owner, _)| inherits(project, owner.as_str()))
        .map(|(project, ..)| Held {
            target: AssignmentTarget::Project(project.clone()),
            ..held.clone()
        })
        .collect()
}

fn add_with_implied(found: &mut Vec<Held>, held: Held, implications: &[(RoleId, RoleId)]) {
    if found.contains(&held) {
        return;
    }
    let role_id = held.role_id.clone();
    found.push(held.clone());
    for (_, implied) in implications.iter().filter(|(prior, _)| *prior == role_id) {
        let implied = Held {
            role_id: implied.clone(),
            prior: Some(role_id.clone()),
            ..held.clone()
        };
        add_with_implied(found, implied, implications);
    }
}

fn is_below(project: &ProjectId, above: &ProjectId, memberships: &Memberships) -> bool {
    let mut current = project;
    // A tree has no more levels than it has projects.
    for _ in 0..memberships.projects.len() {
        let Some((_, _, parent)) = memberships.projects.iter().find(|(id, ..)| id == current)
        else {
            return false;
        };
        if parent == above {
            return true;
        }
        current = parent;
    }
    false
}
