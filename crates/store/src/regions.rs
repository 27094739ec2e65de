//! Regions of the catalog.

use model::ids::RegionId;
use model::json;
use model::listing::Page;
use model::service::Region;

use crate::change::Entity;
use crate::db::{Conn, Tx};
use crate::dialect::placeholders;
use crate::error::StoreError;
use crate::filter::Where;
use crate::value::{FromRow, Row};

/// Reads regions.
pub struct Regions<'a> {
    pub(crate) db: Conn<'a>,
}

impl Regions<'_> {
    /// Finds a region by id.
    pub async fn find(&mut self, id: &RegionId) -> Result<Option<Region>, StoreError> {
        self.db
            .query("SELECT id, description, parent_region_id, extra FROM region WHERE id = ?")
            .bind(id)
            .optional()
            .await
    }

    /// Lists regions by id.
    pub async fn list(
        &mut self,
        parent_region_id: Option<&RegionId>,
    ) -> Result<Vec<Region>, StoreError> {
        let mut conditions = Where::default();
        conditions.equals("parent_region_id", parent_region_id);
        let head = "SELECT id, description, parent_region_id, extra FROM region";
        let sql = conditions.statement(head, "id", &Page::default());
        self.db
            .built_query(sql)
            .bind_all(conditions.into_values())
            .all()
            .await
    }

    /// A region and all regions within it.
    pub async fn list_tree(&mut self, id: &RegionId) -> Result<Vec<RegionId>, StoreError> {
        let rows = self
            .db
            .query(
                "WITH RECURSIVE tree (id) AS ( \
                   SELECT id FROM region WHERE id = ? \
                   UNION SELECT region.id FROM tree \
                   JOIN region ON region.parent_region_id = tree.id) \
                 SELECT id FROM tree",
            )
            .bind(id)
            .rows()
            .await?;
        rows.iter().map(|row| row.id("id")).collect()
    }

    /// Whether any of these regions has an endpoint.
    pub async fn have_endpoints(&mut self, ids: &[RegionId]) -> Result<bool, StoreError> {
        let marks = placeholders(ids.len());
        let sql = format!("SELECT id FROM endpoint WHERE region_id IN ({marks}) LIMIT 1");
        Ok(!self
            .db
            .built_query(sql)
            .bind_all(ids)
            .rows()
            .await?
            .is_empty())
    }
}

/// Changes regions, in a transaction.
pub struct RegionsMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl RegionsMut<'_> {
    /// Keeps everybody else from changing any region, and from adding what names one, until the
    /// transaction ends: a tree can only be judged as a whole.
    pub async fn lock_all(&mut self) -> Result<(), StoreError> {
        self.tx.lock_all("region", "id IS NOT NULL", []).await
    }

    /// Adds a region.
    pub async fn insert(&mut self, region: &Region) -> Result<(), StoreError> {
        self.tx
            .insert(
                "region",
                Entity::Any,
                "(id, description, parent_region_id, extra) \
                 VALUES (?, ?, ?, ?)",
            )
            .bind(&region.id)
            .bind(&region.description)
            .bind(region.parent_region_id.as_ref())
            .bind(json::spaced(&region.extra))
            .execute()
            .await
            .map_err(|error| error.on_unique("region"))?;
        Ok(())
    }

    /// Writes all attributes of a region that may change.
    pub(crate) async fn update(&mut self, region: &Region) -> Result<(), StoreError> {
        self.tx
            .update(
                "region",
                Entity::Any,
                "SET description = ?, parent_region_id = ?, extra = ? \
                 WHERE id = ?",
            )
            .bind(&region.description)
            .bind(region.parent_region_id.as_ref())
            .bind(json::spaced(&region.extra))
            .bind(&region.id)
            .execute()
            .await?;
        Ok(())
    }

    /// Removes regions.
    pub async fn delete(&mut self, ids: &[RegionId]) -> Result<(), StoreError> {
        let which = format!("WHERE id IN ({})", placeholders(ids.len()));
        let delete = self.tx.delete("region", Entity::Any, which);
        delete.bind_all(ids).execute().await?;
        Ok(())
    }
}

impl FromRow for Region {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            description: row.text("description")?,
            parent_region_id: row.optional_id("parent_region_id")?,
            extra: row.extra("extra")?,
        })
    }
}
