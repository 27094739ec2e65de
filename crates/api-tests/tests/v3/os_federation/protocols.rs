//! Protocols of identity providers over HTTP.

use serde_json::{Value, json};
use testkit::{Scope, TestServer};

use super::{add_mapping, add_protocol, add_provider};

const PROTOCOLS: &str = "/v3/OS-FEDERATION/identity_providers/corp/protocols";

#[tokio::test]
async fn a_protocol_lives() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    add_provider(&admin, "corp").await;
    add_mapping(&admin, "map").await;
    add_mapping(&admin, "other").await;
    let path = format!("{PROTOCOLS}/openid");
    let protocol = json!({"protocol": {"mapping_id": "map", "remote_id_attribute": "ISS"}});
    let created = admin.put(&path, protocol).await.expect(201);
    assert_eq!(
        created["protocol"],
        json!({
            "id": "openid",
            "mapping_id": "map",
            "links": {
                "self": "http://server/v3/protocols/openid",
                "identity_provider": "http://server/v3/corp",
            },
        })
    );
    assert_eq!(admin.get(&path).await.expect(200), created);
    let change = json!({"protocol": {"mapping_id": "other"}});
    let changed = admin.patch(&path, change).await.expect(200);
    assert_eq!(changed["protocol"]["mapping_id"], "other");
    // A list shows more.
    let listed = admin.get(PROTOCOLS).await.expect(200);
    assert_eq!(
        listed["protocols"],
        json!([{
            "id": "openid",
            "idp_id": "corp",
            "mapping_id": "other",
            "remote_id_attribute": "ISS",
            "links": {
                "self": "http://server/v3/protocols/openid",
                "identity_provider": "http://server/v3/corp",
            },
        }])
    );
    admin.delete(&path).await.expect(204);
    let message = admin.get(&path).await.message(404);
    assert_eq!(
        message,
        "Could not find federated protocol openid for Identity Provider: corp."
    );
    admin.delete(&path).await.expect(404);
    assert_eq!(
        admin.get(PROTOCOLS).await.expect(200)["protocols"],
        json!([])
    );
}

#[tokio::test]
async fn a_protocol_needs_a_provider_and_a_mapping() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    add_provider(&admin, "corp").await;
    add_mapping(&admin, "map").await;
    let put =
        async |path: &str, protocol: Value| admin.put(path, json!({ "protocol": protocol })).await;
    let path = format!("{PROTOCOLS}/openid");
    let answer = put(&path, json!({"mapping_id": "nowhere"})).await;
    assert_eq!(answer.message(400), "Invalid mapping id: nowhere");
    let elsewhere = path.replace("corp", "nowhere");
    let answer = put(&elsewhere, json!({"mapping_id": "map"})).await;
    assert_eq!(
        answer.message(404),
        "Could not find Identity Provider: nowhere."
    );
    let long = format!("{PROTOCOLS}/{}", "a".repeat(65));
    put(&long, json!({"mapping_id": "map"})).await.expect(400);
    put(&path, json!({})).await.expect(400);
    put(&path, json!({"mapping_id": "map"})).await.expect(201);
    let answer = put(&path, json!({"mapping_id": "map"})).await;
    assert_eq!(
        answer.message(409),
        "Conflict occurred attempting to store federation_protocol - Duplicate entry found with \
         ID openid."
    );
    let change = |protocol: Value| json!({ "protocol": protocol });
    let nowhere = change(json!({"mapping_id": "nowhere"}));
    admin.patch(&path, nowhere).await.expect(400);
    let only_attribute = change(json!({"remote_id_attribute": "X"}));
    admin.patch(&path, only_attribute).await.expect(400);
    let missing = format!("{PROTOCOLS}/nowhere");
    let fine = change(json!({"mapping_id": "map"}));
    admin.patch(&missing, fine).await.expect(404);
}

#[tokio::test]
async fn a_protocol_survives_its_mapping() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    add_provider(&admin, "corp").await;
    add_mapping(&admin, "map").await;
    add_protocol(&admin, "corp", "openid", "map").await;
    admin
        .delete("/v3/OS-FEDERATION/mappings/map")
        .await
        .expect(204);
    let shown = admin.get(&format!("{PROTOCOLS}/openid")).await.expect(200);
    assert_eq!(shown["protocol"]["mapping_id"], "map");
}

#[tokio::test]
async fn administrators_manage_protocols_and_readers_of_the_system_see_them() {
    let server = TestServer::start().await;
    let admin = server.system_admin().await;
    add_provider(&admin, "corp").await;
    add_mapping(&admin, "map").await;
    add_protocol(&admin, "corp", "openid", "map").await;
    let path = format!("{PROTOCOLS}/openid");
    let body = json!({"protocol": {"mapping_id": "map"}});
    let reader = server.with_role("reader", Scope::System).await;
    reader.get(&path).await.expect(200);
    reader.get(PROTOCOLS).await.expect(200);
    reader.put(&path, body.clone()).await.expect(403);
    reader.patch(&path, body.clone()).await.expect(403);
    reader.delete(&path).await.expect(403);
    let member = server.with_role("member", Scope::Project).await;
    member.get(&path).await.expect(403);
    member.get(PROTOCOLS).await.expect(403);
    server.nobody().get(&path).await.expect(401);
    admin.patch(&path, body).await.expect(200);
}
