//! Roles: names that policies give a meaning.

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::{One, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::flows::checks::refuse_immutable;
use auth::rules::{Wanted, keys_of};
use auth::tokens::RoleDocument;
use model::Extra;
use model::ids::{DomainId, RoleId};
use model::project::ResourceOptions;
use model::role::{Role, RoleFilter};
use policy::{Rule, ScopeType};
use serde::Deserialize;
use web::operation::Operation;
use web::reply::Collection;
use web::request::extract::{Body, Named, nullable};

use crate::v3::resource_options::OptionsDocument;

/// The operations on roles.
pub fn routes() -> Routes {
    Routes::new()
        .on(&LIST, list)
        .on(&SHOW, show)
        .on(&CREATE, create)
        .on(&UPDATE, update)
        .on(&DELETE, delete)
}

static LIST: Operation = Operation::get("/v3/roles", "List roles")
    .rules(&[LIST_ROLES, LIST_DOMAIN_ROLES])
    .query("assignment.roles_index_request_query")
    .filters(&["name", "domain_id"]);
static SHOW: Operation =
    Operation::get("/v3/roles/{role_id}", "Show a role").rules(&[GET_ROLE, GET_DOMAIN_ROLE]);
static CREATE: Operation = Operation::post("/v3/roles", "Create a role")
    .rules(&[CREATE_ROLE, CREATE_DOMAIN_ROLE])
    .body("assignment.role_create_request_body");
static UPDATE: Operation = Operation::patch("/v3/roles/{role_id}", "Update a role")
    .rules(&[UPDATE_ROLE, UPDATE_DOMAIN_ROLE])
    .body("assignment.role_update_request_body");
static DELETE: Operation = Operation::delete("/v3/roles/{role_id}", "Delete a role")
    .rules(&[DELETE_ROLE, DELETE_DOMAIN_ROLE]);

const SYSTEM_PROJECT: &[ScopeType] = &[ScopeType::System, ScopeType::Project];
const ANY_SCOPE: &[ScopeType] = &[ScopeType::System, ScopeType::Domain, ScopeType::Project];
const ADMIN: &str = "rule:admin_required";
const ADMIN_OR_SYSTEM_READER: &str = "rule:admin_required or (role:reader and system_scope:all)";

const LIST_ROLES: Rule = Rule::new(
    "identity:list_roles",
    "(rule:admin_required or (role:reader and system_scope:all)) or \
     (role:manager and not domain_id:None)",
)
.scopes(ANY_SCOPE)
.deprecated(ADMIN);
const GET_ROLE: Rule = Rule::new(
    "identity:get_role",
    "(rule:admin_required or (role:reader and system_scope:all)) or \
     (role:manager and rule:domain_managed_target_role)",
)
.scopes(ANY_SCOPE)
.deprecated(ADMIN)
.about(keys_of::<Role>());
const CREATE_ROLE: Rule = Rule::new("identity:create_role", ADMIN)
    .scopes(SYSTEM_PROJECT)
    .deprecated(ADMIN);
const UPDATE_ROLE: Rule = Rule::new("identity:update_role", ADMIN)
    .scopes(SYSTEM_PROJECT)
    .deprecated(ADMIN)
    .about(keys_of::<Role>());
const DELETE_ROLE: Rule = Rule::new("identity:delete_role", ADMIN)
    .scopes(SYSTEM_PROJECT)
    .deprecated(ADMIN)
    .about(keys_of::<Role>());
const LIST_DOMAIN_ROLES: Rule = Rule::new("identity:list_domain_roles", ADMIN_OR_SYSTEM_READER)
    .scopes(SYSTEM_PROJECT)
    .deprecated(ADMIN);
const GET_DOMAIN_ROLE: Rule = Rule::new("identity:get_domain_role", ADMIN_OR_SYSTEM_READER)
    .scopes(SYSTEM_PROJECT)
    .deprecated(ADMIN)
    .about(keys_of::<Role>());
const CREATE_DOMAIN_ROLE: Rule = Rule::new("identity:create_domain_role", ADMIN)
    .scopes(SYSTEM_PROJECT)
    .deprecated(ADMIN)
    .about(keys_of::<Role>());
const UPDATE_DOMAIN_ROLE: Rule = Rule::new("identity:update_domain_role", ADMIN)
    .scopes(SYSTEM_PROJECT)
    .deprecated(ADMIN)
    .about(keys_of::<Role>());
const DELETE_DOMAIN_ROLE: Rule = Rule::new("identity:delete_domain_role", ADMIN)
    .scopes(SYSTEM_PROJECT)
    .deprecated(ADMIN)
    .about(keys_of::<Role>());

async fn list(call: Call) -> Result<Reply<Collection<RoleDocument>>, ApiError> {
    let query = &call.request.query;
    let filter = RoleFilter {
        name: query.text("name"),
        domain_id: query.id("domain_id"),
    };
    let rule = if filter.domain_id.is_some() {
        LIST_DOMAIN_ROLES
    } else {
        LIST_ROLES
    };
    let permit = call.authorize(rule, ())?;
    let range = call.range(call.parts.list_limit(call.parts.config.role.list_limit))?;
    let roles = call.store.roles().list(&filter, &range.page()).await?;
    let documents = roles
        .into_iter()
        .map(|role| RoleDocument::new(role, &call.links))
        .collect();
    let part = call.part_of_collection("roles", documents, &range, |it| it.id.as_str());
    Ok(permit.ok(part))
}

async fn show(call: Call, Path(id): Path<RoleId>) -> Result<Reply<One<RoleDocument>>, ApiError> {
    call.require_token()?;
    // Whose rule counts depends on the role, so a missing one is told to everybody.
    let role = find(&call, &id).await?;
    let rule = if role.domain_id.is_some() {
        GET_DOMAIN_ROLE
    } else {
        GET_ROLE
    };
    let permit = call.authorize(rule, &role)?;
    Ok(permit.ok(One::new("role", RoleDocument::new(role, &call.links))))
}

async fn create(
    call: Call,
    Body(request): Body<CreateRole>,
) -> Result<Reply<One<RoleDocument>>, ApiError> {
    let role = request.into_role(call.new_id());
    let permit = if role.domain_id.is_some() {
        call.authorize(CREATE_DOMAIN_ROLE, Wanted::<Role>::of(&call.request))?
    } else {
        call.authorize(CREATE_ROLE, ())?
    };
    let mut tx = call.begin().await?;
    tx.roles_mut()
        .insert(&role)
        .await
        .map_err(|error| name_taken(error.into(), &role.name, role.domain_id.as_ref()))?;
    let saved = tx.commit().await?;
    Ok(permit.created(
        saved,
        One::new("role", RoleDocument::new(role, &call.links)),
    ))
}

async fn update(
    call: Call,
    Path(id): Path<RoleId>,
    Body(change): Body<ChangeRole>,
) -> Result<Reply<One<RoleDocument>>, ApiError> {
    call.require_token()?;
    let role = find(&call, &id).await?;
    let rule = if role.domain_id.is_some() {
        UPDATE_DOMAIN_ROLE
    } else {
        UPDATE_ROLE
    };
    let permit = call.authorize(rule, &role)?;
    let id = role.id;
    // The reference tells the domain only when the client did.
    let told = change.domain_id.clone().flatten();
    let name = change.name.clone().unwrap_or(role.name);
    let mut tx = call.begin().await?;
    let changed = tx.change(&id, |role| {
        change.check(&role)?;
        Ok(change.apply(role))
    });
    let changed = changed.await;
    let changed = changed.map_err(|error| name_taken(error, &name, told.as_ref()))?;
    let saved = tx.commit().await?;
    Ok(permit.updated(
        saved,
        One::new("role", RoleDocument::new(changed, &call.links)),
    ))
}

async fn delete(call: Call, Path(id): Path<RoleId>) -> Result<Reply<()>, ApiError> {
    call.require_token()?;
    let role = find(&call, &id).await?;
    let rule = if role.domain_id.is_some() {
        DELETE_DOMAIN_ROLE
    } else {
        DELETE_ROLE
    };
    let permit = call.authorize(rule, &role)?;
    let mut tx = call.begin().await?;
    // As it is now, when nobody changes it any more.
    let role: Role = tx.hold(&role.id).await?;
    refuse_immutable("delete", "role", role.id.as_str(), role.options)?;
    tx.roles_mut().delete(&role.id).await?;
    Ok(permit.done(tx.commit().await?))
}

/// Finds a role.
///
/// # Errors
///
/// 404 when there is none.
pub(crate) async fn find(call: &Call, id: &RoleId) -> Result<Role, ApiError> {
    let role = call.store.roles().find(id).await?;
    role.ok_or_else(|| ApiError::not_found("role", id))
}

fn name_taken(error: ApiError, name: &str, domain_id: Option<&DomainId>) -> ApiError {
    error.conflict_details(|| match domain_id {
        None => format!("Duplicate entry found with name {name}"),
        Some(id) => format!("Duplicate entry found with name {name} at domain ID {id}"),
    })
}

/// The body of a new role.
#[derive(Deserialize)]
struct CreateRole {
    name: String,
    description: Option<String>,
    domain_id: Option<DomainId>,
    #[serde(default)]
    options: OptionsDocument,
    #[serde(flatten)]
    extra: Extra,
}

impl Named for CreateRole {
    const NAME: &'static str = "role";
}

impl CreateRole {
    fn into_role(mut self, id: RoleId) -> Role {
        for ours in ["id", "links"] {
            self.extra.remove(ours);
        }
        Role {
            id,
            name: self.name,
            domain_id: self.domain_id,
            description: self.description,
            options: self.options.into(),
            extra: self.extra,
        }
    }
}

/// The body of a change. What is absent stays as it is.
#[derive(Deserialize)]
struct ChangeRole {
    id: Option<String>,
    name: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    description: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    domain_id: Option<Option<DomainId>>,
    options: Option<OptionsDocument>,
    #[serde(flatten)]
    extra: Extra,
}

impl Named for ChangeRole {
    const NAME: &'static str = "role";
}

impl ChangeRole {
    fn check(&self, role: &Role) -> Result<(), ApiError> {
        let lifts = self.options.is_some_and(|options| options.lifts_the_mark())
            && self.name.is_none()
            && self.description.is_none()
            && self.domain_id.is_none()
            && self.extra.is_empty();
        if !lifts {
            refuse_immutable("update", "role", role.id.as_str(), role.options)?;
        }
        if self.id.as_deref().is_some_and(|id| id != role.id.as_str()) {
            return Err(ApiError::BadRequest("Cannot change ID".into()));
        }
        if self
            .domain_id
            .as_ref()
            .is_some_and(|id| *id != role.domain_id)
        {
            return Err(ApiError::BadRequest(
                "Update of `domain_id` is not allowed.".into(),
            ));
        }
        Ok(())
    }

    fn apply(self, mut role: Role) -> Role {
        if let Some(name) = self.name {
            role.name = name;
        }
        if let Some(description) = self.description {
            role.description = description;
        }
        if let Some(OptionsDocument {
            immutable: Some(immutable),
        }) = self.options
        {
            role.options = ResourceOptions { immutable };
        }
        role.extra.extend(self.extra);
        role
    }
}
