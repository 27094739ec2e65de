//! The project of the cloud's administrators, in tokens and in rules that ask for it.

use config::Config;
use serde_json::{Value, json};
use testkit::{Client, PASSWORD, Scope, TestServer};

const RULE: &str = r#"
"identity:list_users": "role:admin and is_admin_project:True"
"identity:create_user": "role:admin and is_admin_project:True"
"#;

fn named(project: &str, domain: &str) -> impl FnOnce(&mut Config) {
    move |config: &mut Config| {
        config.resource.admin_project_name = Some(project.to_owned());
        config.resource.admin_project_domain_name = Some(domain.to_owned());
    }
}

/// Administrators of everything that a project called `admin`, in a domain of its own, offers.
async fn others(server: &TestServer) -> [(&'static str, Client); 2] {
    let admin = server.admin().await;
    let id = |made: &Value, kind: &str| made[kind]["id"].as_str().unwrap().to_owned();
    let domain = json!({"domain": {"name": "d1"}});
    let domain = id(
        &admin.post("/v3/domains", domain).await.expect(201),
        "domain",
    );
    let project = json!({"project": {"name": "admin", "domain_id": domain}});
    let project = id(
        &admin.post("/v3/projects", project).await.expect(201),
        "project",
    );
    let user = json!({"user": {"name": "ada", "domain_id": domain, "password": PASSWORD}});
    let user = id(&admin.post("/v3/users", user).await.expect(201), "user");
    let roles = admin.get("/v3/roles?name=admin").await.expect(200);
    let role = roles["roles"][0]["id"].as_str().unwrap();
    let mut clients = Vec::new();
    for (kind, place, target) in [
        ("project", "projects", &project),
        ("domain", "domains", &domain),
    ] {
        let grant = format!("/v3/{place}/{target}/users/{user}/roles/{role}");
        admin.put_empty(&grant).await.expect(204);
        let proof = json!({"user": {"id": user, "password": PASSWORD}});
        let identity = json!({"methods": ["password"], "password": proof});
        let scope = json!({kind: {"id": target}});
        let body = json!({"auth": {"identity": identity, "scope": scope}});
        let answer = server.nobody().post("/v3/auth/tokens", body).await;
        answer.expect(201);
        let text = answer.header("X-Subject-Token");
        clients.push((kind, server.nobody().with_token(text)));
    }
    clients.try_into().ok().unwrap()
}

/// What the token of a client says of itself.
async fn shown(client: &Client) -> Value {
    let asker = client
        .clone()
        .with_header("x-subject-token", client.token());
    asker.get("/v3/auth/tokens").await.expect(200)["token"].clone()
}

#[tokio::test]
async fn an_administrator_of_a_domain_is_none_of_the_cloud() {
    let server = TestServer::start().await;
    let [(_, on_project), (_, on_domain)] = others(&server).await;
    server.set_policy(RULE);
    let user = json!({"user": {"name": "mallory", "domain_id": "default"}});
    assert_eq!(on_domain.get("/v3/users").await.status, 403);
    assert_eq!(on_domain.post("/v3/users", user.clone()).await.status, 403);
    // While no project is named, every one counts, and so does the system.
    assert_eq!(on_project.get("/v3/users").await.status, 200);
    assert_eq!(
        server.system_admin().await.get("/v3/users").await.status,
        200
    );
    for client in [&on_project, &on_domain] {
        assert_eq!(shown(client).await.get("is_admin_project"), None);
    }
    server.set_policy(r#""identity:list_users": "is_admin_project:False""#);
    assert_eq!(on_domain.get("/v3/users").await.status, 200);
    assert_eq!(on_project.get("/v3/users").await.status, 403);
    let unscoped = server.stranger().await;
    assert_eq!(unscoped.get("/v3/users").await.status, 403);
}

#[tokio::test]
async fn where_a_project_is_named_its_administrators_alone_are_the_clouds() {
    let server = TestServer::start_with(named("admin", "Default")).await;
    let others = others(&server).await;
    let home = server.with_role("admin", Scope::Project).await;
    server.set_policy(RULE);
    let admin = server.admin().await;
    assert_eq!(shown(&admin).await["is_admin_project"], true);
    assert_eq!(admin.get("/v3/users").await.status, 200);
    for (kind, client) in others.into_iter().chain([("project", home)]) {
        let expected = (kind == "project").then(|| json!(false));
        assert_eq!(
            shown(&client).await.get("is_admin_project"),
            expected.as_ref()
        );
        assert_eq!(client.get("/v3/users").await.status, 403, "{kind}");
        let user = json!({"user": {"name": "mallory", "domain_id": "default"}});
        assert_eq!(client.post("/v3/users", user).await.status, 403, "{kind}");
    }
    // It stands behind the roles, as in the reference.
    let keys: Vec<_> = shown(&admin)
        .await
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let place = |name: &str| keys.iter().position(|key| key == name).unwrap();
    assert_eq!(place("is_admin_project"), place("roles") + 1);
    let system = server.system_admin().await;
    assert_eq!(shown(&system).await.get("is_admin_project"), None);
}

#[tokio::test]
async fn one_name_without_the_other_names_no_project() {
    for (project, domain) in [("admin", ""), ("", "Default")] {
        let server = TestServer::start_with(named(project, domain)).await;
        let [(_, on_project), _] = others(&server).await;
        server.set_policy(RULE);
        assert_eq!(shown(&on_project).await.get("is_admin_project"), None);
        assert_eq!(on_project.get("/v3/users").await.status, 200);
    }
    let server = TestServer::start_with(|config| {
        config.resource.admin_project_name = Some("admin".into());
    })
    .await;
    assert_eq!(
        shown(&server.admin().await).await.get("is_admin_project"),
        None
    );
}
