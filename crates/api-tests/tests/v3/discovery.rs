//! Discovery over HTTP, and what lies outside of all resources.

use serde_json::{Value, json};
use testkit::{Client, TestServer};

/// The text of an answer, without the port.
async fn page(server: &TestServer, client: &Client, path: &str) -> String {
    client
        .get(path)
        .await
        .text
        .replace(&server.url, "http://server")
}

#[tokio::test]
async fn the_versions_of_the_api_are_listed_at_the_root() {
    let server = TestServer::start().await;
    let answer = server.nobody().get("/").await;
    insta::assert_compact_json_snapshot!(answer.expect(300), @r#"
    {
      "versions": {
        "values": [
          {
            "id": "v3.14",
            "status": "stable",
            "updated": "2020-04-07T00:00:00Z",
            "links": [
              {
                "rel": "self",
                "href": "http://server/v3/"
              }
            ],
            "media-types": [
              {
                "base": "application/json",
                "type": "application/vnd.openstack.identity-v3+json"
              }
            ]
          }
        ]
      }
    }
    "#);
    assert_eq!(answer.header("Location"), format!("{}/v3/", server.url));
    assert_eq!(server.nobody().head("/").await.status, 300);
}

#[tokio::test]
async fn the_version_is_shown_to_everybody() {
    let server = TestServer::start().await;
    let nobody = server.nobody();
    let answer = nobody.get("/v3").await;
    insta::assert_compact_json_snapshot!(answer.expect(200), @r#"
    {
      "version": {
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [
          {
            "rel": "self",
            "href": "http://server/v3/"
          }
        ],
        "media-types": [
          {
            "base": "application/json",
            "type": "application/vnd.openstack.identity-v3+json"
          }
        ]
      }
    }
    "#);
    assert!(!answer.text.ends_with('\n'));
    assert_eq!(answer.header("Content-Type"), "application/json");
    for asker in [
        nobody.clone().with_header("accept", "text/html"),
        nobody.clone().with_token("nonsense"),
        server.stranger().await,
    ] {
        assert_eq!(asker.get("/v3").await.text, answer.text);
    }
    for path in ["/v3/", "/v3//"] {
        assert_eq!(nobody.get(path).await.text, answer.text);
    }
    assert_eq!(nobody.head("/v3").await.status, 200);
}

#[tokio::test]
async fn json_home_lists_every_resource() {
    let server = TestServer::start().await;
    let asker = server
        .nobody()
        .with_header("accept", "application/json-home");
    let relation = "https://docs.openstack.org/api/openstack-identity/3/rel/users";
    for (path, href) in [("/", "/v3/users"), ("/v3", "/users")] {
        let answer = asker.get(path).await;
        let kinds: Vec<_> = answer.headers.get_all("Content-Type").iter().collect();
        assert_eq!(kinds, ["application/json-home"]);
        assert_eq!(
            answer.expect(200)["resources"][relation],
            json!({ "href": href })
        );
        assert_eq!(asker.head(path).await.status, 200);
    }
    let both = "application/json-home;q=0.1, application/json;q=0.9";
    let plain = server.nobody().with_header("accept", both).get("/v3").await;
    assert_eq!(plain.header("Content-Type"), "application/json");
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_by_anybody() {
    let server = TestServer::start().await;
    let nobody = server.nobody();
    let answer = nobody.get("/nowhere").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("Content-Type"), "text/html; charset=utf-8");
    assert!(answer.text.starts_with("<!doctype html>"));
    for path in [
        "/v2.0",
        "/v3/nowhere",
        "/v3/Projects",
        "/v3/regions/Region%2FOne",
    ] {
        assert_eq!(nobody.get(path).await.text, answer.text, "{path}");
    }
    assert_eq!(nobody.post("/v3/nowhere", json!({})).await.status, 404);
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let server = TestServer::start().await;
    let nobody = server.nobody();
    let answer = nobody.delete("/v3/projects").await;
    let message = "The method is not allowed for the requested URL.";
    assert_eq!(answer.expect(405), json!({ "message": message }));
    assert_eq!(answer.header("Allow"), "GET, HEAD, OPTIONS, POST");
    for path in ["/", "/v3"] {
        let answer = nobody.post(path, json!({})).await;
        assert_eq!(answer.status, 405);
        assert_eq!(answer.header("Allow"), "GET, HEAD, OPTIONS");
        assert!(
            answer.text.contains(&format!("<p>{message}</p>")),
            "{}",
            answer.text
        );
    }
}

#[tokio::test]
async fn options_are_told_without_a_token() {
    let server = TestServer::start().await;
    let nobody = server.nobody();
    let ask = |path: &'static str| {
        let nobody = nobody.clone();
        async move { nobody.send("OPTIONS".parse().unwrap(), path, None).await }
    };
    let known = ask("/v3/auth/tokens").await;
    assert_eq!((known.status, known.text.as_str()), (200, ""));
    assert_eq!(known.header("Allow"), "DELETE, GET, HEAD, OPTIONS, POST");
    // Where nothing is, nothing is said: not even which request this was.
    let unknown = ask("/v3/nowhere").await;
    assert_eq!((unknown.status, unknown.text.as_str()), (200, ""));
    for name in ["Allow", "Vary", "x-openstack-request-id"] {
        assert!(!unknown.headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn slashes_at_the_end_and_escapes_do_not_matter() {
    let server = TestServer::start().await;
    let stranger = server.stranger().await;
    let region = page(&server, &stranger, "/v3/regions/RegionOne").await;
    for path in [
        "/v3/regions/RegionOne/",
        "/v3/regions/RegionOne//",
        "/v3/regions/%52egionOne",
    ] {
        assert_eq!(page(&server, &stranger, path).await, region, "{path}");
    }
    let list = page(&server, &stranger, "/v3/regions").await;
    for path in ["/v3/regions/", "/v3/regions/%", "/v3/regions?"] {
        assert_eq!(page(&server, &stranger, path).await, list, "{path}");
    }
}

#[tokio::test]
async fn doubled_slashes_lead_to_the_merged_path() {
    let server = TestServer::start().await;
    let target = format!("{}/v3/regions?a=1&b=2", server.url);
    for path in ["//v3/regions", "/v3//regions", "///v3///regions//"] {
        let answer = server.nobody().get(&format!("{path}?a=1&b=2")).await;
        assert_eq!(answer.status, 308, "{path}");
        assert_eq!(answer.header("Location"), target, "{path}");
    }
    let answer = server.nobody().get("/v3//regions?a=1&b=2").await;
    let shown = target.replace('&', "&amp;");
    assert!(
        answer
            .text
            .contains(&format!("<a href=\"{shown}\">{shown}</a>")),
        "{}",
        answer.text
    );
    assert_eq!(server.nobody().get("/v3//nowhere").await.status, 404);
}

#[tokio::test]
async fn a_body_is_read_before_the_path_is_looked_up() {
    let server = TestServer::start().await;
    let nobody = server.nobody();
    let post = |path: &'static str, kind: &'static str, body: &'static str| {
        let nobody = nobody.clone();
        async move {
            nobody
                .send_raw("POST".parse().unwrap(), path, kind, body)
                .await
        }
    };
    let tail = "The server could not comply with the request since it is either malformed or \
                otherwise incorrect. The client is assumed to be in error.";
    for path in ["/v3/nowhere", "/v3", "/v3/projects"] {
        for body in ["not JSON", "[]", "null"] {
            assert_eq!(
                post(path, "application/json", body).await.message(400),
                format!("Expecting to find valid JSON in request body. {tail}")
            );
        }
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "text/json",
        ] {
            assert_eq!(
                post(path, kind, "{}").await.message(400),
                format!("Expecting to find application/json in Content-Type header. {tail}")
            );
        }
    }
    for kind in [
        "",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        "application/x+json",
    ] {
        assert_eq!(post("/v3/projects", kind, "{}").await.status, 401, "{kind}");
    }
    // Clients of OAuth send forms, also to where there is nothing.
    let form = "application/x-www-form-urlencoded";
    let lost = post("/v3/OS-OAUTH2/nowhere", form, "a=1").await;
    assert_eq!(lost.status, 404);
    let doubled = post("/v3/OS-OAUTH2//token", form, "a=1").await;
    assert_eq!(doubled.status, 308);
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let server = TestServer::start().await;
    let large = vec![b'x'; 114_689];
    for (accept, kind) in [
        ("text/html", "text/html; charset=UTF-8"),
        ("application/json", "application/json"),
        ("image/png", "text/plain; charset=UTF-8"),
    ] {
        let client = server.nobody().with_header("accept", accept);
        let post = "POST".parse().unwrap();
        let answer = client
            .send_raw(post, "/v3/nowhere", "application/json", large.clone())
            .await;
        assert_eq!(answer.status, 413);
        assert_eq!(answer.header("Content-Type"), kind);
        assert!(
            answer.text.contains("413 Request Entity Too Large"),
            "{}",
            answer.text
        );
        assert!(!answer.headers.contains_key("x-openstack-request-id"));
    }
}

#[tokio::test]
async fn what_providers_say_may_be_longer() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let rules = json!([{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "u"}]}]);
    let mapping = json!({"mapping": {"rules": rules}});
    admin
        .put("/v3/OS-FEDERATION/mappings/m", mapping)
        .await
        .expect(201);
    let provider = "/v3/OS-FEDERATION/identity_providers/a";
    admin
        .put(provider, json!({"identity_provider": {}}))
        .await
        .expect(201);
    let protocol = json!({"protocol": {"mapping_id": "m"}});
    let path = format!("{provider}/protocols/b");
    admin.put(&path, protocol).await.expect(201);
    let client = server.nobody();
    let status_of = async |path: &str, length: usize| {
        let post = "POST".parse().unwrap();
        let form = "application/x-www-form-urlencoded";
        let body = vec![b'x'; length];
        client.send_raw(post, path, form, body).await.status
    };
    let here = "/v3/auth/OS-FEDERATION/identity_providers/a/protocols/b/callback";
    assert_ne!(status_of(here, 1_048_576).await, 413);
    assert_eq!(status_of(here, 1_048_577).await, 413);
    // Nobody speaks there.
    let elsewhere = here.replace("/b/", "/c/");
    assert_ne!(status_of(&elsewhere, 114_688).await, 413);
    assert_eq!(status_of(&elsewhere, 114_689).await, 413);
    assert_eq!(status_of("/v3/OS-OAUTH2/token", 114_689).await, 413);
}

#[tokio::test]
async fn numbers_look_as_python_writes_them() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let post = |body: &'static str| {
        let admin = admin.clone();
        let method = "POST".parse().unwrap();
        async move {
            admin
                .send_raw(method, "/v3/projects", "application/json", body)
                .await
        }
    };
    let answer = post(
        r#"{"project": {"name": "n", "list": [9007199254740993, 1.0, 1e3, 1e-7, -0.0], "t": "\u007fé"}}"#,
    )
    .await;
    answer.expect(201);
    let list = r#""list": [9007199254740993, 1.0, 1000.0, 1e-07, -0.0]"#;
    assert!(answer.text.contains(list), "{}", answer.text);
    assert!(
        answer.text.contains(r#""t": "\u007f\u00e9""#),
        "{}",
        answer.text
    );
    // What would have to become a float is refused instead.
    let wide = post(r#"{"project": {"name": "w", "big": 123456789012345678901234567890}}"#).await;
    let message = wide.message(400);
    assert!(message.starts_with("An integer in the request body has more than 64 bits."));
}

#[tokio::test]
async fn links_follow_the_proxy_in_front() {
    let server = TestServer::start().await;
    let secure = server.nobody().with_header("x-forwarded-proto", "https");
    let link = |document: Value| document["version"]["links"][0]["href"].clone();
    let expected = server.url.replace("http://", "https://") + "/v3/";
    assert_eq!(link(secure.get("/v3").await.expect(200)), expected);
    let strange = server.nobody().with_header("x-forwarded-proto", "ftp");
    assert_eq!(
        link(strange.get("/v3").await.expect(200)),
        "http://server/v3/"
    );
}

#[tokio::test]
async fn every_answer_has_a_number_of_its_own() {
    let server = TestServer::start().await;
    let chosen = "req-0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a";
    let client = server
        .nobody()
        .with_header("x-openstack-request-id", chosen);
    let (one, two) = (client.get("/v3").await, client.get("/v3/users").await);
    let (one, two) = (
        one.header("x-openstack-request-id"),
        two.header("x-openstack-request-id"),
    );
    assert!(
        one.starts_with("req-") && one.len() == chosen.len(),
        "{one}"
    );
    assert_ne!(one, chosen);
    assert_ne!(one, two);
}
