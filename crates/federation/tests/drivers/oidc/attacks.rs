//! Attacks on logins. All must fail.

use std::sync::Arc;

use aws_lc_rs::hmac;
use federation::{Driver as _, Failure};
use serde_json::{Value, json};

use super::keys::{Key, encode};
use super::provider::Provider;
use super::{bear, callback, later, log_in, log_in_halfway, login, open, outage, refusal, url};

/// A login with an ID token that a test makes of the good claims.
async fn log_in_with(make: impl Fn(&Key, Value) -> String + Send + 'static) -> String {
    let provider = Provider::start().await;
    provider.state().id_token = Box::new(make);
    refusal(log_in(&open(&provider.settings()), &provider).await)
}

/// The same, where only a claim is changed.
async fn log_in_with_claim(name: &'static str, value: Value) -> String {
    log_in_with(move |key, mut claims| {
        claims[name] = value.clone();
        key.token(&claims)
    })
    .await
}

#[tokio::test]
async fn a_callback_without_the_state_of_its_login_is_refused() {
    let provider = Provider::start().await;
    let driver = open(&provider.settings());
    let good = log_in_halfway(&driver, &provider, 1).await;
    let other = log_in_halfway(&driver, &provider, 2).await;

    let mut missing = good.clone();
    missing.parameters.retain(|(name, _)| name != "state");
    let mut empty = good.clone();
    empty.parameters[1].1.clear();
    let mut twice = good.clone();
    twice.parameters.push(good.parameters[1].clone());
    let mut swapped = good.clone();
    swapped.parameters = other.parameters.clone();
    for bad in [missing, empty, twice, swapped] {
        let reason = refusal(driver.complete(&bad).await);
        assert!(reason.contains("state"), "{reason}");
    }
    assert_eq!(provider.asked("/token"), 0);
}

#[tokio::test]
async fn a_login_that_nobody_began_is_refused() {
    let provider = Provider::start().await;
    let driver = open(&provider.settings());
    let mut unsolicited = log_in_halfway(&driver, &provider, 1).await;
    unsolicited.secret = None;
    let reason = refusal(driver.complete(&unsolicited).await);
    assert!(reason.contains("nobody began"), "{reason}");
}

#[tokio::test]
async fn a_callback_counts_once() {
    let provider = Provider::start().await;
    let driver = open(&provider.settings());
    let callback = log_in_halfway(&driver, &provider, 1).await;
    let first = driver.complete(&callback).await.expect("a login");
    assert!(first.replay_id.is_some_and(|once| once.until == later(900)));
    // The provider does not take the code again; the keeper of the replay id knows it, too.
    let reason = refusal(driver.complete(&callback).await);
    assert!(reason.contains("code"), "{reason}");
}

#[tokio::test]
async fn a_callback_that_comes_after_a_quarter_of_an_hour_is_refused() {
    let provider = Provider::start().await;
    let driver = open(&provider.settings());
    let mut late = log_in_halfway(&driver, &provider, 1).await;
    late.now = later(901);
    let reason = refusal(driver.complete(&late).await);
    assert!(reason.contains("too long"), "{reason}");
}

#[tokio::test]
async fn an_injected_code_fails_by_its_verifier_and_by_its_nonce() {
    for checks_verifier in [true, false] {
        let provider = Provider::start().await;
        provider.state().checks_verifier = checks_verifier;
        let driver = open(&provider.settings());
        let victim = log_in_halfway(&driver, &provider, 1).await;
        let mut attacker = log_in_halfway(&driver, &provider, 2).await;
        attacker.parameters[0] = victim.parameters[0].clone();
        let reason = refusal(driver.complete(&attacker).await);
        let expected = if checks_verifier { "code" } else { "nonce" };
        assert!(reason.contains(expected), "{reason}");
    }
}

#[tokio::test]
async fn a_code_for_another_callback_url_is_refused() {
    let provider = Provider::start().await;
    let driver = open(&provider.settings());
    let mut elsewhere = log_in_halfway(&driver, &provider, 1).await;
    elsewhere.callback_url = "https://keystone.example/v3/other".into();
    let reason = refusal(driver.complete(&elsewhere).await);
    assert!(reason.contains("code"), "{reason}");
}

#[tokio::test]
async fn a_nonce_that_is_missing_swapped_or_of_another_kind_is_refused() {
    for nonce in [Value::Null, json!("another"), json!(["nonce"]), json!("")] {
        let reason = log_in_with_claim("nonce", nonce).await;
        assert!(reason.contains("nonce"), "{reason}");
    }
}

#[tokio::test]
async fn an_id_token_of_an_earlier_login_is_refused() {
    let provider = Provider::start().await;
    let driver = open(&provider.settings());
    let mut claims = provider.claims();
    claims["nonce"] = json!(login(1).secret.derive("nonce"));
    let earlier = provider.token(&claims);
    provider.state().id_token = Box::new(move |_, _| earlier.clone());
    log_in(&driver, &provider).await.expect("its own login");
    let callback = log_in_halfway(&driver, &provider, 2).await;
    let reason = refusal(driver.complete(&callback).await);
    assert!(reason.contains("nonce"), "{reason}");
}

#[tokio::test]
async fn a_provider_cannot_pass_on_the_code_of_another() {
    let (honest, evil) = (Provider::start().await, Provider::start().await);
    honest.state().names_issuer = true;
    let at_evil = open(&evil.settings());
    let login = login(1);
    let begun = at_evil.begin(&login).await.expect("a login");
    // The evil provider sends the browser on to the honest one, which sends it back to us.
    let passed_on = url(&begun).replace(&evil.issuer, &honest.issuer);
    let brought = honest.log_in(&passed_on);
    let mixed = callback(&login, &begun, brought.clone());
    let reason = refusal(at_evil.complete(&mixed).await);
    assert!(reason.contains("another issuer"), "{reason}");
    assert_eq!(evil.asked("/token"), 0, "the code must not get to it");

    // Two names are no better than a wrong one.
    let mut twice = mixed.clone();
    twice.parameters.push(("iss".into(), evil.issuer.clone()));
    let reason = refusal(at_evil.complete(&twice).await);
    assert!(reason.contains("another issuer"), "{reason}");

    // What began at one provider does not end at another.
    let at_honest = open(&honest.settings());
    let reason = refusal(at_honest.complete(&mixed).await);
    assert!(reason.contains("another provider"), "{reason}");
    assert_eq!(honest.asked("/token"), 0);
}

#[tokio::test]
async fn a_callback_without_the_issuer_that_the_provider_promises_is_refused() {
    let provider = Provider::start().await;
    provider.state().names_issuer = true;
    let driver = open(&provider.settings());
    let mut anonymous = log_in_halfway(&driver, &provider, 1).await;
    anonymous.parameters.retain(|(name, _)| name != "iss");
    let reason = refusal(driver.complete(&anonymous).await);
    assert!(reason.contains("issuer"), "{reason}");
    assert_eq!(provider.asked("/token"), 0);
}

#[tokio::test]
async fn an_id_token_of_another_provider_is_refused() {
    let (provider, other) = (Provider::start().await, Provider::start().await);
    let key = Arc::clone(&other.state().signer);
    let issuer = other.issuer.clone();
    provider.state().id_token = Box::new(move |_, mut claims| {
        claims["iss"] = json!(issuer);
        key.token(&claims)
    });
    // Even its key has the same name.
    let reason = refusal(log_in(&open(&provider.settings()), &provider).await);
    assert!(reason.contains("signature"), "{reason}");
}

#[tokio::test]
async fn an_id_token_without_a_signature_is_refused() {
    for name in ["none", "None", "nOnE", ""] {
        let reason = log_in_with(move |_, claims| {
            let header = json!({"alg": name, "kid": "first"});
            format!(
                "{}.{}.",
                encode(header.to_string()),
                encode(claims.to_string())
            )
        })
        .await;
        assert!(reason.contains("kind of signature"), "{reason}");
    }
    let reason = log_in_with(|key, claims| {
        let token = key.token(&claims);
        let signed = token.rsplit_once('.').expect("a signature").0;
        format!("{signed}.")
    })
    .await;
    assert!(reason.contains("signature is wrong"), "{reason}");
}

#[tokio::test]
async fn an_id_token_signed_by_hmac_with_the_public_key_is_refused() {
    let key = Key::rsa("rsa");
    let jwk = key.jwk();
    let modulus = jwk["n"].as_str().expect("a modulus").to_owned();
    for secret in [modulus, jwk.to_string(), super::provider::SECRET.to_owned()] {
        let provider = Provider::start().await;
        let symmetric = json!({"kty": "oct", "kid": "rsa", "k": encode(&secret)});
        provider.state().shown = vec![jwk.clone(), symmetric];
        provider.state().id_token = Box::new(move |_, claims| {
            let header = json!({"alg": "HS256", "kid": "rsa"});
            let signed = format!(
                "{}.{}",
                encode(header.to_string()),
                encode(claims.to_string())
            );
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            format!("{signed}.{}", encode(hmac::sign(&key, signed.as_bytes())))
        });
        let reason = refusal(log_in(&open(&provider.settings()), &provider).await);
        assert!(reason.contains("kind of signature"), "{reason}");
    }
}

#[tokio::test]
async fn an_id_token_signed_in_a_way_that_is_not_set_is_refused() {
    let provider = Provider::start().await;
    let mut settings = provider.settings();
    settings["id_token_signing_algorithms"] = json!(["RS256"]);
    let reason = refusal(log_in(&open(&settings), &provider).await);
    assert!(reason.contains("kind of signature"), "{reason}");
}

#[tokio::test]
async fn an_id_token_by_an_unknown_key_is_refused() {
    for (id, part) in [("unknown", "no such key"), ("first", "signature is wrong")] {
        let stranger = Key::ec(id);
        let reason = log_in_with(move |_, claims| stranger.token(&claims)).await;
        assert!(reason.contains(part), "{reason}");
    }
    // Nor does it help to bring the key along, or not to name it.
    let stranger = Key::ec("first");
    let reason = log_in_with(move |_, claims| {
        let header = json!({"alg": "ES256", "jwk": stranger.jwk(), "jku": "https://evil.example"});
        stranger.token_with(header, &claims)
    })
    .await;
    assert!(reason.contains("signature is wrong"), "{reason}");
}

#[tokio::test]
async fn a_key_for_encryption_or_for_another_signature_does_not_sign() {
    for (name, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["encrypt"])),
        ("alg", json!("RS256")),
        ("alg", json!("HS256")),
    ] {
        let provider = Provider::start().await;
        provider.state().shown[0][name] = value;
        let reason = refusal(log_in(&open(&provider.settings()), &provider).await);
        assert!(reason.contains("no such key"), "{name}: {reason}");
    }
}

#[tokio::test]
async fn an_id_token_for_another_audience_is_refused() {
    for audience in [
        json!("another"),
        json!(["another"]),
        json!([]),
        Value::Null,
        json!({"archstone": true}),
        json!("archstone "),
    ] {
        let reason = log_in_with_claim("aud", audience).await;
        assert!(reason.contains("another audience"), "{reason}");
    }
}

#[tokio::test]
async fn an_id_token_for_several_audiences_must_be_issued_to_us() {
    let reason = log_in_with_claim("aud", json!(["another", "archstone"])).await;
    assert!(reason.contains("authorized party"), "{reason}");
    for party in [json!("another"), json!(["archstone"])] {
        let reason = log_in_with_claim("azp", party).await;
        assert!(reason.contains("another client"), "{reason}");
    }
    let provider = Provider::start().await;
    provider.state().id_token = Box::new(|key, mut claims| {
        claims["aud"] = json!(["another", "archstone"]);
        claims["azp"] = json!("archstone");
        key.token(&claims)
    });
    log_in(&open(&provider.settings()), &provider)
        .await
        .expect("a login");
}

#[tokio::test]
async fn an_id_token_of_another_issuer_is_refused() {
    for issuer in [json!("https://else.example"), Value::Null, json!(7)] {
        let reason = log_in_with_claim("iss", issuer).await;
        assert!(reason.contains("another issuer"), "{reason}");
    }
    let provider = Provider::start().await;
    let almost = format!("{}/", provider.issuer);
    provider.state().id_token = Box::new(move |key, mut claims| {
        claims["iss"] = json!(almost);
        key.token(&claims)
    });
    let reason = refusal(log_in(&open(&provider.settings()), &provider).await);
    assert!(reason.contains("another issuer"), "{reason}");
}

#[tokio::test]
async fn an_expired_id_token_is_refused() {
    // The callback comes at 30 s, and clocks may be off by 60.
    let reason = log_in_with_claim("exp", json!(super::NOW - 30)).await;
    assert!(reason.contains("expired"), "{reason}");
    let reason = log_in_with_claim("exp", Value::Null).await;
    assert!(reason.contains("when it expires"), "{reason}");
    let reason = log_in_with_claim("exp", json!("tomorrow")).await;
    assert!(reason.contains("no time"), "{reason}");
    let provider = Provider::start().await;
    provider.state().id_token = Box::new(|key, mut claims| {
        claims["exp"] = json!(super::NOW - 29);
        key.token(&claims)
    });
    log_in(&open(&provider.settings()), &provider)
        .await
        .expect("just in time");
}

#[tokio::test]
async fn an_id_token_from_the_future_is_refused() {
    for name in ["iat", "nbf"] {
        let reason = log_in_with_claim(name, json!(super::NOW + 91)).await;
        assert!(reason.contains("from the future"), "{reason}");
    }
    let reason = log_in_with_claim("iat", Value::Null).await;
    assert!(reason.contains("when it was issued"), "{reason}");
}

#[tokio::test]
async fn an_access_token_that_is_not_the_id_tokens_is_refused() {
    for hash in [json!(encode([0; 16])), json!(7), json!("")] {
        let reason = log_in_with_claim("at_hash", hash).await;
        assert!(reason.contains("access token"), "{reason}");
    }
}

#[tokio::test]
async fn an_id_token_without_a_user_is_refused() {
    for subject in [Value::Null, json!(""), json!(7)] {
        let reason = log_in_with_claim("sub", subject).await;
        assert!(reason.contains("of whom"), "{reason}");
    }
}

#[tokio::test]
async fn a_token_of_another_kind_is_no_id_token() {
    for kind in ["logout+jwt", "at+jwt", "application/secevent+jwt"] {
        let reason = log_in_with(move |key, claims| {
            let header = json!({"alg": "ES256", "kid": key.id, "typ": kind});
            key.token_with(header, &claims)
        })
        .await;
        assert!(reason.contains("another kind"), "{reason}");
    }
    let reason = log_in_with(|key, claims| {
        let header = json!({"alg": "ES256", "kid": key.id, "crit": ["b64"], "b64": false});
        key.token_with(header, &claims)
    })
    .await;
    assert!(reason.contains("extension"), "{reason}");
}

#[tokio::test]
async fn text_that_is_no_token_is_refused() {
    for text in [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c",
        "e30.e30.e30",
        "e30.e30.e30.e30.e30",
    ] {
        let reason = log_in_with(move |_, _| text.to_owned()).await;
        assert!(reason.contains("malformed"), "{text}: {reason}");
    }
    let reason = log_in_with(|key, mut claims| {
        claims["much"] = json!("x".repeat(64 * 1024));
        key.token(&claims)
    })
    .await;
    assert!(reason.contains("too long"), "{reason}");
}

#[tokio::test]
async fn changed_claims_break_the_signature() {
    let reason = log_in_with(|key, claims| {
        let good = key.token(&claims);
        let mut parts: Vec<_> = good.split('.').map(str::to_owned).collect();
        let mut changed = claims.clone();
        changed["sub"] = json!("root");
        parts[1] = encode(changed.to_string());
        parts.join(".")
    })
    .await;
    assert!(reason.contains("signature is wrong"), "{reason}");
}

#[tokio::test]
async fn the_userinfo_of_another_user_is_refused() {
    let provider = Provider::start().await;
    let mut settings = provider.settings();
    settings["userinfo"] = json!(true);
    provider.state().userinfo["sub"] = json!("root");
    let reason = refusal(log_in(&open(&settings), &provider).await);
    assert!(reason.contains("another user"), "{reason}");
}

#[tokio::test]
async fn userinfo_that_another_signed_or_that_is_for_another_is_refused() {
    let provider = Provider::start().await;
    let mut settings = provider.settings();
    settings["userinfo"] = json!(true);
    let driver = open(&settings);
    let signer = Arc::clone(&provider.state().signer);
    let unchanged = provider.state().userinfo.clone();
    for (signer, name, value, part) in [
        (
            Arc::new(Key::ec("first")),
            "sub",
            "jane",
            "signature is wrong",
        ),
        (
            Arc::clone(&signer),
            "aud",
            "another",
            "for another audience",
        ),
        (signer, "iss", "https://evil.example", "another issuer"),
    ] {
        let mut userinfo = unchanged.clone();
        userinfo[name] = json!(value);
        provider.state().userinfo = userinfo;
        provider.state().signs_userinfo = Some(signer);
        let reason = outage(log_in(&driver, &provider).await);
        assert!(reason.contains(part), "{reason}");
    }
}

#[tokio::test]
async fn a_user_who_is_turned_away_is_denied_in_the_providers_words() {
    let provider = Provider::start().await;
    let driver = open(&provider.settings());
    let mut denied = log_in_halfway(&driver, &provider, 1).await;
    denied.parameters[0] = ("error".into(), "access_denied".into());
    let said = ("error_description".into(), "not\r\ntoday".into());
    denied.parameters.push(said);
    let failure = driver.complete(&denied).await.expect_err("denied");
    assert_eq!(failure, Failure::Denied("access_denied: nottoday".into()));
    // Nobody else can say so in the provider's name.
    denied.parameters[1].1 = "guessed".into();
    refusal(driver.complete(&denied).await);
    assert_eq!(provider.asked("/token"), 0);
}

#[tokio::test]
async fn nothing_that_began_as_a_login_is_a_bearers_proof_unless_that_is_set() {
    let provider = Provider::start().await;
    let driver = open(&provider.settings());
    let failure = bear(&driver, &provider.token(&provider.claims())).await;
    assert!(
        matches!(failure, Err(Failure::NotSupported(_))),
        "{failure:?}"
    );
}
