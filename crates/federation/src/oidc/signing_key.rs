//! Our own key, by which we prove who we are.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use model::{Secret, Timestamp};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::WrongSetting;
use crate::driver::Failure;

/// A private key that signs JWTs.
pub(super) struct SigningKey {
    kind: Kind,
    algorithm: Algorithm,
    id: Option<String>,
}

enum Kind {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl SigningKey {
    /// Reads a key in PEM: PKCS#8, PKCS#1 or SEC 1. Without an algorithm, the kind of key decides.
    pub(super) fn read(
        pem: &Secret<String>,
        algorithm: Option<Algorithm>,
        id: Option<String>,
    ) -> Result<Self, WrongSetting> {
        let wrong = |reason: &str| WrongSetting::new("private_key", reason);
        let der = PrivateKeyDer::from_pem_slice(pem.expose().as_bytes())
            .map_err(|_| wrong("it is no private key in PEM."))?;
        let candidates = match &algorithm {
            Some(algorithm) => std::slice::from_ref(algorithm),
            None => &[
                Algorithm::RS256,
                Algorithm::ES256,
                Algorithm::ES384,
                Algorithm::EdDSA,
            ],
        };
        candidates
            .iter()
            .find_map(|algorithm| {
                let kind = Kind::read(&der, *algorithm)?;
                Some((kind, *algorithm))
            })
            .map(|(kind, algorithm)| Self {
                kind,
                algorithm,
                id,
            })
            .ok_or_else(|| match algorithm {
                Some(algorithm) => wrong(&format!("it cannot sign as {algorithm:?} wants.")),
                None => wrong("expected an RSA, P-256, P-384 or Ed25519 key."),
            })
    }

    /// A JWT by which we prove who we are, once and for a minute (RFC 7523 §3).
    pub(super) fn assert_client(
        &self,
        client_id: &str,
        audience: &str,
        now: Timestamp,
    ) -> Result<String, Failure> {
        let failed = |_| Failure::Unavailable("our private key does not sign".into());
        let mut id = [0; 16];
        random(&mut id).map_err(failed)?;
        let mut header = json!({"alg": format!("{:?}", self.algorithm), "typ": "JWT"});
        if let (Some(id), Some(header)) = (&self.id, header.as_object_mut()) {
            header.insert("kid".into(), Value::from(id.as_str()));
        }
        let claims = json!({
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "jti": BASE64_URL_SAFE_NO_PAD.encode(id),
            "iat": now.timestamp(),
            "exp": now.timestamp() + 60,
        });
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.kind.sign(signed.as_bytes()).map_err(failed)?;
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature);
        Ok(format!("{signed}.{signature}"))
    }
}

impl Kind {
    fn read(der: &PrivateKeyDer<'_>, algorithm: Algorithm) -> Option<Self> {
        let encoding: &'static dyn RsaEncoding = match algorithm {
            Algorithm::RS256 => &RSA_PKCS1_SHA256,
            Algorithm::RS384 => &RSA_PKCS1_SHA384,
            Algorithm::RS512 => &RSA_PKCS1_SHA512,
            Algorithm::PS256 => &RSA_PSS_SHA256,
            Algorithm::PS384 => &RSA_PSS_SHA384,
            Algorithm::PS512 => &RSA_PSS_SHA512,
            Algorithm::ES256 => return Self::ec(der, &ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => return Self::ec(der, &ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::EdDSA => {
                let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_der());
                return key.ok().map(Self::Ed);
            }
            _ => return None,
        };
        let key = match der {
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            other => RsaKeyPair::from_pkcs8(other.secret_der()),
        };
        key.ok().map(|key| Self::Rsa(key, encoding))
    }

    fn ec(der: &PrivateKeyDer<'_>, algorithm: &'static EcdsaSigningAlgorithm) -> Option<Self> {
        let key = EcdsaKeyPair::from_private_key_der(algorithm, der.secret_der());
        key.ok().map(Self::Ec)
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &random, message, &mut signature)?;
                Ok(signature)
            }
            Self::Ec(key) => Ok(key.sign(&random, message)?.as_ref().to_vec()),
            Self::Ed(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
    }
}
/// Fills a slice that nobody can guess.
#[expect(
    clippy::disallowed_methods,
    reason = "ids of assertions, which no test steers, and secrets is not below this crate"
)]
fn random(bytes: &mut [u8]) -> Result<(), aws_lc_rs::error::Unspecified> {
    aws_lc_rs::rand::fill(bytes)
}
