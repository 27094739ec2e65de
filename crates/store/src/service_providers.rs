//! Service providers: clouds that accept what we say about our users.

use model::federation::{ProviderFilter, ServiceProvider};
use model::ids::ServiceProviderId;
use model::listing::Page;

use crate::change::Entity;
use crate::columns::{Stored, stored};
use crate::db::{Conn, Tx};
use crate::error::StoreError;
use crate::filter::Where;
use crate::identity_providers::id_holds;

stored! {
    ServiceProvider as provider {
        id: "id" (id) = &provider.id,
    } changing {
        enabled: "enabled" (bool) = provider.enabled,
        description: "description" (optional_text) = provider.description.as_deref(),
        auth_url: "auth_url" (text) = &provider.auth_url,
        sp_url: "sp_url" (text) = &provider.sp_url,
        relay_state_prefix: "relay_state_prefix" (text) = &provider.relay_state_prefix,
    }
}

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
            .query(concat!(
                "SELECT ",
                columns!(),
                " FROM service_provider WHERE id = ?"
            ))
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
        let head = concat!("SELECT ", columns!(), " FROM service_provider");
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
            .insert("service_provider", Entity::Any, ServiceProvider::INSERT)
            .bind_all(provider.values())
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
                format!("{} WHERE id = ?", ServiceProvider::UPDATE),
            )
            .bind_all(provider.changing())
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
