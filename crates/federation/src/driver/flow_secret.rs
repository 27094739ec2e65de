//! The one secret of a login, from which all of its one-time values derive.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use model::Secret;

/// 32 random bytes that only the user's browser carries, sealed, between the two halves of a
/// login. State, nonce, PKCE verifier and the like derive from it; none of them tells another.
#[derive(Clone, Debug)]
pub struct FlowSecret(Secret<[u8; 32]>);

impl FlowSecret {
    /// Takes random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// The bytes, to be sealed.
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// The value for one purpose: 43 characters of `A-Z a-z 0-9 - _`, as a PKCE verifier may have
    /// (RFC 7636 §4.1).
    pub fn derive(&self, purpose: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose());
        BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&key, purpose.as_bytes()))
    }

    /// Whether a value is the one for a purpose. Takes the same time wherever they differ.
    pub fn matches(&self, purpose: &str, value: &str) -> bool {
        Secret::new(self.derive(purpose)) == Secret::new(value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_purpose_has_a_value_of_its_own() {
        let secret = FlowSecret::new([7; 32]);
        assert_eq!(secret.derive("state"), secret.derive("state"));
        assert_ne!(secret.derive("state"), secret.derive("nonce"));
        assert_ne!(
            secret.derive("state"),
            FlowSecret::new([8; 32]).derive("state")
        );
        assert_eq!(secret.derive("state").len(), 43);
        assert!(secret.matches("state", &secret.derive("state")));
        assert!(!secret.matches("state", &secret.derive("nonce")));
        assert!(!secret.matches("state", ""));
    }
}
