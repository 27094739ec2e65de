//! Databases for one test, on a server that is there for tests.

use crate::db::{Db, Options, Session};
use crate::error::StoreError;

/// Creates an empty database on the server at `connection`, whose user may do that, and returns
/// how to connect to it.
///
/// # Errors
///
/// When the server does not answer or refuses. The name must be a plain word.
pub async fn create_database(options: &Options, name: &str) -> Result<String, StoreError> {
    let db = std::sync::Arc::new(Db::connect(options)?);
    let plain = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !plain || name.is_empty() {
        return Err(StoreError::Address(format!(
            "{name:?} cannot name a database"
        )));
    }
    let create = format!("CREATE DATABASE {name}");
    Session::run_alone(&db, create).await?;
    db.close().await;
    let (address, query) = match options.connection.split_once('?') {
        Some((address, query)) => (address, format!("?{query}")),
        None => (options.connection.as_str(), String::new()),
    };
    // scheme://authority/database
    let authority_end = address
        .rfind('/')
        .filter(|end| address[..*end].contains("://"));
    let server = authority_end.map_or(address, |end| &address[..end]);
    Ok(format!("{server}/{name}{query}"))
}

/// A clock that moves by hand.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct HandClock {
    /// The time of day and the time that never goes back, in milliseconds.
    times: std::sync::Mutex<(i64, u64)>,
}

#[cfg(test)]
impl HandClock {
    /// The first time of day, in seconds since the epoch.
    const ORIGIN: i64 = 1_700_000_000;

    /// Lets time pass.
    pub(crate) fn advance(&self, by: std::time::Duration) {
        let mut times = self.times.lock().unwrap();
        let millis = u64::try_from(by.as_millis()).unwrap();
        *times = (times.0 + i64::try_from(millis).unwrap(), times.1 + millis);
    }

    /// Sets the time of day.
    pub(crate) fn set(&self, now: model::Timestamp) {
        self.times.lock().unwrap().0 = now.timestamp_millis() - HandClock::ORIGIN * 1000;
    }

    /// Sets the time of day back, as somebody does whose clock was ahead.
    pub(crate) fn set_back(&self, by: std::time::Duration) {
        self.times.lock().unwrap().0 -= i64::try_from(by.as_millis()).unwrap();
    }
}

#[cfg(test)]
impl model::clock::Clock for HandClock {
    fn now(&self) -> model::Timestamp {
        let millis = self.times.lock().unwrap().0;
        model::Timestamp::from_timestamp(Self::ORIGIN, 0).unwrap()
            + chrono::TimeDelta::milliseconds(millis)
    }

    fn elapsed(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.times.lock().unwrap().1)
    }
}

/// A database of one test within this crate, with all its tables: on the server that
/// `ARCHSTONE_TEST_DATABASE` names, or an SQLite file in the folder.
#[cfg(test)]
pub(crate) async fn store(folder: &tempfile::TempDir) -> crate::Store {
    store_with(folder, crate::CacheSettings::NONE).await
}

/// The same, with a cache.
#[cfg(test)]
pub(crate) async fn store_with(
    folder: &tempfile::TempDir,
    cache: crate::CacheSettings,
) -> crate::Store {
    open(folder, cache, 2, A_MINUTE).await
}

/// The same, with so many connections at most.
#[cfg(test)]
pub(crate) async fn store_with_connections(
    folder: &tempfile::TempDir,
    max_connections: u32,
) -> crate::Store {
    open(
        folder,
        crate::CacheSettings::NONE,
        max_connections,
        A_MINUTE,
    )
    .await
}

/// The same, whose statements may take so long at most.
#[cfg(test)]
pub(crate) async fn store_in_haste(
    folder: &tempfile::TempDir,
    timeout: std::time::Duration,
) -> crate::Store {
    open(folder, crate::CacheSettings::NONE, 2, timeout).await
}

#[cfg(test)]
impl crate::Store {
    /// Another node on the same database, with a clock of its own.
    pub(crate) fn with_clock(&self, clock: HandClock) -> Self {
        let options = Options {
            clock: std::sync::Arc::new(clock),
            ..self.db.options.clone()
        };
        Self::connect(&options).unwrap()
    }
}

#[cfg(test)]
const A_MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

#[cfg(test)]
async fn open(
    folder: &tempfile::TempDir,
    cache: crate::CacheSettings,
    max_connections: u32,
    timeout: std::time::Duration,
) -> crate::Store {
    let file = folder.path().join("keystone.db");
    let mut options = Options {
        connection: format!("sqlite:///{}", file.display()),
        max_connections,
        timeout,
        acquire_timeout: A_MINUTE,
        clock: std::sync::Arc::new(model::clock::SystemClock::default()),
        cache,
        authorization_ttl: 0,
        whole_catalog: true,
        wsrep_sync_wait: None,
        lifetime: None,
    };
    if let Ok(server) = std::env::var("ARCHSTONE_TEST_DATABASE") {
        let clock = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let name = format!("store_{}_{}", std::process::id(), clock.as_nanos());
        options.connection = server;
        options.connection = create_database(&options, &name).await.unwrap();
    }
    let store = crate::Store::connect(&options).unwrap();
    store.sync_schema().await.unwrap();
    store
}

/// Runs a statement, as something does that has no words here.
///
/// # Errors
///
/// When the server does not answer or refuses.
pub async fn execute(store: &crate::Store, sql: &str) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    execute_in(&mut tx, sql).await?;
    let _saved = tx.commit().await?;
    Ok(())
}

/// Runs a statement in an open transaction.
///
/// # Errors
///
/// When the server does not answer or refuses.
pub async fn execute_in(tx: &mut crate::Tx, sql: &str) -> Result<(), StoreError> {
    tx.anything(sql.into()).execute().await.map(drop)
}

/// What a statement gives that selects one whole number `AS number`.
///
/// # Errors
///
/// When the server does not answer or refuses.
pub async fn number(store: &crate::Store, sql: &str) -> Result<i64, StoreError> {
    let rows = store.pool().built_query(sql.into()).rows().await?;
    rows.first().map_or(Ok(0), |row| row.int("number"))
}

/// Whether somebody waits for a lock of this database. On SQLite only the one who writes holds any,
/// and the others wait for their turn in this process.
///
/// # Errors
///
/// When the server does not answer or refuses.
pub async fn is_waiting(store: &crate::Store) -> Result<bool, StoreError> {
    let sql = match store.dialect() {
        crate::Dialect::MariaDb => return is_waiting_on_mariadb(store).await,
        crate::Dialect::Postgres => {
            "SELECT COUNT(*) AS number FROM pg_stat_activity \
             WHERE wait_event_type = 'Lock' AND datname = current_database()"
        }
        crate::Dialect::Sqlite => return Ok(store.db.waiting() > 0),
    };
    Ok(number(store, sql).await? > 0)
}

/// By InnoDB's own report: the table `innodb_trx` shows what it showed before for as long as anybody
/// at all looks at it more often than every tenth of a second.
async fn is_waiting_on_mariadb(store: &crate::Store) -> Result<bool, StoreError> {
    let rows = store
        .pool()
        .query("SHOW ENGINE INNODB STATUS")
        .rows()
        .await?;
    let report = rows
        .first()
        .map_or(Ok(String::new()), |row| row.text("Status"))?;
    let waiting: Vec<&str> = report
        .split("---TRANSACTION")
        .filter(|transaction| transaction.contains("LOCK WAIT"))
        .filter_map(|transaction| transaction.split_once("thread id ")?.1.split(',').next())
        .collect();
    let sql = "SELECT id AS number FROM information_schema.processlist WHERE db = DATABASE()";
    for row in store.pool().query(sql).rows().await? {
        if waiting.contains(&row.int("number")?.to_string().as_str()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Runs a statement that must succeed.
#[cfg(test)]
pub(crate) async fn run(store: &crate::Store, sql: &str) {
    execute(store, sql).await.unwrap();
}
