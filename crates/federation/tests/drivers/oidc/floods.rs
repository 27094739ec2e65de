//! Strangers who have us ask the provider, as often as they like.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use federation::{Driver as _, Failure};
use model::Secret;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::provider::{ACCESS_TOKEN, Instead, Provider};
use super::{log_in, log_in_halfway, now, open};

/// How many a flood brings, and how many the provider may see of it at once.
const FLOOD: usize = 1200;
const AT_ONCE: usize = 64;
/// How many may be answered at all while the provider does not answer: the others are turned away.
const WAITING: usize = 256;

/// Lets the provider answer at this path only when it is told to.
fn hold(provider: &Provider, path: &str) -> Arc<Semaphore> {
    let permits = Arc::new(Semaphore::new(0));
    let held = Instead::Held(Arc::clone(&permits));
    provider.state().instead.insert(path.to_owned(), held);
    permits
}

/// Waits until all but some have come back, which all were turned away for now.
async fn all_but_some_are_turned_away<T: std::fmt::Debug + 'static>(
    flood: &mut JoinSet<Result<T, Failure>>,
) {
    while flood.len() > WAITING {
        let one = flood
            .join_next()
            .await
            .expect("one of them")
            .expect("no panic");
        assert!(matches!(one, Err(Failure::Unavailable(_))), "{one:?}");
    }
}

#[tokio::test]
async fn made_up_tokens_reach_the_provider_a_few_at_a_time() {
    for (kind, path) in [("introspection", "/introspect"), ("userinfo", "/userinfo")] {
        let provider = Provider::start().await;
        let mut settings = provider.settings();
        settings["bearer"] = json!(kind);
        let driver = Arc::new(open(&settings));
        // So that the provider is known.
        log_in(&driver, &provider).await.expect("a login");
        let permits = hold(&provider, path);
        let mut flood = JoinSet::new();
        for number in 0..FLOOD {
            let driver = Arc::clone(&driver);
            let token = Secret::new(format!("made-up-{number}"));
            flood.spawn(async move { driver.bearer(&token, now()).await });
        }
        all_but_some_are_turned_away(&mut flood).await;
        assert!(provider.asked(path) <= AT_ONCE, "{}", provider.asked(path));
        // A login by a browser does not wait for any of them.
        log_in(&driver, &provider)
            .await
            .expect("a login beside the flood");
        permits.add_permits(FLOOD);
        while let Some(one) = flood.join_next().await {
            assert!(matches!(one, Ok(Err(_))), "{one:?}");
        }
        assert!(provider.asked(path) <= WAITING, "{}", provider.asked(path));
        assert!(provider.asked(path) >= 2, "nobody got through");
    }
}

#[tokio::test]
async fn equal_tokens_wait_for_one_answer() {
    let provider = Provider::start().await;
    let mut settings = provider.settings();
    settings["bearer"] = json!("introspection");
    provider.state().introspection =
        json!({"active": true, "sub": "jane", "client_id": super::provider::CLIENT});
    let driver = Arc::new(open(&settings));
    let permits = hold(&provider, "/introspect");
    let (mut flood, came) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..FLOOD {
        let (driver, came) = (Arc::clone(&driver), Arc::clone(&came));
        let token = Secret::new(ACCESS_TOKEN.to_owned());
        flood.spawn(async move {
            came.fetch_add(1, Ordering::SeqCst);
            driver.bearer(&token, now()).await
        });
    }
    while came.load(Ordering::SeqCst) < FLOOD {
        tokio::task::yield_now().await;
    }
    permits.add_permits(FLOOD);
    while let Some(one) = flood.join_next().await {
        one.expect("no panic").expect("a good token");
    }
    assert_eq!(provider.asked("/introspect"), 1);
}

#[tokio::test]
async fn made_up_codes_reach_the_provider_a_few_at_a_time() {
    let provider = Provider::start().await;
    let mut settings = provider.settings();
    settings["bearer"] = json!("introspection");
    let driver = Arc::new(open(&settings));
    let begun = log_in_halfway(&driver, &provider, 1).await;
    let permits = hold(&provider, "/token");
    let mut flood = JoinSet::new();
    for number in 0..FLOOD {
        let (driver, mut callback) = (Arc::clone(&driver), begun.clone());
        for (name, value) in &mut callback.parameters {
            if name == "code" {
                *value = format!("made-up-{number}");
            }
        }
        flood.spawn(async move { driver.complete(&callback).await });
    }
    all_but_some_are_turned_away(&mut flood).await;
    assert!(provider.asked("/token") <= AT_ONCE);
    // Tokens are judged meanwhile.
    let token = Secret::new("another".to_owned());
    let judged = driver.bearer(&token, now()).await;
    assert!(matches!(judged, Err(Failure::Refused(_))), "{judged:?}");
    permits.add_permits(FLOOD);
    while flood.join_next().await.is_some() {}
    assert!(provider.asked("/token") <= WAITING);
    driver
        .complete(&begun)
        .await
        .expect("the login goes on after the flood");
}

#[tokio::test]
async fn the_metadata_and_the_keys_are_asked_for_once_however_many_come() {
    let provider = Provider::start().await;
    let mut settings = provider.settings();
    settings["bearer"] = json!("jwt");
    let driver = Arc::new(open(&settings));
    let mut forged = provider.claims();
    forged["sub"] = json!("root");
    let forged = super::keys::Key::ec("unknown").token(&forged);
    let mut flood = JoinSet::new();
    for _ in 0..FLOOD {
        let (driver, token) = (Arc::clone(&driver), Secret::new(forged.clone()));
        flood.spawn(async move { driver.bearer(&token, now()).await });
    }
    while let Some(one) = flood.join_next().await {
        assert!(matches!(one, Ok(Err(Failure::Refused(_)))), "{one:?}");
    }
    assert_eq!(provider.asked("/.well-known/openid-configuration"), 1);
    assert!(provider.asked("/jwks") <= 2, "{}", provider.asked("/jwks"));
}

#[tokio::test]
async fn requests_are_pushed_a_few_at_a_time() {
    let provider = Provider::start().await;
    provider.state().demands_pushing = true;
    let driver = Arc::new(open(&provider.settings()));
    let begun = log_in_halfway(&driver, &provider, 1).await;
    let permits = hold(&provider, "/par");
    let mut flood = JoinSet::new();
    for number in 0..FLOOD {
        let driver = Arc::clone(&driver);
        let login = super::login((number % 256) as u8);
        flood.spawn(async move { driver.begin(&login).await });
    }
    all_but_some_are_turned_away(&mut flood).await;
    assert!(provider.asked("/par") <= AT_ONCE);
    // Who began before comes to the end.
    driver.complete(&begun).await.expect("a login");
    permits.add_permits(FLOOD);
    while flood.join_next().await.is_some() {}
}
