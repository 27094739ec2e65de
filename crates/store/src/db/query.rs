//! How a repository reads, and how it writes for now.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use super::pool::Db;
use super::session::{Session, Statement, on_task};
use super::tx::Tx;
use crate::dialect::Dialect;
use crate::error::StoreError;
use crate::filter::placeholders;
use crate::topic::Topics;
use crate::value::{FromRow, Row, Value};

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
            Self::Pool(db) => db.authorization_ttl(),
            Self::Tx(tx) => tx.db().authorization_ttl(),
        }
    }

    /// Whether the catalog is whole where no endpoints were chosen.
    pub(crate) fn whole_catalog(&self) -> bool {
        match self {
            Self::Pool(db) => db.whole_catalog(),
            Self::Tx(tx) => tx.db().whole_catalog(),
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
        let statement = Statement {
            sql: self.sql,
            values: self.values,
        };
        match self.conn {
            Conn::Tx(tx) => tx.fetch(statement).await,
            Conn::Pool(db) => {
                let (db, permit) = (Arc::clone(db), db.permit(false).await?);
                on_task(async move {
                    let mut session = Session::open(db, permit).await?;
                    match session.fetch(&statement).await {
                        // An idle connection that the server closed: reading may be repeated safely.
                        Err(StoreError::Unavailable(_)) => {
                            session.reopen().await?;
                            session.fetch(&statement).await
                        }
                        outcome => outcome,
                    }
                })
                .await?
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
        let statement = Statement {
            sql: self.sql,
            values: self.values,
        };
        match self.conn {
            Conn::Tx(tx) => tx.execute(statement, changes).await,
            Conn::Pool(db) => {
                debug_assert_eq!(
                    changes,
                    Topics::NONE,
                    "what others must learn of is written in a transaction: {}",
                    statement.sql
                );
                let (db, permit) = (Arc::clone(db), db.permit(true).await?);
                on_task(async move { Session::open(db, permit).await?.execute(&statement).await })
                    .await?
            }
        }
    }
}
