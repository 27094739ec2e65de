//! The health check over HTTP.

use config::{Config, Network};
use serde_json::json;
use testkit::{Answer, Client, TestServer};

const PATH: &str = "/healthcheck";

async fn ask(server: &TestServer, accept: &str) -> Answer {
    server
        .nobody()
        .with_header("accept", accept)
        .get(PATH)
        .await
}

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_healthy_server_says_nothing() {
    let server = TestServer::start().await;
    let nobody = server.nobody();
    for answer in [
        nobody.get(PATH).await,
        nobody.get(&format!("{PATH}/")).await,
        nobody.get(&format!("{PATH}/below")).await,
        nobody.post(PATH, json!({})).await,
        nobody.delete(PATH).await,
        nobody.clone().with_token("nonsense").get(PATH).await,
    ] {
        assert_eq!((answer.status, answer.text.as_str()), (200, ""));
        assert_eq!(answer.header("Content-Type"), "text/plain; charset=UTF-8");
        assert!(answer.headers.contains_key("x-openstack-request-id"));
        assert!(!answer.headers.contains_key("Vary"));
    }
    let checked = nobody.head(PATH).await;
    assert_eq!(checked.status, 204);
    assert!(!checked.headers.contains_key("Content-Type"));
    assert_eq!(nobody.get("/healthchecks").await.status, 404);
}

#[tokio::test]
async fn it_speaks_json_and_html_too() {
    let server = TestServer::start().await;
    let json = ask(&server, "application/json").await;
    assert_eq!(json.header("Content-Type"), "application/json");
    assert_eq!(
        json.text,
        "{\n    \"detailed\": false,\n    \"reasons\": []\n}"
    );
    let html = ask(&server, "text/html").await;
    assert_eq!(html.header("Content-Type"), "text/html; charset=UTF-8");
    assert!(
        html.text.contains("<H2>Result of 0 checks:</H2>"),
        "{}",
        html.text
    );
}

/// A server with the settings of a check by file, and the file.
async fn with_file(
    change: impl FnOnce(&mut Config, &std::path::Path),
) -> (TestServer, tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flag");
    let server = TestServer::start_with(|config| change(config, &file)).await;
    (server, folder, file)
}

#[tokio::test]
async fn a_file_takes_the_server_out() {
    let (server, _folder, file) = with_file(|config, file| {
        config.healthcheck.backends = vec!["disable_by_file".into()];
        config.healthcheck.disable_by_file_path = Some(file.into());
    })
    .await;
    let nobody = server.nobody();
    let healthy = nobody.get(PATH).await;
    assert_eq!((healthy.status, healthy.text.as_str()), (200, "OK"));
    std::fs::write(&file, "").unwrap();
    let out = nobody.get(PATH).await;
    assert_eq!((out.status, out.text.as_str()), (503, "DISABLED BY FILE"));
    assert_eq!(nobody.head(PATH).await.status, 503);
    let reasons = ask(&server, "application/json").await.expect(503);
    assert_eq!(
        reasons,
        json!({"detailed": false, "reasons": ["DISABLED BY FILE"]})
    );
    // Only the balancer goes away: the API works on.
    assert_eq!(nobody.get("/v3").await.status, 200);
}

#[tokio::test]
async fn a_file_lets_the_server_in() {
    let (server, _folder, file) = with_file(|config, file| {
        config.healthcheck.backends = vec!["enable_by_files".into()];
        config.healthcheck.enable_by_file_paths = vec![file.into()];
        config.healthcheck.detailed = true;
    })
    .await;
    let out = ask(&server, "application/json").await.expect(503);
    assert_eq!(
        out["reasons"],
        json!([{
            "class": "HealthcheckResult",
            "details": format!("File path {} is missing", file.display()),
            "reason": "FILE PATH MISSING",
        }])
    );
    std::fs::write(&file, "").unwrap();
    assert_eq!(ask(&server, "text/plain").await.text, "OK");
}

#[tokio::test]
async fn a_file_counts_for_its_port_only() {
    let (server, _folder, file) = with_file(|config, file| {
        config.healthcheck.backends = vec!["disable_by_files_ports".into()];
        config.healthcheck.disable_by_file_paths = vec![format!("1:{}", file.display())];
    })
    .await;
    std::fs::write(&file, "").unwrap();
    assert_eq!(ask(&server, "text/plain").await.text, "OK");
}

#[tokio::test]
async fn strangers_find_nothing_there() {
    let answer = |networks: &'static str| async move {
        let server = TestServer::start_with(|config| {
            config.healthcheck.allowed_source_ranges = vec![network(networks)];
        })
        .await;
        server.nobody().get(PATH).await.status
    };
    assert_eq!(answer("127.0.0.0/8").await, 200);
    assert_eq!(answer("192.0.2.0/24").await, 404);
}

#[tokio::test]
async fn requests_through_a_proxy_can_be_ignored() {
    let server =
        TestServer::start_with(|config| config.healthcheck.ignore_proxied_requests = true).await;
    let through =
        |name: &'static str, value: &str| -> Client { server.nobody().with_header(name, value) };
    assert_eq!(server.nobody().get(PATH).await.status, 200);
    assert_eq!(through("x-forwarded-for", "").get(PATH).await.status, 200);
    assert_eq!(
        through("x-forwarded-for", "192.0.2.1")
            .get(PATH)
            .await
            .status,
        404
    );
    assert_eq!(
        through("x-forwarded-proto", "https").get(PATH).await.status,
        404
    );
}
