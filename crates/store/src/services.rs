//! Services of the catalog.

use model::ids::ServiceId;
use model::json;
use model::listing::{Page, TextMatch};
use model::service::Service;

use crate::change::Entity;
use crate::columns::{Stored, stored};
use crate::db::{Conn, Tx};
use crate::error::StoreError;
use crate::filter::Where;

stored! {
    Service as service {
        id: "id" (id) = &service.id,
    } changing {
        kind: "type" (optional_text, Option::unwrap_or_default) = &service.kind,
        enabled: "enabled" (bool) = service.enabled,
        extra: "extra" (extra) = json::spaced(&service.extra),
    }
}

/// Reads services.
pub struct Services<'a> {
    pub(crate) db: Conn<'a>,
}

impl Services<'_> {
    /// Lists the services of a type.
    pub async fn list_by_type(&mut self, kind: &str) -> Result<Vec<Service>, StoreError> {
        self.db
            .query(concat!(
                "SELECT ",
                columns!(),
                " FROM service WHERE type = ? ORDER BY id"
            ))
            .bind(kind)
            .all()
            .await
    }

    /// Finds a service by id.
    pub async fn find(&mut self, id: &ServiceId) -> Result<Option<Service>, StoreError> {
        self.db
            .query(concat!("SELECT ", columns!(), " FROM service WHERE id = ?"))
            .bind(id)
            .optional()
            .await
    }

    /// Lists services by id. Their names are kept beside the columns, so that filter is the
    /// caller's.
    pub async fn list(&mut self, kind: Option<&TextMatch>) -> Result<Vec<Service>, StoreError> {
        let dialect = self.db.dialect();
        let mut conditions = Where::default();
        conditions.text(dialect, "type", kind);
        let head = concat!("SELECT ", columns!(), " FROM service");
        let sql = conditions.statement(head, "id", &Page::default());
        let query = self.db.built_query(sql).bind_all(conditions.into_values());
        let mut found = query.all::<Service>().await?;
        if let Some(kind) = kind {
            found.retain(|service| kind.holds_beyond_sql(&service.kind));
        }
        Ok(found)
    }
}

/// Changes services, in a transaction.
pub struct ServicesMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl ServicesMut<'_> {
    /// Adds a service.
    pub async fn insert(&mut self, service: &Service) -> Result<(), StoreError> {
        self.tx
            .insert("service", Entity::Any, Service::INSERT)
            .bind_all(service.values())
            .execute()
            .await?;
        Ok(())
    }

    /// Writes all attributes of a service that may change.
    pub(crate) async fn update(&mut self, service: &Service) -> Result<(), StoreError> {
        self.tx
            .update(
                "service",
                Entity::Any,
                format!("{} WHERE id = ?", Service::UPDATE),
            )
            .bind_all(service.changing())
            .bind(&service.id)
            .execute()
            .await?;
        Ok(())
    }

    /// Removes a service with its endpoints and what was said about them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] when there is no such service.
    pub async fn delete(&mut self, id: &ServiceId) -> Result<(), StoreError> {
        self.lock(id).await?;
        let of_endpoints = "WHERE endpoint_id IN (SELECT id FROM endpoint WHERE service_id = ?)";
        for (table, which) in [
            ("project_endpoint", of_endpoints),
            ("policy_association", of_endpoints),
            ("policy_association", "WHERE service_id = ?"),
            ("endpoint", "WHERE service_id = ?"),
            ("service", "WHERE id = ?"),
        ] {
            let delete = self.tx.delete(table, Entity::Any, which);
            delete.bind(id).execute().await?;
        }
        Ok(())
    }
}
