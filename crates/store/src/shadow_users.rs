//! Shadow users: those whom identity providers keep, as far as we must know them.

use std::collections::HashSet;

use model::Timestamp;
use model::ids::{DomainId, GroupId, IdentityProviderId, UserId};
use model::json;
use model::user::FederatedIdentity;
use serde_json::{Map, Value};

use crate::change::Entity;
use crate::db::{Conn, Tx};
use crate::dialect::placeholders;
use crate::error::StoreError;
use crate::value::{FromRow, Row};

/// Reads shadow users.
pub struct ShadowUsers<'a> {
    pub(crate) db: Conn<'a>,
}

/// A user whom an identity provider keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct ShadowUser {
    /// Our id of the user.
    pub id: UserId,
    /// The name that the provider gave last.
    pub display_name: Option<String>,
    /// Whether both the user and their domain are enabled.
    pub enabled: bool,
    /// Attributes of the user beyond columns, where the address is kept.
    pub extra: Map<String, Value>,
}

impl ShadowUsers<'_> {
    /// Finds the user whom an identity provider knows by this name; `None` before the first login.
    pub async fn find(
        &mut self,
        identity: &FederatedIdentity,
    ) -> Result<Option<ShadowUser>, StoreError> {
        let rows = self
            .db
            .query(
                r#"SELECT "user".id, federated_user.display_name, federated_user.unique_id,
                   "user".extra, "user".enabled, d.enabled AS domain_enabled
                   FROM federated_user
                   JOIN "user" ON "user".id = federated_user.user_id
                   JOIN project d ON d.id = "user".domain_id
                   WHERE idp_id = ? AND protocol_id = ? AND unique_id = ?"#,
            )
            .bind(&identity.identity_provider_id)
            .bind(&identity.protocol_id)
            .bind(&identity.unique_id)
            .rows()
            .await?;
        // Where the database takes no notice of case, we do: a provider may know an Alice and
        // another alice.
        for row in &rows {
            if row.text("unique_id")? == identity.unique_id {
                return ShadowUser::from_row(row).map(Some);
            }
        }
        Ok(None)
    }
}

/// Changes shadow users, in a transaction.
pub struct ShadowUsersMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl ShadowUsersMut<'_> {
    /// Adds a user at the first login.
    ///
    /// # Errors
    ///
    /// A conflict when the id is taken: two providers of one domain know somebody by one name.
    pub async fn insert(
        &mut self,
        user: &ShadowUser,
        domain_id: &DomainId,
        identity: &FederatedIdentity,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.tx
            .insert(
                "user",
                Entity::New,
                "(id, domain_id, enabled, created_at, last_active_at, extra) \
                 VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(&user.id)
            .bind(domain_id)
            .bind(user.enabled)
            .bind(now)
            .bind(now.date_naive())
            .bind(json::spaced(&user.extra))
            .execute()
            .await
            .map_err(|error| error.on_unique("federated_user"))?;
        self.tx
            .insert(
                "federated_user",
                &user.id,
                "(user_id, idp_id, protocol_id, unique_id, display_name) VALUES (?, ?, ?, ?, ?)",
            )
            .bind(&user.id)
            .bind(&identity.identity_provider_id)
            .bind(&identity.protocol_id)
            .bind(&identity.unique_id)
            .bind(user.display_name.as_deref())
            .execute()
            .await
            .map_err(|error| error.on_unique("federated_user"))?;
        Ok(())
    }

    /// Writes what the provider says of a user at a later login.
    pub async fn update(
        &mut self,
        user: &ShadowUser,
        identity: &FederatedIdentity,
    ) -> Result<(), StoreError> {
        self.tx
            .update(
                "federated_user",
                // Whoever has the identity by now.
                Entity::Any,
                "SET display_name = ? WHERE idp_id = ? AND protocol_id = ? AND unique_id = ?",
            )
            .bind(user.display_name.as_deref())
            .bind(&identity.identity_provider_id)
            .bind(&identity.protocol_id)
            .bind(&identity.unique_id)
            .execute()
            .await?;
        self.tx
            .update("user", &user.id, "SET extra = ? WHERE id = ?")
            .bind(json::spaced(&user.extra))
            .bind(&user.id)
            .execute()
            .await?;
        Ok(())
    }

    /// Makes a user a member of these groups, and of no others that this provider named before,
    /// from now on for as long as such memberships last. Whether that changed anything but the
    /// time.
    pub async fn renew_memberships(
        &mut self,
        user_id: &UserId,
        provider: &IdentityProviderId,
        groups: &[GroupId],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let rows = self
            .tx
            .read()
            .query("SELECT group_id, idp_id FROM expiring_user_group_membership WHERE user_id = ?")
            .bind(user_id)
            .rows()
            .await?;
        let mut known: Vec<(GroupId, IdentityProviderId)> = Vec::new();
        for row in &rows {
            known.push((row.id("group_id")?, row.id("idp_id")?));
        }
        let members: HashSet<_> = known.iter().map(|(group, _)| group).collect();
        let is_member = |group: &&GroupId| members.contains(group);
        let (renewed, new): (Vec<_>, Vec<_>) = groups.iter().partition(is_member);
        let brought: HashSet<_> = groups.iter().collect();
        let stale: Vec<_> = known
            .iter()
            .filter(|(group, of)| of == provider && !brought.contains(group))
            .map(|(group, _)| group)
            .collect();
        if !renewed.is_empty() {
            let marks = placeholders(renewed.len());
            let change =
                format!("SET last_verified = ? WHERE user_id = ? AND group_id IN ({marks})");
            let update = self
                .tx
                .update("expiring_user_group_membership", user_id, change)
                .bind(now)
                .bind(user_id);
            update.bind_all(renewed).execute().await?;
        }
        if !new.is_empty() {
            let rows = vec!["(?, ?, ?, ?)"; new.len()].join(", ");
            let rest = format!("(user_id, group_id, idp_id, last_verified) VALUES {rows}");
            let mut insert = self
                .tx
                .insert("expiring_user_group_membership", user_id, rest);
            for group in &new {
                insert = insert.bind(user_id).bind(*group).bind(provider).bind(now);
            }
            let done = insert.execute().await;
            done.map_err(|error| error.on_unique("membership"))?;
        }
        if !stale.is_empty() {
            let marks = placeholders(stale.len());
            let which = format!("WHERE user_id = ? AND idp_id = ? AND group_id IN ({marks})");
            let delete = self
                .tx
                .delete("expiring_user_group_membership", user_id, which)
                .bind(user_id)
                .bind(provider);
            delete.bind_all(stale.iter().copied()).execute().await?;
        }
        Ok(!new.is_empty() || !stale.is_empty())
    }
}

impl FromRow for ShadowUser {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            display_name: row.optional_text("display_name")?,
            enabled: row.bool("enabled")? && row.bool("domain_enabled")?,
            extra: row.extra("extra")?,
        })
    }
}
