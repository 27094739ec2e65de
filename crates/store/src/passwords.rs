//! The passwords of users: the newest counts, and former ones are kept to compare with.

use chrono::{DateTime, TimeDelta};
use model::ids::UserId;
use model::user::StoredPassword;

use crate::dialect::placeholders;
use crate::error::StoreError;
use crate::users::{Users, UsersMut};

/// The passwords of a user, newest first.
const PASSWORDS: &str = "SELECT password.id, password_hash, created_at_int FROM password \
     JOIN local_user ON local_user.id = password.local_user_id \
     WHERE local_user.user_id = ? ORDER BY created_at_int DESC, password.id DESC";

impl Users<'_> {
    /// The hashes of a user's latest passwords, newest first, at most `count`.
    pub async fn list_password_hashes(
        &mut self,
        id: &UserId,
        count: u32,
    ) -> Result<Vec<String>, StoreError> {
        let sql = format!("{PASSWORDS} LIMIT {count}");
        let rows = self.db.built_query(sql).bind(id).rows().await?;
        let hashes = rows
            .iter()
            .map(|row| row.optional_text("password_hash").transpose());
        hashes.flatten().collect()
    }
}

impl UsersMut<'_> {
    /// Adds a password, which is the current one from now on: the newest counts. `false` when the
    /// user is none of this database.
    pub async fn insert_password(
        &mut self,
        id: &UserId,
        password: &StoredPassword,
    ) -> Result<bool, StoreError> {
        let added = self
            .tx
            .insert(
                "password",
                id,
                "(local_user_id, self_service, password_hash, \
                 created_at_int, created_at, expires_at_int, expires_at) \
                 SELECT id, ?, ?, ?, ?, ?, ? FROM local_user WHERE user_id = ?",
            )
            .bind(password.self_service)
            .bind(password.hash.as_deref())
            .bind(password.created_at.timestamp_micros())
            .bind(password.created_at)
            .bind(password.expires_at.map(|end| end.timestamp_micros()))
            .bind(password.expires_at)
            .bind(id)
            .execute()
            .await?;
        Ok(added > 0)
    }

    /// Ends all former passwords of a user, forgets all but the latest `keep` of them, and adds a
    /// new one, which is newer than all others whatever the clocks say. `false` when the user is
    /// none of this database and so has no password.
    pub async fn replace_password(
        &mut self,
        id: &UserId,
        password: &StoredPassword,
        keep: usize,
    ) -> Result<bool, StoreError> {
        let rows = self.tx.read().query(PASSWORDS).bind(id).rows().await?;
        // The newest counts, so a node whose clock is behind must not write an older one.
        let newest = rows.first().map(|row| row.int("created_at_int"));
        let newest = newest
            .transpose()?
            .and_then(DateTime::from_timestamp_micros);
        let password = StoredPassword {
            created_at: newest.map_or(password.created_at, |newest| {
                password.created_at.max(newest + TimeDelta::microseconds(1))
            }),
            ..password.clone()
        };
        let former = rows
            .iter()
            .map(|row| row.int("id"))
            .collect::<Result<Vec<_>, _>>()?;
        let (kept, forgotten) = former.split_at(keep.min(former.len()));
        if !forgotten.is_empty() {
            let marks = placeholders(forgotten.len());
            let which = format!("WHERE id IN ({marks})");
            let forgotten = forgotten.iter().copied();
            self.tx
                .delete("password", id, which)
                .bind_all(forgotten)
                .execute()
                .await?;
        }
        if !kept.is_empty() {
            let marks = placeholders(kept.len());
            let change = format!(
                "SET expires_at = ?, expires_at_int = ? WHERE id IN ({marks}) \
                 AND (expires_at IS NULL OR expires_at > ?)"
            );
            self.tx
                .update("password", id, change)
                .bind(password.created_at)
                .bind(password.created_at.timestamp_micros())
                .bind_all(kept.iter().copied())
                .bind(password.created_at)
                .execute()
                .await?;
        }
        self.insert_password(id, &password).await
    }
}
