//! Revocation events over HTTP.

use serde_json::json;
use testkit::{Scope, TestServer};

const PATH: &str = "/v3/OS-REVOKE/events";

#[tokio::test]
async fn a_revoked_token_leaves_events() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    assert_eq!(admin.get(PATH).await.expect(200)["events"], json!([]));
    let victim = server.stranger().await;
    let shown = victim
        .clone()
        .with_header("x-subject-token", victim.token());
    let token = shown.get("/v3/auth/tokens").await.expect(200)["token"].clone();
    shown.delete("/v3/auth/tokens").await.expect(204);
    let audit_id = &token["audit_ids"][0];
    let time = "2026-05-04T03:02:01.000000Z";
    assert_eq!(
        admin.get(PATH).await.text,
        format!(
            "{{\"events\": [\
             {{\"audit_id\": {audit_id}, \"issued_before\": \"{time}\", \"revoked_at\": \"{time}\"}}, \
             {{\"audit_chain_id\": {audit_id}, \"issued_before\": \"{time}\", \
             \"revoked_at\": \"{time}\"}}], \
             \"links\": {{\"next\": null, \"self\": \"{}{PATH}\", \"previous\": null}}}}\n",
            server.url
        )
    );
}

#[tokio::test]
async fn events_are_listed_from_a_moment_on() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let victim = server.stranger().await;
    let victim = victim
        .clone()
        .with_header("x-subject-token", victim.token());
    victim
        .delete("/v3/auth/tokens?cascade=false")
        .await
        .expect(204);
    for (since, count) in [
        ("", 1),
        ("2026-05-04T03:02:00Z", 1),
        ("2026-05-04T03:02:01Z", 0),
        ("2026-05-04T05:02:00%2B02:00", 1),
        ("2026-05-04", 1),
        ("2026-05-05", 0),
    ] {
        let listed = admin
            .get(&format!("{PATH}?since={since}"))
            .await
            .expect(200);
        assert_eq!(listed["events"].as_array().unwrap().len(), count, "{since}");
        assert_eq!(listed["links"]["self"], format!("http://server{PATH}"));
    }
    let answer = admin.get(&format!("{PATH}?since=yesterday")).await;
    assert_eq!(answer.message(400), "invalidate date format yesterday");
}

#[tokio::test]
async fn services_and_administrators_list_events() {
    let server = TestServer::start().await;
    for allowed in [
        server.admin().await,
        server.system_admin().await,
        server.with_role("service", Scope::Project).await,
    ] {
        assert_eq!(allowed.get(PATH).await.status, 200);
    }
    for denied in [
        server.with_role("admin", Scope::Domain).await,
        server.with_role("manager", Scope::Project).await,
        server.with_role("reader", Scope::System).await,
        server.stranger().await,
    ] {
        assert_eq!(
            denied.get(PATH).await.message(403),
            "You are not authorized to perform the requested action: identity:list_revoke_events."
        );
    }
    assert_eq!(server.nobody().get(PATH).await.status, 401);
}
