//! Roles over HTTP.

use chrono::TimeDelta;
use serde_json::{Value, json};
use testkit::{Client, PASSWORD, Scope, TestServer, home};

#[tokio::test]
async fn a_role_lives() {
    let server = TestServer::start().await;
    let admin = server.admin().await;

    let created = admin
        .post(
            "/v3/roles",
            json!({"role": {"name": "pilot", "colour": "red"}}),
        )
        .await
        .expect(201);
    insta::assert_compact_json_snapshot!(
        created,
        @r#"
    {
      "role": {
        "colour": "red",
        "id": "00000000000000000000000000001001",
        "name": "pilot",
        "domain_id": null,
        "description": null,
        "options": {},
        "links": {
          "self": "http://server/v3/roles/00000000000000000000000000001001"
        }
      }
    }
    "#
    );
    let path = "/v3/roles/00000000000000000000000000001001";
    assert_eq!(admin.get(path).await.expect(200), created);
    admin.head(path).await.expect(200);

    let change = json!({"role": {"name": "captain", "description": "flies", "colour": "blue"}});
    let changed = admin.patch(path, change).await.expect(200);
    assert_eq!(changed["role"]["name"], "captain");
    assert_eq!(changed["role"]["description"], "flies");
    assert_eq!(changed["role"]["colour"], "blue");
    assert_eq!(admin.get(path).await.expect(200), changed);

    admin.delete(path).await.expect(204);
    assert_eq!(
        admin.get(path).await.message(404),
        "Could not find role: 00000000000000000000000000001001."
    );
    admin.delete(path).await.expect(404);
}

#[tokio::test]
async fn a_name_is_taken_once_in_a_domain_and_once_outside() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    create(&admin, json!({"name": "pilot"})).await;
    create(&admin, json!({"name": "pilot", "domain_id": "default"})).await;
    let other = create(&admin, json!({"name": "other", "domain_id": "default"})).await;

    let again = async |role: Value| {
        let answer = admin.post("/v3/roles", json!({ "role": role })).await;
        answer.message(409)
    };
    let conflict = "Conflict occurred attempting to store role - Duplicate entry found with name";
    assert_eq!(
        again(json!({"name": "pilot"})).await,
        format!("{conflict} pilot.")
    );
    assert_eq!(
        again(json!({"name": "pilot", "domain_id": "default"})).await,
        format!("{conflict} pilot at domain ID default.")
    );
    let rename = async |role: Value| {
        let path = format!("/v3/roles/{other}");
        admin
            .patch(&path, json!({ "role": role }))
            .await
            .message(409)
    };
    // The domain is told only to who named it.
    assert_eq!(
        rename(json!({"name": "pilot"})).await,
        format!("{conflict} pilot.")
    );
    assert_eq!(
        rename(json!({"name": "pilot", "domain_id": "default"})).await,
        format!("{conflict} pilot at domain ID default.")
    );
}

#[tokio::test]
async fn the_list_is_filtered_and_paged() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    create(&admin, json!({"name": "Pilot"})).await;
    create(&admin, json!({"name": "local", "domain_id": "default"})).await;
    let listed =
        async |query: &str| names(&admin.get(&format!("/v3/roles?{query}")).await.expect(200));

    let global = ["Pilot", "admin", "manager", "member", "reader", "service"];
    let mut all = listed("").await;
    all.sort();
    assert_eq!(all, global);
    assert_eq!(listed("name=Pilot").await, ["Pilot"]);
    assert_eq!(listed("name__icontains=PILO").await, ["Pilot"]);
    assert_eq!(listed("name__contains=pilo").await, [""; 0]);
    assert_eq!(listed("domain_id=default").await, ["local"]);
    assert_eq!(listed("domain_id=nowhere").await, [""; 0]);
    admin.get("/v3/roles?domain_id=").await.expect(400);
    admin.get("/v3/roles?domain_id=a.b").await.expect(400);
    admin.get("/v3/roles?limit=x").await.expect(400);

    // Only what was cut off is told to be cut off, and its link leads to the rest.
    let whole = admin.get("/v3/roles?limit=6").await.expect(200);
    assert_eq!(whole.get("truncated"), None);
    assert_eq!(whole["links"]["next"], Value::Null);
    let mut seen = Vec::new();
    let mut path = "/v3/roles?limit=4".to_owned();
    loop {
        let page = admin.get(&path).await.expect(200);
        seen.extend(names(&page));
        let Some(next) = page["links"]["next"].as_str() else {
            break;
        };
        assert_eq!(page["truncated"], true);
        path = next.trim_start_matches("http://server").to_owned();
    }
    seen.sort();
    assert_eq!(seen, global);
}

#[tokio::test]
async fn an_immutable_role_stays_until_the_mark_is_lifted() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = create(
        &admin,
        json!({"name": "rock", "options": {"immutable": true}}),
    )
    .await;
    let path = format!("/v3/roles/{id}");

    let change = admin.patch(&path, json!({"role": {"name": "sand"}})).await;
    assert_eq!(
        change.message(403),
        format!(
            "Unable to update immutable role resource: `{id}. Set resource option \"immutable\" to \
             false first."
        )
    );
    let delete = admin.delete(&path).await;
    assert_eq!(
        delete.message(403),
        format!(
            "Unable to delete immutable role resource: `{id}. Set resource option \"immutable\" to \
             false first."
        )
    );
    // Not together with something else.
    let both = json!({"role": {"name": "sand", "options": {"immutable": false}}});
    admin.patch(&path, both).await.expect(403);
    let lifted = json!({"role": {"options": {"immutable": false}}});
    admin.patch(&path, lifted).await.expect(200);
    admin.delete(&path).await.expect(204);
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let path = format!(
        "/v3/roles/{}",
        create(&admin, json!({"name": "pilot"})).await
    );

    for role in [
        json!({}),
        json!({"name": ""}),
        json!({"name": " "}),
        json!({"name": null}),
        json!({"name": 7}),
        json!({"name": "x".repeat(256)}),
        json!({"name": "bad", "description": 7}),
        json!({"name": "bad", "domain_id": "not a domain"}),
        json!({"name": "bad", "options": {"unknown": 1}}),
        json!({"name": "bad", "options": {"immutable": "maybe"}}),
    ] {
        admin
            .post("/v3/roles", json!({ "role": role }))
            .await
            .expect(400);
    }
    admin.post("/v3/roles", json!({})).await.expect(400);
    let change = async |role: Value| admin.patch(&path, json!({ "role": role })).await;
    assert_eq!(
        change(json!({"id": "other"})).await.message(400),
        "Cannot change ID"
    );
    let moved = change(json!({"domain_id": "default"})).await;
    assert_eq!(moved.message(400), "Update of `domain_id` is not allowed.");
    change(json!({})).await.expect(400);
}

#[tokio::test]
async fn administrators_manage_roles() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let path = format!(
        "/v3/roles/{}",
        create(&admin, json!({"name": "pilot"})).await
    );
    let body = json!({"role": {"name": "x"}});

    for (role, scope) in [
        ("reader", Scope::System),
        ("manager", Scope::Domain),
        ("admin", Scope::Domain),
        ("member", Scope::Project),
    ] {
        let other = server.with_role(role, scope).await;
        let refused = other.post("/v3/roles", body.clone()).await;
        assert_eq!(
            refused.message(403),
            "You are not authorized to perform the requested action: identity:create_role."
        );
        other.patch(&path, body.clone()).await.expect(403);
        other.delete(&path).await.expect(403);
        let local = json!({"role": {"name": "x", "domain_id": "default"}});
        other.post("/v3/roles", local).await.expect(403);
    }
    let nobody = server.nobody();
    nobody.post("/v3/roles", body.clone()).await.expect(401);
    nobody.patch(&path, body.clone()).await.expect(401);
    nobody.delete(&path).await.expect(401);
    let system = server.system_admin().await;
    system.post("/v3/roles", body.clone()).await.expect(201);
    system
        .patch(&path, json!({"role": {"name": "y"}}))
        .await
        .expect(200);
    system.delete(&path).await.expect(204);
}

#[tokio::test]
async fn readers_of_the_system_and_managers_see_roles() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let role = |name: &'static str| {
        let admin = admin.clone();
        async move { format!("/v3/roles/{}", find(&admin, name).await) }
    };
    let (reader_role, admin_role) = (role("reader").await, role("admin").await);
    let local = create(&admin, json!({"name": "local", "domain_id": "default"})).await;
    let local = format!("/v3/roles/{local}");

    let reader = server.with_role("reader", Scope::System).await;
    reader.get("/v3/roles").await.expect(200);
    reader.get("/v3/roles?domain_id=default").await.expect(200);
    reader.get(&admin_role).await.expect(200);
    reader.get(&local).await.expect(200);
    // A manager sees those that a manager may give.
    let manager = server.with_role("manager", Scope::Domain).await;
    manager.get("/v3/roles").await.expect(200);
    manager.get("/v3/roles?domain_id=default").await.expect(403);
    manager.get(&reader_role).await.expect(200);
    manager.get(&admin_role).await.expect(403);
    manager.get(&local).await.expect(403);
    let of_project = server.with_role("manager", Scope::Project).await;
    of_project.get("/v3/roles").await.expect(403);
    of_project.get(&reader_role).await.expect(200);
    for (role, scope) in [("reader", Scope::Domain), ("member", Scope::Project)] {
        let other = server.with_role(role, scope).await;
        other.get("/v3/roles").await.expect(403);
        other.get(&reader_role).await.expect(403);
    }
    server.nobody().get("/v3/roles").await.expect(401);
    server.nobody().get(&reader_role).await.expect(401);
}

#[tokio::test]
async fn a_missing_role_is_told_to_everybody_who_is_logged_in() {
    let server = TestServer::start().await;
    let stranger = server.stranger().await;
    let body = json!({"role": {"name": "x"}});
    let path = "/v3/roles/nothing";
    let message = "Could not find role: nothing.";
    assert_eq!(stranger.get(path).await.message(404), message);
    assert_eq!(stranger.patch(path, body).await.message(404), message);
    assert_eq!(stranger.delete(path).await.message(404), message);
    server.nobody().get(path).await.expect(401);
}

#[tokio::test]
async fn a_deleted_role_is_lost_by_whoever_held_it() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let user = server
        .add_person("ada", &[("reader", Scope::Project)])
        .await;
    let id = create(&admin, json!({"name": "pilot"})).await;
    let project = home();
    for place in [
        format!("/v3/projects/{project}/users/{user}/roles/{id}"),
        format!("/v3/domains/default/users/{user}/roles/{id}"),
        format!("/v3/system/users/{user}/roles/{id}"),
        format!("/v3/OS-INHERIT/domains/default/users/{user}/roles/{id}/inherited_to_projects"),
    ] {
        admin.put_empty(&place).await.expect(204);
    }
    let reader = find(&admin, "reader").await;
    let implies = format!("/v3/roles/{id}/implies/{reader}");
    admin.put_empty(&implies).await.expect(201);
    let ada = server
        .log_in("ada", Some(json!({"project": {"id": project}})))
        .await;
    assert_eq!(roles_of(&ada).await, ["pilot", "reader"]);

    server.clock.advance(TimeDelta::seconds(1));
    admin.delete(&format!("/v3/roles/{id}")).await.expect(204);
    // The token is not revoked: it allows less.
    assert_eq!(roles_of(&ada).await, ["reader"]);
    let events = admin.get("/v3/OS-REVOKE/events").await.expect(200);
    assert_eq!(events["events"], json!([]));
    let path = format!("/v3/role_assignments?role.id={id}");
    let left = admin.get(&path).await.expect(200);
    assert_eq!(left["role_assignments"], json!([]));
    let inferences = admin.get("/v3/role_inferences").await.expect(200);
    assert!(!inferences.to_string().contains(&id));
}

#[tokio::test]
async fn a_deleted_role_takes_application_credentials_along() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let user = server
        .add_person("ada", &[("reader", Scope::Project)])
        .await;
    let other = server
        .add_person("bob", &[("reader", Scope::Project)])
        .await;
    let given = create(&admin, json!({"name": "given"})).await;
    let inherited = create(&admin, json!({"name": "inherited"})).await;
    let project = home();
    let place = format!("/v3/projects/{project}/users/{user}/roles/{given}");
    admin.put_empty(&place).await.expect(204);
    let place = format!(
        "/v3/OS-INHERIT/domains/default/users/{user}/roles/{inherited}/inherited_to_projects"
    );
    admin.put_empty(&place).await.expect(204);
    let scope = json!({"project": {"id": project}});
    let ada = server.log_in("ada", Some(scope.clone())).await;
    let bob = server.log_in("bob", Some(scope)).await;
    credential(&ada, user.as_str(), "all", json!(null)).await;
    credential(
        &ada,
        user.as_str(),
        "reader alone",
        json!([{"name": "reader"}]),
    )
    .await;
    credential(&bob, other.as_str(), "of bob", json!(null)).await;
    let left = async |user: &str| {
        let path = format!("/v3/users/{user}/application_credentials");
        let list = admin.get(&path).await.expect(200);
        let mut left: Vec<String> = list["application_credentials"]
            .as_array()
            .unwrap()
            .iter()
            .map(|credential| credential["name"].as_str().unwrap().to_owned())
            .collect();
        left.sort();
        left
    };
    assert_eq!(left(user.as_str()).await, ["all", "reader alone"]);

    // What was not given to the user on the project takes those that hold it.
    admin
        .delete(&format!("/v3/roles/{inherited}"))
        .await
        .expect(204);
    assert_eq!(left(user.as_str()).await, ["reader alone"]);
    // What was takes all, whether they hold it or not.
    admin
        .delete(&format!("/v3/roles/{given}"))
        .await
        .expect(204);
    assert_eq!(left(user.as_str()).await, [""; 0]);
    assert_eq!(left(other.as_str()).await, ["of bob"]);
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

async fn credential(owner: &Client, user: &str, name: &str, roles: Value) {
    let mut document = json!({"name": name, "secret": PASSWORD});
    if !roles.is_null() {
        document["roles"] = roles;
    }
    let body = json!({ "application_credential": document });
    let path = format!("/v3/users/{user}/application_credentials");
    owner.post(&path, body).await.expect(201);
}

/// The roles that somebody's own token allows.
async fn roles_of(client: &Client) -> Vec<String> {
    let about_itself = client
        .clone()
        .with_header("x-subject-token", client.token());
    let token = about_itself.get("/v3/auth/tokens").await.expect(200);
    let mut roles: Vec<String> = token["token"]["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|role| role["name"].as_str().unwrap().to_owned())
        .collect();
    roles.sort();
    roles
}

fn names(list: &Value) -> Vec<String> {
    let roles = list["roles"].as_array().unwrap();
    let name = |role: &Value| role["name"].as_str().unwrap().to_owned();
    roles.iter().map(name).collect()
}
