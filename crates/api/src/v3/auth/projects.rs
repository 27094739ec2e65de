//! The projects that the caller can get a token for.

use std::sync::Arc;

use auth::call::Call;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::rules::Target;
use policy::Rule;
use web::operation::Operation;
use web::reply::Collection;

use crate::v3::projects::ProjectDocument;

/// The operations on the caller's projects.
pub fn routes() -> Routes {
    Routes::new().on(&LIST, list).on(&LIST_FEDERATED, list)
}

static LIST: Operation = Operation::get(
    "/v3/auth/projects",
    "List the projects on which the caller has a role",
)
.rules(&[GET_PROJECTS])
.answers(&[(200, "The projects.")]);

static LIST_FEDERATED: Operation = Operation::get(
    "/v3/OS-FEDERATION/projects",
    "List the projects on which the caller has a role (deprecated path)",
)
.rules(&[GET_PROJECTS])
.answers(&[(200, "The projects.")]);

const GET_PROJECTS: Rule = Rule::new("identity:get_auth_projects", "");

async fn list(call: Call) -> Result<Reply<Collection<ProjectDocument>>, ApiError> {
    let permit = call.authorize(GET_PROJECTS, Target::none())?;
    let projects = match call.caller().token() {
        None => Arc::default(),
        Some(own) => {
            let groups = own.token.group_ids();
            let user_id = &own.subject.id;
            call.store.projects_of(user_id, groups, call.now()).await?
        }
    };
    let documents = projects
        .iter()
        .map(|project| ProjectDocument::new(project.clone(), &call.links))
        .collect();
    Ok(permit.ok(call.collection("projects", documents)))
}
