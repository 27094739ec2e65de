//! OAuth 1.0a.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests panics where a test would"
)]

use std::time::Duration;

use federation::oauth1::signature::{Keys, SignatureMethod, base_string};
use federation::outbound::Limits;
use federation::{
    AuthorizationRequest, Callback, Driver as _, Failure, FlowSecret, Login, OAuth1, Redirect,
    Verified,
};
use model::{Secret, Timestamp};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::listener::{Answered, Asked, Hidden, Listener, form, json as answer};

const CALLBACK: &str = "https://identity.example/v3/callback?x=1";

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

fn open(listener: &Listener, more: Value) -> OAuth1 {
    OAuth1::open(&settings(&listener.url, more), limits()).unwrap()
}

fn settings(url: &str, more: Value) -> Value {
    let mut settings = json!({
        "request_token_url": format!("{url}/initiate"),
        "authorization_url": format!("{url}/authorize?lang=en"),
        "access_token_url": format!("{url}/token"),
        "attributes_url": format!("{url}/me?fields=all of them&a=1"),
        "consumer_key": "us",
        "consumer_secret": "our secret&",
        "realm": "Photos",
        "issuer": "https://issuer.example",
        "subject": "id",
    });
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    settings
}

async fn provider() -> Listener {
    let listener = Listener::start().await;
    listener.answer(strict(&listener));
    listener
}

/// The parameters of an OAuth header.
fn oauth(asked: &Asked) -> Vec<(String, String)> {
    let header = asked
        .header("authorization")
        .strip_prefix("OAuth ")
        .unwrap();
    let pairs = header.split(", ").map(|pair| {
        let (name, value) = pair.split_once('=').unwrap();
        let value = percent_decode_str(value.trim_matches('"'));
        (name.to_owned(), value.decode_utf8().unwrap().into_owned())
    });
    pairs.collect()
}

fn one<'a>(parameters: &'a [(String, String)], name: &str) -> &'a str {
    let found = parameters.iter().find(|(known, _)| known == name);
    found.map_or("", |(_, value)| value)
}

/// A provider that verifies signatures.
fn strict(listener: &Listener) -> impl FnMut(&Asked) -> Answered + Send + use<> {
    let url = listener.url.clone();
    let mut nonces = Vec::new();
    move |asked| {
        if asked.path() == "/authorize" {
            return answer(200, "{}");
        }
        let said = oauth(asked);
        let (signature, signed): (Vec<_>, Vec<_>) = said
            .iter()
            .filter(|(name, _)| name != "realm")
            .cloned()
            .partition(|(name, _)| name == "oauth_signature");
        let (client, token) = (
            Secret::new("our secret&".to_owned()),
            Secret::new(match one(&said, "oauth_token") {
                "temporary" => "temporary secret".to_owned(),
                "access" => "access secret".to_owned(),
                _ => String::new(),
            }),
        );
        let keys = Keys {
            client: &client,
            token: &token,
        };
        let method = SignatureMethod::parse(one(&said, "oauth_signature_method")).unwrap();
        let url = format!("{url}{}", asked.target).parse().unwrap();
        let base = base_string(&asked.method, &url, &signed);
        let nonce = one(&said, "oauth_nonce").to_owned();
        let good = keys.verify(method, &base, one(&signature, "oauth_signature"))
            && one(&said, "oauth_consumer_key") == "us"
            && one(&said, "oauth_timestamp") == "1800000000"
            && !nonce.is_empty()
            && !nonces.contains(&nonce);
        nonces.push(nonce);
        match (asked.path(), one(&said, "oauth_token")) {
            _ if !good => answer(401, "{}"),
            ("/initiate", "") if one(&said, "oauth_callback").starts_with("https://") => form(
                200,
                "oauth_token=temporary&oauth_token_secret=temporary+secret\
                 &oauth_callback_confirmed=true",
            ),
            ("/token", "temporary") if one(&said, "oauth_verifier") == "verifier" => form(
                200,
                "oauth_token=access&oauth_token_secret=access%20secret&user_id=1",
            ),
            ("/me", "access") => answer(200, json!({"id": "jane", "groups": ["staff", "wheel"]})),
            _ => answer(401, "{}"),
        }
    }
}

/// Answers `path` in another way than [`strict`] does.
fn except(listener: &Listener, path: &'static str, other: Answered) {
    let mut strict = strict(listener);
    listener.answer(move |asked| {
        if asked.path() == path {
            other.clone()
        } else {
            strict(asked)
        }
    });
}

fn secret() -> FlowSecret {
    FlowSecret::new([7; 32])
}

async fn begin(driver: &OAuth1) -> Result<AuthorizationRequest, Failure> {
    let login = Login {
        secret: secret(),
        callback_url: CALLBACK.into(),
        now: now(),
    };
    driver.begin(&login).await
}

fn callback(kept: &str, parameters: &[(&str, &str)]) -> Callback {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let state = [("state".to_owned(), secret().derive("state"))];
    Callback {
        parameters: state
            .into_iter()
            .chain(parameters.iter().map(owned))
            .collect(),
        secret: Some(secret()),
        kept: kept.to_owned(),
        began: now(),
        callback_url: CALLBACK.into(),
        now: now(),
    }
}

/// A whole login.
async fn log_in(driver: &OAuth1) -> Result<Verified, Failure> {
    let kept = begin(driver).await?.kept;
    let back = [("oauth_token", "temporary"), ("oauth_verifier", "verifier")];
    driver.complete(&callback(&kept, &back)).await
}

fn refused(result: Result<Verified, Failure>) -> String {
    match result {
        Err(Failure::Refused(why)) => why,
        other => panic!("this is not refused: {other:?}"),
    }
}

fn unavailable<T: std::fmt::Debug>(result: Result<T, Failure>) -> String {
    match result {
        Err(Failure::Unavailable(why)) => why,
        other => panic!("this does not blame the provider: {other:?}"),
    }
}

#[tokio::test]
async fn a_login_yields_an_assertion() {
    let listener = provider().await;
    for method in ["HMAC-SHA1", "HMAC-SHA256"] {
        listener.answer(strict(&listener));
        let driver = open(&listener, json!({"signature_method": method}));
        let begun = begin(&driver).await.unwrap();
        let place = format!("{}/authorize?lang=en&oauth_token=temporary", listener.url);
        assert_eq!(begun.redirect, Redirect::Url(place));
        let back = [("oauth_verifier", "verifier"), ("oauth_token", "temporary")];
        let verified = driver.complete(&callback(&begun.kept, &back)).await;
        let verified = verified.unwrap();
        let said = &verified.assertion;
        assert_eq!(said.values("REMOTE_USER"), ["jane"]);
        assert_eq!(said.values("OAUTH1-groups"), ["staff", "wheel"]);
        assert_eq!(said.values("HTTP_OAUTH1_ISS"), ["https://issuer.example"]);
        assert_eq!(verified.replay_id.unwrap().id, "temporary");

        let asked = listener.asked();
        let methods: Vec<_> = asked.iter().map(|asked| asked.method.as_str()).collect();
        assert_eq!(methods, ["POST", "POST", "GET"]);
        let first = oauth(&asked[0]);
        assert_eq!(one(&first, "realm"), "Photos");
        let told = format!("{CALLBACK}&state={}", secret().derive("state"));
        assert_eq!(one(&first, "oauth_callback"), told);
        assert_eq!(one(&first, "oauth_signature_method"), method);
    }
}

#[tokio::test]
async fn a_wrong_secret_is_the_settings_fault() {
    let listener = provider().await;
    let driver = open(&listener, json!({"consumer_secret": "another"}));
    let why = unavailable(begin(&driver).await);
    assert!(why.contains("401"), "{why}");
}

#[tokio::test]
async fn temporary_credentials_that_are_odd_are_not_used() {
    let listener = provider().await;
    let driver = open(&listener, json!({}));
    let long = format!(
        "oauth_token={}&oauth_token_secret=b&oauth_callback_confirmed=true",
        "a".repeat(2000)
    );
    for odd in [
        form(200, "oauth_token=a&oauth_token_secret=b"),
        form(
            200,
            "oauth_token=a&oauth_token_secret=b&oauth_callback_confirmed=false",
        ),
        form(200, "oauth_token=a&oauth_callback_confirmed=true"),
        form(
            200,
            "oauth_token=&oauth_token_secret=b&oauth_callback_confirmed=true",
        ),
        form(
            200,
            "oauth_token=a&oauth_token=c&oauth_token_secret=b&oauth_callback_confirmed=true",
        ),
        form(200, &long),
        form(
            302,
            "oauth_token=a&oauth_token_secret=b&oauth_callback_confirmed=true",
        ),
        form(200, ""),
    ] {
        except(&listener, "/initiate", odd);
        unavailable(begin(&driver).await);
    }
}

#[tokio::test]
async fn a_login_that_this_browser_did_not_begin_is_refused() {
    let listener = provider().await;
    let driver = open(&listener, json!({}));
    let kept = begin(&driver).await.unwrap().kept;
    listener.asked();
    for parameters in [
        &[("oauth_token", "another"), ("oauth_verifier", "verifier")][..],
        &[("oauth_verifier", "verifier")],
        &[("oauth_token", "temporary")],
        &[("oauth_token", "temporary"), ("oauth_verifier", "")],
        &[
            ("oauth_token", "temporary"),
            ("oauth_token", "temporary"),
            ("oauth_verifier", "verifier"),
        ],
        &[
            ("oauth_token", "temporary"),
            ("oauth_verifier", "verifier"),
            ("oauth_verifier", "another"),
        ],
    ] {
        refused(driver.complete(&callback(&kept, parameters)).await);
    }
    let good = [("oauth_token", "temporary"), ("oauth_verifier", "verifier")];
    refused(driver.complete(&callback("", &good)).await);
    refused(
        driver
            .complete(&callback("oauth_token=temporary", &good))
            .await,
    );
    let mut another = callback(&kept, &good);
    another.parameters[0].1 = FlowSecret::new([8; 32]).derive("state");
    refused(driver.complete(&another).await);
    another.parameters.remove(0);
    refused(driver.complete(&another).await);
    let mut unsolicited = callback(&kept, &good);
    unsolicited.secret = None;
    refused(driver.complete(&unsolicited).await);
    assert!(listener.asked().is_empty());
}

#[tokio::test]
async fn a_verifier_or_secret_that_the_provider_does_not_take_is_refused() {
    let listener = provider().await;
    let driver = open(&listener, json!({}));
    let kept = begin(&driver).await.unwrap().kept;
    let guessed = [("oauth_token", "temporary"), ("oauth_verifier", "guessed")];
    let why = refused(driver.complete(&callback(&kept, &guessed)).await);
    assert!(
        why.contains(&format!("{}/token: it answers 401", listener.url)),
        "{why}"
    );
    let good = [("oauth_token", "temporary"), ("oauth_verifier", "verifier")];
    let forged = "oauth_token=temporary&oauth_token_secret=guessed";
    refused(driver.complete(&callback(forged, &good)).await);
}

#[tokio::test]
async fn a_user_who_says_no_is_denied() {
    let listener = provider().await;
    let driver = open(&listener, json!({}));
    let kept = begin(&driver).await.unwrap().kept;
    for no in [
        ("denied", "temporary"),
        ("oauth_problem", "user_refused"),
        ("error", "access_denied"),
    ] {
        let failure = driver.complete(&callback(&kept, &[no])).await.unwrap_err();
        assert_eq!(failure, Failure::Denied(format!("{} {}", no.0, no.1)));
    }
}

#[tokio::test]
async fn a_provider_that_is_slow_or_verbose_or_elsewhere_is_not_used() {
    let listener = provider().await;
    for (path, body) in [
        (
            "/initiate",
            "oauth_token=temporary&oauth_token_secret=temporary+secret\
             &oauth_callback_confirmed=true",
        ),
        (
            "/token",
            "oauth_token=access&oauth_token_secret=access+secret",
        ),
        ("/me", r#"{"id": "jane"}"#),
    ] {
        let driver = open(&listener, json!({}));
        let good = form(200, body);
        except(&listener, path, good.clone());
        log_in(&driver).await.unwrap();

        let mut slow = good.clone();
        slow.after = Duration::from_secs(5);
        except(&listener, path, slow);
        let why = unavailable(log_in(&driver).await);
        assert!(why.contains("in time"), "{why}");

        let mut huge = good.clone();
        huge.body.push_str(&" ".repeat(5000));
        except(&listener, path, huge);
        let why = unavailable(log_in(&driver).await);
        assert!(why.contains("longer than 4096 bytes"), "{why}");

        let mut redirect = good;
        redirect.status = 307;
        redirect.headers = vec![("location", format!("{}/elsewhere", listener.url))];
        except(&listener, path, redirect);
        unavailable(log_in(&driver).await);
        let asked = listener.asked();
        assert!(asked.iter().all(|asked| asked.path() != "/elsewhere"));
    }
}

#[tokio::test]
async fn a_private_address_is_asked_only_where_that_is_allowed() {
    let hidden = Hidden::listen();
    let strict = Limits {
        private_addresses: false,
        ..limits()
    };
    for url in hidden.urls() {
        let settings = settings(&url, json!({}));
        let driver = OAuth1::open(&settings, strict.clone()).unwrap();
        let why = unavailable(begin(&driver).await);
        assert!(why.contains("private network"), "{why}");
        // Nor at the later steps, whatever the browser brings.
        let kept = "oauth_token=temporary&oauth_token_secret=secret";
        let back = [("oauth_token", "temporary"), ("oauth_verifier", "verifier")];
        let why = unavailable(driver.complete(&callback(kept, &back)).await);
        assert!(why.contains("private network"), "{why}");
        assert!(!hidden.was_found());
        unavailable(begin(&OAuth1::open(&settings, limits()).unwrap()).await);
        assert!(hidden.was_found());
    }
}

#[tokio::test]
async fn nobody_logs_in_without_a_name() {
    let listener = provider().await;
    let driver = open(&listener, json!({}));
    for user in [
        json!({"name": "jane"}),
        json!({"id": ""}),
        json!({"id": []}),
    ] {
        except(&listener, "/me", answer(200, user));
        let why = refused(log_in(&driver).await);
        assert!(why.contains("'id'"), "{why}");
    }
    for odd in ["id=jane", "[]", r#"{"id": "jane", "id": "root"}"#] {
        except(&listener, "/me", answer(200, odd));
        unavailable(log_in(&driver).await);
    }
    except(&listener, "/me", answer(401, "{}"));
    let why = refused(log_in(&driver).await);
    // Without the query, which may hold what no log should.
    assert_eq!(
        why,
        format!("{}/me: it answers 401 Unauthorized", listener.url)
    );
}

#[tokio::test]
async fn a_bearers_token_proves_nothing() {
    let listener = provider().await;
    let driver = open(&listener, json!({}));
    let failure = driver
        .bearer(&Secret::new("access".to_owned()), now())
        .await;
    assert!(matches!(failure, Err(Failure::NotSupported(_))));
    assert!(listener.asked().is_empty());
}

#[tokio::test]
async fn a_check_says_what_works() {
    let listener = provider().await;
    let works = |driver: OAuth1| async move {
        let findings = driver.check(CALLBACK, now()).await;
        let steps = findings.iter().map(|found| (found.step, found.works));
        (steps.collect::<Vec<_>>(), findings[0].detail.clone())
    };
    let steps = [
        "request token",
        "authorization",
        "access token",
        "attributes",
    ];
    let (found, _) = works(open(&listener, json!({}))).await;
    assert_eq!(found, steps.map(|step| (step, true)));
    let wrong = open(&listener, json!({"consumer_secret": "another"}));
    let (found, said) = works(wrong).await;
    assert_eq!(found[0], (steps[0], false));
    assert!(said.contains("consumer_secret"), "{said}");
    listener.answer(|_| answer(404, "{}"));
    let (found, _) = works(open(&listener, json!({}))).await;
    assert_eq!(found, steps.map(|step| (step, false)));
}
