//! Whom and what a token speaks of, as far as logins and validation need to know.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::ids::{DomainId, ProjectId, UserId};
use crate::{Extra, Timestamp};

/// A domain, as tokens name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainRef {
    /// Its id.
    pub id: DomainId,
    /// Its name.
    pub name: String,
    /// A disabled domain gives no tokens and voids those it gave.
    pub enabled: bool,
}

/// A user, as tokens name them.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// The user's id.
    pub id: UserId,
    /// The user's name.
    pub name: String,
    /// The domain that owns the user.
    pub domain: DomainRef,
    /// A disabled user gets no tokens, and those they have are void.
    pub enabled: bool,
    /// When the current password ends.
    pub password_expires_at: Option<Timestamp>,
    /// The project of tokens for which no scope was asked.
    pub default_project_id: Option<ProjectId>,
    /// The last day on which the user was seen, the day of creation included; `None` when nobody
    /// knows, or when inactivity never disables the user.
    pub last_seen: Option<chrono::NaiveDate>,
}

/// A project or domain, as tokens name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeTarget {
    /// Its id. A domain has the same id as the project that stands for it.
    pub id: ProjectId,
    /// Its name.
    pub name: String,
    /// Whether it gives tokens.
    pub enabled: bool,
    /// The domain that owns it; `None` when it acts as a domain itself.
    pub domain: Option<DomainRef>,
}

impl ScopeTarget {
    /// Whether it and the domain above it are enabled.
    pub fn is_usable(&self) -> bool {
        self.enabled && self.domain.as_ref().is_none_or(|domain| domain.enabled)
    }
}

/// What a login with a password is judged by.
#[derive(Clone, Debug, PartialEq)]
pub struct Login {
    /// Who logs in.
    pub subject: Arc<Subject>,
    /// The current password, hashed; `None` when the user has none.
    pub password_hash: Option<String>,
    /// When the current password was set.
    pub password_created_at: Option<Timestamp>,
    /// Whether the user set it, and not an administrator.
    pub password_self_service: bool,
    /// Wrong passwords in a row.
    pub failed_attempts: u32,
    /// When the last of them came.
    pub failed_at: Option<Timestamp>,
    /// The last day on which the user logged in.
    pub last_active_at: Option<chrono::NaiveDate>,
    /// When the user was created.
    pub created_at: Option<Timestamp>,
    /// Switches of this user.
    pub options: UserOptions,
}

/// Switches of one user. What is written of them names those that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UserOptions {
    /// The first login need not change the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_change_password_upon_first_use: Option<bool>,
    /// The password never ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_password_expiry: Option<bool>,
    /// Wrong passwords never lock the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_lockout_failure_attempts: Option<bool>,
    /// The user cannot change the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_password: Option<bool>,
    /// Inactivity never disables the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_user_inactivity: Option<bool>,
    /// Lists of methods, one of which a login must pass whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_factor_auth_rules: Option<Vec<Vec<String>>>,
    /// Whether those lists count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_factor_auth_enabled: Option<bool>,
}

impl UserOptions {
    /// Sets the option that the table knows under this id; ids of a later release are ignored.
    pub fn set_stored(&mut self, id: &str, value: &Value) {
        match id {
            "1000" => self.ignore_change_password_upon_first_use = value.as_bool(),
            "1001" => self.ignore_password_expiry = value.as_bool(),
            "1002" => self.ignore_lockout_failure_attempts = value.as_bool(),
            "1003" => self.lock_password = value.as_bool(),
            "1004" => self.ignore_user_inactivity = value.as_bool(),
            "MFAR" => {
                self.multi_factor_auth_rules = serde_json::from_value(value.clone()).ok();
            }
            "MFAE" => self.multi_factor_auth_enabled = value.as_bool(),
            _ => {}
        }
    }

    /// The options that are set, under the ids of the table.
    pub fn stored(&self) -> Vec<(&'static str, Value)> {
        [
            (
                "1000",
                self.ignore_change_password_upon_first_use.map(Value::from),
            ),
            ("1001", self.ignore_password_expiry.map(Value::from)),
            (
                "1002",
                self.ignore_lockout_failure_attempts.map(Value::from),
            ),
            ("1003", self.lock_password.map(Value::from)),
            ("1004", self.ignore_user_inactivity.map(Value::from)),
            (
                "MFAR",
                self.multi_factor_auth_rules.clone().map(Value::from),
            ),
            ("MFAE", self.multi_factor_auth_enabled.map(Value::from)),
        ]
        .into_iter()
        .filter_map(|(id, value)| Some((id, value?)))
        .collect()
    }
}

/// A service of the catalog with its endpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogService {
    /// Its id.
    pub id: String,
    /// What kind of service it is (`identity`, `compute`).
    pub kind: String,
    /// Its name, from what is stored beside the known attributes.
    pub name: String,
    /// Its enabled endpoints.
    pub endpoints: Vec<CatalogEndpoint>,
}

/// An enabled endpoint of the catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogEndpoint {
    /// Its id.
    pub id: String,
    /// `public`, `internal` or `admin`.
    pub interface: String,
    /// Its region.
    pub region_id: Option<String>,
    /// Its URL, with places to fill.
    pub url: String,
    /// Attributes that the server does not know.
    pub extra: Extra,
}
