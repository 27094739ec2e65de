//! Credentials: secrets that are kept for users, encrypted.

use auth::call::Call;
use auth::call::path::Path;
use auth::call::reply::{One, Reply};
use auth::call::routes::Routes;
use auth::error::ApiError;
use auth::rules::targets::CredentialsOf;
use auth::rules::{Item, Wanted, keys_of};
use config::Limit;
use model::Extra;
use model::credential::{Credential, CredentialFilter};
use model::ids::{CredentialId, ProjectId, UserId};
use policy::{Rule, ScopeType};
use secrets::hex::sha256;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::Tx;
use web::json;
use web::operation::Operation;
use web::reply::{Collection, SelfLink};
use web::request::extract::{Body, Named};

/// The operations on credentials.
pub fn routes() -> Routes {
    Routes::new()
        .on(&LIST, list)
        .on(&SHOW, show)
        .on(&CREATE, create)
        .on(&UPDATE, update)
        .on(&DELETE, delete)
}

static LIST: Operation = Operation::get("/v3/credentials", "List credentials")
    .rules(&[LIST_CREDENTIALS, GET_CREDENTIAL])
    .query("credential.index_request_query")
    .filters(&["user_id", "type"]);
static SHOW: Operation =
    Operation::get("/v3/credentials/{credential_id}", "Show a credential").rules(&[GET_CREDENTIAL]);
static CREATE: Operation = Operation::post("/v3/credentials", "Create a credential")
    .rules(&[CREATE_CREDENTIAL])
    .body("credential.create_request_body");
static UPDATE: Operation =
    Operation::patch("/v3/credentials/{credential_id}", "Update a credential")
        .rules(&[UPDATE_CREDENTIAL])
        .body("credential.update_request_body");
static DELETE: Operation =
    Operation::delete("/v3/credentials/{credential_id}", "Delete a credential")
        .rules(&[DELETE_CREDENTIAL]);

const SCOPES: &[ScopeType] = &[ScopeType::System, ScopeType::Domain, ScopeType::Project];
const ADMIN: &str = "rule:admin_required";
const READ: &str = "(rule:admin_required) or (role:reader and system_scope:all) or \
     user_id:%(target.credential.user_id)s";
const WRITE: &str = "(rule:admin_required) or user_id:%(target.credential.user_id)s";

const LIST_CREDENTIALS: Rule = Rule::new("identity:list_credentials", READ)
    .scopes(SCOPES)
    .deprecated(ADMIN)
    .about(keys_of::<CredentialsOf>());
const GET_CREDENTIAL: Rule = Rule::new("identity:get_credential", READ)
    .scopes(SCOPES)
    .deprecated(ADMIN)
    .about(keys_of::<Credential>());
const CREATE_CREDENTIAL: Rule = Rule::new("identity:create_credential", WRITE)
    .scopes(SCOPES)
    .deprecated(ADMIN)
    .about(keys_of::<Credential>());
const UPDATE_CREDENTIAL: Rule = Rule::new("identity:update_credential", WRITE)
    .scopes(SCOPES)
    .deprecated(ADMIN)
    .about(keys_of::<Credential>());
const DELETE_CREDENTIAL: Rule = Rule::new("identity:delete_credential", WRITE)
    .scopes(SCOPES)
    .deprecated(ADMIN)
    .about(keys_of::<Credential>());

/// The type whose blob is a pair of keys.
const EC2: &str = "ec2";

async fn list(call: Call) -> Result<Reply<Collection<CredentialDocument>>, ApiError> {
    // To a token of the system the list is nobody's own.
    let token = call.caller().token();
    let own = token.filter(|token| !token.token.has_system_scope());
    let own = CredentialsOf(own.map(|token| token.subject.id.clone()));
    let permit = call.authorize(LIST_CREDENTIALS, own)?;
    let query = &call.request.query;
    let filter = CredentialFilter {
        user_id: query.id("user_id"),
        kind: query.get("type").map(str::to_owned),
    };
    let mut found = call.store.credentials().list(&filter).await?;
    // Everybody may ask, and sees what they could see one by one.
    found.retain(|credential| {
        call.authorize(GET_CREDENTIAL, Item(credential)).is_ok()
            && refuse_delegated(&call, &credential.kind).is_ok()
    });
    let key_hashes = found.iter().map(|credential| credential.key_hash.as_str());
    call.parts.credential_cipher.expect_keys(key_hashes).await;
    let documents = found
        .into_iter()
        .map(|credential| document(&call, credential));
    let mut documents = documents.collect::<Result<Vec<_>, _>>()?;
    let range = call.range(None)?;
    range.skip(&mut documents, |it| it.id.as_str());
    let part = call.part_of_collection("credentials", documents, &range, |it| it.id.as_str());
    Ok(permit.ok(part))
}

async fn show(
    call: Call,
    Path(id): Path<CredentialId>,
) -> Result<Reply<One<CredentialDocument>>, ApiError> {
    let credential = call.store.credentials().find(&id).await?;
    let (credential, permit) =
        call.find_or_refuse(GET_CREDENTIAL, "credential", &id, credential)?;
    refuse_delegated(&call, &credential.kind)?;
    let cipher = &call.parts.credential_cipher;
    cipher.expect_keys([credential.key_hash.as_str()]).await;
    Ok(permit.ok(One::new("credential", document(&call, credential)?)))
}

async fn create(
    call: Call,
    Body(request): Body<CreateCredential>,
) -> Result<Reply<One<CredentialDocument>>, ApiError> {
    let permit = call.authorize(CREATE_CREDENTIAL, Wanted::<Credential>::of(&call.request))?;
    refuse_delegated(&call, &request.kind)?;
    let credential = request.into_credential(&call)?;
    let (user_id, project_id) = (&credential.user_id, credential.project_id.as_ref());
    let mut assignments = call.store.assignments();
    let mentioned = assignments.mentioned(Some(user_id), project_id).await?;
    let mut tx = call.begin().await?;
    // As in the reference neither has to be there. But what is there must not go meanwhile, for
    // nobody would remove the credential with it.
    if mentioned.user {
        // Locked, so that two at once cannot pass the limit.
        tx.users_mut().lock(user_id).await?;
    }
    if let Some(project_id) = project_id.filter(|_| mentioned.project.is_some()) {
        tx.projects_mut().require(project_id).await?;
    }
    check_limit(&call, &mut tx, &credential.user_id).await?;
    tx.credentials_mut()
        .insert(&credential)
        .await
        .map_err(|error| {
            ApiError::from(error)
                .conflict_details(|| format!("Duplicate entry found with ID {}", credential.id))
        })?;
    let saved = tx.commit().await?;
    Ok(permit.created(saved, One::new("credential", document(&call, credential)?)))
}

async fn update(
    call: Call,
    Path(id): Path<CredentialId>,
    Body(change): Body<ChangeCredential>,
) -> Result<Reply<One<CredentialDocument>>, ApiError> {
    let credential = call.store.credentials().find(&id).await?;
    let (credential, permit) =
        call.find_or_refuse(UPDATE_CREDENTIAL, "credential", &id, credential)?;
    refuse_delegated(&call, &credential.kind)?;
    let cipher = &call.parts.credential_cipher;
    cipher.expect_keys([credential.key_hash.as_str()]).await;
    let mut tx = call.begin().await?;
    let changed = tx.change(&id, |mut credential: Credential| {
        refuse_delegated(&call, &credential.kind)?;
        // What is compared must be what is replaced.
        let before = decrypt(&call, &credential)?;
        refuse_other_authority(&before, &change.blob)?;
        let sealed = cipher.encrypt(&credential.kind, &change.blob, call.now());
        credential.encrypted_blob = sealed.text;
        credential.key_hash = sealed.key_hash;
        Ok::<_, ApiError>(credential)
    });
    let changed = changed.await?;
    let saved = tx.commit().await?;
    Ok(permit.updated(saved, One::new("credential", document(&call, changed)?)))
}

async fn delete(call: Call, Path(id): Path<CredentialId>) -> Result<Reply<()>, ApiError> {
    let credential = call.store.credentials().find(&id).await?;
    let (credential, permit) =
        call.find_or_refuse(DELETE_CREDENTIAL, "credential", &id, credential)?;
    refuse_delegated(&call, &credential.kind)?;
    let mut tx = call.begin().await?;
    tx.credentials_mut().delete(&id).await?;
    Ok(permit.done(tx.commit().await?))
}

/// `[credential] user_limit`.
async fn check_limit(call: &Call, tx: &mut Tx, user_id: &UserId) -> Result<(), ApiError> {
    let Limit::AtMost(limit) = call.parts.config.credential.user_limit else {
        return Ok(());
    };
    if tx.credentials().count(user_id).await? >= limit.into() {
        return Err(ApiError::Forbidden(format!(
            "Unable to create additional credentials, maximum of {limit} already exceeded for \
             user."
        )));
    }
    Ok(())
}

/// A delegated token must not reach secrets that outlive it. An operator may make an exception for
/// administrators and EC2 keys.
fn refuse_delegated(call: &Call, kind: &str) -> Result<(), ApiError> {
    let compliance = &call.parts.config.security_compliance;
    let allows = compliance.allow_insecure_admin_trust_cross_project_credentials_access;
    if !is_delegated(call) || (allows && is_ec2(kind) && call.is_by_admin()) {
        return Ok(());
    }
    Err(ApiError::denied(
        "Delegated tokens cannot access credentials directly",
    ))
}

/// Whether a type is that of a pair of keys.
fn is_ec2(kind: &str) -> bool {
    kind.eq_ignore_ascii_case(EC2)
}

fn is_delegated(call: &Call) -> bool {
    let primary = &call.parts.config.auth.additional_primary_auth_methods;
    call.caller()
        .token()
        .is_some_and(|token| token.is_delegated(primary))
}

/// What inside a blob says by whose authority it acts can never change.
fn refuse_other_authority(before: &str, after: &str) -> Result<(), ApiError> {
    let (Ok(before), Ok(after)) = (
        serde_json::from_str::<Value>(before),
        serde_json::from_str::<Value>(after),
    ) else {
        return Ok(());
    };
    for key in ["trust_id", "app_cred_id", "access_token_id", "access_id"] {
        if before.get(key) != after.get(key) {
            return Err(ApiError::BadRequest(format!(
                "{key} can not be updated for credential"
            )));
        }
    }
    Ok(())
}

fn decrypt(call: &Call, credential: &Credential) -> Result<String, ApiError> {
    let cipher = &call.parts.credential_cipher;
    cipher
        .decrypt(&credential.kind, &credential.encrypted_blob)
        .map_err(ApiError::internal)
}

/// The body of a new credential.
#[derive(Deserialize)]
struct CreateCredential {
    blob: String,
    #[serde(rename = "type")]
    kind: String,
    user_id: UserId,
    project_id: Option<ProjectId>,
    #[serde(flatten)]
    extra: Extra,
}

impl Named for CreateCredential {
    const NAME: &'static str = "credential";
}

impl CreateCredential {
    fn into_credential(mut self, call: &Call) -> Result<Credential, ApiError> {
        for ours in ["id", "links"] {
            self.extra.remove(ours);
        }
        let id = if is_ec2(&self.kind) {
            let mut blob = ec2_blob(&self.blob)?;
            let id = ec2_id(&blob)?;
            if delegate(call, &mut blob) {
                self.blob = json::spaced(&blob);
            }
            id
        } else {
            call.new_id()
        };
        let sealed = call
            .parts
            .credential_cipher
            .encrypt(&self.kind, &self.blob, call.now());
        Ok(Credential {
            id,
            user_id: self.user_id,
            project_id: self.project_id,
            kind: self.kind,
            encrypted_blob: sealed.text,
            key_hash: sealed.key_hash,
            extra: self.extra,
        })
    }
}

fn ec2_blob(blob: &str) -> Result<Extra, ApiError> {
    serde_json::from_str(blob)
        .map_err(|_| ApiError::BadRequest("Invalid blob in credential".into()))
}

/// Notes in new keys the delegation by which they were made: tokens obtained with them act by it, too.
fn delegate(call: &Call, blob: &mut Extra) -> bool {
    let token = call.caller().token();
    let Some(delegation) = token.and_then(|token| token.delegation.as_ref()) else {
        return false;
    };
    let (name, id) = delegation.noted_in_keys();
    blob.insert(name.to_owned(), id.into());
    true
}

/// EC2 keys are found by the SHA-256 of their access key.
fn ec2_id(blob: &Extra) -> Result<CredentialId, ApiError> {
    let access = blob.get("access").and_then(Value::as_str);
    let access = access.ok_or_else(|| ApiError::expecting("access", "credential"))?;
    Ok(sha256(access).into())
}

/// The body of a change: nothing but the secret can change.
#[derive(Deserialize)]
struct ChangeCredential {
    blob: String,
}

impl Named for ChangeCredential {
    const NAME: &'static str = "credential";
}

/// A credential, as clients see it.
#[derive(Serialize)]
struct CredentialDocument {
    #[serde(flatten)]
    attributes: Extra,
    id: CredentialId,
    user_id: UserId,
    project_id: Option<ProjectId>,
    blob: String,
    #[serde(rename = "type")]
    kind: String,
    links: SelfLink,
}

fn document(call: &Call, credential: Credential) -> Result<CredentialDocument, ApiError> {
    Ok(CredentialDocument {
        blob: decrypt(call, &credential)?,
        links: call.links.to(&format!("credentials/{}", credential.id)),
        id: credential.id,
        user_id: credential.user_id,
        project_id: credential.project_id,
        kind: credential.kind,
        attributes: credential.extra,
    })
}
