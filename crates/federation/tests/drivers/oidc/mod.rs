//! OpenID Connect.

mod attacks;
mod authentication;
mod bearers;
mod floods;
mod keys;
mod logins;
mod logouts;
mod outages;
mod provider;
mod pushed;
mod settings;

use std::time::Duration;

use chrono::TimeDelta;
use federation::oidc::Oidc;
use federation::outbound::Limits;
use federation::{
    AuthorizationRequest, Callback, Driver as _, Failure, FlowSecret, Login, Redirect, Verified,
};
use model::{Secret, Timestamp};
use serde_json::Value;

use provider::Provider;

/// The time of all tests.
const NOW: i64 = 1_800_000_000;
const CALLBACK_URL: &str = "https://keystone.example/v3/callback";

fn now() -> Timestamp {
    later(0)
}

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(NOW + seconds, 0).expect("a time")
}

fn limits() -> Limits {
    Limits {
        timeout: Duration::from_secs(5),
        private_addresses: true,
        ..Limits::default()
    }
}

fn open(settings: &Value) -> Oidc {
    Oidc::open(settings, limits()).expect("good settings")
}

fn login(secret: u8) -> Login {
    Login {
        secret: FlowSecret::new([secret; 32]),
        callback_url: CALLBACK_URL.into(),
        now: now(),
    }
}

/// What the browser brings back of a login.
fn callback(
    login: &Login,
    begun: &AuthorizationRequest,
    parameters: Vec<(String, String)>,
) -> Callback {
    Callback {
        parameters,
        secret: Some(login.secret.clone()),
        kept: begun.kept.clone(),
        began: login.now,
        callback_url: login.callback_url.clone(),
        now: login.now + TimeDelta::seconds(30),
    }
}

fn url(begun: &AuthorizationRequest) -> &str {
    match &begun.redirect {
        Redirect::Url(url) => url,
        Redirect::Form { .. } => panic!("OpenID Connect redirects"),
    }
}

/// Begins a login, and logs in at the provider.
async fn log_in_halfway(driver: &Oidc, provider: &Provider, secret: u8) -> Callback {
    let login = login(secret);
    let begun = driver.begin(&login).await.expect("a login begins");
    callback(&login, &begun, provider.log_in(url(&begun)))
}

/// A whole login.
async fn log_in(driver: &Oidc, provider: &Provider) -> Result<Verified, Failure> {
    let callback = log_in_halfway(driver, provider, 1).await;
    driver.complete(&callback).await
}

async fn bear(driver: &Oidc, token: &str) -> Result<Verified, Failure> {
    driver.bearer(&Secret::new(token.to_owned()), now()).await
}

/// The reason of a refusal.
#[track_caller]
fn refusal<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> String {
    match outcome {
        Err(Failure::Refused(reason)) => reason,
        other => panic!("it was to be refused: {other:?}"),
    }
}

/// Why a provider cannot be used.
#[track_caller]
fn outage<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> String {
    match outcome {
        Err(Failure::Unavailable(reason)) => reason,
        other => panic!("the provider was to be of no use: {other:?}"),
    }
}
