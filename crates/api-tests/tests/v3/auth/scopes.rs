//! What the caller can get a token for: projects, domains, the system, and the catalog.

use serde_json::json;
use testkit::{Scope, TestServer, home};

#[tokio::test]
async fn everybody_with_a_token_sees_where_they_have_roles() {
    let server = TestServer::start().await;
    server
        .add_person(
            "ada",
            &[("member", Scope::Project), ("reader", Scope::Domain)],
        )
        .await;
    let ada = server.log_in("ada", None).await;

    let projects = ada.get("/v3/auth/projects?name=ignored").await.expect(200);
    assert_eq!(projects["projects"][0]["id"], home().as_str());
    assert_eq!(projects["projects"].as_array().unwrap().len(), 1);
    assert_eq!(
        ada.get("/v3/auth/domains").await.expect(200),
        json!({
            "domains": [{
                "id": "default", "name": "Default", "description": "The default domain",
                "enabled": true, "tags": [], "options": {},
                "links": {"self": "http://server/v3/domains/default"},
            }],
            "links": {
                "next": null, "self": "http://server/v3/auth/domains", "previous": null,
            },
        })
    );
    let links = json!({"self": "http://server/v3/auth/system"});
    assert_eq!(
        ada.get("/v3/auth/system").await.expect(200),
        json!({"system": [], "links": links})
    );
    let admin = server.admin().await;
    assert_eq!(
        admin.get("/v3/auth/system").await.expect(200),
        json!({"system": [{"all": true}], "links": links})
    );
    for path in ["projects", "domains", "system", "catalog"] {
        let path = format!("/v3/auth/{path}");
        server.nobody().get(&path).await.expect(401);
    }
}

#[tokio::test]
async fn the_catalog_is_for_tokens_of_a_project() {
    let server = TestServer::start().await;
    let member = server.with_role("member", Scope::Project).await;
    let shown = member.get("/v3/auth/catalog").await.expect(200);
    assert_eq!(shown["catalog"][0]["type"], "identity");
    assert_eq!(
        shown["links"],
        json!({"self": "http://server/v3/auth/catalog"})
    );
    let elsewhere = server.system_admin().await;
    assert_eq!(
        elsewhere.get("/v3/auth/catalog").await.message(403),
        "You are not authorized to perform the requested action."
    );
}
