//! Proofs that were right when they were checked, and are not any more when they are used: between
//! the two lies a slow step, and somebody else is faster.

use std::sync::Arc;

use api::app::App;
use auth::methods::login_request::Named;
use auth::methods::password::check_password;
use chrono::TimeDelta;
use model::Secret;
use model::ids::UserId;
use model::user::StoredPassword;
use serde_json::{Value, json};
use testkit::{Answer, Client, PASSWORD, Scope, TestServer, home, until};
use tokio::task::{JoinHandle, JoinSet};

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn password(id: &UserId, password: &str) -> Value {
    json!({"methods": ["password"], "password": {"user": {"id": id, "password": password}}})
}

async fn log_in(client: &Client, identity: Value) -> Answer {
    let body = json!({"auth": {"identity": identity}});
    client.post("/v3/auth/tokens", body).await
}

/// Begins a request, and waits until it has looked everything up and hashes.
async fn begin(
    app: &App,
    request: impl Future<Output = Answer> + Send + 'static,
) -> JoinHandle<Answer> {
    let before = app.parts.hasher.computed();
    let request = tokio::spawn(request);
    until(|| app.parts.hasher.computed() > before || request.is_finished()).await;
    assert!(!request.is_finished(), "it was to wait");
    request
}

/// Lets a request begin, changes its user while it hashes, and returns its answer. The user is
/// locked first, so that the request cannot be faster.
async fn overtaken(
    server: &TestServer,
    id: &UserId,
    request: impl Future<Output = Answer> + Send + 'static,
    change: impl AsyncFnOnce(&mut store::Tx),
) -> Answer {
    let mut tx = server.app.parts.store.begin().await.unwrap();
    tx.users_mut().lock(id).await.unwrap();
    let request = begin(&server.app, request).await;
    change(&mut tx).await;
    let _saved = tx.commit().await.unwrap();
    request.await.unwrap()
}

async fn hashed(server: &TestServer, text: &str) -> StoredPassword {
    StoredPassword {
        hash: Some(server.app.parts.hasher.hash(&secret(text)).await.unwrap()),
        created_at: server.app.parts.clock.now(),
        expires_at: None,
        self_service: false,
    }
}

#[tokio::test]
async fn a_password_that_is_reset_during_a_login_lets_nobody_in() {
    let server = TestServer::start().await;
    let id = server.add_person("ada", &[]).await;
    let reset = hashed(&server, "reset").await;
    let thief = server.nobody();
    let proof = password(&id, PASSWORD);
    let refused = overtaken(
        &server,
        &id,
        async move { log_in(&thief, proof).await },
        async |tx| {
            tx.users_mut()
                .replace_password(&id, &reset, 1)
                .await
                .unwrap();
        },
    )
    .await;
    refused.expect(401);
    log_in(&server.nobody(), password(&id, "reset"))
        .await
        .expect(201);
}

#[tokio::test]
async fn a_user_who_is_disabled_during_a_login_is_not_let_in() {
    let server = TestServer::start().await;
    let id = server.add_person("ada", &[]).await;
    let (client, proof) = (server.nobody(), password(&id, PASSWORD));
    let refused = overtaken(
        &server,
        &id,
        async move { log_in(&client, proof).await },
        async |tx| tx.users_mut().set_enabled(&id, false).await.unwrap(),
    )
    .await;
    assert_eq!(
        refused.message(401),
        "The request you have made requires authentication."
    );
}

#[tokio::test]
async fn a_reset_wins_over_a_change_that_verified_the_password_before() {
    let server = TestServer::start().await;
    let id = server.add_person("ada", &[]).await;
    let reset = hashed(&server, "reset").await;
    let (thief, path) = (server.nobody(), format!("/v3/users/{id}/password"));
    let body = json!({"user": {"original_password": PASSWORD, "password": "the thief's"}});
    let refused = overtaken(
        &server,
        &id,
        async move { thief.post(&path, body).await },
        async |tx| {
            tx.users_mut()
                .replace_password(&id, &reset, 1)
                .await
                .unwrap();
        },
    )
    .await;
    refused.expect(401);
    let log_in = async |text: &str| log_in(&server.nobody(), password(&id, text)).await.status;
    assert_eq!(log_in("the thief's").await, 401);
    assert_eq!(log_in("reset").await, 201);
}

#[tokio::test]
async fn a_reset_wins_over_a_change_whose_new_password_is_being_hashed() {
    let server = TestServer::start().await;
    let id = server.add_person("ada", &[]).await;
    let reset = hashed(&server, "reset").await;
    // The old password is remembered, so that the change waits with its new one.
    log_in(&server.nobody(), password(&id, PASSWORD))
        .await
        .expect(201);
    let (thief, path) = (server.nobody(), format!("/v3/users/{id}/password"));
    let body = json!({"user": {"original_password": PASSWORD, "password": "the thief's"}});
    let refused = overtaken(
        &server,
        &id,
        async move { thief.post(&path, body).await },
        async |tx| {
            tx.users_mut()
                .replace_password(&id, &reset, 1)
                .await
                .unwrap();
        },
    )
    .await;
    refused.expect(401);
    let log_in = async |text: &str| log_in(&server.nobody(), password(&id, text)).await.status;
    assert_eq!(log_in("the thief's").await, 401);
    assert_eq!(log_in("reset").await, 201);
}

#[tokio::test]
async fn of_changes_with_one_old_password_one_succeeds_and_its_password_counts() {
    let server = TestServer::start().await;
    let id = server.add_person("ada", &[]).await;
    let path = format!("/v3/users/{id}/password");
    let mut old = PASSWORD.to_owned();
    for round in 0..4 {
        let mut changes = JoinSet::new();
        for number in 0..4 {
            let new = format!("new-{round}-{number}");
            let (client, path) = (server.nobody(), path.clone());
            let body = json!({"user": {"original_password": old, "password": new}});
            changes.spawn(async move { (client.post(&path, body).await.status, new) });
        }
        let answers = changes.join_all().await;
        let mut won = answers.iter().filter(|(status, _)| *status == 204);
        let (_, new) = won.next().expect("one of them succeeds");
        assert_eq!(won.next(), None, "{answers:?}");
        assert!(
            answers
                .iter()
                .all(|(status, _)| [204, 401].contains(status))
        );
        log_in(&server.nobody(), password(&id, new))
            .await
            .expect(201);
        old.clone_from(new);
    }
}

#[tokio::test]
async fn the_password_that_was_set_last_counts_though_a_clock_is_behind() {
    let server = TestServer::start().await;
    let id = server.add_person("ada", &[]).await;
    for (hours, text) in [(0, "first"), (-2, "second"), (1, "third")] {
        let mut stored = hashed(&server, text).await;
        stored.created_at += TimeDelta::hours(hours);
        let mut tx = server.app.parts.store.begin().await.unwrap();
        tx.users_mut()
            .replace_password(&id, &stored, 3)
            .await
            .unwrap();
        let _saved = tx.commit().await.unwrap();
        log_in(&server.nobody(), password(&id, text))
            .await
            .expect(201);
    }
}

#[tokio::test]
async fn a_reset_ends_tokens_that_were_obtained_while_it_waited() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = server.add_person("ada", &[]).await;
    // Remembered, and noted for today: the thief's login writes nothing.
    log_in(&server.nobody(), password(&id, PASSWORD))
        .await
        .expect(201);
    let mut tx = server.app.parts.store.begin().await.unwrap();
    tx.users_mut().lock(&id).await.unwrap();
    let (resetter, path) = (admin.clone(), format!("/v3/users/{id}"));
    let body = json!({"user": {"password": "reset"}});
    let reset = begin(
        &server.app,
        async move { resetter.patch(&path, body).await },
    )
    .await;
    server.clock.advance(TimeDelta::seconds(10));
    let stolen = log_in(&server.nobody(), password(&id, PASSWORD)).await;
    stolen.expect(201);
    drop(tx);
    reset.await.unwrap().expect(200);
    server.clock.advance(TimeDelta::seconds(10));
    let about = admin.with_header("x-subject-token", stolen.header("X-Subject-Token"));
    about.get("/v3/auth/tokens").await.expect(404);
}

/// An application credential of somebody, and the proof of it.
async fn credential(server: &TestServer) -> (UserId, String, Value) {
    let id = server
        .add_person("ada", &[("member", Scope::Project)])
        .await;
    let ada = server
        .log_in("ada", Some(json!({"project": {"id": home()}})))
        .await;
    let path = format!("/v3/users/{id}/application_credentials");
    let body = json!({"application_credential": {"name": "ci", "secret": "s"}});
    let made = ada.post(&path, body).await.expect(201);
    let credential_id = made["application_credential"]["id"].as_str().unwrap();
    let proof = json!({
        "methods": ["application_credential"],
        "application_credential": {"id": credential_id, "secret": "s"},
    });
    (id, format!("{path}/{credential_id}"), proof)
}

/// Hashes that others wait behind, until this is dropped.
struct HeldHashes(JoinSet<()>);

impl HeldHashes {
    /// Queues more slow hashes than any test takes the time for. Those that have not begun are
    /// forgotten at the end.
    async fn new(server: &TestServer) -> Self {
        const SLOW: &str = "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW";
        const COUNT: u64 = 100;
        let before = server.app.parts.hasher.computed();
        let mut waiting = JoinSet::new();
        for _ in 0..COUNT {
            let app = Arc::clone(&server.app);
            waiting.spawn(async move {
                let right = app.parts.hasher.verify_slowly(&secret("x"), SLOW).await;
                assert_eq!(right, Ok(false));
            });
        }
        until(|| server.app.parts.hasher.computed() >= before + COUNT).await;
        Self(waiting)
    }

    fn release(mut self) {
        self.0.abort_all();
    }
}

#[tokio::test]
async fn a_credential_that_is_deleted_during_its_login_lets_nobody_in() {
    let server = TestServer::start().await;
    let (_, path, proof) = credential(&server).await;
    let owner = server
        .log_in("ada", Some(json!({"project": {"id": home()}})))
        .await;
    let held = HeldHashes::new(&server).await;
    let client = server.nobody();
    let login = begin(&server.app, async move { log_in(&client, proof).await }).await;
    owner.delete(&path).await.expect(204);
    held.release();
    login.await.unwrap().expect(401);
}

#[tokio::test]
async fn the_owner_of_a_credential_who_is_disabled_during_its_login_is_not_let_in() {
    let server = TestServer::start().await;
    let (id, _, proof) = credential(&server).await;
    let held = HeldHashes::new(&server).await;
    let client = server.nobody();
    let login = begin(&server.app, async move { log_in(&client, proof).await }).await;
    server.set_enabled(&id, false).await;
    held.release();
    login.await.unwrap().expect(401);
}

#[tokio::test]
async fn a_credential_that_expires_during_its_login_lets_nobody_in() {
    let server = TestServer::start().await;
    let (_, _, proof) = credential(&server).await;
    let end = server.app.parts.clock.now() + TimeDelta::minutes(1);
    let end = end.timestamp_micros();
    server
        .sql(&format!(
            "UPDATE application_credential SET expires_at = {end}"
        ))
        .await;
    let held = HeldHashes::new(&server).await;
    let client = server.nobody();
    let login = begin(&server.app, async move { log_in(&client, proof).await }).await;
    server.clock.advance(TimeDelta::minutes(1));
    held.release();
    login.await.unwrap().expect(401);
}

#[tokio::test]
async fn a_project_or_domain_that_is_disabled_during_a_login_gives_no_token() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = server
        .add_person("ada", &[("member", Scope::Project)])
        .await;
    let by_name = json!({"project": {"name": "home", "domain": {"id": "default"}}});
    for scope in [by_name, json!({"project": {"id": home()}})] {
        let held = HeldHashes::new(&server).await;
        let body = json!({"auth": {"identity": password(&id, PASSWORD), "scope": scope}});
        let client = server.nobody();
        let login = async move { client.post("/v3/auth/tokens", body).await };
        let login = begin(&server.app, login).await;
        let path = format!("/v3/projects/{}", home());
        let enabled = async |enabled: bool| {
            let body = json!({"project": {"enabled": enabled}});
            admin.patch(&path, body).await.expect(200);
        };
        enabled(false).await;
        held.release();
        login.await.unwrap().expect(401);
        enabled(true).await;
        // Forgotten, so that the next login hashes too.
        server.clock.advance(TimeDelta::minutes(6));
    }
}

#[tokio::test]
async fn a_token_that_is_revoked_while_a_password_is_hashed_is_no_proof() {
    let server = TestServer::start().await;
    let id = server.add_person("ada", &[]).await;
    let ada = server.log_in("ada", None).await;
    // Forgotten, so that the next login hashes.
    server.clock.advance(TimeDelta::minutes(6));
    let mut proof = password(&id, PASSWORD);
    proof["methods"] = json!(["token", "password"]);
    proof["token"] = json!({ "id": ada.token() });
    let held = HeldHashes::new(&server).await;
    let client = server.nobody();
    let login = begin(&server.app, async move { log_in(&client, proof).await }).await;
    let subject = ada.token().to_owned();
    let about = ada.with_header("x-subject-token", &subject);
    about.delete("/v3/auth/tokens").await.expect(204);
    held.release();
    login.await.unwrap().expect(404);
}

fn with_lockout(config: &mut config::Config) {
    config.security_compliance.lockout_failure_attempts = Some(3);
}

#[tokio::test]
async fn guesses_side_by_side_do_not_pass_the_lockout() {
    let server = TestServer::start_with(with_lockout).await;
    let id = server.add_person("ada", &[]).await;
    let login = server.app.parts.store.login(&id).await.unwrap();
    // All of them know the account as it was before the first.
    let mut guesses = JoinSet::new();
    for number in 0..20 {
        let text = if number == 19 { PASSWORD } else { "wrong" };
        let (app, login) = (Arc::clone(&server.app), login.clone());
        let asked = Named::Id(id.clone());
        guesses.spawn(async move {
            let now = app.parts.clock.now();
            let checked = check_password(&app.parts, &asked, login, &secret(text), now).await;
            checked.is_ok()
        });
    }
    let right = guesses.join_all().await;
    assert!(!right.contains(&true), "the right one was the last");
    log_in(&server.nobody(), password(&id, PASSWORD))
        .await
        .expect(401);
}

#[tokio::test]
async fn guesses_at_a_user_who_is_not_there_wait_for_each_other_as_well() {
    let server = TestServer::start_with(with_lockout).await;
    let ada = server.add_person("ada", &[]).await;
    let id = ada.as_str();
    let locked = server.add_person("bob", &[]).await;
    for _ in 0..3 {
        let guess = log_in(&server.nobody(), password(&locked, "wrong")).await;
        guess.expect(401);
    }
    let queues = &server.app.parts.attempt_queues;
    let known = json!({"name": "ada", "domain": {"id": "default"}});
    let unknown = json!({"name": "Nobody", "domain": {"name": "nowhere"}});
    for (account, user) in [
        (id, json!({ "id": id })),
        (id, known),
        (locked.as_str(), json!({ "id": locked })),
        ("nobody", unknown),
        ("no-id", json!({"id": "no-id"})),
    ] {
        let turn = queues.begin(account).await.unwrap();
        let mut proof = password(&ada, "wrong");
        let password = proof["password"]["user"]["password"].take();
        proof["password"]["user"] = user;
        proof["password"]["user"]["password"] = password;
        let client = server.nobody();
        let guess = tokio::spawn(async move { log_in(&client, proof).await });
        until(|| queues.length(account) == 2 || guess.is_finished()).await;
        assert!(!guess.is_finished(), "{account} does not wait");
        drop(turn);
        guess.await.unwrap().expect(401);
    }
}

#[tokio::test]
async fn of_many_guesses_at_once_only_as_many_are_looked_at_as_lock_the_account() {
    let server = TestServer::start_with(with_lockout).await;
    let id = server.add_person("ada", &[]).await;
    let mut guesses = JoinSet::new();
    for _ in 0..20 {
        let (client, proof) = (server.nobody(), password(&id, "wrong"));
        guesses.spawn(async move { log_in(&client, proof).await.status });
    }
    assert_eq!(guesses.join_all().await, [401; 20]);
    let login = server
        .app
        .parts
        .store
        .logins()
        .find(&id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(login.failed_attempts, 3);
    // When the lock is over, counting starts again.
    server.clock.advance(TimeDelta::hours(1));
    log_in(&server.nobody(), password(&id, "wrong"))
        .await
        .expect(401);
    let login = server
        .app
        .parts
        .store
        .logins()
        .find(&id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(login.failed_attempts, 1);
}

#[tokio::test]
async fn the_right_password_logs_in_many_at_once_where_failures_are_counted() {
    let server = TestServer::start_with(with_lockout).await;
    let id = server.add_person("ada", &[]).await;
    let mut logins = JoinSet::new();
    for _ in 0..20 {
        let (client, proof) = (server.nobody(), password(&id, PASSWORD));
        logins.spawn(async move { log_in(&client, proof).await.status });
    }
    assert_eq!(logins.join_all().await, [201; 20]);
}

#[tokio::test]
async fn an_account_that_is_locked_during_a_login_lets_nobody_in() {
    let server = TestServer::start_with(with_lockout).await;
    let id = server.add_person("ada", &[]).await;
    let (client, proof) = (server.nobody(), password(&id, PASSWORD));
    let refused = overtaken(
        &server,
        &id,
        async move { log_in(&client, proof).await },
        async |tx| {
            // As another node counts them.
            for _ in 0..3 {
                let now = server.app.parts.clock.now();
                tx.logins_mut().note_failure(&id, None, now).await.unwrap();
            }
        },
    )
    .await;
    refused.expect(401);
}

#[tokio::test]
async fn who_loses_their_token_while_a_secret_is_hashed_makes_no_credential() {
    let server = TestServer::start().await;
    let id = server
        .add_person("ada", &[("member", Scope::Project)])
        .await;
    let on_home = json!({"project": {"id": home()}});
    let thief = server.log_in("ada", Some(on_home.clone())).await;
    let path = format!("/v3/users/{id}/application_credentials");
    let held = HeldHashes::new(&server).await;
    let (stolen, target) = (thief.clone(), path.clone());
    let body = json!({"application_credential": {"name": "lasting"}});
    let creation = begin(&server.app, async move { stolen.post(&target, body).await }).await;
    let subject = thief.token().to_owned();
    let about = thief.with_header("x-subject-token", &subject);
    about.delete("/v3/auth/tokens").await.expect(204);
    held.release();
    creation.await.unwrap().expect(401);
    server.clock.advance(TimeDelta::seconds(1));
    let ada = server.log_in("ada", Some(on_home)).await;
    let kept = ada.get(&path).await.expect(200);
    assert_eq!(kept["application_credentials"], json!([]));
}

#[tokio::test]
async fn who_loses_their_token_while_a_password_is_hashed_sets_none() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let former = server.with_role("admin", Scope::Project).await;
    let id = server.add_person("ada", &[]).await;
    let path = format!("/v3/users/{id}");
    let body = |password: &str| json!({"user": {"name": "ada", "password": password}});
    let held = HeldHashes::new(&server).await;
    let (caller, target, change) = (former.clone(), path.clone(), body("theirs"));
    let update = begin(
        &server.app,
        async move { caller.patch(&target, change).await },
    )
    .await;
    let (caller, new) = (
        former.clone(),
        json!({"user": {"name": "eve", "password": "theirs"}}),
    );
    let create = begin(
        &server.app,
        async move { caller.post("/v3/users", new).await },
    )
    .await;
    let about = admin.clone().with_header("x-subject-token", former.token());
    about.delete("/v3/auth/tokens").await.expect(204);
    held.release();
    update.await.unwrap().expect(401);
    create.await.unwrap().expect(401);
    log_in(&server.nobody(), password(&id, "theirs"))
        .await
        .expect(401);
    let found = admin.get("/v3/users?name=eve").await.expect(200);
    assert_eq!(found["users"], json!([]));
}
