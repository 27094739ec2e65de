//! How answers and logs name a request.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;

/// `req-` and a UUID.
#[derive(Clone, Copy)]
pub struct RequestId([u8; LENGTH]);

const LENGTH: usize = 40;

/// Makes ids of requests, of which no two are alike. They are no secret, so that the random source of tokens, which
/// takes its time, is not asked for them.
#[derive(Default)]
pub struct RequestIds {
    keys: RandomState,
    made: AtomicU64,
}

impl RequestIds {
    /// The next one.
    pub fn next(&self) -> RequestId {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let half = |which: u64| self.keys.hash_one([number, which]).to_be_bytes();
        let mut random = [0; 16];
        random[..8].copy_from_slice(&half(0));
        random[8..].copy_from_slice(&half(1));
        RequestId::new(random)
    }
}

impl RequestId {
    /// The id made of these bytes, in the form of a random UUID (RFC 9562, section 5.4).
    pub fn new(random: [u8; 16]) -> Self {
        let mut text = *b"req-00000000-0000-0000-0000-000000000000";
        let id = uuid::Builder::from_random_bytes(random).into_uuid();
        id.hyphenated().encode_lower(&mut text[4..]);
        Self(text)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("it is ASCII")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&RequestId> for HeaderValue {
    fn from(id: &RequestId) -> Self {
        Self::from_str(id.as_str()).expect("letters, digits and dashes may stand in a header")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{RequestId, RequestIds};

    #[test]
    fn no_two_are_alike() {
        let (ids, others) = (RequestIds::default(), RequestIds::default());
        let made = (0..1000).flat_map(|_| [ids.next(), others.next()]);
        let made: HashSet<String> = made.map(|id| id.to_string()).collect();
        assert_eq!(made.len(), 2000);
    }

    #[test]
    fn it_is_a_random_uuid() {
        let id = RequestId::new(0x0123456789abcdef0123456789abcdef_u128.to_be_bytes());
        assert_eq!(id.as_str(), "req-01234567-89ab-4def-8123-456789abcdef");
    }
}
