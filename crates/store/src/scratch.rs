//! Databases for one test, on a server that is there for tests.

pub mod plans;

use std::sync::Arc;
use std::time::Duration;

use model::clock::SystemClock;

use crate::db::{Db, Options, Session};
use crate::error::StoreError;
use crate::{CacheSettings, Store};

/// How a test uses a database: patiently, on the machine's clock, without a cache.
pub fn options(connection: String) -> Options {
    let patient = Duration::from_secs(60);
    Options {
        connection,
        max_connections: 2,
        timeout: patient,
        acquire_timeout: patient,
        clock: Arc::new(SystemClock::default()),
        cache: CacheSettings::NONE,
        authorization_ttl: 0,
        whole_catalog: true,
        wsrep_sync_wait: None,
        lifetime: None,
    }
}

/// How to use an empty database of one test within this crate: on the server that
/// `ARCHSTONE_TEST_DATABASE` names, or an SQLite file in the folder.
#[cfg(test)]
pub(crate) async fn empty(folder: &tempfile::TempDir) -> Options {
    let file = folder.path().join("keystone.db");
    let mut options = options(format!("sqlite:///{}", file.display()));
    if let Ok(server) = std::env::var("ARCHSTONE_TEST_DATABASE") {
        let clock = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let name = format!("store_{}_{}", std::process::id(), clock.as_nanos());
        options.connection = server;
        options.connection = create_database(&options, &name).await.unwrap();
    }
    options
}

/// Creates an empty database on the server at `connection`, whose user may do that, and returns
/// how to connect to it.
///
/// # Errors
///
/// When the server does not answer or refuses. The name must be a plain word.
pub async fn create_database(options: &Options, name: &str) -> Result<String, StoreError> {
    let db = Arc::new(Db::connect(options)?);
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
    panics: std::sync::atomic::AtomicBool,
}

#[cfg(test)]
impl HandClock {
    /// The first time of day, in seconds since the epoch.
    const ORIGIN: i64 = 1_700_000_000;

    /// Lets time pass.
    pub(crate) fn advance(&self, by: Duration) {
        let mut times = self.times.lock().unwrap();
        let millis = u64::try_from(by.as_millis()).unwrap();
        *times = (times.0 + i64::try_from(millis).unwrap(), times.1 + millis);
    }

    /// Sets the time of day.
    pub(crate) fn set(&self, now: model::Timestamp) {
        self.times.lock().unwrap().0 = now.timestamp_millis() - HandClock::ORIGIN * 1000;
    }

    /// Makes the next look at the time a panic, as a defect would be.
    pub(crate) fn panic_once(&self) {
        self.panics.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

#[cfg(test)]
impl model::clock::Clock for HandClock {
    fn now(&self) -> model::Timestamp {
        let millis = self.times.lock().unwrap().0;
        model::Timestamp::from_timestamp(Self::ORIGIN, 0).unwrap()
            + chrono::TimeDelta::milliseconds(millis)
    }

    fn elapsed(&self) -> Duration {
        let panics = self.panics.swap(false, std::sync::atomic::Ordering::SeqCst);
        assert!(!panics, "the clock panics, as a test wants");
        Duration::from_millis(self.times.lock().unwrap().1)
    }
}

/// A database of one test within this crate, with all its tables.
#[cfg(test)]
pub(crate) async fn store(folder: &tempfile::TempDir) -> Store {
    store_with(folder, |_| {}).await
}

/// The same, used in another way.
#[cfg(test)]
pub(crate) async fn store_with(
    folder: &tempfile::TempDir,
    change: impl FnOnce(&mut Options),
) -> Store {
    let mut options = empty(folder).await;
    change(&mut options);
    let store = Store::connect(&options).unwrap();
    store.sync_schema().await.unwrap();
    store
}

#[cfg(test)]
impl Store {
    /// Another node on the same database, with another clock.
    pub(crate) fn with_clock(&self, clock: Arc<HandClock>) -> Self {
        let options = Options {
            clock,
            ..self.db.options.clone()
        };
        Self::connect(&options).unwrap()
    }
}

/// Adds a local user and the domain that it is in, whose name is its id.
#[cfg(test)]
pub(crate) async fn add_user(store: &Store, id: &str, name: &str, domain_id: &str) {
    let root = crate::projects::ROOT;
    let yes = match store.dialect() {
        crate::Dialect::Postgres => "TRUE",
        crate::Dialect::MariaDb | crate::Dialect::Sqlite => "1",
    };
    for sql in [
        format!(
            "INSERT INTO project (id, name, extra, enabled, domain_id, is_domain) \
             VALUES ('{domain_id}', '{domain_id}', '{{}}', {yes}, '{root}', {yes})"
        ),
        format!(
            "INSERT INTO \"user\" (id, extra, enabled, domain_id) \
             VALUES ('{id}', '{{}}', {yes}, '{domain_id}')"
        ),
        format!(
            "INSERT INTO local_user (user_id, domain_id, name) \
             VALUES ('{id}', '{domain_id}', '{name}')"
        ),
    ] {
        run(store, &sql).await;
    }
}

/// Runs a statement, as something does that has no words here.
///
/// # Errors
///
/// When the server does not answer or refuses.
pub async fn execute(store: &Store, sql: &str) -> Result<(), StoreError> {
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
pub async fn number(store: &Store, sql: &str) -> Result<i64, StoreError> {
    let rows = store.pool().built_query(sql.into()).rows().await?;
    rows.first().map_or(Ok(0), |row| row.int("number"))
}

/// Whether somebody waits for a lock of this database. On SQLite only the one who writes holds any,
/// and the others wait for their turn in this process.
///
/// # Errors
///
/// When the server does not answer or refuses.
pub async fn is_waiting(store: &Store) -> Result<bool, StoreError> {
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
async fn is_waiting_on_mariadb(store: &Store) -> Result<bool, StoreError> {
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
pub(crate) async fn run(store: &Store, sql: &str) {
    execute(store, sql).await.unwrap();
}
