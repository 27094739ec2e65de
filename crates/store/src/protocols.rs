//! Protocols of identity providers.

use model::Timestamp;
use model::federation::Protocol;
use model::ids::{IdentityProviderId, ProtocolId};

use crate::db::Conn;
use crate::error::StoreError;
use crate::users::Users;
use crate::value::{FromRow, Row};

/// Protocols of the database.
pub struct Protocols<'a> {
    pub(crate) db: Conn<'a>,
}

impl Protocols<'_> {
    /// Finds a protocol of an identity provider; `None` when there is none.
    pub async fn find(
        &mut self,
        provider: &IdentityProviderId,
        id: &ProtocolId,
    ) -> Result<Option<Protocol>, StoreError> {
        self.db
            .query(
                "SELECT id, idp_id, mapping_id, remote_id_attribute FROM federation_protocol \
                 WHERE idp_id = ? AND id = ?",
            )
            .bind(provider)
            .bind(id)
            .optional()
            .await
    }

    /// Lists the protocols of an identity provider by id.
    pub async fn list(
        &mut self,
        provider: &IdentityProviderId,
    ) -> Result<Vec<Protocol>, StoreError> {
        self.db
            .query(
                "SELECT id, idp_id, mapping_id, remote_id_attribute FROM federation_protocol \
                 WHERE idp_id = ? ORDER BY id",
            )
            .bind(provider)
            .all()
            .await
    }

    /// Adds a protocol.
    pub async fn insert(&mut self, protocol: &Protocol) -> Result<(), StoreError> {
        self.db
            .query(
                "INSERT INTO federation_protocol (id, idp_id, mapping_id, remote_id_attribute) \
                 VALUES (?, ?, ?, ?)",
            )
            .bind(&protocol.id)
            .bind(&protocol.identity_provider_id)
            .bind(&protocol.mapping_id)
            .bind(protocol.remote_id_attribute.as_deref())
            .execute()
            .await
            .map_err(|error| error.on_unique("federation_protocol"))?;
        Ok(())
    }

    /// Writes all attributes of a protocol that may change.
    pub async fn update(&mut self, protocol: &Protocol) -> Result<(), StoreError> {
        self.db
            .query(
                "UPDATE federation_protocol SET mapping_id = ?, remote_id_attribute = ? \
                 WHERE idp_id = ? AND id = ?",
            )
            .bind(&protocol.mapping_id)
            .bind(protocol.remote_id_attribute.as_deref())
            .bind(&protocol.identity_provider_id)
            .bind(&protocol.id)
            .execute()
            .await?;
        Ok(())
    }

    /// Removes a protocol, and the users that only came by it.
    pub async fn delete(
        &mut self,
        provider: &IdentityProviderId,
        id: &ProtocolId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for statement in [
            "DELETE FROM federated_user WHERE idp_id = ? AND protocol_id = ?",
            "DELETE FROM federation_protocol WHERE idp_id = ? AND id = ?",
        ] {
            let query = self.db.query(statement).bind(provider).bind(id);
            query.execute().await?;
        }
        let users = &mut Users {
            db: self.db.reborrow(),
        };
        users.delete_unknown(now).await
    }
}

impl FromRow for Protocol {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            identity_provider_id: row.id("idp_id")?,
            mapping_id: row.id("mapping_id")?,
            remote_id_attribute: row.optional_text("remote_id_attribute")?,
        })
    }
}
