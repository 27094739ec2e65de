//! What one client may cost the others: defects, bodies, floods, and the largest settings.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;
use std::time::Duration;

use model::clock::Stopwatch;

use secrets::key_repository::KeyRepository;
use serde_json::{Value, json};
use testkit::{PASSWORD, TestServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than anything here takes, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection that is used as it is.
struct Connection(TcpStream);

impl Connection {
    async fn open(server: &TestServer) -> Self {
        let address = server.url.strip_prefix("http://").unwrap();
        Self(TcpStream::connect(address).await.unwrap())
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// The head and the body of the next answer.
    async fn receive(&mut self) -> (String, String) {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
                break end + 4;
            }
            self.more(&mut bytes).await;
        };
        let head = String::from_utf8(bytes[..end].to_vec())
            .unwrap()
            .to_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap();
        let length: usize = length.lines().next().unwrap().trim().parse().unwrap();
        while bytes.len() < end + length {
            self.more(&mut bytes).await;
        }
        (head, String::from_utf8(bytes[end..].to_vec()).unwrap())
    }

    async fn more(&mut self, bytes: &mut Vec<u8>) {
        let read = tokio::time::timeout(PATIENCE, self.0.read_buf(bytes)).await;
        assert_ne!(read.unwrap().unwrap(), 0, "the connection was closed");
    }
}

fn post(path: &str, kind: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: server\r\nContent-Type: {kind}\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

fn login(password: &str) -> Value {
    let user = json!({"name": "admin", "domain": {"id": "default"}, "password": password});
    json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}})
}

/// A server of which nobody but a request looks at the clock, which is to panic then.
async fn defective() -> TestServer {
    let server = TestServer::start_with(|config| config.archstone.sole_writer = true).await;
    // The first request makes the server look at the database.
    server.admin().await;
    server
}

#[tokio::test]
async fn a_defect_is_answered_and_the_connection_lives_on() {
    let server = defective().await;
    let mut connection = Connection::open(&server).await;
    let get = b"GET /v3/users HTTP/1.1\r\nHost: server\r\n\r\n";
    connection.send(get).await;
    assert!(connection.receive().await.0.starts_with("http/1.1 401"));

    server.clock.panic_once();
    connection.send(get).await;
    let (head, body) = connection.receive().await;
    assert!(head.starts_with("http/1.1 500"), "{head}");
    assert!(head.contains("\r\nx-openstack-request-id: req-"), "{head}");
    assert!(head.contains("\r\nvary: x-auth-token"), "{head}");
    let document: Value = serde_json::from_str(&body).unwrap();
    let message = "An unexpected error prevented the server from fulfilling your request.";
    let expected = json!({"code": 500, "message": message, "title": "Internal Server Error"});
    assert_eq!(document, json!({ "error": expected }));

    connection.send(get).await;
    assert!(connection.receive().await.0.starts_with("http/1.1 401"));
}

#[tokio::test]
async fn a_defect_at_the_token_endpoint_is_told_in_the_form_of_oauth() {
    let server = defective().await;
    server.clock.panic_once();
    let form = [("grant_type", "client_credentials")];
    let answer = server
        .nobody()
        .post_form("/v3/OS-OAUTH2/token", &form)
        .await;
    let told = answer.expect(500);
    assert_eq!(told["error"], "other_error");
    assert!(answer.headers.contains_key("x-openstack-request-id"));
    assert_eq!(answer.header("Cache-Control"), "no-store");
}

#[tokio::test]
async fn a_byte_order_mark_before_a_body_is_no_part_of_it() {
    let server = TestServer::start().await;
    let body = [b"\xef\xbb\xbf", login(PASSWORD).to_string().as_bytes()].concat();
    let send = async |body: Vec<u8>| {
        let post = "POST".parse().unwrap();
        let nobody = server.nobody();
        nobody
            .send_raw(post, "/v3/auth/tokens", "application/json", body)
            .await
    };
    send(body.clone()).await.expect(201);
    // One is enough, and it makes nothing of nothing.
    send([b"\xef\xbb\xbf", &body[..]].concat())
        .await
        .expect(400);
    send(b"\xef\xbb\xbf".to_vec()).await.expect(400);
}

const CALLBACK: &str = "/v3/auth/OS-FEDERATION/identity_providers/a/protocols/mapped/callback";

#[tokio::test]
async fn a_provider_that_does_not_exist_has_nothing_long_to_say() {
    let server = TestServer::start().await;
    let form = "application/x-www-form-urlencoded";
    let mut connections = Vec::new();
    for _ in 0..100 {
        let mut connection = Connection::open(&server).await;
        connection
            .send(post(CALLBACK, form, 1_048_576).as_bytes())
            .await;
        connections.push(connection);
    }
    // Refused before anything of it came.
    for mut connection in connections {
        let (head, _) = connection.receive().await;
        assert!(head.starts_with("http/1.1 413"), "{head}");
    }
}

#[tokio::test]
async fn unfinished_bodies_do_not_keep_others_out() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let rules = json!([{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "u"}]}]);
    admin
        .put(
            "/v3/OS-FEDERATION/mappings/m",
            json!({"mapping": {"rules": rules}}),
        )
        .await
        .expect(201);
    let provider = "/v3/OS-FEDERATION/identity_providers/a";
    admin
        .put(provider, json!({"identity_provider": {}}))
        .await
        .expect(201);
    let protocol = json!({"protocol": {"mapping_id": "m"}});
    admin
        .put(&format!("{provider}/protocols/mapped"), protocol)
        .await
        .expect(201);

    let form = "application/x-www-form-urlencoded";
    let head = post(CALLBACK, form, 1_048_576);
    let part = vec![b'x'; 1_048_000];
    let mut flood = Vec::new();
    for _ in 0..90 {
        let mut connection = Connection::open(&server).await;
        connection.send(head.as_bytes()).await;
        connection.send(&part).await;
        flood.push(connection);
        // A login gets through beside it, at any moment.
        if flood.len() % 15 == 0 {
            server
                .nobody()
                .post("/v3/auth/tokens", login(PASSWORD))
                .await
                .expect(201);
        }
    }
    // Those that began first made room for the others.
    let (head, _) = flood[0].receive().await;
    assert!(head.starts_with("http/1.1 503"), "{head}");
    assert!(head.contains("\r\nretry-after: "), "{head}");
    // The last one is still read, and answered when it is whole.
    let last = flood.last_mut().unwrap();
    last.send(&[b'x'; 576]).await;
    let (head, _) = last.receive().await;
    assert!(head.starts_with("http/1.1 401"), "{head}");
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up() {
    let server = TestServer::start_with(|config| {
        config.archstone.request_header_timeout = Duration::from_millis(300);
    })
    .await;
    let mut connection = Connection::open(&server).await;
    connection
        .send(post("/v3/auth/tokens", "application/json", 100).as_bytes())
        .await;
    connection.send(b"{").await;
    let (head, body) = connection.receive().await;
    assert!(head.starts_with("http/1.1 408"), "{head}");
    assert!(body.contains("Request Timeout"), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_logins_by_many_methods_holds_up_no_validation() {
    let server = TestServer::start().await;
    let names: Vec<_> = (0..11_000).map(|number| format!("m{number}")).collect();
    let usual = json!({"auth": {"identity": {"methods": ["password"], "others": names}}});
    let many = json!({"auth": {"identity": {"methods": names}}});
    // The same bytes elsewhere cost no less to read, and nobody looks at them.
    let usual = waits_beside(&server, &usual).await;
    let many = waits_beside(&server, &many).await;
    assert!(
        many < usual * 10,
        "{many:?} beside many methods, {usual:?} beside one"
    );
}

/// How long a validation takes beside six clients who send this login again and again.
async fn waits_beside(server: &TestServer, body: &Value) -> Duration {
    let admin = server.admin().await;
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (nobody, body) = (server.nobody(), body.to_string());
        flood.spawn(async move {
            loop {
                let post = "POST".parse().unwrap();
                let sent =
                    nobody.send_raw(post, "/v3/auth/tokens", "application/json", body.clone());
                sent.await.expect(400);
            }
        });
    }
    let mut waits = waits(&admin, 15).await;
    flood.shutdown().await;
    waits.sort();
    waits[7]
}

/// How long validations of a token take, one after the other.
async fn waits(admin: &testkit::Client, times: usize) -> Vec<Duration> {
    let mut waits = Vec::new();
    let subject = admin.clone().with_header("x-subject-token", admin.token());
    for _ in 0..times {
        let began = Stopwatch::start();
        subject.get("/v3/auth/tokens").await.expect(200);
        waits.push(began.elapsed());
    }
    waits
}

#[tokio::test]
async fn a_server_with_the_largest_settings_works() {
    let century = Duration::from_secs(36_525 * 86_400);
    let server = TestServer::start_with(|config| {
        config.token.expiration = century;
        config.token.allow_expired_window = century;
        config.revoke.expiration_buffer = century;
        config.cache.foreign_ttl = century;
        config.saml.assertion_expiration_time = century;
        config.federation.default_authorization_ttl = 52_596_000;
        let compliance = &mut config.security_compliance;
        compliance.lockout_duration = century;
        compliance.lockout_failure_attempts = Some(2);
        compliance.password_expires_days = Some(36_525);
        compliance.minimum_password_age = 36_525;
        compliance.disable_user_account_days_inactive = Some(36_525);
        config.archstone.request_timeout = Duration::from_secs(86_400);
        config.archstone.database_timeout = Duration::from_secs(86_400);
    })
    .await;
    let admin = server.admin().await;
    let subject = admin.clone().with_header("x-subject-token", admin.token());
    subject
        .get("/v3/auth/tokens?allow_expired=1")
        .await
        .expect(200);

    let user = json!({"user": {"name": "jane", "password": PASSWORD, "domain_id": "default"}});
    let id = admin.post("/v3/users", user).await.expect(201)["user"]["id"].clone();
    let id = id.as_str().unwrap();
    let jane = server.log_in("jane", None).await;
    let change =
        |from: &str, to: &str| json!({"user": {"original_password": from, "password": to}});
    let path = format!("/v3/users/{id}/password");
    server.clock.advance(chrono::TimeDelta::seconds(1));
    jane.post(&path, change(PASSWORD, "another"))
        .await
        .expect(204);
    // It is too new to be changed again.
    server.clock.advance(chrono::TimeDelta::seconds(1));
    let told = jane.post(&path, change("another", "third")).await;
    assert!(told.message(400).contains("36525 day(s)"));

    for _ in 0..3 {
        server
            .nobody()
            .post("/v3/auth/tokens", login("wrong"))
            .await
            .expect(401);
    }
    server
        .nobody()
        .post("/v3/auth/tokens", login(PASSWORD))
        .await
        .expect(401);
    admin.delete(&format!("/v3/users/{id}")).await.expect(204);
    subject.delete("/v3/auth/tokens").await.expect(204);
    subject.get("/v3/auth/tokens").await.expect(401);
}

#[tokio::test]
async fn an_assertion_has_no_more_values_and_groups_than_a_login_needs() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let rules = json!([{
        "local": [{"user": {"name": "{0}"}, "groups": "{1}", "domain": {"id": "default"}}],
        "remote": [{"type": "u"}, {"type": "g"}],
    }]);
    let evaluate = async |count: usize| {
        let groups: Vec<_> = (0..count).map(|number| number.to_string()).collect();
        let body = json!({"rules": rules, "assertion": {"u": "joe", "g": groups}});
        let path = "/v3/OS-FEDERATION/mappings/evaluate";
        admin.post(path, body).await.expect(200).to_string()
    };
    assert!(!evaluate(5000).await.contains("more than 20000"));
    // More than that no body of an administrator holds; what a provider sends is longer.
    let mut said = model::Assertion::new();
    said.set("u", vec!["joe".to_owned()]);
    said.set("g", (0..20_000).map(|number| number.to_string()).collect());
    let version = model::mapping::SchemaVersion::V1;
    let rules = model::mapping::Rules::parse(version, &rules).unwrap();
    let error = rules.evaluate(&said).result.unwrap_err();
    assert!(error.blames_assertion());
    assert_eq!(
        error.to_string(),
        "more than 20000 values in the assertion."
    );
}

#[tokio::test]
async fn a_policy_file_that_hangs_holds_up_neither_requests_nor_new_keys() {
    let server = TestServer::start().await;
    let other = server.second_node().await;
    let policy = server.folder().join("policy.yaml");
    let made = Command::new("mkfifo").arg(&policy).status().unwrap();
    assert!(made.success());
    // It can be opened so only once somebody reads it, who then waits for as long as it is open.
    let mut hanging = OpenOptions::new();
    hanging.write(true).custom_flags(O_NONBLOCK);
    let _hanging = loop {
        match hanging.open(&policy) {
            Ok(file) => break file,
            Err(_) => tokio::task::yield_now().await,
        }
    };

    // Twice, so that the new primary key is one that nobody has seen.
    let keys = KeyRepository::new(&server.app.parts.config.fernet_tokens.key_repository);
    keys.rotate(3, None).unwrap();
    keys.rotate(3, None).unwrap();
    other.app.parts.tokens.next_keys().await;
    let admin = other.admin().await;
    let here = server.nobody().with_token(admin.token());
    here.get("/v3/users").await.expect(200);
}

/// Of Linux.
const O_NONBLOCK: i32 = 0o4000;
