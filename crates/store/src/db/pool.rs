//! The connection pools of one database.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::clock::Stopwatch;
use sqlx::{AssertSqlSafe, Executor as _, MySql, Postgres, Sqlite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Options;
use super::session::Connection;
use crate::address::Address;
use crate::cache::Caches;
use crate::dialect::Dialect;
use crate::error::StoreError;

/// The connection pools of one database.
pub(crate) struct Db {
    pools: Pools,
    /// Waiting happens here and not in the pool, which opens and drops connections in a storm
    /// when many wait in it.
    permits: Arc<Semaphore>,
    /// The same as `permits`, but for SQLite, where one at a time may write.
    write_permits: Arc<Semaphore>,
    timeout: Duration,
    acquire_timeout: Duration,
    statements: AtomicU64,
    /// How many wait until they may write.
    waiting: AtomicU64,
    commits: AtomicU64,
    pub(crate) caches: Caches,
    /// For a test that wants another node.
    #[cfg(test)]
    pub(crate) options: Options,
    authorization_ttl: u32,
    whole_catalog: bool,
    breaks: Arc<Breaks>,
}

/// Remembers when a connection broke last. What breaks one, such as a restart of the database,
/// most often breaks all that were open then, and to find each of them broken would cost a request.
struct Breaks {
    origin: Stopwatch,
    /// Microseconds since `origin`; 0 while none broke.
    last: AtomicU64,
}

impl Breaks {
    fn note(&self) {
        self.note_at(self.origin.elapsed());
    }

    fn note_at(&self, now: Duration) {
        let since = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
        self.last.store(since, Ordering::Relaxed);
    }

    /// Whether a connection of this age was opened after the last break.
    fn is_usable(&self, age: Duration) -> bool {
        self.is_usable_at(self.origin.elapsed(), age)
    }

    fn is_usable_at(&self, now: Duration, age: Duration) -> bool {
        let last = Duration::from_micros(self.last.load(Ordering::Relaxed));
        last.is_zero() || now.saturating_sub(age) > last
    }
}

/// What the writer of an SQLite database may keep of it in memory, as SQLite has it: 64 MiB. With the 2 MiB
/// that it has otherwise, to remove a hundred thousand rows reads and writes the same pages over and over.
const WRITER_CACHE: &str = "-65536";

/// How many rows of an SQLite database wait to be taken from the thread that reads them, before it pauses.
const ROW_BUFFER: usize = 512;

enum Pools {
    MariaDb(sqlx::Pool<MySql>),
    Postgres(sqlx::Pool<Postgres>),
    /// Many readers and one writer: SQLite lets only one write at a time, and who waits in our
    /// queue is served in order.
    Sqlite {
        readers: sqlx::Pool<Sqlite>,
        writer: sqlx::Pool<Sqlite>,
    },
}

impl Db {
    pub(crate) fn connect(options: &Options) -> Result<Self, StoreError> {
        let breaks = Arc::new(Breaks {
            origin: Stopwatch::start(),
            last: AtomicU64::new(0),
        });
        macro_rules! pool {
            ($max:expr) => {{
                let breaks = Arc::clone(&breaks);
                sqlx::pool::PoolOptions::new()
                    .max_connections($max)
                    .acquire_timeout(options.timeout)
                    .max_lifetime(options.lifetime)
                    .test_before_acquire(false)
                    .before_acquire(move |_, idle| {
                        let is_usable = breaks.is_usable(idle.age);
                        Box::pin(async move { Ok(is_usable) })
                    })
            }};
        }
        let max = options.max_connections.max(1);
        let wsrep_sync_wait = options.wsrep_sync_wait;
        let (address, remarks) = Address::parse(&options.connection)?;
        for remark in remarks {
            tracing::warn!("[database] connection: {remark}");
        }
        let pools = match address {
            Address::MariaDb(address) => Pools::MariaDb(
                pool!(max)
                    .after_connect(move |connection: &mut sqlx::MySqlConnection, _| {
                        Box::pin(async move {
                            let mode = "SET sql_mode = CONCAT(@@sql_mode, \
                                        ',ANSI_QUOTES,STRICT_TRANS_TABLES'), time_zone = '+00:00'";
                            connection.execute(mode).await?;
                            let isolation =
                                "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
                            connection.execute(isolation).await?;
                            wait_for_cluster(connection, wsrep_sync_wait).await
                        })
                    })
                    .connect_lazy_with(address),
            ),
            Address::Postgres(address) => Pools::Postgres(pool!(max).connect_lazy_with(address)),
            Address::Sqlite(address) => {
                create_private(address.get_filename());
                let address = address.row_buffer_size(ROW_BUFFER);
                Pools::Sqlite {
                    readers: pool!(max).connect_lazy_with(address.clone()),
                    writer: pool!(1).connect_lazy_with(address.pragma("cache_size", WRITER_CACHE)),
                }
            }
        };
        let permits = Arc::new(Semaphore::new(max as usize));
        let write_permits = match pools {
            Pools::Sqlite { .. } => Arc::new(Semaphore::new(1)),
            Pools::MariaDb(_) | Pools::Postgres(_) => Arc::clone(&permits),
        };
        Ok(Self {
            pools,
            permits,
            write_permits,
            timeout: options.timeout,
            acquire_timeout: options.acquire_timeout,
            statements: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            #[cfg(test)]
            options: options.clone(),
            caches: Caches::new(options.cache, Arc::clone(&options.clock)),
            authorization_ttl: options.authorization_ttl,
            whole_catalog: options.whole_catalog,
            breaks,
        })
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.pools {
            Pools::MariaDb(_) => Dialect::MariaDb,
            Pools::Postgres(_) => Dialect::Postgres,
            Pools::Sqlite { .. } => Dialect::Sqlite,
        }
    }

    /// How many statements have been sent, transaction brackets included.
    pub(crate) fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// How many wait until they may write.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::SeqCst)
    }

    /// How many transactions that write have been committed.
    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    pub(crate) async fn close(&self) {
        match &self.pools {
            Pools::MariaDb(pool) => pool.close().await,
            Pools::Postgres(pool) => pool.close().await,
            Pools::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
        }
    }

    /// Waits for leave to use a connection, for reading or for one transaction that writes.
    pub(super) async fn permit(&self, write: bool) -> Result<Permit, StoreError> {
        // Both waits together, so that a crowd before a database that hangs is answered in time.
        let deadline = timer_now() + self.timeout.max(self.acquire_timeout);
        let permits = if write {
            &self.write_permits
        } else {
            &self.permits
        };
        let _waiting = write.then(|| Waiting::begin(&self.waiting));
        let permit = Arc::clone(permits).acquire_owned();
        match tokio::time::timeout(self.acquire_timeout, permit).await {
            Ok(Ok(permit)) => Ok(Permit {
                deadline,
                write,
                _permit: permit,
            }),
            Ok(Err(_)) => Err(StoreError::Unavailable("shutting down".into())),
            Err(_) => Err(StoreError::TimedOut(self.acquire_timeout)),
        }
    }

    /// Opens a connection, or takes an idle one.
    pub(super) async fn open(&self, permit: &Permit) -> Result<Connection, StoreError> {
        let open = async {
            Ok(match &self.pools {
                Pools::MariaDb(pool) => Connection::MariaDb(pool.acquire().await?),
                Pools::Postgres(pool) => Connection::Postgres(pool.acquire().await?),
                Pools::Sqlite { readers, writer } => {
                    let pool = if permit.write { writer } else { readers };
                    Connection::Sqlite(pool.acquire().await?)
                }
            })
        };
        let timed_out = |_| Err(StoreError::TimedOut(self.timeout.max(self.acquire_timeout)));
        tokio::time::timeout_at(permit.deadline, open)
            .await
            .unwrap_or_else(timed_out)
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The longest wait for an answer of the follower: it may be at one look already, a connection and a
    /// statement, and then does another.
    pub(crate) fn longest_wait(&self) -> Duration {
        2 * (self.timeout.max(self.acquire_timeout) + self.timeout)
    }

    pub(super) fn count_statement(&self) {
        self.statements.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_commit(&self) {
        self.commits.fetch_add(1, Ordering::SeqCst);
    }

    /// Remembers that a connection broke.
    pub(super) fn note_break(&self) {
        self.breaks.note();
    }

    /// Minutes that a membership lives whose identity provider says nothing of it.
    pub(super) fn authorization_ttl(&self) -> u32 {
        self.authorization_ttl
    }

    /// Whether the catalog is whole where no endpoints were chosen.
    pub(super) fn whole_catalog(&self) -> bool {
        self.whole_catalog
    }
}

/// Leave to use one connection.
pub(super) struct Permit {
    /// When the wait for the connection is over.
    deadline: tokio::time::Instant,
    write: bool,
    _permit: OwnedSemaphorePermit,
}

/// The time by which timers run.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this crate; tests stop this clock by tokio::time::pause"
)]
pub(crate) fn timer_now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

impl Permit {
    /// Allows so much time from now on.
    pub(super) fn extend(&mut self, by: Duration) {
        self.deadline = timer_now() + by;
    }
}

/// One who waits until they may write. It is no longer counted when it is dropped, also because its request
/// was given up.
struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// On a node of a Galera cluster, makes reads wait for what other nodes have committed: a login must
/// not miss what was revoked there. An operator may want another wait, or none.
async fn wait_for_cluster(
    connection: &mut sqlx::MySqlConnection,
    wanted: Option<u32>,
) -> Result<(), sqlx::Error> {
    if let Some(events) = wanted {
        let wait = format!("SET SESSION wsrep_sync_wait = {events}");
        connection.execute(AssertSqlSafe(wait)).await?;
        return Ok(());
    }
    let is_node = "SHOW SESSION VARIABLES WHERE Variable_name = 'wsrep_on' AND Value = 'ON'";
    if connection.fetch_optional(is_node).await?.is_some() {
        // Whatever else the server waits for by itself.
        let wait = "SET SESSION wsrep_sync_wait = @@wsrep_sync_wait | 1";
        connection.execute(wait).await?;
    }
    Ok(())
}

/// Makes an SQLite file that only its owner reads, unless it is there. SQLite would make it for all
/// to read, with the hashes of passwords in it; its journals get the mode of the file.
fn create_private(path: &Path) {
    let mut options = std::fs::File::options();
    // Where it cannot be made, SQLite says so to the first who asks.
    let _ = options.write(true).create_new(true).mode(0o600).open(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connections_opened_after_a_break_are_used_again() {
        let breaks = Breaks {
            origin: Stopwatch::start(),
            last: AtomicU64::new(0),
        };
        let now = Duration::from_secs(60);
        let is_usable = |age| breaks.is_usable_at(now, Duration::from_secs(age));
        assert!(is_usable(60), "none broke yet");
        breaks.note_at(now);
        assert!(!is_usable(1));
        assert!(!is_usable(60));
        assert!(!is_usable(600));
        breaks.note_at(Duration::from_secs(30));
        assert!(is_usable(20));
        assert!(!is_usable(40));
    }
}
