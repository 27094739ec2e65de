//! Logins at `/v3/auth/tokens` on the word of a front proxy, by the methods external and kerberos.

use config::{Config, ExternalUsers};
use serde_json::{Value, json};
use testkit::{Answer, PASSWORD, Scope, TestServer};

const PATH: &str = "/v3/auth/tokens";

/// A server whose proxy, on this machine, logs users in.
async fn server(change: impl FnOnce(&mut Config)) -> TestServer {
    TestServer::start_with(|config| {
        config.archstone.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.archstone.external_logins = true;
        change(config);
    })
    .await
}

/// A login with these variables of the proxy.
async fn log_in(
    server: &TestServer,
    variables: &[(&'static str, &str)],
    identity: Value,
) -> Answer {
    let mut client = server.nobody();
    for (name, value) in variables {
        client = client.with_header(name, value);
    }
    let auth = json!({"auth": {"identity": identity, "scope": "unscoped"}});
    client.post(PATH, auth).await
}

const JANE: (&str, &str) = ("x-env-remote_user", "jane");

fn nothing() -> Value {
    json!({"methods": []})
}

#[tokio::test]
async fn a_user_whom_the_proxy_names_needs_no_proof() {
    let server = server(|_| {}).await;
    let jane = server
        .add_person("jane", &[("member", Scope::Project)])
        .await;
    let named = json!({"methods": ["external"], "external": {}});
    for identity in [nothing(), named] {
        let answer = log_in(&server, &[JANE], identity).await.expect(201);
        assert_eq!(answer["token"]["user"]["id"], jane.as_str());
        assert_eq!(answer["token"]["methods"], json!(["external"]));
    }
    let home = json!({"project": {"id": testkit::home()}});
    let auth = json!({"auth": {"identity": nothing(), "scope": home}});
    let client = server.nobody().with_header(JANE.0, JANE.1);
    let scoped = client.post(PATH, auth).await.expect(201);
    assert_eq!(scoped["token"]["roles"][0]["name"], "member");
}

#[tokio::test]
async fn nobody_is_believed_who_is_no_trusted_proxy() {
    let stranger = server(|config| config.archstone.trusted_proxies.clear()).await;
    stranger.add_person("jane", &[]).await;
    log_in(&stranger, &[JANE], nothing()).await.expect(401);
}

#[tokio::test]
async fn a_trusted_proxy_logs_in_nobody_here_unless_it_may() {
    let off = server(|config| config.archstone.external_logins = false).await;
    off.add_person("jane", &[]).await;
    log_in(&off, &[JANE], nothing()).await.expect(401);
    let named = json!({"methods": ["external"], "external": {}});
    log_in(&off, &[JANE], named).await.expect(401);

    let disabled = server(|config| config.auth.methods = vec!["password".into()]).await;
    disabled.add_person("jane", &[]).await;
    log_in(&disabled, &[JANE], nothing()).await.expect(401);
}

#[tokio::test]
async fn the_proxy_and_the_client_have_to_mean_the_same_user() {
    let server = server(|_| {}).await;
    server.add_person("jane", &[]).await;
    server.add_person("joe", &[]).await;
    let password = |name: &str| {
        let user = json!({"name": name, "domain": {"id": "default"}, "password": PASSWORD});
        json!({"methods": ["password"], "password": {"user": user}})
    };
    let both = log_in(&server, &[JANE], password("jane")).await.expect(201);
    assert_eq!(both["token"]["methods"], json!(["external", "password"]));
    log_in(&server, &[JANE], password("joe")).await.expect(401);
    // Whom nobody knows may still prove who they are.
    let unknown = [("x-env-remote_user", "nobody")];
    let alone = log_in(&server, &unknown, password("joe")).await.expect(201);
    assert_eq!(alone["token"]["methods"], json!(["password"]));
    log_in(&server, &unknown, nothing()).await.expect(401);
}

#[tokio::test]
async fn who_is_disabled_is_not_let_in() {
    let server = server(|_| {}).await;
    let jane = server.add_person("jane", &[]).await;
    server.set_enabled(&jane, false).await;
    log_in(&server, &[JANE], nothing()).await.expect(401);
}

#[tokio::test]
async fn the_proxy_names_the_domain_where_that_is_asked_for() {
    let in_acme = [JANE, ("x-env-remote_domain", "acme")];
    for (external, name) in [
        (Some(ExternalUsers::Domain), "acme"),
        (Some(ExternalUsers::DefaultDomain), "Default"),
        (None, "Default"),
    ] {
        let server = server(|config| config.auth.external = external).await;
        server.add_person("jane", &[]).await;
        let admin = server.admin().await;
        let acme = json!({"domain": {"name": "acme"}});
        let acme = admin.post("/v3/domains", acme).await.expect(201);
        let user = json!({"user": {"name": "jane", "domain_id": acme["domain"]["id"]}});
        admin.post("/v3/users", user).await.expect(201);
        let token = log_in(&server, &in_acme, nothing()).await.expect(201);
        assert_eq!(token["token"]["user"]["domain"]["name"], name);
        let token = log_in(&server, &[JANE], nothing()).await.expect(201);
        assert_eq!(token["token"]["user"]["domain"]["name"], "Default");
    }
}

#[tokio::test]
async fn kerberos_has_to_have_been_negotiated() {
    let server = server(|config| {
        config.auth.methods = vec!["kerberos".into()];
    })
    .await;
    server.add_person("jane", &[]).await;
    let kerberos = json!({"methods": ["kerberos"], "kerberos": {}});
    log_in(&server, &[JANE], kerberos.clone()).await.expect(401);
    let basic = [JANE, ("x-env-auth_type", "Basic")];
    log_in(&server, &basic, kerberos.clone()).await.expect(401);
    let negotiated = [JANE, ("x-env-auth_type", "Negotiate")];
    let token = log_in(&server, &negotiated, kerberos).await.expect(201);
    assert_eq!(token["token"]["methods"], json!(["kerberos"]));
}
