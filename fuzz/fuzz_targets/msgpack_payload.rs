//! Any bytes may stand where a token's payload is looked for; what is read can be written, and then says the same.
//!
//!     fuzz/run msgpack_payload

#![no_main]

use archstone_fuzz::{Bound, LONGEST, MIB, linear};
use libfuzzer_sys::fuzz_target;
use model::{Method, Timestamp, token::TokenKind};
use secrets::tokens::payload::{MethodBits, PayloadCodec};

static READ: Bound = Bound::new("payload", MIB, 128, 4);

/// A byte that msgpack never uses: what stands between two is repeated.
const MARK: u8 = 0xc1;

fuzz_target!(|payload: &[u8]| {
    let parts: Vec<_> = payload.split(|byte| *byte == MARK).collect();
    let long = match parts[..] {
        [head, piece, tail] => {
            let times = LONGEST.saturating_sub(head.len() + tail.len()) / piece.len().max(1);
            Some([head, &piece.repeat(times), tail].concat())
        }
        _ => None,
    };
    let payload = long.as_deref().unwrap_or(payload);
    linear(payload.len(), &READ, || read(payload));
});

fn read(payload: &[u8]) {
    let methods = ["external", "password", "token", "mapped"].map(Method::from);
    let codec = PayloadCodec::new(MethodBits::new(methods.to_vec()), "default".into());
    let Ok(token) = codec.read(payload, Timestamp::UNIX_EPOCH) else {
        return;
    };
    let written = codec
        .write(&token)
        .expect("only ids that can be written are read");
    let again = codec
        .read(&written, token.issued_at)
        .expect("what was written");
    // An id that was packed as text may be a UUID in a form that packs as bytes: it comes back in lower case.
    let plain = codec
        .write(&again)
        .expect("only ids that can be written are read");
    assert_eq!(codec.read(&plain, again.issued_at).as_ref(), Ok(&again));
    if let TokenKind::Trust { trust_id, .. } = &token.kind {
        assert_eq!(again.trust_id(), Some(trust_id));
    }
    assert_eq!(token.methods, again.methods);
    assert_eq!(token.audit_ids, again.audit_ids);
    assert_eq!(token.expires_at, again.expires_at);
    assert_eq!(
        std::mem::discriminant(&token.kind),
        std::mem::discriminant(&again.kind)
    );
}
