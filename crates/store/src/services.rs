//! Regions, services and endpoints.

use model::ids::{RegionId, ServiceId};
use model::service::{Endpoint, Region, Service};

use crate::db::Conn;
use crate::error::StoreError;
use crate::value::{FromRow, Row};

/// Regions of the database.
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

    /// Adds a region.
    pub async fn insert(&mut self, region: &Region) -> Result<(), StoreError> {
        self.db
            .query(
                "INSERT INTO region (id, description, parent_region_id, extra) \
                 VALUES (?, ?, ?, ?)",
            )
            .bind(&region.id)
            .bind(&region.description)
            .bind(region.parent_region_id.as_ref())
            .bind(serde_json::Value::Object(region.extra.clone()).to_string())
            .execute()
            .await
            .map_err(|error| error.on_unique("region"))?;
        Ok(())
    }
}

/// Services of the database.
pub struct Services<'a> {
    pub(crate) db: Conn<'a>,
}

impl Services<'_> {
    /// Lists the services of a type.
    pub async fn list_by_type(&mut self, kind: &str) -> Result<Vec<Service>, StoreError> {
        self.db
            .query("SELECT id, type, enabled, extra FROM service WHERE type = ? ORDER BY id")
            .bind(kind)
            .all()
            .await
    }

    /// Adds a service.
    pub async fn insert(&mut self, service: &Service) -> Result<(), StoreError> {
        self.db
            .query("INSERT INTO service (id, type, enabled, extra) VALUES (?, ?, ?, ?)")
            .bind(&service.id)
            .bind(&service.kind)
            .bind(service.enabled)
            .bind(serde_json::Value::Object(service.extra.clone()).to_string())
            .execute()
            .await?;
        Ok(())
    }
}

/// Endpoints of the database.
pub struct Endpoints<'a> {
    pub(crate) db: Conn<'a>,
}

impl Endpoints<'_> {
    /// Lists the endpoints of a service.
    pub async fn list_by_service(
        &mut self,
        service_id: &ServiceId,
    ) -> Result<Vec<Endpoint>, StoreError> {
        self.db
            .query(
                "SELECT id, interface, region_id, service_id, url, enabled, extra \
                 FROM endpoint WHERE service_id = ? ORDER BY id",
            )
            .bind(service_id)
            .all()
            .await
    }

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
            .bind(serde_json::Value::Object(endpoint.extra.clone()).to_string())
            .execute()
            .await?;
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

impl FromRow for Service {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            kind: row.optional_text("type")?.unwrap_or_default(),
            enabled: row.bool("enabled")?,
            extra: row.extra("extra")?,
        })
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
