//! Endpoints of the catalog's services.

use model::ids::EndpointId;
use model::json;
use model::listing::Page;
use model::service::{Endpoint, EndpointFilter};

use crate::db::Conn;
use crate::error::StoreError;
use crate::filter::Where;
use crate::value::{FromRow, Row};

/// Endpoints of the database.
pub struct Endpoints<'a> {
    pub(crate) db: Conn<'a>,
}

impl Endpoints<'_> {
    /// Adds an endpoint.
    pub async fn insert(&mut self, endpoint: &Endpoint) -> Result<(), StoreError> {
        self.db
            .query(
                "INSERT INTO endpoint (id, interface, region_id, service_id, url, enabled, \
                 extra) VALUES (?, ?, ?, ?, ?, ?, ?)",
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

    /// Finds an endpoint to change it: nobody else does until the transaction ends.
    pub async fn find_for_update(
        &mut self,
        id: &EndpointId,
    ) -> Result<Option<Endpoint>, StoreError> {
        self.db.lock("endpoint", id.as_str()).await?;
        self.find(id).await
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

    /// Writes all attributes of an endpoint that may change.
    pub async fn update(&mut self, endpoint: &Endpoint) -> Result<(), StoreError> {
        self.db
            .query(
                "UPDATE endpoint SET interface = ?, region_id = ?, service_id = ?, url = ?, \
                 enabled = ?, extra = ? WHERE id = ?",
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
        self.db
            .require_for_update("endpoint", id.as_str(), "endpoint")
            .await?;
        for statement in [
            "DELETE FROM project_endpoint WHERE endpoint_id = ?",
            "DELETE FROM policy_association WHERE endpoint_id = ?",
            "DELETE FROM endpoint WHERE id = ?",
        ] {
            self.db.query(statement).bind(id).execute().await?;
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
