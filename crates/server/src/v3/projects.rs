//! Projects: the containers of ownership on which roles are assigned.

use model::Extra;
use model::ids::{DomainId, ProjectId};
use model::project::{Project, ProjectFilter, ResourceOptions, TagFilter};
use model::revocation::RevocationEvent;
use policy::{Rule, ScopeType};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::StoreError;

use crate::call::{Call, Collection, Links, Query, SelfLink, Target};
use crate::error::ApiError;
use crate::extract::{Body, Named, Path, nullable};
use crate::flows::revoke::revoke;
use crate::operation::{Operation, Routes};
use crate::reply::{One, Reply};

/// The operations on projects.
pub fn routes() -> Routes {
    Routes::new()
        .on(&LIST, list)
        .on(&SHOW, show)
        .on(&CREATE, create)
        .on(&UPDATE, update)
        .on(&DELETE, delete)
}

static LIST: Operation = Operation::get("/v3/projects", "List projects")
    .rules(&[LIST_PROJECTS])
    .query("resource.project_index_request_query");
static SHOW: Operation =
    Operation::get("/v3/projects/{project_id}", "Show a project").rules(&[GET_PROJECT]);
static CREATE: Operation = Operation::post("/v3/projects", "Create a project")
    .rules(&[CREATE_PROJECT])
    .body("resource.project_create_request_body");
static UPDATE: Operation = Operation::patch("/v3/projects/{project_id}", "Change a project")
    .rules(&[UPDATE_PROJECT])
    .body("resource.project_update_request_body");
static DELETE: Operation =
    Operation::delete("/v3/projects/{project_id}", "Delete a project").rules(&[DELETE_PROJECT]);

const SCOPES: &[ScopeType] = &[ScopeType::System, ScopeType::Domain, ScopeType::Project];

const LIST_PROJECTS: Rule = Rule::new(
    "identity:list_projects",
    "(rule:admin_required) or (role:reader and system_scope:all) or \
     (role:reader and domain_id:%(target.domain_id)s)",
)
.scopes(SCOPES)
.deprecated("rule:admin_required");
const GET_PROJECT: Rule = Rule::new(
    "identity:get_project",
    "(rule:admin_required) or (role:reader and system_scope:all) or \
     (role:reader and domain_id:%(target.project.domain_id)s and \
     not None:%(target.project.domain_id)s) or project_id:%(target.project.id)s",
)
.scopes(SCOPES)
.deprecated("rule:admin_required or project_id:%(target.project.id)s");
const CREATE_PROJECT: Rule = Rule::new("identity:create_project", MANAGED_IN_DOMAIN)
    .scopes(SCOPES)
    .deprecated("rule:admin_required");
const UPDATE_PROJECT: Rule = Rule::new("identity:update_project", MANAGED_IN_DOMAIN)
    .scopes(SCOPES)
    .deprecated("rule:admin_required");
const DELETE_PROJECT: Rule = Rule::new("identity:delete_project", MANAGED_IN_DOMAIN)
    .scopes(SCOPES)
    .deprecated("rule:admin_required");

const MANAGED_IN_DOMAIN: &str = "(rule:admin_required) or \
     (role:manager and domain_id:%(target.project.domain_id)s and \
     not None:%(target.project.domain_id)s)";

async fn list(call: Call) -> Result<Reply<Collection<ProjectDocument>>, ApiError> {
    let mut filter = filter(&call.request.query);
    let scope = call.caller.domain_scope();
    let domain_id = filter.domain_id.clone().or_else(|| scope.clone());
    let target = Target::none().with_some("target.domain_id", domain_id.map(String::from));
    let permit = call.authorize(LIST_PROJECTS, target)?;
    // A token of a domain sees nothing else, whatever was asked for.
    filter.domain_id = scope.or(filter.domain_id);
    let projects = call.store.projects().list(&filter, &call.page()?).await?;
    let last = projects.last().map(|project| project.id.clone());
    let documents = projects
        .into_iter()
        .map(|project| ProjectDocument::new(project, &call.links))
        .collect();
    Ok(
        permit.ok(call.paged_collection(
            "projects",
            documents,
            last.as_ref().map(|id| id.as_str()),
        )),
    )
}

async fn show(
    call: Call,
    Path(id): Path<ProjectId>,
) -> Result<Reply<One<ProjectDocument>>, ApiError> {
    let project = call.store.projects().find(&id).await?;
    // Enforce before admitting absence, so a stranger cannot probe for ids.
    let permit = call.authorize(GET_PROJECT, project.as_ref())?;
    let project = project.ok_or_else(|| ApiError::not_found("project", &id))?;
    let mut document = ProjectDocument::new(project, &call.links);
    add_relatives(&call, &id, &mut document).await?;
    Ok(permit.ok(One::new("project", document)))
}

async fn create(
    call: Call,
    Body(request): Body<CreateProject>,
) -> Result<Reply<One<ProjectDocument>>, ApiError> {
    let project = request.into_project(&call)?;
    let permit = call.authorize(CREATE_PROJECT, &project)?;
    check_place(&call, &project).await?;
    let mut tx = call.begin().await?;
    tx.projects()
        .insert(&project)
        .await
        .map_err(|error| name_taken(error, &project))?;
    let saved = tx.commit().await?;
    Ok(permit.created(
        saved,
        One::new("project", ProjectDocument::new(project, &call.links)),
    ))
}

async fn update(
    call: Call,
    Path(id): Path<ProjectId>,
    Body(change): Body<ChangeProject>,
) -> Result<Reply<One<ProjectDocument>>, ApiError> {
    let project = call.store.projects().find(&id).await?;
    let permit = call.authorize(UPDATE_PROJECT, project.as_ref())?;
    let project = project.ok_or_else(|| ApiError::not_found("project", &id))?;
    change.check(&project)?;
    let changed = change.apply(&project);
    if project.enabled && !changed.enabled {
        check_subtree_disabled(&call, &id).await?;
    }
    if !project.enabled && changed.enabled {
        check_parents_enabled(&call, &id).await?;
    }
    let mut tx = call.begin().await?;
    tx.projects()
        .update(&changed)
        .await
        .map_err(|error| name_taken(error, &changed))?;
    let saved = tx.commit().await?;
    let document = ProjectDocument::new(changed, &call.links).with_extra();
    Ok(permit.updated(saved, One::new("project", document)))
}

async fn delete(call: Call, Path(id): Path<ProjectId>) -> Result<Reply<()>, ApiError> {
    let project = call.store.projects().find(&id).await?;
    let permit = call.authorize(DELETE_PROJECT, project.as_ref())?;
    let project = project.ok_or_else(|| ApiError::not_found("project", &id))?;
    refuse_immutable("delete", "project", project.id.as_str(), project.options)?;
    if call.store.projects().has_children(&id).await? {
        return Err(ApiError::Forbidden(format!(
            "Cannot delete the project {id} since it is not a leaf in the hierarchy. Use the \
             cascade option if you want to delete a whole subtree."
        )));
    }
    let mut tx = call.begin().await?;
    tx.projects().delete(&id).await?;
    let event = RevocationEvent {
        project_id: Some(id),
        ..RevocationEvent::at(call.now())
    };
    revoke(&call.app, &mut tx, &event).await?;
    Ok(permit.done(tx.commit().await?))
}

/// Adds the projects above and below when the query asks for them: as nested ids, or as a list of
/// those on which the caller holds a role.
async fn add_relatives(
    call: &Call,
    id: &ProjectId,
    document: &mut ProjectDocument,
) -> Result<(), ApiError> {
    let query = &call.request.query;
    for kind in ["parents", "subtree"] {
        let (list, ids) = (format!("{kind}_as_list"), format!("{kind}_as_ids"));
        if query.switch(&list) && query.switch(&ids) {
            return Err(ApiError::BadRequest(format!(
                "Cannot use {list} and {ids} query params at the same time."
            )));
        }
    }
    if query.switch("parents_as_ids") {
        let above = call.store.projects().ancestors(id).await?;
        let nest = |inside, project: &Project| json!({ project.id.as_str(): inside });
        document.parents = Some(above.iter().rev().fold(Value::Null, nest));
    }
    if query.switch("subtree_as_ids") {
        let below = call.store.projects().descendants(id).await?;
        document.subtree = Some(nested_below(id, &below));
    }
    if query.switch("parents_as_list") {
        let above = call.store.projects().ancestors(id).await?;
        document.parents = Some(own_projects(call, above).await?);
    }
    if query.switch("subtree_as_list") {
        let below = call.store.projects().descendants(id).await?;
        document.subtree = Some(own_projects(call, below).await?);
    }
    Ok(())
}

/// The ids below a project, each with those below it; null where there are none.
fn nested_below(id: &ProjectId, below: &[Project]) -> Value {
    let children = below
        .iter()
        .filter(|project| project.parent_id.as_ref() == Some(id));
    let nested: serde_json::Map<String, Value> = children
        .map(|child| (child.id.to_string(), nested_below(&child.id, below)))
        .collect();
    if nested.is_empty() {
        Value::Null
    } else {
        Value::Object(nested)
    }
}

/// Those projects on which the caller holds a role.
async fn own_projects(call: &Call, projects: Vec<Project>) -> Result<Value, ApiError> {
    let Some(caller) = call.caller.token() else {
        return Ok(json!([]));
    };
    let (user_id, groups) = (&caller.subject.id, caller.token.group_ids());
    let own = call
        .store
        .projects()
        .list_of_user(user_id, groups, &ProjectFilter::default())
        .await?;
    let is_own = |project: &Project| own.iter().any(|other| other.id == project.id);
    let documents = projects
        .into_iter()
        .filter(is_own)
        .map(|project| json!({"project": ProjectDocument::new(project, &call.links)}));
    Ok(documents.collect())
}

/// The filters that the query of a list asks for.
fn filter(query: &Query) -> ProjectFilter {
    let tags = |name: &str| -> Option<Vec<String>> {
        Some(query.get(name)?.split(',').map(str::to_owned).collect())
    };
    let conditions = [
        tags("tags").map(TagFilter::All),
        tags("tags-any").map(TagFilter::Any),
        tags("not-tags").map(TagFilter::NotAll),
        tags("not-tags-any").map(TagFilter::NotAny),
    ];
    ProjectFilter {
        id: None,
        domain_id: query.id("domain_id"),
        enabled: query.flag("enabled"),
        name: query.text("name"),
        parent_id: query.id("parent_id"),
        // Domains are listed only for those who ask for them.
        is_domain: Some(query.flag("is_domain").unwrap_or(false)),
        tags: conditions.into_iter().flatten().collect(),
    }
}

/// Checks that a new project has a parent that may have it.
async fn check_place(call: &Call, project: &Project) -> Result<(), ApiError> {
    let (Some(domain_id), Some(parent_id)) = (&project.domain_id, &project.parent_id) else {
        return Ok(());
    };
    let missing = |kind, id: &str| {
        Err(ApiError::BadRequest(
            ApiError::not_found(kind, id).to_string(),
        ))
    };
    let parent = call.store.projects().find(parent_id).await?;
    let Some(parent) = parent else {
        let kind = if domain_id.as_str() == parent_id.as_str() {
            "domain"
        } else {
            "project"
        };
        return missing(kind, parent_id.as_str());
    };
    let parents_domain = parent
        .domain_id
        .clone()
        .unwrap_or_else(|| parent.id.clone().into());
    if parents_domain != *domain_id {
        return Err(ApiError::BadRequest(if parent.is_domain() {
            format!(
                "Cannot create project, the parent (with id {parent_id}) is acting as a domain, \
                 but this project's domain id ({domain_id}) does not match the parent's id."
            )
        } else {
            format!(
                "Cannot create project, since it specifies its domain_id {domain_id}, but \
                 specifies a parent in a different domain ({parents_domain})."
            )
        }));
    }
    let above = call.store.projects().ancestors(parent_id).await?;
    for project in std::iter::once(&parent).chain(&above) {
        if !project.enabled {
            return Err(ApiError::BadRequest(format!(
                "cannot create a project in a branch containing a disabled project: {}",
                project.id
            )));
        }
    }
    // The domain does not count as a level of the tree.
    let most = call.app.config.default.max_project_tree_depth as usize;
    if above.len() + 1 > most {
        return Err(ApiError::Forbidden(format!(
            "Max hierarchy depth reached for {parent_id} branch."
        )));
    }
    Ok(())
}

async fn check_subtree_disabled(call: &Call, id: &ProjectId) -> Result<(), ApiError> {
    let below = call.store.projects().descendants(id).await?;
    if below.iter().any(|project| project.enabled) {
        return Err(ApiError::Forbidden(format!(
            "Cannot disable project {id} since its subtree contains enabled projects."
        )));
    }
    Ok(())
}

async fn check_parents_enabled(call: &Call, id: &ProjectId) -> Result<(), ApiError> {
    let above = call.store.projects().ancestors(id).await?;
    if above.iter().any(|project| !project.enabled) {
        return Err(ApiError::Forbidden(format!(
            "Cannot enable project {id} since it has disabled parents"
        )));
    }
    Ok(())
}

fn name_taken(error: StoreError, project: &Project) -> ApiError {
    ApiError::from(error).conflict_details(|| {
        format!(
            "it is not permitted to have two projects with either the same name or same id in \
             the same domain: name is {}, project id {}",
            project.name, project.id
        )
    })
}

/// Refuses to touch what is marked as immutable.
///
/// # Errors
///
/// 403, saying how to lift the mark.
pub(crate) fn refuse_immutable(
    act: &str,
    kind: &str,
    id: &str,
    options: ResourceOptions,
) -> Result<(), ApiError> {
    if options.immutable == Some(true) {
        return Err(ApiError::Forbidden(format!(
            "Unable to {act} immutable {kind} resource: `{id}. Set resource option \"immutable\" \
             to false first."
        )));
    }
    Ok(())
}

/// The body of a new project.
#[derive(Deserialize)]
struct CreateProject {
    name: String,
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
    domain_id: Option<DomainId>,
    parent_id: Option<ProjectId>,
    enabled: Option<bool>,
    is_domain: Option<bool>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    options: OptionsDocument,
    #[serde(flatten)]
    extra: Extra,
}

impl Named for CreateProject {
    const NAME: &'static str = "project";
}

impl CreateProject {
    fn into_project(mut self, call: &Call) -> Result<Project, ApiError> {
        let is_domain = self.is_domain == Some(true);
        if is_domain && self.parent_id.is_some() {
            return Err(ApiError::BadRequest(
                "only root projects are allowed to act as domains.".into(),
            ));
        }
        for ours in ["id", "links"] {
            self.extra.remove(ours);
        }
        let domain_id = match (is_domain, self.domain_id) {
            (true, _) => None,
            (false, Some(id)) => Some(id),
            (false, None) => Some(
                call.caller
                    .domain_scope()
                    .unwrap_or_else(|| call.app.config.identity.default_domain_id.clone()),
            ),
        };
        let parent_id = self.parent_id.or_else(|| domain_id.clone().map(Into::into));
        self.tags.sort_unstable();
        Ok(Project {
            id: call.new_id(),
            name: self.name.trim().to_owned(),
            domain_id,
            parent_id,
            description: self.description.unwrap_or_else(|| Some(String::new())),
            enabled: self.enabled.unwrap_or(true),
            tags: self.tags,
            options: self.options.into(),
            extra: self.extra,
        })
    }
}

/// The body of a change. What is absent stays as it is.
#[derive(Deserialize)]
struct ChangeProject {
    id: Option<String>,
    name: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
    domain_id: Option<DomainId>,
    #[serde(default, deserialize_with = "nullable")]
    parent_id: Option<Option<ProjectId>>,
    enabled: Option<bool>,
    is_domain: Option<bool>,
    tags: Option<Vec<String>>,
    options: Option<OptionsDocument>,
    #[serde(flatten)]
    extra: Extra,
}

impl Named for ChangeProject {
    const NAME: &'static str = "project";
}

impl ChangeProject {
    /// Refuses what may never change, and all changes to what is immutable but those that lift
    /// the mark.
    fn check(&self, project: &Project) -> Result<(), ApiError> {
        if self
            .id
            .as_deref()
            .is_some_and(|id| id != project.id.as_str())
        {
            return Err(ApiError::BadRequest("Cannot change ID".into()));
        }
        if !self.only_lifts_the_mark() {
            refuse_immutable("update", "project", project.id.as_str(), project.options)?;
        }
        if self.domain_id.is_some() && self.domain_id != project.domain_id {
            return Err(ApiError::BadRequest("Cannot change Domain ID".into()));
        }
        if self
            .parent_id
            .as_ref()
            .is_some_and(|id| *id != project.parent_id)
        {
            return Err(ApiError::Forbidden(
                "Update of `parent_id` is not allowed.".into(),
            ));
        }
        if self
            .is_domain
            .is_some_and(|is_domain| is_domain != project.is_domain())
        {
            return Err(ApiError::BadRequest(
                "Update of `is_domain` is not allowed.".into(),
            ));
        }
        Ok(())
    }

    fn only_lifts_the_mark(&self) -> bool {
        let lifts = self.options.is_some_and(|options| options.lifts_the_mark());
        let says_nothing_else = self.name.is_none()
            && self.description.is_none()
            && self.domain_id.is_none()
            && self.parent_id.is_none()
            && self.enabled.is_none()
            && self.is_domain.is_none()
            && self.tags.is_none()
            && self.extra.is_empty();
        lifts && says_nothing_else
    }

    fn apply(self, project: &Project) -> Project {
        let mut changed = project.clone();
        if let Some(name) = self.name {
            changed.name = name.trim().to_owned();
        }
        if let Some(description) = self.description {
            changed.description = description;
        }
        if let Some(enabled) = self.enabled {
            changed.enabled = enabled;
        }
        if let Some(mut tags) = self.tags {
            tags.sort_unstable();
            changed.tags = tags;
        }
        if let Some(OptionsDocument {
            immutable: Some(immutable),
        }) = self.options
        {
            changed.options.immutable = immutable;
        }
        changed.extra.extend(self.extra);
        changed
    }
}

/// A project, as clients see it.
#[derive(Debug, Serialize)]
pub(crate) struct ProjectDocument {
    #[serde(flatten)]
    attributes: Extra,
    id: ProjectId,
    name: String,
    domain_id: Option<DomainId>,
    description: Option<String>,
    enabled: bool,
    parent_id: Option<ProjectId>,
    is_domain: bool,
    tags: Vec<String>,
    options: OptionsDocument,
    links: SelfLink,
    #[serde(skip_serializing_if = "Option::is_none")]
    parents: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subtree: Option<Value>,
    /// What a change shows once more.
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<Extra>,
}

impl ProjectDocument {
    pub(crate) fn new(project: Project, links: &Links) -> Self {
        Self {
            links: links.to(&format!("projects/{}", project.id)),
            is_domain: project.is_domain(),
            id: project.id,
            name: project.name,
            domain_id: project.domain_id,
            description: project.description,
            enabled: project.enabled,
            parent_id: project.parent_id,
            tags: project.tags,
            options: project.options.into(),
            attributes: project.extra,
            parents: None,
            subtree: None,
            extra: None,
        }
    }

    /// The answer to a change repeats the unknown attributes under `extra`.
    fn with_extra(mut self) -> Self {
        self.extra = Some(self.attributes.clone());
        self
    }
}

/// The options of projects, domains and roles, as clients write and see them.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct OptionsDocument {
    /// Absent: say nothing; null: take the option back.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) immutable: Option<Option<bool>>,
}

impl OptionsDocument {
    /// Whether it takes back that the resource is immutable.
    pub(crate) fn lifts_the_mark(self) -> bool {
        matches!(self.immutable, Some(None | Some(false)))
    }
}

impl From<OptionsDocument> for ResourceOptions {
    fn from(document: OptionsDocument) -> Self {
        Self {
            immutable: document.immutable.flatten(),
        }
    }
}

impl From<ResourceOptions> for OptionsDocument {
    fn from(options: ResourceOptions) -> Self {
        Self {
            immutable: options.immutable.map(Some),
        }
    }
}

impl From<&Project> for Target {
    fn from(project: &Project) -> Self {
        Self::none()
            .with("target.project.id", project.id.as_str())
            .with("target.project.name", project.name.as_str())
            .with("target.project.enabled", project.enabled)
            .with("target.project.is_domain", project.is_domain())
            .with(
                "target.project.domain_id",
                project
                    .domain_id
                    .as_ref()
                    .map_or(Value::Null, |id| id.as_str().into()),
            )
    }
}
