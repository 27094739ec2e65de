//! Any text may come as the token of a provider, or as its set of keys, and nobody forges a
//! signature. The first line is the token, the rest the set.
//!
//!     fuzz/run provider_token

#![no_main]

use archstone_fuzz::{Bound, MIB, lengthened, linear};
use federation::oidc::is_signed_by;
use libfuzzer_sys::fuzz_target;
use model::Timestamp;

/// Keys as RFC 7517 §A.1 and RFC 8037 §A.2 show them, and one that must not count.
const KEYS: &str = r#"{"keys": [
    {"kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig",
     "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
     "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"},
    {"kty": "OKP", "crv": "Ed25519", "kid": "ed",
     "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    {"kty": "oct", "kid": "oct", "k": "c2VjcmV0"}
]}"#;

static VERIFIED: Bound = Bound::new("verification", MIB, 160, 4);

fuzz_target!(|text: &str| {
    let text = &*lengthened(text);
    let (token, keys) = text.split_once('\n').unwrap_or((text, ""));
    let now = Timestamp::UNIX_EPOCH;
    linear(text.len(), &VERIFIED, || {
        assert!(!is_signed_by(token, KEYS, now));
        // Nor is a key found that a token fits.
        assert!(!is_signed_by(token, keys, now));
    });
});
