//! Tags of projects over HTTP.

use serde_json::{Value, json};
use testkit::{Client, Scope, TestServer, home};

#[tokio::test]
async fn tags_come_and_go() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let path = tagged(&admin, json!(["blue"])).await;

    insta::assert_compact_json_snapshot!(
        admin.get(&path).await.expect(200),
        @r#"{"links": {"self": "http://server/v3"}, "tags": ["blue"]}"#
    );
    let added = admin.put_empty(&format!("{path}/with%20blank")).await;
    assert_eq!((added.status, added.text.as_str()), (201, ""));
    assert_eq!(added.header("content-type"), "text/html; charset=utf-8");
    // As in the reference, where the path lacks `projects`.
    let place = path.strip_prefix("/v3/projects").unwrap();
    assert_eq!(
        added.header("location"),
        format!("{}/v3{place}/with%20blank", server.url)
    );
    assert_eq!(admin.get(&format!("{path}/blue")).await.status, 204);
    assert_eq!(admin.head(&format!("{path}/blue")).await.status, 204);
    admin.delete(&format!("{path}/blue")).await.expect(204);
    for gone in [
        admin.get(&format!("{path}/blue")).await,
        admin.delete(&format!("{path}/blue")).await,
    ] {
        assert_eq!(gone.message(404), "Could not find project tag: blue.");
    }
    assert_eq!(tags(&admin, &path).await, json!(["with blank"]));

    let replaced = admin.put(&path, json!({"tags": ["two", " one "]})).await;
    assert_eq!(replaced.expect(200)["tags"], json!(["one", "two"]));
    assert_eq!(tags(&admin, &path).await, json!(["one", "two"]));
    admin.delete(&path).await.expect(204);
    assert_eq!(tags(&admin, &path).await, json!([]));
}

#[tokio::test]
async fn what_is_no_tag_is_refused() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let path = tagged(&admin, json!(["red"])).await;

    for (value, complaint) in [
        ("red", "['red', 'red'] has non-unique elements"),
        ("a%2Cb", "'a,b' does not match '^[^,/]*$'"),
        (&"x".repeat(256), "is too long"),
    ] {
        let message = admin
            .put_empty(&format!("{path}/{value}"))
            .await
            .message(400);
        assert!(message.contains(complaint), "{message}");
    }
    for (body, complaint) in [
        (json!({}), "{} is not of type 'array'"),
        (
            json!({"tags": ["a", "a"]}),
            "['a', 'a'] has non-unique elements",
        ),
        (json!({"tags": ["a,b"]}), "does not match"),
        (json!({"tags": [7]}), "7 is not of type 'string'"),
        (
            json!({"tags": [], "more": 1}),
            "Additional properties are not allowed",
        ),
    ] {
        let message = admin.put(&path, body).await.message(400);
        assert!(message.contains(complaint), "{message}");
    }
    assert_eq!(tags(&admin, &path).await, json!(["red"]));

    let most: Vec<_> = (0..80).map(|number| number.to_string()).collect();
    admin.put(&path, json!({ "tags": most })).await.expect(200);
    let message = admin
        .put_empty(&format!("{path}/one-more"))
        .await
        .message(400);
    assert!(message.contains("is too long"), "{message}");
}

#[tokio::test]
async fn readers_see_tags_and_managers_of_the_domain_change_them() {
    let server = TestServer::start().await;
    let path = format!("/v3/projects/{}/tags", home());
    let one = format!("{path}/red");
    let all = json!({"tags": ["red"]});

    let manager = server.with_role("manager", Scope::Domain).await;
    manager.put(&path, all.clone()).await.expect(200);
    for (role, scope) in [
        ("reader", Scope::Project),
        ("reader", Scope::Domain),
        ("reader", Scope::System),
        ("manager", Scope::Project),
    ] {
        let reader = server.with_role(role, scope).await;
        reader.get(&path).await.expect(200);
        reader.get(&one).await.expect(204);
        reader.put(&path, all.clone()).await.expect(403);
        reader.put_empty(&format!("{path}/new")).await.expect(403);
        reader.delete(&one).await.expect(403);
        reader.delete(&path).await.expect(403);
    }
    let stranger = server.stranger().await;
    let hidden = stranger.get(&path).await.expect(403);
    let missing = stranger.get("/v3/projects/nothing/tags").await;
    assert_eq!(missing.expect(403), hidden);
    server.nobody().get(&path).await.expect(401);
    manager.put_empty(&format!("{path}/new")).await.expect(201);
    manager.delete(&one).await.expect(204);
    manager.delete(&path).await.expect(204);
}

#[tokio::test]
async fn a_project_that_is_not_there_has_no_tags() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let path = "/v3/projects/nothing/tags";
    let missing = "Could not find project: nothing.";

    assert_eq!(admin.get(path).await.message(404), missing);
    let all = json!({"tags": ["red"]});
    assert_eq!(admin.put(path, all).await.message(404), missing);
    assert_eq!(admin.delete(path).await.message(404), missing);
    let one = "/v3/projects/nothing/tags/red";
    assert_eq!(admin.get(one).await.message(404), missing);
    assert_eq!(admin.put_empty(one).await.message(404), missing);
    assert_eq!(admin.delete(one).await.message(404), missing);
    // What is asked is judged first.
    let wrong = "/v3/projects/nothing/tags/a%2Cb";
    admin.put_empty(wrong).await.expect(400);
}

#[tokio::test]
async fn the_tags_of_an_immutable_project_stay() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let path = tagged(&admin, json!(["red"])).await;
    let project = path.strip_suffix("/tags").unwrap();
    let id = project.strip_prefix("/v3/projects/").unwrap();
    let mark = json!({"project": {"options": {"immutable": true}}});
    admin.patch(project, mark).await.expect(200);
    let refused = |act: &str| {
        format!(
            "Cannot {act} project tags for {id}, project is immutable. Set \"immutable\" option \
             to false before creating project tags."
        )
    };

    let one = format!("{path}/red");
    let new = format!("{path}/new");
    assert_eq!(admin.put_empty(&new).await.message(403), refused("create"));
    assert_eq!(admin.delete(&one).await.message(403), refused("delete"));
    let all = json!({"tags": []});
    assert_eq!(admin.put(&path, all).await.message(403), refused("update"));
    assert_eq!(admin.delete(&path).await.message(403), refused("update"));
    assert_eq!(tags(&admin, &path).await, json!(["red"]));
}

/// The path of the tags of a new project.
async fn tagged(admin: &Client, tags: Value) -> String {
    let project = json!({"project": {"name": "tagged", "tags": tags}});
    let created = admin.post("/v3/projects", project).await.expect(201);
    let id = created["project"]["id"].as_str().unwrap();
    format!("/v3/projects/{id}/tags")
}

async fn tags(admin: &Client, path: &str) -> Value {
    admin.get(path).await.expect(200)["tags"].take()
}
