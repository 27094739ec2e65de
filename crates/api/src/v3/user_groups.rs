//! The groups of a user.

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::Reply;
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::rules::keys_of;
use model::ids::UserId;
use model::user::{GroupFilter, User};
use policy::{Rule, ScopeType};
use web::operation::Operation;
use web::reply::Collection;

use crate::v3::groups::MembershipDocument;
use crate::v3::users::range;

/// The operation on the groups of a user.
pub fn routes() -> Routes {
    Routes::new().on(&LIST, list)
}

static LIST: Operation = Operation::get("/v3/users/{user_id}/groups", "List the groups of a user")
    .rules(&[LIST_GROUPS_FOR_USER])
    .filters(&["name"]);

const LIST_GROUPS_FOR_USER: Rule = Rule::new(
    "identity:list_groups_for_user",
    "(rule:admin_required) or (role:reader and system_scope:all) or \
     (role:reader and domain_id:%(target.user.domain_id)s) or user_id:%(user_id)s",
)
.scopes(&[ScopeType::System, ScopeType::Domain, ScopeType::Project])
.deprecated("rule:admin_or_owner")
.about(keys_of::<User>());

async fn list(
    call: Call,
    Path(id): Path<UserId>,
) -> Result<Reply<Collection<MembershipDocument>>, ApiError> {
    let user = call.store.users().find(&id).await?;
    let (_, permit) = call.find_or_refuse(LIST_GROUPS_FOR_USER, "user", &id, user)?;
    let filter = GroupFilter {
        domain_id: None,
        name: call.request.query.text("name"),
        within: call.caller().domain_scope(),
    };
    let range = range(&call, false)?;
    let memberships = call
        .store
        .groups()
        .list_of_user(&id, &filter, call.now())
        .await?;
    let mut documents: Vec<_> = memberships
        .into_iter()
        .map(|membership| MembershipDocument::new(membership, &call.links))
        .collect();
    // Those that end stand behind those that last, and a part is one of the order of ids.
    documents.sort_by(|one, other| one.id().cmp(other.id()));
    range.skip(&mut documents, MembershipDocument::id);
    let part = call.part_of_collection("groups", documents, &range, MembershipDocument::id);
    Ok(permit.ok(part))
}
