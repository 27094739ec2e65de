//! Groups over HTTP.

use chrono::TimeDelta;
use serde_json::{Value, json};
use testkit::{Answer, Client, Scope, TestServer, home};

#[tokio::test]
async fn a_group_lives() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let created = admin
        .post(
            "/v3/groups",
            json!({"group": {"name": " crew ", "hull-colour": "red"}}),
        )
        .await
        .expect(201);
    let id = created["group"]["id"].as_str().unwrap().to_owned();
    let path = format!("/v3/groups/{id}");
    assert_eq!(
        created["group"],
        json!({
            "hull_colour": "red", "id": id, "name": "crew", "domain_id": "default",
            "description": "", "links": {"self": format!("http://server{path}")},
        })
    );
    assert_eq!(admin.get(&path).await.expect(200), created);
    let changed = admin
        .patch(
            &path,
            json!({"group": {"name": "crew two", "description": null}}),
        )
        .await
        .expect(200);
    assert_eq!(changed["group"]["description"], Value::Null);
    assert_eq!(changed["group"]["hull_colour"], "red");
    assert!(changed["group"].get("extra").is_none());
    assert_eq!(admin.get(&path).await.expect(200), changed);
    admin.delete(&path).await.expect(204);
    let message = admin.get(&path).await.message(404);
    assert_eq!(message, format!("Could not find group: {id}."));
    admin.delete(&path).await.expect(404);
}

#[tokio::test]
async fn what_a_group_says_must_fit() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = create(&admin, "crew").await;
    create(&admin, "other").await;
    let path = format!("/v3/groups/{id}");
    let post = async |group: Value| admin.post("/v3/groups", json!({ "group": group })).await;
    let change = async |group: Value| admin.patch(&path, json!({ "group": group })).await;

    let long = "a".repeat(65);
    assert_eq!(
        post(json!({ "name": long })).await.message(400),
        format!(
            "String length exceeded. The length of string '{long}' exceeds the limit of column \
             name(CHAR(64))."
        )
    );
    let answer = post(json!({"name": "x", "domain_id": "nowhere"})).await;
    assert_eq!(answer.message(404), "Could not find domain: nowhere.");
    assert_eq!(
        post(json!({"name": "crew"})).await.message(409),
        "Conflict occurred attempting to store group - Duplicate entry found with name crew at \
         domain ID default."
    );
    assert_eq!(
        change(json!({"name": "other"})).await.message(409),
        "Conflict occurred attempting to store group - Duplicate entry found with name other."
    );
    let answer = change(json!({"id": "other"})).await;
    assert_eq!(answer.message(400), "Cannot change ID");
    let answer = change(json!({"domain_id": "other"})).await;
    assert_eq!(answer.message(400), "Cannot change Domain ID");
}

#[tokio::test]
async fn the_list_is_filtered_and_paged() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let one = create(&admin, "list one").await;
    create(&admin, "List two").await;
    let names = async |query: &str| listed(&admin.get(&format!("/v3/groups?{query}")).await);

    assert_eq!(names("").await, ["list one", "List two"]);
    assert_eq!(names("name=list%20one").await, ["list one"]);
    assert_eq!(names("name__startswith=List").await, ["List two"]);
    assert_eq!(names("domain_id=nowhere").await, [""; 0]);
    assert_eq!(names("limit=1").await, ["list one"]);
    assert_eq!(names(&format!("marker={one}")).await, ["List two"]);
    // The page is cut after the filter has judged, so none of its items are missed.
    let page = admin.get("/v3/groups?name__startswith=List&limit=1").await;
    assert_eq!(listed(&page), ["List two"]);
    assert_eq!(page.expect(200)["truncated"], true);
    assert_eq!(names("name__endswith=one").await, ["list one"]);
    assert_eq!(names("name__contains=st%20t").await, ["List two"]);
    assert_eq!(names("name__contains=").await.len(), 2);
    let message = admin.get("/v3/groups?limit=x").await.message(400);
    assert!(message.starts_with("Invalid limit"), "{message}");
    let message = admin.get("/v3/groups?marker=nowhere").await.message(404);
    assert_eq!(message, "Marker nowhere could not be found.");
}

#[tokio::test]
async fn a_domain_token_lists_its_own_domain_only() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    create(&admin, "crew").await;
    let domain = json!({"domain": {"name": "acme"}});
    let domain = admin.post("/v3/domains", domain).await.expect(201);
    let domain = domain["domain"]["id"].as_str().unwrap();
    let foreign = json!({"group": {"name": "foreign", "domain_id": domain}});
    admin.post("/v3/groups", foreign).await.expect(201);

    let reader = server.with_role("reader", Scope::Domain).await;
    assert_eq!(listed(&reader.get("/v3/groups").await), ["crew"]);
    let query = format!("/v3/groups?domain_id={domain}");
    assert_eq!(listed(&reader.get(&query).await), [""; 0]);
    assert_eq!(listed(&admin.get(&query).await), ["foreign"]);
}

#[tokio::test]
async fn administrators_and_managers_of_the_domain_manage_groups() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = create(&admin, "crew").await;
    let path = format!("/v3/groups/{id}");
    let change = json!({"group": {"description": "x"}});
    let user = server.add_person("ada", &[]).await;
    let member = format!("{path}/users/{user}");

    let manager = server.with_role("manager", Scope::Domain).await;
    let unnamed = json!({"group": {"name": "mine"}});
    manager
        .post("/v3/groups", unnamed.clone())
        .await
        .expect(403);
    let named = json!({"group": {"name": "mine", "domain_id": "default"}});
    manager.post("/v3/groups", named).await.expect(201);
    manager.patch(&path, change.clone()).await.expect(200);
    manager.put_empty(&member).await.expect(204);

    let reader = server.with_role("reader", Scope::Domain).await;
    let system_reader = server.with_role("reader", Scope::System).await;
    for who in [&reader, &system_reader] {
        for seen in ["/v3/groups", &path, &format!("{path}/users")] {
            who.get(seen).await.expect(200);
        }
        who.get(&member).await.expect(204);
    }
    let stranger = server.stranger().await;
    for seen in ["/v3/groups", &path, &format!("{path}/users"), &member] {
        stranger.get(seen).await.expect(403);
    }
    for who in [&reader, &system_reader, &stranger] {
        who.post("/v3/groups", unnamed.clone()).await.expect(403);
        who.patch(&path, change.clone()).await.expect(403);
        who.put_empty(&member).await.expect(403);
        who.delete(&member).await.expect(403);
        who.delete(&path).await.expect(403);
    }
    let missing = reader.get("/v3/groups/missing").await;
    missing.expect(403);
    manager.delete(&member).await.expect(204);
    manager.delete(&path).await.expect(204);
}

#[tokio::test]
async fn members_come_and_go() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = create(&admin, "crew").await;
    let user = server.add_person("ada", &[]).await;
    let members = format!("/v3/groups/{id}/users");
    let member = format!("{members}/{user}");
    let absent = format!("User '{user}' not found in group '{id}'");

    assert_eq!(admin.get(&member).await.message(404), absent);
    admin.put_empty(&member).await.expect(204);
    admin.put_empty(&member).await.expect(204);
    admin.get(&member).await.expect(204);
    let users = admin.get(&members).await.expect(200);
    assert_eq!(users["users"][0]["name"], "ada");
    let none = admin.get(&format!("{members}?enabled=false")).await;
    assert_eq!(none.expect(200)["users"], json!([]));
    let groups = admin.get(&format!("/v3/users/{user}/groups")).await;
    assert_eq!(
        groups.expect(200)["groups"],
        json!([{
            "id": id, "name": "crew", "domain_id": "default", "description": "",
            "membership_expires_at": null,
            "links": {"self": format!("http://server/v3/groups/{id}")},
        }])
    );
    for (path, message) in [
        (format!("{members}/nobody"), "Could not find user: nobody."),
        (
            format!("/v3/groups/nothing/users/{user}"),
            "Could not find group: nothing.",
        ),
    ] {
        assert_eq!(admin.put_empty(&path).await.message(404), message);
        assert_eq!(admin.delete(&path).await.message(404), message);
        assert_eq!(admin.get(&path).await.message(404), message);
    }
    let ada = server.log_in("ada", None).await;
    server.clock.advance(TimeDelta::seconds(1));
    admin.delete(&member).await.expect(204);
    ada.get("/v3/auth/projects").await.expect(401);
    assert_eq!(admin.delete(&member).await.message(404), absent);
}

#[tokio::test]
async fn a_deleted_group_with_roles_ends_the_tokens_of_its_members() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let user = server.add_person("ada", &[]).await;
    let with_role = create(&admin, "with a role").await;
    let without = create(&admin, "without").await;
    for id in [&with_role, &without] {
        let member = format!("/v3/groups/{id}/users/{user}");
        admin.put_empty(&member).await.expect(204);
    }
    let roles = admin.get("/v3/roles?name=member").await.expect(200);
    let role = roles["roles"][0]["id"].as_str().unwrap();
    let grant = format!("/v3/projects/{}/groups/{with_role}/roles/{role}", home());
    admin.put_empty(&grant).await.expect(204);

    let scope = json!({"project": {"id": home()}});
    let ada = server.log_in("ada", Some(scope)).await;
    server.clock.advance(TimeDelta::seconds(1));
    admin
        .delete(&format!("/v3/groups/{without}"))
        .await
        .expect(204);
    ada.get("/v3/auth/projects").await.expect(200);
    admin
        .delete(&format!("/v3/groups/{with_role}"))
        .await
        .expect(204);
    ada.get("/v3/auth/projects").await.expect(401);
    let left = admin.get(&format!("/v3/users/{user}/groups")).await;
    assert_eq!(listed(&left), [""; 0]);
}

async fn create(admin: &Client, name: &str) -> String {
    let created = admin
        .post("/v3/groups", json!({"group": {"name": name}}))
        .await;
    created.expect(201)["group"]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[track_caller]
fn listed(answer: &Answer) -> Vec<String> {
    let body = answer.expect(200);
    let items = body["groups"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}
