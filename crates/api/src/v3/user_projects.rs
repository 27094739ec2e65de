//! The projects of a user.

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::rules::keys_of;
use model::ids::UserId;
use model::project::ProjectFilter;
use model::user::User;
use policy::{Rule, ScopeType};
use web::operation::Operation;
use web::reply::Collection;

use crate::v3::projects::ProjectDocument;

/// The operation on the projects of a user.
pub fn routes() -> Routes {
    Routes::new().on(&LIST, list)
}

static LIST: Operation = Operation::get(
    "/v3/users/{user_id}/projects",
    "List the projects of a user",
)
.rules(&[LIST_USER_PROJECTS])
.filters(&["domain_id", "enabled", "name"]);

const LIST_USER_PROJECTS: Rule = Rule::new(
    "identity:list_user_projects",
    "(rule:admin_required) or (role:reader and system_scope:all) or \
     (role:reader and domain_id:%(target.user.domain_id)s) or user_id:%(target.user.id)s",
)
.scopes(&[ScopeType::System, ScopeType::Domain, ScopeType::Project])
.deprecated("rule:admin_or_owner")
.about(keys_of::<User>());

async fn list(
    call: Call,
    Path(id): Path<UserId>,
) -> Result<Reply<Collection<ProjectDocument>>, ApiError> {
    let user = call.store.users().find(&id).await?;
    let (_, permit) = call.find_or_refuse(LIST_USER_PROJECTS, "user", &id, user)?;
    let query = &call.request.query;
    let filter = ProjectFilter {
        domain_id: query.id("domain_id"),
        enabled: query.flag_filter("enabled")?,
        name: query.text("name"),
        ..ProjectFilter::default()
    };
    let projects = call
        .store
        .projects()
        .list_of_user(&id, &[], &filter, call.now())
        .await?;
    let mut documents = ProjectDocument::all(projects, &call.links);
    let range = call.range(None)?;
    range.skip(&mut documents, ProjectDocument::id);
    let part = call.part_of_collection("projects", documents, &range, ProjectDocument::id);
    Ok(permit.ok(part))
}
