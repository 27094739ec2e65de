//! Users: people and programs that can log in.

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::{One, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::flows::new_password::{ChosenBy, new_password};
use auth::flows::revoke::revoke_user;
use auth::rules::targets::InDomain;
use auth::rules::{Wanted, keys_of};
use model::ids::{DomainId, ProjectId, UserId};
use model::subject::UserOptions;
use model::user::{FederatedIdentity, User, UserFilter};
use model::{Extra, Secret, Timestamp};
use policy::{Rule, ScopeType};
use serde::{Deserialize, Serialize};
use store::{Projects, StoreError, Tx};
use web::operation::Operation;
use web::reply::{Collection, Links, Range, SelfLink};
use web::request::extract::{Body, Named, nullable};

use crate::v3::user_filters::filter;
use crate::v3::user_identities::{FederatedDocument, check_federation, identities};

/// The operations on users.
pub fn routes() -> Routes {
    Routes::new()
        .on(&LIST, list)
        .on(&SHOW, show)
        .on(&CREATE, create)
        .on(&UPDATE, update)
        .on(&DELETE, delete)
        .on(&REVOKE_TOKENS, revoke_tokens)
}

static LIST: Operation = Operation::get("/v3/users", "List users")
    .rules(&[LIST_USERS])
    .query("identity.user_index_request_query")
    .filters(&[
        "domain_id",
        "enabled",
        "idp_id",
        "name",
        "protocol_id",
        "unique_id",
        "password_expires_at",
    ]);
static SHOW: Operation = Operation::get("/v3/users/{user_id}", "Show a user").rules(&[GET_USER]);
static CREATE: Operation = Operation::post("/v3/users", "Create a user")
    .rules(&[CREATE_USER])
    .body("identity.user_create_request");
static UPDATE: Operation = Operation::patch("/v3/users/{user_id}", "Update a user")
    .rules(&[UPDATE_USER])
    .body("identity.user_update_request");
static DELETE: Operation =
    Operation::delete("/v3/users/{user_id}", "Delete a user").rules(&[DELETE_USER]);
static REVOKE_TOKENS: Operation =
    Operation::delete("/v3/users/{user_id}/tokens", "Revoke all tokens of a user")
        .rules(&[REVOKE_TOKENS_FOR_USER])
        .answers(&[(204, "The tokens are revoked.")]);
const SCOPES: &[ScopeType] = &[ScopeType::System, ScopeType::Domain, ScopeType::Project];

const LIST_USERS: Rule = Rule::new(
    "identity:list_users",
    "(rule:admin_required) or (role:reader and system_scope:all) or \
     (role:reader and domain_id:%(target.domain_id)s)",
)
.scopes(SCOPES)
.deprecated("rule:admin_required")
.about(keys_of::<InDomain>());
const GET_USER: Rule = Rule::new(
    "identity:get_user",
    "(rule:admin_required) or (role:reader and system_scope:all) or \
     (role:reader and token.domain.id:%(target.user.domain_id)s) or \
     user_id:%(target.user.id)s",
)
.scopes(SCOPES)
.deprecated("rule:admin_or_owner")
.about(keys_of::<User>());
const CREATE_USER: Rule = Rule::new("identity:create_user", MANAGED_IN_DOMAIN)
    .scopes(SCOPES)
    .deprecated("rule:admin_required")
    .about(keys_of::<User>());
const UPDATE_USER: Rule = Rule::new("identity:update_user", MANAGED_IN_DOMAIN)
    .scopes(SCOPES)
    .deprecated("rule:admin_required")
    .about(keys_of::<User>());
const DELETE_USER: Rule = Rule::new("identity:delete_user", MANAGED_IN_DOMAIN)
    .scopes(SCOPES)
    .deprecated("rule:admin_required")
    .about(keys_of::<User>());
const REVOKE_TOKENS_FOR_USER: Rule =
    Rule::new("identity:revoke_tokens_for_user", "rule:admin_or_owner")
        .scopes(SCOPES)
        .about(keys_of::<User>());
const MANAGED_IN_DOMAIN: &str = "(rule:admin_required) or \
     (role:manager and token.domain.id:%(target.user.domain_id)s)";

async fn list(call: Call) -> Result<Reply<Collection<UserDocument>>, ApiError> {
    let permit = call.authorize(LIST_USERS, InDomain(call.caller().domain_scope()))?;
    let filter = UserFilter {
        identity_provider_id: call.request.query.id("idp_id"),
        protocol_id: call.request.query.id("protocol_id"),
        unique_id: call.request.query.id("unique_id"),
        ..filter(&call)?
    };
    let range = range(&call, filters(&call))?;
    if let Some(marker) = range.marker() {
        let found = call.store.users().find(&marker.into()).await?;
        found.ok_or_else(|| ApiError::unknown_marker(marker))?;
    }
    Ok(permit.ok(part_of_users(&call, &filter, &range).await?))
}

async fn show(call: Call, Path(id): Path<UserId>) -> Result<Reply<One<UserDocument>>, ApiError> {
    let user = find(&call, &id).await?;
    let (user, permit) = call.find_or_refuse(GET_USER, "user", &id, user)?;
    let identities = call.store.users().list_federated_identities(&id).await?;
    let document = UserDocument::new(user, &call.links).with_federated(&identities);
    Ok(permit.ok(One::new("user", document)))
}

async fn create(
    mut call: Call,
    Body(request): Body<CreateUser>,
) -> Result<Reply<One<UserDocument>>, ApiError> {
    // Only a domain that the client names counts here: a manager has to name it.
    let mut permit = call.authorize(CREATE_USER, Wanted::<User>::of(&call.request))?;
    let NewUser {
        mut user,
        password,
        identities,
    } = request.into_user(&call)?;
    if call.store.domains().find(&user.domain_id).await?.is_none() {
        return Err(ApiError::not_found("domain", &user.domain_id));
    }
    let mut projects = call.store.projects();
    check_default_project(&mut projects, user.default_project_id.as_ref()).await?;
    check_federation(&call, &identities).await?;
    let password = match password {
        None => None,
        Some(password) => {
            let chosen_by = ChosenBy::Administrator;
            let hashed = new_password(&call.parts, password.as_ref(), chosen_by).await?;
            call.look_again().await?;
            permit = call.authorize(CREATE_USER, Wanted::<User>::of(&call.request))?;
            Some(hashed)
        }
    };
    let mut tx = call.begin().await?;
    tx.domains_mut().require(&user.domain_id).await?;
    hold_default_project(&mut tx, user.default_project_id.as_ref()).await?;
    let now = call.parts.clock.now();
    let password = password.map(|password| password.set_at(&call.parts, &user.options, now));
    user.password_expires_at = password.as_ref().and_then(|password| password.expires_at);
    let mut users = tx.users_mut();
    users
        .insert(&user, password.as_ref(), now)
        .await
        .map_err(|error| {
            let domain_id = &user.domain_id;
            ApiError::from(error).conflict_details(|| {
                format!(
                    "Duplicate entry found with name {} at domain ID {domain_id}",
                    user.name
                )
            })
        })?;
    if !identities.is_empty() {
        users
            .replace_federated_identities(&user, &identities)
            .await?;
    }
    note_active(&call, &mut tx, &user).await?;
    let saved = tx.commit().await?;
    let document = UserDocument::new(user, &call.links).with_federated(&identities);
    Ok(permit.created(saved, One::new("user", document)))
}

async fn update(
    mut call: Call,
    Path(id): Path<UserId>,
    Body(mut change): Body<ChangeUser>,
) -> Result<Reply<One<UserDocument>>, ApiError> {
    let user = find(&call, &id).await?;
    let (user, mut permit) = call.find_or_refuse(UPDATE_USER, "user", &id, user)?;
    change.check(&user)?;
    let wanted = change.apply(&user);
    if change.default_project_id.is_some() {
        let mut projects = call.store.projects();
        check_default_project(&mut projects, wanted.default_project_id.as_ref()).await?;
    }
    let given = identities(std::mem::take(&mut change.federated));
    check_federation(&call, &given).await?;
    let password = match &change.password {
        None => None,
        Some(password) => {
            let chosen_by = ChosenBy::Administrator;
            let hashed = new_password(&call.parts, password.as_ref(), chosen_by).await?;
            call.look_again().await?;
            permit = call.authorize(UPDATE_USER, &user)?;
            Some(hashed)
        }
    };
    let mut was_enabled = false;
    let mut tx = call.begin().await?;
    if change.default_project_id.is_some() {
        hold_default_project(&mut tx, wanted.default_project_id.as_ref()).await?;
    }
    let changed = tx.change(&user.id, |user: User| {
        was_enabled = user.enabled;
        change.check(&user)?;
        Ok(change.apply(&user))
    });
    let mut changed = changed
        .await
        .map_err(|error| name_taken(error, &wanted.name))?;
    if let Some(password) = password {
        let password = password.set_at(&call.parts, &changed.options, call.parts.clock.now());
        changed.password_expires_at = password.expires_at;
        let keep = passwords_kept(&call);
        if !tx
            .users_mut()
            .replace_password(&changed.id, &password, keep)
            .await?
        {
            return Err(ApiError::BadRequest(format!(
                "User {} is kept elsewhere and has no password here.",
                changed.id
            )));
        }
    }
    note_active(&call, &mut tx, &changed).await?;
    let identities = if given.is_empty() {
        tx.users().list_federated_identities(&changed.id).await?
    } else {
        tx.users_mut()
            .replace_federated_identities(&changed, &given)
            .await?;
        given
    };
    let gets_password = matches!(change.password, Some(Some(_)));
    if gets_password || (was_enabled && !changed.enabled) {
        revoke_user(&call.parts, &mut tx, &changed.id, call.now()).await?;
    }
    let saved = tx.commit().await?;
    let document = UserDocument::new(changed, &call.links)
        .with_extra()
        .with_federated(&identities);
    Ok(permit.updated(saved, One::new("user", document)))
}

async fn delete(call: Call, Path(id): Path<UserId>) -> Result<Reply<()>, ApiError> {
    let user = call.store.users().find(&id).await?;
    let (user, permit) = call.find_or_refuse(DELETE_USER, "user", &id, user)?;
    let mut tx = call.begin().await?;
    tx.users_mut().delete(&user.id, call.now()).await?;
    revoke_user(&call.parts, &mut tx, &user.id, call.now()).await?;
    Ok(permit.done(tx.commit().await?))
}

async fn revoke_tokens(call: Call, Path(id): Path<UserId>) -> Result<Reply<()>, ApiError> {
    let user = call.store.users().find(&id).await?;
    let (user, permit) = call.find_or_refuse(REVOKE_TOKENS_FOR_USER, "user", &id, user)?;
    let mut tx = call.begin().await?;
    revoke_user(&call.parts, &mut tx, &user.id, call.now()).await?;
    Ok(permit.done(tx.commit().await?))
}

/// The part of the users, or of the groups, that is shown. The reference does not look behind the
/// page of a list that is `filtered`.
pub(crate) fn range(call: &Call, filtered: bool) -> Result<Range, ApiError> {
    // Here the configuration counts more than the client's limit.
    let list_limit = call.parts.list_limit(call.parts.config.identity.list_limit);
    Ok(call
        .range(None)?
        .limited(list_limit)
        .bounded(call.parts.max_page())
        .guessing(filtered))
}

/// Those users, with the links of a collection.
pub(crate) async fn part_of_users(
    call: &Call,
    filter: &UserFilter,
    range: &Range,
) -> Result<Collection<UserDocument>, ApiError> {
    let users = call.store.users().list(filter, &range.page()).await?;
    let documents = users
        .into_iter()
        .map(|user| UserDocument::new(as_of_today(call, user), &call.links))
        .collect();
    Ok(call.part_of_collection("users", documents, range, |user| user.id.as_str()))
}

/// Whether a list of all users is filtered by more than what identity providers know.
fn filters(call: &Call) -> bool {
    let query = &call.request.query;
    let foreign = ["idp_id", "protocol_id", "unique_id"];
    let own = ["domain_id", "enabled", "name", "password_expires_at"];
    !query.filters_by(&foreign)
        && (query.filters_by(&own) || call.caller().domain_scope().is_some())
}

/// Finds a user as they are today.
async fn find(call: &Call, id: &UserId) -> Result<Option<User>, ApiError> {
    let found = call.store.users().find(id).await?;
    Ok(found.map(|user| as_of_today(call, user)))
}

/// A user who has not logged in for too long counts as disabled, whatever is stored.
fn as_of_today(call: &Call, mut user: User) -> User {
    let today = call.now().date_naive();
    user.enabled = call.parts.login_rules().keeps_enabled(&user, today);
    user
}

/// A user that is created or changed while enabled counts as active, when activity matters: so
/// inactivity does not disable the account again at once.
async fn note_active(call: &Call, tx: &mut Tx, user: &User) -> Result<(), ApiError> {
    let compliance = &call.parts.config.security_compliance;
    if user.enabled && compliance.disable_user_account_days_inactive.is_some() {
        let today = call.now().date_naive();
        tx.users_mut().note_active(&user.id, today).await?;
    }
    Ok(())
}

/// A domain cannot be a default project; something that does not exist can.
async fn check_default_project(
    projects: &mut Projects<'_>,
    id: Option<&ProjectId>,
) -> Result<(), ApiError> {
    let Some(id) = id else {
        return Ok(());
    };
    ApiError::check_length(id.as_str(), "default_project_id", 64)?;
    match projects.find(id).await? {
        Some(project) if project.is_domain() => Err(ApiError::BadRequest(format!(
            "User's default project ID cannot be a domain ID: {id}"
        ))),
        _ => Ok(()),
    }
}

/// The same in the transaction that writes. A project that is there stays until its end: who removes
/// the project then finds the user.
async fn hold_default_project(tx: &mut Tx, id: Option<&ProjectId>) -> Result<(), ApiError> {
    let Some(id) = id else {
        return Ok(());
    };
    match tx.projects_mut().require(id).await {
        Ok(()) => check_default_project(&mut tx.projects(), Some(id)).await,
        Err(StoreError::Missing { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// How many former passwords stay: as many as may not be taken again, and the last one anyway.
pub(crate) fn passwords_kept(call: &Call) -> usize {
    let count = call
        .parts
        .config
        .security_compliance
        .unique_last_password_count;
    count.max(1) as usize
}

fn name_taken(error: ApiError, name: &str) -> ApiError {
    error.conflict_details(|| format!("Duplicate entry found with name {name}"))
}

/// The body of a new user.
#[derive(Deserialize)]
struct CreateUser {
    name: String,
    domain_id: Option<DomainId>,
    enabled: Option<bool>,
    default_project_id: Option<ProjectId>,
    #[serde(default, deserialize_with = "nullable")]
    password: Option<Option<Secret<String>>>,
    #[serde(default)]
    options: OptionsDocument,
    #[serde(default)]
    federated: Vec<FederatedDocument>,
    #[serde(flatten)]
    extra: Extra,
}

/// A user to be created.
struct NewUser {
    user: User,
    /// `Some(None)` is a password that nobody can log in with.
    password: Option<Option<Secret<String>>>,
    identities: Vec<FederatedIdentity>,
}

impl Named for CreateUser {
    const NAME: &'static str = "user";
    const UNDERSCORES: bool = true;
}

impl CreateUser {
    fn into_user(mut self, call: &Call) -> Result<NewUser, ApiError> {
        remove_ours(&mut self.extra);
        let mut options = UserOptions::default();
        self.options.apply(&mut options);
        let user = User {
            id: call.new_id(),
            name: self.name.trim().to_owned(),
            domain_id: call.owning_domain(self.domain_id)?,
            enabled: self.enabled.unwrap_or(true),
            default_project_id: self.default_project_id,
            password_expires_at: None,
            last_seen: None,
            options,
            extra: self.extra,
        };
        Ok(NewUser {
            user,
            password: self.password,
            identities: identities(self.federated),
        })
    }
}

/// The body of a change. What is absent stays as it is.
#[derive(Deserialize)]
struct ChangeUser {
    id: Option<String>,
    name: Option<String>,
    domain_id: Option<DomainId>,
    enabled: Option<bool>,
    #[serde(default, deserialize_with = "nullable")]
    default_project_id: Option<Option<ProjectId>>,
    #[serde(default, deserialize_with = "nullable")]
    password: Option<Option<Secret<String>>>,
    #[serde(default)]
    options: OptionsDocument,
    #[serde(default)]
    federated: Vec<FederatedDocument>,
    #[serde(flatten)]
    extra: Extra,
}

impl Named for ChangeUser {
    const NAME: &'static str = "user";
}

impl ChangeUser {
    /// Refuses what may never change.
    fn check(&self, user: &User) -> Result<(), ApiError> {
        if self.id.as_deref().is_some_and(|id| id != user.id.as_str()) {
            return Err(ApiError::BadRequest("Cannot change ID".into()));
        }
        if self
            .domain_id
            .as_ref()
            .is_some_and(|id| *id != user.domain_id)
        {
            return Err(ApiError::BadRequest("Cannot change Domain ID".into()));
        }
        Ok(())
    }

    fn apply(&self, user: &User) -> User {
        let mut changed = user.clone();
        if let Some(name) = &self.name {
            changed.name = name.trim().to_owned();
        }
        if let Some(enabled) = self.enabled {
            changed.enabled = enabled;
        }
        if let Some(id) = &self.default_project_id {
            changed.default_project_id = id.clone();
        }
        self.options.apply(&mut changed.options);
        changed.extra.extend(self.extra.clone());
        remove_ours(&mut changed.extra);
        changed
    }
}

/// Names that an answer writes itself cannot be attributes of a user's own.
fn remove_ours(extra: &mut Extra) {
    for ours in ["id", "links", "extra", "password_expires_at"] {
        extra.remove(ours);
    }
}

/// A user, as clients see it.
#[derive(Debug, Serialize)]
pub(crate) struct UserDocument {
    #[serde(flatten)]
    attributes: Extra,
    id: UserId,
    name: String,
    domain_id: DomainId,
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    default_project_id: Option<ProjectId>,
    password_expires_at: Option<String>,
    /// What a change shows once more.
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<Extra>,
    options: OptionsDocument,
    /// Absent for a user whom no identity provider knows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    federated: Vec<FederatedDocument>,
    links: SelfLink,
}

impl UserDocument {
    pub(crate) fn new(user: User, links: &Links) -> Self {
        Self {
            links: links.to(&format!("users/{}", user.id)),
            id: user.id,
            name: user.name,
            domain_id: user.domain_id,
            enabled: user.enabled,
            default_project_id: user.default_project_id,
            password_expires_at: user.password_expires_at.map(local_time),
            options: user.options.into(),
            federated: Vec::new(),
            attributes: user.extra,
            extra: None,
        }
    }

    /// The answer to a change repeats the unknown attributes under `extra`.
    fn with_extra(mut self) -> Self {
        self.extra = Some(self.attributes.clone());
        self
    }

    fn with_federated(mut self, identities: &[FederatedIdentity]) -> Self {
        self.federated = FederatedDocument::of(identities);
        self
    }
}

/// Keystone writes the times of users and memberships without a zone.
pub(crate) fn local_time(time: Timestamp) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.6f").to_string()
}

/// Defines the options of users, as clients write and see them. Absent: say nothing; null: take
/// the option back.
macro_rules! options {
    ($($name:ident: $type:ty,)*) => {
        #[derive(Clone, Debug, Default, Deserialize, Serialize)]
        struct OptionsDocument {$(
            #[serde(
                default,
                deserialize_with = "nullable",
                skip_serializing_if = "Option::is_none"
            )]
            $name: Option<Option<$type>>,
        )*}

        impl OptionsDocument {
            /// Writes what the client said.
            fn apply(&self, options: &mut UserOptions) {
                $(
                    if let Some(value) = &self.$name {
                        options.$name = value.clone();
                    }
                )*
            }
        }

        impl From<UserOptions> for OptionsDocument {
            fn from(options: UserOptions) -> Self {
                Self { $( $name: options.$name.map(Some), )* }
            }
        }
    };
}

options! {
    ignore_change_password_upon_first_use: bool,
    ignore_password_expiry: bool,
    ignore_lockout_failure_attempts: bool,
    lock_password: bool,
    ignore_user_inactivity: bool,
    multi_factor_auth_enabled: bool,
    multi_factor_auth_rules: Vec<Vec<String>>,
}
