//! The method `application_credential`: the secret of a part of a user's authority.

use model::application_credential::ApplicationCredential;
use model::ids::{ApplicationCredentialId, UserId};
use model::subject::Login;
use model::{Secret, Timestamp};
use serde_json::Value;
use store::StoredCredential;

use super::hashes::{refuse_hash, refuse_slowly};
use super::login_request::{Named, by_id_first, refuse_unsafe_domain};
use super::users::{find_login, require_enabled};
use crate::error::ApiError;
use crate::parts::Parts;

/// The proof of the method `application_credential`.
pub struct ApplicationCredentialProof {
    /// Which one.
    pub credential: CredentialName,
    /// Its secret.
    pub secret: Secret<String>,
}

/// An application credential, by id or by name.
pub enum CredentialName {
    /// By id.
    Id(ApplicationCredentialId),
    /// By its name and its user.
    Name(String, Named<UserId>),
}

impl ApplicationCredentialProof {
    /// Reads `{"id", "secret"}` or `{"name", "secret", "user"}`.
    ///
    /// # Errors
    ///
    /// 400 when the credential is not named or the secret is no text, 401 when there is no secret.
    pub fn parse(proof: &Value) -> Result<Self, ApiError> {
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

/// An application credential whose secret was right when it was tried.
pub(crate) struct CheckedSecret {
    pub credential: StoredCredential,
    pub login: Login,
    /// Whether a slow hash was computed for it.
    pub slow: bool,
}

/// Checks the secret of an application credential. An unknown credential takes the same time as a
/// wrong secret, and gets the same answer.
pub(crate) async fn check_secret(
    parts: &Parts,
    proof: &ApplicationCredentialProof,
    now: Timestamp,
) -> Result<CheckedSecret, ApiError> {
    let found = match &proof.credential {
        CredentialName::Id(id) => parts.store.application_credentials().find(id).await?,
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
                }
            }
        }
    };
    let Some(found) = found else {
        return refuse_slowly(parts, &proof.secret, "no such application credential").await;
    };
    let hash = &found.secret_hash;
    let slow = !parts.hasher.remembers(&proof.secret, hash, now);
    let owner = parts.store.logins().find(&found.credential.user_id).await?;
    let usable = is_usable(parts, &found.credential, owner.as_ref(), now).await?;
    let right = if usable {
        parts.hasher.verify(&proof.secret, hash, now).await
    } else {
        // Takes the same time with the right secret, also where that is remembered.
        parts.hasher.verify_slowly(&proof.secret, hash).await
    };
    if !right.map_err(refuse_hash)? {
        return Err(ApiError::unauthorized(
            "wrong secret of an application credential",
        ));
    }
    refuse_expired(&found.credential, now)?;
    let login = owner.ok_or_else(|| ApiError::unauthorized("its user is gone"))?;
    require_enabled(parts, &login, now)?;
    Ok(CheckedSecret {
        credential: found,
        login,
        slow,
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

pub(crate) fn refuse_expired(
    credential: &ApplicationCredential,
    now: Timestamp,
) -> Result<(), ApiError> {
    match credential.is_expired(now) {
        true => Err(ApiError::unauthorized(
            "the application credential has expired",
        )),
        false => Ok(()),
    }
}
