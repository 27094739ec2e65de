//! Any text may arrive as a SAML response, and one that the provider signed may arrive changed. The
//! work that it makes grows with its length alone.
//!
//!     fuzz/run saml_response
//!
//! The first byte chooses what is changed: one of the recorded responses, or nothing, and then the
//! rest is the whole. The second says how often the rest is repeated, each time with another number
//! for `$`. Two bytes say where it is changed, two how much is taken away; the rest comes instead.

#![no_main]

use std::sync::LazyLock;

use archstone_fuzz::{Bound, MIB, linear, repeated};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use federation::outbound::Limits;
use federation::saml2::comparisons;
use federation::{Callback, Driver, Failure, FlowSecret, Saml2, Verified};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

static READ: Bound = Bound::new("response", 2 * MIB, 256, 4);

/// About as long as a response may be, before Base64.
const LONGEST: usize = 380_000;

const CALLBACK: &str = "https://keystone.example.org/v3/callback";

struct World {
    /// For the threads that documents are read on.
    runtime: Runtime,
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
        runtime: Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime"),
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

fn judge(world: &World, response: &str) -> Result<Verified, Failure> {
    assert!(comparisons(response).unwrap_or_default() <= 10_000 + 32 * response.len());
    let mut callback = world.callback.clone();
    callback.parameters[0].1 = BASE64_STANDARD.encode(response);
    linear(response.len(), &READ, || {
        world.runtime.block_on(world.driver.complete(&callback))
    })
}

fn said(verified: &Verified) -> Said {
    let all = verified.assertion.attributes();
    all.map(|(name, values)| (name.to_owned(), values.to_vec()))
        .collect()
}

fuzz_target!(|input: &[u8]| {
    let world = &*WORLD;
    let [choice, times, rest @ ..] = input else {
        return;
    };
    let many = |text: &[u8]| {
        let text = std::str::from_utf8(text).ok()?;
        Some(repeated(text, 1 << (times % 16), LONGEST))
    };
    let Some((original, says)) = world.responses.get(usize::from(*choice)) else {
        if let Some(text) = many(rest) {
            assert!(judge(world, &text).is_err());
        }
        return;
    };
    let [a, b, c, d, new @ ..] = rest else {
        return;
    };
    let Some(new) = many(new) else {
        return;
    };
    let from = usize::from(u16::from_le_bytes([*a, *b])) % original.len();
    let to = (from + usize::from(u16::from_le_bytes([*c, *d]))).min(original.len());
    let mut changed = original.as_bytes().to_vec();
    changed.splice(from..to, new.bytes());
    if let Ok(changed) = String::from_utf8(changed)
        && let Ok(verified) = judge(world, &changed)
    {
        assert_eq!(said(&verified), *says);
    }
});
