//! What the token of an application credential with access rules opens.

use serde_json::{Value, json};
use testkit::{Client, Scope, TestServer, home};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const REFUSED: &str = "The request you have made requires authentication.";
const PATH: &str = "/v3/auth/tokens";

fn rule(service: &str, method: &str, path: &str) -> Value {
    json!({"service": service, "method": method, "path": path})
}

fn compute() -> Value {
    json!([rule("compute", "GET", "/v2.1/servers")])
}

/// A token of an administrator's application credential with these rules.
async fn bound(server: &TestServer, rules: Value) -> Client {
    let user_id = server
        .add_person("owner", &[("admin", Scope::Project)])
        .await;
    let owner = server
        .log_in("owner", Some(json!({"project": {"id": home()}})))
        .await;
    let credential = json!({"name": "bound", "access_rules": rules, "unrestricted": true});
    let answer = owner
        .post(
            &format!("/v3/users/{user_id}/application_credentials"),
            json!({ "application_credential": credential }),
        )
        .await;
    let made = answer.expect(201)["application_credential"].clone();
    let proof = json!({"id": made["id"], "secret": made["secret"]});
    let identity = json!({"methods": ["application_credential"], "application_credential": proof});
    let body = json!({"auth": {"identity": identity}});
    let answer = server.nobody().post(PATH, body).await;
    answer.expect(201);
    server.nobody().with_token(answer.header("X-Subject-Token"))
}

/// The status of a request for exactly this path, which other clients would tidy up first.
async fn status_of(server: &TestServer, method: &str, path: &str, token: &str) -> u16 {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: server\r\nX-Auth-Token: {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.strip_prefix("HTTP/1.1 ").unwrap();
    status[..3].parse().unwrap()
}

#[tokio::test]
async fn a_token_for_another_service_opens_nothing_here_whatever_the_client_says() {
    let server = TestServer::start().await;
    let token = bound(&server, compute()).await;
    let admin = server.admin().await;
    let mut clients = vec![token.clone()];
    for (name, value) in [
        ("openstack-identity-access-rules", "1.0"),
        ("openstack-identity-access-rules", "2"),
        // The reference lets everything pass that comes with such a header, whatever is in it.
        ("x-service-token", "anything"),
        ("x-service-token", admin.token()),
        ("x-service-token", token.token()),
        ("x-subject-token", token.token()),
        ("x-identity-status", "Confirmed"),
        ("x-http-method-override", "GET"),
        ("x-original-url", "/v3/auth/tokens"),
        ("x-forwarded-prefix", "/v2.1/servers"),
    ] {
        clients.push(token.clone().with_header(name, value));
    }
    let user = json!({"user": {"name": "mallory"}});
    for client in clients {
        for path in [
            "/v3/users",
            "/v3/auth/catalog",
            "/v3/auth/projects",
            "/v3/nowhere",
            "/v3",
            "/",
            "/v2.1/servers",
            "/v3/users?path=/v2.1/servers",
        ] {
            let answer = client.get(path).await;
            assert_eq!(answer.message(401), REFUSED, "{path}");
        }
        let created = client.post("/v3/users", user.clone()).await;
        assert_eq!(created.message(401), REFUSED);
        assert_eq!(client.head(PATH).await.status, 401);
        assert_eq!(client.delete(PATH).await.status, 401);
    }
    let found = admin.get("/v3/users?name=mallory").await.expect(200);
    assert_eq!(found["users"], json!([]));
}

#[tokio::test]
async fn its_refusal_looks_as_in_the_reference() {
    let server = TestServer::start().await;
    let token = bound(&server, compute()).await;
    let answer = token.get("/v3/users").await;
    assert_eq!(
        answer.expect_text(401),
        format!(r#"{{"error": {{"code": 401, "title": "Unauthorized", "message": "{REFUSED}"}}}}"#)
    );
    let challenge = format!("Keystone uri=\"{}\"", server.url);
    assert_eq!(answer.header("www-authenticate"), challenge);
    assert_eq!(answer.header("vary"), "X-Auth-Token");
}

#[tokio::test]
async fn rules_for_this_service_open_what_they_name() {
    let server = TestServer::start().await;
    let rules = json!([
        rule("identity", "GET", "/v3/users"),
        rule("identity", "GET", "/v3/projects/*"),
        rule("identity", "PATCH", "/v3/projects/{project_id}"),
        rule("identity", "GET", "/v3/roles/**"),
        rule("identity", "HEAD", "/v3/groups"),
        rule("compute", "GET", "/v3/regions"),
    ]);
    let token = bound(&server, rules).await;
    for (method, path, status) in [
        ("GET", "/v3/users", 200),
        ("GET", "/v3/users?name=ada", 200),
        ("HEAD", "/v3/users", 401),
        ("POST", "/v3/users", 401),
        ("GET", "/v3/users/nobody", 401),
        ("GET", "/v3/projects/nowhere", 404),
        ("GET", "/v3/projects", 401),
        ("GET", "/v3/projects/nowhere/tags", 401),
        ("DELETE", "/v3/projects/nowhere", 401),
        ("GET", "/v3/roles", 401),
        ("GET", "/v3/roles/nothing", 404),
        ("GET", "/v3/roles/nothing/implies/nothing", 404),
        ("HEAD", "/v3/groups", 200),
        ("GET", "/v3/groups", 401),
        ("GET", "/v3/regions", 401),
    ] {
        let method_ = method.parse().unwrap();
        let answer = token.send(method_, path, None).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
    }
    let path = format!("/v3/projects/{}", home());
    let change = json!({"project": {"description": "changed"}});
    token.patch(&path, change).await.expect(200);
}

#[tokio::test]
async fn rules_are_held_against_the_path_that_is_routed() {
    let server = TestServer::start().await;
    let rules = json!([
        rule("identity", "GET", "/v3/users"),
        rule("identity", "GET", "/v3/projects/*"),
    ]);
    let token = bound(&server, rules).await;
    for (path, status) in [
        ("/v3/users/", 200),
        ("/v3/users//", 200),
        ("/v3/%75sers", 200),
        ("/v3%2fusers", 200),
        ("/v3/users%2F", 200),
        ("/v3/projects/", 401),
        ("/v3/projects/x%2fy", 401),
        ("/v3/projects/x/..%2f..%2fgroups", 401),
        // These two match a rule, and lead nowhere.
        ("/v3/projects/..", 404),
        ("/v3/projects/%2e%2e", 404),
        ("/v3/projects/../groups", 401),
        ("/v3/projects/%2e%2e/groups", 401),
        ("/v3/auth/tokens/../../users", 401),
        ("/v3/groups/../users", 401),
        ("//v3/users", 401),
        ("/v3//users", 401),
        ("//v3/groups", 401),
        ("/v3/users;/../groups", 401),
        ("/v3/groups?/v3/users", 401),
        ("/v3/users%00", 401),
        ("/V3/users", 401),
        ("/v3/auth/tokens/x", 401),
        ("/x/v3/auth/tokens", 401),
    ] {
        let found = status_of(&server, "GET", path, token.token()).await;
        assert_eq!(found, status, "{path}");
    }
}

#[tokio::test]
async fn the_promise_to_enforce_rules_counts_for_the_subject_alone() {
    let server = TestServer::start().await;
    let token = bound(&server, compute()).await;
    let other = server.with_role("reader", Scope::Project).await;
    let about = |asker: &Client, subject: &Client, promises: bool| {
        let asker = asker
            .clone()
            .with_header("x-subject-token", subject.token());
        match promises {
            true => asker.with_header("openstack-identity-access-rules", "1.0"),
            false => asker,
        }
    };
    let admin = server.admin().await;
    for (asker, subject, promises, status) in [
        (&admin, &token, true, 200),
        (&admin, &token, false, 404),
        // The token itself may always ask, and is then a subject like any other.
        (&token, &token, true, 200),
        (&token, &token, false, 404),
        (&token, &other, true, 200),
        (&token, &other, false, 200),
    ] {
        let answer = about(asker, subject, promises).get(PATH).await;
        assert_eq!(answer.status, status, "{promises}: {}", answer.text);
    }
    let without_subject = token.get(PATH).await;
    assert_eq!(without_subject.message(404), "No token in the request");
}

#[tokio::test]
async fn a_token_with_access_rules_proves_nothing_to_a_login() {
    let server = TestServer::start().await;
    let token = bound(&server, json!([rule("identity", "GET", "/v3/users")])).await;
    let identity = json!({"methods": ["token"], "token": {"id": token.token()}});
    let body = json!({"auth": {"identity": identity, "scope": "unscoped"}});
    let promising = server
        .nobody()
        .with_header("openstack-identity-access-rules", "1.0");
    for client in [server.nobody(), promising] {
        let answer = client.post(PATH, body.clone()).await;
        assert_eq!(answer.message(404), "Failed to validate token");
    }
}
