//! Any text may arrive where a token is expected, and none that we did not make is one.
//!
//!     fuzz/run token_text

#![no_main]

use std::sync::LazyLock;

use archstone_fuzz::{Bound, MIB, lengthened, linear};
use libfuzzer_sys::fuzz_target;
use model::Timestamp;
use secrets::fernet::{Key, Keys};

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let key = |text| Key::parse(text).expect("a key");
    Keys::new([
        key("cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="),
        key("AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="),
    ])
    .expect("two keys")
});

static READ: Bound = Bound::new("token", MIB, 32, 1);

fuzz_target!(|text: &str| {
    let text = &*lengthened(text);
    linear(text.len(), &READ, || read(text));
});

fn read(text: &str) {
    // Nobody guesses a MAC, and the corpus holds no message under these keys.
    assert!(KEYS.decrypt(text).is_err());
    assert!(Key::parse(text).is_err() || text.len() >= 43);

    let message = KEYS.encrypt(text.as_bytes(), Timestamp::UNIX_EPOCH, [7; 16]);
    for message in [message.as_str(), message.trim_end_matches('=')] {
        let read = KEYS.decrypt(message).expect("our own message");
        assert_eq!(read.content, text.as_bytes());
        assert_eq!(read.created_at, Timestamp::UNIX_EPOCH);
    }
}
