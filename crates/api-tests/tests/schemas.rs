//! When requests are judged by their schemas.

use http::Method;
use serde_json::json;
use testkit::TestServer;

#[tokio::test]
async fn what_a_request_says_is_judged_before_who_says_it() {
    let server = TestServer::start().await;
    let nobody = server.nobody();
    for path in [
        "/v3/role_assignments?user.id=u&group.id=g",
        "/v3/role_assignments?include_subtree",
        "/v3/regions?limit=1",
        "/v3/users?enabled=perhaps",
    ] {
        nobody.get(path).await.expect(400);
    }
    for (method, path, body) in [
        (
            Method::POST,
            "/v3/projects",
            json!({"project": {"name": 1}}),
        ),
        (
            Method::PATCH,
            "/v3/users/u",
            json!({"user": {"enabled": 1}}),
        ),
        (Method::PUT, "/v3/projects/p/tags", json!({"tags": "red"})),
    ] {
        nobody.send(method, path, Some(body)).await.expect(400);
    }

    // What the schema lets through is said to somebody known only, and so is what the schema of
    // a mapping forbids, which is asked for later.
    nobody
        .get("/v3/role_assignments?user.id=u")
        .await
        .expect(401);
    let project = json!({"project": {"name": "apollo"}});
    nobody.post("/v3/projects", project).await.expect(401);
    nobody
        .post("/v3/roles", json!({"role": {"name": "pilot"}}))
        .await
        .expect(401);
    let mapping = json!({"mapping": {"rules": 1}});
    nobody
        .put("/v3/OS-FEDERATION/mappings/m", mapping)
        .await
        .expect(401);
}
