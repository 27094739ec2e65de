//! Tags: labels of projects.

use http::{HeaderValue, StatusCode, header};
use model::Project;
use model::ids::ProjectId;
use policy::{Rule, ScopeType};
use serde_json::{Value, json};

use crate::call::{Call, Target};
use crate::error::ApiError;
use crate::extract::{Json, Path};
use crate::operation::{Operation, Routes};
use crate::reply::{Permit, Reply};

/// The operations on tags.
pub fn routes() -> Routes {
    Routes::new()
        .on(&LIST, list)
        .on(&REPLACE, replace)
        .on(&CLEAR, clear)
        .on(&CHECK, check)
        .on(&ADD, add)
        .on(&REMOVE, remove)
}

const ALL: &str = "/v3/projects/{project_id}/tags";
const ONE: &str = "/v3/projects/{project_id}/tags/{value}";

static LIST: Operation = Operation::get(ALL, "List the tags of a project").rules(&[LIST_TAGS]);
static REPLACE: Operation = Operation::put(ALL, "Replace the tags of a project")
    .rules(&[UPDATE_TAGS])
    .body("resource.tags_update_request_body");
static CLEAR: Operation =
    Operation::delete(ALL, "Remove all tags of a project").rules(&[DELETE_TAGS]);
static CHECK: Operation = Operation::get(ONE, "Check that a project has a tag").rules(&[GET_TAG]);
static ADD: Operation = Operation::put(ONE, "Add a tag to a project").rules(&[CREATE_TAG]);
static REMOVE: Operation = Operation::delete(ONE, "Remove a tag of a project").rules(&[DELETE_TAG]);

const SCOPES: &[ScopeType] = &[ScopeType::System, ScopeType::Domain, ScopeType::Project];
const READ: &str = "(rule:admin_required) or (role:reader and system_scope:all) or \
     (role:reader and domain_id:%(target.project.domain_id)s and \
     not None:%(target.project.domain_id)s) or project_id:%(target.project.id)s";
const WRITE: &str = "(rule:admin_required) or \
     (role:manager and domain_id:%(target.project.domain_id)s and \
     not None:%(target.project.domain_id)s)";
const ADMIN: &str = "rule:admin_required";
const ADMIN_OR_OWN: &str = "rule:admin_required or project_id:%(target.project.id)s";

const LIST_TAGS: Rule = Rule::new("identity:list_project_tags", READ)
    .scopes(SCOPES)
    .deprecated(ADMIN_OR_OWN);
const GET_TAG: Rule = Rule::new("identity:get_project_tag", READ)
    .scopes(SCOPES)
    .deprecated(ADMIN_OR_OWN);
const UPDATE_TAGS: Rule = Rule::new("identity:update_project_tags", WRITE)
    .scopes(SCOPES)
    .deprecated(ADMIN);
const CREATE_TAG: Rule = Rule::new("identity:create_project_tag", WRITE)
    .scopes(SCOPES)
    .deprecated(ADMIN);
const DELETE_TAGS: Rule = Rule::new("identity:delete_project_tags", WRITE)
    .scopes(SCOPES)
    .deprecated(ADMIN);
const DELETE_TAG: Rule = Rule::new("identity:delete_project_tag", WRITE)
    .scopes(SCOPES)
    .deprecated(ADMIN);

/// The most tags that a project can have.
const MOST: usize = 80;

async fn list(call: Call, Path(id): Path<ProjectId>) -> Result<Reply<Value>, ApiError> {
    let (project, permit) = find(&call, &id, LIST_TAGS).await?;
    let document = document(&call, &project.tags);
    Ok(permit.ok(document))
}

async fn replace(
    call: Call,
    Path(id): Path<ProjectId>,
    Json(body): Json,
) -> Result<Reply<Value>, ApiError> {
    let (_, permit) = find(&call, &id, UPDATE_TAGS).await?;
    let given = body["tags"].as_array().into_iter().flatten();
    let mut tags: Vec<String> = given
        .filter_map(|tag| tag.as_str().map(str::to_owned))
        .collect();
    tags.sort_unstable();
    let mut tx = call.begin().await?;
    tx.projects().replace_tags(&id, &tags).await?;
    let saved = tx.commit().await?;
    Ok(permit.updated(saved, document(&call, &tags)))
}

async fn clear(call: Call, Path(id): Path<ProjectId>) -> Result<Reply<()>, ApiError> {
    let (_, permit) = find(&call, &id, DELETE_TAGS).await?;
    let mut tx = call.begin().await?;
    tx.projects().replace_tags(&id, &[]).await?;
    Ok(permit.done(tx.commit().await?))
}

async fn check(
    call: Call,
    Path((id, tag)): Path<(ProjectId, String)>,
) -> Result<Reply<()>, ApiError> {
    let (project, permit) = find(&call, &id, GET_TAG).await?;
    if !project.tags.contains(&tag) {
        return Err(ApiError::not_found("project tag", tag));
    }
    Ok(permit.confirmed())
}

async fn add(
    call: Call,
    Path((id, tag)): Path<(ProjectId, String)>,
) -> Result<Reply<()>, ApiError> {
    let (mut project, permit) = find(&call, &id, CREATE_TAG).await?;
    if tag.is_empty() || tag.chars().count() > 255 || tag.contains([',', '/']) {
        return Err(ApiError::BadRequest(format!(
            "Invalid input for field 'value': '{tag}' is no tag: 1 to 255 characters without \
             commas and slashes."
        )));
    }
    if project.tags.contains(&tag) {
        return Err(ApiError::BadRequest(format!(
            "{tag} is already one of the project's tags."
        )));
    }
    if project.tags.len() >= MOST {
        return Err(ApiError::BadRequest(format!(
            "A project can have at most {MOST} tags."
        )));
    }
    let location = format!("{}/v3/{id}/tags/{tag}", call.links.base_url());
    project.tags.push(tag);
    let mut tx = call.begin().await?;
    tx.projects().replace_tags(&id, &project.tags).await?;
    let _saved = tx.commit().await?;
    let reply = permit.reply(StatusCode::CREATED, None);
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    let reply = reply.header(header::CONTENT_TYPE, html);
    match HeaderValue::try_from(location) {
        Ok(location) => Ok(reply.header(header::LOCATION, location)),
        Err(_) => Ok(reply),
    }
}

async fn remove(
    call: Call,
    Path((id, tag)): Path<(ProjectId, String)>,
) -> Result<Reply<()>, ApiError> {
    let (mut project, permit) = find(&call, &id, DELETE_TAG).await?;
    let before = project.tags.len();
    project.tags.retain(|known| *known != tag);
    if project.tags.len() == before {
        return Err(ApiError::not_found("project tag", tag));
    }
    let mut tx = call.begin().await?;
    tx.projects().replace_tags(&id, &project.tags).await?;
    Ok(permit.done(tx.commit().await?))
}

async fn find(call: &Call, id: &ProjectId, rule: Rule) -> Result<(Project, Permit), ApiError> {
    let project = call.store.projects().find(id).await?;
    let permit = call.authorize(
        rule,
        project.as_ref().map_or_else(Target::none, Target::from),
    )?;
    Ok((
        project.ok_or_else(|| ApiError::not_found("project", id))?,
        permit,
    ))
}

/// The link leads to the API and not to the tags, as in the reference.
fn document(call: &Call, tags: &[String]) -> Value {
    json!({"links": {"self": format!("{}/v3", call.links.base_url())}, "tags": tags})
}
