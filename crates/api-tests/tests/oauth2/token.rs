//! The token endpoint of OAuth 2.0 over HTTP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use config::OAuth2ClientAuthentication;
use http::Method;
use model::Secret;
use model::application_credential::{ApplicationCredential, StoredCredential};
use serde_json::{Value, json};
use testkit::{Answer, Client, Scope, TestServer, home};

const PATH: &str = "/v3/OS-OAUTH2/token";
const REFUSED: &str = "The request you have made requires authentication.";

/// An OAuth 2.0 client: an application credential, and its user.
struct OAuthClient {
    owner: Client,
    path: String,
    id: String,
    secret: String,
}

impl OAuthClient {
    async fn new(server: &TestServer, attributes: Value) -> Self {
        let user_id = server
            .add_person("owner", &[("member", Scope::Project)])
            .await;
        let owner = server
            .log_in("owner", Some(json!({"project": {"id": home()}})))
            .await;
        let path = format!("/v3/users/{user_id}/application_credentials");
        let mut document = json!({"name": "client"});
        document
            .as_object_mut()
            .unwrap()
            .extend(attributes.as_object().unwrap().clone());
        let answer = owner
            .post(&path, json!({ "application_credential": document }))
            .await;
        let credential = answer.expect(201)["application_credential"].clone();
        let text = |name: &str| credential[name].as_str().unwrap().to_owned();
        Self {
            owner,
            path: format!("{path}/{}", text("id")),
            id: text("id"),
            secret: text("secret"),
        }
    }

    async fn obtain(&self, server: &TestServer) -> Answer {
        obtain(server, &self.id, &self.secret).await
    }
}

/// Asks for a token by the form.
async fn obtain(server: &TestServer, id: &str, secret: &str) -> Answer {
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", id),
        ("client_secret", secret),
    ];
    server.nobody().post_form(PATH, &fields).await
}

/// Asks for a token by HTTP Basic.
async fn buy_by_basic(
    server: &TestServer,
    user_and_password: &str,
    form: &[(&str, &str)],
) -> Answer {
    let basic = format!("Basic {}", STANDARD.encode(user_and_password));
    let client = server.nobody().with_header("authorization", &basic);
    let grant = [("grant_type", "client_credentials")];
    client.post_form(PATH, &[&grant, form].concat()).await
}

/// Checks the form of an error (RFC 6749 §5.2) and returns its code and description.
#[track_caller]
fn error(answer: &Answer, status: u16) -> (String, String) {
    let body = answer.expect(status);
    let fields = body.as_object().unwrap();
    assert_eq!(fields.len(), 2, "{body}");
    kept_from_caches(answer);
    let challenge = if status == 401 {
        "Keystone uri=\"http://"
    } else {
        ""
    };
    assert!(answer.header("www-authenticate").starts_with(challenge));
    let text = |name: &str| fields[name].as_str().unwrap().to_owned();
    (text("error"), text("error_description"))
}

/// RFC 6749 §5.1: no cache may keep a token.
#[track_caller]
fn kept_from_caches(answer: &Answer) {
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("pragma"), "no-cache");
}

#[track_caller]
fn refused(answer: &Answer) {
    assert_eq!(
        error(answer, 401),
        ("invalid_client".into(), REFUSED.into())
    );
}

#[track_caller]
fn not_authenticated(answer: &Answer) {
    let description = "Client authentication failed.";
    assert_eq!(
        error(answer, 401),
        ("invalid_client".into(), description.into())
    );
}

#[tokio::test]
async fn a_client_buys_a_token_for_the_api() {
    let server = TestServer::start().await;
    let client = OAuthClient::new(&server, json!({"roles": [{"name": "reader"}]})).await;
    for answer in [
        client.obtain(&server).await,
        buy_by_basic(&server, &format!("{}:{}", client.id, client.secret), &[]).await,
    ] {
        let body = answer.expect(200);
        kept_from_caches(&answer);
        let token = body["access_token"].as_str().unwrap();
        // Sorted keys and no blanks, nor a line at the end that errors have.
        assert_eq!(
            answer.text.trim_end(),
            format!(r#"{{"access_token":"{token}","expires_in":3600,"token_type":"Bearer"}}"#)
        );
        let bearer = server.nobody().with_token(token);
        let project = bearer.get(&format!("/v3/projects/{}", home())).await;
        assert_eq!(project.expect(200)["project"]["name"], "home");
        let shown = bearer
            .with_header("x-subject-token", token)
            .get("/v3/auth/tokens")
            .await;
        let shown = shown.expect(200)["token"].clone();
        assert_eq!(shown["methods"], json!(["application_credential"]));
        assert_eq!(shown["application_credential"]["id"], json!(client.id));
        assert_eq!(shown["roles"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn what_else_stands_in_the_request_does_not_matter() {
    let server = TestServer::start().await;
    let client = OAuthClient::new(&server, json!({})).await;
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        client.id, client.secret
    );
    let with_scope = format!("{form}&scope=anything&Grant_Type=password");
    let stranger = server
        .nobody()
        .with_token("nonsense")
        .with_header("accept", "text/html");
    let content_type = "application/x-www-form-urlencoded; charset=UTF-8";
    for body in [form, with_scope] {
        let answer = stranger
            .send_raw(Method::POST, PATH, content_type, body)
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

#[tokio::test]
async fn basic_authentication_counts_more_than_the_form() {
    let server = TestServer::start().await;
    let client = OAuthClient::new(&server, json!({})).await;
    let right = format!("{}:{}", client.id, client.secret);
    let form = [
        ("client_id", client.id.as_str()),
        ("client_secret", client.secret.as_str()),
    ];
    let other = [("client_id", "someone"), ("client_secret", "else")];
    assert_eq!(buy_by_basic(&server, &right, &other).await.status, 200);
    refused(&buy_by_basic(&server, &format!("{}:wrong", client.id), &form).await);
    not_authenticated(&buy_by_basic(&server, "no colon", &form).await);
    // What is no Basic authentication at all leaves the form its say.
    let grant = [("grant_type", "client_credentials")];
    for header in ["Basic", "Basic %", "Bearer x"] {
        let stranger = server.nobody().with_header("authorization", header);
        let answer = stranger
            .post_form(PATH, &[&grant[..], &form].concat())
            .await;
        assert_eq!(answer.status, 200, "{header}");
    }
}

#[tokio::test]
async fn the_grant_type_is_required() {
    let server = TestServer::start().await;
    let client = OAuthClient::new(&server, json!({})).await;
    let form = "application/x-www-form-urlencoded";
    let credentials = format!("client_id={}&client_secret={}", client.id, client.secret);
    let json = r#"{"grant_type": "client_credentials"}"#;
    let in_query = format!("{PATH}?grant_type=client_credentials");
    for (path, content_type, body) in [
        (PATH, "", ""),
        (PATH, form, ""),
        (PATH, form, &credentials),
        (&in_query, form, &credentials),
        (PATH, "application/json", json),
        (PATH, "text/plain", "grant_type=client_credentials"),
    ] {
        let answer = server
            .nobody()
            .send_raw(Method::POST, path, content_type, body)
            .await;
        let description = "The parameter grant_type is required.".to_owned();
        assert_eq!(error(&answer, 400), ("invalid_request".into(), description));
    }
}

#[tokio::test]
async fn a_parameter_is_given_once() {
    let server = TestServer::start().await;
    let client = OAuthClient::new(&server, json!({})).await;
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        client.id, client.secret
    );
    for (more, name) in [
        ("&grant_type=client_credentials", "grant_type"),
        ("&grant%5Ftype=password", "grant_type"),
        ("&client_id=someone", "client_id"),
        ("&client_secret=", "client_secret"),
        ("&scope=a&scope=b", "scope"),
        ("&scope&scope", "scope"),
        ("&x%2B=1&y=2&x%2b=1", "x+"),
    ] {
        let answer = server
            .nobody()
            .send_raw(
                Method::POST,
                PATH,
                "application/x-www-form-urlencoded",
                format!("{form}{more}"),
            )
            .await;
        let description = format!("The parameter {name} is given more than once.");
        assert_eq!(error(&answer, 400), ("invalid_request".into(), description));
    }
}

#[tokio::test]
async fn the_lifetime_is_that_of_the_token() {
    let server = TestServer::start().await;
    let ends = [
        ("2026-05-04T03:02:06.900000", 5),
        ("2026-05-04T04:02:00", 3599),
        ("2026-05-04T04:02:01", 3600),
        ("2030-01-01T00:00:00", 3600),
    ];
    for (end, seconds) in ends {
        let server = TestServer::start().await;
        let client = OAuthClient::new(&server, json!({"expires_at": end})).await;
        let body = client.obtain(&server).await.expect(200);
        assert_eq!(body["expires_in"], seconds, "{end}");
        let token = body["access_token"].as_str().unwrap();
        let bearer = server.nobody().with_token(token);
        server
            .clock
            .advance(chrono::TimeDelta::seconds(seconds - 1));
        assert_eq!(bearer.get("/v3/auth/projects").await.status, 200, "{end}");
        server.clock.advance(chrono::TimeDelta::seconds(1));
        assert_eq!(bearer.get("/v3/auth/projects").await.status, 401, "{end}");
    }
    drop(server);
}

#[tokio::test]
async fn there_is_one_grant() {
    let server = TestServer::start().await;
    for grant_type in [
        "",
        "password",
        "authorization_code",
        "Client_Credentials",
        "größe",
    ] {
        let answer = server
            .nobody()
            .post_form(PATH, &[("grant_type", grant_type)])
            .await;
        let description = format!("The parameter grant_type {grant_type} is not supported.");
        assert_eq!(
            error(&answer, 400),
            ("unsupported_grant_type".into(), description)
        );
    }
}

#[tokio::test]
async fn a_client_names_itself_and_gives_a_secret() {
    let server = TestServer::start().await;
    let grant = ("grant_type", "client_credentials");
    for form in [
        &[grant][..],
        &[grant, ("client_secret", "x")],
        &[grant, ("client_id", ""), ("client_secret", "x")],
        &[grant, ("client_id", "x")],
        &[grant, ("client_id", "x"), ("client_secret", "")],
    ] {
        not_authenticated(&server.nobody().post_form(PATH, form).await);
    }
    not_authenticated(&buy_by_basic(&server, "x:", &[]).await);
    not_authenticated(&buy_by_basic(&server, ":x", &[]).await);
}

#[tokio::test]
async fn secrets_can_be_kept_from_this_endpoint() {
    let server = TestServer::start_with(|config| {
        config.oauth2.oauth2_authn_methods = vec![OAuth2ClientAuthentication::TlsClientAuth];
    })
    .await;
    let client = OAuthClient::new(&server, json!({})).await;
    not_authenticated(&client.obtain(&server).await);
}

#[tokio::test]
async fn an_unknown_client_and_a_wrong_secret_get_the_same_answer_at_the_same_cost() {
    let server = TestServer::start().await;
    let client = OAuthClient::new(&server, json!({})).await;
    let mut answers = Vec::new();
    for (id, secret) in [
        (client.id.as_str(), "wrong"),
        ("nobody", client.secret.as_str()),
    ] {
        let before = server.app.parts.hasher.computed();
        let answer = obtain(&server, id, secret).await;
        refused(&answer);
        assert_eq!(
            server.app.parts.hasher.computed() - before,
            1,
            "{id} ran one slow hash"
        );
        let mut headers = answer.headers;
        headers.remove("x-openstack-request-id");
        headers.remove("date");
        answers.push((answer.status, headers, answer.text));
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn the_right_secret_is_hashed_once_and_never_for_a_client_that_may_not_log_in() {
    let server = TestServer::start().await;
    let client = OAuthClient::new(&server, json!({"expires_at": "2026-05-04T03:02:11"})).await;
    let before = server.app.parts.hasher.computed();
    assert_eq!(client.obtain(&server).await.status, 200);
    assert_eq!(client.obtain(&server).await.status, 200);
    assert_eq!(server.app.parts.hasher.computed() - before, 1);

    server.clock.advance(chrono::TimeDelta::seconds(10));
    refused(&client.obtain(&server).await);
    assert_eq!(
        server.app.parts.hasher.computed() - before,
        2,
        "an ended one is checked slowly"
    );
}

#[tokio::test]
async fn a_client_that_is_gone_is_refused() {
    let server = TestServer::start().await;
    let client = OAuthClient::new(&server, json!({})).await;
    assert_eq!(client.obtain(&server).await.status, 200);
    client.owner.delete(&client.path).await.expect(204);
    refused(&client.obtain(&server).await);
}

#[tokio::test]
async fn a_client_that_has_ended_is_refused() {
    let server = TestServer::start().await;
    let client = OAuthClient::new(&server, json!({"expires_at": "2026-05-04T03:02:11"})).await;
    // The token ends with its client.
    assert_eq!(client.obtain(&server).await.expect(200)["expires_in"], 10);
    server.clock.advance(chrono::TimeDelta::seconds(10));
    refused(&client.obtain(&server).await);
}

#[tokio::test]
async fn a_client_of_a_disabled_user_is_refused() {
    let server = TestServer::start().await;
    let client = OAuthClient::new(&server, json!({})).await;
    let user_id = server
        .app
        .parts
        .store
        .logins()
        .find_by_name("owner", &"default".into())
        .await;
    let user_id = user_id.unwrap().unwrap().subject.id.clone();
    server.set_enabled(&user_id, false).await;
    refused(&client.obtain(&server).await);
    server.set_enabled(&user_id, true).await;
    assert_eq!(client.obtain(&server).await.status, 200);
}

#[tokio::test]
async fn a_client_of_a_disabled_project_is_refused() {
    let server = TestServer::start().await;
    let client = OAuthClient::new(&server, json!({})).await;
    let disabled = json!({"project": {"enabled": false}});
    let path = format!("/v3/projects/{}", home());
    server
        .admin()
        .await
        .patch(&path, disabled)
        .await
        .expect(200);
    refused(&client.obtain(&server).await);
}

#[tokio::test]
async fn a_client_without_a_role_of_its_user_is_refused() {
    let server = TestServer::start().await;
    let user_id = server
        .add_person("owner", &[("reader", Scope::Project)])
        .await;
    let manager = server
        .app
        .parts
        .store
        .roles()
        .find_by_name("manager", None)
        .await
        .unwrap()
        .unwrap();
    let secret_hash = server
        .app
        .parts
        .hasher
        .hash(&Secret::new("right".into()))
        .await
        .unwrap();
    let credential = ApplicationCredential {
        id: "client".into(),
        name: "client".into(),
        description: None,
        user_id,
        project_id: Some(home()),
        expires_at: None,
        unrestricted: None,
        role_ids: vec![manager.id],
        access_rules: Vec::new(),
    };
    let mut tx = server.app.parts.store.begin().await.unwrap();
    let stored = StoredCredential {
        credential: credential.into(),
        secret_hash,
    };
    tx.application_credentials_mut()
        .insert(&stored)
        .await
        .unwrap();
    let _saved = tx.commit().await.unwrap();
    refused(&obtain(&server, "client", "right").await);
}

#[tokio::test]
async fn a_debugging_operator_reads_why() {
    let server = TestServer::start_with(|config| config.default.insecure_debug = true).await;
    let (_, description) = error(&obtain(&server, "nobody", "x").await, 401);
    assert_eq!(
        description,
        "no such application credential (Disable insecure_debug mode to suppress these details.)"
    );
}

#[tokio::test]
async fn only_post_is_allowed() {
    let server = TestServer::start().await;
    for method in [Method::GET, Method::PUT, Method::PATCH, Method::DELETE] {
        let answer = server.nobody().send(method, PATH, None).await;
        let description = "The method is not allowed for the requested URL.";
        assert_eq!(
            answer.expect(405),
            json!({"error": "other_error", "error_description": description})
        );
        assert_eq!(answer.header("allow"), "");
    }
    assert_eq!(server.nobody().head(PATH).await.status, 405);
    let options = server.nobody().send(Method::OPTIONS, PATH, None).await;
    assert_eq!(options.status, 200);
    assert_eq!(
        options.header("allow"),
        "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
    );
}
