//! Whom a login names, and whether they may log in at all.

use std::sync::Arc;

use model::Timestamp;
use model::ids::UserId;
use model::subject::Login;
use store::Store;

use super::login_request::Named;
use crate::error::ApiError;
use crate::parts::Parts;

/// Whether somebody may log in at all, whatever the proof: the one judge of every way in.
///
/// # Errors
///
/// 401 when the user or the domain is disabled, or the user has been away for too long.
pub(crate) fn require_enabled(
    parts: &Parts,
    login: &Login,
    now: Timestamp,
) -> Result<(), ApiError> {
    match parts.login_rules().admits(&login.subject, now.date_naive()) {
        true => Ok(()),
        false => Err(ApiError::unauthorized("the user or the domain is disabled")),
    }
}

/// Whom a login names, when that is cached; the database is not asked.
pub(crate) fn cached_login(store: &Store, user: &Named<UserId>) -> Option<Arc<Login>> {
    match user {
        Named::Id(id) => store.cached_login(id),
        Named::Name(name, domain) => store.cached_login_by_name(name, domain.as_named()),
    }
}

/// Whom a login names.
///
/// # Errors
///
/// When the database does not answer.
pub(crate) async fn find_login(
    store: &Store,
    user: &Named<UserId>,
) -> Result<Option<Arc<Login>>, ApiError> {
    Ok(match user {
        Named::Id(id) => store.login(id).await?,
        Named::Name(name, domain) => store.login_by_name(name, domain.as_named()).await?,
    })
}
