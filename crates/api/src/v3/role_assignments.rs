//! Role assignments: who holds which role where, as given or in effect.

use std::borrow::Cow;
use std::collections::BTreeSet;

use auth::call::Call;
use auth::call::reply::{Permit, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::rules::targets::InDomain;
use auth::rules::{Target, keys_of};
use model::assignment::{Actor, AssignmentFilter, AssignmentTarget, Held, RoleGraph, in_effect};
use model::ids::{DomainId, RoleId};
use model::project::Project;
use policy::{Keys, Rule, ScopeType};
use serde::Serialize;
use serde_json::{Value, json};
use store::{HeldRoles, Mentioned, Name};
use web::operation::Operation;
use web::reply::Links;
use web::request::Query;

/// The operations on role assignments.
pub fn routes() -> Routes {
    Routes::new().on(&LIST, list)
}

static LIST: Operation = Operation::get("/v3/role_assignments", "List role assignments")
    .rules(&[LIST_ASSIGNMENTS, LIST_FOR_TREE])
    .query("assignment.role_assignments_index_request_query")
    .filters(&[
        "group.id",
        "role.id",
        "scope.domain.id",
        "scope.project.id",
        "scope.OS-INHERIT:inherited_to",
        "user.id",
        "scope.system",
    ]);

const SCOPES: &[ScopeType] = &[ScopeType::System, ScopeType::Domain, ScopeType::Project];
const READ: &str = "(rule:admin_required) or (role:reader and system_scope:all) or \
     (role:reader and domain_id:%(target.domain_id)s and not None:%(target.domain_id)s)";
const LIST_ASSIGNMENTS: Rule = Rule::new("identity:list_role_assignments", READ)
    .scopes(SCOPES)
    .deprecated("rule:admin_required")
    .about(keys_of::<InDomain>());
const LIST_FOR_TREE: Rule = Rule::new("identity:list_role_assignments_for_tree", READ)
    .scopes(SCOPES)
    .deprecated("rule:admin_required")
    .about(keys_of::<Tree<'_>>());

async fn list(call: Call) -> Result<Reply<()>, ApiError> {
    call.require_token()?;
    let asked = Asked::read(&call.request.query);
    let root = asked.root(&call).await?;
    let mentioned = asked.look_up(&call, root.as_ref()).await?;
    let permit = asked.authorize(&call, root.as_ref())?;
    asked.validate_filters()?;
    asked.require(&mentioned)?;
    let mut filter = asked.filter;
    if !filter.subtree {
        filter.within = call.caller().domain_scope();
    }
    let mut assignments = call.store.assignments();
    let mut list = if asked.effective {
        assignments
            .list_expanded(&filter, asked.names, call.now())
            .await?
    } else {
        assignments.list_given(&filter, asked.names).await?
    };
    let mut roles = RoleGraph::new();
    if asked.effective || asked.names {
        let ids: BTreeSet<&RoleId> = list.held.iter().map(|held| &held.role_id).collect();
        let ids: Vec<RoleId> = ids.into_iter().cloned().collect();
        roles = assignments.role_graph(&ids).await?;
    }
    let held = std::mem::take(&mut list.held);
    let links = call.links.clone();
    let document = move |held: Held, roles: &RoleGraph| {
        let names = asked.names.then_some((&list, roles));
        AssignmentDocument::new(&held, names, &links)
    };
    // A document takes many times the memory of what it is made of.
    let documents = by_holder(held).flat_map(move |held| {
        let held = match asked.effective {
            true => in_effect(held, &roles, filter.role_id.as_ref()),
            false => held,
        };
        let documents = held.into_iter().map(|held| document(held, &roles));
        documents.collect::<Vec<_>>()
    });
    Ok(permit.long_list(call.long_list("role_assignments", documents)))
}

fn holder(held: &Held) -> (&str, &str) {
    (held.target.id(), held.actor.id())
}

/// Parts a list, which is sorted so, by who holds roles and on what.
fn by_holder(held: Vec<Held>) -> impl Iterator<Item = Vec<Held>> {
    let mut held = held.into_iter().peekable();
    std::iter::from_fn(move || {
        let mut part = vec![held.next()?];
        while let Some(next) = held.next_if(|next| holder(next) == holder(&part[0])) {
            part.push(next);
        }
        Some(part)
    })
}

/// What the query asks for.
struct Asked {
    filter: AssignmentFilter,
    effective: bool,
    names: bool,
    /// Parameters that exclude each other, as far as they say something.
    user: bool,
    group: bool,
    project: bool,
    domain: bool,
    system: bool,
}

impl Asked {
    fn read(query: &Query) -> Self {
        // An empty parameter is as none.
        let text = |name: &str| query.get(name).filter(|text| !text.is_empty());
        let (user, group) = (text("user.id"), text("group.id"));
        let (project, domain) = (text("scope.project.id"), text("scope.domain.id"));
        let system = text("scope.system");
        let effective = query.switch("effective");
        let actor = match (user, group) {
            (Some(id), _) => Some(Actor::User(id.into())),
            (None, Some(id)) => Some(Actor::Group(id.into())),
            (None, None) => None,
        };
        let target = match (project, domain) {
            (Some(id), _) => Some(AssignmentTarget::Project(id.into())),
            (None, Some(id)) => Some(AssignmentTarget::Domain(id.into())),
            // Any other word than `all` selects nothing away, and neither does this one among
            // effective assignments, which never are on the system.
            (None, None) => {
                (system == Some("all") && !effective).then_some(AssignmentTarget::System)
            }
        };
        let filter = AssignmentFilter {
            actor,
            role_id: text("role.id").map(Into::into),
            target,
            subtree: query.switch("include_subtree"),
            inherited: query
                .get("scope.OS-INHERIT:inherited_to")
                .map(|to| to == "projects"),
            within: None,
        };
        Self {
            filter,
            effective,
            names: query.switch("include_names"),
            user: user.is_some(),
            group: group.is_some(),
            project: project.is_some(),
            domain: domain.is_some(),
            system: system.is_some(),
        }
    }

    /// Looks up the project whose tree is asked for.
    async fn root(&self, call: &Call) -> Result<Option<Project>, ApiError> {
        match &self.filter.target {
            Some(AssignmentTarget::Project(id)) if self.filter.subtree => {
                Ok(call.store.projects().find(id).await?)
            }
            _ => Ok(None),
        }
    }

    /// Looks up whom the query names, as far as it matters that they are there.
    async fn look_up(&self, call: &Call, root: Option<&Project>) -> Result<Mentioned, ApiError> {
        let user_id = match &self.filter.actor {
            Some(Actor::User(id)) if self.effective => Some(id),
            _ => None,
        };
        let project_id = match &self.filter.target {
            Some(AssignmentTarget::Project(id)) if self.effective && !self.filter.subtree => {
                Some(id)
            }
            _ => None,
        };
        let mut assignments = call.store.assignments();
        let mut mentioned = assignments.mentioned(user_id, project_id).await?;
        if let Some(root) = root {
            mentioned.project = Some(root.domain_id.clone());
        }
        Ok(mentioned)
    }

    /// Of a tree, the policy is told its root; else the caller's domain, which the answer is
    /// confined to.
    fn authorize(&self, call: &Call, root: Option<&Project>) -> Result<Permit, ApiError> {
        if !self.filter.subtree {
            let scope = InDomain(call.caller().domain_scope());
            return call.authorize(LIST_ASSIGNMENTS, scope);
        }
        call.authorize(LIST_FOR_TREE, root.map(Tree))
    }

    fn validate_filters(&self) -> Result<(), ApiError> {
        let inherited = self.filter.inherited == Some(true);
        let complaint = if self.filter.subtree && !self.project {
            "scope.project.id must be specified if include_subtree is also specified"
        } else if self.domain && self.project {
            "Specify a domain or project, not both"
        } else if self.system && self.domain {
            "Specify system or domain, not both"
        } else if self.system && self.project {
            "Specify system or project, not both"
        } else if self.user && self.group {
            "Specify a user or group, not both"
        } else if self.effective && self.group {
            "Combining effective and group filter will always result in an empty list."
        } else if self.effective && inherited && self.domain {
            "Combining effective, domain and inherited filters will always result in an empty list."
        } else {
            return Ok(());
        };
        Err(ApiError::BadRequest(complaint.to_owned()))
    }

    /// Refuses to tell what is in effect for a user or on a project that is not there, and what
    /// is below such a project.
    fn require(&self, mentioned: &Mentioned) -> Result<(), ApiError> {
        // The reference looks for the project only where something could be inherited from it.
        let project_matters = self.filter.inherited != Some(false) || self.filter.subtree;
        if let Some(AssignmentTarget::Project(id)) = &self.filter.target
            && (self.effective || self.filter.subtree)
            && project_matters
            && mentioned.project.is_none()
        {
            return Err(ApiError::not_found("project", id));
        }
        if let Some(Actor::User(id)) = &self.filter.actor
            && self.effective
            && !mentioned.user
        {
            return Err(ApiError::not_found("user", id));
        }
        Ok(())
    }
}

/// A tree of projects: rules see its root, and the domain of that as the one of the list.
struct Tree<'a>(&'a Project);

impl Target for Tree<'_> {
    const KEYS: Keys = keys_of::<(Project, InDomain)>();

    fn find(&self, key: &str) -> Option<Cow<'_, str>> {
        match key {
            "target.domain_id" => self.0.find("target.project.domain_id"),
            key => self.0.find(key),
        }
    }
}

/// A role assignment, as clients see it.
#[derive(Debug, Serialize)]
struct AssignmentDocument {
    links: AssignmentLinks,
    scope: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<NamedDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<NamedDocument>,
    role: NamedDocument,
}

#[derive(Debug, Serialize)]
struct AssignmentLinks {
    #[serde(skip_serializing_if = "Option::is_none")]
    membership: Option<String>,
    assignment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    prior_role: Option<String>,
}

/// An id, and when names are asked for the name and the domain.
#[derive(Debug, Serialize)]
struct NamedDocument {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<DomainDocument>,
}

#[derive(Debug, Serialize)]
struct DomainDocument {
    id: String,
    name: String,
}

impl AssignmentDocument {
    fn new(held: &Held, names: Option<(&HeldRoles, &RoleGraph)>, links: &Links) -> Self {
        let target = NamedDocument {
            id: held.target.id().to_owned(),
            ..names.map_or_else(NamedDocument::nameless, |(list, _)| {
                NamedDocument::named(list.targets.get(&held.target))
            })
        };
        let mut scope = match &held.target {
            AssignmentTarget::Project(_) => json!({ "project": target }),
            AssignmentTarget::Domain(_) => json!({ "domain": target }),
            AssignmentTarget::System => json!({"system": {"all": true}}),
        };
        if held.inherited {
            scope["OS-INHERIT:inherited_to"] = "projects".into();
        }
        let actor = NamedDocument {
            id: held.actor.id().to_owned(),
            ..names.map_or_else(NamedDocument::nameless, |(list, _)| {
                NamedDocument::named_or_empty(list.actors.get(&held.actor))
            })
        };
        let (user, group) = match &held.actor {
            Actor::User(_) => (Some(actor), None),
            Actor::Group(_) => (None, Some(actor)),
        };
        let role = names.and_then(|(_, roles)| roles.get(&held.role_id));
        Self {
            links: AssignmentLinks::new(held, links),
            scope,
            user,
            group,
            role: NamedDocument {
                id: held.role_id.to_string(),
                name: role.map(|role| role.name.clone()),
                domain: role
                    .and_then(|role| role.domain.as_ref())
                    .map(DomainDocument::new),
            },
        }
    }
}

impl AssignmentLinks {
    fn new(held: &Held, links: &Links) -> Self {
        let target = match held.origin.as_ref().unwrap_or(&held.target) {
            AssignmentTarget::Project(id) => format!("projects/{id}"),
            AssignmentTarget::Domain(id) => format!("domains/{id}"),
            AssignmentTarget::System => "system".to_owned(),
        };
        let actor = match (&held.group_id, &held.actor) {
            (Some(id), _) | (None, Actor::Group(id)) => format!("groups/{id}"),
            (None, Actor::User(id)) => format!("users/{id}"),
        };
        // The reference names the role that implies this one, also where it is itself implied.
        let role = held.prior_role_id.as_ref().unwrap_or(&held.role_id);
        let base = format!("{}/v3", links.base_url());
        let assignment = if held.inherited {
            format!("{base}/OS-INHERIT/{target}/{actor}/roles/{role}/inherited_to_projects")
        } else {
            format!("{base}/{target}/{actor}/roles/{role}")
        };
        Self {
            membership: held
                .group_id
                .as_ref()
                .map(|group| format!("{base}/groups/{group}/users/{}", held.actor.id())),
            assignment,
            // The reference has the two roles in each other's place.
            prior_role: held
                .prior_role_id
                .as_ref()
                .map(|prior| format!("{base}/prior_role/{}/implies/{prior}", held.role_id)),
        }
    }
}

impl NamedDocument {
    fn nameless() -> Self {
        Self {
            id: String::new(),
            name: None,
            domain: None,
        }
    }

    fn named(name: Option<&Name>) -> Self {
        Self {
            id: String::new(),
            name: name.map(|name| name.name.clone()),
            domain: name
                .and_then(|name| name.domain.as_ref())
                .map(DomainDocument::new),
        }
    }

    /// Whom an assignment outlived is shown with empty names.
    fn named_or_empty(name: Option<&Name>) -> Self {
        if name.is_some() {
            return Self::named(name);
        }
        Self {
            id: String::new(),
            name: Some(String::new()),
            domain: Some(DomainDocument {
                id: String::new(),
                name: String::new(),
            }),
        }
    }
}

impl DomainDocument {
    fn new((id, name): &(DomainId, String)) -> Self {
        Self {
            id: id.to_string(),
            name: name.clone(),
        }
    }
}
