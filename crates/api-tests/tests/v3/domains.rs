//! Domains over HTTP.

use chrono::TimeDelta;
use serde_json::{Value, json};
use testkit::{Answer, Client, PASSWORD, Scope, TestServer};

#[tokio::test]
async fn a_domain_lives() {
    let server = TestServer::start().await;
    let admin = server.admin().await;

    let wanted = json!({"name": " acme ", "hull-colour": "red", "tags": ["old", "moon"]});
    let created = admin.post("/v3/domains", json!({ "domain": wanted })).await;
    insta::assert_compact_json_snapshot!(created.expect(201), @r#"
    {
      "domain": {
        "hull_colour": "red",
        "id": "00000000000000000000000000001001",
        "name": "acme",
        "description": "",
        "enabled": true,
        "tags": [
          "moon",
          "old"
        ],
        "options": {},
        "links": {
          "self": "http://server/v3/domains/00000000000000000000000000001001"
        }
      }
    }
    "#);
    let path = "/v3/domains/00000000000000000000000000001001";
    assert_eq!(admin.get(path).await.expect(200), created.expect(201));

    let change = json!({"domain": {"name": "ajax", "description": null, "tags": []}});
    let changed = admin.patch(path, change).await.expect(200);
    assert_eq!(changed["domain"]["name"], "ajax");
    assert_eq!(changed["domain"]["description"], Value::Null);
    assert_eq!(changed["domain"]["hull_colour"], "red");
    assert_eq!(changed["domain"]["tags"], json!([]));
    // Other than projects and users, domains are not shown with `extra`.
    assert!(changed["domain"].get("extra").is_none());
    assert_eq!(admin.get(path).await.expect(200), changed);

    assert_eq!(
        admin.delete(path).await.message(403),
        "Cannot delete a domain that is enabled, please disable it first."
    );
    disable(&admin, path).await;
    admin.delete(path).await.expect(204);
    let gone = "Could not find domain: 00000000000000000000000000001001.";
    assert_eq!(admin.get(path).await.message(404), gone);
    let change = json!({"domain": {"name": "late"}});
    assert_eq!(admin.patch(path, change).await.message(404), gone);
    assert_eq!(admin.delete(path).await.message(404), gone);
}

#[tokio::test]
async fn another_name_can_be_reserved() {
    let reserved = "Größe".to_owned();
    let server = TestServer::start_with(|config| {
        config.federation.federated_domain_name = reserved;
    })
    .await;
    let admin = server.admin().await;
    let id = create(&admin, json!({"name": "Federated"})).await;
    for name in ["Größe", "GRÖßE"] {
        let message = admin
            .post("/v3/domains", json!({"domain": {"name": name}}))
            .await
            .message(400);
        assert_eq!(message, format!("The domain name {name} is reserved."));
        let rename = json!({"domain": {"name": name}});
        let path = format!("/v3/domains/{id}");
        admin.patch(&path, rename).await.expect(400);
        let project = json!({"project": {"name": name, "is_domain": true}});
        admin.post("/v3/projects", project).await.expect(400);
    }
}

#[tokio::test]
async fn what_a_domain_says_must_fit() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = create(&admin, json!({"name": "acme"})).await;
    let other = create(&admin, json!({"name": "other"})).await;
    let post = async |domain: Value| admin.post("/v3/domains", json!({ "domain": domain })).await;
    let change = async |domain: Value| {
        let path = format!("/v3/domains/{other}");
        admin.patch(&path, json!({ "domain": domain })).await
    };

    let taken = "Conflict occurred attempting to store project - it is not permitted to have two \
                 projects acting as domains with the same name: acme.";
    assert_eq!(post(json!({"name": "acme"})).await.message(409), taken);
    assert_eq!(change(json!({"name": "acme"})).await.message(409), taken);
    post(json!({"name": " "})).await.expect(400);
    post(json!({"name": "x", "enabled": "true"}))
        .await
        .expect(400);
    admin.post("/v3/domains", json!({})).await.expect(400);
    change(json!({})).await.expect(400);

    let reserved = "The domain name federated is reserved.";
    assert_eq!(
        post(json!({"name": "federated"})).await.message(400),
        reserved
    );
    assert_eq!(
        change(json!({"name": "federated"})).await.message(400),
        reserved
    );

    let chosen = "0123456789abcdef0123456789abcdef";
    let named = json!({"name": "chosen", "explicit_domain_id": chosen});
    let created = post(named.clone()).await.expect(201);
    assert_eq!(created["domain"]["id"], chosen);
    assert!(created["domain"].get("explicit_domain_id").is_none());
    post(named).await.expect(409);
    assert_eq!(
        post(json!({"name": "x", "explicit_domain_id": "x"}))
            .await
            .message(400),
        "Domain ID does not conform to required UUID format."
    );
    // A project is no domain, and a domain with this id is not found either.
    let project = json!({"project": {"name": "apollo", "domain_id": id}});
    let project = admin.post("/v3/projects", project).await.expect(201);
    let project = project["project"]["id"].as_str().unwrap();
    admin
        .get(&format!("/v3/domains/{project}"))
        .await
        .expect(404);
}

#[tokio::test]
async fn administrators_manage_domains_and_others_see_their_own() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let other = create(&admin, json!({"name": "other"})).await;
    let other = format!("/v3/domains/{other}");
    let own = "/v3/domains/default";
    let wanted = json!({"domain": {"name": "new"}});

    for (role, scope) in [
        ("manager", Scope::Domain),
        ("reader", Scope::Project),
        ("reader", Scope::System),
    ] {
        let person = server.with_role(role, scope).await;
        person.post("/v3/domains", wanted.clone()).await.expect(403);
        person.patch(own, wanted.clone()).await.expect(403);
        person.delete(own).await.expect(403);
        person.get(own).await.expect(200);
        let sees_all = scope == Scope::System;
        let status = person.get(&other).await.status;
        assert_eq!(status, if sees_all { 200 } else { 403 });
        let missing = person.get("/v3/domains/nowhere").await.status;
        assert_eq!(missing, if sees_all { 404 } else { 403 });
    }
    // A token of a domain lists it alone, one of a project none.
    let reader = server.with_role("reader", Scope::Domain).await;
    assert_eq!(names(&reader.get("/v3/domains").await), ["Default"]);
    let query = "/v3/domains?name=other";
    assert_eq!(names(&reader.get(query).await), [""; 0]);
    let member = server.with_role("member", Scope::Project).await;
    member.get("/v3/domains").await.expect(403);
    member.get(own).await.expect(200);
    let system = server.system_admin().await;
    assert_eq!(names(&system.get("/v3/domains").await).len(), 2);
    let stranger = server.stranger().await;
    stranger.get(own).await.expect(403);
    server.nobody().get("/v3/domains").await.expect(401);
    // Administrators may, and are told what does not exist.
    admin.patch("/v3/domains/nowhere", wanted).await.expect(404);
    admin.delete("/v3/domains/nowhere").await.expect(404);
}

#[tokio::test]
async fn the_list_is_filtered_and_paged() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let one = create(&admin, json!({"name": "list one"})).await;
    create(&admin, json!({"name": "List two", "enabled": false})).await;
    let listed = async |query: &str| names(&admin.get(&format!("/v3/domains?{query}")).await);

    assert_eq!(listed("name=list%20one").await, ["list one"]);
    assert_eq!(listed("name__startswith=List").await, ["List two"]);
    assert_eq!(
        listed("name__istartswith=list").await,
        ["list one", "List two"]
    );
    assert_eq!(listed("enabled=false").await, ["List two"]);
    assert_eq!(
        listed(&format!("marker={one}&enabled=no")).await,
        ["List two"]
    );
    let page = admin.get("/v3/domains?name__icontains=list&limit=1").await;
    assert_eq!(names(&page), ["list one"]);
    let page = page.expect(200);
    assert_eq!(page["truncated"], true);
    let next = format!("http://server/v3/domains?name__icontains=list&limit=1&marker={one}");
    assert_eq!(page["links"]["next"], next);
    admin.get("/v3/domains?limit=x").await.expect(400);
    admin.get("/v3/domains?enabled=maybe").await.expect(400);
    let missing = admin.get("/v3/domains?marker=nowhere").await;
    assert_eq!(missing.message(404), "Marker nowhere could not be found.");
}

#[tokio::test]
async fn an_immutable_domain_stays_until_the_mark_is_lifted() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let rock = json!({"name": "rock", "enabled": false, "options": {"immutable": true}});
    let id = create(&admin, rock).await;
    let path = format!("/v3/domains/{id}");
    let change = async |domain: Value| admin.patch(&path, json!({ "domain": domain })).await;

    let refused = |act: &str, kind: &str, id: &str| {
        format!(
            "Unable to {act} immutable {kind} resource: `{id}. Set resource option \
             \"immutable\" to false first."
        )
    };
    let renamed = change(json!({"name": "sand"})).await;
    assert_eq!(renamed.message(403), refused("update", "domain", &id));
    let deleted = admin.delete(&path).await;
    assert_eq!(deleted.message(403), refused("delete", "domain", &id));
    let lift = json!({"options": {"immutable": false}});
    change(lift).await.expect(200);

    // One of its projects holds it back too.
    change(json!({"enabled": true})).await.expect(200);
    let project = json!({"name": "p", "domain_id": id, "options": {"immutable": true}});
    let project = admin
        .post("/v3/projects", json!({ "project": project }))
        .await;
    let project = project.expect(201)["project"]["id"].take();
    disable(&admin, &path).await;
    let deleted = admin.delete(&path).await;
    let project = project.as_str().unwrap();
    assert_eq!(deleted.message(403), refused("delete", "project", project));
    let lift = json!({"project": {"options": {"immutable": null}}});
    admin
        .patch(&format!("/v3/projects/{project}"), lift)
        .await
        .expect(200);
    admin.delete(&path).await.expect(204);
}

#[tokio::test]
async fn nobody_logs_in_at_a_disabled_domain() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let world = Contents::create(&admin).await;
    let user = world.log_in(&server).await;
    let own = format!("/v3/users/{}", world.user);
    user.get(&own).await.expect(200);

    disable(&admin, &world.path()).await;
    assert_ne!(user.get(&own).await.status, 200);
    assert_eq!(log_in(&server, &world.user).await.status, 401);
    let on = json!({"domain": {"enabled": true}});
    admin.patch(&world.path(), on).await.expect(200);
    user.get(&own).await.expect(200);
}

#[tokio::test]
async fn a_deleted_domain_takes_with_it_all_that_it_holds() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let world = Contents::create(&admin).await;
    let guest = server.add_person("guest", &[]).await;
    let path = format!("/v3/groups/{}/users/{guest}", world.group);
    admin.put_empty(&path).await.expect(204);
    let user = world.log_in(&server).await;
    let guest = server.log_in("guest", None).await;
    let secret = json!({"application_credential": {"name": "robot"}});
    let credentials = format!("/v3/users/{}/application_credentials", world.user);
    user.post(&credentials, secret).await.expect(201);

    server.clock.advance(TimeDelta::seconds(1));
    disable(&admin, &world.path()).await;
    let before = server.app.parts.store.statements();
    admin.delete(&world.path()).await.expect(204);
    let few = server.app.parts.store.statements() - before;
    for path in world.paths() {
        admin.get(&path).await.expect(404);
    }
    // Its roles stay, as they do in the reference.
    admin
        .get(&format!("/v3/roles/{}", world.role))
        .await
        .expect(200);
    assert_ne!(user.get("/v3/auth/projects").await.status, 200);
    // So do those who were in a group of it with roles, but their tokens end.
    guest.get("/v3/auth/projects").await.expect(401);
    let events = admin.get("/v3/OS-REVOKE/events").await.expect(200);
    let events = events["events"].as_array().unwrap();
    let named = |attribute: &str, id: &str| events.iter().any(|event| event[attribute] == id);
    assert!(named("user_id", &world.user));
    assert!(named("project_id", &world.project));
    assert!(named("project_id", &world.child));
    assert!(named("project_id", &world.id));
    assert_eq!(events.len(), 5);

    // However much it holds, it takes as many statements.
    let world = Contents::create(&admin).await;
    for number in 0..20 {
        let user = json!({"user": {"name": number.to_string(), "domain_id": world.id}});
        admin.post("/v3/users", user).await.expect(201);
        let project = json!({"project": {"name": number.to_string(), "domain_id": world.id}});
        admin.post("/v3/projects", project).await.expect(201);
    }
    disable(&admin, &world.path()).await;
    let before = server.app.parts.store.statements();
    admin.delete(&world.path()).await.expect(204);
    assert_eq!(server.app.parts.store.statements() - before, few);
}

/// A domain with something of everything in it.
struct Contents {
    id: String,
    project: String,
    child: String,
    user: String,
    group: String,
    role: String,
}

impl Contents {
    async fn create(admin: &Client) -> Self {
        let id = create(admin, json!({"name": "doomed"})).await;
        let post = async |kind: &str, more: Value| {
            let mut thing = json!({"name": "doomed", "domain_id": id});
            let attributes = thing.as_object_mut().unwrap();
            attributes.extend(more.as_object().unwrap().clone());
            let created = admin
                .post(&format!("/v3/{kind}s"), json!({ kind: thing }))
                .await;
            created.expect(201)[kind]["id"].as_str().unwrap().to_owned()
        };
        let project = post("project", json!({})).await;
        let child = post("project", json!({"name": "child", "parent_id": project})).await;
        let user = post("user", json!({"password": PASSWORD})).await;
        let group = post("group", json!({})).await;
        let role = post("role", json!({"name": format!("role of {id}")})).await;
        let member = admin.get("/v3/roles?name=member").await.expect(200);
        let member = member["roles"][0]["id"].as_str().unwrap();
        for grant in [
            format!("/v3/projects/{project}/users/{user}/roles/{member}"),
            format!("/v3/domains/{id}/groups/{group}/roles/{member}"),
        ] {
            admin.put_empty(&grant).await.expect(204);
        }
        Self {
            id,
            project,
            child,
            user,
            group,
            role,
        }
    }

    fn path(&self) -> String {
        format!("/v3/domains/{}", self.id)
    }

    fn paths(&self) -> Vec<String> {
        vec![
            self.path(),
            format!("/v3/projects/{}", self.id),
            format!("/v3/projects/{}", self.project),
            format!("/v3/projects/{}", self.child),
            format!("/v3/users/{}", self.user),
            format!("/v3/groups/{}", self.group),
        ]
    }

    /// Its user, with a token for the project.
    async fn log_in(&self, server: &TestServer) -> Client {
        let user = json!({"id": self.user, "password": PASSWORD});
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        let scope = json!({"project": {"id": self.project}});
        let body = json!({"auth": {"identity": identity, "scope": scope}});
        let answer = server.nobody().post("/v3/auth/tokens", body).await;
        answer.expect(201);
        server.nobody().with_token(answer.header("X-Subject-Token"))
    }
}

async fn log_in(server: &TestServer, id: &str) -> Answer {
    let user = json!({"id": id, "password": PASSWORD});
    let identity = json!({"methods": ["password"], "password": {"user": user}});
    let body = json!({"auth": {"identity": identity}});
    server.nobody().post("/v3/auth/tokens", body).await
}

async fn disable(admin: &Client, path: &str) {
    let off = json!({"domain": {"enabled": false}});
    admin.patch(path, off).await.expect(200);
}

async fn create(admin: &Client, domain: Value) -> String {
    let created = admin.post("/v3/domains", json!({ "domain": domain })).await;
    created.expect(201)["domain"]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[track_caller]
fn names(answer: &Answer) -> Vec<String> {
    let body = answer.expect(200);
    let items = body["domains"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}
