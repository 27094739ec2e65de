//! Settings, and what a check says of a provider.

use std::collections::HashMap;

use federation::Driver as _;
use federation::oidc::{Oidc, SECRETS, SETTINGS};
use federation::outbound::Limits;
use serde_json::{Value, json};

use super::keys::Key;
use super::provider::{Instead, Provider};
use super::{limits, now, open};

fn good() -> Value {
    json!({"issuer": "https://provider.example", "client_id": "a", "client_secret": "b"})
}

/// The name of the setting that is wrong, and why.
fn wrong(settings: &Value, limits: Limits) -> (String, String) {
    match Oidc::open(settings, limits) {
        Ok(_) => panic!("these settings are wrong: {settings}"),
        Err(wrong) => (wrong.name, wrong.reason),
    }
}

#[test]
fn a_wrong_setting_is_named() {
    let (pem, rsa) = (Key::ec("a").pem(), Key::rsa("b").pem());
    for (changes, name) in [
        (json!({"isuer": "https://provider.example"}), "isuer"),
        (json!({"issuer": null}), "issuer"),
        (json!({"issuer": "provider.example"}), "issuer"),
        (json!({"issuer": "http://provider.example"}), "issuer"),
        (json!({"issuer": "https://provider.example?a"}), "issuer"),
        (json!({"issuer": "https://u:p@provider.example"}), "issuer"),
        (json!({"client_id": ""}), "client_id"),
        (json!({"client_id": 7}), "client_id"),
        (json!({"client_secret": null}), "client_secret"),
        (json!({"client_secret": ""}), "client_secret"),
        (
            json!({"token_endpoint_auth_method": "client_secret_jwt"}),
            "token_endpoint_auth_method",
        ),
        (
            json!({"token_endpoint_auth_method": "private_key_jwt"}),
            "private_key",
        ),
        (
            json!({"token_endpoint_auth_method": "private_key_jwt", "private_key": "key"}),
            "private_key",
        ),
        (
            json!({
                "token_endpoint_auth_method": "private_key_jwt",
                "private_key": pem,
                "signing_algorithm": "RS256",
            }),
            "private_key",
        ),
        (
            json!({
                "token_endpoint_auth_method": "private_key_jwt",
                "private_key": rsa,
                "signing_algorithm": "HS256",
            }),
            "signing_algorithm",
        ),
        (
            json!({"token_endpoint_auth_method": "tls_client_auth"}),
            "tls_certificate",
        ),
        (json!({"tls_certificate": "a"}), "tls_key"),
        (json!({"tls_key": pem}), "tls_certificate"),
        (
            json!({"tls_certificate": "a", "tls_key": pem}),
            "tls_certificate",
        ),
        (json!({"tls_certificate": "a", "tls_key": "b"}), "tls_key"),
        (json!({"ca_certificates": "none"}), "ca_certificates"),
        (json!({"scopes": ["email"]}), "scopes"),
        (json!({"scopes": ["openid email"]}), "scopes"),
        (json!({"scopes": "openid"}), "scopes"),
        (
            json!({"authorization_parameters": {"state": "x"}}),
            "authorization_parameters",
        ),
        (
            json!({"authorization_parameters": {"request": "x"}}),
            "authorization_parameters",
        ),
        (
            json!({"authorization_parameters": {"max_age": "x"}}),
            "authorization_parameters",
        ),
        (json!({"bearer": "yes"}), "bearer"),
        (json!({"bearer_audiences": "a"}), "bearer_audiences"),
        (json!({"bearer_clients": ["a"]}), "bearer_clients"),
        (
            json!({"bearer": "userinfo", "bearer_clients": ["a"]}),
            "bearer_clients",
        ),
        (json!({"response_mode": "fragment"}), "response_mode"),
        (
            json!({"authorization_parameters": {"claims": "acr"}}),
            "authorization_parameters",
        ),
        (
            json!({"authorization_parameters": {"max_age": 600}}),
            "authorization_parameters",
        ),
        (
            json!({"authorization_endpoint": "https://provider.example/a?acr_values=x"}),
            "authorization_endpoint",
        ),
        (json!({"userinfo": "yes"}), "userinfo"),
        (json!({"claim_prefix": ""}), "claim_prefix"),
        (json!({"claim_prefix": "a b"}), "claim_prefix"),
        (
            json!({"id_token_signing_algorithms": ["none"]}),
            "id_token_signing_algorithms",
        ),
        (
            json!({"id_token_signing_algorithms": ["HS256"]}),
            "id_token_signing_algorithms",
        ),
        (
            json!({"id_token_signing_algorithms": []}),
            "id_token_signing_algorithms",
        ),
        (json!({"clock_skew": 601}), "clock_skew"),
        (json!({"clock_skew": -1}), "clock_skew"),
        (
            json!({"token_endpoint": "http://provider.example"}),
            "token_endpoint",
        ),
        (json!({"jwks_uri": "keys"}), "jwks_uri"),
    ] {
        let mut settings = good();
        for (name, value) in changes.as_object().expect("an object") {
            settings[name] = value.clone();
        }
        let (named, reason) = wrong(&settings, limits());
        assert_eq!(named, name, "{reason}");
        assert!(reason.ends_with('.'), "{reason}");
        assert!(!reason.contains("PRIVATE KEY"), "{reason}");
    }
    assert!(Oidc::open(&good(), limits()).is_ok());
}

#[test]
fn a_provider_without_tls_must_be_on_this_machine_and_allowed() {
    let mut settings = good();
    for issuer in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"] {
        settings["issuer"] = json!(issuer);
        assert!(Oidc::open(&settings, limits()).is_ok(), "{issuer}");
        assert_eq!(wrong(&settings, Limits::default()).0, "issuer");
    }
    for issuer in ["http://10.0.0.1", "http://localhost.example"] {
        settings["issuer"] = json!(issuer);
        assert_eq!(wrong(&settings, limits()).0, "issuer", "{issuer}");
    }
}

#[test]
fn every_secret_is_a_setting() {
    assert!(SECRETS.iter().all(|secret| SETTINGS.contains(secret)));
}

/// What a check found, by step.
async fn check(settings: &Value) -> HashMap<&'static str, (bool, String)> {
    let findings = open(settings).check(super::CALLBACK_URL, now()).await;
    for finding in &findings {
        assert!(finding.detail.ends_with('.'), "{}", finding.detail);
    }
    let pairs = findings.into_iter();
    pairs
        .map(|finding| (finding.step, (finding.works, finding.detail)))
        .collect()
}

#[tokio::test]
async fn a_check_says_that_everything_works() {
    let provider = Provider::start().await;
    provider.state().metadata = json!({
        "backchannel_logout_supported": true,
        "scopes_supported": ["openid", "email", "profile"],
        "id_token_signing_alg_values_supported": ["RS256", "HS256"],
    });
    let mut settings = provider.settings();
    settings["userinfo"] = json!(true);
    settings["bearer"] = json!("introspection");
    let found = check(&settings).await;
    for step in [
        "discovery",
        "flow",
        "keys",
        "pkce",
        "client authentication",
        "scopes",
        "signatures",
        "userinfo",
        "introspection",
        "back-channel logout",
    ] {
        assert!(found[step].0, "{step}: {}", found[step].1);
    }
}

#[tokio::test]
async fn a_check_says_what_does_not_work() {
    let provider = Provider::start().await;
    provider.state().shown = vec![json!({"kty": "oct", "k": "c2VjcmV0"})];
    provider.state().metadata = json!({
        "backchannel_logout_supported": false,
        "response_types_supported": ["id_token"],
        "scopes_supported": ["openid"],
        "id_token_signing_alg_values_supported": ["HS256"],
        "code_challenge_methods_supported": ["plain"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "userinfo_endpoint": null,
        "introspection_endpoint": null,
    });
    let mut settings = provider.settings();
    settings["userinfo"] = json!(true);
    settings["bearer"] = json!("introspection");
    let found = check(&settings).await;
    for (step, part) in [
        ("flow", "authorization code"),
        ("keys", "no key"),
        ("pkce", "S256"),
        ("client authentication", "private_key_jwt"),
        ("scopes", "email, profile"),
        ("signatures", "HS256"),
        ("userinfo", "no userinfo endpoint"),
        ("introspection", "no introspection endpoint"),
        ("back-channel logout", "live on"),
    ] {
        let (works, detail) = &found[step];
        assert!(!works, "{step}");
        assert!(detail.contains(part), "{step}: {detail}");
    }
    assert!(found["discovery"].0);
}

#[tokio::test]
async fn a_check_of_a_provider_that_does_not_answer_says_so_and_no_more() {
    let provider = Provider::start().await;
    let path = "/.well-known/openid-configuration";
    let down = Instead::Status(503, json!({}));
    provider.state().instead.insert(path.into(), down);
    let found = check(&provider.settings()).await;
    assert_eq!(found.len(), 1);
    let (works, detail) = &found["discovery"];
    assert!(!works && detail.contains("503"), "{detail}");
}
