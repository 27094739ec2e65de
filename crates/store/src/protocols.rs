//! Protocols of identity providers.

use model::Timestamp;
use model::federation::{Protocol, ProtocolDriver};
use model::ids::{IdentityProviderId, MappingId, ProtocolId};
use model::json;

use crate::change::Entity;
use crate::db::{Conn, Tx};
use crate::error::StoreError;
use crate::value::{FromRow, Row};

/// Reads protocols of identity providers.
pub struct Protocols<'a> {
    pub(crate) db: Conn<'a>,
}

/// A query of protocols `p`, with how we speak them.
macro_rules! protocols {
    ($rest:literal) => {
        concat!(
            "SELECT p.id, p.idp_id, p.mapping_id, p.remote_id_attribute, d.driver, d.settings, \
             d.secrets, d.key_hash FROM federation_protocol p LEFT JOIN archstone_protocol d \
             ON d.idp_id = p.idp_id AND d.protocol_id = p.id ",
            $rest
        )
    };
}

impl Protocols<'_> {
    /// Finds a protocol of an identity provider, letter by letter, as the provider itself; `None` when
    /// there is none.
    pub async fn find(
        &mut self,
        provider: &IdentityProviderId,
        id: &ProtocolId,
    ) -> Result<Option<Protocol>, StoreError> {
        let found: Option<Protocol> = self
            .db
            .query(protocols!("WHERE p.idp_id = ? AND p.id = ?"))
            .bind(provider)
            .bind(id)
            .optional()
            .await?;
        Ok(found.filter(|found| found.identity_provider_id == *provider && found.id == *id))
    }

    /// Lists the protocols of an identity provider by id.
    pub async fn list(
        &mut self,
        provider: &IdentityProviderId,
    ) -> Result<Vec<Protocol>, StoreError> {
        self.db
            .query(protocols!("WHERE p.idp_id = ? ORDER BY p.id"))
            .bind(provider)
            .all()
            .await
    }

    /// Lists all protocols of all identity providers, by provider and id.
    pub async fn list_all(&mut self) -> Result<Vec<Protocol>, StoreError> {
        let sql = protocols!("ORDER BY p.idp_id, p.id");
        self.db.query(sql).all().await
    }
}

/// Changes protocols of identity providers, in a transaction.
pub struct ProtocolsMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl ProtocolsMut<'_> {
    /// Adds a protocol.
    pub async fn insert(&mut self, protocol: &Protocol) -> Result<(), StoreError> {
        self.tx
            .insert(
                "federation_protocol",
                Entity::Any,
                "(id, idp_id, mapping_id, remote_id_attribute) \
                 VALUES (?, ?, ?, ?)",
            )
            .bind(&protocol.id)
            .bind(&protocol.identity_provider_id)
            .bind(&protocol.mapping_id)
            .bind(protocol.remote_id_attribute.as_deref())
            .execute()
            .await
            .map_err(|error| error.on_unique("federation_protocol"))?;
        self.write_driver(protocol).await
    }

    /// Writes what Keystone's table has of a protocol, where an attribute that is not given stays.
    /// The protocol as it is then, which nobody else changes until the transaction ends; `None`
    /// when there is none.
    pub async fn update(
        &mut self,
        provider: &IdentityProviderId,
        id: &ProtocolId,
        mapping_id: &MappingId,
        remote_id_attribute: Option<&str>,
    ) -> Result<Option<Protocol>, StoreError> {
        if !self.lock(provider, id).await? {
            return Ok(None);
        }
        self.tx
            .update(
                "federation_protocol",
                Entity::Any,
                "SET mapping_id = ?, \
                 remote_id_attribute = COALESCE(?, remote_id_attribute) \
                 WHERE idp_id = ? AND id = ?",
            )
            .bind(mapping_id)
            .bind(remote_id_attribute)
            .bind(provider)
            .bind(id)
            .execute()
            .await?;
        self.tx.protocols().find(provider, id).await
    }

    /// Removes a protocol, and the users that only came by it; whether there was one.
    pub async fn delete(
        &mut self,
        provider: &IdentityProviderId,
        id: &ProtocolId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if !self.lock(provider, id).await? {
            return Ok(false);
        }
        for (table, which) in [
            ("federated_user", "WHERE idp_id = ? AND protocol_id = ?"),
            ("federation_protocol", "WHERE idp_id = ? AND id = ?"),
        ] {
            let delete = self.tx.delete(table, Entity::Any, which);
            delete.bind(provider).bind(id).execute().await?;
        }
        self.tx.users_mut().delete_unknown(now).await?;
        Ok(true)
    }

    /// Keeps everybody else from changing a protocol until the transaction ends; whether there is
    /// one.
    async fn lock(
        &mut self,
        provider: &IdentityProviderId,
        id: &ProtocolId,
    ) -> Result<bool, StoreError> {
        let db = &mut self.tx.read();
        let how = db.dialect().for_update();
        let sql = format!("SELECT id FROM federation_protocol WHERE idp_id = ? AND id = ?{how}");
        let query = db.built_query(sql).bind(provider).bind(id);
        Ok(!query.rows().await?.is_empty())
    }

    /// Replaces secrets by the same under another key, unless they were changed meanwhile. Whether
    /// they were replaced.
    pub async fn reencrypt(
        &mut self,
        protocol: &Protocol,
        before: &str,
        after: &str,
        key_hash: &str,
    ) -> Result<bool, StoreError> {
        let replaced = self
            .tx
            .update(
                "archstone_protocol",
                Entity::Any,
                "SET secrets = ?, key_hash = ? \
                 WHERE idp_id = ? AND protocol_id = ? AND secrets = ?",
            )
            .bind(after)
            .bind(key_hash)
            .bind(&protocol.identity_provider_id)
            .bind(&protocol.id)
            .bind(before)
            .execute()
            .await?;
        Ok(replaced > 0)
    }

    /// Writes how a protocol is spoken.
    pub async fn write_driver(&mut self, protocol: &Protocol) -> Result<(), StoreError> {
        self.tx
            .delete(
                "archstone_protocol",
                Entity::Any,
                "WHERE idp_id = ? AND protocol_id = ?",
            )
            .bind(&protocol.identity_provider_id)
            .bind(&protocol.id)
            .execute()
            .await?;
        let Some(driver) = &protocol.driver else {
            return Ok(());
        };
        let (secrets, key_hash) = driver.secrets.clone().unzip();
        self.tx
            .insert(
                "archstone_protocol",
                Entity::Any,
                "(idp_id, protocol_id, driver, settings, secrets, key_hash) \
                 VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(&protocol.identity_provider_id)
            .bind(&protocol.id)
            .bind(&driver.name)
            .bind(json::spaced(&driver.settings))
            .bind(secrets)
            .bind(key_hash)
            .execute()
            .await?;
        Ok(())
    }
}

impl FromRow for Protocol {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            identity_provider_id: row.id("idp_id")?,
            mapping_id: row.id("mapping_id")?,
            remote_id_attribute: row.optional_text("remote_id_attribute")?,
            driver: driver(row)?,
        })
    }
}

fn driver(row: &Row) -> Result<Option<ProtocolDriver>, StoreError> {
    let Some(name) = row.optional_text("driver")? else {
        return Ok(None);
    };
    let secrets = row.optional_text("secrets")?;
    Ok(Some(ProtocolDriver {
        name,
        settings: row.json("settings")?,
        secrets: secrets.zip(row.optional_text("key_hash")?),
    }))
}
