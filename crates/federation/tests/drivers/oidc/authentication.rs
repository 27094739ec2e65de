//! What is asked of the authentication, and what then has to come: a user can take any parameter out
//! of the URL by which they are sent to the provider.

use federation::Driver as _;
use serde_json::{Value, json};

use super::provider::{ACCESS_TOKEN, Provider};
use super::{NOW, bear, log_in, open, refusal};

/// Settings with a parameter of the authorization request.
fn settings(provider: &Provider, name: &str, value: impl Into<Value>) -> Value {
    let mut settings = provider.settings();
    settings["authorization_parameters"] = json!({name: value.into()});
    settings
}

/// ID tokens say this from now on.
fn say(provider: &Provider, name: &'static str, value: Value) {
    provider.state().id_token = Box::new(move |key, mut claims| {
        claims[name] = value.clone();
        key.token(&claims)
    });
}

#[tokio::test]
async fn an_authentication_that_is_asked_for_is_insisted_on() {
    let provider = Provider::start().await;
    let essential =
        r#"{"id_token": {"acr": {"essential": true, "values": ["urn:mfa", "urn:hw"]}}}"#;
    for (name, asked) in [("acr_values", "urn:hw urn:mfa"), ("claims", essential)] {
        let driver = open(&settings(&provider, name, asked));
        for (acr, good) in [
            (json!("urn:mfa"), true),
            (json!("pwd"), false),
            (json!("urn:mfa urn:hw"), false),
            (json!(""), false),
            (json!(1), false),
            (Value::Null, false),
        ] {
            say(&provider, "acr", acr.clone());
            let outcome = log_in(&driver, &provider).await;
            if good {
                outcome.expect("a login as it was asked for");
            } else {
                let reason = refusal(outcome);
                assert!(reason.contains("acr"), "{name} {acr}: {reason}");
            }
        }
    }
    // Nobody who asks for nothing is refused.
    say(&provider, "acr", json!("pwd"));
    log_in(&open(&provider.settings()), &provider)
        .await
        .expect("a login");
}

#[tokio::test]
async fn what_is_asked_of_the_authentication_holds_for_tokens_that_a_client_brings() {
    let provider = Provider::start().await;
    for (bearer, told) in [("jwt", true), ("introspection", true), ("userinfo", false)] {
        let mut settings = settings(&provider, "acr_values", "urn:mfa");
        settings["bearer"] = json!(bearer);
        let driver = open(&settings);
        for (acr, good) in [("urn:mfa", true), ("pwd", false)] {
            let mut claims = provider.claims();
            claims["acr"] = json!(acr);
            let token = provider.token(&claims);
            claims["active"] = json!(true);
            provider.state().introspection = claims;
            let token = if bearer == "jwt" {
                &token
            } else {
                ACCESS_TOKEN
            };
            let outcome = bear(&driver, token).await;
            assert_eq!(outcome.is_ok(), good && told, "{bearer} {acr}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn nobody_has_logged_in_in_the_future() {
    let provider = Provider::start().await;
    let mut with_bearer = settings(&provider, "max_age", "600");
    with_bearer["bearer"] = json!("jwt");
    // The callback comes 30 seconds after the login began, and the clocks may differ by 60.
    for settings in [provider.settings(), with_bearer] {
        let driver = open(&settings);
        for (auth_time, good) in [(90, true), (91, false), (3600, false)] {
            say(&provider, "auth_time", json!(NOW + auth_time));
            let outcome = log_in(&driver, &provider).await;
            assert_eq!(outcome.is_ok(), good, "{auth_time}: {outcome:?}");
        }
    }
    let mut settings = provider.settings();
    settings["bearer"] = json!("jwt");
    let mut claims = provider.claims();
    claims["auth_time"] = json!(NOW + 61);
    let token = provider.token(&claims);
    let reason = refusal(bear(&open(&settings), &token).await);
    assert!(reason.contains("future"), "{reason}");
}

#[tokio::test]
async fn who_is_to_log_in_again_has_done_so() {
    let provider = Provider::start().await;
    let driver = open(&settings(&provider, "prompt", "consent login"));
    for (auth_time, good) in [
        (json!(NOW), true),
        (json!(NOW - 61), false),
        (Value::Null, true),
    ] {
        say(&provider, "auth_time", auth_time.clone());
        let outcome = log_in(&driver, &provider).await;
        assert_eq!(outcome.is_ok(), good, "{auth_time}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_value_that_is_asked_of_userinfo_has_to_come_from_there() {
    let provider = Provider::start().await;
    let asked = r#"{"userinfo": {"email": {"value": "jane@example.com"}}}"#;
    let mut settings = settings(&provider, "claims", asked);
    settings["userinfo"] = json!(true);
    let driver = open(&settings);
    log_in(&driver, &provider).await.expect("a login");
    provider.state().userinfo["email"] = json!("joe@example.com");
    let reason = refusal(log_in(&driver, &provider).await);
    assert!(reason.contains("email"), "{reason}");
}

#[tokio::test]
async fn a_check_says_whether_the_provider_knows_the_authentication() {
    let provider = Provider::start().await;
    provider.state().metadata = json!({"acr_values_supported": ["0", "urn:mfa"]});
    for (asked, works) in [("urn:hw urn:mfa", true), ("urn:hw", false)] {
        let driver = open(&settings(&provider, "acr_values", asked));
        let findings = driver.check(super::CALLBACK_URL, super::now()).await;
        let mut found = findings.iter();
        let found = found.find(|found| found.step == "authentication context");
        assert_eq!(found.map(|found| found.works), Some(works), "{asked}");
    }
}
