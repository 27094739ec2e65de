//! Keystone's database on SQLite, PostgreSQL and MariaDB, behind [`Store`] and [`Tx`].
//!
//! One file holds the SQL of one resource. A repository is reached through the store, which reads
//! from the pool, or through the one transaction of a request, and is written once for both.

mod access_rules;
mod address;
mod application_credentials;
mod assignments;
mod catalog;
mod credentials;
mod db;
mod dialect;
mod domains;
mod endpoints;
mod error;
mod facts;
mod filter;
mod groups;
mod identity_providers;
mod logins;
mod mappings;
mod memberships;
mod migrations;
mod option_file;
mod projects;
mod protocols;
mod provider_sessions;
mod regions;
mod revocations;
mod role_assignments;
mod roles;
pub mod scratch;
mod service_providers;
mod services;
mod shadow_users;
mod topic;
mod users;
mod value;

use std::sync::Arc;

pub use access_rules::{AccessRules, OwnedAccessRule, Undeleted};
pub use application_credentials::{ApplicationCredentials, StoredCredential};
pub use assignments::{Assignments, EffectiveRoles};
pub use catalog::Catalog;
pub use credentials::Credentials;
pub use db::{Options, Saved, Tx};
pub use dialect::Dialect;
pub use domains::Domains;
pub use endpoints::Endpoints;
pub use error::StoreError;
pub use facts::FactSettings;
pub use groups::Groups;
pub use identity_providers::IdentityProviders;
pub use logins::Logins;
pub use mappings::Mappings;
pub use migrations::{SchemaState, SyncCheck};
pub use projects::Projects;
pub use protocols::Protocols;
pub use provider_sessions::{ProviderSessions, SessionTokens};
pub use regions::Regions;
pub use revocations::Revocations;
pub use role_assignments::{HeldRoles, Mentioned, Name};
pub use roles::Roles;
pub use service_providers::ServiceProviders;
pub use services::Services;
pub use shadow_users::{ShadowUser, ShadowUsers};
pub use users::Users;

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

    pub(crate) fn facts(&self) -> &facts::Facts {
        &self.db.facts
    }

    pub(crate) fn pool(&self) -> Conn<'_> {
        Conn::Pool(&self.db)
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.db.close().await;
    }
}

/// Makes each repository reachable from the store and from a transaction under one name.
macro_rules! repositories {
    ($($(#[$doc:meta])* $name:ident: $repository:ident,)*) => {
        impl Store {$(
            $(#[$doc])*
            pub fn $name(&self) -> $repository<'_> {
                $repository { db: Conn::Pool(&self.db) }
            }
        )*}

        impl Tx {$(
            $(#[$doc])*
            pub fn $name(&mut self) -> $repository<'_> {
                $repository { db: Conn::Tx(self) }
            }
        )*}
    };
}

repositories! {
    /// Access rules of application credentials.
    access_rules: AccessRules,
    /// Application credentials, with their roles and access rules.
    application_credentials: ApplicationCredentials,
    /// Role assignments, and the roles in effect that they come to.
    assignments: Assignments,
    /// The service catalog as tokens carry it.
    catalog: Catalog,
    /// Credentials kept for users.
    credentials: Credentials,
    /// Domains.
    domains: Domains,
    /// Endpoints of services.
    endpoints: Endpoints,
    /// Groups of users, and who belongs to them.
    groups: Groups,
    /// Identity providers of federated logins.
    identity_providers: IdentityProviders,
    /// What logins and the validation of tokens look up.
    logins: Logins,
    /// Mappings of assertions.
    mappings: Mappings,
    /// Projects, and the domains that share their table.
    projects: Projects,
    /// Protocols of identity providers.
    protocols: Protocols,
    /// One-time values of federated logins, and sessions at providers.
    provider_sessions: ProviderSessions,
    /// Regions.
    regions: Regions,
    /// Revocation events.
    revocations: Revocations,
    /// Roles, and which implies which.
    roles: Roles,
    /// Service providers, which accept our assertions.
    service_providers: ServiceProviders,
    /// Services of the catalog.
    services: Services,
    /// Users whom identity providers keep.
    shadow_users: ShadowUsers,
    /// Users and their passwords.
    users: Users,
}
