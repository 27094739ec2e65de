//! Declaring tokens void before they expire.

use std::time::Duration;

use chrono::{SubsecRound as _, TimeDelta};
use model::Timestamp;
use model::ids::{DomainId, GroupId, IdentityProviderId, UserId};
use model::revocation::RevocationEvent;
use model::token::AuditId;
use store::{StoreError, Tx};

use crate::parts::Parts;

/// Revokes a token and those that were obtained with it.
///
/// # Errors
///
/// When the database does not answer.
pub async fn revoke_chain(
    parts: &Parts,
    tx: &mut Tx,
    root: AuditId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let now = written_at(parts, now);
    let itself = RevocationEvent {
        audit_id: Some(root),
        ..RevocationEvent::at(now)
    };
    tx.revocations_mut().insert(&itself).await?;
    let descendants = RevocationEvent {
        audit_chain_id: Some(root),
        ..RevocationEvent::at(now)
    };
    tx.revocations_mut().insert(&descendants).await
}

/// Revokes all tokens of a user. The id has to be the stored one, letter by letter, and not what a
/// client wrote: MariaDB finds a user by other spellings as well, and no event fits by them.
///
/// # Errors
///
/// When the database does not answer.
pub async fn revoke_user(
    parts: &Parts,
    tx: &mut Tx,
    id: &UserId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let event = RevocationEvent {
        user_id: Some(id.clone()),
        ..RevocationEvent::at(written_at(parts, now))
    };
    tx.revocations_mut().insert(&event).await
}

/// Revokes the tokens of a user that were issued before this second, which is returned: as in
/// Keystone the token of the very login that does so survives, when it is issued then.
///
/// # Errors
///
/// When the database does not answer.
pub(crate) async fn revoke_former(
    parts: &Parts,
    tx: &mut Tx,
    id: &UserId,
    now: Timestamp,
) -> Result<Timestamp, StoreError> {
    let now = written_at(parts, now);
    let event = RevocationEvent::at(now);
    let event = RevocationEvent {
        user_id: Some(id.clone()),
        issued_before: event.issued_before - TimeDelta::seconds(1),
        ..event
    };
    tx.revocations_mut().insert(&event).await?;
    Ok(now)
}

/// Revokes all tokens of each member of a group.
///
/// # Errors
///
/// When the database does not answer.
pub async fn revoke_members(
    parts: &Parts,
    tx: &mut Tx,
    id: &GroupId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let second = written_at(parts, now).trunc_subsecs(0);
    tx.revocations_mut().insert_for_members(id, second).await
}

/// Revokes all tokens of each user whom an identity provider keeps.
///
/// # Errors
///
/// When the database does not answer.
pub async fn revoke_users_of_provider(
    parts: &Parts,
    tx: &mut Tx,
    id: &IdentityProviderId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let second = written_at(parts, now).trunc_subsecs(0);
    tx.revocations_mut().insert_for_provider(id, second).await
}

/// Revokes all tokens that name a domain, something in it, or somebody of it.
///
/// # Errors
///
/// When the database does not answer.
pub async fn revoke_domain(
    parts: &Parts,
    tx: &mut Tx,
    id: &DomainId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let second = written_at(parts, now).trunc_subsecs(0);
    tx.revocations_mut().insert_for_domain(id, second).await
}

/// When an event counts that a request writes which came at `now`. It may have waited since then,
/// for a hash, a lock or a connection, and tokens that were issued meanwhile are meant too.
fn written_at(parts: &Parts, now: Timestamp) -> Timestamp {
    now.max(parts.clock.now())
}

/// No token is valid for longer.
pub fn lifetime(parts: &Parts) -> Duration {
    parts.config.token.expiration + parts.config.revoke.expiration_buffer
}
