//! Secrets of OAuth 2.0 clients in HTTP Basic, as clients that encode send them, and others.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::{Answer, Scope, TestServer, home};

const PATH: &str = "/v3/OS-OAUTH2/token";

/// The secrets that a client might choose, and what encoding makes of them (RFC 6749 appendix B).
const SECRETS: [(&str, &str); 7] = [
    ("p+q/r% s:é", "p%2Bq%2Fr%25+s%3A%C3%A9"),
    ("100%25", "100%2525"),
    ("100%", "100%25"),
    ("a b", "a+b"),
    ("a+b", "a%2Bb"),
    ("%41", "%2541"),
    ("plain-secret_1.~", "plain-secret_1.~"),
];

/// The id of a new client with this secret.
async fn client(server: &TestServer, secret: &str, attributes: Value) -> String {
    let user_id = server
        .add_person("owner", &[("member", Scope::Project)])
        .await;
    let owner = server
        .log_in("owner", Some(json!({"project": {"id": home()}})))
        .await;
    let mut document = json!({"name": "client", "secret": secret});
    let given = attributes.as_object().unwrap().clone();
    document.as_object_mut().unwrap().extend(given);
    let path = format!("/v3/users/{user_id}/application_credentials");
    let answer = owner
        .post(&path, json!({ "application_credential": document }))
        .await;
    let made = answer.expect(201);
    made["application_credential"]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Asks for a token with these words in HTTP Basic.
async fn ask(server: &TestServer, id: &str, secret: &str) -> Answer {
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let client = server.nobody().with_header("authorization", &basic);
    client
        .post_form(PATH, &[("grant_type", "client_credentials")])
        .await
}

/// The same, and how many slow hashes that took.
async fn cost(server: &TestServer, id: &str, secret: &str) -> (u16, u64) {
    let before = server.app.parts.hasher.computed();
    let answer = ask(server, id, secret).await;
    (answer.status, server.app.parts.hasher.computed() - before)
}

#[tokio::test]
async fn a_secret_is_accepted_encoded_and_as_it_is() {
    for (secret, encoded) in SECRETS {
        let server = TestServer::start().await;
        let id = client(&server, secret, json!({})).await;
        for sent in [encoded, secret, encoded] {
            let answer = ask(&server, &id, sent).await;
            assert_eq!(answer.status, 200, "{sent}: {}", answer.text);
        }
        let escaped: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        assert_eq!(
            ask(&server, &escaped, encoded).await.status,
            200,
            "{secret}"
        );
        for wrong in [
            format!("{encoded}+"),
            format!("{encoded}%00"),
            encoded.replace('%', "%25") + "x",
        ] {
            assert_eq!(ask(&server, &id, &wrong).await.status, 401, "{wrong}");
        }
    }
}

#[tokio::test]
async fn a_secret_is_decoded_once() {
    let server = TestServer::start().await;
    let id = client(&server, "a b", json!({})).await;
    assert_eq!(ask(&server, &id, "a%20b").await.status, 200);
    for wrong in ["a%2520b", "a%2Bb", "a%252520b"] {
        assert_eq!(ask(&server, &id, wrong).await.status, 401, "{wrong}");
    }
    // In a form, the encoding is that of the form.
    let fields = |secret| {
        [
            ("grant_type", "client_credentials"),
            ("client_id", id.as_str()),
            ("client_secret", secret),
        ]
    };
    let nobody = server.nobody();
    assert_eq!(nobody.post_form(PATH, &fields("a b")).await.status, 200);
    assert_eq!(nobody.post_form(PATH, &fields("a%20b")).await.status, 401);
    assert_eq!(nobody.post_form(PATH, &fields("a+b")).await.status, 401);
}

#[tokio::test]
async fn the_two_readings_cost_one_hash_more_only_where_there_are_two() {
    let server = TestServer::start().await;
    let id = client(&server, "p+q %41", json!({})).await;
    let encoded = "p%2Bq+%2541";
    // Anyone who sends what reads in one way pays for one hash, right or wrong.
    assert_eq!(cost(&server, &id, "wrong").await, (401, 1));
    assert_eq!(cost(&server, "nobody", "wrong").await, (401, 1));
    assert_eq!(cost(&server, &id, "100%").await, (401, 1));
    // What reads in two ways, two, whether there is such a client or not.
    for wrong in ["w%2Drong", "w+rong"] {
        assert_eq!(cost(&server, &id, wrong).await, (401, 2));
        assert_eq!(cost(&server, "nobody", wrong).await, (401, 2));
    }
    // And once a reading is remembered, none.
    assert_eq!(cost(&server, &id, encoded).await, (200, 1));
    assert_eq!(cost(&server, &id, encoded).await, (200, 0));
    assert_eq!(cost(&server, &id, "p+q %41").await, (200, 0));
}

#[tokio::test]
async fn the_time_does_not_tell_that_a_secret_that_can_no_longer_be_used_was_right() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = client(&server, "a-b", json!({})).await;
    assert_eq!(ask(&server, &id, "a-b").await.status, 200);
    // It is remembered now.
    assert_eq!(cost(&server, &id, "a-b").await, (200, 0));
    let owner = admin.get("/v3/users?name=owner").await.expect(200);
    let owner = format!("/v3/users/{}", owner["users"][0]["id"].as_str().unwrap());
    let home = format!("/v3/projects/{}", home());
    for (path, kind) in [(owner, "user"), (home, "project")] {
        for enabled in [false, true] {
            let body = json!({kind: {"enabled": enabled}});
            admin.patch(&path, body).await.expect(200);
            let status = if enabled { 200 } else { 401 };
            let (answered, hashes) = cost(&server, &id, "a-b").await;
            assert_eq!((answered, hashes > 0 || enabled), (status, true), "{path}");
            if !enabled {
                assert_eq!(cost(&server, &id, "x-y").await, (401, hashes), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn the_time_does_not_tell_that_a_secret_that_is_over_was_right() {
    let server = TestServer::start().await;
    let id = client(&server, "a b", json!({"expires_at": "2026-05-04T03:02:11"})).await;
    for sent in ["a b", "a+b"] {
        assert_eq!(ask(&server, &id, sent).await.status, 200);
    }
    server.clock.advance(chrono::TimeDelta::seconds(10));
    for sent in ["a+b", "x+y", "%61+b"] {
        assert_eq!(cost(&server, &id, sent).await, (401, 2), "{sent}");
    }
    for sent in ["a b", "x y"] {
        assert_eq!(cost(&server, &id, sent).await, (401, 1), "{sent}");
    }
}
