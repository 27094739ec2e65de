//! No statement reads a whole table that grows with a cloud.
//!
//! The other tests of this program run once more in a process of their own, where every statement is
//! noted, with the place in the store that sends it; or they ran before, with a folder for such notes in
//! `ARCHSTONE_TEST_STATEMENTS`, as `scripts/test` has it on servers. The places are compared with those
//! in the store's sources, so that none is missed: code of the store that sends a statement which no
//! test here causes fails this test. Then the database explains each statement, with thousands of rows.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use model::credential::CredentialFilter;
use model::federation::Protocol;
use serde_json::json;
use store::scratch::plans;
use testkit::{PASSWORD, Scope, TestServer, home};

/// Who reads a whole table, and why that is right: the file, words of the statement, the table, and
/// the reason.
const FULL: &[(&str, &str, &str, &str)] = &[
    (
        "users.rs",
        r#"FROM "user" u ORDER BY u.id"#,
        "user",
        "a list without a filter, in the order of the index: a page reads no more than it shows",
    ),
    (
        "users.rs",
        r#"FROM "user" u WHERE u.enabled = ? ORDER BY u.id"#,
        "user",
        "nearly all are enabled, and an index would not find the few that are not more often than it costs",
    ),
    (
        "users.rs",
        "(COALESCE(local_user.name",
        "user",
        "a part of a name, which no index finds",
    ),
    (
        "users.rs",
        "LIKE ?",
        "user",
        "a part of a name, which no index finds",
    ),
    (
        "users.rs",
        "AND password.expires_at",
        "password",
        "whose passwords end: asked for by reports, some times a day",
    ),
    (
        "users.rs",
        "unknown_user",
        "user",
        "those without a name, when a provider or protocol is deleted",
    ),
    (
        "users.rs",
        "SELECT DISTINCT u.id FROM",
        "user",
        "those without a name, when a provider or protocol is deleted",
    ),
    (
        "db/tx.rs",
        "unknown_user",
        "user",
        "those without a name, when a provider or protocol is deleted",
    ),
    (
        "groups.rs",
        r#"FROM "group" g ORDER BY g.id"#,
        "group",
        "a list without a filter",
    ),
    (
        "groups.rs",
        "(g.name",
        "group",
        "a part of a name, which no index finds",
    ),
    (
        "groups.rs",
        "LIKE ?",
        "group",
        "a part of a name, which no index finds",
    ),
    (
        "projects.rs",
        "FROM project WHERE id <> ? AND is_domain = ?",
        "project",
        "a list whose filters, a part of a name or tags that a project lacks, no index finds",
    ),
    (
        "credentials.rs",
        "FROM credential ORDER BY id",
        "credential",
        "a list without a filter",
    ),
    (
        "credentials.rs",
        "FROM credential WHERE type = ? ORDER BY id",
        "credential",
        "most credentials are of one type or two",
    ),
    (
        "credentials.rs",
        "SELECT key_hash FROM credential",
        "credential",
        "a command that looks at all keys, before it throws one away",
    ),
    (
        "role_assignments.rs",
        "target_id, role_id, inherited FROM assignment UNION ALL SELECT type",
        "assignment",
        "a list without a filter",
    ),
    (
        "role_assignments.rs",
        "FROM assignment WHERE type IN ('UserProject', 'UserDomain') UNION ALL",
        "assignment",
        "a list without a filter",
    ),
    (
        "roles.rs",
        r#"DELETE FROM "application_credential" WHERE EXISTS"#,
        "application_credential",
        "a role that is deleted, which everybody may have",
    ),
    (
        "follower.rs",
        "FROM revocation_event",
        "revocation_event",
        "all events, which are kept in memory, when the server starts",
    ),
    (
        "revocations.rs",
        "FROM revocation_event ORDER BY revoked_at, id",
        "revocation_event",
        "a list without a filter",
    ),
];

/// The same of statements that SQLite runs by an index.
const FULL_ELSEWHERE: &[(&str, &str, &str, &str)] = &[
    (
        "users.rs",
        "(COALESCE(local_user.name",
        "password",
        "PostgreSQL expects nobody to be called by hundreds of parts of a name",
    ),
    (
        "users.rs",
        "LIKE ?",
        "password",
        "PostgreSQL expects nobody to be called by hundreds of parts of a name",
    ),
    (
        "users.rs",
        "WHERE u.id IN (SELECT user_id FROM federated_user WHERE idp_id = ?) ORDER BY u.id LIMIT",
        "user",
        "PostgreSQL goes through the users until a page is full, where one in a hundred is of the provider",
    ),
    (
        "users.rs",
        "AND password.expires_at",
        "user",
        "whose passwords end: MariaDB goes through the users until a page is full",
    ),
    (
        "users.rs",
        "SELECT DISTINCT u.id FROM",
        "local_user",
        "those without a name, when a provider or protocol is deleted",
    ),
    (
        "users.rs",
        "SELECT DISTINCT u.id FROM",
        "nonlocal_user",
        "those without a name, when a provider or protocol is deleted",
    ),
    (
        "users.rs",
        "SELECT DISTINCT u.id FROM",
        "federated_user",
        "those without a name, when a provider or protocol is deleted",
    ),
    (
        "users.rs",
        "SELECT DISTINCT u.id FROM",
        "application_credential",
        "what hangs on those without a name, when a provider or protocol is deleted",
    ),
    (
        "users.rs",
        "SELECT DISTINCT u.id FROM",
        "credential",
        "what hangs on those without a name, when a provider or protocol is deleted",
    ),
    (
        "users.rs",
        "SELECT DISTINCT u.id FROM",
        "user_group_membership",
        "what hangs on those without a name, when a provider or protocol is deleted",
    ),
    (
        "users.rs",
        "SELECT DISTINCT u.id FROM",
        "user_option",
        "what hangs on those without a name, when a provider or protocol is deleted",
    ),
    (
        "db/tx.rs",
        "SELECT DISTINCT u.id FROM",
        "local_user",
        "those without a name, when a provider or protocol is deleted",
    ),
    (
        "db/tx.rs",
        "SELECT DISTINCT u.id FROM",
        "nonlocal_user",
        "those without a name, when a provider or protocol is deleted",
    ),
    (
        "db/tx.rs",
        "SELECT DISTINCT u.id FROM",
        "federated_user",
        "those without a name, when a provider or protocol is deleted",
    ),
];

#[tokio::test]
async fn every_statement_finds_its_rows_by_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let folder = match std::env::var_os(plans::FOLDER) {
        Some(folder) => PathBuf::from(folder),
        None => {
            run_the_others(folder.path());
            folder.path().to_owned()
        }
    };
    let sites = plans::sites().unwrap();

    let server = TestServer::start().await;
    let store = &server.app.parts.store;
    let noted = plans::noted(&folder, &sites, store.dialect()).unwrap();

    let mut complaints = String::new();
    let sent: BTreeSet<String> = noted.iter().map(|sent| sent.site.clone()).collect();
    for site in sites.difference(&sent) {
        writeln!(complaints, "{site}: no test sends this statement").unwrap();
    }

    plans::fill(store).await.unwrap();
    let mut unused: BTreeSet<_> = FULL.iter().collect();
    for sent in &noted {
        if !plans::is_planned(&sent.sql) {
            continue;
        }
        let plan = match plans::plan(store, sent).await {
            Ok(plan) => plan,
            Err(error) => {
                writeln!(complaints, "{}: {error}\n    {}", sent.site, sent.sql).unwrap();
                continue;
            }
        };
        for table in plan.full {
            let sql = plans::with_question_marks(&sent.sql);
            let excuse = FULL
                .iter()
                .chain(FULL_ELSEWHERE)
                .find(|(file, words, excused, _)| {
                    sent.site.starts_with(file) && sql.contains(words) && *excused == table
                });
            match excuse {
                Some(excuse) => drop(unused.remove(excuse)),
                None => {
                    let words = plan.words.join("\n        ");
                    let (site, sql) = (&sent.site, &sent.sql);
                    writeln!(
                        complaints,
                        "{site} reads all of {table}:\n    {sql}\n        {words}"
                    )
                    .unwrap();
                }
            }
        }
    }
    if store.dialect() == store::Dialect::Sqlite {
        for excuse in unused {
            writeln!(complaints, "nobody needs {excuse:?}").unwrap();
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

/// What no other test here has a reason to send.
#[tokio::test]
async fn what_commands_and_the_clock_send() {
    let server = TestServer::start_with(|config| {
        config.security_compliance.lockout_failure_attempts = Some(3);
    })
    .await;
    let store = &server.app.parts.store;

    // Of two events the one that is old goes.
    for _ in 0..2 {
        server
            .sql(
                "INSERT INTO revocation_event (issued_before, revoked_at) \
                 VALUES ('2001-01-01 00:00:00', '2001-01-01 00:00:00')",
            )
            .await;
    }
    // The server has swept when it started, and does so every five minutes.
    server.clock.advance(chrono::TimeDelta::minutes(10));
    assert!(store.sweep(chrono::TimeDelta::hours(1)).await.unwrap());
    assert_eq!(store.revocations().list(None).await.unwrap().len(), 1);

    // The keys of credentials are rotated.
    let admin = server.admin().await;
    let body = json!({"credential": {"type": "cert", "blob": "secret", "user_id": "nobody"}});
    admin.post("/v3/credentials", body).await.expect(201);
    assert_eq!(store.credentials().key_hashes().await.unwrap().len(), 1);
    let (mut credentials, all) = (store.credentials(), CredentialFilter::default());
    let [credential] = credentials.list(&all).await.unwrap().try_into().unwrap();
    let mut tx = store.begin().await.unwrap();
    let mut credentials = tx.credentials_mut();
    let replaced = credentials.reencrypt(&credential, "other", "key").await;
    assert!(replaced.unwrap());
    let protocol = Protocol {
        id: "p".into(),
        identity_provider_id: "i".into(),
        mapping_id: "m".into(),
        remote_id_attribute: None,
        driver: None,
    };
    let mut protocols = tx.protocols_mut();
    let replaced = protocols.reencrypt(&protocol, "a", "b", "key").await;
    assert!(!replaced.unwrap());
    let _saved = tx.commit().await.unwrap();

    // Endpoints are chosen for a project by groups of them.
    let chosen = r#"INSERT INTO endpoint_group (id, name, filters) VALUES ('g', 'g', '{"interface": "admin"}')"#;
    server.sql(chosen).await;
    let of_home = format!(
        "INSERT INTO project_endpoint_group VALUES ('g', '{}')",
        home()
    );
    server.sql(&of_home).await;
    let member = server.with_role("member", Scope::Project).await;
    let catalog = member.get("/v3/auth/catalog").await.expect(200);
    let endpoints = catalog["catalog"][0]["endpoints"].as_array().unwrap().len();
    assert_eq!(endpoints, 1, "{catalog}");

    // Somebody remembers a password at the second attempt.
    for (password, status) in [("wrong", 401), (PASSWORD, 201)] {
        let user = json!({"name": "member-project", "domain": {"id": "default"}});
        let mut body =
            json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}});
        body["auth"]["identity"]["password"]["user"]["password"] = password.into();
        server
            .nobody()
            .post("/v3/auth/tokens", body)
            .await
            .expect(status);
    }
}

/// Runs the other tests of this program, with their statements noted in a folder. Whether they pass is
/// for themselves to tell.
fn run_the_others(folder: &std::path::Path) {
    let program = std::env::current_exe().unwrap();
    let threads = 3 * std::thread::available_parallelism().unwrap().get();
    let output = Command::new(program)
        .args(["--skip", "plans::every", "--skip", "growth::"])
        // Many of them wait for something most of the time.
        .args(["--test-threads", &threads.to_string()])
        .env(plans::FOLDER, folder)
        // What nextest says to one test is not meant for all.
        .env_remove("NEXTEST")
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(words.contains("test result:"), "{words}");
}
