//! Logins that succeed.

use std::sync::Arc;

use federation::{Driver as _, ProviderSession, ReplayId};
use model::Secret;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use tokio_rustls::TlsAcceptor;

use super::keys::Key;
use super::provider::{Client, Provider};
use super::{later, log_in, log_in_halfway, login, open, outage, refusal, url};

#[tokio::test]
async fn claims_arrive_under_the_names_that_the_apache_module_gives_them() {
    let provider = Provider::start().await;
    let driver = open(&provider.settings());
    let callback = log_in_halfway(&driver, &provider, 1).await;
    let verified = driver.complete(&callback).await.expect("a login");

    let said = &verified.assertion;
    for (name, values) in [
        ("OIDC-sub", vec!["jane"]),
        ("HTTP_OIDC_SUB", vec!["jane"]),
        ("OIDC-iss", vec![provider.issuer.as_str()]),
        ("HTTP_OIDC_ISS", vec![provider.issuer.as_str()]),
        ("OIDC-preferred_username", vec!["Jane"]),
        ("HTTP_OIDC_PREFERRED_USERNAME", vec!["Jane"]),
        ("OIDC-groups", vec!["staff", "cloud;admins"]),
        ("HTTP_OIDC_EMAIL_VERIFIED", vec!["1"]),
        ("OIDC-nonce", vec![]),
        ("REMOTE_USER", vec![&*format!("jane@{}", provider.issuer)]),
    ] {
        assert_eq!(said.values(name), values, "{name}");
    }
    let state = callback.parameter("state").expect("a state");
    let once = ReplayId {
        id: format!("state:{state}"),
        until: later(900),
    };
    assert_eq!(verified.replay_id, Some(once));
    let session = ProviderSession {
        subject: "jane".into(),
        id: Some("session-1".into()),
    };
    assert_eq!(verified.session, Some(session));
}

#[tokio::test]
async fn the_prefix_of_claims_can_be_set_and_the_issuer_keeps_its_name() {
    let provider = Provider::start().await;
    let mut settings = provider.settings();
    settings["claim_prefix"] = json!("OIDC_CLAIM_");
    let verified = log_in(&open(&settings), &provider).await.expect("a login");
    let said = &verified.assertion;
    assert_eq!(said.values("OIDC_CLAIM_sub"), ["jane"]);
    assert_eq!(said.values("HTTP_OIDC_CLAIM_SUB"), ["jane"]);
    assert_eq!(said.values("HTTP_OIDC_ISS"), [provider.issuer.as_str()]);
    assert!(said.values("OIDC-sub").is_empty());
}

#[tokio::test]
async fn a_claim_cannot_stand_for_the_issuer_by_its_capitals() {
    let provider = Provider::start().await;
    provider.state().id_token = Box::new(|key, mut claims| {
        claims["ISS"] = json!("https://else.example");
        claims["SUB"] = json!("root");
        key.token(&claims)
    });
    let verified = log_in(&open(&provider.settings()), &provider).await;
    let said = verified.expect("a login").assertion;
    assert_eq!(said.values("HTTP_OIDC_ISS"), [provider.issuer.as_str()]);
    assert_eq!(said.values("HTTP_OIDC_SUB"), ["jane"]);
}

#[tokio::test]
async fn claims_that_share_a_name_do_not_speak_for_each_other() {
    let provider = Provider::start().await;
    provider.state().id_token = Box::new(|key, mut claims| {
        claims["a b"] = json!("one");
        claims["a-b"] = json!("other");
        key.token(&claims)
    });
    provider.state().userinfo = json!({"sub": "jane", "preferred.username": "root", "mail": "j"});
    let mut settings = provider.settings();
    settings["userinfo"] = json!(true);
    let said = log_in(&open(&settings), &provider).await;
    let said = said.expect("a login").assertion;
    assert_eq!(said.values("OIDC-preferred_username"), ["Jane"]);
    assert_eq!(said.values("OIDC-preferred.username"), ["root"]);
    assert_eq!(said.values("HTTP_OIDC_MAIL"), ["j"]);
    for shared in ["HTTP_OIDC_PREFERRED_USERNAME", "OIDC-a-b", "HTTP_OIDC_A_B"] {
        assert!(said.values(shared).is_empty(), "{shared}");
    }
}

#[tokio::test]
async fn scopes_and_more_parameters_are_sent_as_they_are_set() {
    let provider = Provider::start().await;
    let mut settings = provider.settings();
    settings["scopes"] = json!(["openid", "groups"]);
    settings["authorization_parameters"] = json!({"prompt": "login", "hd": "a&b"});
    provider.state().metadata = json!({
        "authorization_endpoint": format!("{}/authorize?tenant=7", provider.issuer),
    });
    let begun = open(&settings).begin(&login(1)).await.expect("a login");
    let url = reqwest::Url::parse(url(&begun)).expect("a URL");
    let query: Vec<_> = url.query_pairs().into_owned().collect();
    for (name, value) in [
        ("tenant", "7"),
        ("prompt", "login"),
        ("hd", "a&b"),
        ("scope", "openid groups"),
        ("redirect_uri", super::CALLBACK_URL),
    ] {
        let pair = (name.to_owned(), value.to_owned());
        assert!(query.contains(&pair), "{name}: {query:?}");
    }
}

#[tokio::test]
async fn a_client_proves_who_it_is_by_its_secret_in_the_header_or_in_the_form() {
    let provider = Provider::start().await;
    log_in(&open(&provider.settings()), &provider)
        .await
        .expect("basic");

    provider.state().client = Client::Post;
    let mut settings = provider.settings();
    let outcome = log_in(&open(&settings), &provider).await;
    assert!(outage(outcome).contains("invalid_client"));
    settings["token_endpoint_auth_method"] = json!("client_secret_post");
    log_in(&open(&settings), &provider).await.expect("post");
}

#[tokio::test]
async fn a_client_proves_who_it_is_by_a_private_key_of_any_kind() {
    let provider = Provider::start().await;
    for key in [Key::rsa("ours"), Key::ec("ours"), Key::ed("ours")] {
        let mut settings = provider.settings();
        settings["token_endpoint_auth_method"] = json!("private_key_jwt");
        settings["private_key"] = json!(key.pem());
        settings["key_id"] = json!("ours");
        settings["signing_algorithm"] = json!(key.algorithm());
        let driver = open(&settings);
        provider.state().client = Client::Jwt(Arc::new(key));
        log_in(&driver, &provider).await.expect("a login");
        // Another key than ours does not do.
        provider.state().client = Client::Jwt(Arc::new(Key::ec("theirs")));
        assert!(outage(log_in(&driver, &provider).await).contains("invalid_client"));
    }
}

#[tokio::test]
async fn a_public_client_gives_its_name_only() {
    let provider = Provider::start().await;
    provider.state().client = Client::Name;
    let mut settings = provider.settings();
    settings["token_endpoint_auth_method"] = json!("none");
    log_in(&open(&settings), &provider).await.expect("a login");
}

#[tokio::test]
async fn a_client_proves_who_it_is_by_its_certificate() {
    let authority_key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([]).expect("names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).expect("a certificate");
    let issuer = Issuer::new(params, authority_key);
    let issue = |name: &str| {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("names");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        (certificate, key)
    };
    let (server, server_key) = issue("localhost");
    let (client, client_key) = issue("archstone.example");

    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).expect("an authority");
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&crypto))
        .build()
        .expect("a verifier");
    let key = PrivateKeyDer::try_from(server_key.serialize_der()).expect("a key");
    let tls = ServerConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![server.der().clone()], key)
        .expect("a configuration");
    let provider = Provider::start_with(Some(TlsAcceptor::from(Arc::new(tls)))).await;
    provider.state().client = Client::Name;

    let mut settings = provider.settings();
    settings["ca_certificates"] = json!(authority.pem());
    settings["token_endpoint_auth_method"] = json!("tls_client_auth");
    settings["tls_certificate"] = json!(client.pem());
    settings["tls_key"] = json!(client_key.serialize_pem());
    log_in(&open(&settings), &provider).await.expect("a login");

    // Endpoints for clients with certificates come first (RFC 8705 §5).
    provider.state().metadata = json!({
        "token_endpoint": "https://localhost:1/token",
        "mtls_endpoint_aliases": {"token_endpoint": format!("{}/token", provider.issuer)},
    });
    log_in(&open(&settings), &provider).await.expect("a login");

    // Without the certificate there is not even a connection.
    settings["token_endpoint_auth_method"] = json!("none");
    settings["tls_certificate"] = json!(null);
    settings["tls_key"] = json!(null);
    let outcome = open(&settings).begin(&login(1)).await;
    outage(outcome);
}

#[tokio::test]
async fn every_kind_of_key_signs_id_tokens() {
    for key in [Key::rsa("new"), Key::ec("new"), Key::ed("new")] {
        let provider = Provider::start().await;
        provider.state().shown = vec![json!({"kty": "?"}), Key::ec("old").jwk(), key.jwk()];
        provider.state().signer = Arc::new(key);
        log_in(&open(&provider.settings()), &provider)
            .await
            .expect("a login");
    }
}

#[tokio::test]
async fn a_new_key_is_followed_without_a_restart() {
    let provider = Provider::start().await;
    let driver = open(&provider.settings());
    log_in(&driver, &provider).await.expect("a login");

    // One of another name, one of the same name, and one without.
    for (step, id) in [(1, "next"), (2, "next"), (3, "")] {
        let key = Key::ec(id);
        let mut jwk = key.jwk();
        let mut header = json!({"alg": "ES256", "kid": id});
        if id.is_empty() {
            jwk["kid"] = json!(null);
            header["kid"] = json!(null);
        }
        provider.state().shown = vec![jwk];
        provider.state().id_token =
            Box::new(move |_, claims| key.token_with(header.clone(), &claims));
        let mut callback = log_in_halfway(&driver, &provider, step).await;
        callback.now = later(60 * i64::from(step));
        driver
            .complete(&callback)
            .await
            .expect("a login by the new key");
        assert_eq!(provider.asked("/jwks"), 1 + usize::from(step));
    }
}

#[tokio::test]
async fn a_key_that_is_gone_counts_for_an_hour_at_most() {
    let provider = Provider::start().await;
    let mut settings = provider.settings();
    settings["bearer"] = json!("jwt");
    let driver = open(&settings);
    let mut claims = provider.claims();
    claims["exp"] = json!(super::NOW + 10_000);
    let token = Secret::new(provider.token(&claims));
    driver.bearer(&token, later(0)).await.expect("a good token");
    provider.state().shown = vec![Key::ec("next").jwk()];
    driver
        .bearer(&token, later(3599))
        .await
        .expect("still known");
    let reason = refusal(driver.bearer(&token, later(3600)).await);
    assert!(reason.contains("no such key"), "{reason}");
}

#[tokio::test]
async fn forged_tokens_do_not_make_us_hammer_the_provider() {
    let provider = Provider::start().await;
    let mut settings = provider.settings();
    settings["bearer"] = json!("jwt");
    let driver = open(&settings);
    let claims = provider.claims();
    for number in 0..20 {
        let token = Key::ec(&format!("forged-{number}")).token(&claims);
        refusal(super::bear(&driver, &token).await);
    }
    assert_eq!(provider.asked("/jwks"), 1);
    assert_eq!(provider.asked("/.well-known/openid-configuration"), 1);
}

#[tokio::test]
async fn the_metadata_are_asked_for_again_after_an_hour() {
    let provider = Provider::start().await;
    let driver = open(&provider.settings());
    let mut login = login(1);
    for (seconds, asked) in [(0, 1), (3599, 1), (3600, 2)] {
        login.now = later(seconds);
        driver.begin(&login).await.expect("a login");
        let path = "/.well-known/openid-configuration";
        assert_eq!(provider.asked(path), asked, "after {seconds} s");
    }
}

#[tokio::test]
async fn a_provider_without_metadata_is_used_by_the_endpoints_that_are_set() {
    let provider = Provider::start().await;
    let mut settings = provider.settings();
    for (name, path) in [
        ("authorization_endpoint", "/authorize"),
        ("token_endpoint", "/token"),
        ("jwks_uri", "/jwks"),
    ] {
        settings[name] = json!(format!("{}{path}", provider.issuer));
    }
    log_in(&open(&settings), &provider).await.expect("a login");
    assert_eq!(provider.asked("/.well-known/openid-configuration"), 0);
}

#[tokio::test]
async fn userinfo_adds_claims_and_does_not_replace_those_of_the_id_token() {
    let provider = Provider::start().await;
    let mut settings = provider.settings();
    settings["userinfo"] = json!(true);
    provider.state().userinfo =
        json!({"sub": "jane", "email": "jane@example.com", "preferred_username": "root"});
    let driver = open(&settings);
    for signed in [false, true] {
        let signer = Arc::clone(&provider.state().signer);
        provider.state().signs_userinfo = signed.then_some(signer);
        let said = log_in(&driver, &provider).await.expect("a login").assertion;
        assert_eq!(said.values("OIDC-email"), ["jane@example.com"]);
        assert_eq!(said.values("OIDC-preferred_username"), ["Jane"]);
    }
}

#[tokio::test]
async fn a_provider_may_name_itself_in_the_callback() {
    let provider = Provider::start().await;
    provider.state().names_issuer = true;
    log_in(&open(&provider.settings()), &provider)
        .await
        .expect("a login");
}

#[tokio::test]
async fn a_recent_login_is_asked_for_and_checked() {
    let provider = Provider::start().await;
    let mut settings = provider.settings();
    settings["authorization_parameters"] = json!({"max_age": "600"});
    let driver = open(&settings);
    let reason = refusal(log_in(&driver, &provider).await);
    assert!(reason.contains("when the user logged in"), "{reason}");
    for (ago, good) in [(600, true), (700, false)] {
        provider.state().id_token = Box::new(move |key, mut claims| {
            claims["auth_time"] = json!(super::NOW - ago);
            key.token(&claims)
        });
        assert_eq!(log_in(&driver, &provider).await.is_ok(), good, "{ago}");
    }
}
