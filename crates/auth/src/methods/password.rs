//! The method `password`: what only the user knows.

use std::sync::Arc;

use model::ids::UserId;
use model::subject::Login;
use model::{Method, Secret, Timestamp};
use serde_json::Value;
use store::Tx;

use super::hashes::{refuse_hash, refuse_slowly};
use super::login_request::{Named, by_id_first, text};
use super::users::{cached_login, find_login, require_enabled};
use super::{Answer, Attempt, AuthenticationMethod, Proof, Timing, proof};
use crate::error::ApiError;
use crate::parts::Parts;

/// By what only the user knows.
pub(super) struct ByPassword;

impl AuthenticationMethod for ByPassword {
    fn name(&self) -> Method {
        Method::Password
    }

    fn prove<'a>(&'a self, attempt: Attempt<'a>) -> Answer<'a, Proof> {
        Box::pin(async move {
            let Attempt { parts, now, .. } = attempt;
            let shown = ShownPassword::parse(proof(&attempt, &self.name()))?;
            let ShownPassword { user, password } = &shown;
            let checked = match cached_login(&parts.store, user) {
                Some(login) if is_remembered(parts, &login, password, now) => {
                    accept(parts, CheckedPassword { login, slow: false }, now).await
                }
                // A slow hash follows. The database is asked once whoever is named: an answer that is
                // sooner would tell who is there.
                cached => {
                    let login = match cached {
                        Some(login) => {
                            let found = parts.store.logins().find(&login.subject.id).await?;
                            found.map(Arc::new)
                        }
                        None => find_login(&parts.store, user).await?,
                    };
                    check_password(parts, user, login, password, now).await
                }
            };
            let checked = checked.map_err(hide_disabled)?;
            Ok(Proof {
                secret_hash: checked.login.password_hash.clone(),
                timing: match checked.slow {
                    true => Timing::SlowAndConfirmed,
                    false => Timing::Quick,
                },
                ..Proof::of(checked.login)
            })
        })
    }

    fn confirm<'a>(&'a self, _: &'a Parts, proof: &'a mut Proof, _: Timestamp) -> Answer<'a, ()> {
        Box::pin(async move {
            match proof.secret_hash == proof.login.password_hash {
                true => Ok(()),
                false => Err(ApiError::unauthorized("the password was changed meanwhile")),
            }
        })
    }

    /// A password that was set since then is another one.
    fn is_outdated(&self, login: &Login, issued_at: Timestamp) -> bool {
        let set_at = login.password_created_at;
        set_at.is_none_or(|set_at| set_at > issued_at)
    }
}

/// What a client says of a user.
struct ShownPassword {
    user: Named<UserId>,
    password: Secret<String>,
}

impl ShownPassword {
    /// Reads `{"user": {..., "password"}}`.
    ///
    /// # Errors
    ///
    /// 400 when the user is not named.
    fn parse(proof: &Value) -> Result<Self, ApiError> {
        // The reference has no name for the place, and says so.
        let user = proof
            .get("user")
            .ok_or_else(|| ApiError::expecting("user", "None"))?;
        let password = text(user, "password")
            .ok_or_else(|| ApiError::unauthorized("no password was given"))?;
        Ok(Self {
            user: by_id_first(user)?,
            password: Secret::new(password),
        })
    }
}

/// A password that was right when it was tried. Only [`try_password`] makes one.
#[non_exhaustive]
pub struct CheckedPassword {
    /// Whose it is.
    pub login: Arc<Login>,
    /// Whether a slow hash was computed for it: what is known of the user may have changed.
    pub slow: bool,
}

/// Checks a password, in the order locked, wrong, disabled, expired: so expiry is told only to
/// who knows the password.
///
/// # Errors
///
/// The same 401 for all but who knows the password of a disabled user, or one that has expired.
pub async fn check_password(
    parts: &Parts,
    asked: &Named<UserId>,
    login: Option<Arc<Login>>,
    password: &Secret<String>,
    now: Timestamp,
) -> Result<CheckedPassword, ApiError> {
    let checked = try_password(parts, asked, login, password, now).await?;
    accept(parts, checked, now).await
}

/// Lets the user of a right password in, if they may use it.
async fn accept(
    parts: &Parts,
    checked: CheckedPassword,
    now: Timestamp,
) -> Result<CheckedPassword, ApiError> {
    require_usable(parts, &checked.login, now)?;
    settle_password(parts, checked).await
}

/// Notes that a right password was used, once it is sure that it still is right.
///
/// # Errors
///
/// 401 when it is not.
pub async fn settle_password(
    parts: &Parts,
    checked: CheckedPassword,
) -> Result<CheckedPassword, ApiError> {
    let now = parts.clock.now();
    let CheckedPassword { login, slow } = checked;
    let is_noted = login.last_active_at == Some(now.date_naive()) && login.failed_attempts == 0;
    if !slow && is_noted {
        return Ok(CheckedPassword { login, slow });
    }
    let mut tx = parts.store.begin().await?;
    let login = Arc::new(confirm_password(parts, &mut tx, &login).await?);
    require_usable(parts, &login, now)?;
    tx.logins_mut()
        .note_success(&login, now.date_naive())
        .await?;
    let _ = tx.commit().await?;
    Ok(CheckedPassword { login, slow })
}

/// Tries a password, without a word about whether its user may use it.
///
/// # Errors
///
/// 401 when it is wrong, or the account is locked.
pub async fn try_password(
    parts: &Parts,
    asked: &Named<UserId>,
    login: Option<Arc<Login>>,
    password: &Secret<String>,
    now: Timestamp,
) -> Result<CheckedPassword, ApiError> {
    let rules = parts.login_rules();
    let counts = rules.lockout_failure_attempts.is_some();
    let Some(mut login) = login else {
        let _attempt = match counts {
            true => Some(parts.attempt_queues.begin(&account(asked)).await?),
            false => None,
        };
        return refuse_slowly(parts, password, "no such user").await;
    };
    if is_remembered(parts, &login, password, now) {
        return Ok(CheckedPassword { login, slow: false });
    }
    // Also where it is locked or no failure locks it: to be answered sooner would tell.
    let _attempt = if counts {
        let attempt = parts
            .attempt_queues
            .begin(login.subject.id.as_str())
            .await?;
        // Others may have had their turn since the account was looked up.
        let found = parts.store.logins().find(&login.subject.id).await?;
        login = Arc::new(found.ok_or_else(|| ApiError::unauthorized("the user is gone"))?);
        Some(attempt)
    } else {
        None
    };
    let now = parts.clock.now();
    let Some(hash) = &login.password_hash else {
        return refuse_slowly(parts, password, "the user has no password").await;
    };
    if rules.is_locked(&login, now) {
        return refuse_slowly(parts, password, "the account is locked").await;
    }
    let right = if rules.admits(&login.subject, now.date_naive()) {
        parts.hasher.verify(password, hash, now).await
    } else {
        parts.hasher.verify_slowly(password, hash).await
    };
    if right.map_err(refuse_hash)? {
        return Ok(CheckedPassword { login, slow: true });
    }
    if counts {
        let is_over = rules.lock_is_over(&login, now);
        let over = login.failed_at.filter(|_| is_over);
        let mut tx = parts.store.begin().await?;
        tx.logins_mut()
            .note_failure(&login.subject.id, over, now)
            .await?;
        let _saved = tx.commit().await?;
    }
    Err(ApiError::unauthorized("wrong password"))
}

/// Whether a password was right a while ago, and nothing keeps its user from logging in.
fn is_remembered(parts: &Parts, login: &Login, password: &Secret<String>, now: Timestamp) -> bool {
    let rules = parts.login_rules();
    let Some(hash) = &login.password_hash else {
        return false;
    };
    rules.admits(&login.subject, now.date_naive())
        && !rules.is_locked(login, now)
        && parts.hasher.remembers(password, hash, now)
}

/// The account that a login names, where there is none: as users are named who do exist.
fn account(asked: &Named<UserId>) -> String {
    match asked {
        Named::Id(id) => id.to_string(),
        Named::Name(name, _) => name.to_lowercase(),
    }
}

/// Finds the user of a password that was right, as they are now, and locks them: what was verified
/// outside of the transaction that acts on it may not hold any more.
///
/// # Errors
///
/// 401 when the password is another one now, or the account is locked.
pub async fn confirm_password(
    parts: &Parts,
    tx: &mut Tx,
    proved: &Login,
) -> Result<Login, ApiError> {
    let login = tx.logins_mut().find_for_update(&proved.subject.id).await?;
    let login = login.ok_or_else(|| ApiError::unauthorized("the user is gone"))?;
    if login.password_hash != proved.password_hash {
        return Err(ApiError::unauthorized("the password was changed meanwhile"));
    }
    if parts.login_rules().is_locked(&login, parts.clock.now()) {
        return Err(ApiError::unauthorized("the account was locked meanwhile"));
    }
    Ok(login)
}

/// Whether the user of a right password may use it.
///
/// # Errors
///
/// 401, which tells whether the user is disabled or the password expired.
pub fn require_usable(parts: &Parts, login: &Login, now: Timestamp) -> Result<(), ApiError> {
    if !login.subject.domain.enabled {
        return Err(ApiError::unauthorized("the domain is disabled"));
    }
    if require_enabled(parts, login, now).is_err() {
        return Err(ApiError::AccountDisabled {
            user_id: login.subject.id.clone(),
        });
    }
    if login.password_is_expired(now) {
        return Err(ApiError::PasswordExpired {
            user_id: login.subject.id.clone(),
        });
    }
    Ok(())
}

/// A login does not tell that the password of a disabled user was right.
fn hide_disabled(error: ApiError) -> ApiError {
    match error {
        ApiError::AccountDisabled { .. } => ApiError::unauthorized("the user is disabled"),
        other => other,
    }
}
