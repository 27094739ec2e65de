//! Application credentials: a part of a user's authority on one project, for a program.

use std::collections::{BTreeSet, HashMap, HashSet};

use std::sync::Arc;

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::{One, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::rules::keys_of;
use auth::tokens::{RoleDocument, ValidToken};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use config::Limit;
use model::application_credential::{ApplicationCredential, StoredCredential};
use model::ids::{ApplicationCredentialId, ProjectId, RoleId, UserId};
use model::role::Role;
use model::{Method, Secret, Timestamp};
use policy::{Rule, ScopeType};
use secrets::passwords::PasswordError;
use serde::{Deserialize, Serialize};
use store::{StoreError, Tx};
use web::operation::Operation;
use web::reply::{Collection, Links, SelfLink};
use web::request::extract::{Body, Named};
use zeroize::Zeroizing;

use crate::v3::access_rules::{AccessRuleDocument, RuleName, choose_rules};
use crate::v3::times::parse_expiry;

/// The operations on application credentials.
pub fn routes() -> Routes {
    Routes::new()
        .on(&LIST, list)
        .on(&SHOW, show)
        .on(&CREATE, create)
        .on(&DELETE, delete)
}

const ALL: &str = "/v3/users/{user_id}/application_credentials";
const ONE: &str = "/v3/users/{user_id}/application_credentials/{application_credential_id}";

static LIST: Operation = Operation::get(ALL, "List the application credentials of a user")
    .rules(&[LIST_APPLICATION_CREDENTIALS])
    .query("application_credential.application_credential_index_request_query")
    .filters(&["name"]);
static SHOW: Operation = Operation::get(ONE, "Show an application credential")
    .rules(&[GET_APPLICATION_CREDENTIAL])
    .body("application_credential.application_credential_request_body");
static CREATE: Operation = Operation::post(ALL, "Create an application credential")
    .rules(&[CREATE_APPLICATION_CREDENTIAL])
    .body("application_credential.application_credential_create_request_body");
static DELETE: Operation = Operation::delete(ONE, "Delete an application credential")
    .rules(&[DELETE_APPLICATION_CREDENTIAL]);

const LIST_APPLICATION_CREDENTIALS: Rule = Rule::new(
    "identity:list_application_credentials",
    "(rule:admin_required) or (role:reader and system_scope:all) or rule:owner",
)
.scopes(&[ScopeType::System, ScopeType::Project])
.deprecated("rule:admin_or_owner");
const GET_APPLICATION_CREDENTIAL: Rule = Rule::new(
    "identity:get_application_credential",
    "(rule:admin_required) or (role:reader and system_scope:all) or rule:owner",
)
.scopes(&[ScopeType::System, ScopeType::Project])
.deprecated("rule:admin_or_owner")
.about(keys_of::<ApplicationCredential>());
const CREATE_APPLICATION_CREDENTIAL: Rule = Rule::new(
    "identity:create_application_credential",
    "user_id:%(user_id)s",
)
.scopes(&[ScopeType::Project]);
const DELETE_APPLICATION_CREDENTIAL: Rule = Rule::new(
    "identity:delete_application_credential",
    "rule:admin_or_owner",
)
.scopes(&[ScopeType::System, ScopeType::Project])
.deprecated("rule:admin_or_owner")
.about(keys_of::<ApplicationCredential>());

async fn list(
    call: Call,
    Path(user_id): Path<UserId>,
) -> Result<Reply<Collection<CredentialDocument>>, ApiError> {
    let permit = call.authorize(LIST_APPLICATION_CREDENTIALS, ())?;
    refuse_delegated(&call)?;
    let name = call.request.query.text("name");
    let range = call.range(None)?;
    let found = call
        .store
        .application_credentials()
        .list(&user_id, name.as_ref(), &range.page())
        .await?;
    let role_ids: BTreeSet<_> = found.iter().flat_map(|one| one.role_ids.clone()).collect();
    let role_ids = Vec::from_iter(role_ids);
    let roles = call.store.roles().find_all(&role_ids).await?;
    let documents = found
        .into_iter()
        .map(|credential| CredentialDocument::new(credential, &roles, &call.links))
        .collect();
    let name = "application_credentials";
    let part = call.part_of_collection(name, documents, &range, |it| it.id.as_str());
    Ok(permit.ok(part))
}

async fn show(
    call: Call,
    Path((_, id)): Path<(UserId, ApplicationCredentialId)>,
) -> Result<Reply<One<CredentialDocument>>, ApiError> {
    let found = find(&call, &id).await?;
    let permit = call.authorize(GET_APPLICATION_CREDENTIAL, found.as_ref())?;
    refuse_delegated(&call)?;
    let credential = found.ok_or_else(|| not_found(&id))?;
    let roles = call.store.roles().find_all(&credential.role_ids).await?;
    let document = CredentialDocument::new(credential, &roles, &call.links);
    Ok(permit.ok(One::new("application_credential", document)))
}

async fn create(
    mut call: Call,
    Path(user_id): Path<UserId>,
    Body(request): Body<CreateCredential>,
) -> Result<Reply<One<CredentialDocument>>, ApiError> {
    let _allowed = call.authorize(CREATE_APPLICATION_CREDENTIAL, ())?;
    refuse_delegated(&call)?;
    refuse_restricted(&call)?;
    let token = own_token(&call, &user_id)?;
    let project_id = token.token.project_id().cloned();
    let role_ids = choose_roles(&call, token, &request.roles).await?;
    let expires_at = request.expires_at(call.now())?;
    check_assigned(&call, &user_id, project_id.as_ref(), &role_ids).await?;
    let secret = request.secret.filter(|secret| !secret.expose().is_empty());
    let secret = secret.unwrap_or_else(|| new_secret(&call));
    let secret_hash = call
        .parts
        .hasher
        .hash(&secret)
        .await
        .map_err(refuse_secret)?;
    // A credential outlives tokens, so who makes one must not have lost theirs meanwhile.
    call.look_again().await?;
    let permit = call.authorize(CREATE_APPLICATION_CREDENTIAL, ())?;
    let carried = &own_token(&call, &user_id)?.roles;
    if !role_ids
        .iter()
        .all(|id| carried.iter().any(|role| role.id == *id))
    {
        return Err(unassigned());
    }
    let roles = call.store.roles().find_all(&role_ids).await?;

    let mut tx = call.begin().await?;
    // Locked, so that two at once cannot pass the limit, nor add the same access rule twice.
    tx.users_mut().lock(&user_id).await?;
    if let Some(project_id) = &project_id {
        tx.projects_mut().require(project_id).await?;
    }
    tx.roles_mut().require_all(&role_ids).await?;
    check_limit(&call, &mut tx, &user_id).await?;
    let access_rules = choose_rules(&call, &mut tx, &user_id, request.access_rules).await?;
    let credential = ApplicationCredential {
        id: call.new_id(),
        name: request.name,
        description: request.description,
        user_id,
        project_id,
        expires_at,
        unrestricted: request.unrestricted,
        role_ids,
        access_rules,
    };
    let stored = StoredCredential {
        credential: Arc::new(credential),
        secret_hash,
    };
    let credentials = tx.application_credentials_mut().insert(&stored).await;
    credentials.map_err(|error| name_taken(error, &stored.credential.name))?;
    let saved = tx.commit().await?;
    let document =
        CredentialDocument::new(Arc::unwrap_or_clone(stored.credential), &roles, &call.links);
    Ok(permit.created(
        saved,
        One::new("application_credential", document.with_secret(secret)),
    ))
}

async fn delete(
    call: Call,
    Path((_, id)): Path<(UserId, ApplicationCredentialId)>,
) -> Result<Reply<()>, ApiError> {
    let found = find(&call, &id).await?;
    let permit = call.authorize(DELETE_APPLICATION_CREDENTIAL, found.as_ref())?;
    refuse_delegated(&call)?;
    refuse_restricted(&call)?;
    let credential = found.ok_or_else(|| not_found(&id))?;
    let mut tx = call.begin().await?;
    let mut credentials = tx.application_credentials_mut();
    if !credentials.delete(&credential.id).await? {
        return Err(not_found(&id));
    }
    Ok(permit.done(tx.commit().await?))
}

async fn find(
    call: &Call,
    id: &ApplicationCredentialId,
) -> Result<Option<ApplicationCredential>, ApiError> {
    let found = call.store.application_credentials().find(id).await?;
    Ok(found.map(|stored| Arc::unwrap_or_clone(stored.credential)))
}

fn not_found(id: &ApplicationCredentialId) -> ApiError {
    ApiError::not_found("Application Credential", id)
}

/// Refuses a token that came by a trust, an OAuth 1.0a consumer or EC2 keys: a credential made
/// with it would outlive the delegation. Those of application credentials are judged apart.
pub(crate) fn refuse_delegated(call: &Call) -> Result<(), ApiError> {
    let Some(token) = call.caller().token() else {
        return Ok(());
    };
    let primary = &call.parts.config.auth.additional_primary_auth_methods;
    if token.is_delegated(primary) && !token.token.methods.contains(&Method::ApplicationCredential)
    {
        return Err(ApiError::refused(
            "Cannot manage application credentials with a token issued via delegation.",
        ));
    }
    Ok(())
}

/// Refuses the token of an application credential that may not make or delete its own kind.
fn refuse_restricted(call: &Call) -> Result<(), ApiError> {
    let delegation = call
        .caller()
        .token()
        .and_then(|token| token.delegation.as_ref());
    if delegation.is_some_and(|delegation| delegation.is_restricted()) {
        return Err(ApiError::denied(
            "Using method 'application_credential' is not allowed for managing additional \
             application credentials.",
        ));
    }
    Ok(())
}

/// The caller's token, which must be the user's: nobody can hand out the authority of others,
/// whatever the policy says.
fn own_token<'a>(call: &'a Call, user_id: &UserId) -> Result<&'a ValidToken, ApiError> {
    match call.caller().token() {
        Some(token) if token.subject.id == *user_id => Ok(token),
        _ => Err(ApiError::denied(
            "Cannot create an application credential for another user.",
        )),
    }
}

/// The roles that were asked for with those they imply, all of which the token must carry; when
/// none was asked for, all that it carries.
async fn choose_roles(
    call: &Call,
    token: &ValidToken,
    asked: &[RoleName],
) -> Result<Vec<RoleId>, ApiError> {
    let carried: Vec<RoleId> = token.roles.iter().map(|role| role.id.clone()).collect();
    if asked.is_empty() {
        return Ok(carried);
    }
    let names = asked.iter().filter_map(|role| match role {
        RoleName::Name(name) => Some(name.as_str()),
        RoleName::Id(_) => None,
    });
    let names: Vec<&str> = names.collect();
    let named = call.store.roles().list_by_names(&names).await?;
    let mut by_name: HashMap<String, Vec<&Role>> = HashMap::new();
    for role in &named {
        by_name
            .entry(role.name.to_lowercase())
            .or_default()
            .push(role);
    }
    let mut seen = HashSet::new();
    let mut chosen = Vec::new();
    for role in asked {
        let id = match role {
            RoleName::Id(id) => id.clone(),
            RoleName::Name(name) => only_role(&by_name, name)?,
        };
        if seen.insert(id.clone()) {
            chosen.push(id);
        }
    }
    let implied = call.store.assignments().with_implied(&chosen).await?;
    chosen.extend(implied.into_iter().map(|role| role.id));
    let carried: HashSet<_> = carried.iter().collect();
    if !chosen.iter().all(|id| carried.contains(id)) {
        return Err(unassigned());
    }
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen)
}

fn unassigned() -> ApiError {
    ApiError::BadRequest(
        "Invalid application credential: Cannot create an application credential with unassigned \
         role"
            .into(),
    )
}

/// The one role of a name. The database has judged what counts as the same name.
fn only_role(named: &HashMap<String, Vec<&Role>>, name: &str) -> Result<RoleId, ApiError> {
    match named.get(&name.to_lowercase()).map(Vec::as_slice) {
        None | Some([]) => Err(ApiError::NotFoundAs(format!("Role {name} is not defined"))),
        Some([role]) => Ok(role.id.clone()),
        Some(_) => Err(ApiError::BadRequest(format!(
            "There are multiple role entities named '{name}'. Please use ID instead of names to \
             resolve the ambiguity."
        ))),
    }
}

/// Checks that the user holds the roles by what is stored: those of groups that only the token
/// names end with it, and a credential would not.
async fn check_assigned(
    call: &Call,
    user_id: &UserId,
    project_id: Option<&ProjectId>,
    role_ids: &[RoleId],
) -> Result<(), ApiError> {
    let Some(project_id) = project_id else {
        return Ok(());
    };
    let held = call
        .store
        .assignments()
        .effective_on_project(user_id, None, project_id, call.now())
        .await?;
    let held: HashSet<_> = held.roles.iter().map(|role| &role.id).collect();
    match role_ids.iter().find(|id| !held.contains(id)) {
        None => Ok(()),
        Some(role_id) => Err(ApiError::BadRequest(format!(
            "Invalid application credential: Could not find role assignment with role: {role_id}, \
             user or group: {user_id}, project, domain, or system: {project_id}."
        ))),
    }
}

/// A secret of 512 random bits.
fn new_secret(call: &Call) -> Secret<String> {
    let mut bytes = Zeroizing::new([0; 64]);
    call.parts.random.fill(bytes.as_mut());
    Secret::new(URL_SAFE_NO_PAD.encode(bytes.as_ref()))
}

fn refuse_secret(error: PasswordError) -> ApiError {
    match error {
        PasswordError::TooLong { .. } => ApiError::Forbidden(error.to_string()),
        PasswordError::Busy => ApiError::Unavailable("too many secrets wait to be hashed".into()),
        PasswordError::UnknownFormat | PasswordError::Aborted => ApiError::internal(error),
    }
}

/// `[application_credential] user_limit`.
async fn check_limit(call: &Call, tx: &mut Tx, user_id: &UserId) -> Result<(), ApiError> {
    let Limit::AtMost(limit) = call.parts.config.application_credential.user_limit else {
        return Ok(());
    };
    if tx.application_credentials().count(user_id).await? >= limit.into() {
        return Err(ApiError::Forbidden(format!(
            "Unable to create additional application credentials, maximum of {limit} already \
             exceeded for user."
        )));
    }
    Ok(())
}

fn name_taken(error: StoreError, name: &str) -> ApiError {
    ApiError::from(error).conflict_details(|| format!("Duplicate entry found with name {name}"))
}

/// The body of a new application credential.
#[derive(Deserialize)]
struct CreateCredential {
    name: String,
    description: Option<String>,
    secret: Option<Secret<String>>,
    expires_at: Option<String>,
    unrestricted: Option<bool>,
    #[serde(default)]
    roles: Vec<RoleName>,
    #[serde(default)]
    access_rules: Vec<RuleName>,
}

impl Named for CreateCredential {
    const NAME: &'static str = "application_credential";
}

impl CreateCredential {
    fn expires_at(&self, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
        self.expires_at
            .as_deref()
            .map(|text| parse_expiry(text, now))
            .transpose()
    }
}

/// A role: `{"id": ...}` or `{"name": ...}`.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RoleName {
    Id(RoleId),
    Name(String),
}

/// An application credential, as clients see it.
#[derive(Serialize)]
struct CredentialDocument {
    id: ApplicationCredentialId,
    name: String,
    description: Option<String>,
    user_id: UserId,
    project_id: Option<ProjectId>,
    /// Meant for credentials on the whole deployment, which there have never been.
    system: Option<&'static str>,
    expires_at: Option<String>,
    unrestricted: Option<bool>,
    roles: Vec<RoleDocument>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    access_rules: Vec<AccessRuleDocument>,
    /// Shown once, in the answer to the creation.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "expose")]
    secret: Option<Secret<String>>,
    links: SelfLink,
}

impl CredentialDocument {
    /// `roles` holds those of the credential, among others.
    fn new(credential: ApplicationCredential, roles: &[Role], links: &Links) -> Self {
        let own = |role: &&Role| credential.role_ids.contains(&role.id);
        Self {
            // In the reference the link leaves the user out.
            links: links.to(&format!("application_credentials/{}", credential.id)),
            roles: roles
                .iter()
                .filter(own)
                .cloned()
                .map(RoleDocument::inside)
                .collect(),
            id: credential.id,
            name: credential.name,
            description: credential.description,
            user_id: credential.user_id,
            project_id: credential.project_id,
            system: None,
            expires_at: credential
                .expires_at
                .map(|end| end.format("%Y-%m-%dT%H:%M:%S%.6f").to_string()),
            unrestricted: credential.unrestricted,
            access_rules: credential
                .access_rules
                .into_iter()
                .map(Into::into)
                .collect(),
            secret: None,
        }
    }

    fn with_secret(mut self, secret: Secret<String>) -> Self {
        self.secret = Some(secret);
        self
    }
}

fn expose<S: serde::Serializer>(
    secret: &Option<Secret<String>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}
