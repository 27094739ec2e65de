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
