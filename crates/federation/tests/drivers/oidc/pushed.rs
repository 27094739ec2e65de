//! Authorization requests that are pushed to the provider first (RFC 9126), and answers that are
//! posted.

use federation::{CheckResult, Driver as _};
use serde_json::{Value, json};

use super::provider::{Client, Instead, Provider};
use super::{CALLBACK_URL, log_in, login, now, open, outage, url};

#[tokio::test]
async fn a_provider_that_demands_pushed_requests_gets_them() {
    let provider = Provider::start().await;
    provider.state().demands_pushing = true;
    let mut settings = provider.settings();
    settings["authorization_parameters"] = json!({"acr_values": "urn:mfa"});
    settings["response_mode"] = json!("form_post");
    let begun = open(&settings).begin(&login(1)).await.expect("a login");
    assert!(!url(&begun).contains("urn%3Amfa"), "{}", url(&begun));
    let driver = open(&provider.settings());
    log_in(&driver, &provider).await.expect("a login");
    provider.state().client = Client::Post;
    settings["token_endpoint_auth_method"] = json!("client_secret_post");
    settings["authorization_parameters"] = json!({});
    log_in(&open(&settings), &provider).await.expect("a login");
}

#[tokio::test]
async fn requests_are_pushed_where_that_is_set() {
    let provider = Provider::start().await;
    log_in(&open(&provider.settings()), &provider)
        .await
        .expect("a login");
    assert_eq!(provider.asked("/par"), 0);
    let mut settings = provider.settings();
    settings["pushed_authorization_request_endpoint"] = json!(format!("{}/par", provider.issuer));
    let begun = open(&settings).begin(&login(1)).await.expect("a login");
    assert!(url(&begun).contains("request_uri="), "{}", url(&begun));
    assert_eq!(provider.asked("/par"), 1);
}

#[tokio::test]
async fn a_request_that_cannot_be_pushed_is_the_providers_fault() {
    let provider = Provider::start().await;
    provider.state().demands_pushing = true;
    let begin = async || {
        let login = login(1);
        open(&provider.settings()).begin(&login).await
    };
    for (answer, part) in [
        (
            Instead::Status(400, json!({"error": "invalid_request"})),
            "invalid_request",
        ),
        (Instead::Status(503, json!({})), "503"),
        (Instead::Status(201, json!({})), "request_uri"),
    ] {
        provider.state().instead.insert("/par".into(), answer);
        let reason = outage(begin().await);
        assert!(reason.contains(part), "{reason}");
    }
    provider.state().metadata = json!({"pushed_authorization_request_endpoint": null});
    let reason = outage(begin().await);
    assert!(
        reason.contains("pushed_authorization_request_endpoint"),
        "{reason}"
    );
}

#[tokio::test]
async fn an_answer_is_posted_where_that_is_set() {
    let provider = Provider::start().await;
    let mut settings = provider.settings();
    assert!(!open(&settings).answers_by_post());
    settings["response_mode"] = json!("form_post");
    let driver = open(&settings);
    assert!(driver.answers_by_post());
    let begun = driver.begin(&login(1)).await.expect("a login");
    assert!(
        url(&begun).contains("response_mode=form_post"),
        "{}",
        url(&begun)
    );
}

async fn findings(settings: &Value) -> Vec<CheckResult> {
    open(settings).check(CALLBACK_URL, now()).await
}

#[track_caller]
fn found<'a>(findings: &'a [CheckResult], step: &str) -> &'a CheckResult {
    let found = findings.iter().find(|found| found.step == step);
    found.unwrap_or_else(|| panic!("{step} is not among {findings:?}"))
}

#[tokio::test]
async fn a_check_tries_the_secret_with_a_made_up_code() {
    let provider = Provider::start().await;
    let mut settings = provider.settings();
    let good = findings(&settings).await;
    assert!(found(&good, "token").works, "{good:?}");
    settings["client_secret"] = json!("wrong");
    let bad = findings(&settings).await;
    let token = found(&bad, "token");
    assert!(!token.works && token.needed, "{bad:?}");
    assert!(token.detail.contains("client_secret"), "{}", token.detail);
    for (answer, part) in [
        (
            Instead::Status(400, json!({"error": "redirect_uri_mismatch"})),
            CALLBACK_URL,
        ),
        (
            Instead::Status(400, json!({"error": "unsupported_grant_type"})),
            "grant",
        ),
        (
            Instead::Status(200, json!({"access_token": "a"})),
            "never issued",
        ),
        (
            Instead::Status(500, json!({"error": "server_error"})),
            "500",
        ),
        (Instead::Body("<html>".into()), "never issued"),
    ] {
        provider.state().instead.insert("/token".into(), answer);
        let bad = findings(&provider.settings()).await;
        let token = found(&bad, "token");
        assert!(
            !token.works && token.detail.contains(part),
            "{}",
            token.detail
        );
    }
}

#[tokio::test]
async fn a_check_pushes_a_request_where_logins_do() {
    let provider = Provider::start().await;
    provider.state().demands_pushing = true;
    let good = findings(&provider.settings()).await;
    assert!(found(&good, "pushed request").works, "{good:?}");
    let refused = Instead::Status(400, json!({"error": "invalid_redirect_uri"}));
    provider.state().instead.insert("/par".into(), refused);
    let bad = findings(&provider.settings()).await;
    let pushed = found(&bad, "pushed request");
    assert!(
        !pushed.works && pushed.detail.contains(CALLBACK_URL),
        "{bad:?}"
    );
}

#[tokio::test]
async fn a_check_asks_of_a_made_up_token_where_logins_ask() {
    let provider = Provider::start().await;
    let mut settings = provider.settings();
    settings["bearer"] = json!("introspection");
    let good = findings(&settings).await;
    assert!(found(&good, "introspection").works, "{good:?}");
    let forbidden = Instead::Status(403, json!({"error": "access_denied"}));
    provider
        .state()
        .instead
        .insert("/introspect".into(), forbidden);
    let bad = findings(&settings).await;
    assert!(!found(&bad, "introspection").works, "{bad:?}");
}

#[tokio::test]
async fn a_check_says_how_the_provider_answers() {
    let provider = Provider::start().await;
    for (modes, mode, works) in [
        (json!(["form_post"]), "query", Some(false)),
        (json!(["query", "form_post"]), "query", None),
        (json!(["query", "form_post"]), "form_post", Some(true)),
        (json!(["query"]), "form_post", Some(false)),
        (Value::Null, "form_post", Some(false)),
        (Value::Null, "query", None),
    ] {
        provider.state().metadata = json!({"response_modes_supported": modes});
        let mut settings = provider.settings();
        settings["response_mode"] = json!(mode);
        let findings = findings(&settings).await;
        let found = findings.iter().find(|found| found.step == "response mode");
        assert_eq!(found.map(|found| found.works), works, "{modes} {mode}");
    }
}
