//! What logins and the validation of tokens look up, each in one statement.

use std::sync::Arc;

use model::Timestamp;
use model::ids::{DomainId, ProjectId, UserId};
use model::subject::{DomainRef, Login, ScopeTarget, Subject, UserOptions};

use crate::change::Entity;
use crate::db::{Conn, Tx};
use crate::error::StoreError;
use crate::projects::ROOT;
use crate::value::{FromRow, Row};

/// Reads what logins and tokens are about.
pub struct Logins<'a> {
    pub(crate) db: Conn<'a>,
}

/// A user's name lives in one of three tables, looked at in this order.
macro_rules! subject {
    ($rest:literal) => {
        subject!("", $rest)
    };
    ($columns:literal, $rest:literal) => {
        concat!(
            r#"SELECT u.id, u.enabled, u.default_project_id, u.last_active_at, u.created_at,
               COALESCE(local_user.name, nonlocal_user.name,
                 (SELECT MIN(federated_user.display_name) FROM federated_user
                  WHERE federated_user.user_id = u.id)) AS name,
               d.id AS domain_id, d.name AS domain_name, d.enabled AS domain_enabled,
               local_user.failed_auth_count, local_user.failed_auth_at,
               password.password_hash, password.self_service,
               password.created_at_int, password.created_at AS password_created_at,
               password.expires_at_int, password.expires_at,
               user_option.option_id, user_option.option_value"#,
            $columns,
            r#" FROM "user" u
               JOIN project d ON d.id = u.domain_id
               LEFT JOIN local_user ON local_user.user_id = u.id
               LEFT JOIN nonlocal_user ON nonlocal_user.user_id = u.id
               LEFT JOIN password ON password.local_user_id = local_user.id
                 AND password.created_at_int = (SELECT MAX(newest.created_at_int)
                   FROM password newest WHERE newest.local_user_id = local_user.id)
               LEFT JOIN user_option ON user_option.user_id = u.id "#,
            $rest
        )
    };
}

impl Logins<'_> {
    /// Finds who logs in by id.
    pub async fn find(&mut self, id: &UserId) -> Result<Option<Login>, StoreError> {
        let rows = self
            .db
            .query(subject!("WHERE u.id = ?"))
            .bind(id)
            .rows()
            .await?;
        login(&rows)
    }

    /// Finds who logs in by id, and a project or domain. Without the user it finds neither.
    pub(crate) async fn find_with_target(
        &mut self,
        id: &UserId,
        target_id: &ProjectId,
    ) -> Result<(Option<Login>, Option<ScopeTarget>), StoreError> {
        let rows = self
            .db
            .query(subject!(
                ", t.id AS target_id, t.name AS target_name, t.enabled AS target_enabled, \
                 t.is_domain AS target_is_domain, td.id AS owner_id, td.name AS owner_name, \
                 td.enabled AS owner_enabled",
                "LEFT JOIN project t ON t.id = ? AND t.id <> ? \
                 LEFT JOIN project td ON td.id = t.domain_id \
                 WHERE u.id = ?"
            ))
            .bind(target_id)
            .bind(ROOT)
            .bind(id)
            .rows()
            .await?;
        let target = match rows.first() {
            Some(row) if row.optional_text("target_id")?.is_some() => Some(ScopeTarget {
                id: row.id("target_id")?,
                name: row.text("target_name")?,
                enabled: row.bool("target_enabled")?,
                domain: if row.bool("target_is_domain")? {
                    None
                } else {
                    Some(DomainRef {
                        id: row.id("owner_id")?,
                        name: row.text("owner_name")?,
                        enabled: row.bool("owner_enabled")?,
                    })
                },
            }),
            _ => None,
        };
        Ok((login(&rows)?, target))
    }

    /// Finds who logs in by name, in a domain that is named by its id.
    pub async fn find_by_name(
        &mut self,
        name: &str,
        domain_id: &DomainId,
    ) -> Result<Option<Login>, StoreError> {
        let rows = self
            .db
            .query(subject!(
                "WHERE local_user.name = ? AND local_user.domain_id = ?"
            ))
            .bind(name)
            .bind(domain_id)
            .rows()
            .await?;
        login(&rows)
    }

    /// Finds who logs in by name, in a domain that is named by its name.
    pub async fn find_by_names(
        &mut self,
        name: &str,
        domain_name: &str,
    ) -> Result<Option<Login>, StoreError> {
        let rows = self
            .db
            .query(subject!(
                "WHERE local_user.name = ? AND d.name = ? AND d.is_domain = ?"
            ))
            .bind(name)
            .bind(domain_name)
            .bind(true)
            .rows()
            .await?;
        login(&rows)
    }

    /// Finds a project, or a domain acting as one, by id.
    pub async fn find_target(&mut self, id: &ProjectId) -> Result<Option<ScopeTarget>, StoreError> {
        self.db
            .query(
                "SELECT p.id, p.name, p.enabled, p.is_domain, d.id AS domain_id, \
                 d.name AS domain_name, d.enabled AS domain_enabled \
                 FROM project p LEFT JOIN project d ON d.id = p.domain_id \
                 WHERE p.id = ? AND p.id <> ?",
            )
            .bind(id)
            .bind(ROOT)
            .optional()
            .await
    }

    /// Finds a project by its name and its domain's id or name.
    pub async fn find_project_by_name(
        &mut self,
        name: &str,
        domain_id: Option<&DomainId>,
        domain_name: Option<&str>,
    ) -> Result<Option<ScopeTarget>, StoreError> {
        self.db
            .query(
                "SELECT p.id, p.name, p.enabled, p.is_domain, d.id AS domain_id, \
                 d.name AS domain_name, d.enabled AS domain_enabled \
                 FROM project p JOIN project d ON d.id = p.domain_id \
                 WHERE p.name = ? AND (d.id = ? OR d.name = ?) AND d.id <> ? AND d.is_domain = ?",
            )
            .bind(name)
            .bind(domain_id)
            .bind(domain_name)
            .bind(ROOT)
            .bind(true)
            .optional()
            .await
    }

    /// Finds a domain by name.
    pub async fn find_domain_by_name(
        &mut self,
        name: &str,
    ) -> Result<Option<ScopeTarget>, StoreError> {
        self.db
            .query(
                "SELECT p.id, p.name, p.enabled, p.is_domain, NULL AS domain_id, \
                 NULL AS domain_name, NULL AS domain_enabled \
                 FROM project p WHERE p.name = ? AND p.is_domain = ? AND p.id <> ?",
            )
            .bind(name)
            .bind(true)
            .bind(ROOT)
            .optional()
            .await
    }
}

/// Notes what came of logins, in a transaction.
pub struct LoginsMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl LoginsMut<'_> {
    /// Finds who logs in by id, for a login or a change that acts on it: nobody else changes the
    /// user, or gives them another password, until the transaction ends.
    pub async fn find_for_update(&mut self, id: &UserId) -> Result<Option<Login>, StoreError> {
        self.tx.lock("user", id.as_str()).await?;
        self.tx.logins().find(id).await
    }

    /// Notes a successful login: the day, and that no failure counts any more.
    pub async fn note_success(
        &mut self,
        login: &Login,
        today: chrono::NaiveDate,
    ) -> Result<(), StoreError> {
        if login.last_active_at != Some(today) {
            self.tx
                .update(
                    "user",
                    Entity::Login(login.subject.id.as_str()),
                    "SET last_active_at = ? WHERE id = ?",
                )
                .bind(today)
                .bind(&login.subject.id)
                .execute()
                .await?;
        }
        if login.failed_attempts > 0 {
            self.tx
                .update(
                    "local_user",
                    Entity::Login(login.subject.id.as_str()),
                    "SET failed_auth_count = 0, failed_auth_at = NULL WHERE user_id = ?",
                )
                .bind(&login.subject.id)
                .execute()
                .await?;
        }
        Ok(())
    }

    /// Counts a wrong password. The database adds, so that guesses made at once all count. When
    /// the latest failure is still the one at `over`, it and those before belong to a lock that is
    /// over, and count no more.
    pub async fn note_failure(
        &mut self,
        id: &UserId,
        over: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.tx
            .update(
                "local_user",
                Entity::Login(id.as_str()),
                "SET failed_auth_count = \
                 CASE WHEN failed_auth_at = ? THEN 1 ELSE COALESCE(failed_auth_count, 0) + 1 END, \
                 failed_auth_at = ? WHERE user_id = ?",
            )
            .bind(over)
            .bind(now)
            .bind(id)
            .execute()
            .await?;
        Ok(())
    }
}

/// One row for each option of the one user.
fn login(rows: &[Row]) -> Result<Option<Login>, StoreError> {
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let mut options = UserOptions::default();
    for row in rows {
        if let Some(id) = row.optional_text("option_id")? {
            options.set_stored(&id, &row.json("option_value")?);
        }
    }
    let last_active_at = row.optional_date("last_active_at")?;
    let created_at = row.optional_time("created_at")?;
    let exempt = options.ignore_user_inactivity == Some(true);
    Ok(Some(Login {
        subject: Arc::new(Subject {
            id: row.id("id")?,
            name: row.optional_text("name")?.unwrap_or_default(),
            domain: domain(row)?,
            enabled: row.bool("enabled")?,
            password_expires_at: row.precise_time("expires_at_int", "expires_at")?,
            default_project_id: row.optional_id("default_project_id")?,
            last_seen: last_active_at
                .or(created_at.map(|time| time.date_naive()))
                .filter(|_| !exempt),
        }),
        password_hash: row.optional_text("password_hash")?,
        password_created_at: row.precise_time("created_at_int", "password_created_at")?,
        password_self_service: row.bool("self_service")?,
        failed_attempts: row
            .optional_int("failed_auth_count")?
            .map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX)),
        failed_at: row.optional_time("failed_auth_at")?,
        last_active_at,
        created_at,
        options,
    }))
}

fn domain(row: &Row) -> Result<DomainRef, StoreError> {
    Ok(DomainRef {
        id: row.id("domain_id")?,
        name: row.text("domain_name")?,
        enabled: row.bool("domain_enabled")?,
    })
}

impl FromRow for ScopeTarget {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            name: row.text("name")?,
            enabled: row.bool("enabled")?,
            domain: if row.bool("is_domain")? {
                None
            } else {
                Some(domain(row)?)
            },
        })
    }
}
