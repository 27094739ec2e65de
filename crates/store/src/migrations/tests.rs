use super::*;
use crate::db::Options;
use crate::scratch;

struct Scratch {
    options: Options,
    _folder: tempfile::TempDir,
}

impl Scratch {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            options: scratch::empty(&folder).await,
            _folder: folder,
        }
    }

    /// Another node on the same database.
    fn node(&self) -> Store {
        Store::connect(&self.options).unwrap()
    }
}

async fn run(store: &Store, sql: &str) {
    let mut tx = store.begin().await.unwrap();
    tx.define(sql.into()).execute().await.unwrap();
    let _saved = tx.commit().await.unwrap();
}

/// What a Keystone 30 would have made.
async fn made_by_keystone(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    for statement in statements(migrations(store.dialect())[0]) {
        tx.batch(statement).await.unwrap();
    }
    drop(tx.commit().await.unwrap());
}

async fn at_revisions(store: &Store, revisions: &[&str]) {
    run(store, "DELETE FROM alembic_version").await;
    for revision in revisions {
        run(
            store,
            &format!("INSERT INTO alembic_version VALUES ('{revision}')"),
        )
        .await;
    }
}

async fn tables(store: &Store) -> usize {
    let sql = store.dialect().tables();
    Conn::Pool(&store.db).query(sql).rows().await.unwrap().len()
}

#[test]
fn every_migration_is_split_into_statements() {
    for dialect in [Dialect::MariaDb, Dialect::Postgres, Dialect::Sqlite] {
        for statement in [FIRST_TABLE]
            .iter()
            .chain(&migrations(dialect))
            .flat_map(|sql| statements(sql))
        {
            let code = statement
                .lines()
                .find(|line| !line.is_empty() && !line.starts_with("--"));
            let word = code.unwrap().split(' ').next();
            assert!(
                matches!(word, Some("ALTER" | "CREATE" | "INSERT")),
                "{statement}"
            );
            assert_eq!(
                statement.matches(';').count() - statement.matches("; ").count(),
                1,
                "{statement}"
            );
        }
    }
}

#[tokio::test]
async fn an_empty_database_gets_all_tables() {
    let scratch = Scratch::new().await;
    let store = scratch.node();
    assert_eq!(store.schema_state().await.unwrap(), SchemaState::Empty);
    assert_eq!(SchemaState::Empty.check(), SyncCheck::ExpandNeeded);
    store.sync_schema().await.unwrap();
    assert_eq!(store.schema_state().await.unwrap(), SchemaState::Current);
    assert_eq!(SchemaState::Current.check(), SyncCheck::UpToDate);
    // Keystone's 49, and ours.
    assert_eq!(tables(&store).await, 55);
}

#[tokio::test]
async fn a_complete_database_is_only_read() {
    let scratch = Scratch::new().await;
    let store = scratch.node();
    store.sync_schema().await.unwrap();
    let before = store.statements();
    store.sync_schema().await.unwrap();
    assert_eq!(store.statements() - before, 3);
}

#[tokio::test]
async fn the_version_is_that_of_the_expand_branch() {
    let scratch = Scratch::new().await;
    let store = scratch.node();
    assert_eq!(store.schema_version().await.unwrap(), None);
    store.sync_schema().await.unwrap();
    let version = store.schema_version().await.unwrap();
    assert_eq!(version.as_deref(), Some(EXPAND_HEAD));
}

#[tokio::test]
async fn a_database_of_keystone_gets_only_our_tables() {
    let scratch = Scratch::new().await;
    let store = scratch.node();
    made_by_keystone(&store).await;
    run(
        &store,
        "INSERT INTO policy (id, type, \"blob\") VALUES ('a', 'b', 'c')",
    )
    .await;
    assert_eq!(
        store.schema_state().await.unwrap(),
        SchemaState::Behind { version: 0 }
    );
    store.sync_schema().await.unwrap();
    assert_eq!(store.schema_state().await.unwrap(), SchemaState::Current);
    assert_eq!(tables(&store).await, 55);
    let rows = Conn::Pool(&store.db)
        .query("SELECT id FROM policy")
        .rows()
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
}

#[tokio::test]
async fn a_database_of_our_next_release_is_left_alone() {
    let scratch = Scratch::new().await;
    let store = scratch.node();
    store.sync_schema().await.unwrap();
    run(&store, "INSERT INTO archstone_schema VALUES (1000)").await;
    assert_eq!(store.schema_state().await.unwrap(), SchemaState::Current);
    store.sync_schema().await.unwrap();
}

#[tokio::test]
async fn a_database_of_another_release_is_refused_by_name() {
    let scratch = Scratch::new().await;
    let store = scratch.node();
    made_by_keystone(&store).await;
    for (revisions, check, words) in [
        (
            &["e8725d6fa226", CONTRACT_HEAD][..],
            SyncCheck::ExpandNeeded,
            "e8725d6fa226",
        ),
        (
            &[EXPAND_HEAD, "99de3849d860"][..],
            SyncCheck::ContractNeeded,
            "99de3849d860",
        ),
        (
            &[EXPAND_HEAD][..],
            SyncCheck::ContractNeeded,
            "run `keystone-manage db_sync`",
        ),
        (
            &["5ca1ab1e0000", CONTRACT_HEAD][..],
            SyncCheck::Failed,
            "5ca1ab1e0000",
        ),
        (&[][..], SyncCheck::ExpandNeeded, "no revision"),
    ] {
        at_revisions(&store, revisions).await;
        assert_eq!(
            store.schema_state().await.unwrap().check(),
            check,
            "{revisions:?}"
        );
        let error = store.sync_schema().await.unwrap_err();
        assert!(
            matches!(&error, StoreError::Schema(text) if text.contains(words)),
            "{error}"
        );
        assert_eq!(tables(&store).await, 49);
    }
}

#[tokio::test]
async fn tables_of_another_program_are_refused() {
    let scratch = Scratch::new().await;
    let store = scratch.node();
    run(&store, "CREATE TABLE project (id INTEGER)").await;
    assert!(matches!(
        store.sync_schema().await,
        Err(StoreError::Schema(_))
    ));
    assert_eq!(tables(&store).await, 1);
}

#[tokio::test]
async fn a_run_cut_short_anywhere_is_completed_by_the_next() {
    let dialect = Scratch::new().await.node().dialect();
    let all: Vec<_> = [FIRST_TABLE]
        .iter()
        .chain(&migrations(dialect))
        .flat_map(|sql| statements(sql))
        .collect();
    for cut in [1, 2, all.len() / 2, all.len() - 4, all.len() - 1] {
        let scratch = Scratch::new().await;
        let store = scratch.node();
        let mut tx = store.begin().await.unwrap();
        for statement in &all[..cut] {
            step(&mut tx, statement).await.unwrap();
        }
        drop(tx);
        // Closing waits for the rollback.
        store.close().await;
        let store = scratch.node();
        store.sync_schema().await.unwrap();
        assert_eq!(store.schema_state().await.unwrap(), SchemaState::Current);
        assert_eq!(tables(&store).await, 55);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_together_make_the_tables_once() {
    let scratch = Scratch::new().await;
    let runs: Vec<_> = (0..6)
        .map(|_| {
            let node = scratch.node();
            tokio::spawn(async move { node.sync_schema().await })
        })
        .collect();
    for run in runs {
        run.await.unwrap().unwrap();
    }
    let store = scratch.node();
    assert_eq!(store.schema_state().await.unwrap(), SchemaState::Current);
    let rows = Conn::Pool(&store.db)
        .query("SELECT id FROM project")
        .rows()
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
}
