//! OAuth 2.0 without OpenID Connect.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests panics where a test would"
)]

mod bearers;
mod checks;
mod logins;

use std::time::Duration;

use federation::outbound::Limits;
use federation::{
    Callback, Driver as _, Failure, FlowSecret, Login, OAuth2, Redirect, Verified, WrongSetting,
};
use model::{Secret, Timestamp};
use serde_json::{Value, json};

use crate::listener::{Answered, Asked, Listener, json as answer};

const CALLBACK: &str = "https://identity.example/v3/callback";
const ISSUER: &str = "https://issuer.example";

fn now() -> Timestamp {
    Timestamp::from_timestamp(1_800_000_000, 0).unwrap()
}

fn limits() -> Limits {
    Limits {
        timeout: Duration::from_millis(500),
        max_bytes: 4096,
        private_addresses: true,
        ..Limits::default()
    }
}

fn settings(url: &str, more: Value) -> Value {
    let mut settings = json!({
        "authorization_endpoint": format!("{url}/authorize?tenant=a b"),
        "token_endpoint": format!("{url}/token"),
        "introspection_endpoint": format!("{url}/introspect"),
        "userinfo_endpoint": format!("{url}/me"),
        "issuer": ISSUER,
        "client_id": "us:1",
        "client_secret": "our secret%",
        "scopes": ["profile", "groups"],
        "attributes": "userinfo",
        "subject": "id",
    });
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    settings
}

async fn provider() -> Listener {
    let listener = Listener::start().await;
    listener.answer(well_behaved);
    listener
}

fn open(listener: &Listener, more: Value) -> OAuth2 {
    OAuth2::open(&settings(&listener.url, more), limits()).unwrap()
}

/// Gives one token for the code `good`, and says whose it is.
fn well_behaved(asked: &Asked) -> Answered {
    let token = json!({"access_token": "t0ken", "token_type": "bearer", "expires_in": 60});
    match asked.path() {
        "/authorize" => answer(400, "{}"),
        "/token" if asked.field("code").as_deref() == Some("good") => answer(200, token),
        "/token" => answer(400, json!({"error": "invalid_grant"})),
        "/me" if asked.header("authorization") == "Bearer t0ken" => answer(200, user()),
        "/me" => answer(401, "{}"),
        "/introspect" if asked.field("token").as_deref() == Some("t0ken") => {
            answer(200, introspection())
        }
        "/introspect" => answer(200, json!({"active": false})),
        _ => answer(404, "{}"),
    }
}

fn user() -> Value {
    json!({"id": 4711, "login": "jane", "groups": ["staff", "wheel"], "iss": ISSUER})
}

fn introspection() -> Value {
    json!({
        "active": true, "id": "jane", "client_id": "us:1", "exp": 1_800_000_060,
        "nbf": 1_799_999_990, "token_type": "Bearer", "scope": "profile groups",
    })
}

/// Answers `path` in another way than [`well_behaved`] does.
fn except(listener: &Listener, path: &'static str, other: Answered) {
    listener.answer(move |asked| {
        if asked.path() == path {
            other.clone()
        } else {
            well_behaved(asked)
        }
    });
}

fn secret() -> FlowSecret {
    FlowSecret::new([7; 32])
}

fn callback(parameters: &[(&str, &str)]) -> Callback {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Callback {
        parameters: parameters.iter().map(owned).collect(),
        secret: Some(secret()),
        kept: String::new(),
        began: now(),
        callback_url: CALLBACK.into(),
        now: now(),
    }
}

async fn complete(driver: &OAuth2) -> Result<Verified, Failure> {
    let state = secret().derive("state");
    let good = callback(&[("state", &state), ("code", "good")]);
    driver.complete(&good).await
}

fn refused(result: Result<Verified, Failure>) -> String {
    match result {
        Err(Failure::Refused(why)) => why,
        other => panic!("this is not refused: {other:?}"),
    }
}

fn unavailable(result: Result<Verified, Failure>) -> String {
    match result {
        Err(Failure::Unavailable(why)) => why,
        other => panic!("this does not blame the provider: {other:?}"),
    }
}

/// The answer of introspection, changed.
fn token_that(more: Value) -> Answered {
    let mut token = introspection();
    for (name, value) in more.as_object().unwrap() {
        token[name] = value.clone();
    }
    answer(200, token)
}
