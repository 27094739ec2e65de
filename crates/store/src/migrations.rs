//! The schema: Keystone's own tables, and ours beside them.
//!
//! Keystone's tables are those that the `db_sync` of Keystone 30 makes, and either server may own
//! them; ours carry the prefix `archstone_`. On PostgreSQL and SQLite a run is one transaction. On
//! MariaDB, which commits at each statement that defines a table, every statement can be run
//! again, so that a second run completes a first one that was cut short, and runs may overlap.

use std::fmt;

use crate::Store;
use crate::db::{Conn, Tx};
use crate::dialect::Dialect;
use crate::error::StoreError;
use crate::retry::retrying;

/// The last revisions of Keystone 30's branches.
const EXPAND_HEAD: &str = "742c857f1dfb";
const CONTRACT_HEAD: &str = "c88cdce8f248";

/// The revisions that led there, since Keystone counts them with Alembic.
const EARLIER_REVISIONS: [&str; 8] = [
    "27e647c0fad4",
    "29e87d24a316",
    "e25ffa003242",
    "b4f8b3f584e0",
    "11c3b243b4cb",
    "99de3849d860",
    "47147121",
    "e8725d6fa226",
];

/// Those of all these that belong to the contract branch.
const CONTRACT_REVISIONS: [&str; 3] = [CONTRACT_HEAD, "99de3849d860", "e25ffa003242"];

/// Makes the table that comes before all others. It is written alike everywhere.
const FIRST_TABLE: &str = include_str!("migrations/archstone_schema.sql");

/// Where a migration for MariaDB means the collation of Keystone's ids.
const KEYSTONE_COLLATION: &str = "{collation}";

/// Names our PostgreSQL lock on changing the schema: "archston" in ASCII.
const POSTGRES_LOCK: i64 = i64::from_be_bytes(*b"archston");

/// The migrations of a dialect: Keystone's tables, then ours, where the place in the list is the
/// version that `archstone_schema` records.
fn migrations(dialect: Dialect) -> [&'static str; 5] {
    macro_rules! of {
        ($folder:literal) => {
            [
                include_str!(concat!("migrations/", $folder, "/0000_keystone_30.sql")),
                include_str!(concat!("migrations/", $folder, "/0001_change.sql")),
                include_str!(concat!("migrations/", $folder, "/0002_federation.sql")),
                include_str!(concat!("migrations/", $folder, "/0003_lease.sql")),
                include_str!(concat!("migrations/", $folder, "/0004_indexes.sql")),
            ]
        };
    }
    match dialect {
        Dialect::MariaDb => of!("mariadb"),
        Dialect::Postgres => of!("postgres"),
        Dialect::Sqlite => of!("sqlite"),
    }
}

/// What the tables of a database are, and so what a [`Store::sync_schema`] would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaState {
    /// There are none: all would be made.
    Empty,
    /// A run that was to make them was cut short: the rest would be made.
    CutShort,
    /// Keystone 30's are there, and ours up to this version: the rest of ours would be made.
    Behind {
        /// The last of our migrations that the database has had; 0 when it has had none.
        version: usize,
    },
    /// Keystone 30's and ours are there: nothing would be done. Ours may be those of a later
    /// release, which only ever adds to them.
    Current,
    /// An earlier Keystone's: the run would be refused.
    Earlier {
        /// The revisions found in `alembic_version`.
        revisions: Vec<String>,
    },
    /// Those of Keystone 30, before its contract step: the run would be refused.
    Uncontracted {
        /// The revisions found in `alembic_version`.
        revisions: Vec<String>,
    },
    /// Not Keystone's, or those of a release to come: the run would be refused.
    Unknown {
        /// The revisions found in `alembic_version`; empty when there is no such table.
        revisions: Vec<String>,
    },
}

/// The answers of `keystone-manage db_sync --check`, whose values are its exit codes. Keystone
/// reserves 3 for a pending data migration, which it has had none of since it counts by Alembic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SyncCheck {
    /// Nothing is left to do.
    UpToDate = 0,
    /// The revision is not one of Keystone's.
    Failed = 1,
    /// Tables or columns are to be added.
    ExpandNeeded = 2,
    /// What is no longer needed is to be removed.
    ContractNeeded = 4,
}

impl SchemaState {
    /// What `db_sync --check` says of this state. Tables of ours that are missing count as a
    /// pending expansion.
    pub fn check(&self) -> SyncCheck {
        match self {
            Self::Current => SyncCheck::UpToDate,
            Self::Empty | Self::CutShort | Self::Behind { .. } | Self::Earlier { .. } => {
                SyncCheck::ExpandNeeded
            }
            Self::Uncontracted { .. } => SyncCheck::ContractNeeded,
            // Keystone sees tables without a revision as a database to expand.
            Self::Unknown { revisions } if revisions.is_empty() => SyncCheck::ExpandNeeded,
            Self::Unknown { .. } => SyncCheck::Failed,
        }
    }

    async fn read(conn: &mut Conn<'_>) -> Result<Self, StoreError> {
        let tables = conn.query(conn.dialect().tables()).rows().await?;
        let tables = texts(&tables, "name")?;
        let has = |name: &str| tables.iter().any(|table| table == name);

        let revisions = if has("alembic_version") {
            let sql = "SELECT version_num FROM alembic_version ORDER BY version_num";
            texts(&conn.query(sql).rows().await?, "version_num")?
        } else {
            Vec::new()
        };
        let version = if has("archstone_schema") {
            let sql = "SELECT COALESCE(MAX(version), 0) AS version FROM archstone_schema";
            let rows = conn.query(sql).rows().await?;
            rows.first().map(|row| row.int("version")).transpose()?
        } else {
            None
        };
        Ok(Self::classify(&tables, revisions, version, conn.dialect()))
    }

    /// Classifies a database by the tables' names, the revisions, and our own version, which is `None` without
    /// an `archstone_schema`.
    fn classify(
        tables: &[String],
        revisions: Vec<String>,
        version: Option<i64>,
        dialect: Dialect,
    ) -> Self {
        let at = |revision: &str| revisions.iter().any(|found| found == revision);
        let known = |found: &String| {
            let found = found.as_str();
            [EXPAND_HEAD, CONTRACT_HEAD].contains(&found) || EARLIER_REVISIONS.contains(&found)
        };
        if tables.is_empty() {
            Self::Empty
        } else if revisions.is_empty() && version == Some(0) {
            Self::CutShort
        } else if revisions.is_empty() || !revisions.iter().all(known) {
            Self::Unknown { revisions }
        } else if !at(EXPAND_HEAD) {
            Self::Earlier { revisions }
        } else if !at(CONTRACT_HEAD) {
            Self::Uncontracted { revisions }
        } else {
            let version = usize::try_from(version.unwrap_or(0)).unwrap_or(0);
            if version + 1 < migrations(dialect).len() {
                Self::Behind { version }
            } else {
                Self::Current
            }
        }
    }

    /// The first migration to run, `None` when there is nothing to do.
    fn next(&self) -> Result<Option<usize>, StoreError> {
        match self {
            Self::Empty | Self::CutShort => Ok(Some(0)),
            Self::Behind { version } => Ok(Some(version + 1)),
            Self::Current => Ok(None),
            Self::Earlier { .. } | Self::Uncontracted { .. } | Self::Unknown { .. } => {
                Err(StoreError::Schema(self.to_string()))
            }
        }
    }
}

/// What an operator is told, and told to do.
impl fmt::Display for SchemaState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty | Self::CutShort | Self::Behind { .. } => {
                write!(f, "the database lacks tables: run `archstone db_sync`")
            }
            Self::Current => write!(f, "the database is up to date"),
            Self::Earlier { revisions } | Self::Uncontracted { revisions } => write!(
                f,
                "the database is at revision {}, which Keystone 30 has yet to bring up to date: \
                 run `keystone-manage db_sync` of Keystone 30 on it first",
                revisions.join(" and ")
            ),
            Self::Unknown { revisions } if revisions.is_empty() => write!(
                f,
                "the database has tables, but no revision in alembic_version: give an empty one, \
                 or run `keystone-manage db_sync` of Keystone 30 on it first"
            ),
            Self::Unknown { revisions } => write!(
                f,
                "the database is at revision {}, which Keystone 30 does not know: it belongs to a \
                 later Keystone or to another program",
                revisions.join(" and ")
            ),
        }
    }
}

fn texts(rows: &[crate::value::Row], column: &str) -> Result<Vec<String>, StoreError> {
    rows.iter().map(|row| row.text(column)).collect()
}

/// The statements of a migration, comments before them included.
fn statements(sql: &'static str) -> impl Iterator<Item = &'static str> {
    sql.split_inclusive(";\n")
        .filter(|part| !part.trim().is_empty())
}

impl Store {
    /// Looks at the tables and changes nothing.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        SchemaState::read(&mut Conn::Pool(&self.db)).await
    }

    /// The revision of Keystone's expand branch, which is what it calls the database's version;
    /// `None` when the tables are not under version control.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn schema_version(&self) -> Result<Option<String>, StoreError> {
        let mut conn = Conn::Pool(&self.db);
        let tables = conn.query(conn.dialect().tables()).rows().await?;
        if !texts(&tables, "name")?.contains(&"alembic_version".to_owned()) {
            return Ok(None);
        }
        let sql = "SELECT version_num FROM alembic_version ORDER BY version_num";
        let revisions = texts(&conn.query(sql).rows().await?, "version_num")?;
        let expands = |revision: &String| !CONTRACT_REVISIONS.contains(&revision.as_str());
        Ok(revisions.into_iter().find(expands))
    }

    /// Makes the tables that are missing. A database that has them all is only read, and many
    /// nodes may do this at once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] when the database belongs to another release of Keystone or to
    /// another program: then it was not touched.
    pub async fn sync_schema(&self) -> Result<(), StoreError> {
        let should_retry = |outcome: &_| matches!(outcome, Err(StoreError::Retry(_)));
        retrying(should_retry, || self.try_sync_schema()).await
    }

    /// Checks that nothing is left for [`Self::sync_schema`] to do.
    ///
    /// # Errors
    ///
    /// [`StoreError::Schema`] when there is, saying what to do.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        match self.schema_state().await? {
            SchemaState::Current => Ok(()),
            state => Err(StoreError::Schema(state.to_string())),
        }
    }

    async fn try_sync_schema(&self) -> Result<(), StoreError> {
        // Most often there is nothing to do, and perhaps not even the right to do it.
        if self.schema_state().await? == SchemaState::Current {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        if self.dialect() == Dialect::Postgres {
            let mut conn = Conn::Tx(&mut tx);
            let lock = conn.query("SELECT pg_advisory_xact_lock(?)");
            lock.bind(POSTGRES_LOCK).rows().await?;
        }
        // Again, because the one who held the lock may have done the work.
        let state = SchemaState::read(&mut Conn::Tx(&mut tx)).await?;
        if let Some(next) = state.next()? {
            tracing::info!(?state, "making the tables that are missing");
            migrate(&mut tx, self.dialect(), next).await?;
        }
        tx.commit().await.map(drop)
    }
}

/// Runs our migrations from that one on. Each records itself with its last statement.
async fn migrate(tx: &mut Tx, dialect: Dialect, next: usize) -> Result<(), StoreError> {
    let scripts = migrations(dialect);
    for sql in [FIRST_TABLE].iter().chain(&scripts[next..]) {
        // One by one: some take a step of their own.
        for statement in statements(sql) {
            step(tx, statement).await?;
        }
    }
    Ok(())
}

async fn step(tx: &mut Tx, statement: &'static str) -> Result<(), StoreError> {
    if statement.contains(KEYSTONE_COLLATION) {
        return collated(tx, statement).await;
    }
    let done = tx.batch(statement).await;
    match index_on_mariadb(tx, statement) {
        // MySQL cannot be told to make one unless it is there.
        Some(name) if done.is_err() && has_index(tx, name).await? => Ok(()),
        _ => done,
    }
}

/// The index that a statement makes on MariaDB, if it makes one.
fn index_on_mariadb(tx: &mut Tx, statement: &'static str) -> Option<&'static str> {
    let is_mariadb = tx.read().dialect() == Dialect::MariaDb;
    let rest = statement.split_once("CREATE INDEX ")?.1;
    rest.split(' ').next().filter(|_| is_mariadb)
}

async fn has_index(tx: &mut Tx, name: &str) -> Result<bool, StoreError> {
    let sql = "SELECT index_name AS name FROM information_schema.statistics \
               WHERE table_schema = DATABASE() AND index_name = ?";
    Ok(!tx.read().query(sql).bind(name).rows().await?.is_empty())
}

/// Runs a statement for MariaDB that names the collation of Keystone's ids: a foreign key to them
/// has to have the same, and an installation may have changed it, or may have been moved from a
/// release with another default.
async fn collated(tx: &mut Tx, statement: &str) -> Result<(), StoreError> {
    let mut conn = Conn::Tx(tx);
    let sql = "SELECT collation_name AS name FROM information_schema.columns \
               WHERE table_schema = DATABASE() AND table_name = 'federation_protocol' \
               AND column_name = 'id'";
    let found = texts(&conn.query(sql).rows().await?, "name")?;
    let collation = found.first().map(String::as_str).unwrap_or_default();
    let statement = statement.replace(KEYSTONE_COLLATION, collation);
    tx.define(statement).execute().await.map(drop)
}

#[cfg(test)]
mod tests;
