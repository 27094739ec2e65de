//! Whether a password login may succeed, beyond the password itself (`[security_compliance]`).

use chrono::{NaiveDate, TimeDelta};

use crate::Timestamp;
use crate::subject::{Login, Subject};
use crate::user::User;

/// The operator's rules about accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoginRules {
    /// So many wrong passwords in a row lock the account; `None`: never.
    pub lockout_failure_attempts: Option<u32>,
    /// For how long.
    pub lockout_duration: TimeDelta,
    /// So many days without a login disable the account; `None`: never.
    pub inactive_days: Option<u32>,
}

impl LoginRules {
    /// Whether wrong passwords have locked the account. While it is, no attempt is even looked at.
    pub fn is_locked(&self, login: &Login, now: Timestamp) -> bool {
        let Some(most) = self.lockout_failure_attempts else {
            return false;
        };
        login.options.ignore_lockout_failure_attempts != Some(true)
            && login.failed_attempts >= most
            && login.failed_at.is_some_and(|failed_at| {
                let end = failed_at.checked_add_signed(self.lockout_duration);
                end.is_none_or(|end| now < end)
            })
    }

    /// Whether the failures so far belong to a lock that is over, so that counting starts again.
    pub fn lock_is_over(&self, login: &Login, now: Timestamp) -> bool {
        self.lockout_failure_attempts
            .is_some_and(|most| login.failed_attempts >= most)
            && !self.is_locked(login, now)
    }

    /// Whether user and domain are enabled, and the user has been seen lately enough: the condition
    /// of every way to log in. For tokens [`Self::is_enabled`] is asked instead.
    pub fn admits(&self, subject: &Subject, today: NaiveDate) -> bool {
        subject.domain.enabled && self.is_enabled(subject, today)
    }

    /// Whether the user, wherever they belong, is enabled and has been seen lately enough.
    pub fn is_enabled(&self, subject: &Subject, today: NaiveDate) -> bool {
        subject.enabled && !self.is_inactive(subject.last_seen, today)
    }

    /// The same for a user who need not log in now.
    pub fn keeps_enabled(&self, user: &User, today: NaiveDate) -> bool {
        let exempt = user.options.ignore_user_inactivity == Some(true);
        user.enabled && (exempt || !self.is_inactive(user.last_seen, today))
    }

    /// Whether somebody who was seen last on that day has been away for too long.
    fn is_inactive(&self, last_seen: Option<NaiveDate>, today: NaiveDate) -> bool {
        let Some(days) = self.inactive_days else {
            return false;
        };
        last_seen.is_some_and(|day| (today - day).num_days() >= i64::from(days))
    }
}

/// Why a user may not change the own password now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordChangeRefused {
    /// An administrator locked it.
    #[error(
        "You cannot change your password at this time due to password policy disallowing password \
         changes. Please contact your administrator to reset your password."
    )]
    Locked,
    /// The user set it too short a time ago.
    #[error(
        "You cannot change your password at this time due to the minimum password age. Once you \
         change your password, it must be used for {least} day(s) before it can be changed. Please \
         try again in {left} day(s) or contact your administrator to reset your password."
    )]
    TooNew {
        /// Days that a password must be kept.
        least: u32,
        /// Whole days until it may be changed.
        left: i64,
    },
}

impl Login {
    /// Whether the user may change the own password, which must have been kept for some days. One
    /// that an administrator set may be changed at once.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn may_change_password(
        &self,
        least: u32,
        now: Timestamp,
    ) -> Result<(), PasswordChangeRefused> {
        if self.options.lock_password == Some(true) {
            return Err(PasswordChangeRefused::Locked);
        }
        // Without a least age nothing is too new, also where a clock that is ahead set it.
        let Some(set_at) = self
            .password_created_at
            .filter(|_| self.password_self_service && least > 0)
        else {
            return Ok(());
        };
        let end = set_at.checked_add_signed(TimeDelta::days(least.into()));
        let left = end.map_or(TimeDelta::MAX, |end| end - now);
        if left > TimeDelta::zero() {
            return Err(PasswordChangeRefused::TooNew {
                least,
                left: left.num_days(),
            });
        }
        Ok(())
    }

    /// Whether the current password has ended.
    pub fn password_is_expired(&self, now: Timestamp) -> bool {
        self.options.ignore_password_expiry != Some(true)
            && self
                .subject
                .password_expires_at
                .is_some_and(|end| now >= end)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::TimeZone as _;

    use super::*;
    use crate::subject::{DomainRef, UserOptions};

    fn login() -> Login {
        Login {
            subject: Arc::new(Subject {
                id: "u".into(),
                name: "ada".into(),
                domain: DomainRef {
                    id: "d".into(),
                    name: "D".into(),
                    enabled: true,
                },
                enabled: true,
                password_expires_at: None,
                default_project_id: None,
                last_seen: Some(at(0).date_naive()),
            }),
            password_hash: None,
            password_created_at: None,
            password_self_service: false,
            failed_attempts: 3,
            failed_at: Some(at(0)),
            last_active_at: None,
            created_at: Some(at(0)),
            options: UserOptions::default(),
        }
    }

    fn at(second: i64) -> Timestamp {
        chrono::Utc.timestamp_opt(second, 0).unwrap()
    }

    fn rules() -> LoginRules {
        LoginRules {
            lockout_failure_attempts: Some(3),
            lockout_duration: TimeDelta::seconds(60),
            inactive_days: Some(2),
        }
    }

    #[test]
    fn failures_lock_for_a_while_unless_the_user_is_exempt() {
        assert!(rules().is_locked(&login(), at(59)));
        assert!(!rules().is_locked(&login(), at(60)));
        assert!(rules().lock_is_over(&login(), at(60)));
        assert!(!LoginRules::default().is_locked(&login(), at(1)));
        let few = Login {
            failed_attempts: 2,
            ..login()
        };
        assert!(!rules().is_locked(&few, at(1)));
        let mut exempt = login();
        exempt.options.ignore_lockout_failure_attempts = Some(true);
        assert!(!rules().is_locked(&exempt, at(1)));
    }

    #[test]
    fn an_account_unused_for_too_long_is_disabled_unless_exempt() {
        let day = |n: i64| at(n * 86_400).date_naive();
        let mut subject = Arc::unwrap_or_clone(login().subject);
        assert!(rules().admits(&subject, day(1)));
        assert!(!rules().admits(&subject, day(2)));
        subject.last_seen = None;
        assert!(rules().admits(&subject, day(9)));
        subject.enabled = false;
        assert!(!rules().admits(&subject, day(0)));
        subject.enabled = true;
        subject.domain.enabled = false;
        assert!(!rules().admits(&subject, day(0)));
    }

    #[test]
    fn a_password_is_kept_for_some_days_unless_an_administrator_set_it() {
        let mut login = login();
        login.password_created_at = Some(at(0));
        assert_eq!(login.may_change_password(2, at(0)), Ok(()));
        login.password_self_service = true;
        let kept = |left| Err(PasswordChangeRefused::TooNew { least: 2, left });
        assert_eq!(login.may_change_password(2, at(0)), kept(2));
        assert_eq!(login.may_change_password(2, at(2 * 86_400 - 1)), kept(0));
        assert_eq!(login.may_change_password(2, at(2 * 86_400)), Ok(()));
        assert_eq!(login.may_change_password(0, at(-1)), Ok(()));
        login.options.lock_password = Some(true);
        let locked = Err(PasswordChangeRefused::Locked);
        assert_eq!(login.may_change_password(0, at(9)), locked);
    }

    #[test]
    fn a_password_ends_at_its_second() {
        let mut login = login();
        assert!(!login.password_is_expired(at(9)));
        Arc::make_mut(&mut login.subject).password_expires_at = Some(at(5));
        assert!(!login.password_is_expired(at(4)));
        assert!(login.password_is_expired(at(5)));
        login.options.ignore_password_expiry = Some(true);
        assert!(!login.password_is_expired(at(9)));
    }
}
