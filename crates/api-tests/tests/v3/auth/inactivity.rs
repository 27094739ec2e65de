//! Users who have been away for too long: no way in is open to them, and what they had is void.

use chrono::TimeDelta;
use serde_json::{Value, json};
use testkit::{Answer, Client, PASSWORD, Scope, TestServer, home};

async fn server() -> TestServer {
    TestServer::start_with(|config| {
        config
            .security_compliance
            .disable_user_account_days_inactive = Some(90);
        config.token.expiration = std::time::Duration::from_secs(86_400 * 1_000);
        config.archstone.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.archstone.external_logins = true;
    })
    .await
}

async fn log_in(client: &Client, identity: Value) -> Answer {
    let body = json!({"auth": {"identity": identity}});
    client.post("/v3/auth/tokens", body).await
}

#[tokio::test]
async fn who_has_been_away_for_too_long_has_no_way_in() {
    let server = server().await;
    let admin = server.admin().await;
    let id = server
        .add_person("ada", &[("member", Scope::Project)])
        .await;
    let ada = server
        .log_in("ada", Some(json!({"project": {"id": home()}})))
        .await;
    let path = format!("/v3/users/{id}/application_credentials");
    let body = json!({"application_credential": {"name": "ci", "secret": "s"}});
    let made = ada.post(&path, body).await.expect(201);
    let rules = json!([{"local": [{"user": {"type": "local", "name": "ada", "domain": {"id": "default"}}}],
        "remote": [{"type": "REMOTE_USER"}]}]);
    let body = json!({"mapping": {"rules": rules}});
    admin
        .put("/v3/OS-FEDERATION/mappings/m", body)
        .await
        .expect(201);
    let provider = "/v3/OS-FEDERATION/identity_providers/corp";
    let body = json!({"identity_provider": {"enabled": true}});
    admin.put(provider, body).await.expect(201);
    let protocol = format!("{provider}/protocols/mapped");
    let body = json!({"protocol": {"mapping_id": "m"}});
    admin.put(&protocol, body).await.expect(201);

    let nobody = server.nobody();
    let proxy = nobody.clone().with_header("x-env-remote_user", "ada");
    let password = json!({
        "methods": ["password"], "password": {"user": {"id": id, "password": PASSWORD}},
    });
    let credential = json!({
        "methods": ["application_credential"],
        "application_credential": {"id": made["application_credential"]["id"], "secret": "s"},
    });
    let token = json!({"methods": ["token"], "token": {"id": ada.token()}});
    let external = json!({"methods": ["external"], "external": {}});
    let ways = async || {
        [
            log_in(&nobody, password.clone()).await.status,
            log_in(&nobody, credential.clone()).await.status,
            log_in(&nobody, token.clone()).await.status,
            log_in(&proxy, external.clone()).await.status,
            proxy.get(&format!("{protocol}/auth")).await.status,
            ada.get("/v3/auth/projects").await.status,
        ]
    };
    assert_eq!(ways().await, [201, 201, 201, 201, 201, 200]);
    server.clock.advance(TimeDelta::days(89));
    assert_eq!(ada.get("/v3/auth/projects").await.status, 200);
    server.clock.advance(TimeDelta::days(1));
    assert_eq!(ways().await, [401, 401, 404, 401, 401, 401]);
}

#[tokio::test]
async fn a_login_keeps_the_tokens_of_a_user_whom_a_server_remembers_from_long_ago() {
    let server = server().await;
    server.add_person("ada", &[]).await;
    let ada = server.log_in("ada", None).await;
    ada.get("/v3/auth/projects").await.expect(200);
    server.clock.advance(TimeDelta::days(60));
    server.log_in("ada", None).await;
    server.clock.advance(TimeDelta::days(60));
    ada.get("/v3/auth/projects").await.expect(200);
    server.clock.advance(TimeDelta::days(30));
    ada.get("/v3/auth/projects").await.expect(401);
}
