//! Application credentials with their roles and access rules.

use std::sync::Arc;

use model::application_credential::{AccessRule, ApplicationCredential, StoredCredential};
use model::ids::{AccessRuleId, ApplicationCredentialId, UserId};
use model::listing::{Page, TextMatch};

use crate::change::Entity;
use crate::db::{Conn, Tx};
use crate::dialect::placeholders;
use crate::error::StoreError;
use crate::filter::Where;
use crate::value::Row;

/// Reads application credentials.
pub struct ApplicationCredentials<'a> {
    pub(crate) db: Conn<'a>,
}

impl ApplicationCredentials<'_> {
    /// Finds an application credential by id.
    pub async fn find(
        &mut self,
        id: &ApplicationCredentialId,
    ) -> Result<Option<StoredCredential>, StoreError> {
        let mut conditions = Where::default();
        conditions.equals("id", Some(id));
        Ok(self.select(conditions, &Page::default()).await?.pop())
    }

    /// Finds an application credential by its user and name.
    pub async fn find_by_name(
        &mut self,
        user_id: &UserId,
        name: &str,
    ) -> Result<Option<StoredCredential>, StoreError> {
        let mut conditions = Where::default();
        conditions
            .equals("user_id", Some(user_id))
            .equals("name", Some(name));
        Ok(self.select(conditions, &Page::default()).await?.pop())
    }

    /// Lists the application credentials of a user by id.
    pub async fn list(
        &mut self,
        user_id: &UserId,
        name: Option<&TextMatch>,
        page: &Page,
    ) -> Result<Vec<ApplicationCredential>, StoreError> {
        let dialect = self.db.dialect();
        let mut conditions = Where::default();
        conditions
            .equals("user_id", Some(user_id))
            .text(dialect, "name", name)
            .after("id", page);
        let found = self.select(conditions, page).await?;
        let mut found: Vec<_> = found
            .into_iter()
            .map(|stored| Arc::unwrap_or_clone(stored.credential))
            .collect();
        if let Some(name) = name {
            found.retain(|credential| name.holds_beyond_sql(&credential.name));
        }
        Ok(found)
    }

    /// How many application credentials a user has.
    pub async fn count(&mut self, user_id: &UserId) -> Result<u64, StoreError> {
        let rows = self
            .db
            .query("SELECT COUNT(*) AS number FROM application_credential WHERE user_id = ?")
            .bind(user_id)
            .rows()
            .await?;
        let number = rows.first().map_or(Ok(0), |row| row.int("number"))?;
        Ok(u64::try_from(number).unwrap_or(0))
    }

    /// Reads a page of application credentials in the order of their ids.
    async fn select(
        &mut self,
        conditions: Where,
        page: &Page,
    ) -> Result<Vec<StoredCredential>, StoreError> {
        let chosen = conditions.statement("SELECT * FROM application_credential", "id", page);
        // One row for each role and one for each rule: to join both would give every pair of them.
        let columns = "c.id, c.name, c.secret_hash, c.description, c.user_id, c.project_id, \
                       c.expires_at, c.unrestricted";
        let sql = format!(
            "SELECT {columns}, role.role_id, NULL AS rule_id, NULL AS service, NULL AS path, \
                    NULL AS method \
             FROM ({chosen}) c LEFT JOIN application_credential_role role \
               ON role.application_credential_id = c.internal_id \
             UNION ALL \
             SELECT {columns}, NULL, rule.external_id, rule.service, rule.path, rule.method \
             FROM ({chosen}) c JOIN application_credential_access_rule used \
               ON used.application_credential_id = c.internal_id \
             JOIN access_rule rule ON rule.id = used.access_rule_id \
             ORDER BY id, rule_id"
        );
        let values = conditions.into_values();
        let rows = self
            .db
            .built_query(sql)
            .bind_all(values.clone())
            .bind_all(values)
            .rows()
            .await?;
        gather(&rows)
    }
}

/// Changes application credentials, in a transaction.
pub struct ApplicationCredentialsMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl ApplicationCredentialsMut<'_> {
    /// Adds an application credential. Its access rules exist already.
    ///
    /// # Errors
    ///
    /// [`StoreError::Reference`] when a role or an access rule is gone: a credential that loses its
    /// rules could make every request.
    pub async fn insert(&mut self, stored: &StoredCredential) -> Result<(), StoreError> {
        let credential = &stored.credential;
        self.tx
            .insert(
                "application_credential",
                Entity::New,
                "(id, name, secret_hash, description, user_id, \
                 project_id, expires_at, unrestricted) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(&credential.id)
            .bind(&credential.name)
            .bind(&stored.secret_hash)
            .bind(credential.description.as_deref())
            .bind(&credential.user_id)
            .bind(credential.project_id.as_ref())
            .bind(credential.expires_at.map(|end| end.timestamp_micros()))
            .bind(credential.unrestricted)
            .execute()
            .await
            .map_err(|error| error.on_unique("application_credential"))?;
        if !credential.role_ids.is_empty() {
            let rest = format!(
                "(application_credential_id, role_id) \
                 SELECT c.internal_id, role.id FROM application_credential c CROSS JOIN role \
                 WHERE c.id = ? AND role.id IN ({})",
                placeholders(credential.role_ids.len())
            );
            let insert = self
                .tx
                .insert("application_credential_role", Entity::New, rest)
                .bind(&credential.id);
            let added = insert.bind_all(&credential.role_ids).execute().await?;
            require_all_added(added, credential.role_ids.len())?;
        }
        if !credential.access_rules.is_empty() {
            let rest = format!(
                "(application_credential_id, access_rule_id) \
                 SELECT c.internal_id, rule.id FROM application_credential c \
                 JOIN access_rule rule ON rule.user_id = c.user_id \
                 WHERE c.id = ? AND rule.external_id IN ({})",
                placeholders(credential.access_rules.len())
            );
            let rules = credential.access_rules.iter().map(|rule| &rule.id);
            let insert = self
                .tx
                .insert("application_credential_access_rule", Entity::New, rest)
                .bind(&credential.id);
            let added = insert.bind_all(rules).execute().await?;
            require_all_added(added, credential.access_rules.len())?;
        }
        Ok(())
    }

    /// Removes an application credential; false when there was none.
    pub async fn delete(&mut self, id: &ApplicationCredentialId) -> Result<bool, StoreError> {
        for table in [
            "application_credential_role",
            "application_credential_access_rule",
        ] {
            let which = "WHERE application_credential_id IN \
                         (SELECT internal_id FROM application_credential WHERE id = ?)";
            let delete = self.tx.delete(table, id, which);
            delete.bind(id).execute().await?;
        }
        let deleted = self
            .tx
            .delete("application_credential", id, "WHERE id = ?")
            .bind(id)
            .execute()
            .await?;
        Ok(deleted > 0)
    }
}

/// Whether as many rows were added as there should be.
fn require_all_added(added: u64, wanted: usize) -> Result<(), StoreError> {
    match u64::try_from(wanted) {
        Ok(wanted) if wanted == added => Ok(()),
        _ => Err(StoreError::Reference(
            "a role or an access rule of an application credential is gone".into(),
        )),
    }
}

/// Makes one credential of the rows that follow each other with its id.
fn gather(rows: &[Row]) -> Result<Vec<StoredCredential>, StoreError> {
    let mut found: Vec<(ApplicationCredential, String)> = Vec::new();
    for row in rows {
        let id = row.id("id")?;
        if found.last().is_none_or(|(last, _)| last.id != id) {
            found.push((
                ApplicationCredential {
                    id,
                    name: row.text("name")?,
                    description: row.optional_text("description")?,
                    user_id: row.id("user_id")?,
                    project_id: row.optional_id("project_id")?,
                    expires_at: row.micros("expires_at")?,
                    unrestricted: row.optional_bool("unrestricted")?,
                    role_ids: Vec::new(),
                    access_rules: Vec::new(),
                },
                row.text("secret_hash")?,
            ));
        }
        let Some((credential, _)) = found.last_mut() else {
            continue;
        };
        credential.role_ids.extend(row.optional_id("role_id")?);
        if row.optional_id::<AccessRuleId>("rule_id")?.is_some() {
            credential.access_rules.push(access_rule(row, "rule_id")?);
        }
    }
    let found = found
        .into_iter()
        .map(|(credential, secret_hash)| StoredCredential {
            credential: Arc::new(credential),
            secret_hash,
        });
    Ok(found.collect())
}

/// An access rule whose id stands in the named column.
pub(crate) fn access_rule(row: &Row, id: &str) -> Result<AccessRule, StoreError> {
    Ok(AccessRule {
        id: row.id(id)?,
        service: row.optional_text("service")?.unwrap_or_default(),
        path: row.optional_text("path")?.unwrap_or_default(),
        method: row.optional_text("method")?.unwrap_or_default(),
    })
}
