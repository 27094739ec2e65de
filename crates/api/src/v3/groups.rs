//! Groups: users that are given roles together.

use std::borrow::Cow;

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::{One, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::flows::revoke::{revoke_members, revoke_user};
use auth::rules::targets::GroupsInDomain;
use auth::rules::{Target, Wanted, keys_of};
use model::Extra;
use model::ids::{DomainId, GroupId, UserId};
use model::user::{Group, GroupFilter, Membership, User, UserFilter};
use policy::{Keys, Rule, ScopeType};
use serde::{Deserialize, Serialize};
use store::StoreError;
use web::operation::Operation;
use web::reply::{Collection, Links, SelfLink};
use web::request::extract::{Body, Named, nullable};

use crate::v3::user_filters;
use crate::v3::users::{self, UserDocument};

/// The operations on groups.
pub fn routes() -> Routes {
    Routes::new()
        .on(&LIST, list)
        .on(&SHOW, show)
        .on(&CREATE, create)
        .on(&UPDATE, update)
        .on(&DELETE, delete)
        .on(&LIST_OF_MEMBERS, list_members)
        .on(&CHECK_MEMBER, check_member)
        .on(&ADD_MEMBER, add_member)
        .on(&REMOVE_MEMBER, remove_member)
}

static LIST: Operation = Operation::get("/v3/groups", "List groups")
    .rules(&[LIST_GROUPS])
    .query("identity.group_index_request_query")
    .filters(&["domain_id", "name"]);
static SHOW: Operation =
    Operation::get("/v3/groups/{group_id}", "Show a group").rules(&[GET_GROUP]);
static CREATE: Operation = Operation::post("/v3/groups", "Create a group")
    .rules(&[CREATE_GROUP])
    .body("identity.group_create_request_body");
static UPDATE: Operation = Operation::patch("/v3/groups/{group_id}", "Update a group")
    .rules(&[UPDATE_GROUP])
    .body("identity.group_update_request_body");
static DELETE: Operation =
    Operation::delete("/v3/groups/{group_id}", "Delete a group").rules(&[DELETE_GROUP]);
static LIST_OF_MEMBERS: Operation =
    Operation::get("/v3/groups/{group_id}/users", "List the members of a group")
        .rules(&[LIST_USERS_IN_GROUP])
        .filters(&["domain_id", "enabled", "name", "password_expires_at"]);
static CHECK_MEMBER: Operation = Operation::get(
    "/v3/groups/{group_id}/users/{user_id}",
    "Check whether a user is a member of a group",
)
.rules(&[CHECK_USER_IN_GROUP])
.answers(&[(204, "The user is a member of the group.")]);
static ADD_MEMBER: Operation = Operation::put(
    "/v3/groups/{group_id}/users/{user_id}",
    "Add a user to a group",
)
.rules(&[ADD_USER_TO_GROUP])
.answers(&[(204, "The user is a member of the group.")]);
static REMOVE_MEMBER: Operation = Operation::delete(
    "/v3/groups/{group_id}/users/{user_id}",
    "Remove a user from a group",
)
.rules(&[REMOVE_USER_FROM_GROUP])
.answers(&[(204, "The user is no longer a member of the group.")]);

const SCOPES: &[ScopeType] = &[ScopeType::System, ScopeType::Domain, ScopeType::Project];

const LIST_GROUPS: Rule = Rule::new("identity:list_groups", READ_IN_DOMAIN)
    .scopes(SCOPES)
    .deprecated("rule:admin_required")
    .about(keys_of::<GroupsInDomain>());
const GET_GROUP: Rule = Rule::new("identity:get_group", READ_IN_DOMAIN)
    .scopes(SCOPES)
    .deprecated("rule:admin_required")
    .about(keys_of::<Group>());
const CREATE_GROUP: Rule = Rule::new("identity:create_group", MANAGED_IN_DOMAIN)
    .scopes(SCOPES)
    .deprecated("rule:admin_required")
    .about(keys_of::<Group>());
const UPDATE_GROUP: Rule = Rule::new("identity:update_group", MANAGED_IN_DOMAIN)
    .scopes(SCOPES)
    .deprecated("rule:admin_required")
    .about(keys_of::<Group>());
const DELETE_GROUP: Rule = Rule::new("identity:delete_group", MANAGED_IN_DOMAIN)
    .scopes(SCOPES)
    .deprecated("rule:admin_required")
    .about(keys_of::<Group>());
const LIST_USERS_IN_GROUP: Rule = Rule::new("identity:list_users_in_group", READ_IN_DOMAIN)
    .scopes(SCOPES)
    .deprecated("rule:admin_required")
    .about(keys_of::<Group>());
const CHECK_USER_IN_GROUP: Rule = Rule::new(
    "identity:check_user_in_group",
    "(rule:admin_required) or (role:reader and system_scope:all) or \
     (role:reader and domain_id:%(target.group.domain_id)s and \
     domain_id:%(target.user.domain_id)s)",
)
.scopes(SCOPES)
.deprecated("rule:admin_required")
.about(keys_of::<Pair>());
const ADD_USER_TO_GROUP: Rule = Rule::new("identity:add_user_to_group", BOTH_MANAGED_IN_DOMAIN)
    .scopes(SCOPES)
    .deprecated("rule:admin_required")
    .about(keys_of::<Pair>());
const REMOVE_USER_FROM_GROUP: Rule =
    Rule::new("identity:remove_user_from_group", BOTH_MANAGED_IN_DOMAIN)
        .scopes(SCOPES)
        .deprecated("rule:admin_required")
        .about(keys_of::<Pair>());

const READ_IN_DOMAIN: &str = "(rule:admin_required) or (role:reader and system_scope:all) or \
     (role:reader and domain_id:%(target.group.domain_id)s)";
const MANAGED_IN_DOMAIN: &str = "(rule:admin_required) or \
     (role:manager and domain_id:%(target.group.domain_id)s)";
const BOTH_MANAGED_IN_DOMAIN: &str = "(rule:admin_required) or \
     (role:manager and domain_id:%(target.group.domain_id)s and \
     domain_id:%(target.user.domain_id)s)";

async fn list(call: Call) -> Result<Reply<Collection<GroupDocument>>, ApiError> {
    let scope = call.caller().domain_scope();
    let permit = call.authorize(LIST_GROUPS, GroupsInDomain(scope.clone()))?;
    let filter = GroupFilter {
        domain_id: call.request.query.id("domain_id"),
        name: call.request.query.text("name"),
        // A token of a domain sees nothing else, whatever was asked for.
        within: scope,
    };
    let filtered = call.request.query.filters_by(&["domain_id", "name"]);
    let range = users::range(&call, filtered || filter.within.is_some())?;
    if let Some(marker) = range.marker() {
        let found = call.store.groups().find(&marker.into()).await?;
        found.ok_or_else(|| ApiError::unknown_marker(marker))?;
    }
    let groups = call.store.groups().list(&filter, &range.page()).await?;
    let documents = groups
        .into_iter()
        .map(|group| GroupDocument::new(group, &call.links))
        .collect();
    let part = call.part_of_collection("groups", documents, &range, |it| it.id.as_str());
    Ok(permit.ok(part))
}

async fn show(call: Call, Path(id): Path<GroupId>) -> Result<Reply<One<GroupDocument>>, ApiError> {
    let group = call.store.groups().find(&id).await?;
    let (group, permit) = call.find_or_refuse(GET_GROUP, "group", &id, group)?;
    Ok(permit.ok(One::new("group", GroupDocument::new(group, &call.links))))
}

async fn create(
    call: Call,
    Body(request): Body<CreateGroup>,
) -> Result<Reply<One<GroupDocument>>, ApiError> {
    // Only a domain that the client names counts here: a manager has to name it.
    let permit = call.authorize(CREATE_GROUP, Wanted::<Group>::of(&call.request))?;
    let group = request.into_group(&call)?;
    if call.store.domains().find(&group.domain_id).await?.is_none() {
        return Err(ApiError::not_found("domain", &group.domain_id));
    }
    check_name(&group.name)?;
    let mut tx = call.begin().await?;
    tx.domains_mut().require(&group.domain_id).await?;
    tx.groups_mut().insert(&group).await.map_err(|error| {
        let (name, domain_id) = (&group.name, &group.domain_id);
        ApiError::from(error).conflict_details(|| {
            format!("Duplicate entry found with name {name} at domain ID {domain_id}")
        })
    })?;
    let saved = tx.commit().await?;
    let document = GroupDocument::new(group, &call.links);
    Ok(permit.created(saved, One::new("group", document)))
}

async fn update(
    call: Call,
    Path(id): Path<GroupId>,
    Body(change): Body<ChangeGroup>,
) -> Result<Reply<One<GroupDocument>>, ApiError> {
    let group = call.store.groups().find(&id).await?;
    let (group, permit) = call.find_or_refuse(UPDATE_GROUP, "group", &id, group)?;
    let id = group.id.clone();
    let name = change.clone().apply(group).name;
    let mut tx = call.begin().await?;
    let changed = tx.change(&id, |group| {
        change.check(&group)?;
        let changed = change.apply(group);
        check_name(&changed.name)?;
        Ok(changed)
    });
    let changed = changed.await.map_err(|error| name_taken(error, &name))?;
    let saved = tx.commit().await?;
    let document = GroupDocument::new(changed, &call.links);
    Ok(permit.updated(saved, One::new("group", document)))
}

async fn delete(call: Call, Path(id): Path<GroupId>) -> Result<Reply<()>, ApiError> {
    call.require_token()?;
    // The reference tells everybody who is logged in that there is no such group.
    let group = call.store.groups().find(&id).await?;
    let group = group.ok_or_else(|| ApiError::not_found("group", &id))?;
    let permit = call.authorize(DELETE_GROUP, &group)?;
    let mut tx = call.begin().await?;
    tx.groups_mut().lock(&group.id).await?;
    // Without roles the group gave its members nothing that their tokens could keep.
    if tx.groups().holds_roles(&group.id).await? {
        revoke_members(&call.parts, &mut tx, &group.id, call.now()).await?;
    }
    tx.groups_mut().delete(&group.id).await?;
    Ok(permit.done(tx.commit().await?))
}

async fn list_members(
    call: Call,
    Path(id): Path<GroupId>,
) -> Result<Reply<Collection<UserDocument>>, ApiError> {
    let group = call.store.groups().find(&id).await?;
    let (_, permit) = call.find_or_refuse(LIST_USERS_IN_GROUP, "group", &id, group)?;
    let filter = UserFilter {
        group_id: Some(id),
        ..user_filters::filter(&call)?
    };
    let range = users::range(&call, false)?;
    Ok(permit.ok(users::part_of_users(&call, &filter, &range).await?))
}

async fn check_member(
    call: Call,
    Path((id, user_id)): Path<(GroupId, UserId)>,
) -> Result<Reply<()>, ApiError> {
    let pair = Pair::find(&call, &id, &user_id).await?;
    let permit = call.authorize(CHECK_USER_IN_GROUP, &pair)?;
    let (id, user_id) = pair.ids(&id, &user_id)?;
    let mut groups = call.store.groups();
    if !groups.is_member(id, user_id, call.now()).await? {
        return Err(no_member(id, user_id));
    }
    Ok(permit.confirmed())
}

async fn add_member(
    call: Call,
    Path((id, user_id)): Path<(GroupId, UserId)>,
) -> Result<Reply<()>, ApiError> {
    let pair = Pair::find(&call, &id, &user_id).await?;
    let permit = call.authorize(ADD_USER_TO_GROUP, &pair)?;
    let (id, user_id) = pair.ids(&id, &user_id)?;
    let mut tx = call.begin().await?;
    if tx.groups().has_member(id, user_id).await? {
        return Ok(permit.confirmed());
    }
    match tx.groups_mut().insert_member(id, user_id).await {
        // Somebody else was faster.
        Err(StoreError::Conflict { .. }) => Ok(permit.confirmed()),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(permit.done(tx.commit().await?)),
    }
}

async fn remove_member(
    call: Call,
    Path((id, user_id)): Path<(GroupId, UserId)>,
) -> Result<Reply<()>, ApiError> {
    let pair = Pair::find(&call, &id, &user_id).await?;
    let permit = call.authorize(REMOVE_USER_FROM_GROUP, &pair)?;
    let (id, user_id) = pair.ids(&id, &user_id)?;
    let mut tx = call.begin().await?;
    if !tx.groups_mut().delete_member(id, user_id).await? {
        return Err(no_member(id, user_id));
    }
    revoke_user(&call.parts, &mut tx, user_id, call.now()).await?;
    Ok(permit.done(tx.commit().await?))
}

/// A group and a user, either of which may not exist.
struct Pair {
    group: Option<Group>,
    user: Option<User>,
}

impl Pair {
    async fn find(call: &Call, id: &GroupId, user_id: &UserId) -> Result<Self, ApiError> {
        Ok(Self {
            group: call.store.groups().find(id).await?,
            user: call.store.users().find(user_id).await?,
        })
    }

    /// The ids of both as they are stored. MariaDB finds them by other spellings as well.
    fn ids(&self, id: &GroupId, user_id: &UserId) -> Result<(&GroupId, &UserId), ApiError> {
        let group = self.group.as_ref();
        let group = group.ok_or_else(|| ApiError::not_found("group", id))?;
        let user = self.user.as_ref();
        let user = user.ok_or_else(|| ApiError::not_found("user", user_id))?;
        Ok((&group.id, &user.id))
    }
}

fn no_member(id: &GroupId, user_id: &UserId) -> ApiError {
    ApiError::NotFoundAs(format!("User '{user_id}' not found in group '{id}'"))
}

/// The schema lets names pass that are longer than the column.
fn check_name(name: &str) -> Result<(), ApiError> {
    ApiError::check_length(name, "name", 64)
}

fn name_taken(error: ApiError, name: &str) -> ApiError {
    error.conflict_details(|| format!("Duplicate entry found with name {name}"))
}

/// The body of a new group.
#[derive(Deserialize)]
struct CreateGroup {
    name: String,
    domain_id: Option<DomainId>,
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
    #[serde(flatten)]
    extra: Extra,
}

impl Named for CreateGroup {
    const NAME: &'static str = "group";
    const UNDERSCORES: bool = true;
}

impl CreateGroup {
    fn into_group(mut self, call: &Call) -> Result<Group, ApiError> {
        remove_ours(&mut self.extra);
        Ok(Group {
            id: call.new_id(),
            name: self.name.trim().to_owned(),
            domain_id: call.owning_domain(self.domain_id)?,
            description: self.description.unwrap_or_else(|| Some(String::new())),
            extra: self.extra,
        })
    }
}

/// The body of a change. What is absent stays as it is.
#[derive(Clone, Deserialize)]
struct ChangeGroup {
    id: Option<String>,
    name: Option<String>,
    domain_id: Option<DomainId>,
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
    #[serde(flatten)]
    extra: Extra,
}

impl Named for ChangeGroup {
    const NAME: &'static str = "group";
}

impl ChangeGroup {
    /// Refuses what may never change.
    fn check(&self, group: &Group) -> Result<(), ApiError> {
        if self.id.as_deref().is_some_and(|id| id != group.id.as_str()) {
            return Err(ApiError::BadRequest("Cannot change ID".into()));
        }
        if self
            .domain_id
            .as_ref()
            .is_some_and(|id| *id != group.domain_id)
        {
            return Err(ApiError::BadRequest("Cannot change Domain ID".into()));
        }
        Ok(())
    }

    fn apply(self, mut group: Group) -> Group {
        if let Some(name) = self.name {
            group.name = name.trim().to_owned();
        }
        if let Some(description) = self.description {
            group.description = description;
        }
        group.extra.extend(self.extra);
        remove_ours(&mut group.extra);
        group
    }
}

/// Names that an answer writes itself cannot be attributes of a group's own.
fn remove_ours(extra: &mut Extra) {
    for ours in ["id", "links", "extra"] {
        extra.remove(ours);
    }
}

/// A group, as clients see it.
#[derive(Debug, Serialize)]
pub(crate) struct GroupDocument {
    #[serde(flatten)]
    attributes: Extra,
    id: GroupId,
    name: String,
    domain_id: DomainId,
    description: Option<String>,
    links: SelfLink,
}

impl GroupDocument {
    pub(crate) fn new(group: Group, links: &Links) -> Self {
        Self {
            links: links.to(&format!("groups/{}", group.id)),
            id: group.id,
            name: group.name,
            domain_id: group.domain_id,
            description: group.description,
            attributes: group.extra,
        }
    }
}

/// A group among those of one user.
#[derive(Debug, Serialize)]
pub(crate) struct MembershipDocument {
    #[serde(flatten)]
    group: GroupDocument,
    membership_expires_at: Option<String>,
}

impl MembershipDocument {
    pub(crate) fn id(&self) -> &str {
        self.group.id.as_str()
    }

    pub(crate) fn new(membership: Membership, links: &Links) -> Self {
        Self {
            group: GroupDocument::new(membership.group, links),
            membership_expires_at: membership.expires_at.map(users::local_time),
        }
    }
}

impl Target for Pair {
    const KEYS: Keys = keys_of::<(Group, User)>();

    fn find(&self, key: &str) -> Option<Cow<'_, str>> {
        self.group.find(key).or_else(|| self.user.find(key))
    }
}
