//! Grants over HTTP.

use serde_json::{Value, json};
use testkit::{Client, PASSWORD, Scope, TestServer, home};

#[tokio::test]
async fn a_grant_lives_in_every_place() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let user = server.add_person("ada", &[]).await;
    let group = create(&admin, "group", json!({"name": "crew"})).await;
    let project = home();
    let role = find(&admin, "reader").await;

    for (place, inherited, listed) in [
        (format!("/v3/projects/{project}/users/{user}"), false, true),
        (
            format!("/v3/projects/{project}/groups/{group}"),
            false,
            true,
        ),
        (format!("/v3/domains/default/users/{user}"), false, true),
        (format!("/v3/domains/default/groups/{group}"), false, true),
        (format!("/v3/system/users/{user}"), false, true),
        (format!("/v3/system/groups/{group}"), false, true),
        (
            format!("/v3/OS-INHERIT/domains/default/users/{user}"),
            true,
            true,
        ),
        (
            format!("/v3/OS-INHERIT/domains/default/groups/{group}"),
            true,
            true,
        ),
        // Keystone has no route to these lists.
        (
            format!("/v3/OS-INHERIT/projects/{project}/users/{user}"),
            true,
            false,
        ),
        (
            format!("/v3/OS-INHERIT/projects/{project}/groups/{group}"),
            true,
            false,
        ),
    ] {
        let end = if inherited {
            "/inherited_to_projects"
        } else {
            ""
        };
        let one = format!("{place}/roles/{role}{end}");
        let list = format!("{place}/roles{end}");
        let names = async || {
            if !listed {
                admin.get(&list).await.expect(404);
                return None;
            }
            Some(role_names(&admin.get(&list).await.expect(200)))
        };

        admin.get(&one).await.expect(404);
        admin.put_empty(&one).await.expect(204);
        // Once more is as once.
        admin.put_empty(&one).await.expect(204);
        assert_eq!(admin.get(&one).await.status, 204, "{one}");
        assert_eq!(admin.head(&one).await.status, 204, "{one}");
        assert!(
            names().await.is_none_or(|names| names == ["reader"]),
            "{list}"
        );
        admin.delete(&one).await.expect(204);
        assert!(names().await.is_none_or(|names| names.is_empty()), "{list}");
        let target = if place.contains("/projects/") {
            project.to_string()
        } else if place.contains("/domains/") {
            "default".to_owned()
        } else {
            "system".to_owned()
        };
        let actor = if place.contains("/users/") {
            user.to_string()
        } else {
            group.clone()
        };
        assert_eq!(
            admin.delete(&one).await.message(404),
            format!(
                "Could not find role assignment with role: {role}, user or group: {actor}, \
                 project, domain, or system: {target}."
            )
        );
    }
}

#[tokio::test]
async fn the_roles_of_a_grant_are_listed_whole() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let user = server.add_person("ada", &[]).await;
    let body = json!({"name": "pilot", "colour": "red"});
    let role = create(&admin, "role", body).await;
    let list = format!("/v3/projects/{}/users/{user}/roles", home());
    admin.put_empty(&format!("{list}/{role}")).await.expect(204);
    let listed = admin.get(&list).await.expect(200);
    insta::assert_compact_json_snapshot!(
        listed["roles"],
        @r#"
    [
      {
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
    ]
    "#
    );
    assert_eq!(listed["links"]["self"], format!("http://server{list}"));
}

#[tokio::test]
async fn what_a_grant_names_must_be_there() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let user = server.add_person("ada", &[]).await;
    let stranger = server.stranger().await;
    let (project, role) = (home(), find(&admin, "reader").await);

    for (path, message) in [
        (
            format!("/v3/projects/{project}/users/nobody/roles/{role}"),
            "Could not find user: nobody.",
        ),
        (
            format!("/v3/domains/default/groups/none/roles/{role}"),
            "Could not find group: none.",
        ),
        (
            format!("/v3/projects/nowhere/users/{user}/roles/{role}"),
            "Could not find project: nowhere.",
        ),
        (
            format!("/v3/domains/nowhere/users/{user}/roles/{role}"),
            "Could not find domain: nowhere.",
        ),
        (
            format!("/v3/system/users/{user}/roles/nothing"),
            "Could not find role: nothing.",
        ),
        // A project is no domain.
        (
            format!("/v3/domains/{project}/users/{user}/roles/{role}"),
            &format!("Could not find domain: {project}."),
        ),
    ] {
        assert_eq!(admin.put_empty(&path).await.message(404), message);
        assert_eq!(admin.get(&path).await.message(404), message);
        assert_eq!(stranger.put_empty(&path).await.message(404), message);
        server.nobody().put_empty(&path).await.expect(401);
    }
}

#[tokio::test]
async fn a_grant_can_be_revoked_from_who_is_no_more() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    server.add_person("ada", &[]).await;
    let role = find(&admin, "reader").await;
    let path = format!("/v3/projects/{}/users/nobody/roles/{role}", home());
    let message = admin.delete(&path).await.message(404);
    assert!(
        message.starts_with("Could not find role assignment"),
        "{message}"
    );
    let path = format!("/v3/system/groups/none/roles/{role}");
    let message = admin.delete(&path).await.message(404);
    assert!(
        message.starts_with("Could not find role assignment"),
        "{message}"
    );
}

#[tokio::test]
async fn what_an_inherited_grant_misses_is_told_to_who_may_grant_and_nobody_misses_its_actor() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let user = server.add_person("ada", &[]).await;
    let manager = server.with_role("manager", Scope::Domain).await;
    let role = find(&admin, "member").await;
    let end = "inherited_to_projects";

    for (path, message) in [
        (
            format!("/v3/OS-INHERIT/domains/nowhere/users/{user}/roles/{role}/{end}"),
            "Could not find domain: nowhere.",
        ),
        (
            format!("/v3/OS-INHERIT/projects/nowhere/users/{user}/roles/{role}/{end}"),
            "Could not find project: nowhere.",
        ),
        (
            format!("/v3/OS-INHERIT/domains/default/users/{user}/roles/nothing/{end}"),
            "Could not find role: nothing.",
        ),
    ] {
        assert_eq!(admin.put_empty(&path).await.message(404), message);
        assert_eq!(admin.get(&path).await.message(404), message);
        manager.put_empty(&path).await.expect(403);
        manager.get(&path).await.expect(403);
        server.nobody().put_empty(&path).await.expect(401);
    }
    let ghost = format!("/v3/OS-INHERIT/domains/default/users/ghost/roles/{role}/{end}");
    manager.put_empty(&ghost).await.expect(403);
    admin.put_empty(&ghost).await.expect(204);
    admin.get(&ghost).await.expect(204);
    let list = format!("/v3/OS-INHERIT/domains/default/users/ghost/roles/{end}");
    assert_eq!(role_names(&admin.get(&list).await.expect(200)), ["member"]);
    admin.delete(&ghost).await.expect(204);
}

#[tokio::test]
async fn a_role_of_one_domain_is_for_its_projects() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let user = server.add_person("ada", &[]).await;
    let acme = create(&admin, "domain", json!({"name": "acme"})).await;
    let body = json!({"name": "local", "domain_id": acme});
    let role = create(&admin, "role", body).await;
    let body = json!({"name": "apollo", "domain_id": acme});
    let own = create(&admin, "project", body).await;
    let project = home();

    let grant = async |place: &str| {
        admin
            .put_empty(&format!("/v3/{place}/users/{user}/roles/{role}"))
            .await
    };
    grant(&format!("projects/{own}")).await.expect(204);
    grant(&format!("domains/{acme}")).await.expect(204);
    assert_eq!(
        grant(&format!("projects/{project}")).await.message(403),
        format!("Project {project} must be in the same domain as the role {role} being assigned.")
    );
    assert_eq!(
        grant("system").await.message(400),
        format!(
            "Role {role} is a domain-specific role. Unable to use a domain-specific role in a \
             system assignment."
        )
    );
    // The reference does not mind other domains, where the role is of no use.
    grant("domains/default").await.expect(204);
}

#[tokio::test]
async fn a_domain_is_listed_alike_when_it_acts_as_a_project() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let user = server.add_person("ada", &[]).await;
    let (reader, member) = (find(&admin, "reader").await, find(&admin, "member").await);
    let place = format!("/v3/domains/default/users/{user}/roles");
    admin
        .put_empty(&format!("{place}/{reader}"))
        .await
        .expect(204);
    let as_project = format!("/v3/projects/default/users/{user}/roles");
    for role in [&reader, &member] {
        let path = format!("{as_project}/{role}");
        admin.put_empty(&path).await.expect(204);
    }
    for list in [&place, &as_project] {
        let mut names = role_names(&admin.get(list).await.expect(200));
        names.sort();
        assert_eq!(names, ["member", "reader"], "{list}");
    }
    admin.get(&format!("{place}/{member}")).await.expect(404);
}

#[tokio::test]
async fn managers_of_a_domain_grant_there_what_is_theirs_to_grant() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let user = server.add_person("ada", &[]).await;
    let acme = create(&admin, "domain", json!({"name": "acme"})).await;
    let body = json!({"name": "far", "domain_id": acme});
    let far = create(&admin, "project", body).await;
    let (member, whole) = (find(&admin, "member").await, find(&admin, "admin").await);
    let manager = server.with_role("manager", Scope::Domain).await;
    let project = home();

    for place in [format!("projects/{project}"), "domains/default".to_owned()] {
        let path = |role: &str| format!("/v3/{place}/users/{user}/roles/{role}");
        manager.put_empty(&path(&member)).await.expect(204);
        manager.get(&path(&member)).await.expect(204);
        let refused = manager.put_empty(&path(&whole)).await;
        assert_eq!(
            refused.message(403),
            "You are not authorized to perform the requested action: identity:create_grant."
        );
        manager.delete(&path(&member)).await.expect(204);
    }
    let path = format!("/v3/projects/{far}/users/{user}/roles/{member}");
    manager.put_empty(&path).await.expect(403);
    let path = format!("/v3/system/users/{user}/roles/{member}");
    manager.put_empty(&path).await.expect(403);
    manager
        .get(&format!("/v3/system/users/{user}/roles"))
        .await
        .expect(403);
}

#[tokio::test]
async fn readers_see_grants_and_others_do_not() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let user = server
        .add_person("ada", &[("reader", Scope::Project)])
        .await;
    let role = find(&admin, "reader").await;
    let list = format!("/v3/projects/{}/users/{user}/roles", home());
    let one = format!("{list}/{role}");
    let system = format!("/v3/system/users/{user}/roles");

    let of_system = server.with_role("reader", Scope::System).await;
    of_system.get(&system).await.expect(200);
    let of_domain = server.with_role("reader", Scope::Domain).await;
    of_domain.get(&system).await.expect(403);
    for reader in [of_system, of_domain] {
        reader.get(&list).await.expect(200);
        reader.get(&one).await.expect(204);
        reader.put_empty(&one).await.expect(403);
        reader.delete(&one).await.expect(403);
    }
    for role in ["manager", "member", "reader"] {
        let other = server.with_role(role, Scope::Project).await;
        for path in [&list, &one, &system] {
            other.get(path).await.expect(403);
        }
        other.put_empty(&one).await.expect(403);
        other.delete(&one).await.expect(403);
    }
    for path in [&list, &one, &system] {
        server.nobody().get(path).await.expect(401);
    }
    server.nobody().delete(&one).await.expect(401);
    let system_admin = server.system_admin().await;
    system_admin.delete(&one).await.expect(204);
    system_admin.put_empty(&one).await.expect(204);
}

#[tokio::test]
async fn a_token_and_an_application_credential_lose_what_is_revoked_and_stay() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let user = server
        .add_person("ada", &[("member", Scope::Project)])
        .await;
    let group = create(&admin, "group", json!({"name": "crew"})).await;
    let path = format!("/v3/groups/{group}/users/{user}");
    admin.put_empty(&path).await.expect(204);
    let (member, service) = (find(&admin, "member").await, find(&admin, "service").await);
    let of_group = format!("/v3/projects/{}/groups/{group}/roles/{service}", home());
    admin.put_empty(&of_group).await.expect(204);
    let scope = json!({"project": {"id": home()}});
    let ada = server.log_in("ada", Some(scope)).await;
    let credential = json!({"name": "robot", "secret": PASSWORD});
    let credentials = format!("/v3/users/{user}/application_credentials");
    let body = json!({ "application_credential": credential });
    let made = ada.post(&credentials, body).await.expect(201);
    let id = &made["application_credential"]["id"];
    let by_credential = json!({"auth": {"identity": {
        "methods": ["application_credential"],
        "application_credential": {"id": id, "secret": PASSWORD},
    }}});
    let log_in = async || {
        server
            .nobody()
            .post("/v3/auth/tokens", by_credential.clone())
            .await
    };
    let token_roles = |token: &Value| {
        let roles = token["token"]["roles"].as_array().unwrap().iter();
        let mut names: Vec<_> = roles
            .map(|role| role["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let about_itself = ada.clone().with_header("x-subject-token", ada.token());

    let of_user = format!("/v3/projects/{}/users/{user}/roles/{member}", home());
    admin.delete(&of_user).await.expect(204);
    let token = about_itself.get("/v3/auth/tokens").await.expect(200);
    assert_eq!(token_roles(&token), ["service"]);
    assert_eq!(token_roles(&log_in().await.expect(201)), ["service"]);
    let events = admin.get("/v3/OS-REVOKE/events").await.expect(200);
    assert_eq!(events["events"], json!([]));

    // Without any role there is nothing that a token could be for, until a role is given again.
    admin.delete(&of_group).await.expect(204);
    about_itself.get("/v3/auth/tokens").await.expect(401);
    log_in().await.expect(401);
    let kept = admin.get(&credentials).await.expect(200);
    assert_eq!(kept["application_credentials"].as_array().unwrap().len(), 1);
    admin.put_empty(&of_user).await.expect(204);
    about_itself.get("/v3/auth/tokens").await.expect(200);
    assert_eq!(
        token_roles(&log_in().await.expect(201)),
        ["member", "reader"]
    );
}

async fn create(admin: &Client, kind: &str, attributes: Value) -> String {
    let mut body = json!({});
    body[kind] = attributes;
    let created = admin.post(&format!("/v3/{kind}s"), body).await.expect(201);
    created[kind]["id"].as_str().unwrap().to_owned()
}

async fn find(admin: &Client, name: &str) -> String {
    let found = admin
        .get(&format!("/v3/roles?name={name}"))
        .await
        .expect(200);
    found["roles"][0]["id"].as_str().unwrap().to_owned()
}

fn role_names(list: &Value) -> Vec<String> {
    let roles = list["roles"].as_array().unwrap();
    let name = |role: &Value| role["name"].as_str().unwrap().to_owned();
    roles.iter().map(name).collect()
}
