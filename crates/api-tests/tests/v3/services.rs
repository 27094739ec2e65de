//! Services over HTTP.

use serde_json::{Value, json};
use testkit::{Answer, Client, Scope, TestServer};

const PATH: &str = "/v3/services";

async fn create(client: &Client, attributes: Value) -> Answer {
    client.post(PATH, json!({ "service": attributes })).await
}

/// Creates one that must succeed, and returns its path.
async fn created(client: &Client, attributes: Value) -> String {
    let created = create(client, attributes).await.expect(201);
    format!("{PATH}/{}", created["service"]["id"].as_str().unwrap())
}

async fn change(client: &Client, path: &str, attributes: Value) -> Answer {
    client.patch(path, json!({ "service": attributes })).await
}

#[tokio::test]
async fn a_service_lives() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let attributes = json!({"type": "compute", "name": "nova", "description": "Größe"});
    let created = create(&admin, attributes).await;
    insta::assert_compact_json_snapshot!(created.expect(201), @r#"
    {
      "service": {
        "name": "nova",
        "description": "Größe",
        "id": "00000000000000000000000000001001",
        "type": "compute",
        "enabled": true,
        "links": {
          "self": "http://server/v3/services/00000000000000000000000000001001"
        }
      }
    }
    "#);
    let id = created.expect(201)["service"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("{PATH}/{id}");
    assert_eq!(admin.get(&path).await.text, created.text);
    assert_eq!(admin.head(&path).await.status, 200);

    let attributes = json!({"name": "renamed", "description": null, "enabled": false});
    let changed = change(&admin, &path, attributes).await.expect(200);
    assert_eq!(changed["service"]["name"], "renamed");
    assert_eq!(changed["service"]["description"], Value::Null);
    assert_eq!(changed["service"]["enabled"], false);
    assert_eq!(changed["service"]["type"], "compute");
    assert_eq!(admin.get(&path).await.expect(200), changed);

    admin.delete(&path).await.expect(204);
    let gone = format!("Could not find service: {id}.");
    assert_eq!(admin.get(&path).await.message(404), gone);
    assert_eq!(admin.delete(&path).await.message(404), gone);
    assert_eq!(
        change(&admin, &path, json!({"name": "x"}))
            .await
            .message(404),
        gone
    );
}

#[tokio::test]
async fn a_service_without_a_name_has_an_empty_one() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let bare = create(&admin, json!({"type": "bare", "colour": "red"}))
        .await
        .expect(201);
    assert_eq!(bare["service"]["name"], "");
    assert_eq!(bare["service"]["enabled"], true);
    assert_eq!(bare["service"]["colour"], "red");
    assert_eq!(bare["service"].get("description"), None);
}

#[tokio::test]
async fn services_of_one_type_and_name_are_told_apart_by_their_ids() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let twin = json!({"type": "compute", "name": "nova"});
    assert_ne!(
        created(&admin, twin.clone()).await,
        created(&admin, twin).await
    );
}

#[tokio::test]
async fn services_are_listed_by_type_and_name() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    created(&admin, json!({"type": "compute", "name": "nova"})).await;
    created(&admin, json!({"type": "volume", "name": "cinder"})).await;
    for (query, types) in [
        ("", vec!["compute", "identity", "volume"]),
        ("?type=compute", vec!["compute"]),
        ("?name=cinder", vec!["volume"]),
        ("?type=compute&name=cinder", vec![]),
        ("?type__contains=ent", vec!["identity"]),
        ("?type__icontains=COMP", vec!["compute"]),
        ("?name__startswith=ci", vec!["volume"]),
        ("?unknown=1&type=volume", vec!["volume"]),
    ] {
        let listed = admin.get(&format!("{PATH}{query}")).await.expect(200);
        let services = listed["services"].as_array().unwrap();
        let mut found: Vec<_> = services
            .iter()
            .map(|service| service["type"].as_str().unwrap())
            .collect();
        found.sort_unstable();
        assert_eq!(found, types, "{query}");
        assert_eq!(
            listed["links"]["self"],
            format!("http://server{PATH}{query}")
        );
    }
}

#[tokio::test]
async fn documents_that_make_no_sense_are_refused() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let path = created(&admin, json!({"type": "compute"})).await;
    for attributes in [
        json!({}),
        json!({"name": "typeless"}),
        json!({"type": ""}),
        json!({"type": null}),
        json!({"type": 7}),
        json!({"type": "bad", "name": 7}),
        json!({"type": "bad", "enabled": "maybe"}),
        json!({"type": "bad", "enabled": "true"}),
    ] {
        assert_eq!(
            create(&admin, attributes.clone()).await.status,
            400,
            "{attributes}"
        );
    }
    assert_eq!(admin.post(PATH, json!({})).await.status, 400);
    assert_eq!(change(&admin, &path, json!({})).await.status, 400);
    assert_eq!(change(&admin, &path, json!({"type": ""})).await.status, 400);
    let moved = change(&admin, &path, json!({"id": "other"})).await;
    assert_eq!(moved.message(400), "Cannot change ID");
}

#[tokio::test]
async fn administrators_and_readers_of_the_system_see_services() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let path = created(&admin, json!({"type": "compute"})).await;
    let missing = format!("{PATH}/nothing");
    for allowed in [admin, server.with_role("reader", Scope::System).await] {
        assert_eq!(allowed.get(PATH).await.status, 200);
        assert_eq!(allowed.get(&path).await.status, 200);
        assert_eq!(allowed.get(&missing).await.status, 404);
    }
    for denied in [
        server.with_role("admin", Scope::Domain).await,
        server.with_role("manager", Scope::Project).await,
        server.stranger().await,
    ] {
        for (answer, rule) in [
            (denied.get(PATH).await, "list_services"),
            (denied.get(&path).await, "get_service"),
            (denied.get(&missing).await, "get_service"),
        ] {
            assert_eq!(
                answer.message(403),
                format!("You are not authorized to perform the requested action: identity:{rule}.")
            );
        }
    }
    assert_eq!(server.nobody().get(PATH).await.status, 401);
    assert_eq!(server.nobody().get(&path).await.status, 401);
}

#[tokio::test]
async fn administrators_change_services() {
    let server = TestServer::start().await;
    for allowed in [server.admin().await, server.system_admin().await] {
        let path = created(&allowed, json!({"type": "compute"})).await;
        change(&allowed, &path, json!({"name": "x"}))
            .await
            .expect(200);
        allowed.delete(&path).await.expect(204);
    }
    let path = created(&server.admin().await, json!({"type": "compute"})).await;
    for denied in [
        server.with_role("admin", Scope::Domain).await,
        server.with_role("manager", Scope::Project).await,
        server.with_role("reader", Scope::System).await,
        server.stranger().await,
    ] {
        for (answer, rule) in [
            (
                create(&denied, json!({"type": "x"})).await,
                "create_service",
            ),
            (
                change(&denied, &path, json!({"name": "x"})).await,
                "update_service",
            ),
            (denied.delete(&path).await, "delete_service"),
        ] {
            assert_eq!(
                answer.message(403),
                format!("You are not authorized to perform the requested action: identity:{rule}.")
            );
        }
    }
    assert_eq!(
        create(&server.nobody(), json!({"type": "x"})).await.status,
        401
    );
}
