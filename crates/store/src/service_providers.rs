//! Service providers: clouds that accept what we say about our users.

use model::federation::{ProviderFilter, ServiceProvider};
use model::ids::ServiceProviderId;
use model::listing::Page;

use crate::change::Entity;
use crate::db::{Conn, Tx};
use crate::error::StoreError;
use crate::filter::Where;
use crate::identity_providers::id_holds;
use crate::value::{FromRow, Row};

/// Reads service providers.
pub struct ServiceProviders<'a> {
    pub(crate) db: Conn<'a>,
}

impl ServiceProviders<'_> {
    /// Finds a service provider by id; `None` when there is none.
    pub async fn find(
        &mut self,
        id: &ServiceProviderId,
    ) -> Result<Option<ServiceProvider>, StoreError> {
        self.db
            .query(
                "SELECT id, enabled, description, auth_url, sp_url, relay_state_prefix \
                 FROM service_provider WHERE id = ?",
            )
            .bind(id)
            .optional()
            .await
    }

    /// Lists service providers by id.
    pub async fn list(
        &mut self,
        filter: &ProviderFilter,
    ) -> Result<Vec<ServiceProvider>, StoreError> {
        let mut conditions = Where::default();
        conditions
            .text(self.db.dialect(), "id", filter.id.as_ref())
            .equals("enabled", filter.enabled);
        let head = "SELECT id, enabled, description, auth_url, sp_url, relay_state_prefix \
                    FROM service_provider";
        let sql = conditions.statement(head, "id", &Page::default());
        let query = self.db.built_query(sql).bind_all(conditions.into_values());
        let mut found = query.all::<ServiceProvider>().await?;
        found.retain(|provider| id_holds(filter.id.as_ref(), provider.id.as_str()));
        Ok(found)
    }
}

/// Changes service providers, in a transaction.
pub struct ServiceProvidersMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl ServiceProvidersMut<'_> {
    /// Adds a service provider.
    pub async fn insert(&mut self, provider: &ServiceProvider) -> Result<(), StoreError> {
        self.tx
            .insert(
                "service_provider",
                Entity::Any,
                "(id, enabled, description, auth_url, sp_url, relay_state_prefix) \
                 VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(&provider.id)
            .bind(provider.enabled)
            .bind(provider.description.as_deref())
            .bind(&provider.auth_url)
            .bind(&provider.sp_url)
            .bind(&provider.relay_state_prefix)
            .execute()
            .await
            .map_err(|error| error.on_unique("service_provider"))?;
        Ok(())
    }

    /// Writes all attributes of a service provider that may change.
    pub(crate) async fn update(&mut self, provider: &ServiceProvider) -> Result<(), StoreError> {
        self.tx
            .update(
                "service_provider",
                Entity::Any,
                "SET enabled = ?, description = ?, auth_url = ?, \
                 sp_url = ?, relay_state_prefix = ? WHERE id = ?",
            )
            .bind(provider.enabled)
            .bind(provider.description.as_deref())
            .bind(&provider.auth_url)
            .bind(&provider.sp_url)
            .bind(&provider.relay_state_prefix)
            .bind(&provider.id)
            .execute()
            .await?;
        Ok(())
    }

    /// Removes a service provider.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] when there is no such provider.
    pub async fn delete(&mut self, id: &ServiceProviderId) -> Result<(), StoreError> {
        let found = self
            .tx
            .delete("service_provider", Entity::Any, "WHERE id = ?")
            .bind(id)
            .execute()
            .await?;
        StoreError::require_found(found, "Service Provider", id)
    }
}

impl FromRow for ServiceProvider {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id("id")?,
            enabled: row.bool("enabled")?,
            description: row.optional_text("description")?,
            auth_url: row.text("auth_url")?,
            sp_url: row.text("sp_url")?,
            relay_state_prefix: row.text("relay_state_prefix")?,
        })
    }
}
