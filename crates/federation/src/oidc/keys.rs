//! The provider's public keys (RFC 7517).

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::settings::ALGORITHMS;

/// More keys than this are not read.
const MAX_KEYS: usize = 100;

/// The keys by which a provider signs, each for what it is good for.
pub(super) struct KeySet(Vec<Key>);

/// One of them.
pub(super) struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl KeySet {
    /// Reads a set of keys. Keys that are not for signatures, or of a kind that is not known here,
    /// are passed over, as RFC 7517 §5 wants.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Written {
            keys: Vec<Value>,
        }
        let written: Written =
            serde_json::from_slice(text).map_err(|_| "it is no set of keys".to_owned())?;
        if written.keys.len() > MAX_KEYS {
            return Err(format!("it has more than {MAX_KEYS} keys"));
        }
        Ok(Self(
            written.keys.into_iter().filter_map(Key::read).collect(),
        ))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The keys that may have signed a token. Where it names one, no other counts.
    pub(super) fn fitting(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &Key> {
        self.0.iter().filter(move |key| {
            key.algorithms.contains(&algorithm) && (id.is_none() || key.id.as_deref() == id)
        })
    }
}

impl Key {
    fn read(written: Value) -> Option<Self> {
        let named = written.get("alg").cloned();
        let operations = written.get("key_ops").cloned();
        let jwk: Jwk = serde_json::from_value(written).ok()?;
        if matches!(
            jwk.common.public_key_use,
            Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_))
        ) {
            return None;
        }
        if let Some(Value::Array(operations)) = operations
            && !operations.contains(&Value::from("verify"))
        {
            return None;
        }
        // A symmetric key has no place here: what everybody may read proves nothing.
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => vec![
                Algorithm::RS256,
                Algorithm::RS384,
                Algorithm::RS512,
                Algorithm::PS256,
                Algorithm::PS384,
                Algorithm::PS512,
            ],
            AlgorithmParameters::EllipticCurve(ec) => match ec.curve {
                EllipticCurve::P256 => vec![Algorithm::ES256],
                EllipticCurve::P384 => vec![Algorithm::ES384],
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(pair) => match pair.curve {
                EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
                _ => return None,
            },
            _ => return None,
        };
        if let Some(named) = named {
            let known = ALGORITHMS.iter().find(|(name, _)| named == *name);
            algorithms.retain(|algorithm| known.is_some_and(|(_, known)| known == algorithm));
        }
        Some(Self {
            key: DecodingKey::from_jwk(&jwk).ok()?,
            id: jwk.common.key_id,
            algorithms,
        })
    }

    /// Whether this key signed a text.
    pub(super) fn signed(&self, text: &str, signature: &str, algorithm: Algorithm) -> bool {
        jsonwebtoken::crypto::verify(signature, text.as_bytes(), &self.key, algorithm)
            .unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{
        RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RsaPublicKeyComponents,
    };
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_short_key_of_rsa_signs_nothing() {
        let decode = |text| BASE64_URL_SAFE_NO_PAD.decode(text).expect("Base64");
        let key = RsaPublicKeyComponents {
            n: decode(SHORT_MODULUS),
            e: decode("AQAB"),
        };
        key.verify(
            &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
            b"text",
            &decode(SIGNATURE),
        )
        .expect("but for the length all is well");
        let keys = json!({"keys": [{"kty": "RSA", "n": SHORT_MODULUS, "e": "AQAB"}]});
        let keys = KeySet::parse(keys.to_string().as_bytes()).expect("a set of keys");
        let mut fitting = keys.fitting(None, Algorithm::RS256);
        assert!(!fitting.any(|key| key.signed("text", SIGNATURE, Algorithm::RS256)));
    }

    /// Of 1024 bits: `openssl genrsa 1024`.
    const SHORT_MODULUS: &str = "\
        2l7gMZi3DJUfQRXM3YT2W6Sz_1qPDoHCyov64tfkDjfpxgC6ZkpUQhzTZhWA52RGQKTUMnIVjVGJejNWi0KzwL\
        ndR9ZX-hrzzRQ06leOXmsPSybnDzNhRJWe_gSRy7EyBkshuUBvhJWb-Dz3oOoCqtpko7R5DVKYf4gz7e7833s";

    /// Of `text`, by `openssl dgst -sha256 -sign`.
    const SIGNATURE: &str = "\
        ql4cRarXdPGl4NmfEraGYc236XaHHRMadMl1Ks7c6BW1F8E08smWT24DtMm0qqW_OfcsIxQMgs-U3F-BsFuv6s\
        Gj2tz5EuRfehTyvXq2SUY-x7Vhxk6RGC6rL48NLXCthaKQL0FTEui2iyEIqQiyRtomRvMQLm9pRhL6e6LMk0o";
}
