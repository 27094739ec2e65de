//! Federated logins over HTTP, on the word of a front proxy.

use model::ids::UserId;
use serde_json::{Value, json};
use testkit::{Answer, Client, Scope, TestServer};

use super::add_provider;

const LOGIN: &str = "/v3/OS-FEDERATION/identity_providers/corp/protocols/mapped/auth";

/// A server behind a proxy on this machine, with a provider whose mapping has these rules.
async fn server_with(rules: Value, version: &str) -> (TestServer, Client) {
    let server = TestServer::start_with(|config| {
        config.archstone.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let admin = server.admin().await;
    add_provider(&admin, "corp").await;
    let provider = "/v3/OS-FEDERATION/identity_providers/corp";
    let enabled = json!({"identity_provider": {"enabled": true, "authorization_ttl": 60}});
    admin.patch(provider, enabled).await.expect(200);
    let body = json!({"mapping": {"rules": rules, "schema_version": version}});
    let mapping = "/v3/OS-FEDERATION/mappings/m";
    admin.put(mapping, body).await.expect(201);
    let body = json!({"protocol": {"mapping_id": "m"}});
    let protocol = format!("{provider}/protocols/mapped");
    admin.put(&protocol, body).await.expect(201);
    (server, admin)
}

/// A user by `REMOTE_USER`, in the groups that `OIDC-groups` lists.
fn rules_with_groups() -> Value {
    json!([
        {
            "local": [{"user": {"name": "{0}", "email": "{0}@example.com"}}],
            "remote": [{"type": "REMOTE_USER"}],
        },
        {
            "local": [{"groups": "{0}", "domain": {"id": "default"}}],
            "remote": [{"type": "HTTP_OIDC_GROUPS"}],
        },
    ])
}

async fn log_in(server: &TestServer, user: &'static str, groups: &'static str) -> Answer {
    let mut client = server.nobody().with_header("x-env-remote_user", user);
    if !groups.is_empty() {
        client = client.with_header("oidc-groups", groups);
    }
    client.get(LOGIN).await
}

async fn scope_to(server: &TestServer, token: &str, scope: Value) -> Answer {
    let identity = json!({"methods": ["token"], "token": {"id": token}});
    let auth = json!({"auth": {"identity": identity, "scope": scope}});
    server.nobody().post("/v3/auth/tokens", auth).await
}

async fn add_group(admin: &Client, name: &str, role: Option<&str>) -> String {
    let body = json!({"group": {"name": name, "domain_id": "default"}});
    let created = admin.post("/v3/groups", body).await.expect(201);
    let id = created["group"]["id"].as_str().unwrap().to_owned();
    if let Some(role) = role {
        let role = role_id(admin, role).await;
        let home = testkit::home();
        let grant = format!("/v3/projects/{home}/groups/{id}/roles/{role}");
        admin.put_empty(&grant).await.expect(204);
    }
    id
}

async fn role_id(admin: &Client, name: &str) -> String {
    let listed = admin
        .get(&format!("/v3/roles?name={name}"))
        .await
        .expect(200);
    listed["roles"][0]["id"].as_str().unwrap().to_owned()
}

async fn roles_on(admin: &Client, user: &str, project: &str) -> Vec<String> {
    let path = format!("/v3/projects/{project}/users/{user}/roles");
    let listed = admin.get(&path).await.expect(200);
    let roles = listed["roles"].as_array().unwrap().iter();
    roles
        .map(|role| role["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_user_of_a_provider_gets_an_unscoped_token_and_then_a_scoped_one() {
    let (server, admin) = server_with(rules_with_groups(), "1.0").await;
    server.with_role("member", Scope::Project).await;
    let group = add_group(&admin, "staff", Some("member")).await;
    let answer = log_in(&server, "jane", "staff;unknown").await;
    let token = &answer.expect(201)["token"];
    assert_eq!(token["methods"], json!(["mapped"]));
    assert_eq!(
        token["user"],
        json!({
            "domain": {"id": "default", "name": "Default"},
            "id": token["user"]["id"],
            "name": "jane",
            "OS-FEDERATION": {
                "groups": [{"id": group}],
                "identity_provider": {"id": "corp"},
                "protocol": {"id": "mapped"},
            },
        })
    );
    assert!(token.get("roles").is_none());
    let text = answer.header("X-Subject-Token").to_owned();
    let own = server.nobody().with_token(&text);
    let listed = own.get("/v3/OS-FEDERATION/projects").await.expect(200);
    assert_eq!(listed["projects"][0]["name"], "home");
    let home = json!({"project": {"id": testkit::home()}});
    let scoped = scope_to(&server, &text, home).await;
    let scoped_token = &scoped.expect(201)["token"];
    assert_eq!(scoped_token["project"]["name"], "home");
    assert_eq!(
        scoped_token["user"]["OS-FEDERATION"]["groups"],
        json!([{"id": group}])
    );
    assert_eq!(scoped_token["methods"], json!(["mapped", "token"]));
    assert_eq!(scoped_token["expires_at"], token["expires_at"]);
    let shown = admin
        .with_header("x-subject-token", scoped.header("X-Subject-Token"))
        .get("/v3/auth/tokens")
        .await
        .expect(200);
    assert_eq!(shown["token"]["user"], scoped_token["user"]);
}

#[tokio::test]
async fn a_user_is_the_same_one_at_every_login() {
    let (server, admin) = server_with(rules_with_groups(), "1.0").await;
    let first = log_in(&server, "jane doe/é", "").await.expect(201);
    server.clock.advance(chrono::TimeDelta::minutes(5));
    let again = log_in(&server, "jane doe/é", "").await.expect(201);
    assert_eq!(first["token"]["user"], again["token"]["user"]);
    let id = first["token"]["user"]["id"].as_str().unwrap();
    let shown = admin.get(&format!("/v3/users/{id}")).await.expect(200);
    let federated = json!([{
        "idp_id": "corp",
        "protocols": [{"protocol_id": "mapped", "unique_id": "jane%20doe/%C3%A9"}],
    }]);
    assert_eq!(shown["user"]["federated"], federated);
    assert_eq!(shown["user"]["email"], "jane doe/é@example.com");
    assert_eq!(shown["user"]["name"], "jane doe/é");
    // Nobody has a password for such a user.
    let user = json!({"id": id, "password": "x"});
    let auth = json!({"identity": {"methods": ["password"], "password": {"user": user}}});
    let body = json!({ "auth": auth });
    server
        .nobody()
        .post("/v3/auth/tokens", body)
        .await
        .expect(401);
}

#[tokio::test]
async fn first_logins_at_once_make_one_user() {
    let (server, admin) = server_with(rules_with_groups(), "1.0").await;
    server.with_role("member", Scope::Project).await;
    add_group(&admin, "staff", Some("member")).await;
    let one = async || {
        let token = log_in(&server, "jane", "staff").await.expect(201);
        token["token"]["user"]["id"].clone()
    };
    let (a, b, c, d) = tokio::join!(one(), one(), one(), one());
    assert!(a == b && b == c && c == d, "{a} {b} {c} {d}");
    let users = admin.get("/v3/users?name=jane").await.expect(200);
    assert_eq!(users["users"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_application_credential_ends_with_the_membership() {
    let (server, admin) = server_with(rules_with_groups(), "1.0").await;
    server.with_role("member", Scope::Project).await;
    add_group(&admin, "staff", Some("member")).await;
    let unscoped = log_in(&server, "jane", "staff").await;
    let user = unscoped.expect(201)["token"]["user"]["id"].clone();
    let home = json!({"project": {"id": testkit::home()}});
    let scoped = scope_to(&server, unscoped.header("X-Subject-Token"), home).await;
    scoped.expect(201);
    let jane = server.nobody().with_token(scoped.header("X-Subject-Token"));
    let path = format!(
        "/v3/users/{}/application_credentials",
        user.as_str().unwrap()
    );
    let wanted = json!({"application_credential": {"name": "ci"}});
    let made = jane.post(&path, wanted).await.expect(201)["application_credential"].clone();
    let obtain = async || {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", made["id"].as_str().unwrap()),
            ("client_secret", made["secret"].as_str().unwrap()),
        ];
        server
            .nobody()
            .post_form("/v3/OS-OAUTH2/token", &form)
            .await
    };
    server.clock.advance(chrono::TimeDelta::minutes(59));
    obtain().await.expect(200);
    server.clock.advance(chrono::TimeDelta::minutes(1));
    obtain().await.expect(401);
    // A login verifies the membership again, and with it the credential.
    log_in(&server, "jane", "staff").await.expect(201);
    obtain().await.expect(200);
}

#[tokio::test]
async fn variables_of_anybody_but_a_trusted_proxy_count_for_nothing() {
    let (server, _) = server_with(rules_with_groups(), "1.0").await;
    let stranger = TestServer::start().await;
    let admin = stranger.admin().await;
    super::add_mapping(&admin, "m").await;
    add_provider(&admin, "corp").await;
    let enabled = json!({"identity_provider": {"enabled": true}});
    let provider = "/v3/OS-FEDERATION/identity_providers/corp";
    admin.patch(provider, enabled).await.expect(200);
    super::add_protocol(&admin, "corp", "mapped", "m").await;
    log_in(&stranger, "admin", "").await.expect(401);
    log_in(&server, "admin", "").await.expect(201);
}

#[tokio::test]
async fn a_header_that_is_nearly_that_of_a_variable_does_not_speak_for_it() {
    let (server, _) = server_with(rules_with_groups(), "1.0").await;
    let jane = || server.nobody().with_header("x-env-remote_user", "jane");
    jane().get(LOGIN).await.expect(201);
    let two = jane().with_header("x-env-remote-user", "admin");
    let token = two.get(LOGIN).await.expect(201);
    assert_eq!(token["token"]["user"]["name"], "jane");
    let alone = server.nobody().with_header("x-env-remote-user", "admin");
    alone.get(LOGIN).await.expect(401);
    let empty = server.nobody().with_header("x-env-remote_user", "");
    empty.get(LOGIN).await.expect(401);
}

#[tokio::test]
async fn what_a_login_needs_must_be_there() {
    let (server, admin) = server_with(rules_with_groups(), "1.0").await;
    let jane = server.nobody().with_header("x-env-remote_user", "jane");
    let providers = "/v3/OS-FEDERATION/identity_providers";
    let at = async |provider: &str, protocol: &str| {
        let path = format!("{providers}/{provider}/protocols/{protocol}/auth");
        jane.get(&path).await
    };
    let message = at("corp", "smoke").await.message(401);
    assert_eq!(
        message,
        "Attempted to authenticate with an unsupported method."
    );
    let message = at("nobody", "mapped").await.message(404);
    assert_eq!(message, "Could not find Identity Provider: nobody.");
    admin
        .put_empty(&format!("{providers}/bare"))
        .await
        .expect(201);
    let message = at("bare", "mapped").await.message(403);
    let generic = "You are not authorized to perform the requested action.";
    assert_eq!(message, generic);
    let enabled = json!({"identity_provider": {"enabled": true}});
    admin
        .patch(&format!("{providers}/bare"), enabled)
        .await
        .expect(200);
    at("bare", "mapped").await.expect(404);
    // The assertion comes to nothing.
    server.nobody().get(LOGIN).await.expect(401);
    admin
        .delete("/v3/OS-FEDERATION/mappings/m")
        .await
        .expect(204);
    let message = at("corp", "mapped").await.message(404);
    assert_eq!(message, "Could not find mapping: m.");
}

#[tokio::test]
async fn the_provider_must_be_the_one_that_is_registered() {
    let (server, admin) = server_with(rules_with_groups(), "1.0").await;
    let provider = "/v3/OS-FEDERATION/identity_providers/corp";
    let body = json!({"identity_provider": {"remote_ids": ["https://idp.example"]}});
    admin.patch(provider, body).await.expect(200);
    let body = json!({"protocol": {"mapping_id": "m", "remote_id_attribute": "HTTP_OIDC_ISS"}});
    let protocol = format!("{provider}/protocols/mapped");
    admin.patch(&protocol, body).await.expect(200);
    let jane = || server.nobody().with_header("x-env-remote_user", "jane");
    jane().get(LOGIN).await.expect(401);
    let other = jane().with_header("oidc-iss", "https://other.example");
    assert_eq!(
        other.get(LOGIN).await.message(403),
        "You are not authorized to perform the requested action."
    );
    let right = jane().with_header("oidc-iss", "https://idp.example");
    right.get(LOGIN).await.expect(201);
}

#[tokio::test]
async fn leaving_a_group_ends_the_tokens_from_before() {
    let (server, admin) = server_with(rules_with_groups(), "1.0").await;
    server.with_role("member", Scope::Project).await;
    add_group(&admin, "staff", Some("member")).await;
    let first = log_in(&server, "jane", "staff").await;
    let id = first.expect(201)["token"]["user"]["id"].clone();
    let text = first.header("X-Subject-Token").to_owned();
    let groups = async || {
        let path = format!("/v3/users/{}/groups", id.as_str().unwrap());
        let listed = admin.get(&path).await.expect(200);
        listed["groups"].as_array().unwrap().len()
    };
    assert_eq!(groups().await, 1);
    server.clock.advance(chrono::TimeDelta::minutes(5));
    log_in(&server, "jane", "staff").await.expect(201);
    let own = server.nobody().with_token(&text);
    own.get("/v3/auth/projects").await.expect(200);
    server.clock.advance(chrono::TimeDelta::minutes(5));
    let last = log_in(&server, "jane", "").await;
    last.expect(201);
    assert_eq!(groups().await, 0);
    own.get("/v3/auth/projects").await.expect(401);
    let now = server.nobody().with_token(last.header("X-Subject-Token"));
    now.get("/v3/auth/projects").await.expect(200);
}

#[tokio::test]
async fn a_project_token_of_a_federated_user_carries_roles_on_the_system_too() {
    let (server, admin) = server_with(rules_with_groups(), "1.0").await;
    server.with_role("member", Scope::Project).await;
    let group = add_group(&admin, "staff", Some("reader")).await;
    let answer = log_in(&server, "jane", "staff").await;
    answer.expect(201);
    let text = answer.header("X-Subject-Token").to_owned();
    let home = json!({"project": {"id": testkit::home()}});
    let roles = async || {
        let scoped = scope_to(&server, &text, home.clone()).await.expect(201);
        let roles = scoped["token"]["roles"].as_array().unwrap().iter();
        let names = roles.map(|role| role["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(roles().await, ["reader"]);
    let member = role_id(&admin, "member").await;
    let grant = format!("/v3/system/groups/{group}/roles/{member}");
    admin.put_empty(&grant).await.expect(204);
    assert_eq!(roles().await, ["member", "reader"]);
}

#[tokio::test]
async fn a_token_can_be_exchanged_by_the_method_of_federated_logins() {
    let (server, admin) = server_with(rules_with_groups(), "1.0").await;
    server.with_role("member", Scope::Project).await;
    add_group(&admin, "staff", Some("member")).await;
    let exchange = async |text: &str| {
        let identity = json!({"methods": ["mapped"], "mapped": {"id": text}});
        let scope = json!({"project": {"id": testkit::home()}});
        let auth = json!({"auth": {"identity": identity, "scope": scope}});
        server.nobody().post("/v3/auth/tokens", auth).await
    };
    let answer = log_in(&server, "jane", "staff").await;
    answer.expect(201);
    let scoped = exchange(answer.header("X-Subject-Token")).await.expect(201);
    assert_eq!(scoped["token"]["methods"], json!(["mapped"]));
    assert_eq!(scoped["token"]["user"]["name"], "jane");
    // A token of another login is no proof of this kind.
    exchange(admin.token()).await.expect(401);
}

#[tokio::test]
async fn a_token_is_exchanged_only_while_its_source_stands() {
    let (server, admin) = server_with(rules_with_groups(), "1.0").await;
    server.with_role("member", Scope::Project).await;
    let group = add_group(&admin, "staff", Some("member")).await;
    let answer = log_in(&server, "jane", "staff").await;
    answer.expect(201);
    let text = answer.header("X-Subject-Token").to_owned();
    let home = || json!({"project": {"id": testkit::home()}});
    let provider = "/v3/OS-FEDERATION/identity_providers/corp";
    let set = async |enabled: bool| {
        let body = json!({"identity_provider": {"enabled": enabled}});
        admin.patch(provider, body).await.expect(200);
    };
    set(false).await;
    scope_to(&server, &text, home()).await.expect(403);
    set(true).await;
    scope_to(&server, &text, home()).await.expect(201);
    let system = json!({"system": {"all": true}});
    scope_to(&server, &text, system).await.expect(403);
    admin
        .delete(&format!("/v3/groups/{group}"))
        .await
        .expect(204);
    scope_to(&server, &text, home()).await.expect(400);
}

#[tokio::test]
async fn a_mapping_makes_projects_and_gives_roles() {
    let rules = json!([{
        "local": [
            {"user": {"name": "{0}"}},
            {"projects": [
                {"name": "lab of {0}", "roles": [{"name": "member"}, {"name": "reader"}]},
                {"name": "home", "roles": [{"name": "reader"}]},
            ]},
        ],
        "remote": [{"type": "REMOTE_USER"}],
    }]);
    let (server, admin) = server_with(rules, "2.0").await;
    server.with_role("member", Scope::Project).await;
    let answer = log_in(&server, "jane", "").await;
    let id = answer.expect(201)["token"]["user"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let listed = admin
        .get("/v3/projects?name=lab%20of%20jane")
        .await
        .expect(200);
    let lab = listed["projects"][0].clone();
    assert_eq!(lab["domain_id"], "default");
    let lab = lab["id"].as_str().unwrap();
    assert_eq!(roles_on(&admin, &id, lab).await, ["member", "reader"]);
    let home = testkit::home().to_string();
    assert_eq!(roles_on(&admin, &id, &home).await, ["reader"]);
    // Up to version 2.0 roles are only added.
    let rules = json!([{
        "local": [
            {"user": {"name": "{0}"}},
            {"projects": [{"name": "home", "roles": [{"name": "member"}]}]},
        ],
        "remote": [{"type": "REMOTE_USER"}],
    }]);
    let change = async |version: &str| {
        let body = json!({"mapping": {"rules": rules, "schema_version": version}});
        admin
            .patch("/v3/OS-FEDERATION/mappings/m", body)
            .await
            .expect(200);
        log_in(&server, "jane", "").await.expect(201);
    };
    change("2.0").await;
    assert_eq!(roles_on(&admin, &id, lab).await, ["member", "reader"]);
    assert_eq!(roles_on(&admin, &id, &home).await, ["member", "reader"]);
    change("3.0").await;
    assert!(roles_on(&admin, &id, lab).await.is_empty());
    assert_eq!(roles_on(&admin, &id, &home).await, ["member"]);
}

#[tokio::test]
async fn a_role_that_does_not_exist_stops_the_login_before_anything_is_written() {
    let rules = json!([{
        "local": [
            {"user": {"name": "{0}"}},
            {"projects": [{"name": "lab", "roles": [{"name": "wizard"}]}]},
        ],
        "remote": [{"type": "REMOTE_USER"}],
    }]);
    let (server, admin) = server_with(rules, "2.0").await;
    let message = log_in(&server, "jane", "").await.message(404);
    assert_eq!(message, "Could not find role: wizard.");
    let listed = admin.get("/v3/projects?name=lab").await.expect(200);
    assert_eq!(listed["projects"], json!([]));
    let listed = admin.get("/v3/users?name=jane").await.expect(200);
    assert_eq!(listed["users"], json!([]));
}

#[tokio::test]
async fn a_role_of_one_domain_is_not_given_on_a_project_of_another() {
    let rules = json!([{
        "local": [
            {"user": {"name": "{0}"}},
            {"projects": [
                {"name": "lab", "domain": {"name": "other"}, "roles": [{"name": "own"}]},
            ]},
        ],
        "remote": [{"type": "REMOTE_USER"}],
    }]);
    let (server, admin) = server_with(rules, "2.0").await;
    let body = json!({"domain": {"name": "other"}});
    admin.post("/v3/domains", body).await.expect(201);
    let body = json!({"role": {"name": "own", "domain_id": "default"}});
    admin.post("/v3/roles", body).await.expect(201);
    let message = log_in(&server, "jane", "").await.message(403);
    assert!(
        message.contains("must be in the same domain as the role"),
        "{message}"
    );
    let listed = admin.get("/v3/projects?name=lab").await.expect(200);
    assert_eq!(listed["projects"], json!([]));
}

#[tokio::test]
async fn a_mapping_can_name_a_user_of_ours() {
    let rules = json!([{
        "local": [{"user": {"name": "{0}", "type": "local", "domain": {"name": "Default"}}}],
        "remote": [{"type": "REMOTE_USER"}],
    }]);
    let (server, _) = server_with(rules, "1.0").await;
    let id: UserId = server
        .add_person("member", &[("member", Scope::Project)])
        .await;
    let answer = log_in(&server, "member", "").await;
    let token = &answer.expect(201)["token"];
    assert_eq!(token["user"]["id"], id.to_string());
    assert!(token["user"].get("OS-FEDERATION").is_none());
    log_in(&server, "nobody", "").await.expect(401);
    server.set_enabled(&id, false).await;
    log_in(&server, "member", "").await.expect(401);
}

#[tokio::test]
async fn a_provider_and_a_protocol_are_called_letter_by_letter() {
    // A front proxy guards the address of the one spelling; a database may find them by others.
    let (server, _) = server_with(rules_with_groups(), "1.0").await;
    let jane = || server.nobody().with_header("x-env-remote_user", "jane");
    jane().get(LOGIN).await.expect(201);
    for (provider, protocol) in [
        ("Corp", "mapped"),
        ("c%C3%B6rp", "mapped"),
        ("corp%20", "mapped"),
        ("corp", "Mapped"),
        ("corp", "m%C3%A4pped"),
        ("corp", "mapped%20"),
    ] {
        let place = format!("identity_providers/{provider}/protocols/{protocol}");
        let direct = format!("/v3/OS-FEDERATION/{place}/auth");
        let page = format!("/v3/auth/OS-FEDERATION/{place}/websso?origin=https://h.example/");
        for path in [direct, page] {
            let answer = jane().get(&path).await;
            assert!([401, 404].contains(&answer.status), "{path}");
        }
    }
}

#[tokio::test]
async fn a_name_that_only_looks_like_another_is_another() {
    let local = json!([{
        "local": [{"user": {"name": "{0}", "type": "local", "domain": {"id": "default"}}}],
        "remote": [{"type": "REMOTE_USER"}],
    }]);
    let (server, _) = server_with(local, "1.0").await;
    server.add_person("admin2", &[]).await;
    log_in(&server, "admin2", "").await.expect(201);
    for user in ["ádmin2", "ADMIN2"] {
        log_in(&server, user, "").await.expect(401);
    }

    let rules = json!([{
        "local": [
            {"user": {"name": "{0}"}, "projects": [{"name": "{1}", "roles": [{"name": "reader"}]}]},
            {"groups": "{1}", "domain": {"id": "default"}},
        ],
        "remote": [{"type": "REMOTE_USER"}, {"type": "HTTP_OIDC_GROUPS"}],
    }]);
    let (server, admin) = server_with(rules, "2.0").await;
    add_group(&admin, "admins", None).await;
    let body = json!({"project": {"name": "admins", "domain_id": "default"}});
    let made = admin.post("/v3/projects", body).await.expect(201);
    let places = async |groups| {
        let answer = log_in(&server, "jane", groups).await;
        if answer.status != 201 {
            // Where the database holds the two for one, the one cannot be made beside the other.
            answer.message(409);
            return (0, false);
        }
        let token = answer.expect(201);
        let groups = &token["token"]["user"]["OS-FEDERATION"]["groups"];
        let jane = server.nobody().with_token(answer.header("X-Subject-Token"));
        let listed = jane.get("/v3/auth/projects").await.expect(200);
        let ours = listed["projects"].as_array().unwrap().iter();
        let ours = ours.filter(|project| project["id"] == made["project"]["id"]);
        (groups.as_array().unwrap().len(), ours.count() == 1)
    };
    assert_eq!(places("ádmins").await, (0, false));
    assert_eq!(places("ADMINS").await, (0, false));
    assert_eq!(places("admins").await, (1, true));
}

#[tokio::test]
async fn of_a_user_of_ours_the_name_counts_more_than_the_id() {
    let (server, admin) = server_with(rules_with_groups(), "1.0").await;
    let member: UserId = server.add_person("member", &[]).await;
    let reader: UserId = server.add_person("reader", &[]).await;
    let domain = json!({"id": "default"});
    for (user, found) in [
        (
            json!({"id": member, "name": "reader", "domain": domain}),
            Ok(&reader),
        ),
        (
            json!({"id": "", "name": "reader", "domain": domain}),
            Ok(&reader),
        ),
        (
            json!({"id": "nobody", "name": "reader", "domain": domain}),
            Ok(&reader),
        ),
        (
            json!({"id": member, "name": "nobody", "domain": domain}),
            Err(401),
        ),
        (json!({"id": member, "name": "reader"}), Err(400)),
        (
            json!({"name": "reader", "domain": {"id": "default", "name": "nowhere"}}),
            Err(401),
        ),
        (
            json!({"name": "reader", "domain": {"id": "nowhere", "name": "Default"}}),
            Ok(&reader),
        ),
        (json!({"name": "reader", "domain": {}}), Err(400)),
        (json!({"id": member}), Ok(&member)),
    ] {
        let mut user = user;
        user["type"] = "local".into();
        let rule = json!({"local": [{"user": user}], "remote": [{"type": "REMOTE_USER"}]});
        let body = json!({"mapping": {"rules": [rule]}});
        let mapping = "/v3/OS-FEDERATION/mappings/m";
        admin.patch(mapping, body).await.expect(200);
        let answer = log_in(&server, "jane", "").await;
        match found {
            Ok(id) => assert_eq!(answer.expect(201)["token"]["user"]["id"], id.to_string()),
            Err(status) => drop(answer.expect(status)),
        }
    }
    // The groups count for nothing, but they have to be there.
    let user = json!({"id": member, "type": "local"});
    let local = json!([{"user": user, "group": {"id": "nowhere"}}]);
    let rule = json!({"local": local, "remote": [{"type": "REMOTE_USER"}]});
    let body = json!({"mapping": {"rules": [rule]}});
    admin
        .patch("/v3/OS-FEDERATION/mappings/m", body)
        .await
        .expect(200);
    log_in(&server, "jane", "").await.expect(400);
}

/// A user by `REMOTE_USER` who is a reader of the project that `OIDC-groups` names.
fn rules_with_a_project() -> Value {
    json!([{
        "local": [
            {"user": {"name": "{0}"}},
            {"projects": [{"name": "{1}", "roles": [{"name": "reader"}]}]},
        ],
        "remote": [{"type": "REMOTE_USER"}, {"type": "HTTP_OIDC_GROUPS"}],
    }])
}

async fn count_of_projects(admin: &Client, name: &str) -> usize {
    let listed = admin
        .get(&format!("/v3/projects?name={name}"))
        .await
        .expect(200);
    listed["projects"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_login_that_is_refused_leaves_nothing_behind() {
    let (server, admin) = server_with(rules_with_a_project(), "2.0").await;
    let answer = log_in(&server, "jane", "first").await;
    let token = answer.expect(201);
    let jane = token["token"]["user"]["id"].as_str().unwrap();
    let path = format!("/v3/users/{jane}");
    let off = json!({"user": {"enabled": false}});
    admin.patch(&path, off).await.expect(200);
    log_in(&server, "jane", "second").await.expect(401);
    assert_eq!(count_of_projects(&admin, "first").await, 1);
    assert_eq!(count_of_projects(&admin, "second").await, 0);
    let body = json!({"domain": {"name": "acme", "enabled": false}});
    let domain = admin.post("/v3/domains", body).await.expect(201);
    let domain = domain["domain"]["id"].as_str().unwrap();
    let mut rules = rules_with_a_project();
    rules[0]["local"][0]["user"]["domain"] = json!({"id": domain});
    let body = json!({"mapping": {"rules": rules, "schema_version": "2.0"}});
    let mapping = "/v3/OS-FEDERATION/mappings/m";
    admin.patch(mapping, body).await.expect(200);
    log_in(&server, "joe", "third").await.expect(401);
    assert_eq!(count_of_projects(&admin, "third").await, 0);
    let path = format!("/v3/users?domain_id={domain}");
    let users = admin.get(&path).await.expect(200);
    assert_eq!(users["users"], json!([]));
}

#[tokio::test]
async fn a_project_of_a_mapping_is_one_like_any_other() {
    let (server, admin) = server_with(rules_with_a_project(), "2.0").await;
    log_in(&server, "jane", "a/b").await.expect(201);
    log_in(&server, "jane", "caf\u{e9} ").await.expect(201);
    assert_eq!(count_of_projects(&admin, "caf%C3%A9").await, 1);
    let name: &'static str = "x".repeat(65).leak();
    let message = log_in(&server, "jane", name).await.message(400);
    assert!(
        message.contains("limit of column name(CHAR(64))"),
        "{message}"
    );
    let nobody: &'static str = "\u{fc}".repeat(43).leak();
    let message = log_in(&server, nobody, "a").await.message(400);
    assert!(
        message.contains("limit of column unique_id(CHAR(255))"),
        "{message}"
    );

    let server = TestServer::start_with(|config| {
        config.archstone.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        let text = "[resource]\nproject_name_url_safe = new\n";
        let read = config::Config::parse("keystone.conf".as_ref(), text);
        config.resource = read.unwrap().resource;
    })
    .await;
    let admin = server.admin().await;
    add_provider(&admin, "corp").await;
    let enabled = json!({"identity_provider": {"enabled": true}});
    let provider = "/v3/OS-FEDERATION/identity_providers/corp";
    admin.patch(provider, enabled).await.expect(200);
    let domain = json!({"domain": {"name": "acme", "enabled": false}});
    let domain = admin.post("/v3/domains", domain).await.expect(201);
    let mut rules = rules_with_a_project();
    let body = json!({"mapping": {"rules": rules, "schema_version": "2.0"}});
    let mapping = "/v3/OS-FEDERATION/mappings/m";
    admin.put(mapping, body).await.expect(201);
    let body = json!({"protocol": {"mapping_id": "m"}});
    let protocol = format!("{provider}/protocols/mapped");
    admin.put(&protocol, body).await.expect(201);
    let message = log_in(&server, "jane", "a/b").await.message(400);
    assert!(message.contains("reserved characters: /"), "{message}");
    rules[0]["local"][1]["projects"][0]["domain"] = json!({"id": domain["domain"]["id"]});
    let body = json!({"mapping": {"rules": rules, "schema_version": "2.0"}});
    admin.patch(mapping, body).await.expect(200);
    let message = log_in(&server, "jane", "a").await.message(400);
    assert!(
        message.contains("branch containing a disabled project"),
        "{message}"
    );
    assert_eq!(count_of_projects(&admin, "a").await, 0);
}

#[tokio::test]
async fn a_protocol_is_no_proof_that_we_judge_ourselves() {
    let (server, admin) = server_with(rules_with_groups(), "1.0").await;
    for name in ["application_credential", "password", "token", "totp"] {
        let spoken = json!({"protocol": {"mapping_id": "m"}});
        let provider = "/v3/OS-FEDERATION/identity_providers/corp/protocols";
        let protocol = format!("{provider}/{name}");
        admin.put(&protocol, spoken).await.expect(201);
        let jane = server.nobody().with_header("x-env-remote_user", "jane");
        jane.get(&format!("{protocol}/auth")).await.expect(401);
    }
}

#[tokio::test]
async fn a_user_whose_domain_is_disabled_stays_out() {
    for kind in ["local", "ephemeral"] {
        let rules = json!([{
            "local": [{"user": {"name": "member", "type": kind, "domain": {"name": "acme"}}}],
            "remote": [{"type": "REMOTE_USER"}],
        }]);
        let (server, admin) = server_with(rules, "2.0").await;
        let body = json!({"domain": {"name": "acme"}});
        let domain = admin.post("/v3/domains", body).await.expect(201);
        let domain = domain["domain"]["id"].as_str().unwrap();
        if kind == "local" {
            let body = json!({"user": {"name": "member", "domain_id": domain}});
            admin.post("/v3/users", body).await.expect(201);
        }
        log_in(&server, "jane", "").await.expect(201);
        let off = json!({"domain": {"enabled": false}});
        let path = format!("/v3/domains/{domain}");
        admin.patch(&path, off).await.expect(200);
        log_in(&server, "jane", "").await.expect(401);
    }
}

#[tokio::test]
async fn a_disabled_user_stays_out() {
    let (server, admin) = server_with(rules_with_groups(), "1.0").await;
    let answer = log_in(&server, "jane", "").await;
    let id = answer.expect(201)["token"]["user"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let body = json!({"user": {"enabled": false}});
    admin
        .patch(&format!("/v3/users/{id}"), body)
        .await
        .expect(200);
    log_in(&server, "jane", "").await.expect(401);
}
