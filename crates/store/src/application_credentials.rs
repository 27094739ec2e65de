//! Application credentials with their roles and access rules.

use model::application_credential::{AccessRule, ApplicationCredential};
use model::ids::{ApplicationCredentialId, UserId};

use crate::db::Conn;
use crate::error::StoreError;
use crate::value::Row;

/// Application credentials of the database.
pub struct ApplicationCredentials<'a> {
    pub(crate) db: Conn<'a>,
}

/// An application credential with what only logins look at.
#[derive(Clone, Debug)]
pub struct StoredCredential {
    /// The credential.
    pub credential: ApplicationCredential,
    /// Its secret, hashed.
    pub secret_hash: String,
}

/// One row for each pair of a role and an access rule.
macro_rules! credentials {
    ($rest:literal) => {
        concat!(
            "SELECT c.id, c.name, c.secret_hash, c.description, c.user_id, c.project_id, \
             c.expires_at, c.unrestricted, r.role_id, rule.external_id AS rule_id, rule.service, rule.path, \
             rule.method \
             FROM application_credential c \
             LEFT JOIN application_credential_role r \
               ON r.application_credential_id = c.internal_id \
             LEFT JOIN application_credential_access_rule cr \
               ON cr.application_credential_id = c.internal_id \
             LEFT JOIN access_rule rule ON rule.id = cr.access_rule_id ",
            $rest
        )
    };
}

impl ApplicationCredentials<'_> {
    /// Finds an application credential by id.
    pub async fn find(
        &mut self,
        id: &ApplicationCredentialId,
    ) -> Result<Option<StoredCredential>, StoreError> {
        let rows = self
            .db
            .query(credentials!("WHERE c.id = ?"))
            .bind(id)
            .rows()
            .await?;
        Ok(gather(&rows)?.pop())
    }

    /// Finds an application credential by its user and name.
    pub async fn find_by_name(
        &mut self,
        user_id: &UserId,
        name: &str,
    ) -> Result<Option<StoredCredential>, StoreError> {
        let rows = self
            .db
            .query(credentials!("WHERE c.user_id = ? AND c.name = ?"))
            .bind(user_id)
            .bind(name)
            .rows()
            .await?;
        Ok(gather(&rows)?.pop())
    }
}

/// Makes one credential of the rows that follow each other with its id.
fn gather(rows: &[Row]) -> Result<Vec<StoredCredential>, StoreError> {
    let mut found: Vec<StoredCredential> = Vec::new();
    for row in rows {
        let id = row.id("id")?;
        if found.last().is_none_or(|last| last.credential.id != id) {
            let secret_hash = row.text("secret_hash")?;
            let credential = ApplicationCredential {
                id,
                name: row.text("name")?,
                description: row.optional_text("description")?,
                user_id: row.id("user_id")?,
                project_id: row.optional_id("project_id")?,
                expires_at: row.micros("expires_at")?,
                unrestricted: row.optional_bool("unrestricted")?,
                role_ids: Vec::new(),
                access_rules: Vec::new(),
            };
            found.push(StoredCredential {
                credential,
                secret_hash,
            });
        }
        let Some(StoredCredential { credential, .. }) = found.last_mut() else {
            continue;
        };
        if let Some(role_id) = row.optional_id("role_id")?
            && !credential.role_ids.contains(&role_id)
        {
            credential.role_ids.push(role_id);
        }
        if let Some(id) = row.optional_id("rule_id")?
            && !credential.access_rules.iter().any(|rule| rule.id == id)
        {
            credential.access_rules.push(AccessRule {
                id,
                service: row.optional_text("service")?.unwrap_or_default(),
                path: row.optional_text("path")?.unwrap_or_default(),
                method: row.optional_text("method")?.unwrap_or_default(),
            });
        }
    }
    Ok(found)
}
