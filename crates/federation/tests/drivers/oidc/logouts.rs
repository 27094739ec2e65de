//! Messages that a session has ended.

use federation::{Driver as _, Failure, ProviderSessionEnd, ReplayId};
use model::Secret;
use serde_json::{Value, json};

use super::provider::{CLIENT, Provider};
use super::{later, now, open, refusal};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn claims(provider: &Provider) -> Value {
    json!({
        "iss": provider.issuer,
        "aud": CLIENT,
        "iat": super::NOW - 10,
        "exp": super::NOW + 110,
        "jti": "message-1",
        "sub": "jane",
        "sid": "session-1",
        "events": {EVENT: {}},
    })
}

async fn end(
    provider: &Provider,
    typ: &str,
    claims: &Value,
) -> Result<ProviderSessionEnd, Failure> {
    let header = json!({"alg": "ES256", "kid": "first", "typ": typ});
    let token = provider.state().signer.token_with(header, claims);
    let driver = open(&provider.settings());
    driver.logout(&Secret::new(token), now()).await
}

#[tokio::test]
async fn a_logout_token_names_what_has_ended() {
    let provider = Provider::start().await;
    let good = claims(&provider);
    let replay_id = ReplayId {
        id: "logout:message-1".into(),
        until: later(-10 + 300 + 60),
    };
    let whole = ProviderSessionEnd {
        subject: Some("jane".into()),
        id: Some("session-1".into()),
        replay_id: replay_id.clone(),
    };
    for typ in ["logout+jwt", "JWT"] {
        assert_eq!(end(&provider, typ, &good).await, Ok(whole.clone()));
    }
    let mut session = good.clone();
    session["sub"] = Value::Null;
    let ended = end(&provider, "logout+jwt", &session)
        .await
        .expect("an end");
    assert_eq!((ended.subject, ended.id), (None, Some("session-1".into())));
    let mut user = good;
    user["sid"] = Value::Null;
    let ended = end(&provider, "logout+jwt", &user).await.expect("an end");
    assert_eq!((ended.subject, ended.id), (Some("jane".into()), None));
}

#[tokio::test]
async fn a_logout_token_that_is_not_as_the_document_wants_is_refused() {
    let provider = Provider::start().await;
    for (name, value, part) in [
        ("events", Value::Null, "no logout token"),
        ("events", json!({"another": {}}), "no logout token"),
        ("events", json!({EVENT: true}), "no logout token"),
        ("nonce", json!("n"), "no nonce"),
        ("jti", Value::Null, "name of its own"),
        ("iat", Value::Null, "when it was issued"),
        ("iat", json!(super::NOW - 360), "too old"),
        ("iat", json!(super::NOW + 61), "future"),
        ("exp", json!(super::NOW - 60), "expired"),
        ("aud", json!("another"), "another audience"),
        ("iss", json!("https://else.example"), "another issuer"),
    ] {
        let mut bad = claims(&provider);
        bad[name] = value;
        let reason = refusal(end(&provider, "logout+jwt", &bad).await);
        assert!(reason.contains(part), "{name}: {reason}");
    }
    let mut nobody = claims(&provider);
    nobody["sub"] = Value::Null;
    nobody["sid"] = Value::Null;
    let reason = refusal(end(&provider, "logout+jwt", &nobody).await);
    assert!(reason.contains("neither"), "{reason}");
}

#[tokio::test]
async fn an_id_token_or_access_token_ends_no_session() {
    let provider = Provider::start().await;
    let mut id_token = provider.claims();
    id_token["nonce"] = json!("n");
    let reason = refusal(end(&provider, "JWT", &id_token).await);
    assert!(reason.contains("no logout token"), "{reason}");
    let reason = refusal(end(&provider, "at+jwt", &claims(&provider)).await);
    assert!(reason.contains("another kind"), "{reason}");
}

#[tokio::test]
async fn a_logout_token_without_a_good_signature_ends_no_session() {
    let provider = Provider::start().await;
    let driver = open(&provider.settings());
    let forged = super::keys::Key::ec("first").token(&claims(&provider));
    let reason = refusal(driver.logout(&Secret::new(forged), now()).await);
    assert!(reason.contains("signature is wrong"), "{reason}");
}
