//! Endpoints over HTTP.

use serde_json::{Value, json};
use testkit::{Answer, Client, Scope, TestServer};

const PATH: &str = "/v3/endpoints";
const MALFORMED: &str = "The server could not comply with the request since it is either \
                         malformed or otherwise incorrect. The client is assumed to be in error.";

async fn service(admin: &Client) -> String {
    let body = json!({"service": {"type": "volume", "name": "cinder"}});
    let created = admin.post("/v3/services", body).await.expect(201);
    created["service"]["id"].as_str().unwrap().to_owned()
}

fn public(service: &str) -> Value {
    json!({"interface": "public", "service_id": service, "url": "http://volume.example/"})
}

async fn create(client: &Client, attributes: Value) -> Answer {
    client.post(PATH, json!({ "endpoint": attributes })).await
}

/// Creates one that must succeed, and returns its path.
async fn created(client: &Client, attributes: Value) -> String {
    let created = create(client, attributes).await.expect(201);
    format!("{PATH}/{}", created["endpoint"]["id"].as_str().unwrap())
}

async fn change(client: &Client, path: &str, attributes: Value) -> Answer {
    client.patch(path, json!({ "endpoint": attributes })).await
}

#[tokio::test]
async fn an_endpoint_lives() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let service = service(&admin).await;
    let mut attributes = public(&service);
    attributes["region_id"] = json!("RegionOne");
    attributes["colour"] = json!("red");
    let created = create(&admin, attributes).await;
    insta::assert_compact_json_snapshot!(created.expect(201), @r#"
    {
      "endpoint": {
        "colour": "red",
        "id": "00000000000000000000000000001002",
        "interface": "public",
        "region_id": "RegionOne",
        "service_id": "00000000000000000000000000001001",
        "url": "http://volume.example/",
        "enabled": true,
        "region": "RegionOne",
        "links": {
          "self": "http://server/v3/endpoints/00000000000000000000000000001002"
        }
      }
    }
    "#);
    let id = created.expect(201)["endpoint"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("{PATH}/{id}");
    assert_eq!(admin.get(&path).await.text, created.text);
    assert_eq!(admin.head(&path).await.status, 200);

    let attributes = json!({
        "url": "http://elsewhere.example", "region_id": null, "enabled": false, "interface": "admin",
    });
    let changed = change(&admin, &path, attributes).await.expect(200);
    assert_eq!(changed["endpoint"]["url"], "http://elsewhere.example");
    assert_eq!(changed["endpoint"]["region"], Value::Null);
    assert_eq!(changed["endpoint"]["enabled"], false);
    assert_eq!(changed["endpoint"]["colour"], "red");
    assert_eq!(admin.get(&path).await.expect(200), changed);

    admin.delete(&path).await.expect(204);
    let gone = format!("Could not find endpoint: {id}.");
    assert_eq!(admin.get(&path).await.message(404), gone);
    assert_eq!(admin.delete(&path).await.message(404), gone);
    assert_eq!(
        change(&admin, &path, json!({"url": "http://x"}))
            .await
            .message(404),
        gone
    );
}

#[tokio::test]
async fn a_region_by_its_old_name_is_made_when_it_is_missing() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let mut attributes = public(&service(&admin).await);
    attributes["region"] = json!("legacy");
    let created = create(&admin, attributes).await.expect(201);
    assert_eq!(created["endpoint"]["region_id"], "legacy");
    assert_eq!(created["endpoint"]["region"], "legacy");
    admin.get("/v3/regions/legacy").await.expect(200);
    let path = format!("{PATH}/{}", created["endpoint"]["id"].as_str().unwrap());
    let moved = change(&admin, &path, json!({"region": "another"})).await;
    assert_eq!(moved.expect(200)["endpoint"]["region_id"], "another");
    admin.get("/v3/regions/another").await.expect(200);
}

#[tokio::test]
async fn an_endpoint_goes_with_its_service() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let service = service(&admin).await;
    let path = created(&admin, public(&service)).await;
    admin
        .delete(&format!("/v3/services/{service}"))
        .await
        .expect(204);
    assert_eq!(admin.get(&path).await.status, 404);
}

#[tokio::test]
async fn endpoints_are_listed_by_what_they_belong_to() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let service = service(&admin).await;
    for (interface, region) in [("public", "RegionOne"), ("internal", "legacy")] {
        let mut attributes = public(&service);
        attributes["interface"] = json!(interface);
        attributes["region"] = json!(region);
        created(&admin, attributes).await;
    }
    for (query, count) in [
        (String::new(), 5),
        (format!("?service_id={service}"), 2),
        ("?service_id=nowhere".into(), 0),
        ("?interface=public".into(), 2),
        ("?region_id=legacy".into(), 1),
        (format!("?service_id={service}&interface=internal"), 1),
        (format!("?service_id={service}&interface=admin"), 0),
        ("?unknown=1&interface=admin".into(), 1),
    ] {
        let listed = admin.get(&format!("{PATH}{query}")).await.expect(200);
        assert_eq!(
            listed["endpoints"].as_array().unwrap().len(),
            count,
            "{query}"
        );
        assert_eq!(
            listed["links"]["self"],
            format!("http://server{PATH}{query}")
        );
    }
    assert_eq!(
        admin.get(&format!("{PATH}?interface=outer")).await.status,
        400
    );
}

#[tokio::test]
async fn what_an_endpoint_refers_to_must_exist() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let service = service(&admin).await;
    let path = created(&admin, public(&service)).await;
    for (attributes, missing) in [
        (
            json!({"service_id": "0".repeat(32)}),
            "endpoint service_id in service table",
        ),
        (
            json!({"region_id": "nowhere"}),
            "endpoint region_id in region table",
        ),
    ] {
        let expected = format!("Expecting to find {missing}. {MALFORMED}");
        assert_eq!(
            change(&admin, &path, attributes.clone()).await.message(400),
            expected
        );
        let mut new = public(&service);
        for (name, value) in attributes.as_object().unwrap() {
            new[name] = value.clone();
        }
        assert_eq!(create(&admin, new).await.message(400), expected);
    }
}

#[tokio::test]
async fn the_url_is_a_template_of_known_names() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let service = service(&admin).await;
    let with = |url: &str| {
        let mut attributes = public(&service);
        attributes["url"] = json!(url);
        attributes
    };
    for good in [
        "http://x/$(tenant_id)s/$(project_id)s/%(user_id)s",
        "http://$(compute_host)s/$(public_endpoint)s",
        "http://x/%%20",
    ] {
        created(&admin, with(good)).await;
    }
    for bad in [
        "http://x/$(unheard_of)s",
        "http://x/$(project_id",
        "http://x/$(project_id)d",
        "http://x/%",
    ] {
        assert_eq!(
            create(&admin, with(bad)).await.message(400),
            format!("Cannot create an endpoint with an invalid URL: {bad}.")
        );
    }
    // A change is not looked at so closely: the catalog leaves the endpoint out.
    let path = created(&admin, public(&service)).await;
    change(&admin, &path, json!({"url": "http://x/$(unheard_of)s"}))
        .await
        .expect(200);
}

#[tokio::test]
async fn documents_that_make_no_sense_are_refused() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let service = service(&admin).await;
    let path = created(&admin, public(&service)).await;
    for missing in ["interface", "service_id", "url"] {
        let mut attributes = public(&service);
        attributes.as_object_mut().unwrap().shift_remove(missing);
        assert_eq!(create(&admin, attributes).await.status, 400, "{missing}");
    }
    for (name, value) in [
        ("interface", json!("outer")),
        ("url", json!("")),
        ("url", json!(7)),
        ("enabled", json!("maybe")),
    ] {
        let mut attributes = public(&service);
        attributes[name] = value.clone();
        assert_eq!(
            create(&admin, attributes).await.status,
            400,
            "{name} {value}"
        );
        let changed = change(&admin, &path, json!({ name: value })).await;
        assert_eq!(changed.status, 400, "{name} {value}");
    }
    let beside = json!({"endpoint": public(&service), "x": 1});
    assert_eq!(admin.post(PATH, beside).await.status, 400);
    assert_eq!(admin.post(PATH, json!({})).await.status, 400);
    assert_eq!(change(&admin, &path, json!({})).await.status, 400);
    let moved = change(&admin, &path, json!({"id": "other"})).await;
    assert_eq!(moved.message(400), "Cannot change ID");
}

#[tokio::test]
async fn administrators_and_readers_of_the_system_see_endpoints() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let path = created(&admin, public(&service(&admin).await)).await;
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
            (denied.get(PATH).await, "list_endpoints"),
            (denied.get(&path).await, "get_endpoint"),
            (denied.get(&missing).await, "get_endpoint"),
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
async fn administrators_change_endpoints() {
    let server = TestServer::start().await;
    let service = service(&server.admin().await).await;
    for allowed in [server.admin().await, server.system_admin().await] {
        let path = created(&allowed, public(&service)).await;
        change(&allowed, &path, json!({"url": "http://x"}))
            .await
            .expect(200);
        allowed.delete(&path).await.expect(204);
    }
    let path = created(&server.admin().await, public(&service)).await;
    for denied in [
        server.with_role("admin", Scope::Domain).await,
        server.with_role("manager", Scope::Project).await,
        server.with_role("reader", Scope::System).await,
        server.stranger().await,
    ] {
        for (answer, rule) in [
            (create(&denied, public(&service)).await, "create_endpoint"),
            (
                change(&denied, &path, json!({"url": "http://x"})).await,
                "update_endpoint",
            ),
            (denied.delete(&path).await, "delete_endpoint"),
        ] {
            assert_eq!(
                answer.message(403),
                format!("You are not authorized to perform the requested action: identity:{rule}.")
            );
        }
    }
    assert_eq!(create(&server.nobody(), public(&service)).await.status, 401);
}
