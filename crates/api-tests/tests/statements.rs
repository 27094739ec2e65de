//! The query budget: how many statements a request costs, brackets of transactions included.

use std::fmt::Write as _;

use serde_json::{Value, json};
use testkit::{Client, PASSWORD, Scope, TestServer, home};

/// What requests cost, in order.
struct Costs<'a> {
    server: &'a TestServer,
    of: Vec<(String, u64)>,
}

/// The least that each request of a scenario costs, one line each. A node asks for the changes of
/// others now and then, whatever else it does, and what it asks meanwhile only ever adds.
async fn least(scenario: impl AsyncFn() -> Vec<(String, u64)>) -> String {
    let mut least = scenario().await;
    for _ in 1..3 {
        for (known, (_, cost)) in least.iter_mut().zip(scenario().await) {
            known.1 = known.1.min(cost);
        }
    }
    let mut lines = String::new();
    for (name, cost) in least {
        writeln!(lines, "{cost:2}  {name}").unwrap();
    }
    lines
}

impl Costs<'_> {
    async fn add(&mut self, name: &str, request: impl Future<Output = testkit::Answer>) -> Value {
        let before = self.server.app.parts.store.statements();
        let answer = request.await;
        let cost = self.server.app.parts.store.statements() - before;
        self.of.push((name.to_owned(), cost));
        assert!(
            answer.status < 300,
            "{name}: {} {}",
            answer.status,
            answer.text
        );
        serde_json::from_str(&answer.text).unwrap_or_default()
    }
}

fn login(name: &str, scope: &Value) -> Value {
    let user = json!({"name": name, "domain": {"id": "default"}, "password": PASSWORD});
    json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": scope,
    }})
}

/// Makes every fact doubtful that is kept in memory, and nothing else.
async fn forget(server: &TestServer) {
    let store = &server.app.parts.store;
    let mut tx = store.begin().await.unwrap();
    for table in [
        "\"user\"",
        "project",
        "assignment",
        "application_credential",
        "service",
        "service_provider",
    ] {
        let id = if table == "assignment" {
            "actor_id"
        } else {
            "id"
        };
        let sql = format!("DELETE FROM {table} WHERE {id} = 'nobody'");
        store::scratch::execute_in(&mut tx, &sql).await.unwrap();
    }
    let _saved = tx.commit().await.unwrap();
}

fn subject(asker: &Client, token: &str) -> Client {
    asker.clone().with_header("x-subject-token", token)
}

#[tokio::test]
async fn logins_and_validations_keep_the_budget() {
    insta::assert_snapshot!(least(logins_and_validations).await);
}

async fn logins_and_validations() -> Vec<(String, u64)> {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    server.with_role("member", Scope::Project).await;
    let on_home = json!({"project": {"id": home()}});
    let mut costs = Costs {
        server: &server,
        of: Vec::new(),
    };

    let by_name = json!({"project": {"name": "home", "domain": {"name": "Default"}}});
    let nobody = server.nobody();
    forget(&server).await;
    let cold = nobody.post("/v3/auth/tokens", login("member-project", &by_name));
    costs.add("password, project by name, cold", cold).await;
    let warm = nobody.post("/v3/auth/tokens", login("member-project", &by_name));
    costs.add("password, project by name, warm", warm).await;
    let warm = nobody.post("/v3/auth/tokens", login("member-project", &on_home));
    costs.add("password, project by id, warm", warm).await;
    let unscoped = nobody.post(
        "/v3/auth/tokens",
        login("member-project", &json!("unscoped")),
    );
    costs.add("password, unscoped", unscoped).await;

    let member = server.log_in("member-project", Some(on_home.clone())).await;
    let asking = subject(&admin, member.token());
    forget(&server).await;
    let asker = admin.get("/v3/auth/catalog");
    costs.add("catalog, caller cold", asker).await;
    costs
        .add("validate, cold", asking.get("/v3/auth/tokens"))
        .await;
    costs
        .add("validate, warm", asking.get("/v3/auth/tokens"))
        .await;
    costs
        .add("validate, HEAD, warm", asking.head("/v3/auth/tokens"))
        .await;
    costs
        .add("catalog, warm", member.get("/v3/auth/catalog"))
        .await;

    let made = json!({"application_credential": {"name": "ci"}});
    let user = admin.get("/v3/users?name=member-project").await.expect(200);
    let path = format!(
        "/v3/users/{}/application_credentials",
        user["users"][0]["id"].as_str().unwrap()
    );
    let made = costs
        .add("application credential, create", member.post(&path, made))
        .await;
    let made = &made["application_credential"];
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", made["id"].as_str().unwrap()),
        ("client_secret", made["secret"].as_str().unwrap()),
    ];
    forget(&server).await;
    let token = nobody.post_form("/v3/OS-OAUTH2/token", &fields);
    costs.add("OAuth2 token, cold", token).await;
    let token = nobody.post_form("/v3/OS-OAUTH2/token", &fields);
    let token = costs.add("OAuth2 token, warm", token).await;
    admin.get("/v3/auth/catalog").await.expect(200);
    let asking = subject(&admin, token["access_token"].as_str().unwrap());
    costs
        .add("validate OAuth2 token, cold", asking.get("/v3/auth/tokens"))
        .await;
    costs
        .add("validate OAuth2 token, warm", asking.get("/v3/auth/tokens"))
        .await;
    costs
        .add("token, revoke", asking.delete("/v3/auth/tokens"))
        .await;

    costs.of
}

/// What a slow hash does not hide: an answer that takes one question less tells who is there.
#[tokio::test]
async fn a_wrong_password_costs_the_same_whoever_is_named() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    server.with_role("member", Scope::Project).await;
    let found = admin.get("/v3/users?name=member-project").await.expect(200);
    let id = found["users"][0]["id"].clone();
    let right = login("member-project", &json!("unscoped"));
    let nobody = server.nobody();
    let ask = async |user: Value, is_cached: bool| {
        let mut least = u64::MAX;
        for _ in 0..3 {
            forget(&server).await;
            if is_cached {
                nobody
                    .post("/v3/auth/tokens", right.clone())
                    .await
                    .expect(201);
            }
            let mut login = right.clone();
            login["auth"]["identity"]["password"]["user"] = user.clone();
            let before = server.app.parts.store.statements();
            nobody.post("/v3/auth/tokens", login).await.expect(401);
            least = least.min(server.app.parts.store.statements() - before);
        }
        least
    };
    let by_name = |name: &str| json!({"name": name, "domain": {"id": "default"}, "password": "?"});
    let unknown = [
        ask(by_name("nobody"), false).await,
        ask(json!({"id": "nobody", "password": "?"}), false).await,
    ];
    for is_cached in [true, false] {
        let known = [
            ask(by_name("member-project"), is_cached).await,
            ask(json!({"id": id, "password": "?"}), is_cached).await,
        ];
        assert_eq!(known, unknown, "cached: {is_cached}");
    }
}

#[tokio::test]
async fn lists_and_changes_keep_the_budget() {
    insta::assert_snapshot!(least(lists_and_changes).await);
}

async fn lists_and_changes() -> Vec<(String, u64)> {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    admin.get("/v3/auth/catalog").await.expect(200);
    let mut costs = Costs {
        server: &server,
        of: Vec::new(),
    };

    for path in [
        "/v3/domains",
        "/v3/projects",
        "/v3/users",
        "/v3/groups",
        "/v3/roles",
        "/v3/role_inferences",
        "/v3/role_assignments",
        "/v3/role_assignments?effective&include_names",
        "/v3/regions",
        "/v3/services",
        "/v3/endpoints",
        "/v3/credentials",
        "/v3/auth/projects",
        "/v3/auth/domains",
        "/v3/OS-REVOKE/events",
    ] {
        costs.add(&format!("GET {path}"), admin.get(path)).await;
    }
    let project = json!({"project": {"name": "apollo", "tags": ["a", "b"]}});
    let made = costs
        .add("project, create", admin.post("/v3/projects", project))
        .await;
    let path = format!("/v3/projects/{}", made["project"]["id"].as_str().unwrap());
    costs.add("project, show", admin.get(&path)).await;
    let change = json!({"project": {"description": "moon"}});
    costs
        .add("project, change", admin.patch(&path, change))
        .await;
    costs.add("project, delete", admin.delete(&path)).await;
    let user = json!({"user": {"name": "ada", "password": "x"}});
    let made = costs
        .add("user, create", admin.post("/v3/users", user))
        .await;
    let path = format!("/v3/users/{}", made["user"]["id"].as_str().unwrap());
    costs.add("user, show", admin.get(&path)).await;
    costs.add("user, delete", admin.delete(&path)).await;

    costs.of
}

#[tokio::test]
async fn federated_logins_keep_the_budget() {
    insta::assert_snapshot!(least(federated_logins).await);
}

async fn federated_logins() -> Vec<(String, u64)> {
    let server = TestServer::start_with(|config| {
        config.archstone.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let admin = server.admin().await;
    for number in 0..3 {
        let body = json!({"group": {"name": format!("g{number}"), "domain_id": "default"}});
        admin.post("/v3/groups", body).await.expect(201);
    }
    let projects: Vec<_> = (0..3)
        .map(|number| json!({"name": format!("p{number}"), "roles": [{"name": "member"}]}))
        .collect();
    let rules = json!([{
        "local": [
            {"user": {"name": "{0}"}},
            {"groups": "{1}", "domain": {"id": "default"}},
            {"projects": projects},
        ],
        "remote": [{"type": "REMOTE_USER"}, {"type": "HTTP_GROUPS"}],
    }]);
    let body = json!({"mapping": {"rules": rules}});
    let federation = "/v3/OS-FEDERATION";
    admin
        .put(&format!("{federation}/mappings/m"), body)
        .await
        .expect(201);
    let provider = format!("{federation}/identity_providers/corp");
    let body = json!({"identity_provider": {"enabled": true}});
    admin.put(&provider, body).await.expect(201);
    let protocol = format!("{provider}/protocols/mapped");
    let body = json!({"protocol": {"mapping_id": "m"}});
    admin.put(&protocol, body).await.expect(201);
    let mut costs = Costs {
        server: &server,
        of: Vec::new(),
    };
    let login = format!("{protocol}/auth");
    let jane = server.nobody().with_header("x-env-remote_user", "jane");
    let all = jane.clone().with_header("groups", "g0;g1;g2");
    costs.add("first login", all.get(&login)).await;
    costs.add("the same again", all.get(&login)).await;
    let one = jane.with_header("groups", "g0");
    costs.add("with two groups less", one.get(&login)).await;
    costs.of
}
