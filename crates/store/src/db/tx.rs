//! The one way to write: a transaction.

use std::sync::Arc;

use super::pool::Db;
use super::query::Conn;
use super::session::{Session, Statement, lost, on_task};
use crate::dialect::Dialect;
use crate::error::StoreError;
use crate::facts::announce;
use crate::topic::Topics;
use crate::value::Row;

/// An open transaction. Dropping it rolls back.
pub struct Tx {
    /// `None` once the connection broke, or a statement was given up.
    session: Option<Session>,
    /// What its statements have changed so far.
    changed: Topics,
    db: Arc<Db>,
}

/// Proof that a transaction was committed: what a writing reply asks for.
#[derive(Debug)]
#[must_use = "a reply that writes asks for this proof"]
pub struct Saved(());

impl Tx {
    pub(crate) async fn begin(db: &Arc<Db>) -> Result<Self, StoreError> {
        let (db, permit) = (Arc::clone(db), db.permit(true).await?);
        on_task(async move {
            let mut session = Session::open(Arc::clone(&db), permit).await?;
            session.begin().await?;
            Ok(Self {
                session: Some(session),
                changed: Topics::NONE,
                db,
            })
        })
        .await?
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
        let mut session = self.session.take().ok_or_else(lost)?;
        let db = Arc::clone(&self.db);
        // A request may be given up, but not between what the database does and what is kept in
        // memory.
        on_task(async move {
            let committed = session.commit().await;
            // Whatever became of it: it may be there now.
            db.facts.changed(changed);
            db.count_commit();
            committed
        })
        .await??;
        Ok(Saved(()))
    }

    /// Runs a statement that gives rows.
    pub(super) async fn fetch(&mut self, statement: Statement) -> Result<Vec<Row>, StoreError> {
        let mut session = self.session.take().ok_or_else(lost)?;
        let (session, outcome) = on_task(async move {
            let outcome = session.fetch(&statement).await;
            (session, outcome)
        })
        .await?;
        self.session = Some(session);
        outcome
    }

    /// Runs a statement that changes something; returns how many rows it touched.
    pub(super) async fn execute(
        &mut self,
        statement: Statement,
        changes: Topics,
    ) -> Result<u64, StoreError> {
        self.changed |= changes;
        let mut session = self.session.take().ok_or_else(lost)?;
        let (session, outcome) = on_task(async move {
            let outcome = session.execute(&statement).await;
            (session, outcome)
        })
        .await?;
        self.session = Some(session);
        outcome
    }

    /// Runs statements as they stand, without values; several may stand in one text.
    pub(crate) async fn batch(&mut self, sql: &'static str) -> Result<(), StoreError> {
        let mut session = self.session.take().ok_or_else(lost)?;
        let (session, outcome) = on_task(async move {
            let outcome = session.batch(sql).await;
            (session, outcome)
        })
        .await?;
        self.session = Some(session);
        outcome
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.db.dialect()
    }

    pub(super) fn db(&self) -> &Db {
        &self.db
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::Duration;

    use super::*;
    use crate::scratch;

    /// Who serves the one connection that writes. SQLite has nobody there.
    async fn server(store: &crate::Store) -> Option<i64> {
        let sql = match store.dialect() {
            Dialect::MariaDb => "SELECT CAST(CONNECTION_ID() AS SIGNED) AS number",
            Dialect::Postgres => "SELECT CAST(pg_backend_pid() AS BIGINT) AS number",
            Dialect::Sqlite => return None,
        };
        let mut tx = store.begin().await.unwrap();
        let rows = Conn::Tx(&mut tx).query(sql).rows().await.unwrap();
        Some(rows[0].int("number").unwrap())
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_costs_no_connection_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = scratch::store_with_connections(&folder, 1).await;
        let before = server(&store).await;
        let description = "SELECT description FROM project";
        for turns in 0..12 {
            let work = async {
                let mut tx = store.begin().await.unwrap();
                let sql = "UPDATE project SET description = 'given up'";
                Conn::Tx(&mut tx).query(sql).execute().await.unwrap();
                Conn::Tx(&mut tx).query(description).rows().await.unwrap();
                std::future::pending::<()>().await;
            };
            let mut work = Box::pin(work);
            for _ in 0..turns {
                let polled = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
                assert!(polled.is_pending());
                // At some turns the answer is there, and at some it is not.
                tokio::time::sleep(Duration::from_millis(turns % 3)).await;
            }
            drop(work);
            let mut tx = store.begin().await.unwrap();
            let rows = Conn::Tx(&mut tx).query(description).rows().await.unwrap();
            let found = rows[0].optional_text("description").unwrap();
            assert_ne!(found.as_deref(), Some("given up"));
        }
        assert_eq!(
            server(&store).await,
            before,
            "another connection was opened"
        );
    }
}
