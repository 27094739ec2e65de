//! How a repository reads: from the pool, or in the open transaction.

use std::borrow::Cow;
use std::sync::Arc;

use super::pool::Db;
use super::session::{Session, Statement, on_task};
use super::tx::Tx;
use crate::dialect::Dialect;
use crate::error::StoreError;
use crate::value::{FromRow, Row, Value};

/// Where a repository reads: the pool, or the open transaction. It cannot write: that takes a [`Tx`].
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

    /// Starts a statement.
    pub(crate) fn query(&mut self, sql: &'static str) -> Query<'_, 'a> {
        let sql = self.dialect().placeholders(sql);
        Query {
            conn: self,
            sql,
            values: Vec::new(),
            is_counted: true,
        }
    }

    /// Starts a statement that was put together: only ever from our own pieces, never from input.
    pub(crate) fn built_query(&mut self, sql: String) -> Query<'_, 'a> {
        let sql = self.dialect().placeholders_owned(sql);
        Query {
            conn: self,
            sql,
            values: Vec::new(),
            is_counted: true,
        }
    }
}

/// A statement that reads, and its values.
#[must_use = "a query does nothing until it runs"]
pub(crate) struct Query<'c, 'a> {
    conn: &'c mut Conn<'a>,
    sql: Cow<'static, str>,
    values: Vec<Value>,
    is_counted: bool,
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

    /// Leaves the statement out of [`crate::Store::statements`]: no request is the cause of it.
    pub(crate) fn uncounted(mut self) -> Self {
        self.is_counted = false;
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
        debug_assert!(
            ["SELECT", "WITH", "SHOW", "PRAGMA"]
                .iter()
                .any(|verb| self.sql.trim_start().starts_with(verb)),
            "a write is no query: {}",
            self.sql
        );
        let statement = Statement {
            sql: self.sql,
            values: self.values,
        };
        match self.conn {
            Conn::Tx(tx) => tx.fetch(statement).await,
            Conn::Pool(db) => {
                let (db, permit) = (Arc::clone(db), db.permit(false).await?);
                let is_counted = self.is_counted;
                on_task(async move {
                    let mut session = Session::open(db, permit).await?;
                    session.count_statements(is_counted);
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
}
