//! The database: pools, connections, transactions, and how statements reach them.
//!
//! A repository writes SQL once, with `?` for values and ANSI quotes for names. It reads through
//! [`Conn`], which is the pool or the open transaction, and writes through [`Tx`] alone.

#[cfg(debug_assertions)]
mod notes;
mod pool;
mod query;
mod session;
mod tx;

use std::sync::Arc;
use std::time::Duration;

use model::clock::Clock;

use crate::cache::CacheSettings;

#[cfg(debug_assertions)]
pub use notes::FOLDER;
pub(crate) use pool::{Db, timer_now};
pub(crate) use query::Conn;
pub(crate) use session::{Each, Session, explain};
pub use tx::{Saved, Tx};

/// How to use a database.
#[derive(Clone)]
pub struct Options {
    /// `[database] connection`, as SQLAlchemy writes it.
    pub connection: String,
    /// The most connections that are open at a time.
    pub max_connections: u32,
    /// How long a statement, or to open a connection, may take.
    pub timeout: Duration,
    /// How long the wait for a free connection may take.
    pub acquire_timeout: Duration,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What is cached.
    pub cache: CacheSettings,
    /// Minutes that a membership which an identity provider brought lives, when the provider says
    /// nothing of it.
    pub authorization_ttl: u32,
    /// Whether the catalog is whole where no endpoints were chosen; otherwise it is empty.
    pub whole_catalog: bool,
    /// The age at which a connection is replaced; `None` means never.
    pub lifetime: Option<Duration>,
    /// What statements on a Galera cluster wait for (`wsrep_sync_wait`); with `None` at least for what other
    /// nodes have committed (1).
    pub wsrep_sync_wait: Option<u32>,
}
