//! Tokens that a client brings.

use federation::Failure;
use serde_json::{Value, json};

use super::provider::{ACCESS_TOKEN, Client, Provider};
use super::{bear, open, outage, refusal};

fn settings(provider: &Provider, bearer: &str) -> Value {
    let mut settings = provider.settings();
    settings["bearer"] = json!(bearer);
    settings["bearer_audiences"] = json!(["cloud"]);
    settings
}

#[tokio::test]
async fn a_signed_token_is_good_by_its_signature() {
    let provider = Provider::start().await;
    let driver = open(&settings(&provider, "jwt"));
    for (typ, audience) in [
        (json!("at+jwt"), json!("cloud")),
        (json!("application/AT+JWT"), json!(["else", "cloud"])),
        (json!("JWT"), json!("archstone")),
        (Value::Null, json!("archstone")),
    ] {
        let mut claims = provider.claims();
        claims["aud"] = audience;
        let header = json!({"alg": "ES256", "kid": "first", "typ": typ});
        let token = provider.state().signer.token_with(header, &claims);
        let verified = bear(&driver, &token).await.expect("a good token");
        assert_eq!(verified.assertion.values("HTTP_OIDC_SUB"), ["jane"]);
        assert_eq!(verified.replay_id, None);
        assert!(
            verified
                .session
                .is_some_and(|session| session.subject == "jane")
        );
    }
}

#[tokio::test]
async fn an_access_token_or_an_id_token_of_a_client_that_is_named_is_good() {
    let provider = Provider::start().await;
    let mut settings = settings(&provider, "jwt");
    settings["bearer_clients"] = json!(["cli"]);
    let driver = open(&settings);
    for (name, value) in [
        ("typ", json!("Bearer")),
        ("typ", json!("ID")),
        ("token_use", json!("access")),
        ("token_use", json!("id")),
        ("token_type", json!("access")),
        ("azp", json!("cli")),
        ("azp", json!("archstone")),
    ] {
        let mut claims = provider.claims();
        claims[name] = value.clone();
        let outcome = bear(&driver, &provider.token(&claims)).await;
        assert!(outcome.is_ok(), "{name} {value}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_signed_token_that_is_not_for_us_or_not_for_now_is_refused() {
    let provider = Provider::start().await;
    let driver = open(&settings(&provider, "jwt"));
    let logout = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    for (name, value, part) in [
        ("aud", json!("another"), "another audience"),
        ("aud", Value::Null, "another audience"),
        ("iss", json!("https://else.example"), "another issuer"),
        ("exp", json!(super::NOW - 60), "expired"),
        ("exp", Value::Null, "when it expires"),
        ("nbf", json!(super::NOW + 61), "future"),
        ("cnf", json!({"jkt": "a"}), "bound to a key"),
        ("events", logout, "logout token"),
        ("typ", json!("Refresh"), "neither an access token"),
        ("typ", json!("Offline"), "neither an access token"),
        ("typ", json!("Logout"), "neither an access token"),
        ("typ", json!(["Bearer"]), "neither an access token"),
        ("token_use", json!("refresh"), "neither an access token"),
        (
            "token_type",
            json!("refresh_token"),
            "neither an access token",
        ),
        ("azp", json!("another"), "another client"),
        ("azp", json!(7), "another client"),
    ] {
        let mut claims = provider.claims();
        claims[name] = value;
        let reason = refusal(bear(&driver, &provider.token(&claims)).await);
        assert!(reason.contains(part), "{name}: {reason}");
    }
    // What came and what was expected stands in the log.
    let mut claims = provider.claims();
    claims["aud"] = json!(["another"]);
    let reason = refusal(bear(&driver, &provider.token(&claims)).await);
    assert!(
        reason.contains(r#"["another"] came, and "cloud" or "archstone""#),
        "{reason}"
    );
    let header = json!({"alg": "ES256", "kid": "first", "typ": "logout+jwt"});
    let claims = provider.claims();
    let token = provider.state().signer.token_with(header, &claims);
    let reason = refusal(bear(&driver, &token).await);
    assert!(reason.contains("another kind"), "{reason}");
    let reason = refusal(bear(&driver, ACCESS_TOKEN).await);
    assert!(reason.contains("malformed"), "{reason}");
}

#[tokio::test]
async fn the_provider_says_by_introspection_whether_a_token_is_good() {
    let provider = Provider::start().await;
    let driver = open(&settings(&provider, "introspection"));
    let good = json!({
        "active": true, "sub": "jane", "client_id": "cloud", "scope": "openid",
        "token_type": "Bearer",
    });
    provider.state().introspection = good.clone();
    let verified = bear(&driver, ACCESS_TOKEN).await.expect("a good token");
    let said = verified.assertion;
    assert_eq!(said.values("HTTP_OIDC_SUB"), ["jane"]);
    assert_eq!(said.values("HTTP_OIDC_ISS"), [provider.issuer.as_str()]);

    for (name, value, part) in [
        ("active", json!(false), "not active"),
        ("active", json!("true"), "not active"),
        ("active", Value::Null, "not active"),
        ("aud", json!("another"), "another audience"),
        ("client_id", json!("another"), "another audience"),
        ("client_id", json!(7), "another audience"),
        ("client_id", Value::Null, "another audience"),
        ("token_type", json!("refresh_token"), "access token"),
        ("token_type", json!("DPoP"), "access token"),
        ("token_use", json!("refresh_token"), "access token"),
        ("token_use", json!(7), "access token"),
        ("typ", json!("Refresh"), "access token"),
        ("typ", json!("ID"), "access token"),
        ("azp", json!("another"), "another client"),
        ("iss", json!("https://else.example"), "another issuer"),
        ("exp", json!(super::NOW - 60), "expired"),
        ("nbf", json!(super::NOW + 61), "future"),
        ("cnf", json!({"x5t#S256": "a"}), "bound to a key"),
    ] {
        let mut bad = good.clone();
        bad[name] = value;
        provider.state().introspection = bad;
        let reason = refusal(bear(&driver, ACCESS_TOKEN).await);
        assert!(reason.contains(part), "{name}: {reason}");
    }
    // A client's own token names the client alone, and something must be named.
    let mut own = good.clone();
    own["sub"] = Value::Null;
    provider.state().introspection = own.clone();
    let verified = bear(&driver, ACCESS_TOKEN).await.expect("a client's token");
    assert_eq!(verified.assertion.values("OIDC-client_id"), ["cloud"]);
    assert_eq!(verified.session, None);
    // Whatever the prefix, no claim becomes the user.
    let mut settings = settings(&provider, "introspection");
    settings["claim_prefix"] = json!("REMOTE_");
    own["USER"] = json!("root");
    provider.state().introspection = own.clone();
    let verified = bear(&open(&settings), ACCESS_TOKEN).await;
    let said = verified.expect("a client's token").assertion;
    assert!(said.values("REMOTE_USER").is_empty());
    assert_eq!(said.values("HTTP_REMOTE_USER"), ["root"]);
    own["client_id"] = Value::Null;
    own["aud"] = json!("cloud");
    provider.state().introspection = own;
    let reason = refusal(bear(&driver, ACCESS_TOKEN).await);
    assert!(reason.contains("of whom"), "{reason}");
    // That the provider does not know us is not the bearer's fault.
    provider.state().client = Client::Post;
    let reason = outage(bear(&driver, ACCESS_TOKEN).await);
    assert!(reason.contains("invalid_client"), "{reason}");
}

#[tokio::test]
async fn the_provider_says_by_userinfo_whose_a_token_is() {
    let provider = Provider::start().await;
    let driver = open(&settings(&provider, "userinfo"));
    let verified = bear(&driver, ACCESS_TOKEN).await.expect("a good token");
    assert_eq!(
        verified.assertion.values("OIDC-email"),
        ["jane@example.com"]
    );
    let reason = refusal(bear(&driver, "another").await);
    assert!(reason.contains("does not accept"), "{reason}");
}

#[tokio::test]
async fn without_the_setting_no_token_is_judged_and_the_setting_is_named() {
    let provider = Provider::start().await;
    for token in [ACCESS_TOKEN, "a b"] {
        let failure = bear(&open(&provider.settings()), token).await;
        let Err(Failure::NotSupported(what)) = failure else {
            panic!("this is supported: {failure:?}");
        };
        assert!(what.contains("the setting 'bearer'"), "{what}");
    }
    assert!(provider.state().log.is_empty());
}

#[tokio::test]
async fn a_token_that_cannot_be_sent_is_refused_without_asking() {
    let provider = Provider::start().await;
    for kind in ["jwt", "introspection", "userinfo"] {
        let driver = open(&settings(&provider, kind));
        for text in ["a\r\nb: c", "a b", "", "=", "a=b", "é"] {
            let reason = refusal(bear(&driver, text).await);
            assert!(reason.contains("letters"), "{text:?}: {reason}");
        }
    }
    assert!(provider.state().log.is_empty());
}
