//! Implied roles over HTTP.

use serde_json::{Value, json};
use testkit::{Client, Scope, TestServer, home};

#[tokio::test]
async fn an_implication_lives() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let prior = create(&admin, json!({"name": "prior"})).await;
    let implied = create(&admin, json!({"name": "implied"})).await;
    let path = format!("/v3/roles/{prior}/implies/{implied}");

    let created = admin.put_empty(&path).await.expect(201);
    insta::assert_compact_json_snapshot!(
        created,
        @r#"
    {
      "role_inference": {
        "prior_role": {
          "id": "00000000000000000000000000001001",
          "links": {
            "self": "http://server/v3/roles/00000000000000000000000000001001"
          },
          "name": "prior"
        },
        "implies": {
          "id": "00000000000000000000000000001002",
          "links": {
            "self": "http://server/v3/roles/00000000000000000000000000001002"
          },
          "name": "implied"
        }
      },
      "links": {
        "self": "http://server/v3/roles/00000000000000000000000000001001/implies/00000000000000000000000000001002"
      }
    }
    "#
    );
    assert_eq!(admin.get(&path).await.expect(200), created);
    assert_eq!(admin.head(&path).await.status, 204);
    let listed = admin
        .get(&format!("/v3/roles/{prior}/implies"))
        .await
        .expect(200);
    assert_eq!(
        listed["role_inference"],
        json!({
            "prior_role": created["role_inference"]["prior_role"],
            "implies": [created["role_inference"]["implies"]],
        })
    );
    let again = admin.put_empty(&path).await;
    assert_eq!(
        again.message(409),
        "Conflict occurred attempting to store implied_role - Duplicate entry."
    );

    admin.delete(&path).await.expect(204);
    let message = format!("{prior} does not imply {implied}.");
    assert_eq!(admin.get(&path).await.message(404), message);
    assert_eq!(admin.head(&path).await.status, 404);
    assert_eq!(admin.delete(&path).await.message(404), message);
}

#[tokio::test]
async fn all_implications_are_listed_by_their_prior_role() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let list = admin.get("/v3/role_inferences").await.expect(200);
    let mut said: Vec<(&str, Vec<&str>)> = list["role_inferences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|inference| {
            let implies = inference["implies"].as_array().unwrap().iter();
            let implies = implies.map(|role| role["name"].as_str().unwrap());
            let prior = inference["prior_role"]["name"].as_str().unwrap();
            (prior, implies.collect())
        })
        .collect();
    said.sort();
    assert_eq!(
        said,
        [
            ("admin", vec!["manager"]),
            ("manager", vec!["member"]),
            ("member", vec!["reader"]),
        ]
    );
    assert_eq!(list.get("links"), None);
}

#[tokio::test]
async fn a_role_must_not_give_more_than_it_may() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let global = create(&admin, json!({"name": "global"})).await;
    let local = create(&admin, json!({"name": "local", "domain_id": "default"})).await;
    let forbidden = find(&admin, "admin").await;

    for implied in [&forbidden, &local] {
        let answer = admin
            .put_empty(&format!("/v3/roles/{global}/implies/{implied}"))
            .await;
        let message = format!("{implied} cannot be an implied roles.");
        assert_eq!(answer.message(403), message);
    }
    // The other way round is what roles of domains are for.
    let path = format!("/v3/roles/{local}/implies/{global}");
    admin.put_empty(&path).await.expect(201);
    // Circles are allowed.
    let path = format!("/v3/roles/{global}/implies/{global}");
    admin.put_empty(&path).await.expect(201);
}

#[tokio::test]
async fn a_missing_role_is_told_to_everybody_who_is_logged_in() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let stranger = server.stranger().await;
    let reader = find(&admin, "reader").await;
    let message = "Could not find role: nothing.";
    for path in [
        "/v3/roles/nothing/implies".to_owned(),
        format!("/v3/roles/nothing/implies/{reader}"),
        format!("/v3/roles/{reader}/implies/nothing"),
    ] {
        assert_eq!(stranger.get(&path).await.message(404), message);
        server.nobody().get(&path).await.expect(401);
    }
    let path = format!("/v3/roles/{reader}/implies/nothing");
    assert_eq!(stranger.put_empty(&path).await.message(404), message);
    assert_eq!(stranger.delete(&path).await.message(404), message);
    assert_eq!(stranger.head(&path).await.status, 404);
}

#[tokio::test]
async fn administrators_change_implications_and_readers_of_the_system_see_them() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let (prior, implied) = (find(&admin, "manager").await, find(&admin, "member").await);
    let list = format!("/v3/roles/{prior}/implies");
    let one = format!("{list}/{implied}");

    let reader = server.with_role("reader", Scope::System).await;
    for path in [list.as_str(), &one, "/v3/role_inferences"] {
        reader.get(path).await.expect(200);
    }
    assert_eq!(reader.head(&one).await.status, 204);
    reader.put_empty(&one).await.expect(403);
    reader.delete(&one).await.expect(403);
    for (role, scope) in [
        ("admin", Scope::Domain),
        ("manager", Scope::Domain),
        ("reader", Scope::Project),
    ] {
        let other = server.with_role(role, scope).await;
        for path in [list.as_str(), &one, "/v3/role_inferences"] {
            other.get(path).await.expect(403);
        }
        assert_eq!(other.head(&one).await.status, 403);
        other.put_empty(&one).await.expect(403);
        other.delete(&one).await.expect(403);
    }
    let nobody = server.nobody();
    for path in [list.as_str(), &one, "/v3/role_inferences"] {
        nobody.get(path).await.expect(401);
    }
    nobody.put_empty(&one).await.expect(401);
    nobody.delete(&one).await.expect(401);
    let system = server.system_admin().await;
    system.delete(&one).await.expect(204);
    system.put_empty(&one).await.expect(201);
}

#[tokio::test]
async fn to_check_an_implication_takes_the_right_to_see_it_too() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let (prior, implied) = (find(&admin, "manager").await, find(&admin, "member").await);
    let one = format!("/v3/roles/{prior}/implies/{implied}");
    assert_eq!(admin.head(&one).await.status, 204);
    server.set_policy("identity:get_implied_role: \"!\"\n");
    assert_eq!(admin.head(&one).await.status, 403);
    server.set_policy("identity:check_implied_role: \"!\"\n");
    assert_eq!(admin.head(&one).await.status, 403);
    admin.get(&one).await.expect(200);
}

#[tokio::test]
async fn a_token_follows_what_its_roles_imply() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let user = server.add_person("ada", &[]).await;
    let prior = create(&admin, json!({"name": "prior"})).await;
    let implied = create(&admin, json!({"name": "implied"})).await;
    let project = home();
    let place = format!("/v3/projects/{project}/users/{user}/roles/{prior}");
    admin.put_empty(&place).await.expect(204);
    let ada = server
        .log_in("ada", Some(json!({"project": {"id": project}})))
        .await;
    let about_itself = ada.clone().with_header("x-subject-token", ada.token());
    let roles = async || {
        let token = about_itself.get("/v3/auth/tokens").await.expect(200);
        let mut names: Vec<String> = token["token"]["roles"]
            .as_array()
            .unwrap()
            .iter()
            .map(|role| role["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };

    assert_eq!(roles().await, ["prior"]);
    let path = format!("/v3/roles/{prior}/implies/{implied}");
    admin.put_empty(&path).await.expect(201);
    assert_eq!(roles().await, ["implied", "prior"]);
    admin.delete(&path).await.expect(204);
    assert_eq!(roles().await, ["prior"]);
    let events = admin.get("/v3/OS-REVOKE/events").await.expect(200);
    assert_eq!(events["events"], json!([]));
}

async fn create(admin: &Client, role: Value) -> String {
    let created = admin.post("/v3/roles", json!({ "role": role })).await;
    created.expect(201)["role"]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn find(admin: &Client, name: &str) -> String {
    let found = admin
        .get(&format!("/v3/roles?name={name}"))
        .await
        .expect(200);
    found["roles"][0]["id"].as_str().unwrap().to_owned()
}
