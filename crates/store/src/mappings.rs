//! Mappings of assertions to users, groups and projects.
use model::json;

use model::federation::Mapping;
use model::ids::MappingId;

use crate::db::Conn;
use crate::error::StoreError;
use crate::value::{FromRow, Row};

/// Mappings of the database.
pub struct Mappings<'a> {
    pub(crate) db: Conn<'a>,
}

impl Mappings<'_> {
    /// Finds a mapping by id; `None` when there is none.
    pub async fn find(&mut self, id: &MappingId) -> Result<Option<Mapping>, StoreError> {
        self.db
            .query("SELECT id, rules, schema_version FROM mapping WHERE id = ?")
            .bind(id)
            .optional()
            .await
    }

    /// Lists all mappings by id.
    pub async fn list(&mut self) -> Result<Vec<Mapping>, StoreError> {
        self.db
            .query("SELECT id, rules, schema_version FROM mapping ORDER BY id")
            .all()
            .await
    }

    /// Adds a mapping.
    pub async fn insert(&mut self, mapping: &Mapping) -> Result<(), StoreError> {
        self.db
            .query("INSERT INTO mapping (id, rules, schema_version) VALUES (?, ?, ?)")
            .bind(&mapping.id)
            .bind(stored(&mapping.rules))
            .bind(&mapping.schema_version)
            .execute()
            .await
            .map_err(|error| error.on_unique("mapping"))?;
        Ok(())
    }

    /// Writes all attributes of a mapping that may change.
    pub async fn update(&mut self, mapping: &Mapping) -> Result<(), StoreError> {
        self.db
            .query("UPDATE mapping SET rules = ?, schema_version = ? WHERE id = ?")
            .bind(stored(&mapping.rules))
            .bind(&mapping.schema_version)
            .bind(&mapping.id)
            .execute()
            .await?;
        Ok(())
    }

    /// Removes a mapping, whether or not a protocol uses it.
    pub async fn delete(&mut self, id: &MappingId) -> Result<(), StoreError> {
        self.db
            .query("DELETE FROM mapping WHERE id = ?")
            .bind(id)
            .execute()
            .await?;
        Ok(())
    }
}

/// Keystone writes the rules as JSON, and that as a JSON text once more.
fn stored(rules: &serde_json::Value) -> String {
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
