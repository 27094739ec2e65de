//! Keystone's database on SQLite, PostgreSQL and MariaDB, behind [`Store`] and [`Tx`].
//!
//! One file holds the SQL of one resource, in two types: one reads, from the pool or in the one
//! transaction of a request, and one writes, in a transaction alone.
//!
//! ```compile_fail,E0599
//! async fn outside_of_a_transaction(store: &archstone_store::Store) {
//!     let _ = store.groups().delete(&"g".into()).await;
//! }
//! ```
//!
//! ```
//! async fn in_a_transaction(tx: &mut archstone_store::Tx) {
//!     let _ = tx.groups_mut().delete(&"g".into()).await;
//! }
//! ```

mod access_rules;
mod address;
mod application_credentials;
mod assignments;
mod cache;
mod catalog;
mod change;
mod changeable;
mod credentials;
mod db;
mod dialect;
mod domains;
mod endpoints;
mod error;
mod filter;
mod follower;
mod groups;
mod identity_providers;
mod logins;
mod lookups;
mod mappings;
mod memberships;
mod migrations;
mod named;
mod option_file;
mod passwords;
mod projects;
mod protocols;
mod provider_sessions;
mod regions;
mod retry;
mod revocations;
mod role_assignments;
mod roles;
pub mod scratch;
mod service_providers;
mod services;
mod shadow_users;
mod sweep;
mod sync_state;
mod users;
mod value;

use std::sync::Arc;

pub use access_rules::{AccessRules, AccessRulesMut, OwnedAccessRule, Undeleted};
pub use application_credentials::{ApplicationCredentials, ApplicationCredentialsMut};
pub use assignments::{Assignments, AssignmentsMut};
pub use cache::CacheSettings;
pub use catalog::Catalog;
pub use changeable::Changeable;
pub use credentials::{Credentials, CredentialsMut};
pub use db::{Options, Saved, Tx};
pub use dialect::Dialect;
pub use domains::{Domains, DomainsMut, LockedDomain};
pub use endpoints::{Endpoints, EndpointsMut};
pub use error::StoreError;
pub use groups::{Groups, GroupsMut};
pub use identity_providers::{IdentityProviders, IdentityProvidersMut};
pub use logins::{Logins, LoginsMut};
pub use mappings::{Mappings, MappingsMut};
pub use migrations::{SchemaState, SyncCheck};
pub use named::NamedDomain;
pub use projects::{Projects, ProjectsMut};
pub use protocols::{Protocols, ProtocolsMut};
pub use provider_sessions::{ProviderSessions, ProviderSessionsMut, SessionTokens};
pub use regions::{Regions, RegionsMut};
pub use retry::retrying;
pub use revocations::{Revocations, RevocationsMut};
pub use role_assignments::{HeldRoles, Mentioned, Name};
pub use roles::{Roles, RolesMut};
pub use service_providers::{ServiceProviders, ServiceProvidersMut};
pub use services::{Services, ServicesMut};
pub use shadow_users::{ShadowUser, ShadowUsers, ShadowUsersMut};
pub use users::{Users, UsersMut};

use db::{Conn, Db};

/// A database, shared by all requests. Cloning is cheap.
#[derive(Clone)]
pub struct Store {
    db: Arc<Db>,
}

impl Store {
    /// Prepares the pools. Connections are opened when they are first needed.
    ///
    /// # Errors
    ///
    /// [`StoreError::Address`] when the address cannot be read.
    pub fn connect(options: &Options) -> Result<Self, StoreError> {
        Ok(Self {
            db: Arc::new(Db::connect(options)?),
        })
    }

    /// Opens a transaction that will write.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] or [`StoreError::TimedOut`] when the database is not there.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Tx::begin(&self.db).await
    }

    /// Which database this is.
    pub fn dialect(&self) -> Dialect {
        self.db.dialect()
    }

    /// How many statements have been sent so far, the brackets of transactions included.
    pub fn statements(&self) -> u64 {
        self.db.statements()
    }

    /// How many transactions that write this process has committed, to see whether anything
    /// changed.
    pub fn commits(&self) -> u64 {
        self.db.commits()
    }

    pub(crate) fn caches(&self) -> &cache::Caches {
        &self.db.caches
    }

    pub(crate) fn pool(&self) -> Conn<'_> {
        Conn::Pool(&self.db)
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.db.close().await;
    }
}

/// Makes each repository reachable: to read from the store and in a transaction under one name, and
/// to write in a transaction alone.
macro_rules! repositories {
    ($($(#[$doc:meta])* $name:ident: $reader:ident $(, $name_mut:ident: $writer:ident)?;)*) => {
        impl Store {$(
            $(#[$doc])*
            pub fn $name(&self) -> $reader<'_> {
                $reader { db: Conn::Pool(&self.db) }
            }
        )*}

        impl Tx {$(
            $(#[$doc])*
            pub fn $name(&mut self) -> $reader<'_> {
                $reader { db: Conn::Tx(self) }
            }

            $(
                /// The same, to change them.
                pub fn $name_mut(&mut self) -> $writer<'_> {
                    $writer { tx: self }
                }
            )?
        )*}
    };
}

repositories! {
    /// Access rules of application credentials.
    access_rules: AccessRules, access_rules_mut: AccessRulesMut;
    /// Application credentials, with their roles and access rules.
    application_credentials: ApplicationCredentials, application_credentials_mut: ApplicationCredentialsMut;
    /// Role assignments, and the roles in effect that they come to.
    assignments: Assignments, assignments_mut: AssignmentsMut;
    /// The service catalog as tokens carry it.
    catalog: Catalog;
    /// Credentials kept for users.
    credentials: Credentials, credentials_mut: CredentialsMut;
    /// Domains.
    domains: Domains, domains_mut: DomainsMut;
    /// Endpoints of services.
    endpoints: Endpoints, endpoints_mut: EndpointsMut;
    /// Groups of users, and who belongs to them.
    groups: Groups, groups_mut: GroupsMut;
    /// Identity providers of federated logins.
    identity_providers: IdentityProviders, identity_providers_mut: IdentityProvidersMut;
    /// What logins and the validation of tokens look up.
    logins: Logins, logins_mut: LoginsMut;
    /// Mappings of assertions.
    mappings: Mappings, mappings_mut: MappingsMut;
    /// Projects, and the domains that share their table.
    projects: Projects, projects_mut: ProjectsMut;
    /// Protocols of identity providers.
    protocols: Protocols, protocols_mut: ProtocolsMut;
    /// One-time values of federated logins, and sessions at providers.
    provider_sessions: ProviderSessions, provider_sessions_mut: ProviderSessionsMut;
    /// Regions.
    regions: Regions, regions_mut: RegionsMut;
    /// Revocation events.
    revocations: Revocations, revocations_mut: RevocationsMut;
    /// Roles, and which implies which.
    roles: Roles, roles_mut: RolesMut;
    /// Service providers, which accept our assertions.
    service_providers: ServiceProviders, service_providers_mut: ServiceProvidersMut;
    /// Services of the catalog.
    services: Services, services_mut: ServicesMut;
    /// Users whom identity providers keep.
    shadow_users: ShadowUsers, shadow_users_mut: ShadowUsersMut;
    /// Users and their passwords.
    users: Users, users_mut: UsersMut;
}
