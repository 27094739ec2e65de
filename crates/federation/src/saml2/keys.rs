//! Keys: ours, and those of certificates.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bergshamra::Key;
use bergshamra::keys::loader;
use model::{Secret, Timestamp};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::settings::WrongSetting;

/// A key of ours with its certificate: it signs requests, and opens what is encrypted for us.
pub(super) struct OurKey {
    pair: KeyPair,
    key: Key,
    certificate: Vec<u8>,
}

impl OurKey {
    /// Reads both from PEM.
    pub(super) fn read(
        names: (&str, &str),
        key: &Secret<String>,
        certificate: &str,
    ) -> Result<Self, WrongSetting> {
        let wrong_key = |reason: &str| WrongSetting::new(names.0, reason);
        let wrong_certificate = |reason: &str| WrongSetting::new(names.1, reason);
        let pem = key.expose().as_bytes();
        let pair = match PrivateKeyDer::from_pem_slice(pem) {
            Ok(PrivateKeyDer::Pkcs1(der)) => KeyPair::from_der(der.secret_pkcs1_der()).ok(),
            Ok(PrivateKeyDer::Pkcs8(der)) => KeyPair::from_pkcs8(der.secret_pkcs8_der()).ok(),
            _ => return Err(wrong_key("no private key in PEM is there.")),
        };
        let pair =
            pair.ok_or_else(|| wrong_key("an RSA key is required, as SAML encrypts to it."))?;
        if pair.public_modulus_len() < 256 {
            return Err(wrong_key("an RSA key needs 2048 bits or more."));
        }
        let opens = loader::load_rsa_private_pem(pem)
            .map_err(|_| wrong_key("the key cannot be used for XML."))?;
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|_| wrong_certificate("no certificate in PEM is there."))?
            .to_vec();
        let (_, parsed) = X509Certificate::from_der(&certificate)
            .map_err(|_| wrong_certificate("the certificate cannot be read."))?;
        if parsed.public_key().subject_public_key.data.as_ref() != pair.public_key().as_ref() {
            return Err(wrong_certificate(
                "it is not the certificate of the private key.",
            ));
        }
        let key = opens.with_name(names.0);
        Ok(Self {
            pair,
            key,
            certificate,
        })
    }

    /// The key, as XML needs it.
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// The certificate, as metadata carries it.
    pub(super) fn certificate_text(&self) -> String {
        BASE64_STANDARD.encode(&self.certificate)
    }

    /// When the certificate ends.
    pub(super) fn ends(&self) -> Option<Timestamp> {
        ends(&self.certificate)
    }

    /// Signs by RSA with SHA-256, as the redirect binding wants it.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                message,
                &mut signature,
            )
            .ok()?;
        Some(signature)
    }
}

impl fmt::Debug for OurKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OurKey")
    }
}

/// When a certificate ends.
pub(super) fn ends(certificate: &[u8]) -> Option<Timestamp> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Timestamp::from_timestamp(parsed.validity().not_after.timestamp(), 0)
}

/// The key of a certificate, which must be strong enough.
pub(super) fn of_certificate(certificate: &[u8]) -> Result<Key, String> {
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|_| "a certificate cannot be read".to_owned())?;
    if let Ok(x509_parser::public_key::PublicKey::RSA(key)) = parsed.public_key().parsed()
        && key.key_size() < 2048
    {
        return Err(format!(
            "an RSA key has {} bits, 2048 are wanted",
            key.key_size()
        ));
    }
    loader::load_x509_cert_der(certificate)
        .map_err(|error| format!("the key of a certificate cannot be used: {error}"))
}

/// The keys of certificates in PEM.
pub(super) fn of_pem(name: &str, pem: &str) -> Result<Vec<Key>, WrongSetting> {
    let mut keys = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate =
            certificate.map_err(|_| WrongSetting::new(name, "no certificate in PEM is there."))?;
        let key = of_certificate(&certificate)
            .map_err(|reason| WrongSetting::new(name, format!("{reason}.")))?;
        keys.push(key);
    }
    if keys.is_empty() {
        return Err(WrongSetting::new(name, "no certificate in PEM is there."));
    }
    Ok(keys)
}
