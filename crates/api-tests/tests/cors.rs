//! Cross-Origin Resource Sharing over HTTP.

use http::Method;
use testkit::{Answer, Client, TestServer};

const SITE: &str = "https://dashboard.example";

async fn server(origins: &[&str]) -> TestServer {
    TestServer::start_with(|config| {
        config.cors.allowed_origin = origins.iter().map(|origin| (*origin).to_owned()).collect();
    })
    .await
}

fn script(server: &TestServer, origin: &str) -> Client {
    server.nobody().with_header("origin", origin)
}

fn told(answer: &Answer) -> Vec<&str> {
    let names = answer.headers.keys().map(|name| name.as_str());
    let mut told: Vec<_> = names
        .filter(|name| name.starts_with("access-control-"))
        .collect();
    told.sort_unstable();
    told
}

#[tokio::test]
async fn without_origins_nothing_is_said_of_them() {
    let server = TestServer::start().await;
    let script = script(&server, SITE).with_header("access-control-request-method", "GET");
    for answer in [
        script.get("/v3").await,
        script.send(Method::OPTIONS, "/v3", None).await,
    ] {
        assert_eq!(answer.status, 200);
        assert_eq!(told(&answer), [""; 0]);
        assert_eq!(answer.header("Vary"), "X-Auth-Token");
    }
}

#[tokio::test]
async fn a_script_of_an_allowed_origin_may_ask_first() {
    let server = server(&[SITE]).await;
    let ask = |origin: &str, headers: &str| {
        let script = script(&server, origin)
            .with_header("access-control-request-method", "POST")
            .with_header("access-control-request-headers", headers);
        async move { script.send(Method::OPTIONS, "/v3/auth/tokens", None).await }
    };
    let granted = ask(SITE, "content-type, x-auth-token").await;
    assert_eq!((granted.status, granted.text.as_str()), (200, ""));
    for (name, value) in [
        ("Access-Control-Allow-Origin", SITE),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Allow-Methods", "POST"),
        ("Access-Control-Allow-Headers", "content-type,x-auth-token"),
        ("Access-Control-Max-Age", "3600"),
        ("Vary", "Origin"),
        ("Allow", "DELETE, GET, HEAD, OPTIONS, POST"),
    ] {
        assert_eq!(granted.header(name), value, "{name}");
    }
    for refused in [
        ask("https://elsewhere.example", "x-auth-token").await,
        ask(SITE, "x-anything").await,
    ] {
        assert_eq!(refused.status, 200);
        assert_eq!(told(&refused), [""; 0]);
    }
}

#[tokio::test]
async fn every_answer_says_who_may_read_it() {
    let server = server(&[SITE]).await;
    let script = script(&server, SITE);
    // The last of them are made before the API is asked.
    for (path, status, vary) in [
        ("/v3", 200, "X-Auth-Token,Origin"),
        ("/v3/projects", 401, "X-Auth-Token,Origin"),
        ("/nowhere", 404, "X-Auth-Token,Origin"),
        ("/healthcheck", 200, "Origin"),
    ] {
        let answer = script.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("Vary"), vary, "{path}");
        assert_eq!(answer.header("Access-Control-Allow-Origin"), SITE, "{path}");
        assert_eq!(
            answer.header("Access-Control-Expose-Headers"),
            "X-Auth-Token,X-Openstack-Request-Id,X-Subject-Token,Openstack-Auth-Receipt"
        );
    }
    let plain = server.nobody().get("/v3").await;
    assert_eq!(
        (told(&plain), plain.header("Vary")),
        (vec![], "X-Auth-Token")
    );
}

#[tokio::test]
async fn a_star_admits_every_origin() {
    let server = server(&["*"]).await;
    let answer = script(&server, "http://anywhere.example").get("/v3").await;
    assert_eq!(answer.header("Access-Control-Allow-Origin"), "*");
}
