//! Metadata of SAML is read, or refused in a sentence.
//!
//!     fuzz/run saml_metadata
//!
//! The first two bytes say where the rest is put into recorded metadata; when they point behind
//! its end, the rest is the whole.

#![no_main]

use std::sync::LazyLock;

use federation::Failure;
use federation::saml2::provider_in;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static METADATA: LazyLock<String> = LazyLock::new(|| {
    let text = include_str!("../../crates/federation/tests/data/saml_vectors.json");
    let vectors: Value = serde_json::from_str(text).expect("vectors");
    vectors["idp_metadata"].as_str().expect("a text").to_owned()
});

fn check(text: &str) {
    match provider_in(text) {
        Ok(name) => assert!(text.contains("IDPSSODescriptor") && !name.is_empty()),
        Err(Failure::Refused(reason)) => assert!(!reason.is_empty()),
        Err(other) => panic!("{other}"),
    }
}

fuzz_target!(|input: &[u8]| {
    let [a, b, rest @ ..] = input else {
        return;
    };
    let Ok(rest) = std::str::from_utf8(rest) else {
        return;
    };
    let place = usize::from(u16::from_le_bytes([*a, *b]));
    if place <= METADATA.len() && METADATA.is_char_boundary(place) {
        check(&format!(
            "{}{rest}{}",
            &METADATA[..place],
            &METADATA[place..]
        ));
    } else {
        check(rest);
    }
});
