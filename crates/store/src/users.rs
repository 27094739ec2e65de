//! Users.

use model::Timestamp;
use model::ids::{DomainId, IdentityProviderId, ProtocolId, UserId};
use model::json;
use model::listing::{Page, TextMatch};
use model::subject::UserOptions;
use model::user::{Comparison, FederatedIdentity, StoredPassword, User, UserFilter};

use crate::change::Entity;
use crate::db::{Conn, Tx};
use crate::dialect::placeholders;
use crate::error::StoreError;
use crate::filter::Where;
use crate::value::{FromRow, Row, Value};

/// Reads users.
pub struct Users<'a> {
    pub(crate) db: Conn<'a>,
}

/// A user's name lives in one of three tables, looked at in this order; `user` is the table of users.
fn name(user: &str) -> String {
    format!(
        "COALESCE(local_user.name, nonlocal_user.name, \
         (SELECT MIN(federated_user.display_name) FROM federated_user \
          WHERE federated_user.user_id = {user}.id))"
    )
}

/// The tables of [`name`] beside that of the users.
fn names(user: &str) -> String {
    format!(
        "LEFT JOIN local_user ON local_user.user_id = {user}.id \
         LEFT JOIN nonlocal_user ON nonlocal_user.user_id = {user}.id"
    )
}

/// The password that counts.
const NEWEST_PASSWORD: &str = "password.local_user_id = local_user.id \
     AND password.created_at_int = (SELECT MAX(newest.created_at_int) \
       FROM password newest WHERE newest.local_user_id = local_user.id)";

/// Who has a name, whatever else. Each table is searched by its own index: a condition on [`name`]
/// would look at every user.
const CALLED: &str = "(SELECT user_id FROM local_user WHERE name = ? \
     UNION SELECT user_id FROM nonlocal_user WHERE name = ? \
     UNION SELECT user_id FROM federated_user WHERE display_name = ?) called";

impl Users<'_> {
    /// Finds a user by id; `None` when there is none.
    pub async fn find(&mut self, id: &UserId) -> Result<Option<User>, StoreError> {
        let sql = whole(r#"SELECT u.* FROM "user" u WHERE u.id = ?"#);
        let rows = self.db.built_query(sql).bind(id).rows().await?;
        Ok(gather(&rows)?.pop())
    }

    /// Lists users by id.
    pub async fn list(
        &mut self,
        filter: &UserFilter,
        page: &Page,
    ) -> Result<Vec<User>, StoreError> {
        let dialect = self.db.dialect();
        let mut source = "SELECT u.* FROM ".to_owned();
        let mut id = "u.id";
        let mut conditions = Where::default();
        // What finds few stands first, and SQLite keeps the order of a cross join: it would rather
        // look at all users of a domain.
        if let Some(exact) = filter.name.as_ref().and_then(TextMatch::exact) {
            source.push_str(&format!("{CALLED} CROSS JOIN "));
            conditions.before([exact; 3]);
            conditions.and::<Value>("u.id = called.user_id", []);
        }
        // The members of a group stand in the order of their ids, so that a page of them reads no
        // more than it shows.
        if let Some(group_id) = &filter.group_id {
            source.push_str("user_group_membership m CROSS JOIN ");
            id = "m.user_id";
            conditions.and("u.id = m.user_id AND m.group_id = ?", [group_id]);
        }
        source.push_str(r#""user" u"#);
        if filter.name.is_some() {
            source.push_str(&format!(" {}", names("u")));
        }
        conditions
            .equals("u.domain_id", filter.domain_id.as_ref())
            .equals("u.domain_id", filter.within.as_ref())
            .equals("u.enabled", filter.enabled)
            .text(dialect, &name("u"), filter.name.as_ref())
            .after(id, page);
        password_condition(&mut conditions, &filter.password_expires);
        let provider = filter.identity_provider_id.as_ref();
        federated_condition(&mut conditions, "idp_id", provider.map(|id| id.as_str()));
        let protocol = filter.protocol_id.as_ref();
        federated_condition(
            &mut conditions,
            "protocol_id",
            protocol.map(|id| id.as_str()),
        );
        federated_condition(&mut conditions, "unique_id", filter.unique_id.as_deref());
        let sql = whole(&conditions.statement(&source, id, page));
        let query = self.db.built_query(sql).bind_all(conditions.into_values());
        gather(&query.rows().await?)
    }

    /// Under which names identity providers know a user.
    pub async fn list_federated_identities(
        &mut self,
        id: &UserId,
    ) -> Result<Vec<FederatedIdentity>, StoreError> {
        self.db
            .query(
                "SELECT idp_id, protocol_id, unique_id FROM federated_user WHERE user_id = ? \
                 ORDER BY idp_id, id",
            )
            .bind(id)
            .all()
            .await
    }

    /// Which of some identity providers there are, each with its protocols, one by one; a
    /// provider without any has `None`.
    pub async fn list_known_protocols(
        &mut self,
        providers: &[&IdentityProviderId],
    ) -> Result<Vec<(IdentityProviderId, Option<ProtocolId>)>, StoreError> {
        if providers.is_empty() {
            return Ok(Vec::new());
        }
        let marks = placeholders(providers.len());
        let sql = format!(
            "SELECT identity_provider.id AS idp_id, federation_protocol.id AS protocol_id \
             FROM identity_provider \
             LEFT JOIN federation_protocol ON federation_protocol.idp_id = identity_provider.id \
             WHERE identity_provider.id IN ({marks})"
        );
        let providers = providers.iter().copied();
        let rows = self.db.built_query(sql).bind_all(providers).rows().await?;
        rows.iter()
            .map(|row| Ok((row.id("idp_id")?, row.optional_id("protocol_id")?)))
            .collect()
    }
}

/// Changes users, in a transaction.
pub struct UsersMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl UsersMut<'_> {
    /// Adds a user of this database, with a password or without.
    pub async fn insert(
        &mut self,
        user: &User,
        password: Option<&StoredPassword>,
        created_at: model::Timestamp,
    ) -> Result<(), StoreError> {
        self.tx
            .insert(
                "user",
                Entity::New,
                "(id, domain_id, enabled, default_project_id, created_at, extra) \
                 VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(&user.id)
            .bind(&user.domain_id)
            .bind(user.enabled)
            .bind(user.default_project_id.as_ref())
            .bind(created_at)
            .bind(json::spaced(&user.extra))
            .execute()
            .await?;
        self.tx
            .insert(
                "local_user",
                Entity::New,
                "(user_id, domain_id, name) VALUES (?, ?, ?)",
            )
            .bind(&user.id)
            .bind(&user.domain_id)
            .bind(&user.name)
            .execute()
            .await
            .map_err(|error| error.on_unique("user"))?;
        self.write_options(user).await?;
        if let Some(password) = password {
            self.insert_password(&user.id, password).await?;
        }
        Ok(())
    }

    /// Switches a user on or off.
    pub async fn set_enabled(&mut self, id: &UserId, enabled: bool) -> Result<(), StoreError> {
        self.tx
            .update("user", id, "SET enabled = ? WHERE id = ?")
            .bind(enabled)
            .bind(id)
            .execute()
            .await?;
        Ok(())
    }

    /// Writes all attributes of a user that may change. A user who is enabled then has no wrong
    /// passwords on the account any more.
    pub(crate) async fn update(&mut self, user: &User) -> Result<(), StoreError> {
        self.tx
            .update(
                "user",
                &user.id,
                "SET enabled = ?, default_project_id = ?, extra = ? WHERE id = ?",
            )
            .bind(user.enabled)
            .bind(user.default_project_id.as_ref())
            .bind(json::spaced(&user.extra))
            .bind(&user.id)
            .execute()
            .await?;
        for (table, change) in [
            ("local_user", "SET name = ? WHERE user_id = ?"),
            ("federated_user", "SET display_name = ? WHERE user_id = ?"),
        ] {
            self.tx
                .update(table, &user.id, change)
                .bind(&user.name)
                .bind(&user.id)
                .execute()
                .await
                .map_err(|error| error.on_unique("user"))?;
        }
        if user.enabled {
            self.tx
                .update(
                    "local_user",
                    &user.id,
                    "SET failed_auth_count = 0, failed_auth_at = NULL \
                     WHERE user_id = ? AND failed_auth_count > 0",
                )
                .bind(&user.id)
                .execute()
                .await?;
        }
        self.tx
            .delete("user_option", &user.id, "WHERE user_id = ?")
            .bind(&user.id)
            .execute()
            .await?;
        self.write_options(user).await
    }

    /// Notes that a user was active on a day.
    pub async fn note_active(
        &mut self,
        id: &UserId,
        day: chrono::NaiveDate,
    ) -> Result<(), StoreError> {
        self.tx
            .update(
                "user",
                Entity::Login(id.as_str()),
                "SET last_active_at = ? WHERE id = ?",
            )
            .bind(day)
            .bind(id)
            .execute()
            .await?;
        Ok(())
    }

    /// Removes a user and everything that hangs on the user alone: passwords, memberships, role
    /// assignments, credentials of all kinds. Trusts of either side are marked as deleted.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] when there is no such user.
    pub async fn delete(&mut self, id: &UserId, now: Timestamp) -> Result<(), StoreError> {
        self.lock(id).await?;
        self.release(id.into(), "= ?", &[id.into()], now).await?;
        let delete = self.tx.delete("user", id, "WHERE id = ?");
        delete.bind(id).execute().await?;
        Ok(())
    }

    /// Removes all users of a domain, and what hangs on them, in a fixed number of statements.
    pub(crate) async fn delete_of_domain(
        &mut self,
        id: &DomainId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let of_domain = r#"IN (SELECT id FROM "user" WHERE domain_id = ?)"#;
        self.release(Entity::Any, of_domain, &[id.into()], now)
            .await?;
        let delete = self.tx.delete("user", Entity::Any, "WHERE domain_id = ?");
        delete.bind(id).execute().await?;
        Ok(())
    }

    /// Removes the users that nobody knows any more: neither this server, nor a directory, nor an
    /// identity provider. All that hangs on them goes as when they are deleted one by one.
    pub(crate) async fn delete_unknown(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let any = format!("{UNKNOWN} LIMIT 1");
        if self.tx.read().built_query(any).rows().await?.is_empty() {
            return Ok(());
        }
        // MariaDB does not delete from what it reads, unless it reads a copy: it makes one for
        // the sake of `DISTINCT`.
        let unknown = format!("IN (SELECT id FROM ({UNKNOWN}) unknown_user)");
        self.tx
            .lock_all("user", &format!("id {unknown}"), [])
            .await?;
        self.release(Entity::Any, &unknown, &[], now).await?;
        let which = format!("WHERE id {unknown}");
        let delete = self.tx.delete("user", Entity::Any, which);
        delete.execute().await?;
        Ok(())
    }

    /// Removes what hangs on some users; `which` follows the name of a column with their ids, and
    /// `values` are what it leaves open. `users` says who they are.
    async fn release(
        &mut self,
        users: Entity<'_>,
        which: &str,
        values: &[Value],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let trusts = format!(
            "SET deleted_at = ? WHERE (trustor_user_id {which} OR trustee_user_id {which}) \
             AND deleted_at IS NULL"
        );
        let update = self.tx.update("trust", Entity::Any, trusts).bind(now);
        let both = values.iter().chain(values).cloned();
        update.bind_all(both).execute().await?;
        for (table, whose, condition, end) in [
            (
                "application_credential_access_rule",
                Entity::Any,
                "application_credential_id \
                 IN (SELECT internal_id FROM application_credential WHERE user_id",
                ")",
            ),
            (
                "application_credential_role",
                Entity::Any,
                "application_credential_id \
                 IN (SELECT internal_id FROM application_credential WHERE user_id",
                ")",
            ),
            ("application_credential", Entity::Any, "user_id", ""),
            ("access_rule", Entity::Any, "user_id", ""),
            ("credential", Entity::Any, "user_id", ""),
            (
                "assignment",
                users,
                "type IN ('UserProject', 'UserDomain') AND actor_id",
                "",
            ),
            (
                "system_assignment",
                users,
                "type = 'UserSystem' AND actor_id",
                "",
            ),
            ("user_group_membership", users, "user_id", ""),
            ("expiring_user_group_membership", users, "user_id", ""),
            ("user_option", users, "user_id", ""),
            ("federated_user", users, "user_id", ""),
            ("nonlocal_user", users, "user_id", ""),
            (
                "password",
                users,
                "local_user_id IN (SELECT id FROM local_user WHERE user_id",
                ")",
            ),
            ("local_user", users, "user_id", ""),
            ("id_mapping", Entity::Any, "public_id", ""),
        ] {
            let rest = format!("WHERE {condition} {which}{end}");
            let delete = self.tx.delete(table, whose, rest);
            delete.bind_all(values.iter().cloned()).execute().await?;
        }
        Ok(())
    }

    /// Replaces the names under which identity providers know a user.
    pub async fn replace_federated_identities(
        &mut self,
        user: &User,
        identities: &[FederatedIdentity],
    ) -> Result<(), StoreError> {
        self.tx
            .delete("federated_user", &user.id, "WHERE user_id = ?")
            .bind(&user.id)
            .execute()
            .await?;
        for identity in identities {
            self.tx
                .insert(
                    "federated_user",
                    &user.id,
                    "(user_id, idp_id, protocol_id, unique_id, display_name) \
                     VALUES (?, ?, ?, ?, ?)",
                )
                .bind(&user.id)
                .bind(&identity.identity_provider_id)
                .bind(&identity.protocol_id)
                .bind(&identity.unique_id)
                .bind(&user.name)
                .execute()
                .await
                .map_err(|error| error.on_unique("federated_user"))?;
        }
        Ok(())
    }

    async fn write_options(&mut self, user: &User) -> Result<(), StoreError> {
        for (id, value) in user.options.stored() {
            self.tx
                .insert(
                    "user_option",
                    &user.id,
                    "(user_id, option_id, option_value) VALUES (?, ?, ?)",
                )
                .bind(&user.id)
                .bind(id)
                .bind(json::spaced(&value))
                .execute()
                .await?;
        }
        Ok(())
    }
}

/// The users without a name in any of the three tables that may hold one.
const UNKNOWN: &str = "SELECT DISTINCT u.id FROM \"user\" u \
     WHERE NOT EXISTS (SELECT 1 FROM local_user WHERE local_user.user_id = u.id) \
     AND NOT EXISTS (SELECT 1 FROM nonlocal_user WHERE nonlocal_user.user_id = u.id) \
     AND NOT EXISTS (SELECT 1 FROM federated_user WHERE federated_user.user_id = u.id)";

/// Joins users, who are chosen first so that a page costs what it shows, with their names, newest
/// passwords and options: one row for each option, in one statement.
fn whole(users: &str) -> String {
    let (name, names) = (name("found"), names("found"));
    format!(
        "SELECT found.id, found.domain_id, found.enabled, found.default_project_id, found.extra, \
           found.last_active_at, found.created_at, {name} AS name, \
           password.expires_at_int, password.expires_at, \
           user_option.option_id, user_option.option_value \
         FROM ({users}) found {names} \
         LEFT JOIN password ON {NEWEST_PASSWORD} \
         LEFT JOIN user_option ON user_option.user_id = found.id \
         ORDER BY found.id, user_option.option_id"
    )
}

/// Makes one user of the rows that follow each other with the user's id.
fn gather(rows: &[Row]) -> Result<Vec<User>, StoreError> {
    let mut found: Vec<User> = Vec::new();
    for row in rows {
        let id = row.id("id")?;
        if found.last().is_none_or(|last| last.id != id) {
            let created_at = row.optional_time("created_at")?;
            let last_active_at = row.optional_date("last_active_at")?;
            found.push(User {
                id,
                name: row.optional_text("name")?.unwrap_or_default(),
                domain_id: row.id("domain_id")?,
                enabled: row.bool("enabled")?,
                default_project_id: row.optional_id("default_project_id")?,
                password_expires_at: row.precise_time("expires_at_int", "expires_at")?,
                last_seen: last_active_at.or(created_at.map(|time| time.date_naive())),
                options: UserOptions::default(),
                extra: row.extra("extra")?,
            });
        }
        if let (Some(user), Some(id)) = (found.last_mut(), row.optional_text("option_id")?) {
            user.options.set_stored(&id, &row.json("option_value")?);
        }
    }
    Ok(found)
}

fn federated_condition(conditions: &mut Where, column: &str, value: Option<&str>) {
    if let Some(value) = value {
        let condition = format!("u.id IN (SELECT user_id FROM federated_user WHERE {column} = ?)");
        conditions.and(condition, [value]);
    }
}

/// Adds that the newest password ends as each of these says.
fn password_condition(conditions: &mut Where, expires: &[(Comparison, Timestamp)]) {
    if expires.is_empty() {
        return;
    }
    let all = expires
        .iter()
        .map(|(comparison, _)| format!(" AND password.expires_at {} ?", operator(*comparison)));
    let condition = format!(
        "u.id IN (SELECT local_user.user_id FROM local_user JOIN password ON {NEWEST_PASSWORD}{})",
        all.collect::<String>()
    );
    conditions.and(condition, expires.iter().map(|(_, time)| *time));
}

fn operator(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "=",
        Comparison::NotEqual => "<>",
        Comparison::Less => "<",
        Comparison::AtMost => "<=",
        Comparison::Greater => ">",
        Comparison::AtLeast => ">=",
    }
}

impl FromRow for FederatedIdentity {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            identity_provider_id: row.id("idp_id")?,
            protocol_id: row.id("protocol_id")?,
            unique_id: row.text("unique_id")?,
        })
    }
}
