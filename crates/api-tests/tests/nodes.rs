//! Several servers on one database: what one changes, the others learn.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use testkit::{Client, PASSWORD, Scope, TestServer, home};

async fn nodes() -> (TestServer, TestServer) {
    let one = TestServer::start().await;
    let other = one.second_node().await;
    (one, other)
}

/// Lets the second go by within which nodes learn of each other's changes.
fn a_second_passes(node: &TestServer) {
    node.clock.advance(TimeDelta::seconds(1));
}

async fn validate(node: &TestServer, by: &Client, token: &Client) -> u16 {
    let by = node.nobody().with_token(by.token());
    by.with_header("x-subject-token", token.token())
        .get("/v3/auth/tokens")
        .await
        .status
}

#[tokio::test]
async fn a_token_that_one_node_revokes_is_refused_by_the_others() {
    let (one, other) = nodes().await;
    let admin = one.admin().await;
    let member = one.with_role("member", Scope::Project).await;
    assert_eq!(validate(&other, &admin, &member).await, 200);

    let revoke = one
        .nobody()
        .with_token(admin.token())
        .with_header("x-subject-token", member.token());
    revoke.delete("/v3/auth/tokens").await.expect(204);
    assert_eq!(validate(&one, &admin, &member).await, 404, "at once here");
    a_second_passes(&other);
    assert_eq!(validate(&other, &admin, &member).await, 404);
}

#[tokio::test]
async fn a_role_that_is_taken_away_on_one_node_is_in_no_token_that_another_issues() {
    let (one, other) = nodes().await;
    let admin = one.admin().await;
    one.with_role("member", Scope::Project).await;
    let on_home = Some(json!({"project": {"id": home()}}));
    // The other node keeps the roles in memory now.
    other.log_in("member-project", on_home.clone()).await;

    let user = admin.get("/v3/users?name=member-project").await.expect(200);
    let user = user["users"][0]["id"].as_str().unwrap().to_owned();
    let role = admin.get("/v3/roles?name=member").await.expect(200);
    let role = role["roles"][0]["id"].as_str().unwrap().to_owned();
    let grant = format!("/v3/projects/{}/users/{user}/roles/{role}", home());
    admin.delete(&grant).await.expect(204);

    let login = json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {
            "name": "member-project", "domain": {"id": "default"}, "password": PASSWORD,
        }}},
        "scope": on_home,
    }});
    // No word was passed between the nodes, and no time has gone by.
    other
        .nobody()
        .post("/v3/auth/tokens", login)
        .await
        .expect(401);
}

fn login(name: &str, password: &str) -> serde_json::Value {
    json!({"auth": {"identity": {"methods": ["password"], "password": {"user": {
        "name": name, "domain": {"id": "default"}, "password": password,
    }}}}})
}

/// The status of a login at a node.
async fn log_in(node: &TestServer, name: &str, password: &str) -> u16 {
    let nobody = node.nobody();
    let answer = nobody.post("/v3/auth/tokens", login(name, password)).await;
    answer.status
}

#[tokio::test]
async fn a_login_is_judged_by_what_other_nodes_have_changed() {
    let (one, other) = nodes().await;
    let admin = one.admin().await;
    let ada = one.add_person("ada", &[]).await;
    let path = format!("/v3/users/{ada}");
    let change = async |user: serde_json::Value| {
        admin
            .patch(&path, json!({ "user": user }))
            .await
            .expect(200);
    };
    // No word is passed between the nodes, and no time goes by. Each time the other node knows the
    // user and remembers the password.
    for _ in 0..2 {
        assert_eq!(log_in(&other, "ada", PASSWORD).await, 201);
    }
    change(json!({"password": "another horse"})).await;
    assert_eq!(
        log_in(&other, "ada", PASSWORD).await,
        401,
        "the former password"
    );
    for _ in 0..2 {
        assert_eq!(log_in(&other, "ada", "another horse").await, 201);
    }
    change(json!({"enabled": false})).await;
    assert_eq!(
        log_in(&other, "ada", "another horse").await,
        401,
        "disabled"
    );
    change(json!({"enabled": true})).await;
    assert_eq!(log_in(&other, "ada", "another horse").await, 201);

    change(json!({"name": "lovelace"})).await;
    assert_eq!(
        log_in(&other, "ada", "another horse").await,
        401,
        "the former name"
    );
    assert_eq!(log_in(&other, "lovelace", "another horse").await, 201);
    let namesake = json!({"user": {"name": "ada", "password": PASSWORD}});
    admin.post("/v3/users", namesake).await.expect(201);
    assert_eq!(
        log_in(&other, "ada", "another horse").await,
        401,
        "somebody else's"
    );
    assert_eq!(log_in(&other, "ada", PASSWORD).await, 201);

    change(json!({"options": {"multi_factor_auth_rules": [["password", "token"]]}})).await;
    assert_eq!(
        log_in(&other, "lovelace", "another horse").await,
        401,
        "more methods"
    );
}

#[tokio::test]
async fn failures_at_one_node_lock_the_account_at_the_others() {
    let one = TestServer::start_with(|config| {
        config.security_compliance.lockout_failure_attempts = Some(3);
    })
    .await;
    let other = one.second_node().await;
    one.add_person("ada", &[]).await;
    for _ in 0..2 {
        assert_eq!(log_in(&other, "ada", PASSWORD).await, 201);
    }
    for _ in 0..3 {
        assert_eq!(log_in(&one, "ada", "wrong").await, 401);
    }
    assert_eq!(
        log_in(&other, "ada", PASSWORD).await,
        401,
        "the remembered password"
    );
    assert_eq!(log_in(&one, "ada", PASSWORD).await, 401);
}

#[tokio::test]
async fn a_project_is_found_by_the_name_that_it_has_now() {
    let (one, other) = nodes().await;
    let admin = one.admin().await;
    one.with_role("member", Scope::Project).await;
    let by_name = async |name: &str| {
        let mut body = login("member-project", PASSWORD);
        body["auth"]["scope"] = json!({"project": {"name": name, "domain": {"id": "default"}}});
        other.nobody().post("/v3/auth/tokens", body).await
    };
    for _ in 0..2 {
        by_name("home").await.expect(201);
    }
    let path = format!("/v3/projects/{}", home());
    let renamed = json!({"project": {"name": "house"}});
    admin.patch(&path, renamed).await.expect(200);
    by_name("home").await.expect(401);
    let token = by_name("house").await.expect(201);
    assert_eq!(token["token"]["project"]["id"], json!(home()));
}

#[tokio::test]
async fn an_application_credential_that_one_node_deletes_logs_nobody_in_at_another() {
    let (one, other) = nodes().await;
    let member = one.with_role("member", Scope::Project).await;
    let admin = one.admin().await;
    let user = admin.get("/v3/users?name=member-project").await.expect(200);
    let user = user["users"][0]["id"].as_str().unwrap();
    let path = format!("/v3/users/{user}/application_credentials");
    let made = json!({"application_credential": {"name": "ci"}});
    let made = member.post(&path, made).await.expect(201);
    let made = &made["application_credential"];
    let log_in = async || {
        let proof = json!({"id": made["id"], "secret": made["secret"]});
        let body = json!({"auth": {"identity": {
            "methods": ["application_credential"], "application_credential": proof,
        }}});
        other.nobody().post("/v3/auth/tokens", body).await.status
    };
    for _ in 0..2 {
        assert_eq!(log_in().await, 201);
    }
    let path = format!("{path}/{}", made["id"].as_str().unwrap());
    member.delete(&path).await.expect(204);
    assert_eq!(log_in().await, 401);
}

#[tokio::test]
async fn a_login_with_a_provider_goes_on_at_any_node() {
    let dashboard = "https://horizon.example/auth/websso/";
    let one = TestServer::start_with(|config| {
        config.archstone.private_providers = true;
        config.federation.trusted_dashboard = vec![dashboard.to_owned()].into();
    })
    .await;
    let other = one.second_node().await;
    let admin = one.admin().await;
    let rule = json!({"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "X"}]});
    let mapping = json!({"mapping": {"rules": [rule]}});
    admin
        .put("/v3/OS-FEDERATION/mappings/m", mapping)
        .await
        .expect(201);
    let provider = "/v3/OS-FEDERATION/identity_providers/corp";
    let body = json!({"identity_provider": {"enabled": true}});
    admin.put(provider, body).await.expect(201);
    let protocol = format!("{provider}/protocols/openid");
    // Nobody listens there: what a login comes to is that the provider does not answer.
    let settings = json!({
        "issuer": "http://127.0.0.1:9", "client_id": "first", "client_secret": "hush",
        "authorization_endpoint": "http://127.0.0.1:9/authorize",
        "token_endpoint": "http://127.0.0.1:9/token", "jwks_uri": "http://127.0.0.1:9/keys",
    });
    let spoken = json!({"mapping_id": "m", "driver": "oidc", "settings": settings});
    let body = json!({ "protocol": spoken });
    admin.put(&protocol, body).await.expect(201);

    let place = "/v3/auth/OS-FEDERATION/identity_providers/corp/protocols/openid";
    let begin = async |node: &TestServer| {
        let path = format!("{place}/websso?origin={dashboard}");
        let answer = node.nobody().get(&path).await;
        answer.expect_text(303);
        answer
    };
    let at_other = begin(&other).await;
    assert!(at_other.header("Location").contains("client_id=first"));
    // What is changed on one node counts on the other with the next login.
    let change = json!({"protocol": {"mapping_id": "m", "settings": {"client_id": "second"}}});
    admin.patch(&protocol, change).await.expect(200);
    let begun = begin(&other).await;
    let location = begun.header("Location");
    assert!(location.contains("client_id=second"), "{location}");

    // The one finishes what the other began, without a word between them.
    let (_, state) = location.split_once("state=").unwrap();
    let state = state.split('&').next().unwrap();
    let (cookie, _) = begun.header("Set-Cookie").split_once(';').unwrap();
    let browser = one.nobody().with_header("cookie", cookie);
    let callback = format!("{place}/callback?code=x&state={state}");
    // It got as far as to ask the provider.
    browser.get(&callback).await.expect(503);
    one.nobody().get(&callback).await.expect(401);
}

#[tokio::test]
async fn a_user_that_one_node_disables_is_disabled_on_the_others() {
    let (one, other) = nodes().await;
    let admin = one.admin().await;
    let member = one.with_role("member", Scope::Project).await;
    assert_eq!(validate(&other, &admin, &member).await, 200);

    let users = admin.get("/v3/users?name=member-project").await.expect(200);
    let path = format!("/v3/users/{}", users["users"][0]["id"].as_str().unwrap());
    admin
        .patch(&path, json!({"user": {"enabled": false}}))
        .await
        .expect(200);
    a_second_passes(&other);
    assert_eq!(validate(&other, &admin, &member).await, 404);
}

#[tokio::test]
async fn a_service_provider_that_one_node_adds_is_in_the_tokens_of_the_others() {
    let (one, other) = nodes().await;
    let admin = one.admin().await;
    let own = other.nobody().with_token(admin.token());
    let own = own.with_header("x-subject-token", admin.token());
    let token = own.get("/v3/auth/tokens").await.expect(200);
    assert_eq!(token["token"].get("service_providers"), None);

    let provider = json!({"auth_url": "https://a.example", "sp_url": "https://b.example"});
    let mut provider = json!({ "service_provider": provider });
    provider["service_provider"]["enabled"] = true.into();
    let path = "/v3/OS-FEDERATION/service_providers/elsewhere";
    admin.put(path, provider).await.expect(201);
    a_second_passes(&other);
    let token = own.get("/v3/auth/tokens").await.expect(200);
    assert_eq!(token["token"]["service_providers"][0]["id"], "elsewhere");
}

#[tokio::test]
async fn a_strict_node_asks_before_every_validation() {
    let one = TestServer::start_with(|config| {
        config.archstone.strict_validation = true;
    })
    .await;
    let other = one.second_node().await;
    let admin = one.admin().await;
    let member = one.with_role("member", Scope::Project).await;
    assert_eq!(validate(&other, &admin, &member).await, 200);

    let revoke = one
        .nobody()
        .with_token(admin.token())
        .with_header("x-subject-token", member.token());
    revoke.delete("/v3/auth/tokens").await.expect(204);
    assert_eq!(
        validate(&other, &admin, &member).await,
        404,
        "without waiting"
    );
}

#[tokio::test]
async fn a_node_learns_of_a_revocation_also_when_nobody_asks_it_anything() {
    let (one, other) = nodes().await;
    let admin = one.admin().await;
    let member = one.with_role("member", Scope::Project).await;
    assert_eq!(validate(&other, &admin, &member).await, 200);
    let sql = "INSERT INTO revocation_event (issued_before, revoked_at) \
               VALUES ('2026-05-04 03:02:01', '2026-05-04 03:02:01')";
    one.sql(sql).await;
    // The clock stands still, so that no validation asks for itself.
    let learns = async {
        while validate(&other, &admin, &member).await == 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let learned = tokio::time::timeout(Duration::from_secs(30), learns);
    learned.await.expect("the other node learns of it");
}

#[tokio::test]
async fn those_who_ask_together_share_a_question() {
    let (one, _) = nodes().await;
    let store = &one.app.parts.store;
    store.sync().await.unwrap();
    let before = store.statements();
    let questions = (0..50).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.sync().await })
    });
    for question in questions.collect::<Vec<_>>() {
        question.await.unwrap().unwrap();
    }
    let asked = store.statements() - before;
    assert!(
        (1..50).contains(&asked),
        "{asked} statements for 50 questions"
    );
}
