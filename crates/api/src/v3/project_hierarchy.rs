//! The tree of projects: what stands above and below a project, and what that allows.

use auth::call::Call;
use auth::error::ApiError;
use auth::flows::checks::in_disabled_branch;
use model::ids::ProjectId;
use model::project::{Project, ProjectFilter, ProjectLimit};
use serde::Serialize;
use serde_json::{Map, Value, json};
use store::{StoreError, Tx};

use crate::v3::projects::ProjectDocument;

/// The projects above and below one, as far as the query asked for them: as nested ids, or as a
/// list of those on which the caller holds a role.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Relatives {
    #[serde(skip_serializing_if = "Option::is_none")]
    parents: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subtree: Option<Value>,
}

impl Relatives {
    /// Finds the relatives of a project that the query asks for.
    ///
    /// # Errors
    ///
    /// 400 when it asks for the same ones in both forms.
    pub(crate) async fn find(call: &Call, project: &Project) -> Result<Self, ApiError> {
        let parents = Form::asked(call, "parents")?;
        let subtree = Form::asked(call, "subtree")?;
        let id = &project.id;
        let mut relatives = Self::default();
        if let Some(form) = parents {
            let above = call.store.projects().ancestors(id).await?;
            relatives.parents = Some(match form {
                Form::Ids => nested_above(&above),
                Form::List => own_projects(call, project, above).await?,
            });
        }
        if let Some(form) = subtree {
            let below = call.store.projects().descendants(id).await?;
            relatives.subtree = Some(match form {
                Form::Ids => nested_below(id, &below),
                Form::List => own_projects(call, project, below).await?,
            });
        }
        Ok(relatives)
    }
}

/// How relatives are shown.
enum Form {
    Ids,
    List,
}

impl Form {
    /// The form in which the query asks for the `parents` or the `subtree`.
    fn asked(call: &Call, relatives: &str) -> Result<Option<Self>, ApiError> {
        let query = &call.request.query;
        let (list, ids) = (
            format!("{relatives}_as_list"),
            format!("{relatives}_as_ids"),
        );
        match (query.switch(&list), query.switch(&ids)) {
            (true, true) => Err(ApiError::BadRequest(format!(
                "Cannot use {list} and {ids} query params at the same time."
            ))),
            (true, false) => Ok(Some(Self::List)),
            (false, true) => Ok(Some(Self::Ids)),
            (false, false) => Ok(None),
        }
    }
}

/// The ids above a project, each holding the one above it; null at the top.
fn nested_above(above: &[Project]) -> Value {
    let nest = |inside, project: &Project| json!({ project.id.as_str(): inside });
    above.iter().rev().fold(Value::Null, nest)
}

/// The ids below a project, each with those below it; null where there are none.
fn nested_below(id: &ProjectId, below: &[Project]) -> Value {
    let children = below
        .iter()
        .filter(|project| project.parent_id.as_ref() == Some(id));
    let nested: Map<String, Value> = children
        .map(|child| (child.id.to_string(), nested_below(&child.id, below)))
        .collect();
    match nested.is_empty() {
        true => Value::Null,
        false => Value::Object(nested),
    }
}

/// Those relatives of a project on which the caller holds a role, with their limits when the
/// query asks for them.
async fn own_projects(
    call: &Call,
    project: &Project,
    relatives: Vec<Project>,
) -> Result<Value, ApiError> {
    let Some(caller) = call.caller().token() else {
        return Ok(json!([]));
    };
    let (user_id, groups) = (&caller.subject.id, caller.token.group_ids());
    let everything = ProjectFilter::default();
    let mut projects = call.store.projects();
    let own = projects
        .list_of_user(user_id, groups, &everything, call.now())
        .await?;
    let limits = match call.request.query.switch("include_limits") {
        true => Some(projects.list_limits(&project.owner()).await?),
        false => None,
    };
    let is_own = |project: &Project| own.iter().any(|other| other.id == project.id);
    let documents = relatives.into_iter().filter(is_own).map(|project| {
        let limits = limits.as_ref().map(|limits| limits_of(&project.id, limits));
        let mut document = json!({"project": ProjectDocument::new(project, &call.links)});
        if let Some(limits) = limits {
            document["project"]["limits"] = limits;
        }
        document
    });
    Ok(documents.collect())
}

fn limits_of(id: &ProjectId, limits: &[ProjectLimit]) -> Value {
    let own = limits.iter().filter(|limit| limit.project_id == *id);
    let document = |limit: &ProjectLimit| {
        json!({
            "id": limit.id,
            "project_id": limit.project_id.as_str(),
            "domain_id": null,
            "service_id": limit.service_id,
            "region_id": limit.region_id,
            "resource_name": limit.resource_name,
            "resource_limit": limit.resource_limit,
            "description": limit.description,
        })
    };
    own.map(document).collect()
}

/// Keeps a project and all that stands above it as they are until the transaction ends; of what is
/// not there, nothing. The domain at the top first, as everybody locks it.
async fn hold_branch(tx: &mut Tx, id: &ProjectId) -> Result<(), StoreError> {
    let above = tx.projects().ancestors(id).await?;
    let branch = above.into_iter().rev().map(|project| project.id);
    let branch: Vec<ProjectId> = branch.chain([id.clone()]).collect();
    let (top, below) = branch.split_at(1);
    for some in [top, below] {
        match tx.projects_mut().require_all(some).await {
            Ok(()) | Err(StoreError::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Checks that a new project has a parent that may have it, and keeps the parent so.
///
/// # Errors
///
/// 400 when there is no such parent, or it is elsewhere or disabled; 403 when it is too deep.
pub(crate) async fn check_place(
    call: &Call,
    tx: &mut Tx,
    project: &Project,
) -> Result<(), ApiError> {
    let (Some(domain_id), Some(parent_id)) = (&project.domain_id, &project.parent_id) else {
        return Ok(());
    };
    // The domain is at the top of it, or the project is refused.
    hold_branch(tx, parent_id).await?;
    let mut projects = tx.projects();
    let domain = projects.find(&domain_id.clone().into()).await?;
    if !domain.is_some_and(|domain| domain.is_domain()) {
        return Err(missing("domain", domain_id.as_str()));
    }
    let parent = projects.find(parent_id).await?;
    let parent = parent.ok_or_else(|| missing("project", parent_id.as_str()))?;
    let parents_domain = parent.owner();
    if parents_domain != *domain_id {
        return Err(ApiError::BadRequest(if parent.is_domain() {
            format!(
                "Cannot create project, the parent ({parent_id}) is acting as a domain, but this \
                 project's domain id ({domain_id}) does not match the parent's id."
            )
        } else {
            format!(
                "Cannot create project, since it specifies its domain_id {domain_id}, but \
                 specifies a parent in a different domain ({parents_domain})."
            )
        }));
    }
    let above = projects.ancestors(parent_id).await?;
    let branch = above.iter().chain([&parent]);
    if let Some(disabled) = branch.into_iter().find(|project| !project.enabled) {
        return Err(in_disabled_branch(disabled.id.as_str()));
    }
    // The domain does not count as a level of the tree.
    let most = call.parts.config.default.max_project_tree_depth as usize;
    if above.len() + 1 > most {
        return Err(ApiError::Forbidden(format!(
            "Max hierarchy depth reached for {parent_id} branch."
        )));
    }
    Ok(())
}

/// A project or domain that a request names, and that is not there, makes it a bad request.
fn missing(kind: &'static str, id: &str) -> ApiError {
    ApiError::BadRequest(ApiError::not_found(kind, id).to_string())
}

/// Checks that a project may be enabled or disabled, when a change does that, and keeps it so: who
/// enables what is below it holds it, too. A domain may always: whatever is below it counts as
/// disabled with it.
///
/// # Errors
///
/// 403 when an enabled project would stand below a disabled one.
pub(crate) async fn check_enabled(
    tx: &mut Tx,
    id: &ProjectId,
    enabled: bool,
) -> Result<(), ApiError> {
    if enabled {
        let found = tx.projects().find(id).await?;
        if let Some(parent_id) = found.and_then(|project| project.parent_id) {
            hold_branch(tx, &parent_id).await?;
        }
    }
    let project: Project = tx.hold(id).await?;
    let mut projects = tx.projects();
    match (project.enabled, enabled) {
        (false, true) => {
            let above = projects.ancestors(id).await?;
            if above.iter().any(|project| !project.enabled) {
                return Err(ApiError::Forbidden(format!(
                    "Cannot enable project {id} since it has disabled parents"
                )));
            }
        }
        (true, false) if !project.is_domain() => {
            let below = projects.descendants(id).await?;
            if below.iter().any(|project| project.enabled) {
                return Err(ApiError::Forbidden(format!(
                    "Cannot disable project {id} since its subtree contains enabled projects."
                )));
            }
        }
        _ => {}
    }
    Ok(())
}
