//! SAML 2.0: what pysaml2 writes is accepted, and what it accepts is what we write.
//!
//! `clients/oracle/saml_vectors.py` made the responses, and accepted the requests.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use federation::saml2::Saml2;
use federation::{Callback, Driver, FlowSecret, Login, Redirect};
use serde_json::{Value, json};

use crate::saml2_idp::{CALLBACK, SP, callback, carried, limits, merge, name_of};

fn data(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn vectors() -> Value {
    data(include_str!("../data/saml_vectors.json"))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} is missing"))
}

fn driver(vectors: &Value, others: Value) -> Saml2 {
    let mut settings = json!({
        "entity_id": SP,
        "metadata": vectors["idp_metadata"],
        "private_key": vectors["sp"]["key"],
        "certificate": vectors["sp"]["certificate"],
    });
    merge(&mut settings, others);
    Saml2::open(&settings, limits()).expect("settings")
}

/// When the vectors were made.
fn then(vectors: &Value) -> DateTime<Utc> {
    text(vectors, "now").parse().expect("a time")
}

fn brought(vectors: &Value, response: &str) -> Callback {
    let mut callback = callback(response);
    callback.now = then(vectors);
    callback
}

#[tokio::test]
async fn what_pysaml2_writes_is_accepted() {
    let vectors = vectors();
    let driver = driver(&vectors, json!({}));
    let mut seen = 0;
    for (name, response) in vectors["responses"].as_object().expect("responses") {
        let response = response.as_str().expect("a text");
        let callback = brought(&vectors, response);
        let verified = if name == "envelope" {
            carried(&driver, response, &callback).await.0
        } else {
            driver.complete(&callback).await
        };
        let verified = verified.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        let said = |name: &str| verified.assertion.values(name);
        assert!(!name_of(&verified).is_empty());
        assert_eq!(said("uid"), ["jane"], "{name}");
        assert_eq!(
            said("urn:oid:0.9.2342.19200300.100.1.3"),
            ["jane@example.org"],
            "{name}"
        );
        assert_eq!(
            said("eduPersonEntitlement"),
            ["staff", "cloud & more"],
            "{name}"
        );
        seen += 1;
    }
    assert_eq!(seen, 8);
}

#[tokio::test]
async fn what_pysaml2_wrote_is_refused_after_a_change() {
    let vectors = vectors();
    let driver = driver(&vectors, json!({}));
    for (name, response) in vectors["responses"].as_object().expect("responses") {
        let response = response.as_str().expect("a text");
        let (from, to) = if name.starts_with("encrypted") {
            // In the middle of the data: the last of the two values.
            let place = response.rfind("CipherValue>").expect("a value") - 200;
            let old = &response[place..place + 4];
            (old.to_owned(), if old == "AAAA" { "BBBB" } else { "AAAA" })
        } else {
            ("jane@example.org".to_owned(), "root@example.org")
        };
        let changed = response.replace(&from, to);
        assert_ne!(changed, response, "{name}");
        let callback = brought(&vectors, &changed);
        let outcome = if name == "envelope" {
            carried(&driver, &changed, &callback).await.0
        } else {
            driver.complete(&callback).await
        };
        assert!(outcome.is_err(), "{name}");
    }
}

#[tokio::test]
async fn our_metadata_and_requests_are_those_that_pysaml2_accepted() {
    let vectors = vectors();
    let requests = data(include_str!("../data/saml_requests.json"));
    let login = Login {
        secret: FlowSecret::new([7; 32]),
        callback_url: CALLBACK.into(),
        now: text(&requests, "now").parse().expect("a time"),
    };
    let redirect = driver(&vectors, json!({}));
    assert_eq!(
        redirect.metadata(CALLBACK, CALLBACK),
        text(&vectors, "sp_metadata")
    );
    let sent = |redirect| match redirect {
        Redirect::Url(url) => url,
        Redirect::Form { fields, .. } => {
            let request = BASE64_STANDARD.decode(&fields[0].1).expect("Base64");
            String::from_utf8(request).expect("UTF-8")
        }
    };
    let post = driver(&vectors, json!({"binding": "post"}));
    let ours = json!({
        "now": requests["now"],
        "redirect": sent(redirect.begin(&login).await.expect("begun").redirect),
        "post": sent(post.begin(&login).await.expect("begun").redirect),
        "ecp": redirect.begin_ecp(&login, "kept").await.expect("begun"),
    });
    assert_eq!(ours, requests, "\n{ours}\n");
}
