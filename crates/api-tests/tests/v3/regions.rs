//! Regions over HTTP.

use serde_json::{Value, json};
use testkit::{Answer, Client, Scope, TestServer};

const PATH: &str = "/v3/regions";

async fn create(client: &Client, attributes: Value) -> Answer {
    client.post(PATH, json!({ "region": attributes })).await
}

async fn change(client: &Client, id: &str, attributes: Value) -> Answer {
    let path = format!("{PATH}/{id}");
    client.patch(&path, json!({ "region": attributes })).await
}

fn ids(listed: &Value) -> Vec<&str> {
    let regions = listed["regions"].as_array().unwrap();
    regions
        .iter()
        .map(|region| region["id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_region_lives() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let attributes = json!({"id": "west", "description": "Größe", "colour": "red"});
    let created = create(&admin, attributes).await;
    insta::assert_compact_json_snapshot!(created.expect(201), @r#"
    {
      "region": {
        "colour": "red",
        "id": "west",
        "description": "Größe",
        "parent_region_id": null,
        "links": {
          "self": "http://server/v3/regions/west"
        }
      }
    }
    "#);
    let path = format!("{PATH}/west");
    assert_eq!(admin.get(&path).await.text, created.text);
    assert_eq!(admin.head(&path).await.status, 200);
    let listed = admin.get(PATH).await.expect(200);
    assert_eq!(ids(&listed), ["RegionOne", "west"]);
    assert_eq!(listed["links"]["self"], format!("http://server{PATH}"));

    let changed = change(
        &admin,
        "west",
        json!({"description": null, "colour": "blue"}),
    )
    .await;
    let changed = changed.expect(200);
    assert_eq!(changed["region"]["description"], "");
    assert_eq!(changed["region"]["colour"], "blue");
    assert_eq!(admin.get(&path).await.expect(200), changed);

    admin.delete(&path).await.expect(204);
    let gone = "Could not find region: west.";
    assert_eq!(admin.get(&path).await.message(404), gone);
    assert_eq!(admin.delete(&path).await.message(404), gone);
    assert_eq!(
        change(&admin, "west", json!({"colour": "x"}))
            .await
            .message(404),
        gone
    );
}

#[tokio::test]
async fn an_id_is_chosen_by_the_client_or_made() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for attributes in [json!({}), json!({"id": ""})] {
        let made = create(&admin, attributes).await.expect(201);
        assert_eq!(made["region"]["id"].as_str().unwrap().len(), 32);
    }
    let put = |id: &str, region: Value| {
        let (admin, path) = (admin.clone(), format!("{PATH}/{id}"));
        async move { admin.put(&path, json!({ "region": region })).await }
    };
    assert_eq!(
        put("south", json!({})).await.expect(201)["region"]["id"],
        "south"
    );
    put("west", json!({"id": "west"})).await.expect(201);
    assert_eq!(
        put("with%20blank", json!({})).await.expect(201)["region"]["id"],
        "with blank"
    );
    assert_eq!(admin.get(&format!("{PATH}/with%20blank")).await.status, 200);
    assert_eq!(
        put("east", json!({"id": "west"})).await.message(400),
        "Conflicting region IDs specified: \"east\" != \"west\""
    );
    let taken = "Conflict occurred attempting to store region - Duplicate ID, south..";
    assert_eq!(put("south", json!({})).await.message(409), taken);
    assert_eq!(
        create(&admin, json!({"id": "south"})).await.message(409),
        taken
    );
}

#[tokio::test]
async fn regions_form_trees() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    create(&admin, json!({"id": "north"})).await.expect(201);
    create(&admin, json!({"id": "below", "parent_region_id": "north"}))
        .await
        .expect(201);
    let listed = admin
        .get(&format!("{PATH}?parent_region_id=north"))
        .await
        .expect(200);
    assert_eq!(ids(&listed), ["below"]);

    let missing = "Could not find region: nowhere.";
    let astray = json!({"parent_region_id": "nowhere"});
    assert_eq!(create(&admin, astray.clone()).await.message(404), missing);
    assert_eq!(change(&admin, "north", astray).await.message(404), missing);
    for parent in ["below", "north"] {
        let round = change(&admin, "north", json!({"parent_region_id": parent})).await;
        assert_eq!(
            round.message(400),
            "The specified parent region north would create a circular region hierarchy."
        );
    }
    let freed = change(&admin, "below", json!({"parent_region_id": null})).await;
    assert_eq!(freed.expect(200)["region"]["parent_region_id"], Value::Null);
    change(&admin, "below", json!({"parent_region_id": "north"}))
        .await
        .expect(200);
    admin.delete(&format!("{PATH}/north")).await.expect(204);
    assert_eq!(admin.get(&format!("{PATH}/below")).await.status, 404);
}

#[tokio::test]
async fn a_region_with_endpoints_stays() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    create(&admin, json!({"id": "around"})).await.expect(201);
    let inside = json!({"parent_region_id": "around"});
    change(&admin, "RegionOne", inside).await.expect(200);
    for id in ["RegionOne", "around"] {
        assert_eq!(
            admin.delete(&format!("{PATH}/{id}")).await.message(403),
            format!(
                "Unable to delete region {id} because it or its child regions have associated \
                 endpoints."
            )
        );
    }
}

#[tokio::test]
async fn documents_and_queries_that_make_no_sense_are_refused() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for attributes in [
        json!(null),
        json!({"id": 7}),
        json!({"description": 7}),
        json!({"parent_region_id": 7}),
    ] {
        assert_eq!(
            create(&admin, attributes.clone()).await.status,
            400,
            "{attributes}"
        );
    }
    assert_eq!(admin.post(PATH, json!({})).await.status, 400);
    assert_eq!(change(&admin, "RegionOne", json!({})).await.status, 400);
    let moved = change(&admin, "RegionOne", json!({"id": "moved"})).await;
    assert_eq!(moved.message(400), "Cannot change ID");
    for query in ["?parent_region_id=", "?unknown=1", "?id=north", "?limit=1"] {
        assert_eq!(
            admin.get(&format!("{PATH}{query}")).await.status,
            400,
            "{query}"
        );
    }
}

#[tokio::test]
async fn everybody_with_a_token_sees_regions() {
    let server = TestServer::start().await;
    for allowed in [
        server.admin().await,
        server.with_role("reader", Scope::Domain).await,
        server.with_role("reader", Scope::System).await,
        server.stranger().await,
    ] {
        assert_eq!(allowed.get(PATH).await.status, 200);
        assert_eq!(allowed.get(&format!("{PATH}/RegionOne")).await.status, 200);
        assert_eq!(allowed.get(&format!("{PATH}/nowhere")).await.status, 404);
    }
    assert_eq!(server.nobody().get(PATH).await.status, 401);
    assert_eq!(
        server
            .nobody()
            .get(&format!("{PATH}/RegionOne"))
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn administrators_change_regions() {
    let server = TestServer::start().await;
    for (id, allowed) in [
        ("a", server.admin().await),
        ("b", server.system_admin().await),
    ] {
        create(&allowed, json!({ "id": id })).await.expect(201);
        change(&allowed, id, json!({"colour": "red"}))
            .await
            .expect(200);
        allowed.delete(&format!("{PATH}/{id}")).await.expect(204);
        let put = allowed
            .put(&format!("{PATH}/{id}"), json!({"region": {}}))
            .await;
        put.expect(201);
    }
    for denied in [
        server.with_role("admin", Scope::Domain).await,
        server.with_role("manager", Scope::Project).await,
        server.with_role("reader", Scope::System).await,
        server.stranger().await,
    ] {
        let path = format!("{PATH}/RegionOne");
        for (answer, rule) in [
            (create(&denied, json!({"id": "c"})).await, "create_region"),
            (
                denied.put(&path, json!({"region": {}})).await,
                "create_region",
            ),
            (
                change(&denied, "RegionOne", json!({"x": 1})).await,
                "update_region",
            ),
            (denied.delete(&path).await, "delete_region"),
        ] {
            assert_eq!(
                answer.message(403),
                format!("You are not authorized to perform the requested action: identity:{rule}.")
            );
        }
    }
    assert_eq!(create(&server.nobody(), json!({})).await.status, 401);
}
