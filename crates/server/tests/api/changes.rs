//! Changes that meet: of two at once, none is lost.

use serde_json::{Value, json};
use testkit::{Client, TestServer};

/// How often two changes are made at once, for they may miss each other.
const ROUNDS: u32 = 8;

/// Changes one attribute and another at the same time, and finds both changed.
async fn meet(admin: &Client, path: &str, kind: &str, one: &str, other: &str) {
    for round in 0..ROUNDS {
        let value = json!(format!("value-{round}"));
        let change = async |name: &str| {
            let change = json!({kind: {name: value}});
            admin.patch(path, change).await.expect(200);
        };
        tokio::join!(change(one), change(other));
        let shown = admin.get(path).await.expect(200);
        assert_eq!(shown[kind][one], value, "{path}: {one}");
        assert_eq!(shown[kind][other], value, "{path}: {other}");
    }
}

/// Adds something, and gives its path.
async fn add(admin: &Client, kind: &str, attributes: Value) -> String {
    let path = format!("/v3/{kind}s");
    let created = admin.post(&path, json!({kind: attributes})).await;
    let created = created.expect(201);
    format!("{path}/{}", created[kind]["id"].as_str().unwrap())
}

#[tokio::test]
async fn of_two_changes_at_once_none_is_lost() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let service = add(&admin, "service", json!({"type": "image"})).await;
    let service_id = service.rsplit('/').next().unwrap();
    let endpoint = json!({
        "service_id": service_id, "interface": "public", "url": "http://image.example",
    });
    for (kind, attributes, one, other) in [
        ("domain", json!({"name": "d"}), "description", "colour"),
        ("project", json!({"name": "p"}), "name", "description"),
        ("group", json!({"name": "g"}), "name", "description"),
        ("role", json!({"name": "r"}), "name", "description"),
        ("region", json!({"id": "x"}), "description", "colour"),
        ("service", json!({"type": "dns"}), "name", "type"),
        ("endpoint", endpoint, "name", "description"),
        ("user", json!({"name": "u"}), "name", "description"),
    ] {
        let path = add(&admin, kind, attributes).await;
        meet(&admin, &path, kind, one, other).await;
    }
    let provider = "/v3/OS-FEDERATION/identity_providers/corp";
    let body = json!({"identity_provider": {"enabled": true}});
    admin.put(provider, body).await.expect(201);
    for round in 0..ROUNDS {
        let ids = json!([format!("https://{round}.example")]);
        let change = async |attributes: Value| {
            let change = json!({"identity_provider": attributes});
            admin.patch(provider, change).await.expect(200);
        };
        tokio::join!(
            change(json!({"description": round.to_string()})),
            change(json!({"remote_ids": ids})),
        );
        let shown = admin.get(provider).await.expect(200);
        let shown = &shown["identity_provider"];
        assert_eq!(shown["description"], round.to_string());
        assert_eq!(shown["remote_ids"], ids);
    }
    let provider = "/v3/OS-FEDERATION/service_providers/sp";
    let body = json!({"auth_url": "https://a.example", "sp_url": "https://s.example"});
    let body = json!({"service_provider": body});
    admin.put(provider, body).await.expect(201);
    meet(
        &admin,
        provider,
        "service_provider",
        "description",
        "relay_state_prefix",
    )
    .await;
}

#[tokio::test]
async fn of_tags_removed_at_once_none_comes_back() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let project = add(&admin, "project", json!({"name": "p"})).await;
    let tags = format!("{project}/tags");
    for _ in 0..ROUNDS {
        let all = json!({"tags": ["a", "b", "c"]});
        admin.put(&tags, all).await.expect(200);
        let remove = async |tag: &str| {
            admin.delete(&format!("{tags}/{tag}")).await.expect(204);
        };
        tokio::join!(remove("a"), remove("b"));
        assert_eq!(admin.get(&tags).await.expect(200)["tags"], json!(["c"]));
    }
}
