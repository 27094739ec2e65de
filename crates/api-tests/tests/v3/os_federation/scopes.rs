//! What a federated user can get a token for, over HTTP.

use testkit::{Scope, TestServer, home};

#[tokio::test]
async fn the_lists_of_federation_are_those_of_authentication() {
    let server = TestServer::start().await;
    let member = server.with_role("member", Scope::Project).await;
    let listed = member.get("/v3/OS-FEDERATION/projects").await.expect(200);
    assert_eq!(listed["projects"][0]["id"], home().as_str());
    assert_eq!(
        listed["links"]["self"],
        "http://server/v3/OS-FEDERATION/projects"
    );
    let usual = member.get("/v3/auth/projects").await.expect(200);
    assert_eq!(listed["projects"], usual["projects"]);

    let manager = server.with_role("manager", Scope::Domain).await;
    let listed = manager.get("/v3/OS-FEDERATION/domains").await.expect(200);
    assert_eq!(listed["domains"][0]["id"], "default");
    let usual = manager.get("/v3/auth/domains").await.expect(200);
    assert_eq!(listed["domains"], usual["domains"]);

    for path in ["/v3/OS-FEDERATION/projects", "/v3/OS-FEDERATION/domains"] {
        server.nobody().get(path).await.expect(401);
    }
}
