//! The projects that the caller can get a token for.

use auth::call::Call;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
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
    let permit = call.authorize(GET_PROJECTS, ())?;
    let projects = match call.caller().token() {
        None => Vec::new(),
        Some(own) => {
            let groups = own.token.group_ids();
            call.store
                .projects()
                .list_of_user(&own.subject.id, groups, &Default::default(), call.now())
                .await?
        }
    };
    let documents = projects
        .into_iter()
        .map(|project| ProjectDocument::new(project, &call.links))
        .collect();
    Ok(permit.ok(call.collection("projects", documents)))
}
