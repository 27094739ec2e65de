//! Identity providers over HTTP.

use serde_json::{Value, json};
use testkit::{Answer, Scope, TestServer};

use super::{add_mapping, add_protocol, add_provider};

const PROVIDERS: &str = "/v3/OS-FEDERATION/identity_providers";

#[tokio::test]
async fn an_identity_provider_lives() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let path = format!("{PROVIDERS}/corp");
    let created = admin
        .put(
            &path,
            json!({"identity_provider": {
                "domain_id": "default", "description": "Größe", "remote_ids": ["z", "a"],
                "authorization_ttl": 10,
            }}),
        )
        .await
        .expect(201);
    assert_eq!(
        created["identity_provider"],
        json!({
            "id": "corp",
            "domain_id": "default",
            "enabled": false,
            "description": "Größe",
            "remote_ids": ["z", "a"],
            "authorization_ttl": 10,
            "links": {"self": "http://server/v3/OS-FEDERATION/identity_providers/corp"},
        })
    );
    let shown = admin.get(&path).await.expect(200);
    assert_eq!(shown["identity_provider"]["remote_ids"], json!(["a", "z"]));
    let changed = admin
        .patch(
            &path,
            json!({"identity_provider": {"enabled": true, "remote_ids": ["b"], "description": null}}),
        )
        .await
        .expect(200);
    let provider = &changed["identity_provider"];
    assert_eq!(provider["enabled"], true);
    assert_eq!(provider["remote_ids"], json!(["b"]));
    assert_eq!(provider["description"], Value::Null);
    assert_eq!(provider["authorization_ttl"], 10);
    assert_eq!(admin.get(&path).await.expect(200), changed);
    admin.delete(&path).await.expect(204);
    let message = admin.get(&path).await.message(404);
    assert_eq!(message, "Could not find Identity Provider: corp.");
    admin.delete(&path).await.expect(404);
    admin.get("/v3/domains/default").await.expect(200);
}

#[tokio::test]
async fn a_provider_without_a_domain_gets_one_that_outlives_it() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let path = format!("{PROVIDERS}/corp");
    let created = admin.put_empty(&path).await.expect(201);
    let domain = created["identity_provider"]["domain_id"].as_str().unwrap();
    let domain_path = format!("/v3/domains/{domain}");
    let shown = admin.get(&domain_path).await.expect(200);
    assert_eq!(shown["domain"]["name"], domain);
    assert_eq!(
        shown["domain"]["description"],
        "Auto generated federated domain for Identity Provider: corp"
    );
    // A second one of that name leaves no domain behind.
    let domains = async || {
        let listed = admin.get("/v3/domains").await.expect(200);
        listed["domains"].as_array().unwrap().len()
    };
    let before = domains().await;
    let message = admin.put_empty(&path).await.message(409);
    assert_eq!(
        message,
        "Conflict occurred attempting to store identity_provider - Duplicate entry: corp."
    );
    assert_eq!(domains().await, before);
    admin.delete(&path).await.expect(204);
    admin.get(&domain_path).await.expect(200);
}

#[tokio::test]
async fn two_providers_never_sign_under_one_name() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let provider = |remote_id: &str| json!({"identity_provider": {"domain_id": "default", "remote_ids": [remote_id]}});
    let one = format!("{PROVIDERS}/one");
    let two = format!("{PROVIDERS}/two");
    admin
        .put(&one, provider("https://corp.example"))
        .await
        .expect(201);
    let taken = "Conflict occurred attempting to store identity_provider - Duplicate remote ID: \
                 https://corp.example.";
    let answer = admin.put(&two, provider("https://corp.example")).await;
    assert_eq!(answer.message(409), taken);
    admin.get(&two).await.expect(404);
    admin
        .put(&two, provider("https://other.example"))
        .await
        .expect(201);
    let change = json!({"identity_provider": {"remote_ids": ["https://corp.example"]}});
    assert_eq!(admin.patch(&two, change.clone()).await.message(409), taken);
    let kept = admin.get(&two).await.expect(200);
    assert_eq!(
        kept["identity_provider"]["remote_ids"],
        json!(["https://other.example"])
    );
    admin.delete(&one).await.expect(204);
    admin.patch(&two, change).await.expect(200);
}

#[tokio::test]
async fn what_a_provider_says_must_fit() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let put = async |id: &str, provider: Value| {
        let path = format!("{PROVIDERS}/{id}");
        admin
            .put(&path, json!({ "identity_provider": provider }))
            .await
    };
    let answer = put("corp", json!({"domain_id": "nowhere"})).await;
    assert_eq!(answer.message(404), "Could not find domain: nowhere.");
    let long = "a".repeat(65);
    let message = put(&long, json!({"domain_id": "default"}))
        .await
        .message(400);
    assert!(message.ends_with("exceeds the limit of column id(CHAR(64))."));
    let answer = put("corp", json!({"authorization_ttl": 3_000_000_000_u64})).await;
    assert!(
        answer
            .message(400)
            .contains("greater than the maximum of 2147483647")
    );
    put("corp", json!({"enabled": "true"})).await.expect(400);
    put("corp", json!({"colour": "red"})).await.expect(400);
    put("corp", json!({"domain_id": "default"}))
        .await
        .expect(201);
    let path = format!("{PROVIDERS}/corp");
    let change = json!({"identity_provider": {"domain_id": "default"}});
    admin.patch(&path, change).await.expect(400);
}

#[tokio::test]
async fn the_list_is_filtered_and_paged() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for id in ["a-one", "b-two", "c-one"] {
        add_provider(&admin, id).await;
    }
    let enable = json!({"identity_provider": {"enabled": true, "remote_ids": ["x", "y"]}});
    admin
        .patch(&format!("{PROVIDERS}/b-two"), enable)
        .await
        .expect(200);
    let list = async |query: &str| admin.get(&format!("{PROVIDERS}?{query}")).await;

    assert_eq!(ids(&list("").await), ["a-one", "b-two", "c-one"]);
    assert_eq!(ids(&list("enabled=true").await), ["b-two"]);
    assert_eq!(ids(&list("enabled=0").await), ["a-one", "c-one"]);
    assert_eq!(ids(&list("id=a-one").await), ["a-one"]);
    assert_eq!(ids(&list("id__icontains=ONE").await), ["a-one", "c-one"]);
    assert_eq!(ids(&list("id__endswith=ONE").await), [""; 0]);
    let all = list("").await.expect(200);
    assert_eq!(
        all["identity_providers"][1]["remote_ids"],
        json!(["x", "y"])
    );
    assert_eq!(
        all["identity_providers"][1]["links"]["protocols"],
        "http://server/v3/OS-FEDERATION/identity_providers/b-two/protocols"
    );

    let first = list("limit=2").await;
    assert_eq!(ids(&first), ["a-one", "b-two"]);
    let first = first.expect(200);
    assert_eq!(first["truncated"], true);
    let next = first["links"]["next"]
        .as_str()
        .unwrap()
        .replace("http://server", "");
    let second = admin.get(&next).await;
    assert_eq!(ids(&second), ["c-one"]);
    assert_eq!(second.expect(200)["links"]["next"], Value::Null);
    let exact = list("limit=3").await.expect(200);
    assert_eq!(exact["links"]["next"], Value::Null);
    assert_eq!(exact.get("truncated"), None);
    list("limit=x").await.expect(400);
}

#[tokio::test]
async fn what_hangs_on_a_provider_goes_with_it() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    add_mapping(&admin, "map").await;
    add_provider(&admin, "corp").await;
    add_protocol(&admin, "corp", "openid", "map").await;
    let user = add_user(&admin, "known").await;

    admin.delete(&format!("{PROVIDERS}/corp")).await.expect(204);
    // We know the user ourselves, too.
    let shown = admin.get(&format!("/v3/users/{user}")).await.expect(200);
    assert_eq!(shown["user"].get("federated"), None);
    admin
        .get(&format!("{PROVIDERS}/corp/protocols/openid"))
        .await
        .expect(404);
}

#[tokio::test]
async fn the_providers_of_a_domain_go_with_it() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let domain = json!({"domain": {"name": "acme", "enabled": false}});
    let created = admin.post("/v3/domains", domain).await.expect(201);
    let domain = created["domain"]["id"].as_str().unwrap();
    add_mapping(&admin, "map").await;
    let path = format!("{PROVIDERS}/corp");
    let provider = json!({"identity_provider": {"domain_id": domain, "remote_ids": ["x"]}});
    admin.put(&path, provider).await.expect(201);
    add_protocol(&admin, "corp", "openid", "map").await;
    add_provider(&admin, "other").await;

    admin
        .delete(&format!("/v3/domains/{domain}"))
        .await
        .expect(204);
    admin.get(&path).await.expect(404);
    admin
        .get(&format!("{path}/protocols/openid"))
        .await
        .expect(404);
    admin.get(&format!("{PROVIDERS}/other")).await.expect(200);
}

#[tokio::test]
async fn administrators_manage_providers_and_readers_of_the_system_see_them() {
    let server = TestServer::start().await;
    let admin = server.system_admin().await;
    add_provider(&admin, "corp").await;
    let path = format!("{PROVIDERS}/corp");
    let change = json!({"identity_provider": {"enabled": true}});
    let reader = server.with_role("reader", Scope::System).await;
    reader.get(&path).await.expect(200);
    reader.get(PROVIDERS).await.expect(200);
    reader.patch(&path, change.clone()).await.expect(403);
    reader.delete(&path).await.expect(403);
    let manager = server.with_role("manager", Scope::Domain).await;
    manager.get(PROVIDERS).await.expect(403);
    manager.get(&path).await.expect(403);
    manager.put(&path, json!({})).await.expect(403);
    server.nobody().get(&path).await.expect(401);
    server.nobody().put(&path, json!({})).await.expect(401);
    admin.patch(&path, change).await.expect(200);
}

fn ids(answer: &Answer) -> Vec<String> {
    let listed = answer.expect(200);
    let providers = listed["identity_providers"].as_array().unwrap();
    let id = |provider: &Value| provider["id"].as_str().unwrap().to_owned();
    providers.iter().map(id).collect()
}

/// A user whom the provider `corp` knows, too.
async fn add_user(admin: &testkit::Client, name: &str) -> String {
    let protocols = json!([{"protocol_id": "openid", "unique_id": name}]);
    let federated = json!([{"idp_id": "corp", "protocols": protocols}]);
    let user = json!({"user": {"name": name, "federated": federated}});
    let created = admin.post("/v3/users", user).await.expect(201);
    created["user"]["id"].as_str().unwrap().to_owned()
}
