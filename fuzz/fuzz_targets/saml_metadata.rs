//! Metadata of SAML is read, or refused in a sentence, with work that grows with its length alone.
//!
//!     fuzz/run saml_metadata
//!
//! The first byte says how often the rest is repeated, each time with another number for `$`; the
//! next two where that is put into recorded metadata. When they point behind its end, it is the
//! whole.

#![no_main]

use std::sync::LazyLock;

use archstone_fuzz::{Bound, MIB, linear, repeated};
use federation::Failure;
use federation::saml2::{comparisons, provider_in};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static READ: Bound = Bound::new("metadata", 2 * MIB, 192, 4);

/// What anybody's metadata are read up to, by default.
const LONGEST: usize = 1 << 20;

static METADATA: LazyLock<String> = LazyLock::new(|| {
    let text = include_str!("../../crates/federation/tests/data/saml_vectors.json");
    let vectors: Value = serde_json::from_str(text).expect("vectors");
    vectors["idp_metadata"].as_str().expect("a text").to_owned()
});

fn check(text: &str) {
    assert!(comparisons(text).unwrap_or_default() <= 10_000 + 32 * text.len());
    match linear(text.len(), &READ, || provider_in(text)) {
        Ok(name) => assert!(text.contains("IDPSSODescriptor") && !name.is_empty()),
        Err(Failure::Refused(reason)) => assert!(!reason.is_empty()),
        Err(other) => panic!("{other}"),
    }
}

fuzz_target!(|input: &[u8]| {
    let [times, a, b, rest @ ..] = input else {
        return;
    };
    let Ok(rest) = std::str::from_utf8(rest) else {
        return;
    };
    let rest = repeated(rest, 1 << (times % 16), LONGEST);
    let place = usize::from(u16::from_le_bytes([*a, *b]));
    if place <= METADATA.len() && METADATA.is_char_boundary(place) {
        check(&format!(
            "{}{rest}{}",
            &METADATA[..place],
            &METADATA[place..]
        ));
    } else {
        check(&rest);
    }
});
