//! Token validation: from the text of a token to its current rights.

use std::borrow::Cow;
use std::sync::Arc;

use model::assignment::EffectiveRoles;
use model::ids::ProjectId;
use model::revocation::{TokenFacts, TrustParties};
use model::subject::{ScopeTarget, Subject};
use model::{Method, Scope, Timestamp, Token};
use secrets::tokens::TokenError;
use store::Store;

use crate::delegation::{Delegation, LookupError, Reference, UnknownDelegation};
use crate::error::ApiError;
use crate::parts::Parts;
use crate::tokens::ValidToken;
use crate::tokens::rights::{Facts, Rights};

/// Why a token is not valid.
#[derive(Debug)]
pub enum ValidationError {
    /// It is no token, or no longer valid. The caller is anonymous.
    Invalid(ApiError),
    /// It acts by a delegation that is not implemented here, so its rights are unknown. The caller is
    /// anonymous, and it proves nothing in a login.
    Unsupported(ApiError),
    /// What it refers to is gone or disabled, which the client is told.
    SubjectGone(ApiError),
    /// The server could not find out.
    Unavailable(ApiError),
}

impl From<ValidationError> for ApiError {
    fn from(refusal: ValidationError) -> Self {
        match refusal {
            ValidationError::Invalid(error)
            | ValidationError::Unsupported(error)
            | ValidationError::SubjectGone(error)
            | ValidationError::Unavailable(error) => error,
        }
    }
}

impl ValidationError {
    /// What it means for a login that the token should prove.
    pub fn of_proof(self) -> ApiError {
        match self {
            Self::Unsupported(error) => ApiError::unauthorized(error.to_string()),
            other => other.into(),
        }
    }
}

impl From<store::StoreError> for ValidationError {
    fn from(error: store::StoreError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl From<LookupError> for ValidationError {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Gone { kind, id } => Self::SubjectGone(ApiError::not_found(kind, id)),
            LookupError::Store(error) => error.into(),
        }
    }
}

/// What to accept in a validation.
#[derive(Clone, Copy, Debug, Default)]
pub struct ValidationOptions {
    /// Accept a token until this long after its expiry.
    pub expired_for: chrono::TimeDelta,
    /// Accept a token that is bound to access rules: who asks enforces them.
    pub access_rules: bool,
}

/// Validates a token.
///
/// # Errors
///
/// Why it is not valid.
pub async fn validate_token(
    parts: &Parts,
    text: &str,
    now: Timestamp,
    options: ValidationOptions,
) -> Result<Arc<ValidToken>, ValidationError> {
    let (read, keys) = read(parts, text)
        .await
        .map_err(|error| ValidationError::Invalid(ApiError::NotFoundAs(error.to_string())))?;
    // What it acts by has to be known before anything is looked up.
    let delegation = Reference::of(&read.token().kind);
    let delegation = delegation.map_err(|unknown| unsupported(unknown, text))?;
    // What is kept in memory counts from here on as known.
    if parts.config.archstone.strict_validation {
        parts.store.sync().await?;
    } else {
        parts.store.ensure_synced().await?;
    }
    let rights = look_up(parts, read.token(), delegation, text, now).await?;
    let (valid, is_kept) = match read {
        Read::Kept(kept) if kept.has(&rights) => (kept, true),
        Read::Kept(kept) => (ValidToken::new(kept.token.clone(), rights).into(), false),
        Read::New(token) => (ValidToken::new(token, rights).into(), false),
    };
    require_valid(parts, &valid, now, options.expired_for).await?;
    if !is_kept {
        parts.token_cache.keep(text, keys, &valid);
    }
    if valid.has_access_rules() && !options.access_rules {
        return Err(failed_to_validate());
    }
    Ok(valid)
}

/// What is looked up here are the rights of the token's user; those of a trust, or of a consumer of
/// OAuth 1.0a, are others, and end with what delegated them.
fn unsupported(_: UnknownDelegation, text: &str) -> ValidationError {
    ValidationError::Unsupported(ApiError::not_found("token", text))
}

/// Refuses a token by a signature with EC2 keys: it says to other services who somebody is, and opens
/// nothing here.
///
/// # Errors
///
/// 403.
pub fn refuse_ec2(token: &ValidToken) -> Result<(), ApiError> {
    match token.token.methods.contains(&Method::Ec2Credential) {
        true => Err(ApiError::refused(
            "EC2 credential tokens cannot be used for authorization.",
        )),
        false => Ok(()),
    }
}

/// A token that is genuine.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives in one function, and a box would be one allocation more for each new token"
)]
enum Read {
    /// It was here before, and may have other rights by now.
    Kept(Arc<ValidToken>),
    /// It was decrypted just now.
    New(Token),
}

impl Read {
    fn token(&self) -> &Token {
        match self {
            Self::Kept(kept) => &kept.token,
            Self::New(token) => token,
        }
    }
}

/// Reads a token, and says with which keys. One under a key that another node has just rotated in waits
/// for the key.
async fn read(parts: &Parts, text: &str) -> Result<(Read, u64), TokenError> {
    // Before they are used: a token that was read with keys that went meanwhile is read again.
    let keys = parts.tokens.keys_version();
    if let Some(kept) = parts.token_cache.find(text, keys) {
        return Ok((Read::Kept(kept), keys));
    }
    match parts.tokens.read(text) {
        Err(TokenError::UnknownKey) => {
            parts.tokens.next_keys().await;
            let keys = parts.tokens.keys_version();
            Ok((Read::New(parts.tokens.read(text)?), keys))
        }
        read => Ok((Read::New(read?), keys)),
    }
}

/// Looks again at a token that was valid before a slow step: it may have been revoked, and its user
/// disabled, meanwhile. Always strictly, because the result is used to issue or to store something.
///
/// # Errors
///
/// Why it is no longer valid.
pub(crate) async fn validate_again(
    parts: &Parts,
    valid: &ValidToken,
    now: Timestamp,
) -> Result<Arc<ValidToken>, ValidationError> {
    parts.store.sync().await?;
    let delegation = Reference::of(&valid.token.kind);
    let delegation = delegation.map_err(|unknown| unsupported(unknown, ""))?;
    let rights = look_up(parts, &valid.token, delegation, "", now).await?;
    let valid = Arc::new(ValidToken::new(valid.token.clone(), rights));
    require_valid(parts, &valid, now, chrono::TimeDelta::zero()).await?;
    Ok(valid)
}

/// Refuses a token that has expired or was revoked, and one whose user or identity provider is
/// disabled or gone.
async fn require_valid(
    parts: &Parts,
    valid: &ValidToken,
    now: Timestamp,
    expired_for: chrono::TimeDelta,
) -> Result<(), ValidationError> {
    if valid.token.is_expired(now, expired_for)
        || is_revoked(&parts.store, valid)
        || !is_enabled(parts, &valid.subject, now).await?
    {
        return Err(failed_to_validate());
    }
    let Some(login) = valid.token.federated_login() else {
        return Ok(());
    };
    let id = &login.identity_provider_id;
    match parts.store.identity_provider_is_enabled(id).await? {
        None => Err(ValidationError::SubjectGone(ApiError::not_found(
            "Identity Provider",
            id,
        ))),
        Some(false) if parts.config.archstone.disabled_provider_ends_tokens => {
            Err(failed_to_validate())
        }
        Some(_) => Ok(()),
    }
}

/// Whether the user is enabled and has been seen lately enough. What is kept in memory may know of a
/// day before the last, never of a later one, so it is believed when it lets the user in.
async fn is_enabled(
    parts: &Parts,
    subject: &Subject,
    now: Timestamp,
) -> Result<bool, ValidationError> {
    let (rules, today) = (parts.login_rules(), now.date_naive());
    if !subject.enabled || rules.is_enabled(subject, today) {
        return Ok(subject.enabled);
    }
    let login = parts.store.logins().find(&subject.id).await?;
    Ok(login.is_some_and(|login| rules.is_enabled(&login.subject, today)))
}

fn failed_to_validate() -> ValidationError {
    ValidationError::Invalid(ApiError::NotFoundAs("Failed to validate token".into()))
}

/// Looks at the world as it is now: whom the token names, and what they may do still.
async fn look_up(
    parts: &Parts,
    token: &Token,
    delegation: Option<Reference<'_>>,
    text: &str,
    now: Timestamp,
) -> Result<Arc<Rights>, ValidationError> {
    let store = &parts.store;
    let scope = token.scope();
    let place: Option<(Cow<'_, ProjectId>, &'static str)> = match &*scope {
        Scope::Unscoped | Scope::System => None,
        Scope::Project(id) => Some((Cow::Borrowed(id), "project")),
        Scope::Domain(id) => Some((Cow::Owned(id.clone().into()), "domain")),
    };
    let place_id = place.as_ref().map(|(id, _)| &**id);
    let (subject, target) = store.subject_and_target(&token.user_id, place_id).await?;
    let target = match &place {
        None => None,
        Some((id, kind)) => Some(usable_target(target, id, kind)?),
    };
    let subject = subject
        .ok_or_else(|| ValidationError::SubjectGone(ApiError::not_found("user", &token.user_id)))?;
    if !subject.domain.enabled {
        return Err(disabled("domain", subject.domain.id.as_str()));
    }
    let delegation = match delegation {
        None => None,
        Some(reference) => Some(reference.find(store).await?),
    };
    let facts = Facts {
        subject,
        target,
        held: effective_roles(store, token, delegation.as_ref(), &scope, now).await?,
        delegation,
    };
    let rights = parts
        .token_cache
        .rights(&parts.config.resource, token, facts);
    if rights.roles.is_empty() && *scope != Scope::Unscoped {
        return Err(no_such_token(text));
    }
    Ok(rights)
}

/// The roles that are held now on what a token is valid on, by its user or by who delegated theirs.
///
/// # Errors
///
/// When the database does not answer.
pub(crate) async fn effective_roles(
    store: &Store,
    token: &Token,
    delegation: Option<&Delegation>,
    scope: &Scope,
    now: Timestamp,
) -> Result<Arc<EffectiveRoles>, store::StoreError> {
    let holder = match delegation {
        None => &token.user_id,
        Some(delegation) => delegation.parties().delegator,
    };
    let federated_groups = token
        .federated_login()
        .map(|login| login.group_ids.as_slice());
    store
        .effective_roles(holder, federated_groups, scope, now)
        .await
}

fn usable_target(
    target: Option<Arc<ScopeTarget>>,
    id: &ProjectId,
    kind: &'static str,
) -> Result<Arc<ScopeTarget>, ValidationError> {
    let target =
        target.ok_or_else(|| ValidationError::SubjectGone(ApiError::not_found(kind, id)))?;
    if !target.enabled {
        return Err(disabled(kind, id.as_str()));
    }
    match &target.domain {
        Some(domain) if !domain.enabled => Err(disabled("domain", domain.id.as_str())),
        _ => Ok(target),
    }
}

fn disabled(kind: &str, id: &str) -> ValidationError {
    ValidationError::SubjectGone(ApiError::NotFoundAs(format!(
        "Unable to validate token because {kind} {id} is disabled"
    )))
}

fn no_such_token(text: &str) -> ValidationError {
    ValidationError::Invalid(ApiError::not_found("token", text))
}

fn is_revoked(store: &Store, valid: &ValidToken) -> bool {
    let delegation = valid.delegation.as_ref();
    // Where one user is both, the token names them itself.
    let parties = delegation
        .map(|delegation| delegation.parties())
        .filter(|parties| parties.delegator != parties.delegate);
    store.is_revoked(&TokenFacts {
        token: &valid.token,
        user_domain_id: &valid.subject.domain.id,
        role_ids: valid.role_ids(),
        trust: parties.map(|parties| TrustParties {
            trustor_id: parties.delegator,
            trustee_id: parties.delegate,
        }),
        consumer_id: delegation.and_then(|delegation| delegation.consumer_id()),
    })
}
