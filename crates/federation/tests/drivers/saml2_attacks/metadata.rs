//! What providers are said to be: metadata that cannot be had, and keys that do not count.

use std::time::Duration;

use federation::outbound::Limits;
use federation::saml2::Saml2;
use federation::{Driver, Failure};
use serde_json::json;

use crate::listener::{Hidden, Listener, json};
use crate::saml2_idp::{
    Identity, SP, Story, THEIRS, callback, driver, limits, login, metadata, sign,
};

#[tokio::test]
async fn metadata_that_come_slowly_hugely_or_from_elsewhere_are_not_used() {
    let listener = Listener::start().await;
    let narrow = Limits {
        timeout: Duration::from_millis(500),
        max_bytes: 10_000,
        ..limits()
    };
    let url = format!("{}/metadata", listener.url);
    let settings = json!({"entity_id": SP, "metadata_url": url});
    let good = json(200, metadata(&[&THEIRS], ""));
    let mut slow = good.clone();
    slow.after = Duration::from_secs(5);
    let mut huge = good.clone();
    huge.body.push_str(&" ".repeat(20_000));
    let mut redirect = json(302, "");
    redirect.headers = vec![("location", format!("{}/elsewhere", listener.url))];
    for (bad, word) in [
        (slow, "in time"),
        (huge, "longer than 10000 bytes"),
        (redirect, "302"),
    ] {
        let (good, first) = (good.clone(), bad);
        listener.answer(move |asked| match asked.path() {
            "/metadata" => first.clone(),
            _ => good.clone(),
        });
        let driver = Saml2::open(&settings, narrow.clone()).expect("settings");
        let failure = driver.begin(&login()).await.expect_err("not used");
        assert!(failure.to_string().contains(word), "{failure}");
        assert!(matches!(failure, Failure::Unavailable(_)), "{failure}");
        let asked = listener.asked();
        assert!(asked.iter().all(|asked| asked.path() == "/metadata"));
    }
    listener.answer(move |_| good.clone());
    let driver = Saml2::open(&settings, narrow).expect("settings");
    driver.begin(&login()).await.expect("begun");
}

#[tokio::test]
async fn metadata_at_a_private_address_are_asked_for_only_where_that_is_allowed() {
    let hidden = Hidden::listen();
    for url in hidden.urls() {
        let settings = json!({"entity_id": SP, "metadata_url": url});
        let driver = Saml2::open(&settings, Limits::default()).expect("settings");
        let failure = driver.begin(&login()).await.expect_err("not asked");
        assert!(failure.to_string().contains("private network"), "{failure}");
        assert!(!hidden.was_found());
        let allowed = Limits {
            timeout: Duration::from_millis(500),
            ..limits()
        };
        let driver = Saml2::open(&settings, allowed).expect("settings");
        driver
            .begin(&login())
            .await
            .expect_err("it does not answer");
        assert!(hidden.was_found());
    }
}

#[tokio::test]
async fn a_key_that_only_opens_letters_signs_nothing() {
    let story = Story::default();
    let stranger = Identity::new();
    let theirs = metadata(&[&THEIRS, &stranger], "");
    let (signing, encryption) = theirs.rsplit_once("use=\"signing\"").expect("two keys");
    let theirs = format!("{signing}use=\"encryption\"{encryption}");
    let driver = driver(json!({ "metadata": theirs }));
    let by = |identity| callback(&story.around(&sign(&story.assertion(), identity)));
    driver.complete(&by(&THEIRS)).await.expect("accepted");
    let failure = driver.complete(&by(&stranger)).await.expect_err("refused");
    assert!(failure.to_string().contains("not valid"), "{failure}");
}

#[tokio::test]
async fn short_keys_of_a_provider_count_for_nothing() {
    let theirs = metadata(&[&THEIRS], "").replace(&THEIRS.certificate_text(), SHORT_CERTIFICATE);
    let settings = json!({"entity_id": SP, "metadata": theirs});
    let wrong = Saml2::open(&settings, limits()).expect_err("refused");
    assert!(wrong.to_string().contains("2048"), "{wrong}");
}

/// Of a key of RSA with 1024 bits: `openssl req -x509 -newkey rsa:1024 -nodes -subj /CN=idp`.
const SHORT_CERTIFICATE: &str = "\
    MIIB+jCCAWOgAwIBAgIUBcAVyMSa73OVh5Pew/MxQONFAxMwDQYJKoZIhvcNAQEL\
    BQAwDjEMMAoGA1UEAwwDaWRwMCAXDTI2MTEyNTExMDEyN1oYDzIxMjYxMTAxMTEw\
    MTI3WjAOMQwwCgYDVQQDDANpZHAwgZ8wDQYJKoZIhvcNAQEBBQADgY0AMIGJAoGB\
    AKV/s167LEg3Y81k6qEjYqTwC1+L3CA4AgN27YZQRWYgM6kC9BS1NUh2DfHTjLzs\
    diYtyL+hYMEVsXTUuElA6EHOKYmzQZJ42y01mGERiSjqKNse5Bym4lCyovMmb/RU\
    XRHdsEa+AV3UYKVOwUz9TxO6YAPUIXSKXfxhMMS+17QzAgMBAAGjUzBRMB0GA1Ud\
    DgQWBBS1xebrCwwnblQi1MD1gdeURvc9xDAfBgNVHSMEGDAWgBS1xebrCwwnblQi\
    1MD1gdeURvc9xDAPBgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3DQEBCwUAA4GBAJIm\
    PmE+JUPEOtoCENyvbSsf2gb0sSB/AZzOsKCkOtrCRq9u3EjQelcCEAHrkIOrmmxS\
    tKwwg6j3Vr29Hg5hfbZ4/pgwcRyhHiJRviKRJsbmqnnCGajvHND1xLf3zIA2j3BK\
    UDEQyC+Lqo56XIcoQHnUSdVEFcBbU2o8FJxe4fUK";
