//! How a repository reads: from the pool, or in the open transaction.

use std::sync::Arc;

use super::pool::Db;
use super::session::{Each, Prepared, Session, Statement, keep, on_task};
use super::tx::Tx;
use crate::dialect::Dialect;
use crate::error::StoreError;
use crate::value::{FromRow, Row};

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
    #[track_caller]
    pub(crate) fn query(&mut self, sql: &'static str) -> Query<'_, 'a> {
        let statement = Statement::new(self.dialect().placeholders(sql));
        Prepared {
            to: self,
            statement,
        }
    }

    /// Starts a statement that was put together: only ever from our own pieces, never from input.
    #[track_caller]
    pub(crate) fn built_query(&mut self, sql: String) -> Query<'_, 'a> {
        let statement = Statement::new(self.dialect().placeholders_owned(sql));
        Prepared {
            to: self,
            statement,
        }
    }
}

/// A statement that reads.
pub(crate) type Query<'c, 'a> = Prepared<&'c mut Conn<'a>>;

impl Query<'_, '_> {
    /// All rows.
    pub(crate) async fn all<T: FromRow + Send + 'static>(self) -> Result<Vec<T>, StoreError> {
        self.fold(|made: &mut Vec<T>, row| {
            made.push(T::from_row(&row)?);
            Ok(())
        })
        .await
    }

    /// The only row, or `None`.
    pub(crate) async fn optional<T: FromRow>(self) -> Result<Option<T>, StoreError> {
        self.rows().await?.first().map(T::from_row).transpose()
    }

    /// All rows, unread.
    pub(crate) async fn rows(self) -> Result<Vec<Row>, StoreError> {
        self.fold(keep).await
    }

    /// Makes something of the rows as they come. A row takes many times the memory of what is made of it.
    pub(crate) async fn fold<S: Default + Send + 'static>(
        self,
        each: Each<S>,
    ) -> Result<S, StoreError> {
        debug_assert!(
            ["SELECT", "WITH", "SHOW", "PRAGMA"].iter().any(|verb| self
                .statement
                .sql()
                .trim_start()
                .starts_with(verb)),
            "a write is no query: {}",
            self.statement.sql()
        );
        let statement = self.statement;
        match self.to {
            Conn::Tx(tx) => tx.fetch(statement, each).await,
            Conn::Pool(db) => {
                let (db, permit) = (Arc::clone(db), db.permit(false).await?);
                on_task(async move {
                    let mut session = Session::open(db, permit).await?;
                    match session.fetch(&statement, each).await {
                        // An idle connection that the server closed: reading may be repeated safely.
                        Err(StoreError::Unavailable(_)) => {
                            session.reopen().await?;
                            session.fetch(&statement, each).await
                        }
                        outcome => outcome,
                    }
                })
                .await?
            }
        }
    }
}
