//! How a row is kept as it is, and the one way to change it.

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

use crate::error::StoreError;
use crate::{
    CredentialsMut, EndpointsMut, GroupsMut, IdentityProvidersMut, MappingsMut, ProjectsMut,
    RegionsMut, RolesMut, ServiceProvidersMut, ServicesMut, Tx, UsersMut,
};

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
    /// names it, until the transaction ends: what is decided about it then still holds when it is removed.
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
    ($($resource:ident, $id:ident, $table:literal, $kind:literal, $reader:ident, $writer:ident: $type:ident;)*) => {$(
        impl $type<'_> {
            /// Makes sure, until the transaction ends, that it is there and stays as it is: something new
            /// shall name it, or what it says is relied on.
            ///
            /// # Errors
            ///
            /// [`StoreError::Missing`] when there is none.
            pub async fn require(&mut self, id: &$id) -> Result<(), StoreError> {
                self.tx.require($table, id.as_str(), $kind).await
            }

            /// Keeps everybody else from changing it, and from adding what names it, until the
            /// transaction ends.
            ///
            /// # Errors
            ///
            /// [`StoreError::Missing`] when there is none.
            pub async fn lock(&mut self, id: &$id) -> Result<(), StoreError> {
                match self.tx.lock($table, id.as_str()).await? {
                    true => Ok(()),
                    false => Err($resource::missing(id)),
                }
            }
        }

        impl Changeable for $resource {
            type Id = $id;

            async fn lock(tx: &mut Tx, id: &$id) -> Result<Option<Self>, StoreError> {
                match tx.lock($table, id.as_str()).await? {
                    true => tx.$reader().find(id).await,
                    false => Ok(None),
                }
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
    Credential, CredentialId, "credential", "credential", credentials, credentials_mut: CredentialsMut;
    Endpoint, EndpointId, "endpoint", "endpoint", endpoints, endpoints_mut: EndpointsMut;
    Group, GroupId, "group", "group", groups, groups_mut: GroupsMut;
    IdentityProvider, IdentityProviderId, "identity_provider", "Identity Provider",
        identity_providers, identity_providers_mut: IdentityProvidersMut;
    Mapping, MappingId, "mapping", "mapping", mappings, mappings_mut: MappingsMut;
    Project, ProjectId, "project", "project", projects, projects_mut: ProjectsMut;
    Region, RegionId, "region", "region", regions, regions_mut: RegionsMut;
    Role, RoleId, "role", "role", roles, roles_mut: RolesMut;
    Service, ServiceId, "service", "service", services, services_mut: ServicesMut;
    ServiceProvider, ServiceProviderId, "service_provider", "Service Provider",
        service_providers, service_providers_mut: ServiceProvidersMut;
    User, UserId, "user", "user", users, users_mut: UsersMut;
}

/// A domain is a project that is marked as one.
impl Changeable for Domain {
    type Id = DomainId;

    async fn lock(tx: &mut Tx, id: &DomainId) -> Result<Option<Self>, StoreError> {
        let found = <Project as Changeable>::lock(tx, &id.clone().into()).await?;
        Ok(found.filter(Project::is_domain).map(Domain::from))
    }

    async fn write(&self, tx: &mut Tx) -> Result<(), StoreError> {
        tx.projects_mut().update(&self.clone().into()).await
    }

    fn missing(id: &DomainId) -> StoreError {
        StoreError::missing("domain", id)
    }
}
