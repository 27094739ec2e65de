//! From a password that somebody chose to one that can be stored.

use chrono::{SubsecRound as _, TimeDelta};
use fancy_regex::Regex;
use model::subject::UserOptions;
use model::user::StoredPassword;
use model::{Secret, Timestamp};
use secrets::passwords::PasswordError;

use crate::error::ApiError;
use crate::parts::Parts;

/// Who chose a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChosenBy {
    /// An administrator, for the user.
    Administrator,
    /// The user.
    User,
}

/// A password that is hashed, and not stored yet.
pub struct NewPassword {
    hash: Option<String>,
    chosen_by: ChosenBy,
}

/// Judges a password by `[security_compliance]`, and hashes it. `None` is no password at all: the
/// user cannot log in by one.
///
/// It is slow on purpose, so call it before a transaction is open.
///
/// # Errors
///
/// 400 when it does not look as it must, 403 when it is too long, 503 when too many wait.
pub async fn new_password(
    parts: &Parts,
    password: Option<&Secret<String>>,
    chosen_by: ChosenBy,
) -> Result<NewPassword, ApiError> {
    check_form(parts, password)?;
    let hash = match password {
        None => None,
        Some(password) => Some(parts.hasher.hash(password).await.map_err(refuse)?),
    };
    Ok(NewPassword { hash, chosen_by })
}

impl NewPassword {
    /// The password as it is written in the transaction that is open at this time, and not as it
    /// was when its slow hash began: what was set later counts.
    pub fn set_at(self, parts: &Parts, options: &UserOptions, now: Timestamp) -> StoredPassword {
        StoredPassword {
            hash: self.hash,
            created_at: now,
            expires_at: end(parts, self.chosen_by, options, now),
            self_service: self.chosen_by == ChosenBy::User,
        }
    }
}

/// Refuses a password that is one of these.
///
/// # Errors
///
/// 400 when it is, 503 when too many wait.
pub async fn check_history(
    parts: &Parts,
    password: &Secret<String>,
    former: &[String],
) -> Result<(), ApiError> {
    for hash in former {
        // A hash that nobody can read equals no password.
        match parts.hasher.verify_slowly(password, hash).await {
            Ok(false) | Err(PasswordError::UnknownFormat) => {}
            Ok(true) => {
                return Err(ApiError::BadRequest(format!(
                    "The new password cannot be identical to a previous password. The total \
                     number which includes the new password must be unique is {}.",
                    parts.config.security_compliance.unique_last_password_count
                )));
            }
            Err(error) => return Err(refuse(error)),
        }
    }
    Ok(())
}

/// Checks that a password looks as it must: `password_regex` has to match from the start, as
/// Python's `re.match` has it.
///
/// # Errors
///
/// 400 when it does not.
pub fn check_form(parts: &Parts, password: Option<&Secret<String>>) -> Result<(), ApiError> {
    let compliance = &parts.config.security_compliance;
    let Some(pattern) = &compliance.password_regex else {
        return Ok(());
    };
    let Some(password) = password else {
        return Err(invalid("Password must be a string type"));
    };
    let matches = Regex::new(&format!(r"\A(?:{pattern})"))
        .and_then(|pattern| pattern.is_match(password.expose()));
    match matches {
        Ok(true) => Ok(()),
        Ok(false) => Err(ApiError::BadRequest(format!(
            "The password does not match the requirements: {}.",
            compliance
                .password_regex_description
                .as_deref()
                .unwrap_or("None")
        ))),
        Err(error) => {
            tracing::error!(%error, "[security_compliance] password_regex cannot be used");
            Err(invalid(
                "Unable to validate password due to invalid configuration",
            ))
        }
    }
}

fn end(
    parts: &Parts,
    chosen_by: ChosenBy,
    options: &UserOptions,
    now: Timestamp,
) -> Option<Timestamp> {
    let compliance = &parts.config.security_compliance;
    let must_change = compliance.change_password_upon_first_use
        && options.ignore_change_password_upon_first_use != Some(true);
    if chosen_by == ChosenBy::Administrator && must_change {
        return Some(now);
    }
    if options.ignore_password_expiry == Some(true) {
        return None;
    }
    let days = compliance.password_expires_days?;
    let end = now.checked_add_signed(TimeDelta::days(days.into()))?;
    Some(end.trunc_subsecs(0))
}

fn invalid(detail: &str) -> ApiError {
    ApiError::BadRequest(format!("Password validation error: {detail}."))
}

fn refuse(error: PasswordError) -> ApiError {
    match error {
        PasswordError::Busy => ApiError::Unavailable("too many passwords wait to be hashed".into()),
        PasswordError::TooLong { limit } => ApiError::Forbidden(format!(
            "The password length must be less than or equal to {limit}. The server could not \
             comply with the request because the password is invalid."
        )),
        PasswordError::Aborted | PasswordError::UnknownFormat => ApiError::internal(error),
    }
}
