//! What a change of a provider or its settings does to secrets, logins and tokens.

use config::Config;
use serde_json::{Value, json};
use testkit::{Client, TestServer};

use super::{DASHBOARD, PROVIDERS, add_provider, oidc, server, websso};

const PROTOCOL: &str = "/v3/OS-FEDERATION/identity_providers/b/protocols/mapped";

const LOGIN: &str = "/v3/OS-FEDERATION/identity_providers/b/protocols/mapped/auth";

fn oauth2() -> Value {
    json!({"mapping_id": "m", "driver": "oauth2", "settings": {
        "authorization_endpoint": "https://idp.example/authorize",
        "token_endpoint": "https://idp.example/token",
        "introspection_endpoint": "https://idp.example/introspect",
        "userinfo_endpoint": "https://idp.example/me",
        "client_id": "c", "client_secret": "hush", "attributes": "userinfo",
    }})
}

fn oauth1() -> Value {
    json!({"mapping_id": "m", "driver": "oauth1", "settings": {
        "request_token_url": "https://idp.example/initiate",
        "authorization_url": "https://idp.example/authorize",
        "access_token_url": "https://idp.example/token",
        "attributes_url": "https://idp.example/me",
        "consumer_key": "c", "consumer_secret": "hush", "subject": "id",
    }})
}

#[tokio::test]
async fn a_secret_does_not_follow_an_address_to_another_host() {
    let (_server, admin) = server().await;
    for (spoken, secret, addresses) in [
        (
            oidc("Bees"),
            "client_secret",
            vec![
                "issuer",
                "token_endpoint",
                "userinfo_endpoint",
                "introspection_endpoint",
                "pushed_authorization_request_endpoint",
            ],
        ),
        (
            oauth2(),
            "client_secret",
            vec![
                "issuer",
                "metadata_url",
                "token_endpoint",
                "userinfo_endpoint",
                "introspection_endpoint",
            ],
        ),
        (
            oauth1(),
            "consumer_secret",
            vec!["request_token_url", "access_token_url", "attributes_url"],
        ),
    ] {
        let change = async |settings: Value| {
            let change = json!({"protocol": {"mapping_id": "m", "settings": settings}});
            admin.patch(PROTOCOL, change).await
        };
        for address in addresses {
            add_provider(&admin, "b", spoken.clone()).await;
            change(json!({address: "https://idp.example/here"})).await;
            let before = admin.get(PROTOCOL).await.expect(200);
            let message = change(json!({address: "https://evil.example/"}))
                .await
                .message(400);
            assert!(message.contains(&format!("'{secret}'")), "{message}");
            assert!(message.contains(address), "{message}");
            assert_eq!(admin.get(PROTOCOL).await.expect(200), before);
            // Nor does it go along when its address is taken away and set again.
            let away = change(json!({address: null})).await;
            if away.status == 200 {
                change(json!({address: "https://evil.example/"}))
                    .await
                    .expect(400);
            }
            // On the same host it stays, and with the secret anything goes.
            change(json!({address: "https://idp.example/other"})).await;
            change(json!({address: "https://evil.example/", secret: "hush"}))
                .await
                .expect(200);
            admin.delete(&format!("{PROVIDERS}/b")).await.expect(204);
        }
    }
}

#[tokio::test]
async fn what_does_not_lead_elsewhere_needs_no_secret() {
    let (_server, admin) = server().await;
    add_provider(&admin, "b", oidc("Bees")).await;
    for settings in [
        json!({"token_endpoint": "https://idp.example/v2/token"}),
        json!({"token_endpoint": "https://IDP.example:443/v2/token"}),
        json!({"display_name": "Wasps", "scopes": ["openid"], "userinfo": true}),
        json!({"userinfo_endpoint": "https://idp.example/me"}),
    ] {
        let change = json!({"protocol": {"mapping_id": "m", "settings": settings}});
        admin.patch(PROTOCOL, change).await.expect(200);
    }
}

#[tokio::test]
async fn a_wrong_type_names_the_setting_and_what_fits() {
    let (_server, admin) = server().await;
    add_provider(&admin, "b", oidc("Bees")).await;
    for (settings, said) in [
        (
            json!({"scopes": "openid"}),
            "Invalid setting 'scopes': expected a list of strings, got a string.",
        ),
        (
            json!({"client_secret": 4711}),
            "Invalid setting 'client_secret': expected a string, got an integer.",
        ),
    ] {
        let change = json!({"protocol": {"mapping_id": "m", "settings": settings}});
        assert_eq!(admin.patch(PROTOCOL, change).await.message(400), said);
    }
}

#[tokio::test]
async fn a_dashboard_is_trusted_whatever_the_case_of_its_scheme_and_host() {
    let server = TestServer::start_with(|config| {
        let written = "https://Horizon.Example/Auth/websso/".to_owned();
        config.federation.trusted_dashboard = vec![written].into();
    })
    .await;
    let admin = server.admin().await;
    super::super::super::os_federation::add_mapping(&admin, "m").await;
    add_provider(&admin, "b", oidc("Bees")).await;
    for (origin, status) in [
        ("https://Horizon.Example/Auth/websso/", 303),
        ("https://horizon.example/Auth/websso/", 303),
        ("HTTPS://HORIZON.EXAMPLE/Auth/websso/", 303),
        ("https://horizon.example/auth/websso/", 401),
        ("http://horizon.example/Auth/websso/", 401),
        ("https://horizon.example.evil.example/Auth/websso/", 401),
        ("https://horizon.example@evil.example/Auth/websso/", 401),
    ] {
        let begin = format!("{}?origin={origin}", websso("b"));
        let answer = server.nobody().get(&begin).await;
        assert_eq!(answer.status, status, "{origin}");
    }
}

#[tokio::test]
async fn another_port_than_the_one_of_the_connection_is_not_told_to_a_provider() {
    let (server, admin) = server().await;
    add_provider(&admin, "b", oidc("Bees")).await;
    let begin = format!("{}?origin={DASHBOARD}", websso("b"));
    server.nobody().get(&begin).await.expect_text(303);
    for host in ["127.0.0.1:1", "localhost:1", "127.0.0.1"] {
        let posing = server.nobody().with_header("host", host);
        posing.get(&begin).await.expect(500);
    }
}

#[tokio::test]
async fn an_answer_that_is_posted_across_sites_finds_its_cookie() {
    let server = TestServer::start_with(|config| {
        let text = "[DEFAULT]\npublic_endpoint = https://cloud.example/\n";
        let read = Config::parse("keystone.conf".as_ref(), text).unwrap();
        config.default.public_endpoint = read.default.public_endpoint;
        config.federation.trusted_dashboard = vec![DASHBOARD.to_owned()].into();
    })
    .await;
    let admin = server.admin().await;
    super::super::super::os_federation::add_mapping(&admin, "m").await;
    for (driver, mut spoken) in [("oidc", oidc("Bees")), ("oauth2", oauth2())] {
        spoken["settings"]["response_mode"] = json!("form_post");
        spoken["settings"]["token_endpoint"] = json!("https://127.0.0.1:9/token");
        add_provider(&admin, driver, spoken).await;
        let begin = format!("{}?origin={DASHBOARD}", websso(driver));
        let begun = server.nobody().get(&begin).await;
        assert!(begun.header("Location").contains("response_mode=form_post"));
        let cookie = begun.header("Set-Cookie").to_owned();
        assert!(
            cookie.ends_with("; HttpOnly; Secure; SameSite=None"),
            "{cookie}"
        );
        let (_, state) = begun.header("Location").split_once("state=").unwrap();
        let state = state.split('&').next().unwrap();
        let (pair, _) = cookie.split_once(';').unwrap();
        let callback = websso(driver).replace("websso", "callback");
        let form = [("code", "x"), ("state", state)];
        let browser = server.nobody().with_header("cookie", pair);
        // It got as far as to ask the provider, which nobody runs.
        browser.post_form(&callback, &form).await.expect(503);
        server
            .nobody()
            .post_form(&callback, &form)
            .await
            .expect(401);
    }
}

/// A server with a user of a provider, by a proxy, and what ends tokens set.
async fn with_jane(ends: bool) -> (TestServer, Client) {
    let server = TestServer::start_with(|config| {
        config.archstone.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.archstone.disabled_provider_ends_tokens = ends;
    })
    .await;
    let admin = server.admin().await;
    super::super::super::os_federation::add_mapping(&admin, "m").await;
    add_provider(&admin, "b", json!({"mapping_id": "m"})).await;
    (server, admin)
}

async fn log_in(server: &TestServer, user: &str) -> testkit::Answer {
    let client = server.nobody().with_header("x-env-remote_user", user);
    client.get(LOGIN).await
}

#[tokio::test]
async fn a_disabled_provider_ends_its_tokens_where_that_is_set() {
    for ends in [false, true] {
        let (server, admin) = with_jane(ends).await;
        let answer = log_in(&server, "jane").await;
        answer.expect(201);
        let token = answer.header("X-Subject-Token").to_owned();
        let own = || server.nobody().with_token(&token);
        let scopes = "/v3/auth/projects";
        own().get(scopes).await.expect(200);
        let set = async |enabled: bool| {
            let body = json!({"identity_provider": {"enabled": enabled}});
            admin
                .patch(&format!("{PROVIDERS}/b"), body)
                .await
                .expect(200);
        };
        set(false).await;
        let subject = admin.clone().with_header("x-subject-token", &token);
        let (own_status, subject_status) = if ends { (401, 404) } else { (200, 200) };
        own().get(scopes).await.expect(own_status);
        subject.get("/v3/auth/tokens").await.expect(subject_status);
        log_in(&server, "jane").await.expect(403);
        // What has ended does not come back, and new logins do.
        server.clock.advance(chrono::TimeDelta::seconds(2));
        set(true).await;
        own().get(scopes).await.expect(own_status);
        log_in(&server, "jane").await.expect(201);
    }
}

#[tokio::test]
async fn a_disabled_provider_ends_tokens_that_were_obtained_while_the_change_waited() {
    let (server, admin) = with_jane(true).await;
    let first = log_in(&server, "jane").await;
    first.expect(201);
    let mut tx = server.app.parts.store.begin().await.unwrap();
    let mut providers = tx.identity_providers_mut();
    providers.lock(&"b".into()).await.unwrap();
    let set = |enabled: bool| {
        let admin = admin.clone();
        let body = json!({"identity_provider": {"enabled": enabled}});
        tokio::spawn(async move { admin.patch(&format!("{PROVIDERS}/b"), body).await })
    };
    let change = set(false);
    server.until_it_waits(|| change.is_finished()).await;
    server.clock.advance(chrono::TimeDelta::seconds(10));
    let identity = json!({"methods": ["token"], "token": {"id": first.header("X-Subject-Token")}});
    let body = json!({"auth": {"identity": identity}});
    let second = server.nobody().post("/v3/auth/tokens", body).await;
    second.expect(201);
    drop(tx);
    change.await.unwrap().expect(200);
    server.clock.advance(chrono::TimeDelta::seconds(10));
    set(true).await.unwrap().expect(200);
    for token in [first, second] {
        let about = admin.clone();
        let about = about.with_header("x-subject-token", token.header("X-Subject-Token"));
        about.get("/v3/auth/tokens").await.expect(404);
    }
}

#[tokio::test]
async fn a_provider_that_somebody_else_disables_ends_its_tokens_too() {
    let (server, _admin) = with_jane(true).await;
    let answer = log_in(&server, "jane").await;
    answer.expect(201);
    let token = answer.header("X-Subject-Token").to_owned();
    // As a Keystone on the same database does it; other nodes' changes are told by a row.
    server
        .sql("UPDATE identity_provider SET enabled = (1 = 0)")
        .await;
    let second_node = server.second_node().await;
    second_node
        .nobody()
        .with_token(&token)
        .get("/v3/auth/projects")
        .await
        .expect(401);
}

#[tokio::test]
async fn a_provider_that_somebody_else_deletes_takes_its_tokens_along() {
    let (server, admin) = with_jane(false).await;
    let answer = log_in(&server, "jane").await;
    answer.expect(201);
    let token = answer.header("X-Subject-Token").to_owned();
    server.sql("DELETE FROM identity_provider").await;
    // As a Keystone on the same database does it, which leaves the user.
    let second_node = server.second_node().await;
    let jane = second_node.nobody().with_token(&token);
    let answer = jane.get("/v3/auth/projects").await;
    let error = answer.expect(404);
    assert!(
        error
            .to_string()
            .contains("Could not find Identity Provider: b.")
    );
    let admin = second_node.nobody().with_token(admin.token());
    let subject = admin.with_header("x-subject-token", &token);
    subject.get("/v3/auth/tokens").await.expect(404);
}

#[tokio::test]
async fn a_provider_can_be_deleted_while_people_log_in() {
    let (server, admin) = with_jane(false).await;
    for round in 0..10 {
        let mut logins = tokio::task::JoinSet::new();
        for number in 0..6 {
            let name = format!("u{round}-{number}");
            let client = server.nobody().with_header("x-env-remote_user", &name);
            logins.spawn(async move { client.get(LOGIN).await.status });
        }
        admin.delete(&format!("{PROVIDERS}/b")).await.expect(204);
        while let Some(status) = logins.join_next().await {
            let status = status.unwrap();
            assert!([201, 401, 403, 404, 409].contains(&status), "{status}");
        }
        add_provider(&admin, "b", json!({"mapping_id": "m"})).await;
    }
}
