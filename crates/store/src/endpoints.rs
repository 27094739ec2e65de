//! Endpoints of the catalog's services.

use model::ids::EndpointId;
use model::json;
use model::listing::Page;
use model::service::{Endpoint, EndpointFilter};

use crate::change::Entity;
use crate::columns::{Stored, stored};
use crate::db::{Conn, Tx};
use crate::error::StoreError;
use crate::filter::Where;

stored! {
    Endpoint as endpoint {
        id: "id" (id) = &endpoint.id,
    } changing {
        interface: "interface" (text) = &endpoint.interface,
        region_id: "region_id" (optional_id) = endpoint.region_id.as_ref(),
        service_id: "service_id" (id) = &endpoint.service_id,
        url: "url" (text) = &endpoint.url,
        enabled: "enabled" (bool) = endpoint.enabled,
        extra: "extra" (extra) = json::spaced(&endpoint.extra),
    }
}

/// Reads endpoints.
pub struct Endpoints<'a> {
    pub(crate) db: Conn<'a>,
}

impl Endpoints<'_> {
    /// Finds an endpoint by id.
    pub async fn find(&mut self, id: &EndpointId) -> Result<Option<Endpoint>, StoreError> {
        self.db
            .query(concat!(
                "SELECT ",
                columns!(),
                " FROM endpoint WHERE id = ?"
            ))
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
        let head = concat!("SELECT ", columns!(), " FROM endpoint");
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
            .insert("endpoint", Entity::Any, Endpoint::INSERT)
            .bind_all(endpoint.values())
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
                format!("{} WHERE id = ?", Endpoint::UPDATE),
            )
            .bind_all(endpoint.changing())
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
