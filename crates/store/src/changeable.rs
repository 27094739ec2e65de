//! The one way to change what is there.

use model::credential::Credential;
use model::federation::{IdentityProvider, Mapping, ServiceProvider};
use model::ids::{
    CredentialId, DomainId, EndpointId, GroupId, IdentityProviderId, MappingId, ProjectId,
    RegionId, RoleId, ServiceId, ServiceProviderId, UserId,
};
use model::project::{Domain, Project};
use model::role::Role;
use model::service::{Endpoint, Region, Service};
use model::user::{Group, User};

use crate::Tx;
use crate::error::StoreError;

/// A resource that is changed one at a time, by its id.
pub trait Changeable: Sized + Send {
    /// What identifies it.
    type Id: Sync;

    /// Finds it, and keeps everybody else from changing it until the transaction ends.
    fn lock(
        tx: &mut Tx,
        id: &Self::Id,
    ) -> impl Future<Output = Result<Option<Self>, StoreError>> + Send;

    /// Writes all attributes that may change.
    fn write(&self, tx: &mut Tx) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// That there is none with this id.
    fn missing(id: &Self::Id) -> StoreError;
}

impl Tx {
    /// Finds a resource as it is now, and keeps everybody else from changing it, and from adding what
    /// names it, until the transaction ends: what is judged of it then still holds when it is removed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] when it is not there (any more).
    pub async fn hold<R: Changeable>(&mut self, id: &R::Id) -> Result<R, StoreError> {
        R::lock(self, id).await?.ok_or_else(|| R::missing(id))
    }

    /// Changes a resource: locks it, reads it as it is now, lets `change` check that and change it, and
    /// writes the result. Whatever was checked before, of what was read before, is to be checked in
    /// `change`: two changes at once each find what the other has done.
    ///
    /// # Errors
    ///
    /// [`StoreError::Missing`] when it is not there (any more), [`StoreError::Conflict`] when another
    /// has the name that it shall have, and what `change` refuses.
    pub async fn change<R: Changeable, E: From<StoreError>>(
        &mut self,
        id: &R::Id,
        change: impl FnOnce(R) -> Result<R, E>,
    ) -> Result<R, E> {
        let changed = change(self.hold(id).await?)?;
        changed.write(self).await?;
        Ok(changed)
    }
}

macro_rules! changeable {
    ($($resource:ident, $id:ident, $kind:literal, $writer:ident;)*) => {$(
        impl Changeable for $resource {
            type Id = $id;

            async fn lock(tx: &mut Tx, id: &$id) -> Result<Option<Self>, StoreError> {
                tx.$writer().find_for_update(id).await
            }

            async fn write(&self, tx: &mut Tx) -> Result<(), StoreError> {
                tx.$writer().update(self).await
            }

            fn missing(id: &$id) -> StoreError {
                StoreError::missing($kind, id)
            }
        }
    )*};
}

changeable! {
    Credential, CredentialId, "credential", credentials_mut;
    Domain, DomainId, "domain", domains_mut;
    Endpoint, EndpointId, "endpoint", endpoints_mut;
    Group, GroupId, "group", groups_mut;
    IdentityProvider, IdentityProviderId, "Identity Provider", identity_providers_mut;
    Mapping, MappingId, "mapping", mappings_mut;
    Project, ProjectId, "project", projects_mut;
    Region, RegionId, "region", regions_mut;
    Role, RoleId, "role", roles_mut;
    Service, ServiceId, "service", services_mut;
    ServiceProvider, ServiceProviderId, "Service Provider", service_providers_mut;
    User, UserId, "user", users_mut;
}
