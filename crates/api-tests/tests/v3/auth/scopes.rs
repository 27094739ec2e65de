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
async fn the_list_of_projects_follows_every_change() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = server
        .add_person("ada", &[("member", Scope::Project)])
        .await;
    let role = admin.get("/v3/roles?name=member").await.expect(200);
    let role = role["roles"][0]["id"].as_str().unwrap();
    // Twice, so that it is known before each change.
    let names = async || {
        // What she has lost may have ended her tokens.
        server.clock.advance(chrono::TimeDelta::seconds(1));
        let ada = server.log_in("ada", None).await;
        ada.get("/v3/auth/projects").await.expect(200);
        let listed = ada.get("/v3/auth/projects").await.expect(200);
        let mut names: Vec<String> = Vec::new();
        for project in listed["projects"].as_array().unwrap() {
            let tags: Vec<_> = project["tags"].as_array().unwrap().iter().collect();
            let name = project["name"].as_str().unwrap();
            names.push(format!("{name} {tags:?} {}", project["enabled"]));
        }
        names.sort();
        names
    };
    let make = async |name: &str, parent: &str| {
        let project = json!({"project": {"name": name, "parent_id": parent}});
        let made = admin.post("/v3/projects", project).await.expect(201);
        made["project"]["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(names().await, ["home [] true"]);

    let path = format!("/v3/projects/{}", home());
    admin
        .put(&format!("{path}/tags/blue"), json!({}))
        .await
        .expect(201);
    assert_eq!(names().await, [r#"home [String("blue")] true"#], "a tag");
    admin.delete(&format!("{path}/tags")).await.expect(204);
    let change = json!({"project": {"name": "house", "enabled": false}});
    admin.patch(&path, change).await.expect(200);
    assert_eq!(names().await, ["house [] false"], "another name");
    let change = json!({"project": {"enabled": true}});
    admin.patch(&path, change).await.expect(200);

    let other = make("other", "default").await;
    assert_eq!(names().await, ["house [] true"], "not hers");
    let grant = format!("/v3/projects/{other}/users/{id}/roles/{role}");
    admin.put(&grant, json!({})).await.expect(204);
    assert_eq!(names().await, ["house [] true", "other [] true"], "a role");
    let inherited =
        format!("/v3/OS-INHERIT/domains/default/users/{id}/roles/{role}/inherited_to_projects");
    admin.put(&inherited, json!({})).await.expect(204);
    let below = names().await.len();
    assert!(below > 2, "those below the domain");
    make("new", "default").await;
    assert_eq!(
        names().await.len(),
        below + 1,
        "one that inherits from the beginning"
    );
    admin.delete(&inherited).await.expect(204);
    assert_eq!(names().await.len(), 2);

    let group = json!({"group": {"name": "crew"}});
    let group = admin.post("/v3/groups", group).await.expect(201);
    let group = group["group"]["id"].as_str().unwrap().to_owned();
    let third = make("third", "default").await;
    let grant = format!("/v3/projects/{third}/groups/{group}/roles/{role}");
    admin.put(&grant, json!({})).await.expect(204);
    assert_eq!(names().await.len(), 2);
    let member = format!("/v3/groups/{group}/users/{id}");
    admin.put(&member, json!({})).await.expect(204);
    assert_eq!(names().await.len(), 3, "through a group");
    admin
        .delete(&format!("/v3/groups/{group}"))
        .await
        .expect(204);
    assert_eq!(names().await.len(), 2, "the group is gone");
    admin
        .delete(&format!("/v3/projects/{other}"))
        .await
        .expect(204);
    assert_eq!(names().await, ["house [] true"], "a project is gone");
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
