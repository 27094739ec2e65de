//! Mappings of assertions to users, groups and projects.

use model::federation::Mapping;
use model::ids::MappingId;
use model::json;

use crate::change::Entity;
use crate::columns::{Stored, stored};
use crate::db::{Conn, Tx};
use crate::error::StoreError;
use crate::value::{FromRow, Row};

stored! {
    Mapping as mapping {
        "id" = &mapping.id,
    } changing {
        "rules" = twice(&mapping.rules),
        "schema_version" = &mapping.schema_version,
    }
}

/// Reads mappings.
pub struct Mappings<'a> {
    pub(crate) db: Conn<'a>,
}

impl Mappings<'_> {
    /// Finds a mapping by id; `None` when there is none.
    pub async fn find(&mut self, id: &MappingId) -> Result<Option<Mapping>, StoreError> {
        self.db
            .query(concat!("SELECT ", columns!(), " FROM mapping WHERE id = ?"))
            .bind(id)
            .optional()
            .await
    }

    /// Lists all mappings by id.
    pub async fn list(&mut self) -> Result<Vec<Mapping>, StoreError> {
        self.db
            .query(concat!("SELECT ", columns!(), " FROM mapping ORDER BY id"))
            .all()
            .await
    }
}

/// Changes mappings, in a transaction.
pub struct MappingsMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl MappingsMut<'_> {
    /// Adds a mapping.
    pub async fn insert(&mut self, mapping: &Mapping) -> Result<(), StoreError> {
        self.tx
            .insert("mapping", Entity::Any, Mapping::INSERT)
            .bind_all(mapping.values())
            .execute()
            .await
            .map_err(|error| error.on_unique("mapping"))?;
        Ok(())
    }

    /// Writes all attributes of a mapping that may change.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] when there is no such mapping.
    pub(crate) async fn update(&mut self, mapping: &Mapping) -> Result<(), StoreError> {
        let found = self
            .tx
            .update(
                "mapping",
                Entity::Any,
                format!("{} WHERE id = ?", Mapping::UPDATE),
            )
            .bind_all(mapping.changing())
            .bind(&mapping.id)
            .execute()
            .await?;
        StoreError::require_found(found, "mapping", &mapping.id)
    }

    /// Removes a mapping, whether or not a protocol uses it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] when there is no such mapping.
    pub async fn delete(&mut self, id: &MappingId) -> Result<(), StoreError> {
        let found = self
            .tx
            .delete("mapping", Entity::Any, "WHERE id = ?")
            .bind(id)
            .execute()
            .await?;
        StoreError::require_found(found, "mapping", id)
    }
}

/// Keystone writes the rules as JSON, and that as a JSON text once more.
fn twice(rules: &serde_json::Value) -> String {
    json::spaced(&json::spaced(rules))
}

impl FromRow for Mapping {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let rules = match row.json("rules")? {
            serde_json::Value::String(text) => {
                json::read(&text).map_err(|error| StoreError::Unreadable {
                    column: "rules".into(),
                    reason: error.to_string(),
                })?
            }
            rules => rules,
        };
        Ok(Self {
            id: row.id("id")?,
            rules,
            schema_version: row.text("schema_version")?,
        })
    }
}
