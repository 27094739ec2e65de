//! Projects: the containers of ownership on which roles are assigned.

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::{One, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::flows::checks::{refuse_immutable, refuse_reserved_characters};
use auth::flows::delete_domain::delete_domain;
use auth::rules::targets::InDomain;
use auth::rules::{Wanted, keys_of};
use model::Extra;
use model::ids::{DomainId, ProjectId};
use model::project::{Project, ProjectFilter, TagFilter};
use model::revocation::RevocationEvent;
use policy::{Rule, ScopeType};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use web::operation::Operation;
use web::reply::{Collection, Links, Range, SelfLink};
use web::request::Query;
use web::request::extract::{Body, Named, nullable};

use crate::v3::domains;
use crate::v3::project_hierarchy::{Relatives, check_enabled, check_place};
use crate::v3::resource_options::OptionsDocument;

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
    .query("resource.project_index_request_query")
    .filters(&["domain_id", "enabled", "name", "parent_id", "is_domain"]);
static SHOW: Operation =
    Operation::get("/v3/projects/{project_id}", "Show a project").rules(&[GET_PROJECT]);
static CREATE: Operation = Operation::post("/v3/projects", "Create a project")
    .rules(&[CREATE_PROJECT])
    .body("resource.project_create_request_body");
static UPDATE: Operation = Operation::patch("/v3/projects/{project_id}", "Update a project")
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
.deprecated("rule:admin_required")
.about(keys_of::<InDomain>());
const GET_PROJECT: Rule = readable("identity:get_project");
const CREATE_PROJECT: Rule = managed("identity:create_project");
const UPDATE_PROJECT: Rule = managed("identity:update_project");
const DELETE_PROJECT: Rule = managed("identity:delete_project");

/// What readers of the deployment and of the project's domain may do, and all whose token is
/// valid on the project.
pub(crate) const fn readable(name: &'static str) -> Rule {
    let check = "(rule:admin_required) or (role:reader and system_scope:all) or \
         (role:reader and domain_id:%(target.project.domain_id)s and \
         not None:%(target.project.domain_id)s) or project_id:%(target.project.id)s";
    Rule::new(name, check)
        .scopes(SCOPES)
        .deprecated("rule:admin_required or project_id:%(target.project.id)s")
        .about(keys_of::<Project>())
}

/// What administrators and managers of the project's domain may do.
pub(crate) const fn managed(name: &'static str) -> Rule {
    let check = "(rule:admin_required) or \
         (role:manager and domain_id:%(target.project.domain_id)s and \
         not None:%(target.project.domain_id)s)";
    Rule::new(name, check)
        .scopes(SCOPES)
        .deprecated("rule:admin_required")
        .about(keys_of::<Project>())
}

async fn list(call: Call) -> Result<Reply<Collection<ProjectDocument>>, ApiError> {
    let scope = call.caller().domain_scope();
    let permit = call.authorize(LIST_PROJECTS, InDomain(scope.clone()))?;
    let filter = ProjectFilter {
        // A token of a domain sees nothing else, whatever was asked for.
        within: scope,
        ..filter(&call.request.query)?
    };
    let range = range(&call).await?;
    let page = range.page();
    let projects = call.store.projects().list(&filter, &page).await?;
    let documents = ProjectDocument::all(projects, &call.links);
    let part = call.part_of_collection("projects", documents, &range, ProjectDocument::id);
    Ok(permit.ok(part))
}

async fn show(
    call: Call,
    Path(id): Path<ProjectId>,
) -> Result<Reply<One<ProjectDocument>>, ApiError> {
    let project = call.store.projects().find(&id).await?;
    let (project, permit) = call.find_or_refuse(GET_PROJECT, "project", &id, project)?;
    let relatives = Relatives::find(&call, &project).await?;
    let document = ProjectDocument::new(project, &call.links).with_relatives(relatives);
    Ok(permit.ok(One::new("project", document)))
}

async fn create(
    call: Call,
    Body(wanted): Body<ProjectAttributes>,
) -> Result<Reply<One<ProjectDocument>>, ApiError> {
    // Only a domain that the client names counts here: a manager has to name it.
    let permit = call.authorize(CREATE_PROJECT, Wanted::<Project>::of(&call.request))?;
    let project = wanted.into_project(&call)?;
    let mut tx = call.begin().await?;
    check_place(&call, &mut tx, &project).await?;
    tx.projects_mut()
        .insert(&project)
        .await
        .map_err(|error| name_taken(error.into(), &project))?;
    let saved = tx.commit().await?;
    let document = ProjectDocument::new(project, &call.links);
    Ok(permit.created(saved, One::new("project", document)))
}

async fn update(
    call: Call,
    Path(id): Path<ProjectId>,
    Body(change): Body<ProjectAttributes>,
) -> Result<Reply<One<ProjectDocument>>, ApiError> {
    let project = call.store.projects().find(&id).await?;
    let (project, permit) = call.find_or_refuse(UPDATE_PROJECT, "project", &id, project)?;
    // Before its relatives are looked at.
    change.check(&call, &project)?;
    let id = project.id.clone();
    let wanted = change.clone().apply(project);
    let mut tx = call.begin().await?;
    if let Some(enabled) = change.enabled {
        check_enabled(&mut tx, &id, enabled).await?;
    }
    let changed = tx.change(&id, |project| {
        change.check(&call, &project)?;
        Ok(change.apply(project))
    });
    let changed = changed.await.map_err(|error| name_taken(error, &wanted))?;
    let saved = tx.commit().await?;
    let document = ProjectDocument::new(changed, &call.links).with_extra();
    Ok(permit.updated(saved, One::new("project", document)))
}

async fn delete(call: Call, Path(id): Path<ProjectId>) -> Result<Reply<()>, ApiError> {
    let project = call.store.projects().find(&id).await?;
    let (project, permit) = call.find_or_refuse(DELETE_PROJECT, "project", &id, project)?;
    if project.is_domain() {
        return Ok(permit.done(delete_domain(&call, &project.id.into()).await?));
    }
    let mut tx = call.begin().await?;
    // As it is now, when nobody changes it or adds anything to it any more.
    let project: Project = tx.hold(&project.id).await?;
    let id = project.id;
    refuse_immutable("delete", "project", id.as_str(), project.options)?;
    if tx.projects().has_children(&id).await? {
        return Err(ApiError::Forbidden(format!(
            "Cannot delete the project {id} since it is not a leaf in the hierarchy. Use the \
             cascade option if you want to delete a whole subtree."
        )));
    }
    tx.projects_mut().delete(&id, call.now()).await?;
    let event = RevocationEvent {
        project_id: Some(id),
        ..RevocationEvent::at(call.parts.clock.now())
    };
    tx.revocations_mut().insert(&event).await?;
    Ok(permit.done(tx.commit().await?))
}

/// The part of the projects, or of the domains, that is shown.
pub(crate) async fn range(call: &Call) -> Result<Range, ApiError> {
    let list_limit = call.parts.list_limit(call.parts.config.resource.list_limit);
    let most = call.parts.max_page();
    // The reference does not look behind the page here.
    let range = call.range(list_limit)?.bounded(most).guessing(true);
    if let Some(marker) = range.marker() {
        let found = call.store.projects().find(&marker.into()).await?;
        found.ok_or_else(|| ApiError::unknown_marker(marker))?;
    }
    Ok(range)
}

/// The filters that the query of a list asks for.
fn filter(query: &Query) -> Result<ProjectFilter, ApiError> {
    let tags = |name: &str| -> Option<Vec<String>> {
        Some(query.get(name)?.split(',').map(str::to_owned).collect())
    };
    let conditions = [
        tags("tags").map(TagFilter::All),
        tags("tags-any").map(TagFilter::Any),
        tags("not-tags").map(TagFilter::NotAll),
        tags("not-tags-any").map(TagFilter::NotAny),
    ];
    Ok(ProjectFilter {
        domain_id: query.id("domain_id"),
        enabled: query.flag_filter("enabled")?,
        name: query.text("name"),
        parent_id: query.id("parent_id"),
        // Domains are listed only for those who ask for them.
        is_domain: Some(query.flag_filter("is_domain")?.unwrap_or(false)),
        tags: conditions.into_iter().flatten().collect(),
        ..ProjectFilter::default()
    })
}

/// `[resource] project_name_url_safe` says whether a name may hold anything.
pub(crate) fn check_name(call: &Call, name: &str) -> Result<(), ApiError> {
    let rule = call.parts.config.resource.project_name_url_safe;
    refuse_reserved_characters(rule, "Project", name)
}

fn name_taken(error: ApiError, project: &Project) -> ApiError {
    if project.is_domain() {
        return domains::name_taken(error, &project.name);
    }
    error.conflict_details(|| {
        format!(
            "it is not permitted to have two projects with either the same name or same id in \
             the same domain: name is {}, project id {}",
            project.name, project.id
        )
    })
}

/// What a client says about a project. What is absent is left to us, or stays as it is.
#[derive(Clone, Deserialize)]
struct ProjectAttributes {
    id: Option<Value>,
    name: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    domain_id: Option<Option<DomainId>>,
    #[serde(default, deserialize_with = "nullable")]
    parent_id: Option<Option<ProjectId>>,
    enabled: Option<bool>,
    is_domain: Option<bool>,
    tags: Option<Vec<String>>,
    options: Option<OptionsDocument>,
    #[serde(flatten)]
    extra: Extra,
}

impl Named for ProjectAttributes {
    const NAME: &'static str = "project";
    const UNDERSCORES: bool = true;
    const OPTIONAL: bool = true;
}

impl ProjectAttributes {
    /// A new project with these attributes.
    fn into_project(self, call: &Call) -> Result<Project, ApiError> {
        let name = self.name.as_deref().ok_or_else(|| {
            // The schema asks for it, unless there is no project in the body at all.
            ApiError::BadRequest("'name' is a required property".into())
        })?;
        let domain_id = self.domain_id.clone().flatten();
        let parent_id = self.parent_id.clone().flatten();
        check_name(call, name)?;
        let (domain_id, parent_id) = if self.is_domain == Some(true) {
            domains::refuse_reserved_name(call, name)?;
            if domain_id.is_some() || parent_id.is_some() {
                return Err(ApiError::BadRequest(
                    "only root projects are allowed to act as domains.".into(),
                ));
            }
            (None, None)
        } else {
            let domain_id = call.owning_domain(domain_id)?;
            let parent_id = parent_id.unwrap_or_else(|| domain_id.clone().into());
            (Some(domain_id), Some(parent_id))
        };
        Ok(self.apply(Project {
            id: call.new_id(),
            name: String::new(),
            domain_id,
            parent_id,
            description: Some(String::new()),
            enabled: true,
            tags: Vec::new(),
            options: Default::default(),
            extra: Extra::new(),
        }))
    }

    /// Refuses what may never change, and all changes to what is immutable but those that lift
    /// the mark.
    fn check(&self, call: &Call, project: &Project) -> Result<(), ApiError> {
        let refused = |why: &str| Err(ApiError::BadRequest(why.into()));
        if self.id.as_ref().is_some_and(|id| id != project.id.as_str()) {
            return refused("Cannot change ID");
        }
        if changes(&self.domain_id, &project.domain_id) {
            return refused("Cannot change Domain ID");
        }
        if !self.only_clears_immutable() {
            let kind = if project.is_domain() {
                "domain"
            } else {
                "project"
            };
            refuse_immutable("update", kind, project.id.as_str(), project.options)?;
        }
        if let Some(name) = self.name.as_deref().filter(|name| *name != project.name) {
            if project.is_domain() {
                domains::check_name(call, name)?;
            } else {
                check_name(call, name)?;
            }
        }
        if changes(&self.parent_id, &project.parent_id) {
            return Err(ApiError::Forbidden(
                "Update of `parent_id` is not allowed.".into(),
            ));
        }
        if changes(&self.is_domain, &project.is_domain()) {
            return refused("Update of `is_domain` is not allowed.");
        }
        Ok(())
    }

    fn only_clears_immutable(&self) -> bool {
        let lifts = self.options.is_some_and(OptionsDocument::lifts_the_mark);
        let says_nothing_else = self.id.is_none()
            && self.name.is_none()
            && self.description.is_none()
            && self.domain_id.is_none()
            && self.parent_id.is_none()
            && self.enabled.is_none()
            && self.is_domain.is_none()
            && self.tags.is_none()
            && self.extra.is_empty();
        lifts && says_nothing_else
    }

    fn apply(self, mut project: Project) -> Project {
        if let Some(name) = self.name {
            project.name = name.trim().to_owned();
        }
        if let Some(description) = self.description {
            project.description = description;
        }
        if let Some(enabled) = self.enabled {
            project.enabled = enabled;
        }
        if let Some(mut tags) = self.tags {
            tags.sort_unstable();
            project.tags = tags;
        }
        if let Some(options) = self.options {
            options.apply(&mut project.options);
        }
        project.extra.extend(self.extra);
        // Names that an answer writes itself cannot be attributes of a project's own.
        for ours in ["links", "extra", "parents", "subtree"] {
            project.extra.remove(ours);
        }
        project
    }
}

/// Whether a client says something else than what is so.
fn changes<T: PartialEq>(said: &Option<T>, known: &T) -> bool {
    said.as_ref().is_some_and(|said| said != known)
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
    #[serde(flatten)]
    relatives: Relatives,
    /// What a change shows once more.
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<Extra>,
}

impl ProjectDocument {
    pub(crate) fn id(&self) -> &str {
        self.id.as_str()
    }

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
            relatives: Relatives::default(),
            extra: None,
        }
    }

    /// One document for each project.
    pub(crate) fn all(projects: Vec<Project>, links: &Links) -> Vec<Self> {
        let document = |project| Self::new(project, links);
        projects.into_iter().map(document).collect()
    }

    fn with_relatives(mut self, relatives: Relatives) -> Self {
        self.relatives = relatives;
        self
    }

    /// The answer to a change repeats the unknown attributes under `extra`.
    fn with_extra(mut self) -> Self {
        self.extra = Some(self.attributes.clone());
        self
    }
}
