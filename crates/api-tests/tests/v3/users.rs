//! Users over HTTP.

use chrono::TimeDelta;
use serde_json::{Value, json};
use testkit::{Answer, Client, PASSWORD, Scope, TestServer, home};

#[tokio::test]
async fn a_user_lives() {
    let server = TestServer::start().await;
    let admin = server.admin().await;

    let created = admin
        .post(
            "/v3/users",
            json!({"user": {
                "name": " ada ", "password": "s3cret", "email": "a@example.com", "shoe-size": 7,
                "options": {"lock_password": true},
            }}),
        )
        .await
        .expect(201);
    let id = created["user"]["id"].as_str().unwrap().to_owned();
    let path = format!("/v3/users/{id}");
    assert_eq!(
        created["user"],
        json!({
            "email": "a@example.com", "shoe_size": 7, "id": id, "name": "ada",
            "domain_id": "default", "enabled": true, "password_expires_at": null,
            "options": {"lock_password": true},
            "links": {"self": format!("http://server{path}")},
        })
    );
    assert_eq!(admin.get(&path).await.expect(200), created);

    let changed = admin
        .patch(
            &path,
            json!({"user": {
                "name": "ada l.", "email": null, "default_project_id": home().as_str(),
                "options": {"lock_password": null},
            }}),
        )
        .await
        .expect(200);
    let mut shown = changed["user"].clone();
    assert_eq!(
        shown.as_object_mut().unwrap().remove("extra"),
        Some(json!({"email": null, "shoe_size": 7}))
    );
    assert_eq!(shown["name"], "ada l.");
    assert_eq!(shown["default_project_id"], home().as_str());
    assert_eq!(shown["options"], json!({}));
    assert_eq!(admin.get(&path).await.expect(200)["user"], shown);

    admin.delete(&path).await.expect(204);
    let message = admin.get(&path).await.message(404);
    assert_eq!(message, format!("Could not find user: {id}."));
    admin
        .patch(&path, json!({"user": {"x": 1}}))
        .await
        .expect(404);
    admin.delete(&path).await.expect(404);
}

#[tokio::test]
async fn a_name_is_taken_once_in_a_domain() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    create(&admin, json!({"name": "twin"})).await;
    let other = create(&admin, json!({"name": "other"})).await;

    let again = admin
        .post("/v3/users", json!({"user": {"name": "twin"}}))
        .await;
    assert_eq!(
        again.message(409),
        "Conflict occurred attempting to store user - Duplicate entry found with name twin at \
         domain ID default."
    );
    let renamed = admin
        .patch(
            &format!("/v3/users/{other}"),
            json!({"user": {"name": "twin"}}),
        )
        .await;
    assert_eq!(
        renamed.message(409),
        "Conflict occurred attempting to store user - Duplicate entry found with name twin."
    );
}

#[tokio::test]
async fn what_a_user_refers_to_must_fit() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = create(&admin, json!({"name": "ada"})).await;
    let path = format!("/v3/users/{id}");
    let post = async |user: Value| admin.post("/v3/users", json!({ "user": user })).await;

    let answer = post(json!({"name": "bob", "domain_id": "nowhere"})).await;
    assert_eq!(answer.message(404), "Could not find domain: nowhere.");
    let answer = post(json!({"name": "bob", "default_project_id": "default"})).await;
    let domain = "User's default project ID cannot be a domain ID: default";
    assert_eq!(answer.message(400), domain);
    let long = "x".repeat(65);
    let answer = post(json!({"name": "bob", "default_project_id": long})).await;
    assert!(answer.message(400).contains("default_project_id(CHAR(64))"));
    let federated = json!([
        {"idp_id": "nowhere", "protocols": [{"protocol_id": "p", "unique_id": "x"}]}
    ]);
    let answer = post(json!({"name": "bob", "federated": federated})).await;
    assert_eq!(
        answer.message(400),
        "Could not find Identity Provider: nowhere"
    );
    let change = async |user: Value| admin.patch(&path, json!({ "user": user })).await;
    let answer = change(json!({"id": "other"})).await;
    assert_eq!(answer.message(400), "Cannot change ID");
    let answer = change(json!({"domain_id": "other"})).await;
    assert_eq!(answer.message(400), "Cannot change Domain ID");
    change(json!({"domain_id": "default"})).await.expect(200);
    let answer = change(json!({"default_project_id": "default"})).await;
    assert_eq!(answer.message(400), domain);
}

#[tokio::test]
async fn the_list_is_filtered_and_paged() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let one = create(&admin, json!({"name": "Filter One", "enabled": false})).await;
    let two = create(&admin, json!({"name": "filter two", "password": "x"})).await;
    let listed = async |query: &str| names(&admin.get(&format!("/v3/users?{query}")).await);

    assert_eq!(listed("name=filter%20two").await, ["filter two"]);
    let both = ["Filter One", "filter two"];
    assert_eq!(listed("name__icontains=FILTER").await, both);
    assert_eq!(listed("name__contains=ilter").await, both);
    assert_eq!(listed("name__startswith=filter").await, ["filter two"]);
    assert_eq!(listed("enabled=false").await, ["Filter One"]);
    assert_eq!(listed("domain_id=nowhere").await, [""; 0]);
    assert_eq!(listed("idp_id=nowhere").await, [""; 0]);
    assert_eq!(
        listed("name__icontains=filter&marker=".to_owned().as_str()).await,
        both
    );
    let query = format!("name__icontains=filter&marker={one}");
    assert_eq!(listed(&query).await, ["filter two"]);
    let query = format!("name__icontains=filter&marker={two}");
    assert_eq!(listed(&query).await, [""; 0]);

    let page = admin
        .get("/v3/users?name__icontains=filter&limit=1")
        .await
        .expect(200);
    assert_eq!(page["truncated"], true);
    let next = format!("http://server/v3/users?name__icontains=filter&limit=1&marker={one}");
    assert_eq!(page["links"]["next"], next);
    // Of users, other than of projects, a page of none is empty.
    let none = admin.get("/v3/users?limit=0").await.expect(200);
    assert_eq!(
        (&none["users"], &none["truncated"]),
        (&json!([]), &json!(true))
    );
    let all = names(&admin.get("/v3/users?limit=-1").await);
    assert_eq!(all, names(&admin.get("/v3/users").await));
    let message = admin.get("/v3/users?marker=nowhere").await.message(404);
    assert_eq!(message, "Marker nowhere could not be found.");
}

#[tokio::test]
async fn users_are_found_by_the_end_of_their_passwords() {
    let server = TestServer::start_with(|config| {
        config.security_compliance.password_expires_days = Some(2);
    })
    .await;
    let admin = server.admin().await;
    let user = json!({"name": "ada", "password": "x"});
    let created = admin.post("/v3/users", json!({ "user": user })).await;
    let end = "2026-05-06T03:02:01.000000";
    assert_eq!(created.expect(201)["user"]["password_expires_at"], end);
    let listed = async |filter: &str| {
        admin
            .get(&format!("/v3/users?password_expires_at={filter}"))
            .await
    };

    for filter in [
        "lt:2026-05-07T00:00:00Z",
        "2026-05-06T03:02:01Z",
        "gte:2026-05-06T03:02:01Z",
    ] {
        assert_eq!(names(&listed(filter).await), ["ada"], "{filter}");
    }
    for filter in ["gt:2026-05-07T00:00:00Z", "neq:2026-05-06T03:02:01Z"] {
        assert_eq!(names(&listed(filter).await), [""; 0], "{filter}");
    }
    assert_eq!(
        listed("xx:2026-05-07T00:00:00Z").await.message(400),
        "The given operator xx is not valid. It must be one of the following: 'eq', 'neq', 'lt', \
         'lte', 'gt', or 'gte'."
    );
    let message = listed("lt:tomorrow").await.message(400);
    assert!(message.starts_with("Timestamp not in expected format. The server"));
    listed("").await.expect(400);
    // The time is told before the operator, and a time may have any form of ISO 8601.
    let message = listed("xx:tomorrow").await.message(400);
    assert!(message.starts_with("Timestamp not in expected format. The server"));
    assert_eq!(names(&listed("lt:2026-05-07").await), ["ada"]);
    // All of them count, and so do those with a comparator behind the name.
    let two = "lt:2026-05-07&password_expires_at=gt:2026-05-07";
    assert_eq!(names(&listed(two).await), [""; 0]);
    listed("lt:2026-05-07&password_expires_at=nonsense")
        .await
        .expect(400);
    let path = "/v3/users?password_expires_at__lt=2026-05-06T03:02:01Z";
    assert_eq!(names(&admin.get(path).await), ["ada"]);
    for value in ["tomorrow", "xx:2026-05-07T00:00:00Z"] {
        let path = format!("/v3/users?password_expires_at__lt={value}");
        admin.get(&path).await.expect(400);
    }
}

#[tokio::test]
async fn a_list_takes_two_statements_whatever_its_length() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let about_itself = admin.clone().with_header("x-subject-token", admin.token());
    let cost = async |path: &str| {
        let before = server.app.parts.store.statements();
        about_itself.get(path).await.expect(200);
        server.app.parts.store.statements() - before
    };
    // From here on the caller is known, and costs nothing.
    let token_alone = "/v3/auth/tokens?nocatalog";
    cost(token_alone).await;
    let short = cost("/v3/users").await;
    for number in 0..5 {
        let options = json!({"lock_password": true, "ignore_user_inactivity": true});
        create(
            &admin,
            json!({"name": format!("user {number}"), "options": options}),
        )
        .await;
    }
    cost(token_alone).await;
    assert_eq!(cost("/v3/users").await, short);
    assert!(short <= 2, "{short}");
}

#[tokio::test]
async fn administrators_and_managers_of_the_domain_manage_users() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = create(&admin, json!({"name": "ada"})).await;
    let path = format!("/v3/users/{id}");
    let change = json!({"user": {"email": "x"}});

    let manager = server.with_role("manager", Scope::Domain).await;
    let named = json!({"user": {"name": "bob", "domain_id": "default"}});
    manager.post("/v3/users", named).await.expect(201);
    let unnamed = json!({"user": {"name": "eve"}});
    let refused = manager.post("/v3/users", unnamed.clone()).await;
    assert_eq!(
        refused.message(403),
        "You are not authorized to perform the requested action: identity:create_user."
    );
    manager.patch(&path, change.clone()).await.expect(200);

    for (role, scope) in [
        ("manager", Scope::Project),
        ("reader", Scope::Domain),
        ("reader", Scope::System),
    ] {
        let other = server.with_role(role, scope).await;
        other.post("/v3/users", unnamed.clone()).await.expect(403);
        other.patch(&path, change.clone()).await.expect(403);
        other.delete(&path).await.expect(403);
    }
    server.nobody().post("/v3/users", unnamed).await.expect(401);
    manager.delete(&path).await.expect(204);
}

#[tokio::test]
async fn readers_of_the_domain_and_the_system_see_users() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = create(&admin, json!({"name": "ada"})).await;
    let path = format!("/v3/users/{id}");

    for scope in [Scope::Domain, Scope::System] {
        let reader = server.with_role("reader", scope).await;
        reader.get(&path).await.expect(200);
        reader.get("/v3/users").await.expect(200);
    }
    let reader = server.with_role("reader", Scope::Project).await;
    reader.get(&path).await.expect(403);
    reader.get("/v3/users").await.expect(403);
    reader.get("/v3/users?domain_id=None").await.expect(403);
    let stranger = server.stranger().await;
    let hidden = stranger.get(&path).await.expect(403);
    assert_eq!(stranger.get("/v3/users/nobody").await.expect(403), hidden);
    let own = server.add_person("grace", &[]).await;
    let grace = server.log_in("grace", None).await;
    grace.get(&format!("/v3/users/{own}")).await.expect(200);
    grace
        .get(&format!("/v3/users/{own}/groups"))
        .await
        .expect(200);
    grace
        .get(&format!("/v3/users/{own}/projects"))
        .await
        .expect(200);
    grace
        .get(&format!("/v3/users/{id}/groups"))
        .await
        .expect(403);
}

#[tokio::test]
async fn a_domain_token_lists_its_own_domain_only() {
    let server = TestServer::start().await;
    let reader = server.with_role("reader", Scope::Domain).await;
    let everybody = reader.get("/v3/users").await;
    assert_eq!(names(&everybody), ["admin", "reader-domain"]);
    let elsewhere = reader.get("/v3/users?domain_id=elsewhere").await;
    assert_eq!(names(&elsewhere), [""; 0]);
}

#[tokio::test]
async fn a_user_changes_the_own_password() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = server.add_person("ada", &[]).await;
    let ada = server.log_in("ada", None).await;
    let path = format!("/v3/users/{id}/password");
    let change = async |old: &str, new: &str| {
        let user = json!({"original_password": old, "password": new});
        server.nobody().post(&path, json!({ "user": user })).await
    };

    change("wrong", "new").await.expect(401);
    assert!(
        server
            .nobody()
            .post(&path, json!({}))
            .await
            .message(400)
            .starts_with("'original_password' is a required property\n\nFailed validating")
    );
    server.clock.advance(TimeDelta::seconds(1));
    change(PASSWORD, "new").await.expect(204);
    ada.get(&format!("/v3/users/{id}")).await.expect(401);
    assert_eq!(log_in(&server, id.as_str(), PASSWORD).await.status, 401);
    assert_eq!(log_in(&server, id.as_str(), "new").await.status, 201);

    let user = format!("/v3/users/{id}");
    let lock = json!({"user": {"options": {"lock_password": true}}});
    admin.patch(&user, lock).await.expect(200);
    assert!(
        change("new", "newer")
            .await
            .message(400)
            .starts_with("You cannot change your password at this time due to password policy")
    );
    change("wrong", "newer").await.expect(401);
    let disable = json!({"user": {"enabled": false}});
    admin.patch(&user, disable).await.expect(200);
    assert_eq!(
        change("new", "newer").await.message(401),
        format!("The account is disabled for user: {id}.")
    );
    let refused = log_in(&server, id.as_str(), "new").await;
    assert_eq!(
        refused.message(401),
        "The request you have made requires authentication."
    );
}

#[tokio::test]
async fn former_passwords_and_new_ones_are_kept_for_a_while() {
    let server = TestServer::start_with(|config| {
        config.security_compliance.unique_last_password_count = 2;
        config.security_compliance.minimum_password_age = 1;
    })
    .await;
    let id = server.add_person("ada", &[]).await;
    let path = format!("/v3/users/{id}/password");
    let change = async |old: &str, new: &str| {
        server.clock.advance(TimeDelta::seconds(1));
        let user = json!({"original_password": old, "password": new});
        server.nobody().post(&path, json!({ "user": user })).await
    };

    assert_eq!(
        change(PASSWORD, PASSWORD).await.message(400),
        "The new password cannot be identical to a previous password. The total number which \
         includes the new password must be unique is 2."
    );
    change(PASSWORD, "one").await.expect(204);
    assert!(
        change("one", "two").await.message(400).contains(
            "it must be used for 1 day(s) before it can be changed. Please try again in 0"
        )
    );
    server.clock.advance(TimeDelta::days(1));
    change("one", PASSWORD).await.expect(400);
    change("one", "two").await.expect(204);
    server.clock.advance(TimeDelta::days(1));
    change("two", PASSWORD).await.expect(204);
}

#[tokio::test]
async fn passwords_look_as_the_operator_wants() {
    let server = TestServer::start_with(|config| {
        let compliance = &mut config.security_compliance;
        compliance.password_regex = Some(r"(?=.*\d)(?=.*[a-z]).{3,}$".into());
        compliance.password_regex_description = Some("a letter and a digit".into());
    })
    .await;
    let admin = server.admin().await;
    let post = async |password: Value| {
        let user = json!({"name": "ada", "password": password});
        admin.post("/v3/users", json!({ "user": user })).await
    };
    assert_eq!(
        post(json!("weak")).await.message(400),
        "The password does not match the requirements: a letter and a digit."
    );
    assert_eq!(
        post(Value::Null).await.message(400),
        "Password validation error: Password must be a string type."
    );
    let created = post(json!("g00d")).await.expect(201);
    let path = format!("/v3/users/{}", created["user"]["id"].as_str().unwrap());
    let weak = json!({"user": {"password": "weak"}});
    admin.patch(&path, weak).await.expect(400);
}

#[tokio::test]
async fn a_password_set_by_an_administrator_is_changed_at_first() {
    let server = TestServer::start_with(|config| {
        config.security_compliance.change_password_upon_first_use = true;
    })
    .await;
    let admin = server.admin().await;
    let id = create(&admin, json!({"name": "ada", "password": "given"})).await;
    let expired = log_in(&server, &id, "given").await;
    assert_eq!(
        expired.message(401),
        format!("The password is expired and needs to be changed for user: {id}.")
    );
    server.clock.advance(TimeDelta::seconds(1));
    let user = json!({"original_password": "given", "password": "chosen"});
    let path = format!("/v3/users/{id}/password");
    server
        .nobody()
        .post(&path, json!({ "user": user }))
        .await
        .expect(204);
    assert_eq!(log_in(&server, &id, "chosen").await.status, 201);
}

#[tokio::test]
async fn a_user_who_is_inactive_for_too_long_is_shown_as_disabled() {
    let server = TestServer::start_with(|config| {
        config
            .security_compliance
            .disable_user_account_days_inactive = Some(10);
    })
    .await;
    let admin = server.admin().await;
    let ada = create(&admin, json!({"name": "ada", "password": "x"})).await;
    let exempt = json!({"ignore_user_inactivity": true});
    let bob = create(&admin, json!({"name": "bob", "options": exempt})).await;
    let enabled = async |admin: &Client, id: &str| {
        admin.get(&format!("/v3/users/{id}")).await.expect(200)["user"]["enabled"].take()
    };

    server.clock.advance(TimeDelta::days(9));
    let admin = server.admin().await;
    assert_eq!(enabled(&admin, &ada).await, true);
    server.clock.advance(TimeDelta::days(1));
    let admin = server.admin().await;
    assert_eq!(enabled(&admin, &ada).await, false);
    assert_eq!(enabled(&admin, &bob).await, true);
    let listed = admin.get("/v3/users?name=ada").await.expect(200);
    assert_eq!(listed["users"][0]["enabled"], false);
    assert_eq!(log_in(&server, &ada, "x").await.status, 401);

    let on = json!({"user": {"enabled": true}});
    let path = format!("/v3/users/{ada}");
    let changed = admin.patch(&path, on).await.expect(200);
    assert_eq!(changed["user"]["enabled"], true);
    assert_eq!(enabled(&admin, &ada).await, true);
    assert_eq!(log_in(&server, &ada, "x").await.status, 201);
}

#[tokio::test]
async fn an_administrator_ends_passwords_and_tokens() {
    let server = TestServer::start().await;
    let id = server.add_person("ada", &[]).await;
    let path = format!("/v3/users/{id}");
    let admin = server.admin().await;

    let ada = server.log_in("ada", None).await;
    ada.get(&path).await.expect(200);
    let reset = json!({"user": {"password": "new"}});
    server.clock.advance(TimeDelta::seconds(1));
    admin.patch(&path, reset).await.expect(200);
    ada.get(&path).await.expect(401);
    assert_eq!(log_in(&server, id.as_str(), PASSWORD).await.status, 401);

    server.clock.advance(TimeDelta::seconds(1));
    let answer = log_in(&server, id.as_str(), "new").await;
    let ada = server.nobody().with_token(answer.header("X-Subject-Token"));
    ada.get(&path).await.expect(200);
    let tokens = format!("{path}/tokens");
    let stranger = server.stranger().await;
    stranger.delete(&tokens).await.expect(403);
    admin.delete("/v3/users/nobody/tokens").await.expect(404);
    admin.delete(&tokens).await.expect(204);
    ada.get(&path).await.expect(401);

    server.clock.advance(TimeDelta::seconds(1));
    let none = json!({"user": {"password": null}});
    admin.patch(&path, none).await.expect(200);
    assert_eq!(log_in(&server, id.as_str(), "new").await.status, 401);
}

#[tokio::test]
async fn a_deleted_user_leaves_nothing_behind() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = server
        .add_person("ada", &[("member", Scope::Project)])
        .await;
    let ada = server.log_in("ada", None).await;
    let group = admin
        .post("/v3/groups", json!({"group": {"name": "crew"}}))
        .await
        .expect(201);
    let members = format!(
        "/v3/groups/{}/users",
        group["group"]["id"].as_str().unwrap()
    );
    admin
        .put_empty(&format!("{members}/{id}"))
        .await
        .expect(204);
    let path = format!("/v3/users/{id}");
    server.clock.advance(TimeDelta::seconds(1));
    admin.delete(&path).await.expect(204);
    assert_eq!(names(&admin.get(&members).await), [""; 0]);
    assert_ne!(ada.get("/v3/auth/projects").await.status, 200);
    admin.get(&format!("{path}/groups")).await.expect(404);
    admin.get(&format!("{path}/projects")).await.expect(404);
}

#[tokio::test]
async fn projects_of_a_user_are_those_with_a_role_in_effect() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let ada = server
        .add_person("ada", &[("member", Scope::Project)])
        .await;
    let bob = server.add_person("bob", &[("member", Scope::Domain)]).await;
    let projects = async |id: &str, query: &str| {
        let answer = admin.get(&format!("/v3/users/{id}/projects{query}")).await;
        listed(&answer, "projects")
    };
    assert_eq!(projects(ada.as_str(), "").await, ["home"]);
    assert_eq!(projects(ada.as_str(), "?name=other").await, [""; 0]);
    assert_eq!(projects(bob.as_str(), "").await, [""; 0]);

    let roles = admin.get("/v3/roles?name=reader").await.expect(200);
    let role = roles["roles"][0]["id"].as_str().unwrap();
    let grant =
        format!("/v3/OS-INHERIT/domains/default/users/{bob}/roles/{role}/inherited_to_projects");
    admin.put_empty(&grant).await.expect(204);
    assert_eq!(projects(bob.as_str(), "?name=home").await, ["home"]);
    assert_eq!(projects(bob.as_str(), "").await.len(), 2);
}

async fn create(admin: &Client, user: Value) -> String {
    let created = admin.post("/v3/users", json!({ "user": user })).await;
    created.expect(201)["user"]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn log_in(server: &TestServer, id: &str, password: &str) -> Answer {
    let user = json!({"id": id, "password": password});
    let identity = json!({"methods": ["password"], "password": {"user": user}});
    let body = json!({"auth": {"identity": identity}});
    server.nobody().post("/v3/auth/tokens", body).await
}

#[track_caller]
fn names(answer: &Answer) -> Vec<String> {
    listed(answer, "users")
}

#[track_caller]
fn listed(answer: &Answer, collection: &str) -> Vec<String> {
    let body = answer.expect(200);
    let items = body[collection].as_array().unwrap();
    items
        .iter()
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}
