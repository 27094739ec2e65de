//! The schema: Keystone's own tables, and ours beside them.

use crate::Store;
use crate::db::Conn;
use crate::dialect::Dialect;
use crate::error::StoreError;

/// The revisions of Keystone 30's schema: the head of the expand and of the contract branch.
const KEYSTONE_HEADS: [&str; 2] = ["742c857f1dfb", "c88cdce8f248"];

macro_rules! scripts {
    ($($dialect:literal),*) => {[$(
        [
            include_str!(concat!("migrations/", $dialect, "/0000_keystone_30.sql")),
            include_str!(concat!("migrations/", $dialect, "/0001_change.sql")),
        ]
    ),*]};
}

const SCRIPTS: [[&str; 2]; 3] = scripts!("mariadb", "postgres", "sqlite");

impl Store {
    /// Creates what is missing of the schema.
    ///
    /// # Errors
    ///
    /// When the database belongs to another release of Keystone, or does not answer.
    pub async fn sync_schema(&self) -> Result<(), StoreError> {
        let [keystone, ours] = SCRIPTS[match self.dialect() {
            Dialect::MariaDb => 0,
            Dialect::Postgres => 1,
            Dialect::Sqlite => 2,
        }];
        let mut session = self.db.acquire(true).await?;
        if !self.has_table("alembic_version").await? {
            session
                .batch(include_str!("migrations/archstone_schema.sql"))
                .await?;
            session.batch(keystone).await?;
        }
        let mut conn = Conn::Pool(&self.db);
        let rows = conn
            .query("SELECT version_num FROM alembic_version")
            .rows()
            .await?;
        for row in rows {
            let head = row.text("version_num")?;
            if !KEYSTONE_HEADS.contains(&head.as_str()) {
                return Err(StoreError::Address(format!(
                    "schema {head} is not Keystone 30's"
                )));
            }
        }
        if !self.has_table("archstone_change").await? {
            session
                .batch(include_str!("migrations/archstone_schema.sql"))
                .await?;
            session.batch(ours).await?;
        }
        Ok(())
    }

    /// Checks that the schema is whole.
    ///
    /// # Errors
    ///
    /// When it is not, saying what to do; or when the database does not answer.
    pub async fn check_schema(&self) -> Result<(), StoreError> {
        if self.has_table("alembic_version").await? && self.has_table("archstone_change").await? {
            return Ok(());
        }
        Err(StoreError::Address(
            "the schema is not there: run `archstone db_sync`".into(),
        ))
    }

    async fn has_table(&self, name: &'static str) -> Result<bool, StoreError> {
        let mut conn = Conn::Pool(&self.db);
        let sql = match self.dialect() {
            Dialect::Sqlite => "SELECT name FROM sqlite_master WHERE name = ?",
            Dialect::MariaDb => {
                "SELECT table_name AS name FROM information_schema.tables \
                 WHERE table_schema = DATABASE() AND table_name = ?"
            }
            Dialect::Postgres => {
                "SELECT table_name::text AS name FROM information_schema.tables \
                 WHERE table_schema = current_schema() AND table_name = ?"
            }
        };
        Ok(!conn.query(sql).bind(name).rows().await?.is_empty())
    }
}
