//! SAML 2.0: what must not be accepted.

mod encryption;
mod metadata;
mod responses;
mod signatures;
mod wrapping;

use federation::{Driver, Failure};
use serde_json::json;

use crate::saml2_idp::{Story, callback, driver_with_key};

/// What the attacker wants read: an administrator, under this identifier.
fn forged(id: &str) -> Story {
    Story {
        name: "root".into(),
        assertion_id: id.into(),
        ..Story::default()
    }
}

fn at_the_end(text: &str, content: &str) -> String {
    let place = text.rfind("</").expect("an end");
    format!("{}{content}{}", &text[..place], &text[place..])
}

async fn refusal_with_key(response: &str) -> String {
    let driver = driver_with_key(json!({}));
    match driver.complete(&callback(response)).await {
        Err(Failure::Refused(reason)) => reason,
        other => panic!(
            "not refused: {:?}",
            other.map(|verified| verified.replay_id)
        ),
    }
}
