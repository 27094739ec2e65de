//! Mappings that cannot be used, and assertions that mean nothing: neither is the server's fault.

use serde_json::{Value, json};
use testkit::{Answer, Client, TestServer};

use super::add_provider;

const PROVIDER: &str = "/v3/OS-FEDERATION/identity_providers/corp";
const MAPPING: &str = "/v3/OS-FEDERATION/mappings/m";

/// A server behind a proxy on this machine, with a provider.
async fn server() -> (TestServer, Client) {
    let server = TestServer::start_with(|config| {
        config.archstone.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let admin = server.admin().await;
    add_provider(&admin, "corp").await;
    let enabled = json!({"identity_provider": {"enabled": true}});
    admin.patch(PROVIDER, enabled).await.expect(200);
    let rules = json!([{"local": [{"user": {"name": "x"}}], "remote": [{"type": "X"}]}]);
    admin
        .put(MAPPING, json!({"mapping": {"rules": rules}}))
        .await
        .expect(201);
    let body = json!({"protocol": {"mapping_id": "m"}});
    admin
        .put(&format!("{PROVIDER}/protocols/mapped"), body)
        .await
        .expect(201);
    (server, admin)
}

/// A login by rules that make a user of `REMOTE_USER` and this of `OIDC-groups`.
async fn log_in(server: &TestServer, admin: &Client, local: Value, said: &str) -> Answer {
    let rules = json!([{
        "local": [{"user": {"name": "{0}"}}, local],
        "remote": [{"type": "REMOTE_USER"}, {"type": "HTTP_OIDC_GROUPS"}],
    }]);
    let body = json!({"mapping": {"rules": rules, "schema_version": "3.0"}});
    admin.patch(MAPPING, body).await.expect(200);
    let visitor = server.nobody().with_header("x-env-remote_user", "jane");
    let visitor = visitor.with_header("oidc-groups", said);
    visitor
        .get(&format!("{PROVIDER}/protocols/mapped/auth"))
        .await
}

#[tokio::test]
async fn a_mapping_that_cannot_be_used_is_a_bad_request() {
    let (server, admin) = server().await;
    for local in [
        json!({"group": {"id": "nowhere"}}),
        json!({"group_ids": "nowhere"}),
        json!({"groups": "{2}", "domain": {"id": "default"}}),
        json!({"groups": "{1[7]}", "domain": {"id": "default"}}),
        json!({"groups": "{1", "domain": {"id": "default"}}),
        json!({"projects_json": "x"}),
    ] {
        let answer = log_in(&server, &admin, local.clone(), "staff").await;
        assert_eq!(
            answer.message(400),
            "The mapping m of the identity provider corp cannot be used.",
            "{local}"
        );
    }
}

#[tokio::test]
async fn what_a_user_of_a_provider_says_is_never_the_servers_fault() {
    let (server, admin) = server().await;
    let groups = || json!({"groups": "{1}", "domain": {"id": "default"}});
    let ids = || json!({"group_ids": "{1}"});
    let projects = || json!({"projects_json": "{1}"});
    let project = || json!({"projects": [{"name": "{1}", "roles": [{"name": "reader"}]}]});
    for (local, said) in [
        (groups(), r#"JSON:{"name":"#),
        (groups(), r#"JSON:{"name":"a","domain":{"id":["x"]}}"#),
        (groups(), r#"JSON:{"name":"a","domain":"x"}"#),
        (groups(), r#"JSON:{"name":["a"],"domain":{"id":"x"}}"#),
        (groups(), r#"JSON:["name"]"#),
        (groups(), r#"JSON:"name""#),
        (groups(), "name domain"),
        (groups(), "[['name']]"),
        (groups(), "[1, 'name']"),
        (groups(), "[1]"),
        (ids(), "[1]"),
        (ids(), "nowhere"),
        (projects(), "{"),
        (projects(), "[1]"),
        (projects(), r#"[{"name":"a","roles":[{"name":"nobody"}]}]"#),
        (
            projects(),
            r#"[{"name":"a","roles":[],"domain":{"name":"nowhere"}}]"#,
        ),
        (project(), &"x".repeat(65)),
    ] {
        let answer = log_in(&server, &admin, local.clone(), said).await;
        assert!(
            (400..500).contains(&answer.status),
            "{local} {said}: {} {}",
            answer.status,
            answer.text
        );
    }
    let answer = log_in(&server, &admin, groups(), r#"JSON:{"name":"#).await;
    answer.expect(401);
}
