//! Keystone's database on SQLite, PostgreSQL and MariaDB, behind [`Store`] and [`Tx`].
//!
//! One file holds the SQL of one resource. A repository is reached through the store, which reads
//! from the pool, or through the one transaction of a request, and is written once for both.

mod address;
mod db;
mod dialect;
mod error;
mod filter;
mod projects;
mod value;

use std::sync::Arc;

pub use db::{Options, Saved, Tx};
pub use dialect::Dialect;
pub use error::StoreError;
pub use projects::Projects;

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
    /// Projects, and the domains that share their table.
    projects: Projects,
}
