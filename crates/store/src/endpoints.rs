//! Endpoints of the catalog's services.

use model::ids::EndpointId;
use model::json;
use model::listing::Page;
use model::service::{Endpoint, EndpointFilter};

use crate::change::Entity;
use crate::db::{Conn, Tx};
use crate::error::StoreError;
use crate::filter::Where;
use crate::value::{FromRow, Row};

/// Reads endpoints.
pub struct Endpoints<'a> {
    pub(crate) db: Conn<'a>,
}

impl Endpoints<'_> {
    /// Finds an endpoint by id.
    pub async fn find(&mut self, id: &EndpointId) -> Result<Option<Endpoint>, StoreError> {
        self.db
            .query(
                "SELECT id, interface, region_id, service_id, url, enabled, extra \
                 FROM endpoint WHERE id = ?",
            )
            .bind(id)
            .optional()
            .await
    }

    /// Lists endpoints by id.
    pub async fn list(&mut self, filter: &EndpointFilter) -> Result<Vec<Endpoint>, StoreError> {
        let mut conditions = Where::default();
        conditions
            .equals("interface", filter.interface.as_deref())
            .equals("service_id", filter.service_id.as_ref())
            .equals("region_id", filter.region_id.as_ref());
        let head = "SELECT id, interface, region_id, service_id, url, enabled, extra FROM endpoint";
        let sql = conditions.statement(head, "id", &Page::default());
        self.db
            .built_query(sql)
            .bind_all(conditions.into_values())
            .all()
            .await
    }
}

/// Changes endpoints, in a transaction.
pub struct EndpointsMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl EndpointsMut<'_> {
    /// Adds an endpoint.
    pub async fn insert(&mut self, endpoint: &Endpoint) -> Result<(), StoreError> {
        self.tx
            .insert(
                "endpoint",
                Entity::Any,
                "(id, interface, region_id, service_id, url, enabled, extra) \
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(&endpoint.id)
            .bind(&endpoint.interface)
            .bind(endpoint.region_id.as_ref())
            .bind(&endpoint.service_id)
            .bind(&endpoint.url)
            .bind(endpoint.enabled)
            .bind(json::spaced(&endpoint.extra))
            .execute()
            .await?;
        Ok(())
    }

    /// Writes all attributes of an endpoint that may change.
    pub(crate) async fn update(&mut self, endpoint: &Endpoint) -> Result<(), StoreError> {
        self.tx
            .update(
                "endpoint",
                Entity::Any,
                "SET interface = ?, region_id = ?, service_id = ?, url = ?, enabled = ?, \
                 extra = ? WHERE id = ?",
            )
            .bind(&endpoint.interface)
            .bind(endpoint.region_id.as_ref())
            .bind(&endpoint.service_id)
            .bind(&endpoint.url)
            .bind(endpoint.enabled)
            .bind(json::spaced(&endpoint.extra))
            .bind(&endpoint.id)
            .execute()
            .await?;
        Ok(())
    }

    /// Removes an endpoint with what was said about it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] when there is no such endpoint.
    pub async fn delete(&mut self, id: &EndpointId) -> Result<(), StoreError> {
        self.lock(id).await?;
        for (table, which) in [
            ("project_endpoint", "WHERE endpoint_id = ?"),
            ("policy_association", "WHERE endpoint_id = ?"),
            ("endpoint", "WHERE id = ?"),
        ] {
            let delete = self.tx.delete(table, Entity::Any, which);
            delete.bind(id).execute().await?;
        }
        Ok(())
    }
}

impl FromRow for Endpoint {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            interface: row.text("interface")?,
            region_id: row.optional_id("region_id")?,
            service_id: row.id("service_id")?,
            url: row.text("url")?,
            enabled: row.bool("enabled")?,
            extra: row.extra("extra")?,
        })
    }
}
