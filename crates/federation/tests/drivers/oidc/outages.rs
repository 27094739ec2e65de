//! Providers that misbehave.

use std::time::Duration;

use federation::Driver as _;
use federation::oidc::Oidc;
use federation::outbound::Limits;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::provider::{Instead, Provider};
use super::{later, limits, log_in, log_in_halfway, login, open, outage, refusal};

const DISCOVERY: &str = "/.well-known/openid-configuration";

#[tokio::test]
async fn a_provider_that_does_not_answer_is_given_up_and_left_alone_for_a_moment() {
    let provider = Provider::start().await;
    let impatient = Limits {
        timeout: Duration::from_secs(1),
        ..limits()
    };
    let driver = Oidc::open(&provider.settings(), impatient).expect("good settings");
    provider
        .state()
        .instead
        .insert(DISCOVERY.into(), Instead::Never);
    let reason = outage(driver.begin(&login(1)).await);
    assert!(reason.contains("in time"), "{reason}");
    outage(driver.begin(&login(2)).await);
    assert_eq!(provider.asked(DISCOVERY), 1);

    provider.state().instead.clear();
    let mut next = login(3);
    next.now = later(10);
    driver.begin(&next).await.expect("it answers again");

    provider
        .state()
        .instead
        .insert("/token".into(), Instead::Never);
    let reason = outage(log_in(&driver, &provider).await);
    assert!(reason.contains("in time"), "{reason}");
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_read() {
    let provider = Provider::start().await;
    let small = Limits {
        max_bytes: 10_000,
        ..limits()
    };
    let huge = Instead::Body(format!("{}{{}}", " ".repeat(20_000_000)));
    for path in [DISCOVERY, "/jwks", "/token"] {
        let driver = Oidc::open(&provider.settings(), small.clone()).expect("good settings");
        provider.state().instead.insert(path.into(), huge.clone());
        let reason = match driver.begin(&login(1)).await {
            Err(failure) => failure.to_string(),
            Ok(_) => outage(log_in(&driver, &provider).await),
        };
        assert!(
            reason.contains("longer than 10000 bytes"),
            "{path}: {reason}"
        );
        provider.state().instead.clear();
    }
}

/// A proxy would look names up for us, wherever they lead.
#[tokio::test]
async fn a_proxy_that_the_environment_names_is_not_asked() {
    const ISSUER: &str = "ARCHSTONE_TEST_ISSUER";
    if let Ok(issuer) = std::env::var(ISSUER) {
        let settings = json!({"issuer": issuer, "client_id": "c", "client_secret": "s"});
        let driver = Oidc::open(&settings, limits()).expect("good settings");
        driver.begin(&login(1)).await.expect("begun");
        return;
    }
    let provider = Provider::start().await;
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", proxy.local_addr().expect("an address"));
    let mut child = std::process::Command::new(std::env::current_exe().expect("this program"));
    for name in [
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ] {
        child.env(name, &url);
    }
    child.env_remove("NO_PROXY").env_remove("no_proxy");
    let name = "oidc::outages::a_proxy_that_the_environment_names_is_not_asked";
    child.env(ISSUER, &provider.issuer).args(["--exact", name]);
    let ran = tokio::task::spawn_blocking(move || child.output()).await;
    let ran = ran.expect("it ends").expect("it runs");
    let printed = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success() && printed.contains("1 passed"),
        "{printed}"
    );
    assert_eq!(provider.asked(DISCOVERY), 1);
    proxy.set_nonblocking(true).expect("it is set");
    assert!(proxy.accept().is_err(), "the proxy was asked");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let provider = Provider::start().await;
    let elsewhere = Instead::Redirect(format!("{}/elsewhere", provider.issuer));
    for path in [DISCOVERY, "/jwks", "/token", "/userinfo"] {
        let mut settings = provider.settings();
        settings["userinfo"] = json!(true);
        let driver = open(&settings);
        provider
            .state()
            .instead
            .insert(path.into(), elsewhere.clone());
        let reason = match driver.begin(&login(1)).await {
            Err(failure) => failure.to_string(),
            Ok(_) => outage(log_in(&driver, &provider).await),
        };
        assert!(reason.contains("302"), "{path}: {reason}");
        provider.state().instead.clear();
    }
    assert_eq!(provider.asked("/elsewhere"), 0);
}

#[tokio::test]
async fn a_provider_at_a_private_address_is_not_asked_unless_that_is_allowed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let knocked = tokio::spawn(async move { listener.accept().await.map(|_| ()) });
    for host in ["127.0.0.1", "localhost"] {
        let settings = json!({
            "issuer": format!("https://{host}:{port}"),
            "client_id": "archstone",
            "client_secret": "secret",
        });
        let driver = Oidc::open(&settings, Limits::default()).expect("good settings");
        let reason = outage(driver.begin(&login(1)).await);
        assert!(reason.contains("private network"), "{reason}");
    }
    assert!(!knocked.is_finished());
    knocked.abort();
}

#[tokio::test]
async fn metadata_of_another_issuer_are_not_used() {
    let provider = Provider::start().await;
    for issuer in [
        format!("{}/", provider.issuer),
        "https://else.example".into(),
    ] {
        provider.state().metadata = json!({"issuer": issuer});
        let reason = outage(open(&provider.settings()).begin(&login(1)).await);
        assert!(reason.contains("of the issuer"), "{reason}");
    }
}

#[tokio::test]
async fn metadata_that_lead_astray_or_lack_an_endpoint_are_not_used() {
    let provider = Provider::start().await;
    for (name, value) in [
        ("authorization_endpoint", json!("javascript:alert(1)")),
        ("token_endpoint", json!("http://provider.example/token")),
        ("jwks_uri", json!("file:///etc/passwd")),
        ("token_endpoint", Value::Null),
        ("jwks_uri", json!(7)),
    ] {
        provider.state().metadata = json!({name: value});
        outage(open(&provider.settings()).begin(&login(1)).await);
    }
    let body = Instead::Body("<html>".into());
    provider.state().instead.insert(DISCOVERY.into(), body);
    let reason = outage(open(&provider.settings()).begin(&login(1)).await);
    assert!(reason.contains("cannot be read"), "{reason}");
}

#[tokio::test]
async fn only_a_refused_code_is_the_users_fault() {
    let provider = Provider::start().await;
    let driver = open(&provider.settings());
    for (status, body, users_fault) in [
        (400, json!({"error": "invalid_grant"}), true),
        (400, json!({"error": "invalid_request"}), false),
        (401, json!({"error": "invalid_client"}), false),
        (503, json!("busy"), false),
        (200, json!({"error": "invalid_grant"}), false),
        (
            200,
            json!({"access_token": "a", "token_type": "Bearer"}),
            false,
        ),
        (
            200,
            json!({"access_token": "a", "id_token": "b", "token_type": "mac"}),
            false,
        ),
    ] {
        let answer = Instead::Status(status, body.clone());
        provider.state().instead.insert("/token".into(), answer);
        let outcome = log_in(&driver, &provider).await;
        match users_fault {
            true => refusal(outcome),
            false => outage(outcome),
        };
    }
}

#[tokio::test]
async fn known_keys_count_while_the_provider_is_down() {
    let provider = Provider::start().await;
    let mut settings = provider.settings();
    settings["bearer"] = json!("jwt");
    let driver = open(&settings);
    let mut claims = provider.claims();
    claims["exp"] = json!(super::NOW + 200_000);
    let token = model::Secret::new(provider.token(&claims));
    driver.bearer(&token, later(0)).await.expect("a good token");
    let down = Instead::Status(503, json!({}));
    for path in [DISCOVERY, "/jwks"] {
        provider.state().instead.insert(path.into(), down.clone());
    }
    driver
        .bearer(&token, later(7200))
        .await
        .expect("still good");
    outage(driver.bearer(&token, later(86_400 + 20)).await);
}

#[tokio::test]
async fn many_who_come_at_once_ask_the_provider_once() {
    let provider = Provider::start().await;
    let driver = open(&provider.settings());
    let (first, second, third) = (login(1), login(2), login(3));
    let (first, second, third) = tokio::join!(
        driver.begin(&first),
        driver.begin(&second),
        driver.begin(&third)
    );
    assert!(first.is_ok() && second.is_ok() && third.is_ok());
    assert_eq!(provider.asked(DISCOVERY), 1);
}

#[tokio::test]
async fn a_set_of_keys_that_is_none_is_an_outage() {
    let provider = Provider::start().await;
    let too_many = json!({"keys": vec![json!({}); 101]}).to_string();
    for body in ["", "[]", "{}", r#"{"keys": {}}"#, &too_many] {
        let driver = open(&provider.settings());
        let callback = log_in_halfway(&driver, &provider, 1).await;
        let body = Instead::Body(body.into());
        provider.state().instead.insert("/jwks".into(), body);
        let reason = outage(driver.complete(&callback).await);
        assert!(reason.contains("keys cannot be used"), "{reason}");
    }
}
