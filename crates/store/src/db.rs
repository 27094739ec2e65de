//! The pools and the one way a statement reaches a database.
//!
//! A repository writes SQL once, with `?` for values and ANSI quotes for names, and runs it
//! through [`Conn`], which is either the pool or the open transaction.

use std::borrow::Cow;
use std::collections::HashSet;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Executor as _, MySql, Postgres, Sqlite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::address::Address;
use crate::dialect::Dialect;
use crate::error::StoreError;
use crate::facts::{FactSettings, Facts, announce};
use crate::filter::placeholders;
use crate::topic::Topics;
use crate::value::{FromRow, Row, Value, is_beyond, without};

/// How to use a database.
#[derive(Clone, Debug)]
pub struct Options {
    /// `[database] connection`, as SQLAlchemy writes it.
    pub connection: String,
    /// The most connections that are open at a time.
    pub max_connections: u32,
    /// How long a statement, or to open a connection, may take.
    pub timeout: Duration,
    /// How long the wait for a free connection may take.
    pub patience: Duration,
    /// How facts are kept in memory.
    pub facts: FactSettings,
    /// Minutes that a membership which an identity provider brought lives, when the provider says
    /// nothing of it.
    pub authorization_ttl: u32,
    /// Whether the catalog is whole where no endpoints were chosen; otherwise it is empty.
    pub whole_catalog: bool,
    /// The age at which a connection is replaced; `None` means never.
    pub lifetime: Option<Duration>,
    /// What statements on a Galera cluster wait for (`wsrep_sync_wait`); `None` leaves it to the server.
    pub wsrep_sync_wait: Option<u32>,
}

/// The connection pools of one database.
pub(crate) struct Db {
    pools: Pools,
    /// Waiting happens here and not in the pool, which opens and drops connections in a storm
    /// when many wait in it.
    permits: Arc<Semaphore>,
    /// The same as `permits`, but for SQLite, where one at a time may write.
    write_permits: Arc<Semaphore>,
    timeout: Duration,
    patience: Duration,
    statements: AtomicU64,
    /// How many wait until they may write.
    waiting: AtomicU64,
    commits: AtomicU64,
    pub(crate) facts: Facts,
    authorization_ttl: u32,
    whole_catalog: bool,
    breaks: Arc<Breaks>,
}

/// Remembers when a connection broke last. What breaks one, such as a restart of the database,
/// most often breaks all that were open then, and to find each of them broken would cost a request.
struct Breaks {
    origin: Instant,
    /// Microseconds since `origin`; 0 while none broke.
    last: AtomicU64,
}

impl Breaks {
    fn note(&self) {
        let since = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.last.store(since, Ordering::Relaxed);
    }

    /// Whether a connection of this age was opened after the last break.
    fn spare(&self, age: Duration) -> bool {
        let last = Duration::from_micros(self.last.load(Ordering::Relaxed));
        last.is_zero() || self.origin.elapsed().saturating_sub(age) > last
    }
}

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
            origin: Instant::now(),
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
                        let spare = breaks.spare(idle.age);
                        Box::pin(async move { Ok(spare) })
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
                            if let Some(events) = wsrep_sync_wait {
                                let wait = format!("SET SESSION wsrep_sync_wait = {events}");
                                connection.execute(AssertSqlSafe(wait)).await?;
                            }
                            Ok(())
                        })
                    })
                    .connect_lazy_with(address),
            ),
            Address::Postgres(address) => Pools::Postgres(pool!(max).connect_lazy_with(address)),
            Address::Sqlite(address) => {
                create_private(address.get_filename());
                Pools::Sqlite {
                    readers: pool!(max).connect_lazy_with(address.clone()),
                    writer: pool!(1).connect_lazy_with(address),
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
            patience: options.patience,
            statements: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            facts: Facts::new(options.facts),
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

    /// A connection for reading, or for one transaction that writes.
    pub(crate) async fn acquire(self: &Arc<Self>, write: bool) -> Result<Session, StoreError> {
        // Both waits together, so that a crowd before a database that hangs is answered in time.
        let (began, whole) = (tokio::time::Instant::now(), self.timeout.max(self.patience));
        let permits = if write {
            &self.write_permits
        } else {
            &self.permits
        };
        let permit = {
            let _waiting = write.then(|| Waiting::begin(&self.waiting));
            let permit = Arc::clone(permits).acquire_owned();
            tokio::time::timeout(self.patience, permit).await
        };
        let Ok(permit) = permit else {
            return Err(StoreError::TimedOut(self.patience));
        };
        let permit = permit.map_err(|_| StoreError::Unavailable("shutting down".into()))?;
        let open = async {
            let connection = match &self.pools {
                Pools::MariaDb(pool) => Connection::MariaDb(pool.acquire().await?),
                Pools::Postgres(pool) => Connection::Postgres(pool.acquire().await?),
                Pools::Sqlite { writer, .. } if write => {
                    Connection::Sqlite(writer.acquire().await?)
                }
                Pools::Sqlite { readers, .. } => Connection::Sqlite(readers.acquire().await?),
            };
            Ok(Session {
                connection: Some(connection),
                asking: false,
                db: Arc::clone(self),
                _permit: permit,
            })
        };
        let timed_out = |_| Err(StoreError::TimedOut(whole));
        tokio::time::timeout_at(began + whole, open)
            .await
            .unwrap_or_else(timed_out)
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

/// Makes an SQLite file that only its owner reads, unless it is there. SQLite would make it for all
/// to read, with the hashes of passwords in it; its journals get the mode of the file.
fn create_private(path: &Path) {
    let mut options = std::fs::File::options();
    // Where it cannot be made, SQLite says so to the first who asks.
    let _ = options.write(true).create_new(true).mode(0o600).open(path);
}

enum Connection {
    MariaDb(PoolConnection<MySql>),
    Postgres(PoolConnection<Postgres>),
    Sqlite(PoolConnection<Sqlite>),
}

/// One connection in use. It goes back to the pool when dropped, unless it broke or a statement was
/// given up.
pub(crate) struct Session {
    /// `None` once the connection broke and was thrown away.
    connection: Option<Connection>,
    /// Whether a statement was sent whose answer is not there yet.
    asking: bool,
    db: Arc<Db>,
    _permit: OwnedSemaphorePermit,
}

/// Binds the values to a statement and fetches all its rows.
macro_rules! fetch {
    ($connection:expr, $sql:expr, $values:expr, $row:ident, $time:expr, $date:expr) => {{
        let mut query = sqlx::query(AssertSqlSafe($sql));
        for value in $values {
            query = match value {
                Value::Bool(value) => query.bind(*value),
                Value::Date(value) => query.bind(value.map($date)),
                Value::Int(value) => query.bind(*value),
                Value::Text(value) => query.bind(value.as_deref()),
                Value::Time(value) => query.bind(value.map($time)),
            };
        }
        query
            .fetch_all(&mut **$connection)
            .await
            .map(|rows| rows.into_iter().map(Row::$row).collect())
    }};
}

/// The same without rows; gives the number of rows touched.
macro_rules! execute {
    ($connection:expr, $sql:expr, $values:expr, $time:expr, $date:expr) => {{
        let mut query = sqlx::query(AssertSqlSafe($sql));
        for value in $values {
            query = match value {
                Value::Bool(value) => query.bind(*value),
                Value::Date(value) => query.bind(value.map($date)),
                Value::Int(value) => query.bind(*value),
                Value::Text(value) => query.bind(value.as_deref()),
                Value::Time(value) => query.bind(value.map($time)),
            };
        }
        query
            .execute(&mut **$connection)
            .await
            .map(|done| done.rows_affected())
    }};
}

impl Session {
    /// Runs a statement that gives rows. A text that no column can hold equals nothing.
    async fn fetch(
        &mut self,
        sql: Cow<'static, str>,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        refuse_too_many(values)?;
        if let Some(without) = self.without_lacking(values) {
            return self.send_fetch(sql, &without).await;
        }
        match self.send_fetch(sql.clone(), values).await {
            Err(StoreError::Uncomparable(reason)) => match self.without_doubtful(values) {
                Some(without) => self.send_fetch(sql, &without).await,
                None => Err(StoreError::Uncomparable(reason)),
            },
            outcome => outcome,
        }
    }

    /// Runs a statement that gives no rows. A text that no column can hold equals nothing, and
    /// cannot be written.
    async fn execute(
        &mut self,
        sql: Cow<'static, str>,
        values: &[Value],
    ) -> Result<u64, StoreError> {
        refuse_too_many(values)?;
        let removes = sql.starts_with("DELETE ");
        if let Some(without) = self.without_lacking(values) {
            return match removes {
                true => self.send_execute(sql, &without).await,
                false => Err(StoreError::Unstorable("a text holds NUL".into())),
            };
        }
        match self.send_execute(sql.clone(), values).await {
            Err(StoreError::Uncomparable(reason)) => match self.without_doubtful(values) {
                Some(without) if removes => self.send_execute(sql, &without).await,
                _ => Err(StoreError::Unstorable(reason)),
            },
            outcome => outcome,
        }
    }

    /// The values without those that the database cannot hold; `None` when it can hold all.
    fn without_lacking(&self, values: &[Value]) -> Option<Vec<Value>> {
        let unsupported = self.db.dialect().unsupported_char()?;
        let lacking = values.iter().any(|value| is_beyond(value, unsupported));
        lacking.then(|| without(values, unsupported))
    }

    /// The values without those that the database may be unable to compare.
    fn without_doubtful(&self, values: &[Value]) -> Option<Vec<Value>> {
        let maybe_unsupported = self.db.dialect().maybe_unsupported_char()?;
        Some(without(values, maybe_unsupported))
    }

    async fn send_fetch(
        &mut self,
        sql: Cow<'static, str>,
        values: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        let db = Arc::clone(&self.db);
        let work = async {
            match self.connection()? {
                Connection::MariaDb(connection) => {
                    fetch!(
                        connection,
                        sql,
                        values,
                        MySql,
                        |time| time.naive_utc(),
                        |date| date
                    )
                }
                Connection::Postgres(connection) => {
                    fetch!(
                        connection,
                        sql,
                        values,
                        Postgres,
                        |time| time.naive_utc(),
                        |date| date
                    )
                }
                Connection::Sqlite(connection) => {
                    fetch!(
                        connection,
                        sql,
                        values,
                        Sqlite,
                        Value::sqlite_time,
                        |date| date
                    )
                }
            }
            .map_err(Failure::from)
        };
        let outcome = tokio::time::timeout(db.timeout, work).await;
        self.settle(outcome)
    }

    async fn send_execute(
        &mut self,
        sql: Cow<'static, str>,
        values: &[Value],
    ) -> Result<u64, StoreError> {
        let db = Arc::clone(&self.db);
        let work = async {
            match self.connection()? {
                Connection::MariaDb(connection) => {
                    execute!(connection, sql, values, |time| time.naive_utc(), |date| {
                        date
                    })
                }
                Connection::Postgres(connection) => {
                    execute!(connection, sql, values, |time| time.naive_utc(), |date| {
                        date
                    })
                }
                Connection::Sqlite(connection) => {
                    execute!(connection, sql, values, Value::sqlite_time, |date| date)
                }
            }
            .map_err(Failure::from)
        };
        let outcome = tokio::time::timeout(db.timeout, work).await;
        self.settle(outcome)
    }

    /// Runs statements as they stand, without values; several may stand in one text.
    pub(crate) async fn batch(&mut self, sql: &'static str) -> Result<(), StoreError> {
        let db = Arc::clone(&self.db);
        let work = async {
            match self.connection()? {
                Connection::MariaDb(connection) => connection.execute(sql).await.map(drop),
                Connection::Postgres(connection) => connection.execute(sql).await.map(drop),
                Connection::Sqlite(connection) => connection.execute(sql).await.map(drop),
            }
            .map_err(Failure::from)
        };
        let outcome = tokio::time::timeout(db.timeout, work).await;
        self.settle(outcome)
    }

    /// Runs one statement that was put together, without values.
    pub(crate) async fn statement(&mut self, sql: String) -> Result<(), StoreError> {
        self.execute(Cow::Owned(sql), &[]).await.map(drop)
    }

    fn connection(&mut self) -> Result<&mut Connection, Failure> {
        self.db.statements.fetch_add(1, Ordering::Relaxed);
        self.asking = true;
        self.connection.as_mut().ok_or(Failure {
            breaks: true,
            error: lost(),
        })
    }

    /// Throws a connection away that broke or did not answer: its protocol state is unknown.
    fn settle<T>(
        &mut self,
        outcome: Result<Result<T, Failure>, tokio::time::error::Elapsed>,
    ) -> Result<T, StoreError> {
        self.asking = false;
        let failure = match outcome {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(failure)) => failure,
            Err(_) => Failure {
                breaks: true,
                error: StoreError::TimedOut(self.db.timeout),
            },
        };
        if failure.breaks {
            self.db.breaks.note();
            self.discard();
        }
        Err(failure.error)
    }

    /// Whether a statement was given up, by a client that left or a request that took too long, so
    /// that an answer is on its way that nobody waits for. SQLite has no way for it to be on.
    fn is_astray(&self) -> bool {
        self.asking && self.db.dialect() != Dialect::Sqlite
    }

    /// Closes the socket at once instead of asking a server that may hang.
    fn discard(&mut self) {
        match self.connection.take() {
            Some(Connection::MariaDb(connection)) => drop(connection.detach()),
            Some(Connection::Postgres(connection)) => drop(connection.detach()),
            Some(Connection::Sqlite(connection)) => drop(connection.detach()),
            None => {}
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The driver would read the rest of the answer first, but may take one part of it for
        // another: then it waits for what never comes, and the pool is short of a connection.
        if self.is_astray() {
            self.discard();
        }
    }
}

/// How many values a statement may have: SQLite takes no more, the others twice as many.
const MOST_VALUES: usize = 32_766;

fn refuse_too_many(values: &[Value]) -> Result<(), StoreError> {
    match values.len() {
        0..=MOST_VALUES => Ok(()),
        many => Err(StoreError::Unstorable(format!(
            "{many} values in one statement"
        ))),
    }
}

/// An error, and whether the connection survived it.
struct Failure {
    breaks: bool,
    error: StoreError,
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self {
            breaks: StoreError::breaks_connection(&error),
            error: error.into(),
        }
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable("the connection was lost".into())
}

/// An open transaction. Dropping it rolls back.
pub struct Tx {
    /// `None` once committed.
    session: Option<Session>,
    /// What its statements have changed so far.
    changed: Topics,
}

/// Proof that a transaction was committed: what a writing reply asks for.
#[derive(Debug)]
#[must_use = "a reply that writes asks for this proof"]
pub struct Saved(());

impl Tx {
    pub(crate) async fn begin(db: &Arc<Db>) -> Result<Self, StoreError> {
        let begin = db.dialect().begin();
        let mut session = db.acquire(true).await?;
        match session.batch(begin).await {
            // The server may have closed an idle connection long ago: that says nothing about a
            // new one.
            Err(StoreError::Unavailable(_)) => {
                drop(session);
                session = db.acquire(true).await?;
                session.batch(begin).await?;
            }
            outcome => outcome?,
        }
        Ok(Self {
            session: Some(session),
            changed: Topics::NONE,
        })
    }

    /// Makes everything durable that this transaction did.
    ///
    /// # Errors
    ///
    /// When the database refuses or does not answer: then it is unknown whether the work was
    /// done, as with any commit.
    pub async fn commit(mut self) -> Result<Saved, StoreError> {
        let changed = self.changed;
        announce(&mut Conn::Tx(&mut self), changed).await?;
        if let Some(mut session) = self.session.take() {
            // On a task of its own: a request may be given up, but not between what the database
            // does and what is kept in memory.
            let commit = tokio::spawn(async move {
                let committed = session.batch("COMMIT").await;
                // Whatever became of it: it may be there now.
                session.db.facts.changed(changed);
                session.db.commits.fetch_add(1, Ordering::SeqCst);
                if committed.is_err() {
                    session.discard();
                }
                committed
            });
            commit.await.unwrap_or_else(|_| Err(lost()))?;
        }
        Ok(Saved(()))
    }

    /// Runs statements as they stand, without values; several may stand in one text.
    pub(crate) async fn batch(&mut self, sql: &'static str) -> Result<(), StoreError> {
        self.session().batch(sql).await
    }

    fn dialect(&self) -> Dialect {
        self.db().dialect()
    }

    fn db(&self) -> &Db {
        let session = self.session.as_ref();
        &session.expect("only commit takes the session").db
    }

    fn session(&mut self) -> &mut Session {
        self.session
            .as_mut()
            .expect("only commit takes the session, and it consumes the Tx")
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        let Some(mut session) = self.session.take() else {
            return;
        };
        match tokio::runtime::Handle::try_current() {
            // Its connection is closed, which rolls back as well.
            Ok(_) if session.is_astray() => drop(session),
            Ok(runtime) => {
                runtime.spawn(async move {
                    if session.batch("ROLLBACK").await.is_err() {
                        session.discard();
                    }
                });
            }
            // Without a runtime the socket is closed, which rolls back as well.
            Err(_) => session.discard(),
        }
    }
}

/// Where a repository sends its statements: the pool, or the open transaction.
pub(crate) enum Conn<'a> {
    Pool(&'a Arc<Db>),
    Tx(&'a mut Tx),
}

impl<'a> Conn<'a> {
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Pool(db) => db.dialect(),
            Self::Tx(tx) => tx.dialect(),
        }
    }

    /// Minutes that a membership lives whose identity provider says nothing of it.
    pub(crate) fn authorization_ttl(&self) -> u32 {
        match self {
            Self::Pool(db) => db.authorization_ttl,
            Self::Tx(tx) => tx.db().authorization_ttl,
        }
    }

    /// Whether the catalog is whole where no endpoints were chosen.
    pub(crate) fn whole_catalog(&self) -> bool {
        match self {
            Self::Pool(db) => db.whole_catalog,
            Self::Tx(tx) => tx.db().whole_catalog,
        }
    }

    /// The same for a shorter time, for a repository that uses another.
    pub(crate) fn reborrow(&mut self) -> Conn<'_> {
        match self {
            Self::Pool(db) => Conn::Pool(db),
            Self::Tx(tx) => Conn::Tx(tx),
        }
    }

    /// Keeps others from changing a row until the transaction ends; whether there is one. To be
    /// asked before anything is read of it: what is read then is what was committed last.
    pub(crate) async fn lock(&mut self, table: &'static str, id: &str) -> Result<bool, StoreError> {
        // SQLite is asked too, so that a change costs the same everywhere.
        let how = self.dialect().for_update();
        let sql = format!("SELECT id FROM {table} WHERE id = ?{how}");
        Ok(!self.built_query(sql).bind(id).rows().await?.is_empty())
    }

    /// Keeps others from changing some rows until the transaction ends; `which` selects them, and
    /// may have a place for a value.
    pub(crate) async fn lock_all(
        &mut self,
        table: &'static str,
        which: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<(), StoreError> {
        let how = self.dialect().for_update();
        let sql = format!("SELECT id FROM {table} WHERE {which} ORDER BY id{how}");
        self.built_query(sql)
            .bind_all(values)
            .rows()
            .await
            .map(drop)
    }

    /// Makes sure, until the transaction ends, that there is a row which a new one names: anyone
    /// who removes it waits, locks it first ([`Conn::lock`]), and takes along what names it.
    pub(crate) async fn require(
        &mut self,
        table: &'static str,
        id: &str,
        kind: &'static str,
    ) -> Result<(), StoreError> {
        let how = self.dialect().for_share();
        let sql = format!("SELECT id FROM {table} WHERE id = ?{how}");
        match self.built_query(sql).bind(id).rows().await?.is_empty() {
            true => Err(StoreError::missing(kind, id)),
            false => Ok(()),
        }
    }

    /// The same for several rows, in one statement.
    pub(crate) async fn require_all(
        &mut self,
        table: &'static str,
        ids: Vec<&str>,
        kind: &'static str,
    ) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let (marks, how) = (placeholders(ids.len()), self.dialect().for_share());
        let sql = format!("SELECT id FROM {table} WHERE id IN ({marks}) ORDER BY id{how}");
        let query = self.built_query(sql).bind_all(ids.iter().copied());
        let rows = query.rows().await?;
        let found = rows.iter().map(|row| row.text("id"));
        let found = found.collect::<Result<HashSet<_>, _>>()?;
        match ids.iter().find(|id| !found.contains(**id)) {
            Some(id) => Err(StoreError::missing(kind, id)),
            None => Ok(()),
        }
    }

    /// The same for what is about to be removed, or must not be used by two at once: nobody else
    /// changes it, or names it in a new row, until the transaction ends.
    pub(crate) async fn require_for_update(
        &mut self,
        table: &'static str,
        id: &str,
        kind: &'static str,
    ) -> Result<(), StoreError> {
        match self.lock(table, id).await? {
            true => Ok(()),
            false => Err(StoreError::missing(kind, id)),
        }
    }

    /// Starts a statement.
    pub(crate) fn query(&mut self, sql: &'static str) -> Query<'_, 'a> {
        let sql = self.dialect().placeholders(sql);
        Query {
            conn: self,
            sql,
            values: Vec::new(),
            quiet: false,
        }
    }

    /// Starts a statement that was put together: only ever from our own pieces, never from input.
    pub(crate) fn built_query(&mut self, sql: String) -> Query<'_, 'a> {
        let sql = self.dialect().placeholders_owned(sql);
        Query {
            conn: self,
            sql,
            values: Vec::new(),
            quiet: false,
        }
    }
}

/// A statement and its values.
#[must_use = "a query does nothing until it runs"]
pub(crate) struct Query<'c, 'a> {
    conn: &'c mut Conn<'a>,
    sql: Cow<'static, str>,
    values: Vec<Value>,
    quiet: bool,
}

impl Query<'_, '_> {
    /// Binds the next `?`.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Binds the next placeholders in order.
    pub(crate) fn bind_all<V: Into<Value>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        self.values.extend(values.into_iter().map(Into::into));
        self
    }

    /// Promises that the statement changes nothing that is kept in memory, whatever its table.
    pub(crate) fn quietly(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// All rows.
    pub(crate) async fn all<T: FromRow>(self) -> Result<Vec<T>, StoreError> {
        self.rows().await?.iter().map(T::from_row).collect()
    }

    /// The only row, or `None`.
    pub(crate) async fn optional<T: FromRow>(self) -> Result<Option<T>, StoreError> {
        self.rows().await?.first().map(T::from_row).transpose()
    }

    /// All rows, unread.
    pub(crate) async fn rows(self) -> Result<Vec<Row>, StoreError> {
        match self.conn {
            Conn::Tx(tx) => tx.session().fetch(self.sql, &self.values).await,
            Conn::Pool(db) => {
                let mut session = db.acquire(false).await?;
                match session.fetch(self.sql.clone(), &self.values).await {
                    // An idle connection that the server closed: reading may be repeated safely.
                    Err(StoreError::Unavailable(_)) => {
                        drop(session);
                        db.acquire(false).await?.fetch(self.sql, &self.values).await
                    }
                    outcome => outcome,
                }
            }
        }
    }

    /// Runs a statement that gives no rows; returns how many rows it touched.
    pub(crate) async fn execute(self) -> Result<u64, StoreError> {
        let changes = if self.quiet {
            Topics::NONE
        } else {
            Topics::of(&self.sql)
        };
        match self.conn {
            Conn::Tx(tx) => {
                tx.changed |= changes;
                tx.session().execute(self.sql, &self.values).await
            }
            Conn::Pool(db) => {
                debug_assert_eq!(
                    changes,
                    Topics::NONE,
                    "what others must learn of is written in a transaction: {}",
                    self.sql
                );
                db.acquire(true)
                    .await?
                    .execute(self.sql, &self.values)
                    .await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_opened_after_a_break_is_spared() {
        let breaks = Breaks {
            origin: Instant::now() - Duration::from_secs(60),
            last: AtomicU64::new(0),
        };
        assert!(breaks.spare(Duration::from_secs(60)), "none broke yet");
        breaks.note();
        assert!(!breaks.spare(Duration::from_secs(1)));
        assert!(!breaks.spare(Duration::from_secs(60)));
        assert!(!breaks.spare(Duration::from_secs(600)));
        breaks.last.store(30_000_000, Ordering::Relaxed);
        assert!(breaks.spare(Duration::from_secs(20)));
        assert!(!breaks.spare(Duration::from_secs(40)));
    }
}
