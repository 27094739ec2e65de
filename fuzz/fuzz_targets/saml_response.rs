//! Any text may arrive as a SAML response, and one that the provider signed may arrive changed.
//!
//!     fuzz/run saml_response
//!
//! The first byte chooses what is changed: one of the recorded responses, or nothing, and then the
//! rest is the whole. Two bytes say where, two how much is taken away; the rest comes instead.

#![no_main]

use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use federation::outbound::Limits;
use federation::{Callback, Driver, Failure, FlowSecret, Saml2, Verified};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const CALLBACK: &str = "https://keystone.example.org/v3/callback";

struct World {
    driver: Saml2,
    callback: Callback,
    /// Responses, with what they say.
    responses: Vec<(String, Said)>,
}

/// What was said: the name, and all else.
type Said = Vec<(String, Vec<String>)>;

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let text = include_str!("../../crates/federation/tests/data/saml_vectors.json");
    let vectors: Value = serde_json::from_str(text).expect("vectors");
    let settings = json!({
        "entity_id": "https://keystone.example.org/sp",
        "metadata": vectors["idp_metadata"],
        "private_key": vectors["sp"]["key"],
        "certificate": vectors["sp"]["certificate"],
    });
    let driver = Saml2::open(&settings, Limits::default()).expect("settings");
    let secret = FlowSecret::new([7; 32]);
    let now = vectors["now"]
        .as_str()
        .and_then(|now| now.parse().ok())
        .expect("a time");
    let callback = Callback {
        parameters: vec![
            ("SAMLResponse".into(), String::new()),
            ("RelayState".into(), secret.derive("state")),
        ],
        secret: Some(secret),
        kept: String::new(),
        began: now,
        callback_url: CALLBACK.into(),
        now,
    };
    let mut world = World {
        driver,
        callback,
        responses: Vec::new(),
    };
    for (name, response) in vectors["responses"].as_object().expect("responses") {
        let response = response.as_str().expect("a text");
        if name != "envelope" {
            let verified = judge(&world, response).expect("it was accepted");
            world.responses.push((response.to_owned(), said(&verified)));
        }
    }
    world
});

/// With metadata by text, nothing is waited for.
fn judge(world: &World, response: &str) -> Result<Verified, Failure> {
    let mut callback = world.callback.clone();
    callback.parameters[0].1 = BASE64_STANDARD.encode(response);
    let mut judging = pin!(world.driver.complete(&callback));
    match judging
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("it waits"),
    }
}

fn said(verified: &Verified) -> Said {
    let all = verified.assertion.attributes();
    all.map(|(name, values)| (name.to_owned(), values.to_vec()))
        .collect()
}

fuzz_target!(|input: &[u8]| {
    let world = &*WORLD;
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    let Some((original, says)) = world.responses.get(usize::from(*choice)) else {
        if let Ok(text) = std::str::from_utf8(rest) {
            assert!(judge(world, text).is_err());
        }
        return;
    };
    let [a, b, c, d, new @ ..] = rest else {
        return;
    };
    let from = usize::from(u16::from_le_bytes([*a, *b])) % original.len();
    let to = (from + usize::from(u16::from_le_bytes([*c, *d]))).min(original.len());
    let mut changed = original.as_bytes().to_vec();
    changed.splice(from..to, new.iter().copied());
    if let Ok(changed) = String::from_utf8(changed)
        && let Ok(verified) = judge(world, &changed)
    {
        assert_eq!(said(&verified), *says);
    }
});
