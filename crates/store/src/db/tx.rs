//! The one way to write: a transaction.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use model::revocation::RevocationEvent;

use super::pool::Db;
use super::query::Conn;
use super::session::{Each, Prepared, Session, Statement, lost, on_task};
use crate::change::{Changes, Entity};
use crate::dialect::Dialect;
use crate::dialect::placeholders;
use crate::error::StoreError;
use crate::value::Value;

/// An open transaction. Dropping it rolls back.
pub struct Tx {
    /// `None` once a statement was given up or panicked.
    session: Option<Session>,
    /// What its statements have changed so far.
    changed: Changes,
    /// The revocation events that it has added so far.
    revoked: Vec<RevocationEvent>,
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
                changed: Changes::default(),
                revoked: Vec::new(),
                db,
            })
        })
        .await?
    }

    /// Makes everything durable that this transaction did.
    ///
    /// # Errors
    ///
    /// [`StoreError::Retry`] when the whole transaction has to be retried; when the database does not
    /// answer, it is unknown whether the work was done, as with any commit.
    pub async fn commit(mut self) -> Result<Saved, StoreError> {
        self.publish().await?;
        let mut session = self.session.take().ok_or_else(lost)?;
        let (db, changed) = (Arc::clone(&self.db), self.changed);
        let revoked = std::mem::take(&mut self.revoked);
        // A request may be given up, but not between what the database does and what is kept in
        // memory.
        on_task(async move {
            let committed = session.commit().await;
            match &committed {
                Ok(()) => db.count_commit(),
                Err(error) if error.leaves_unknown() => {
                    // It may be there even though nobody said so, now or a little later.
                    let db = Arc::clone(&db);
                    let changed = changed.clone();
                    tokio::spawn(async move {
                        tokio::time::sleep(db.timeout()).await;
                        db.caches.changed(&changed);
                    });
                }
                Err(_) => return committed,
            }
            db.caches.revoked(revoked).await;
            db.caches.changed(&changed);
            committed
        })
        .await??;
        Ok(Saved(()))
    }

    /// Writes into the transaction what it has changed, for the other nodes.
    async fn publish(&mut self) -> Result<(), StoreError> {
        if self.changed.is_empty() {
            return Ok(());
        }
        let at = self.db.caches.clock.now().timestamp_micros();
        let rows = vec!["(?, ?, ?)"; self.changed.len()].join(", ");
        let mut values: Vec<Value> = Vec::with_capacity(self.changed.len() * 3);
        for (region, id) in self.changed.iter() {
            values.extend([region.name().into(), id.unwrap_or("").into(), at.into()]);
        }
        let rest = format!("(kind, entity_id, at) VALUES {rows}");
        let insert = self.insert("archstone_change", Entity::New, rest);
        insert.bind_all(values).execute().await.map(drop)
    }

    /// Does work with the connection, on a task that goes on when the caller is dropped; the
    /// transaction is rolled back then.
    async fn on_session<T: Send + 'static, W>(
        &mut self,
        work: impl FnOnce(Session) -> W,
    ) -> Result<T, StoreError>
    where
        W: Future<Output = (Session, Result<T, StoreError>)> + Send + 'static,
    {
        let session = self.session.take().ok_or_else(lost)?;
        let (session, outcome) = on_task(work(session)).await?;
        self.session = Some(session);
        outcome
    }

    /// Runs a statement that gives rows.
    pub(super) async fn fetch<S: Default + Send + 'static>(
        &mut self,
        statement: Statement,
        each: Each<S>,
    ) -> Result<S, StoreError> {
        self.on_session(move |mut session| async move {
            let outcome = session.fetch(&statement, each).await;
            (session, outcome)
        })
        .await
    }

    async fn execute(&mut self, statement: Statement) -> Result<u64, StoreError> {
        self.on_session(|mut session| async move {
            let outcome = session.execute(&statement).await;
            (session, outcome)
        })
        .await
    }

    /// Runs statements as they stand, without values; several may stand in one text. They may take an
    /// hour: to index a big table takes longer than any request may.
    pub(crate) async fn batch(&mut self, sql: &'static str) -> Result<(), StoreError> {
        const PATIENCE: Duration = Duration::from_secs(3600);
        self.on_session(|mut session| async move {
            let outcome = session.batch_within(PATIENCE, sql).await;
            (session, outcome)
        })
        .await
    }

    /// Reads in this transaction.
    pub(crate) fn read(&mut self) -> Conn<'_> {
        Conn::Tx(self)
    }

    /// Adds rows: `rest` is what follows `INSERT INTO table`.
    #[track_caller]
    pub(crate) fn insert<'e>(
        &mut self,
        table: &'static str,
        entity: impl Into<Entity<'e>>,
        rest: impl AsRef<str>,
    ) -> Write<'_> {
        let sql = format!("INSERT INTO \"{table}\" {}", rest.as_ref());
        self.write(table, entity.into(), sql)
    }

    /// Changes rows: `rest` is what follows `UPDATE table`.
    #[track_caller]
    pub(crate) fn update<'e>(
        &mut self,
        table: &'static str,
        entity: impl Into<Entity<'e>>,
        rest: impl AsRef<str>,
    ) -> Write<'_> {
        let sql = self.dialect().update_of(table, rest.as_ref());
        self.write(table, entity.into(), sql)
    }

    /// Removes rows: `rest` is what follows `DELETE FROM table`.
    #[track_caller]
    pub(crate) fn delete<'e>(
        &mut self,
        table: &'static str,
        entity: impl Into<Entity<'e>>,
        rest: impl AsRef<str>,
    ) -> Write<'_> {
        let sql = self.dialect().delete_from(table, rest.as_ref());
        self.write(table, entity.into(), sql)
    }

    /// Runs a statement that defines a table.
    #[track_caller]
    pub(crate) fn define(&mut self, sql: String) -> Write<'_> {
        self.prepare(sql, Changes::default())
    }

    /// Runs a statement of which nobody says what it changes.
    #[track_caller]
    pub(crate) fn anything(&mut self, sql: String) -> Write<'_> {
        self.prepare(sql, Changes::all())
    }

    #[track_caller]
    fn write(&mut self, table: &'static str, entity: Entity<'_>, sql: String) -> Write<'_> {
        self.prepare(sql, Changes::of(table, entity))
    }

    #[track_caller]
    fn prepare(&mut self, sql: String, changes: Changes) -> Write<'_> {
        self.changed.add(changes);
        Prepared {
            statement: Statement::new(self.dialect().placeholders_owned(sql)),
            to: self,
        }
    }

    /// Makes this node judge by events that the transaction adds, from its commit on.
    pub(crate) fn revoke(&mut self, events: impl IntoIterator<Item = RevocationEvent>) {
        self.revoked.extend(events);
    }

    /// Keeps others from changing a row until the transaction ends; whether there is one. To be
    /// asked before anything is read of it: what is read then is what was committed last.
    pub(crate) async fn lock(&mut self, table: &'static str, id: &str) -> Result<bool, StoreError> {
        // SQLite is asked too, so that a change costs the same everywhere.
        let how = self.dialect().for_update();
        let sql = format!("SELECT id FROM \"{table}\" WHERE id = ?{how}");
        Ok(!self
            .read()
            .built_query(sql)
            .bind(id)
            .rows()
            .await?
            .is_empty())
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
        let sql = format!("SELECT id FROM \"{table}\" WHERE {which} ORDER BY id{how}");
        self.read()
            .built_query(sql)
            .bind_all(values)
            .rows()
            .await
            .map(drop)
    }

    /// Makes sure, until the transaction ends, that there is a row which a new one names: anyone
    /// who removes it waits, locks it first ([`Tx::lock`]), and takes along what names it.
    pub(crate) async fn require(
        &mut self,
        table: &'static str,
        id: &str,
        kind: &'static str,
    ) -> Result<(), StoreError> {
        let how = self.dialect().for_share();
        let sql = format!("SELECT id FROM \"{table}\" WHERE id = ?{how}");
        match self
            .read()
            .built_query(sql)
            .bind(id)
            .rows()
            .await?
            .is_empty()
        {
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
        let sql = format!("SELECT id FROM \"{table}\" WHERE id IN ({marks}) ORDER BY id{how}");
        let mut reading = self.read();
        let query = reading.built_query(sql).bind_all(ids.iter().copied());
        let rows = query.rows().await?;
        let found = rows.iter().map(|row| row.text("id"));
        let found = found.collect::<Result<HashSet<_>, _>>()?;
        match ids.iter().find(|id| !found.contains(**id)) {
            Some(id) => Err(StoreError::missing(kind, id)),
            None => Ok(()),
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.db.dialect()
    }

    pub(super) fn db(&self) -> &Db {
        &self.db
    }
}

/// A statement that writes.
pub(crate) type Write<'t> = Prepared<&'t mut Tx>;

impl Write<'_> {
    /// Runs the statement; returns how many rows it touched.
    pub(crate) async fn execute(self) -> Result<u64, StoreError> {
        self.to.execute(self.statement).await
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;
    use crate::db::session::tests::{identity, mark, session};
    use crate::scratch;

    #[tokio::test]
    async fn each_statement_sees_what_was_committed_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = scratch::store_with(&folder, |options| options.max_connections = 1).await;
        let sql = match store.dialect() {
            Dialect::MariaDb => "SELECT @@tx_isolation AS level",
            Dialect::Postgres => "SELECT current_setting('transaction_isolation') AS level",
            // It has one writer, who sees everything.
            Dialect::Sqlite => "SELECT 'read committed' AS level",
        };
        if store.dialect() == Dialect::Postgres {
            let mut tx = store.begin().await.unwrap();
            tx.batch("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE")
                .await
                .unwrap();
            let _saved = tx.commit().await.unwrap();
        }
        let mut tx = store.begin().await.unwrap();
        let rows = tx.read().query(sql).rows().await.unwrap();
        let level = rows[0].text("level").unwrap().to_lowercase();
        assert_eq!(level.replace('-', " "), "read committed");
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_costs_no_connection_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = scratch::store_with(&folder, |options| options.max_connections = 1).await;
        let mut writer = session(&store, true).await;
        mark(&mut writer).await;
        let before = identity(&mut writer).await;
        drop(writer);
        let description = "SELECT description FROM project";
        for turns in 0..12 {
            let work = async {
                let mut tx = store.begin().await.unwrap();
                let sql = "UPDATE project SET description = 'given up'";
                tx.anything(sql.into()).execute().await.unwrap();
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
        let after = identity(&mut session(&store, true).await).await;
        assert_eq!(after, before, "another connection was opened");
    }
}
