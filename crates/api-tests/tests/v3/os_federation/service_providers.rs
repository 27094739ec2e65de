//! Service providers over HTTP.

use serde_json::{Value, json};
use testkit::{PASSWORD, Scope, TestServer, home};

const PROVIDERS: &str = "/v3/OS-FEDERATION/service_providers";

#[tokio::test]
async fn a_service_provider_lives() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let path = format!("{PROVIDERS}/other");
    let created = admin.put(&path, provider(json!({}))).await.expect(201);
    assert_eq!(
        created["service_provider"],
        json!({
            "id": "other",
            "enabled": false,
            "description": null,
            "auth_url": "https://other.example/auth",
            "sp_url": "https://other.example/sp",
            "relay_state_prefix": "ss:mem:",
            "links": {"self": "http://server/v3/OS-FEDERATION/service_providers/other"},
        })
    );
    assert_eq!(admin.get(&path).await.expect(200), created);
    let change = json!({"enabled": true, "description": "Größe", "relay_state_prefix": ""});
    let changed = admin
        .patch(&path, json!({ "service_provider": change }))
        .await
        .expect(200);
    assert_eq!(changed["service_provider"]["enabled"], true);
    assert_eq!(changed["service_provider"]["relay_state_prefix"], "");
    assert_eq!(admin.get(&path).await.expect(200), changed);
    admin.delete(&path).await.expect(204);
    let message = admin.get(&path).await.message(404);
    assert_eq!(message, "Could not find Service Provider: other.");
    admin.delete(&path).await.expect(404);
}

#[tokio::test]
async fn the_prefix_of_the_relay_state_is_configured() {
    let prefix = "cookie:".to_owned();
    let server = TestServer::start_with(|config| config.saml.relay_state_prefix = prefix).await;
    let admin = server.admin().await;
    let path = format!("{PROVIDERS}/other");
    let created = admin.put(&path, provider(json!({}))).await.expect(201);
    assert_eq!(created["service_provider"]["relay_state_prefix"], "cookie:");
}

#[tokio::test]
async fn what_a_service_provider_says_must_fit() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let path = format!("{PROVIDERS}/other");
    for wrong in [
        json!({"auth_url": "no url"}),
        json!({"sp_url": ""}),
        json!({"enabled": "yes"}),
        json!({"relay_state_prefix": null}),
        json!({"relay_state_prefix": "a".repeat(257)}),
        json!({"colour": "red"}),
    ] {
        admin.put(&path, provider(wrong)).await.expect(400);
    }
    admin.put(&path, provider(json!({}))).await.expect(201);
    let message = admin.put(&path, provider(json!({}))).await.message(409);
    assert_eq!(
        message,
        "Conflict occurred attempting to store service_provider - Duplicate entry found with ID \
         other."
    );
    let change = json!({"service_provider": {"relay_state_prefix": null}});
    admin.patch(&path, change).await.expect(400);
    let change = json!({"service_provider": {}});
    admin.patch(&path, change).await.expect(400);
    let long = format!("{PROVIDERS}/{}", "a".repeat(65));
    admin.put(&long, provider(json!({}))).await.expect(400);
}

#[tokio::test]
async fn the_list_is_filtered() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for (id, enabled) in [("a-one", true), ("b-two", false)] {
        let body = provider(json!({ "enabled": enabled }));
        admin
            .put(&format!("{PROVIDERS}/{id}"), body)
            .await
            .expect(201);
    }
    let ids = async |query: &str| {
        let listed = admin.get(&format!("{PROVIDERS}?{query}")).await.expect(200);
        let providers = listed["service_providers"].as_array().unwrap().clone();
        let id = |provider: &Value| provider["id"].as_str().unwrap().to_owned();
        providers.iter().map(id).collect::<Vec<_>>()
    };
    assert_eq!(ids("").await, ["a-one", "b-two"]);
    assert_eq!(ids("enabled=true").await, ["a-one"]);
    assert_eq!(ids("id=b-two").await, ["b-two"]);
    assert_eq!(ids("id__contains=one").await, ["a-one"]);
    assert_eq!(ids("limit=1").await, ["a-one"]);
    assert_eq!(ids("limit=1&marker=a-one").await, ["b-two"]);
}

#[tokio::test]
async fn administrators_manage_service_providers_and_readers_of_the_system_see_them() {
    let server = TestServer::start().await;
    let admin = server.system_admin().await;
    let path = format!("{PROVIDERS}/other");
    admin.put(&path, provider(json!({}))).await.expect(201);
    let reader = server.with_role("reader", Scope::System).await;
    reader.get(&path).await.expect(200);
    reader.get(PROVIDERS).await.expect(200);
    reader.put(&path, provider(json!({}))).await.expect(403);
    reader.delete(&path).await.expect(403);
    let member = server.with_role("member", Scope::Project).await;
    member.get(&path).await.expect(403);
    member.get(PROVIDERS).await.expect(403);
    server.nobody().get(PROVIDERS).await.expect(401);
}

#[tokio::test]
async fn tokens_name_the_enabled_service_providers() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    server
        .add_person("ada", &[("member", Scope::Project)])
        .await;
    let named = async || {
        let mut named = Vec::new();
        for scope in [json!("unscoped"), json!({"project": {"id": home()}})] {
            let user = json!({"name": "ada", "domain": {"id": "default"}, "password": PASSWORD});
            let login = json!({"auth": {
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": scope,
            }});
            let issued = server
                .nobody()
                .post("/v3/auth/tokens?nocatalog", login)
                .await;
            let asker = admin.clone();
            let asker = asker.with_header("x-subject-token", issued.header("X-Subject-Token"));
            let validated = asker.get("/v3/auth/tokens").await.expect(200);
            for body in [issued.expect(201), validated] {
                named.push(body["token"].get("service_providers").cloned());
            }
        }
        named.dedup();
        assert_eq!(named.len(), 1, "{named:?}");
        named.remove(0)
    };
    assert_eq!(named().await, None);

    for (id, enabled) in [("b-two", true), ("a-one", true), ("off", false)] {
        let path = format!("{PROVIDERS}/{id}");
        let body = provider(json!({ "enabled": enabled }));
        admin.put(&path, body).await.expect(201);
    }
    let shown = |id: &str| {
        json!({
            "id": id,
            "auth_url": "https://other.example/auth",
            "sp_url": "https://other.example/sp",
        })
    };
    let both = json!([shown("a-one"), shown("b-two")]);
    assert_eq!(named().await, Some(both));

    let path = format!("{PROVIDERS}/a-one");
    let change = json!({"service_provider": {"enabled": false}});
    admin.patch(&path, change).await.expect(200);
    assert_eq!(named().await, Some(json!([shown("b-two")])));
    let path = format!("{PROVIDERS}/b-two");
    admin.delete(&path).await.expect(204);
    assert_eq!(named().await, None);
}

fn provider(more: Value) -> Value {
    let mut provider = json!({
        "auth_url": "https://other.example/auth",
        "sp_url": "https://other.example/sp",
    });
    for (name, value) in more.as_object().unwrap() {
        provider[name] = value.clone();
    }
    json!({ "service_provider": provider })
}
