//! A connection in use, and the one way a statement reaches a database.

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Executor as _, MySql, Postgres, Sqlite};
use tracing::Instrument as _;

use super::pool::{Db, Permit};
use crate::dialect::Dialect;
use crate::error::StoreError;
use crate::value::{Row, Value, is_beyond, without};

/// A statement and its values.
pub(crate) struct Statement {
    sql: Cow<'static, str>,
    values: Vec<Value>,
    is_counted: bool,
    /// Who sends it.
    #[cfg(debug_assertions)]
    site: &'static std::panic::Location<'static>,
}

impl Statement {
    #[track_caller]
    pub(super) fn new(sql: Cow<'static, str>) -> Self {
        Self {
            sql,
            values: Vec::new(),
            is_counted: true,
            #[cfg(debug_assertions)]
            site: std::panic::Location::caller(),
        }
    }

    pub(super) fn sql(&self) -> &str {
        &self.sql
    }
}

/// A statement on its way to the pool or the transaction that runs it.
#[must_use = "a statement does nothing until it runs"]
pub(crate) struct Prepared<To> {
    pub(super) to: To,
    pub(super) statement: Statement,
}

impl<To> Prepared<To> {
    /// Binds the next `?`.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.statement.values.push(value.into());
        self
    }

    /// Binds the next placeholders in order.
    pub(crate) fn bind_all<V: Into<Value>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        let values = values.into_iter().map(Into::into);
        self.statement.values.extend(values);
        self
    }

    /// Leaves the statement out of [`crate::Store::statements`]: no request is the cause of it.
    pub(crate) fn uncounted(mut self) -> Self {
        self.statement.is_counted = false;
        self
    }
}

pub(super) enum Connection {
    MariaDb(PoolConnection<MySql>),
    Postgres(PoolConnection<Postgres>),
    Sqlite(PoolConnection<Sqlite>),
}

/// One connection in use. It goes back to the pool when dropped, once what it has not committed is
/// rolled back.
///
/// While it waits for the database, it belongs to a task that a request which is given up does not end
/// ([`on_task`]): so no answer is ever on its way that nobody reads.
pub(crate) struct Session {
    /// `None` once the connection broke and was thrown away.
    connection: Option<Connection>,
    /// Whether a transaction may be open.
    in_transaction: bool,
    db: Arc<Db>,
    /// `None` only while it is dropped.
    permit: Option<Permit>,
}

/// Does work on a separate task, which goes on when the caller is dropped: a client that leaves
/// costs no connection, and no statement ends half-way.
///
/// # Errors
///
/// [`StoreError::Unavailable`] when the process is shutting down, or the work panics.
pub(crate) fn on_task<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = Result<T, StoreError>> {
    // Without its type, which would be part of that of every request that waits for a database.
    let work: Pin<Box<dyn Future<Output = T> + Send>> = Box::pin(work);
    async move {
        tokio::spawn(work.in_current_span())
            .await
            .map_err(|_| lost())
    }
}

pub(super) fn lost() -> StoreError {
    StoreError::Unavailable("the connection was lost".into())
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

/// Binds the values to a statement.
macro_rules! bound {
    ($statement:expr, $values:expr, $time:expr) => {{
        let mut query = sqlx::query(AssertSqlSafe($statement.sql.clone()));
        for value in $values {
            query = match value {
                Value::Bool(value) => query.bind(*value),
                Value::Date(value) => query.bind(*value),
                Value::Int(value) => query.bind(*value),
                Value::Text(value) => query.bind(value.as_deref()),
                Value::Time(value) => query.bind(value.map($time)),
            };
        }
        query
    }};
}

/// What becomes of each row of a result.
pub(crate) type Each<S> = fn(&mut S, Row) -> Result<(), StoreError>;

/// Does work with a session's connection within the time that a statement may take.
macro_rules! send {
    ($session:expr, $connection:ident => $work:expr) => {
        send!($session, $session.db.timeout(), $connection => $work)
    };
    ($session:expr, $timeout:expr, $connection:ident => $work:expr) => {{
        let timeout = $timeout;
        let work = async {
            let $connection = $session.connection()?;
            $work.map_err(Failure::from)
        };
        let outcome = tokio::time::timeout(timeout, work).await;
        $session.settle(outcome, timeout)
    }};
}

impl Session {
    /// Opens a connection, or takes an idle one.
    pub(super) async fn open(db: Arc<Db>, permit: Permit) -> Result<Self, StoreError> {
        Ok(Self {
            connection: Some(db.open(&permit).await?),
            in_transaction: false,
            db,
            permit: Some(permit),
        })
    }

    /// Takes another connection in place of one that broke. An idle connection may have been closed
    /// by the server long ago, which says nothing about a new one.
    pub(super) async fn reopen(&mut self) -> Result<(), StoreError> {
        self.discard();
        self.in_transaction = false;
        let permit = self.permit.as_mut().ok_or_else(lost)?;
        permit.extend(self.db.timeout());
        self.connection = Some(self.db.open(permit).await?);
        Ok(())
    }

    /// Runs one statement outside of a transaction, as some of a server's administrator must be.
    pub(crate) async fn run_alone(db: &Arc<Db>, sql: String) -> Result<(), StoreError> {
        let statement = Statement::new(sql.into());
        let mut session = Self::open(Arc::clone(db), db.permit(true).await?).await?;
        session.execute(&statement).await.map(drop)
    }

    /// Opens a transaction that will write.
    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        let begin = self.db.dialect().begin();
        self.in_transaction = true;
        match self.batch(begin).await {
            Err(StoreError::Unavailable(_)) => {
                self.reopen().await?;
                self.in_transaction = true;
                self.batch(begin).await
            }
            outcome => outcome,
        }
    }

    /// Makes everything durable that the transaction did.
    pub(super) async fn commit(&mut self) -> Result<(), StoreError> {
        self.batch("COMMIT").await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Runs a statement that gives rows, and makes something of each as it comes. A text that no
    /// column can hold equals nothing.
    pub(super) async fn fetch<S: Default>(
        &mut self,
        statement: &Statement,
        each: Each<S>,
    ) -> Result<S, StoreError> {
        let values = &statement.values;
        refuse_too_many(values)?;
        if let Some(without) = self.without_unsupported(values) {
            return self.send_fetch(statement, &without, each).await;
        }
        match self.send_fetch(statement, values, each).await {
            Err(StoreError::Uncomparable(reason)) => match self.without_maybe_unsupported(values) {
                Some(without) => self.send_fetch(statement, &without, each).await,
                None => Err(StoreError::Uncomparable(reason)),
            },
            outcome => outcome,
        }
    }

    /// Runs a statement that gives no rows; returns how many it touched. A text that no column can
    /// hold equals nothing, and cannot be written.
    pub(super) async fn execute(&mut self, statement: &Statement) -> Result<u64, StoreError> {
        let values = &statement.values;
        refuse_too_many(values)?;
        let removes = statement.sql.starts_with("DELETE ");
        if let Some(without) = self.without_unsupported(values) {
            return match removes {
                true => self.send_execute(statement, &without).await,
                false => Err(StoreError::Unstorable("a text holds NUL".into())),
            };
        }
        match self.send_execute(statement, values).await {
            Err(StoreError::Uncomparable(reason)) => match self.without_maybe_unsupported(values) {
                Some(without) if removes => self.send_execute(statement, &without).await,
                _ => Err(StoreError::Unstorable(reason)),
            },
            outcome => outcome,
        }
    }

    /// Runs statements as they stand, without values; several may stand in one text.
    pub(super) async fn batch(&mut self, sql: &'static str) -> Result<(), StoreError> {
        self.batch_within(self.db.timeout(), sql).await
    }

    /// The same with another time limit.
    pub(super) async fn batch_within(
        &mut self,
        timeout: Duration,
        sql: &'static str,
    ) -> Result<(), StoreError> {
        self.db.count_statement();
        send!(self, timeout, connection => match connection {
            Connection::MariaDb(it) => it.execute(sql).await.map(drop),
            Connection::Postgres(it) => it.execute(sql).await.map(drop),
            Connection::Sqlite(it) => it.execute(sql).await.map(drop),
        })
    }

    /// The values without those that the database cannot hold; `None` when it can hold all.
    fn without_unsupported(&self, values: &[Value]) -> Option<Vec<Value>> {
        let unsupported = self.db.dialect().unsupported_char()?;
        let lacking = values.iter().any(|value| is_beyond(value, unsupported));
        lacking.then(|| without(values, unsupported))
    }

    /// The values without those that the database may be unable to compare.
    fn without_maybe_unsupported(&self, values: &[Value]) -> Option<Vec<Value>> {
        let maybe_unsupported = self.db.dialect().maybe_unsupported_char()?;
        Some(without(values, maybe_unsupported))
    }

    async fn send_fetch<S: Default>(
        &mut self,
        statement: &Statement,
        values: &[Value],
        each: Each<S>,
    ) -> Result<S, StoreError> {
        macro_rules! fetch {
            ($connection:expr, $row:ident, $time:expr) => {{
                let mut rows = bound!(statement, values, $time).fetch(&mut **$connection);
                let mut made = Ok(S::default());
                // To the end, also behind a row that cannot be read: no answer is left on its way.
                loop {
                    match poll_fn(|context| rows.as_mut().poll_next(context)).await {
                        Some(Ok(row)) => {
                            if let Ok(state) = &mut made
                                && let Err(error) = each(state, Row::$row(row))
                            {
                                made = Err(error);
                            }
                        }
                        Some(Err(error)) => break Err(error),
                        None => break Ok(made),
                    }
                }
            }};
        }
        self.count(statement);
        let made = send!(self, connection => match connection {
            Connection::MariaDb(it) => fetch!(it, MySql, |time| time.naive_utc()),
            Connection::Postgres(it) => fetch!(it, Postgres, |time| time.naive_utc()),
            Connection::Sqlite(it) => fetch!(it, Sqlite, Value::sqlite_time),
        });
        made?
    }

    async fn send_execute(
        &mut self,
        statement: &Statement,
        values: &[Value],
    ) -> Result<u64, StoreError> {
        macro_rules! execute {
            ($connection:expr, $time:expr) => {
                bound!(statement, values, $time)
                    .execute(&mut **$connection)
                    .await
                    .map(|done| done.rows_affected())
            };
        }
        self.count(statement);
        send!(self, connection => match connection {
            Connection::MariaDb(it) => execute!(it, |time| time.naive_utc()),
            Connection::Postgres(it) => execute!(it, |time| time.naive_utc()),
            Connection::Sqlite(it) => execute!(it, Value::sqlite_time),
        })
    }

    fn count(&self, statement: &Statement) {
        #[cfg(debug_assertions)]
        super::notes::note(
            self.db.dialect(),
            statement.site,
            &statement.sql,
            &statement.values,
        );
        if statement.is_counted {
            self.db.count_statement();
        }
    }

    fn connection(&mut self) -> Result<&mut Connection, Failure> {
        self.connection.as_mut().ok_or(Failure {
            breaks: false,
            error: lost(),
        })
    }

    /// Throws a connection away that broke or did not answer: its protocol state is unknown. One that
    /// broke marks those that were open then as suspect; one statement that takes too long does not.
    fn settle<T>(
        &mut self,
        outcome: Result<Result<T, Failure>, tokio::time::error::Elapsed>,
        timeout: Duration,
    ) -> Result<T, StoreError> {
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(failure)) => {
                if failure.breaks {
                    self.db.note_break();
                    self.discard();
                }
                Err(failure.error)
            }
            Err(_) => {
                self.discard();
                Err(StoreError::TimedOut(timeout))
            }
        }
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
        if !self.in_transaction || self.connection.is_none() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            // To close the socket rolls back as well.
            return self.discard();
        };
        let mut session = Self {
            connection: self.connection.take(),
            in_transaction: false,
            db: Arc::clone(&self.db),
            permit: self.permit.take(),
        };
        runtime.spawn(async move {
            let rolled_back = session.batch("ROLLBACK").await;
            // SQLite says so when it has rolled back by itself; with the others nobody knows what is
            // open.
            if rolled_back.is_err() && session.db.dialect() != Dialect::Sqlite {
                session.discard();
            }
        });
    }
}

/// Asks what a database would do about a statement, once the session is set up for the question.
pub(crate) async fn explain(
    db: &Arc<Db>,
    set_up: &'static str,
    sql: String,
    values: &[Value],
) -> Result<Vec<Row>, StoreError> {
    let mut statement = Statement::new(sql.into());
    statement.values.extend_from_slice(values);
    let mut session = Session::open(Arc::clone(db), db.permit(true).await?).await?;
    if !set_up.is_empty() {
        session.batch(set_up).await?;
    }
    session.fetch(&statement, keep).await
}

/// Keeps a row as it is.
pub(super) fn keep(rows: &mut Vec<Row>, row: Row) -> Result<(), StoreError> {
    rows.push(row);
    Ok(())
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::Store;
    use crate::scratch;

    async fn number(session: &mut Session, sql: &'static str) -> Result<i64, StoreError> {
        let statement = Statement::new(sql.into());
        let rows = session.fetch(&statement, keep).await?;
        rows[0].int("number")
    }

    pub(crate) async fn session(store: &Store, write: bool) -> Session {
        let permit = store.db.permit(write).await.unwrap();
        Session::open(Arc::clone(&store.db), permit).await.unwrap()
    }

    /// What tells a connection from others: for SQLite a setting that a test has made.
    pub(crate) async fn identity(session: &mut Session) -> i64 {
        let sql = match session.db.dialect() {
            Dialect::MariaDb => "SELECT CAST(CONNECTION_ID() AS SIGNED) AS number",
            Dialect::Postgres => "SELECT CAST(pg_backend_pid() AS BIGINT) AS number",
            Dialect::Sqlite => "SELECT cache_size AS number FROM pragma_cache_size",
        };
        number(session, sql).await.unwrap()
    }

    pub(crate) async fn mark(session: &mut Session) {
        if session.db.dialect() == Dialect::Sqlite {
            session.batch("PRAGMA cache_size = 4242").await.unwrap();
        }
    }

    /// `.cargo/config.toml` says how, and whatever does not read it builds another SQLite.
    #[tokio::test]
    async fn sqlite_is_built_without_what_all_connections_would_wait_for() {
        let folder = tempfile::tempdir().unwrap();
        let store = scratch::store(&folder).await;
        if store.dialect() != Dialect::Sqlite {
            return;
        }
        let mut session = session(&store, false).await;
        let sql = "SELECT \
             sqlite_compileoption_used('DEFAULT_MEMSTATUS=0') * 2 + \
             sqlite_compileoption_used('ENABLE_MEMORY_MANAGEMENT') AS number";
        assert_eq!(number(&mut session, sql).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_statement_that_takes_too_long_costs_its_own_connection_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store =
            scratch::store_with(&folder, |options| options.timeout = Duration::from_secs(2)).await;
        let mut slow = session(&store, false).await;
        let mut idle = session(&store, false).await;
        mark(&mut idle).await;
        let kept = identity(&mut idle).await;
        drop(idle);
        let sql = match store.dialect() {
            Dialect::MariaDb => "SELECT SLEEP(5) AS number",
            Dialect::Postgres => "SELECT CAST(COUNT(pg_sleep(5)) AS BIGINT) AS number",
            Dialect::Sqlite => {
                "WITH RECURSIVE up (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM up \
                 WHERE n < 100000000) SELECT COUNT(*) AS number FROM up"
            }
        };
        let outcome = number(&mut slow, sql).await;
        assert!(
            matches!(outcome, Err(StoreError::TimedOut(_))),
            "{outcome:?}"
        );
        // It is not used again, and the other is.
        let outcome = number(&mut slow, "SELECT 1 AS number").await;
        assert!(
            matches!(outcome, Err(StoreError::Unavailable(_))),
            "{outcome:?}"
        );
        let mut next = session(&store, false).await;
        assert_eq!(identity(&mut next).await, kept);
    }

    #[tokio::test]
    async fn a_commit_that_the_database_refuses_costs_no_connection() {
        let folder = tempfile::tempdir().unwrap();
        let store = scratch::store_with(&folder, |options| options.max_connections = 1).await;
        if store.dialect() == Dialect::MariaDb {
            // It judges constraints at once, so that no commit of a single server fails.
            return;
        }
        let mut first = session(&store, true).await;
        mark(&mut first).await;
        let kept = identity(&mut first).await;
        first.begin().await.unwrap();
        first
            .batch(
                "CREATE TABLE later (id INT PRIMARY KEY, other INT REFERENCES later (id) \
                 DEFERRABLE INITIALLY DEFERRED); INSERT INTO later VALUES (1, 2)",
            )
            .await
            .unwrap();
        let refused = first.commit().await;
        assert!(
            matches!(refused, Err(StoreError::Reference(_))),
            "{refused:?}"
        );
        drop(first);
        let mut next = session(&store, true).await;
        assert_eq!(identity(&mut next).await, kept);
        next.begin().await.unwrap();
        next.commit().await.unwrap();
    }
}
