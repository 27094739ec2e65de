//! The method `application_credential`: the secret of a part of a user's authority.

use std::sync::Arc;

use model::application_credential::{ApplicationCredential, StoredCredential};
use model::ids::{ApplicationCredentialId, UserId};
use model::subject::Login;
use model::{Method, Secret, Timestamp};
use serde_json::{Value, json};

use super::hashes::{refuse_hash, refuse_slowly};
use super::login_request::{LoginRequest, Named, by_id_first, refuse_unsafe_domain};
use super::users::{find_login, require_enabled};
use super::{Answer, Attempt, AuthenticationMethod, Proof, Timing, proof};
use crate::delegation::Delegation;
use crate::error::ApiError;
use crate::parts::Parts;

/// By the secret of an application credential.
pub(super) struct BySecret;

impl AuthenticationMethod for BySecret {
    fn name(&self) -> Method {
        Method::ApplicationCredential
    }

    fn check_request(&self, request: &LoginRequest) -> Result<(), ApiError> {
        if request.scope.is_none() {
            return Ok(());
        }
        // The credential says what its tokens are valid on.
        Err(ApiError::LoginIncomplete {
            message: "Error authenticating with application credential: Application credentials \
                      cannot request a scope."
                .into(),
            identity: json!({}),
        })
    }

    fn prove<'a>(&'a self, attempt: Attempt<'a>) -> Answer<'a, Proof> {
        Box::pin(async move {
            let shown = ShownSecret::parse(proof(&attempt, &self.name()))?;
            check_secret(attempt.parts, &shown, attempt.now).await
        })
    }

    fn confirm<'a>(
        &'a self,
        parts: &'a Parts,
        proof: &'a mut Proof,
        now: Timestamp,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let credential = match &proof.delegation {
                None => None,
                Some(Delegation::ApplicationCredential(credential)) => {
                    parts.store.application_credential(&credential.id).await?
                }
            };
            let is_same = |found: &Arc<StoredCredential>| {
                proof.secret_hash.as_deref() == Some(found.secret_hash.as_str())
            };
            let found = credential.filter(is_same).ok_or_else(|| {
                ApiError::unauthorized("the application credential was deleted meanwhile")
            })?;
            refuse_expired(&found.credential, now)?;
            proof.delegation = Some(Delegation::ApplicationCredential(Arc::clone(
                &found.credential,
            )));
            Ok(())
        })
    }

    /// It may be deleted by itself, and a receipt does not say which one it was.
    fn is_kept_by_receipts(&self) -> bool {
        false
    }
}

/// What a client says of an application credential.
struct ShownSecret {
    credential: CredentialName,
    secret: Secret<String>,
}

/// An application credential, by id or by name.
enum CredentialName {
    /// By id.
    Id(ApplicationCredentialId),
    /// By its name and its user.
    Name(String, Named<UserId>),
}

impl ShownSecret {
    /// Reads `{"id", "secret"}` or `{"name", "secret", "user"}`.
    ///
    /// # Errors
    ///
    /// 400 when the credential is not named or the secret is no text, 401 when there is no secret.
    fn parse(proof: &Value) -> Result<Self, ApiError> {
        // An id or a name that is no text names nothing that exists; it is as good as unknown.
        let given = |name: &str| match proof.get(name)? {
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Value::Null | Value::Bool(false) => None,
            other => Some(other.to_string()),
        };
        let credential = match (given("id"), given("name")) {
            (Some(id), _) => CredentialName::Id(id.into()),
            (None, Some(name)) => {
                let user = proof
                    .get("user")
                    .filter(|user| user.as_object().is_some_and(|user| !user.is_empty()))
                    .ok_or_else(|| ApiError::expecting("user", "application credential"))?;
                CredentialName::Name(name, by_id_first(user)?)
            }
            (None, None) => {
                return Err(ApiError::expecting("name or ID", "application credential"));
            }
        };
        match &proof["secret"] {
            Value::String(secret) => Ok(Self {
                credential,
                secret: Secret::new(secret.clone()),
            }),
            Value::Null => Err(ApiError::unauthorized("no secret was given")),
            _ => Err(ApiError::expecting("string", "password")),
        }
    }
}

/// Checks the secret of an application credential. An unknown credential takes the same time as a
/// wrong secret, and gets the same answer.
async fn check_secret(
    parts: &Parts,
    shown: &ShownSecret,
    now: Timestamp,
) -> Result<Proof, ApiError> {
    let found = match &shown.credential {
        CredentialName::Id(id) => parts.store.application_credential(id).await?,
        CredentialName::Name(name, user) => {
            if let Named::Name(_, domain) = user {
                refuse_unsafe_domain(parts, domain)?;
            }
            match find_login(&parts.store, user).await? {
                None => None,
                Some(login) => {
                    let user_id = &login.subject.id;
                    parts
                        .store
                        .application_credentials()
                        .find_by_name(user_id, name)
                        .await?
                        .map(Arc::new)
                }
            }
        }
    };
    let Some(found) = found else {
        return refuse_slowly(parts, &shown.secret, "no such application credential").await;
    };
    let hash = &found.secret_hash;
    let slow = !parts.hasher.remembers(&shown.secret, hash, now);
    let owner = parts.store.login(&found.credential.user_id).await?;
    let usable = is_usable(parts, &found.credential, owner.as_deref(), now).await?;
    let right = if usable {
        parts.hasher.verify(&shown.secret, hash, now).await
    } else {
        // Takes the same time with the right secret, also where that is remembered.
        parts.hasher.verify_slowly(&shown.secret, hash).await
    };
    if !right.map_err(refuse_hash)? {
        return Err(ApiError::unauthorized(
            "wrong secret of an application credential",
        ));
    }
    refuse_expired(&found.credential, now)?;
    let login = owner.ok_or_else(|| ApiError::unauthorized("its user is gone"))?;
    require_enabled(parts, &login, now)?;
    Ok(Proof {
        delegation: Some(Delegation::ApplicationCredential(Arc::clone(
            &found.credential,
        ))),
        secret_hash: Some(found.secret_hash.clone()),
        timing: match slow {
            true => Timing::Slow,
            false => Timing::Quick,
        },
        ..Proof::of(login)
    })
}

/// Whether an application credential lets anybody in who knows its secret.
///
/// # Errors
///
/// When the database does not answer.
pub async fn is_usable(
    parts: &Parts,
    credential: &ApplicationCredential,
    owner: Option<&Login>,
    now: Timestamp,
) -> Result<bool, ApiError> {
    let rules = parts.login_rules();
    let is_admitted = |owner: &Login| rules.admits(&owner.subject, now.date_naive());
    if credential.is_expired(now) || !owner.is_some_and(is_admitted) {
        return Ok(false);
    }
    let Some(project_id) = &credential.project_id else {
        return Ok(true);
    };
    let target = parts.store.target(project_id).await?;
    Ok(target.is_some_and(|target| target.is_usable()))
}

fn refuse_expired(credential: &ApplicationCredential, now: Timestamp) -> Result<(), ApiError> {
    match credential.is_expired(now) {
        true => Err(ApiError::unauthorized(
            "the application credential has expired",
        )),
        false => Ok(()),
    }
}
