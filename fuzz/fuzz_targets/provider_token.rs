//! Any text may come as the token of a provider, or as its set of keys, and nobody forges a
//! signature.
//!
//!     fuzz/run provider_token

#![no_main]

use archstone_fuzz::{MIB, linear};
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

fuzz_target!(|input: (&str, &str)| {
    let (token, keys) = input;
    let now = Timestamp::UNIX_EPOCH;
    linear(token.len() + keys.len(), 4 * MIB, 4096, || {
        assert!(!is_signed_by(token, KEYS, now));
        // Nor is a key found that a token fits.
        assert!(!is_signed_by(token, keys, now));
    });
});
