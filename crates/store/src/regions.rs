//! Regions of the catalog.

use model::ids::RegionId;
use model::json;
use model::listing::Page;
use model::service::Region;

use crate::change::Entity;
use crate::columns::{Stored, stored};
use crate::db::{Conn, Tx};
use crate::dialect::placeholders;
use crate::error::StoreError;
use crate::filter::Where;

stored! {
    Region as region {
        id: "id" (id) = &region.id,
    } changing {
        description: "description" (text) = &region.description,
        parent_region_id: "parent_region_id" (optional_id) = region.parent_region_id.as_ref(),
        extra: "extra" (extra) = json::spaced(&region.extra),
    }
}

/// Reads regions.
pub struct Regions<'a> {
    pub(crate) db: Conn<'a>,
}

impl Regions<'_> {
    /// Finds a region by id.
    pub async fn find(&mut self, id: &RegionId) -> Result<Option<Region>, StoreError> {
        self.db
            .query(concat!("SELECT ", columns!(), " FROM region WHERE id = ?"))
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
        let head = concat!("SELECT ", columns!(), " FROM region");
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
    /// transaction ends: a tree can only be checked as a whole.
    pub async fn lock_all(&mut self) -> Result<(), StoreError> {
        self.tx.lock_all("region", "id IS NOT NULL", []).await
    }

    /// Adds a region.
    pub async fn insert(&mut self, region: &Region) -> Result<(), StoreError> {
        self.tx
            .insert("region", Entity::Any, Region::INSERT)
            .bind_all(region.values())
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
                format!("{} WHERE id = ?", Region::UPDATE),
            )
            .bind_all(region.changing())
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
