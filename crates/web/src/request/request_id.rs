//! How answers and logs name a request.

use std::fmt;

use http::HeaderValue;

/// `req-` and a UUID.
#[derive(Clone, Copy)]
pub struct RequestId([u8; LENGTH]);

const LENGTH: usize = 40;

impl RequestId {
    /// The id with these 32 hexadecimal digits.
    pub fn new(digits: &str) -> Self {
        let mut text = *b"req-00000000-0000-0000-0000-000000000000";
        let places = (4..LENGTH).filter(|place| !matches!(place, 12 | 17 | 22 | 27));
        let digits = digits.bytes().filter(u8::is_ascii_hexdigit);
        for (place, digit) in places.zip(digits) {
            text[place] = digit;
        }
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
    use super::RequestId;

    #[test]
    fn digits_become_a_uuid() {
        let id = RequestId::new("0123456789abcdef0123456789abcdef");
        assert_eq!(id.as_str(), "req-01234567-89ab-cdef-0123-456789abcdef");
    }
}
