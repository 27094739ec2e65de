//! What an operator's rules see of a request, and in which order things are told.

use serde_json::{Value, json};
use testkit::{Client, Scope, TestServer, home};

const MISSING: &str = "0123456789abcdef0123456789abcdef";

/// Somebody who may only what the policy file says of members, and the administrator.
async fn member(server: &TestServer) -> (Client, Client) {
    let member = server.with_role("member", Scope::Project).await;
    (member, server.admin().await)
}

async fn create(client: &Client, path: &str, kind: &str, attributes: Value) -> String {
    let created = client.post(path, json!({ kind: attributes })).await;
    created.expect(201)[kind]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_rule_sees_the_filters_of_a_list() {
    let server = TestServer::start().await;
    let (member, _) = member(&server).await;
    let project = home();
    server.set_policy(
        "identity:list_users: project_domain_id:%(filter_attr.domain_id)s\n\
         identity:list_groups: \"'staff':%(filter_attr.name)s\"\n\
         identity:list_projects: project_id:%(filter_attr.parent_id)s\n\
         identity:list_roles: \"'member':%(filter_attr.name)s\"\n\
         identity:list_services: \"'identity':%(filter_attr.type)s\"\n\
         identity:list_endpoints: \"'public':%(filter_attr.interface)s\"\n\
         identity:list_role_assignments: project_id:%(filter_attr.scope.project.id)s\n\
         identity:list_regions: not 'hidden':%(filter_attr.parent_region_id)s\n",
    );
    for (path, status) in [
        ("/v3/users", 403),
        ("/v3/users?domain_id=default", 200),
        ("/v3/users?domain_id=other", 403),
        // The first of repeated parameters counts, for the rule and for the list.
        ("/v3/users?domain_id=default&domain_id=other", 200),
        ("/v3/users?domain_id=other&domain_id=default", 403),
        ("/v3/groups?name=staff", 200),
        ("/v3/groups?name__contains=staff", 403),
        (&format!("/v3/projects?parent_id={project}"), 200),
        (
            "/v3/projects?parent_id=0123456789abcdef0123456789abcdef",
            403,
        ),
        ("/v3/roles?name=member", 200),
        ("/v3/roles", 403),
        ("/v3/services?type=identity", 200),
        ("/v3/services?type=compute", 403),
        ("/v3/endpoints?interface=public", 200),
        ("/v3/endpoints?interface=admin", 403),
        (
            &format!("/v3/role_assignments?scope.project.id={project}"),
            200,
        ),
        ("/v3/role_assignments?scope.project.id=other", 403),
        ("/v3/regions", 200),
        ("/v3/regions?parent_region_id=hidden", 403),
    ] {
        assert_eq!(member.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_parameter_that_is_no_filter_of_a_list_says_nothing_to_rules() {
    let server = TestServer::start().await;
    let (member, _) = member(&server).await;
    server.set_policy(
        "identity:list_users: \"'yes':%(filter_attr.please)s or 'yes':%(please)s\"\n\
         identity:get_user: \"'default':%(filter_attr.domain_id)s\"\n",
    );
    member.get("/v3/users?please=yes").await.expect(403);
    let path = format!("/v3/users/{MISSING}?domain_id=default");
    member.get(&path).await.expect(403);
}

#[tokio::test]
async fn a_rule_sees_the_body() {
    let server = TestServer::start().await;
    let (member, admin) = member(&server).await;
    let domain = create(&admin, "/v3/domains", "domain", json!({"name": "other"})).await;
    server.set_policy(
        "identity:create_user: project_domain_id:%(request_body.user.domain_id)s and \
             not False:%(target.user.enabled)s\n\
         identity:create_group: project_domain_id:%(target.group.domain_id)s\n\
         identity:create_project: project_id:%(target.project.parent_id)s\n\
         identity:create_domain: \"'request':%(request_body.domain.description)s\"\n\
         identity:create_service: \"True:%(request_body.service.enabled)s\"\n",
    );
    let home = home().to_string();
    for (kind, attributes, status) in [
        ("user", json!({"name": "a", "domain_id": "default"}), 201),
        ("user", json!({"name": "b"}), 403),
        ("user", json!({"name": "c", "domain_id": domain}), 403),
        (
            "user",
            json!({"name": "d", "domain_id": "default", "enabled": false}),
            403,
        ),
        ("group", json!({"name": "a", "domain_id": "default"}), 201),
        ("group", json!({"name": "b", "domain_id": domain}), 403),
        (
            "project",
            json!({"name": "a", "domain_id": "default", "parent_id": home}),
            201,
        ),
        ("project", json!({"name": "b", "parent_id": domain}), 403),
        (
            "domain",
            json!({"name": "a", "description": "request"}),
            201,
        ),
        ("domain", json!({"name": "b"}), 403),
        ("service", json!({"type": "a", "enabled": true}), 201),
        ("service", json!({"type": "a", "enabled": false}), 403),
    ] {
        let body = json!({ kind: attributes });
        let answer = member.post(&format!("/v3/{kind}s"), body.clone()).await;
        assert_eq!(answer.status, status, "{body}");
    }
}

#[tokio::test]
async fn what_a_rule_has_seen_is_what_is_created() {
    let server = TestServer::start().await;
    let (member, admin) = member(&server).await;
    let other = create(&admin, "/v3/domains", "domain", json!({"name": "other"})).await;
    server.set_policy(
        "identity:create_user: project_domain_id:%(request_body.user.domain_id)s\n\
         identity:create_project: project_domain_id:%(target.project.domain_id)s\n",
    );
    // A dash reads as an underscore, and a dot as a step into the document.
    for alias in ["domain-id", "domain:id"] {
        for kind in ["user", "project"] {
            let attributes = json!({"name": alias, "domain_id": "default", alias: other});
            let body = json!({ kind: attributes });
            let created = member.post(&format!("/v3/{kind}s"), body).await;
            assert_eq!(created.expect(201)[kind]["domain_id"], "default", "{alias}");

            let body = json!({ kind: {"name": "x", alias: "default"} });
            let refused = member.post(&format!("/v3/{kind}s"), body).await;
            refused.expect(403);
        }
    }
    let attributes = json!({"name": "x", "domain_id": other, "user.domain_id": "default"});
    member
        .post("/v3/users", json!({ "user": attributes }))
        .await
        .expect(403);
}

#[tokio::test]
async fn a_rule_sees_all_attributes_of_what_is_there() {
    let server = TestServer::start().await;
    let (member, admin) = member(&server).await;
    let user = json!({
        "name": "ada",
        "email": "ada@example.org",
        "options": {"lock_password": true},
        "domain_id.": "x",
    });
    let user = create(&admin, "/v3/users", "user", user).await;
    let project = home().to_string();
    let child = json!({"name": "child", "parent_id": project, "tags": ["a"]});
    let child = create(&admin, "/v3/projects", "project", child).await;
    let acme = create(&admin, "/v3/domains", "domain", json!({"name": "acme"})).await;
    let role = json!({"name": "odd", "color": "blue"});
    let role = create(&admin, "/v3/roles", "role", role).await;
    for (rule, path) in [
        (
            "identity:get_user: \"'ada@example.org':%(target.user.email)s\"",
            format!("/v3/users/{user}"),
        ),
        (
            "identity:get_user: \"True:%(target.user.options.lock_password)s\"",
            format!("/v3/users/{user}"),
        ),
        (
            "identity:get_user: \"None:%(target.user.password_expires_at)s\"",
            format!("/v3/users/{user}"),
        ),
        (
            "identity:get_project: project_id:%(target.project.parent_id)s",
            format!("/v3/projects/{child}"),
        ),
        (
            "identity:get_role: \"'blue':%(target.role.color)s\"",
            format!("/v3/roles/{role}"),
        ),
        (
            "identity:get_domain: \"'acme':%(target.domain.name)s and \
             True:%(target.domain.enabled)s\"",
            format!("/v3/domains/{acme}"),
        ),
        (
            "identity:list_grants: \"'ada':%(target.user.name)s and \
             'child':%(target.project.name)s\"",
            format!("/v3/projects/{child}/users/{user}/roles"),
        ),
        (
            "identity:list_role_assignments_for_tree: project_id:%(target.project.id)s",
            format!("/v3/role_assignments?scope.project.id={project}&include_subtree"),
        ),
    ] {
        server.set_policy("");
        member.get(&path).await.expect(403);
        server.set_policy(rule);
        assert_eq!(member.get(&path).await.status, 200, "{rule}");
    }
}

#[tokio::test]
async fn credentials_are_judged_one_by_one_whatever_the_filters_say() {
    let server = TestServer::start().await;
    let (member, admin) = member(&server).await;
    let mut credential = json!({"type": "cert", "blob": "{}", "user_id": MISSING});
    create(&admin, "/v3/credentials", "credential", credential.clone()).await;
    credential["project_id"] = home().to_string().into();
    create(&admin, "/v3/credentials", "credential", credential).await;
    server.set_policy(
        "identity:list_credentials: \"'cert':%(filter_attr.type)s\"\n\
         identity:get_credential: \"'cert':%(filter_attr.type)s or \
             project_id:%(target.credential.project_id)s\"\n",
    );
    let listed = member.get("/v3/credentials?type=cert").await.expect(200);
    assert_eq!(listed["credentials"].as_array().unwrap().len(), 1);
    member.get("/v3/credentials").await.expect(403);
    // To a token of the system the list is nobody's own.
    server.set_policy("");
    let service = server.with_role("service", Scope::System).await;
    service.get("/v3/credentials").await.expect(403);
}

#[tokio::test]
async fn that_a_domain_or_group_is_missing_is_told_before_who_may_change_it() {
    let server = TestServer::start().await;
    let (member, _) = member(&server).await;
    let change = json!({"domain": {"description": "x"}});
    let path = format!("/v3/domains/{MISSING}");
    let message = format!("Could not find domain: {MISSING}.");
    assert_eq!(
        member.patch(&path, change.clone()).await.message(404),
        message
    );
    assert_eq!(member.delete(&path).await.message(404), message);
    let group = format!("/v3/groups/{MISSING}");
    let message = format!("Could not find group: {MISSING}.");
    assert_eq!(member.delete(&group).await.message(404), message);
    // Those who are not logged in are not told.
    let nobody = server.nobody();
    nobody.patch(&path, change.clone()).await.expect(401);
    nobody.delete(&path).await.expect(401);
    nobody.delete(&group).await.expect(401);
    // What is there stays closed.
    member
        .patch("/v3/domains/default", change)
        .await
        .expect(403);
    member.delete("/v3/domains/default").await.expect(403);
}

#[tokio::test]
async fn that_a_truth_is_no_text_is_told_to_those_who_may_list() {
    let server = TestServer::start().await;
    let (member, admin) = member(&server).await;
    for list in [
        "/v3/users?enabled__contains=a",
        "/v3/projects?enabled__startswith=a",
        "/v3/projects?is_domain__contains=a",
        "/v3/domains?enabled__endswith=a",
        "/v3/OS-FEDERATION/identity_providers?enabled__contains=a",
        "/v3/OS-FEDERATION/service_providers?enabled__contains=a",
    ] {
        admin.get(list).await.expect(400);
        member.get(list).await.expect(403);
        server.nobody().get(list).await.expect(401);
    }
}

#[tokio::test]
async fn a_query_of_any_size_is_answered_by_the_client_s_own_mistake() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let repeated = |one: &str, count: usize| vec![one; count].join("&");
    let lists = [
        "/v3/users",
        "/v3/groups",
        "/v3/projects",
        "/v3/domains",
        "/v3/roles",
        "/v3/services",
        "/v3/endpoints",
        "/v3/regions",
        "/v3/credentials",
        "/v3/role_assignments",
        "/v3/OS-FEDERATION/identity_providers",
    ];
    for list in lists {
        for filter in ["name__contains=a", "name__icontains=a", "name__iendswith=a"] {
            let few = format!("{list}?{}", repeated(filter, 400));
            let answer = admin.get(&few).await;
            assert!([200, 400].contains(&answer.status), "{list} {filter}");
            let many = format!("{list}?{}", repeated(filter, 1100));
            let message = admin.get(&many).await.message(400);
            assert!(message.starts_with("The query has more than 500 values."));
        }
        let long = format!("{list}?name__icontains={}", "a".repeat(51_000));
        let message = admin.get(&long).await.message(400);
        assert!(message.starts_with("A value of the query has more than 8192 bytes."));
    }
    for filter in ["tags", "tags-any", "not-tags", "not-tags-any"] {
        let tags = format!("/v3/projects?{filter}={}", ",".repeat(8_000));
        admin.get(&tags).await.expect(400);
        let tags = format!("/v3/projects?{filter}={}", "a,".repeat(400));
        admin.get(&tags).await.expect(200);
    }
}
