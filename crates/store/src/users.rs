//! Users, their passwords and their groups.

use model::ids::UserId;
use model::user::{StoredPassword, User};

use crate::db::Conn;
use crate::error::StoreError;

/// Users of the database.
pub struct Users<'a> {
    pub(crate) db: Conn<'a>,
}

impl Users<'_> {
    /// Adds a user of this database, with a password or without.
    pub async fn insert(
        &mut self,
        user: &User,
        password: Option<&StoredPassword>,
        created_at: model::Timestamp,
    ) -> Result<(), StoreError> {
        self.db
            .query(
                r#"INSERT INTO "user" (id, domain_id, enabled, default_project_id, created_at,
                   extra) VALUES (?, ?, ?, ?, ?, ?)"#,
            )
            .bind(&user.id)
            .bind(&user.domain_id)
            .bind(user.enabled)
            .bind(user.default_project_id.as_ref())
            .bind(created_at)
            .bind(serde_json::Value::Object(user.extra.clone()).to_string())
            .execute()
            .await?;
        self.db
            .query("INSERT INTO local_user (user_id, domain_id, name) VALUES (?, ?, ?)")
            .bind(&user.id)
            .bind(&user.domain_id)
            .bind(&user.name)
            .execute()
            .await
            .map_err(|error| error.on_unique("user"))?;
        self.write_options(user).await?;
        match password {
            Some(password) => self.insert_password(&user.id, password).await,
            None => Ok(()),
        }
    }

    /// Adds a password, which is the current one from now on: the newest counts.
    pub async fn insert_password(
        &mut self,
        id: &UserId,
        password: &StoredPassword,
    ) -> Result<(), StoreError> {
        self.db
            .query(
                "INSERT INTO password (local_user_id, self_service, password_hash, \
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
        Ok(())
    }

    /// Switches a user on or off.
    pub async fn set_enabled(&mut self, id: &UserId, enabled: bool) -> Result<(), StoreError> {
        self.db
            .query(r#"UPDATE "user" SET enabled = ? WHERE id = ?"#)
            .bind(enabled)
            .bind(id)
            .execute()
            .await?;
        Ok(())
    }

    async fn write_options(&mut self, user: &User) -> Result<(), StoreError> {
        for (id, value) in user.options.stored() {
            self.db
                .query(
                    "INSERT INTO user_option (user_id, option_id, option_value) VALUES (?, ?, ?)",
                )
                .bind(&user.id)
                .bind(id)
                .bind(value.to_string())
                .execute()
                .await?;
        }
        Ok(())
    }
}
