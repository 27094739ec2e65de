//! Projects over HTTP.

use serde_json::json;
use testkit::{Scope, TestServer};

#[tokio::test]
async fn a_project_lives() {
    let server = TestServer::start().await;
    let admin = server.admin().await;

    let created = admin
        .post(
            "/v3/projects",
            json!({"project": {"name": " apollo ", "colour": "grün"}}),
        )
        .await
        .expect(201);
    assert_eq!(
        created["project"],
        json!({
            "colour": "grün",
            "id": "00000000000000000000000000001003",
            "name": "apollo",
            "domain_id": "default",
            "description": "",
            "enabled": true,
            "parent_id": "default",
            "is_domain": false,
            "tags": [],
            "options": {},
            "links": {"self": "http://server/v3/projects/00000000000000000000000000001003"},
        })
    );
    let path = format!(
        "/v3/projects/{}",
        created["project"]["id"].as_str().unwrap()
    );
    assert_eq!(admin.get(&path).await.expect(200), created);
    admin
        .patch(&path, json!({"project": {"enabled": false}}))
        .await
        .expect(200);
    admin.delete(&path).await.expect(204);
    admin.get(&path).await.expect(404);
}

#[tokio::test]
async fn a_stranger_cannot_tell_a_hidden_project_from_a_missing_one() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let stranger = server.stranger().await;

    let created = admin
        .post("/v3/projects", json!({"project": {"name": "apollo"}}))
        .await;
    let id = created.expect(201)["project"]["id"]
        .as_str()
        .unwrap()
        .to_owned();

    let hidden = stranger
        .get(&format!("/v3/projects/{id}"))
        .await
        .expect(403);
    let missing = stranger.get("/v3/projects/nothing").await.expect(403);
    assert_eq!(hidden, missing);
}

#[tokio::test]
async fn a_domain_manager_manages_projects_of_the_domain_only() {
    let server = TestServer::start().await;
    let manager = server.with_role("manager", Scope::Domain).await;

    let own = json!({"project": {"name": "apollo"}});
    manager.post("/v3/projects", own).await.expect(201);
    let foreign = json!({"project": {"name": "gemini", "domain_id": "elsewhere"}});
    manager.post("/v3/projects", foreign).await.expect(403);
    let reader = server.with_role("reader", Scope::Domain).await;
    reader
        .post("/v3/projects", json!({"project": {"name": "x"}}))
        .await
        .expect(403);
    reader.get("/v3/projects").await.expect(200);
}
