//! Tags: labels of projects.

use auth::call::Call;
use auth::call::path::{Path, Text};
use auth::call::reply::{Permit, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use http::{HeaderValue, StatusCode, header};
use model::Project;
use model::ids::ProjectId;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use policy::Rule;
use serde_json::{Value, json};
use store::Tx;
use web::operation::Operation;
use web::request::extract::Json;

use crate::v3::projects::{managed, readable};

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
    .body("resource.tags_update_request_body")
    .answers(&[(200, "The tags of the project.")]);
static CLEAR: Operation = Operation::delete(ALL, "Remove all tags from a project")
    .rules(&[DELETE_TAGS])
    .answers(&[(204, "The tags are removed.")]);
static CHECK: Operation = Operation::get(ONE, "Check whether a project has a tag")
    .rules(&[GET_TAG])
    .answers(&[(204, "The project has the tag.")]);
static ADD: Operation = Operation::put(ONE, "Add a tag to a project")
    .rules(&[CREATE_TAG])
    .answers(&[(201, "The tag is added.")]);
static REMOVE: Operation = Operation::delete(ONE, "Remove a tag from a project")
    .rules(&[DELETE_TAG])
    .answers(&[(204, "The tag is removed.")]);

const LIST_TAGS: Rule = readable("identity:list_project_tags");
const GET_TAG: Rule = readable("identity:get_project_tag");
const UPDATE_TAGS: Rule = managed("identity:update_project_tags");
const CREATE_TAG: Rule = managed("identity:create_project_tag");
const DELETE_TAGS: Rule = managed("identity:delete_project_tags");
const DELETE_TAG: Rule = managed("identity:delete_project_tag");

async fn list(call: Call, Path(id): Path<ProjectId>) -> Result<Reply<Value>, ApiError> {
    let (permit, project) = find(&call, &id, LIST_TAGS).await?;
    let project = project.ok_or_else(|| ApiError::not_found("project", &id))?;
    Ok(permit.ok(document(&call, &project.tags)))
}

async fn replace(
    call: Call,
    Path(id): Path<ProjectId>,
    Json(body): Json,
) -> Result<Reply<Value>, ApiError> {
    let (permit, project) = find(&call, &id, UPDATE_TAGS).await?;
    let given = body.get("tags").cloned().unwrap_or_else(|| json!({}));
    call.parts.schemas.validate(SEVERAL, &given)?;
    let given: Vec<String> = serde_json::from_value(given).map_err(ApiError::internal)?;
    let project = project.ok_or_else(|| ApiError::not_found("project", &id))?;
    let mut tags: Vec<String> = given.iter().map(|tag| tag.trim().to_owned()).collect();
    tags.sort_unstable();
    tags.dedup();
    let mut tx = call.begin().await?;
    let project = set_tags(&mut tx, &project.id, tags).await?;
    let saved = tx.commit().await?;
    Ok(permit.updated(saved, document(&call, &project.tags)))
}

async fn clear(call: Call, Path(id): Path<ProjectId>) -> Result<Reply<()>, ApiError> {
    let (permit, project) = find(&call, &id, DELETE_TAGS).await?;
    let project = project.ok_or_else(|| ApiError::not_found("project", &id))?;
    let mut tx = call.begin().await?;
    set_tags(&mut tx, &project.id, Vec::new()).await?;
    Ok(permit.done(tx.commit().await?))
}

async fn check(
    call: Call,
    Path((id, Text(tag))): Path<(ProjectId, Text)>,
) -> Result<Reply<()>, ApiError> {
    let (permit, project) = find(&call, &id, GET_TAG).await?;
    let project = project.ok_or_else(|| ApiError::not_found("project", &id))?;
    if !project.tags.contains(&tag) {
        return Err(ApiError::not_found("project tag", tag));
    }
    Ok(permit.confirmed())
}

async fn add(
    call: Call,
    Path((id, Text(tag))): Path<(ProjectId, Text)>,
) -> Result<Reply<()>, ApiError> {
    let (permit, project) = find(&call, &id, CREATE_TAG).await?;
    let schemas = &call.parts.schemas;
    schemas.validate(ONE_TAG, &json!(tag))?;
    let project = project.ok_or_else(|| ApiError::not_found("project", &id))?;
    let mut tx = call.begin().await?;
    let changed = tx.change(&project.id, |mut project: Project| {
        // That it is there already, or that there are too many, is for the schema to tell.
        let mut tags = project.tags.clone();
        tags.push(tag.clone());
        schemas.validate(SEVERAL, &json!(tags))?;
        refuse_immutable("create", &project)?;
        project.tags.push(tag.trim().to_owned());
        Ok::<_, ApiError>(project)
    });
    changed.await?;
    let _saved = tx.commit().await?;
    let reply = permit.reply(StatusCode::CREATED, None);
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    let reply = reply.header(header::CONTENT_TYPE, html);
    let tag = utf8_percent_encode(&tag, UNSAFE);
    match HeaderValue::try_from(format!("{}/v3/{id}/tags/{tag}", call.links.base_url())) {
        Ok(location) => Ok(reply.header(header::LOCATION, location)),
        Err(_) => Ok(reply),
    }
}

async fn remove(
    call: Call,
    Path((id, Text(tag))): Path<(ProjectId, Text)>,
) -> Result<Reply<()>, ApiError> {
    let (permit, project) = find(&call, &id, DELETE_TAG).await?;
    let project = project.ok_or_else(|| ApiError::not_found("project", &id))?;
    let mut tx = call.begin().await?;
    let changed = tx.change(&project.id, |mut project: Project| {
        refuse_immutable("delete", &project)?;
        let place = project.tags.iter().position(|known| *known == tag);
        let place = place.ok_or_else(|| ApiError::not_found("project tag", &tag))?;
        project.tags.remove(place);
        Ok::<_, ApiError>(project)
    });
    changed.await?;
    Ok(permit.done(tx.commit().await?))
}

/// The schemas of one tag, and of all that a project has.
const ONE_TAG: &str = "resource.project_tag_create";
const SEVERAL: &str = "resource.project_tags_update";

/// What a location cannot hold as it is, beyond all that is not ASCII.
const UNSAFE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A project, and the right to do with its tags what a rule is about.
async fn find(
    call: &Call,
    id: &ProjectId,
    rule: Rule,
) -> Result<(Permit, Option<Project>), ApiError> {
    let project = call.store.projects().find(id).await?;
    let permit = call.authorize(rule, project.as_ref())?;
    Ok((permit, project))
}

/// Gives a project other tags.
async fn set_tags(tx: &mut Tx, id: &ProjectId, tags: Vec<String>) -> Result<Project, ApiError> {
    let changed = tx.change(id, |mut project: Project| {
        refuse_immutable("update", &project)?;
        project.tags = tags;
        Ok(project)
    });
    changed.await
}

fn refuse_immutable(act: &str, project: &Project) -> Result<(), ApiError> {
    if project.options.immutable != Some(true) {
        return Ok(());
    }
    Err(ApiError::Forbidden(format!(
        "Cannot {act} project tags for {}, project is immutable. Set \"immutable\" option to false \
         before creating project tags.",
        project.id
    )))
}

/// The link leads to the API and not to the tags, as in the reference.
fn document(call: &Call, tags: &[String]) -> Value {
    json!({"links": {"self": format!("{}/v3", call.links.base_url())}, "tags": tags})
}
