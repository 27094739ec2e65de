//! Credentials kept for users: EC2 keys, TOTP seeds, certificates.

use model::credential::{Credential, CredentialFilter};
use model::ids::{CredentialId, UserId};
use model::json;
use model::listing::Page;

use crate::change::Entity;
use crate::columns::{Stored, stored};
use crate::db::{Conn, Tx};
use crate::error::StoreError;
use crate::filter::Where;

stored! {
    Credential as credential {
        id: "id" (id) = &credential.id,
        user_id: "user_id" (id) = &credential.user_id,
        project_id: "project_id" (optional_id) = credential.project_id.as_ref(),
        kind: "type" (text) = &credential.kind,
        extra: "extra" (extra) = json::spaced(&credential.extra),
    } changing {
        encrypted_blob: "encrypted_blob" (text) = &credential.encrypted_blob,
        key_hash: "key_hash" (text) = &credential.key_hash,
    }
}

/// Reads credentials.
pub struct Credentials<'a> {
    pub(crate) db: Conn<'a>,
}

impl Credentials<'_> {
    /// Finds a credential by id.
    pub async fn find(&mut self, id: &CredentialId) -> Result<Option<Credential>, StoreError> {
        self.db
            .query(concat!(
                "SELECT ",
                columns!(),
                " FROM credential WHERE id = ?"
            ))
            .bind(id)
            .optional()
            .await
    }

    /// Lists credentials by id.
    pub async fn list(&mut self, filter: &CredentialFilter) -> Result<Vec<Credential>, StoreError> {
        let mut conditions = Where::default();
        conditions
            .equals("user_id", filter.user_id.as_ref())
            .equals("type", filter.kind.as_deref());
        let head = concat!("SELECT ", columns!(), " FROM credential");
        let sql = conditions.statement(head, "id", &Page::default());
        self.db
            .built_query(sql)
            .bind_all(conditions.into_values())
            .all()
            .await
    }

    /// How many credentials a user has.
    pub async fn count(&mut self, user_id: &UserId) -> Result<u64, StoreError> {
        let sql = "SELECT COUNT(*) AS number FROM credential WHERE user_id = ?";
        let rows = self.db.query(sql).bind(user_id).rows().await?;
        let number = rows.first().map(|row| row.int("number")).transpose()?;
        Ok(number
            .and_then(|number| number.try_into().ok())
            .unwrap_or(0))
    }

    /// The hashes of all keys under which credentials are stored.
    pub async fn key_hashes(&mut self) -> Result<Vec<String>, StoreError> {
        let rows = self
            .db
            .query(
                "SELECT key_hash FROM credential \
                 UNION SELECT key_hash FROM archstone_protocol WHERE key_hash IS NOT NULL",
            )
            .rows()
            .await?;
        rows.iter().map(|row| row.text("key_hash")).collect()
    }
}

/// Changes credentials, in a transaction.
pub struct CredentialsMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl CredentialsMut<'_> {
    /// Adds a credential.
    pub async fn insert(&mut self, credential: &Credential) -> Result<(), StoreError> {
        self.tx
            .insert("credential", Entity::Any, Credential::INSERT)
            .bind_all(credential.values())
            .execute()
            .await
            .map_err(|error| error.on_unique("credential"))?;
        Ok(())
    }

    /// Replaces the secret of a credential.
    pub(crate) async fn update(&mut self, credential: &Credential) -> Result<(), StoreError> {
        self.tx
            .update(
                "credential",
                Entity::Any,
                format!("{} WHERE id = ?", Credential::UPDATE),
            )
            .bind_all(credential.changing())
            .bind(&credential.id)
            .execute()
            .await?;
        Ok(())
    }

    /// Replaces the encrypted form of a credential, unless its secret has changed since `before`
    /// was read; says whether it did.
    pub async fn reencrypt(
        &mut self,
        before: &Credential,
        encrypted_blob: &str,
        key_hash: &str,
    ) -> Result<bool, StoreError> {
        let touched = self
            .tx
            .update(
                "credential",
                Entity::Any,
                "SET encrypted_blob = ?, key_hash = ? WHERE id = ? AND encrypted_blob = ?",
            )
            .bind(encrypted_blob)
            .bind(key_hash)
            .bind(&before.id)
            .bind(&before.encrypted_blob)
            .execute()
            .await?;
        Ok(touched == 1)
    }

    /// Removes a credential.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] when there is no such credential.
    pub async fn delete(&mut self, id: &CredentialId) -> Result<(), StoreError> {
        let found = self
            .tx
            .delete("credential", Entity::Any, "WHERE id = ?")
            .bind(id)
            .execute()
            .await?;
        StoreError::require_found(found, "credential", id)
    }
}
