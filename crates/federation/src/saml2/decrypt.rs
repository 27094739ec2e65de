//! Opening what was encrypted for us.
//!
//! Only what SAML providers use is accepted: one piece of data, encrypted by AES, whose key came
//! by RSA-OAEP. RSA with the padding of PKCS #1 1.5 is refused, and so are keys and data by
//! reference. Whatever fails once the message is well-formed fails with the same words, so that
//! nobody can use us to try what decrypts.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bergshamra::Key;
use bergshamra::core::algorithm;
use bergshamra::crypto::cipher;
use bergshamra::crypto::keytransport::{self, OaepParams};

use super::xml::{self, Element, refused};
use crate::driver::Failure;

const GCM: [&str; 3] = [
    algorithm::AES128_GCM,
    algorithm::AES192_GCM,
    algorithm::AES256_GCM,
];
/// They do not notice changes: who may change what is encrypted, and sees how we take it, can read
/// it bit by bit, and what was encrypted by GCM to the same key as well.
const CBC: [&str; 3] = [
    algorithm::AES128_CBC,
    algorithm::AES192_CBC,
    algorithm::AES256_CBC,
];
const KEY_TRANSPORTS: [&str; 2] = [algorithm::RSA_OAEP, algorithm::RSA_OAEP_ENC11];
/// To how many recipients one message may be encrypted.
const MAX_KEYS: usize = 8;

/// The text of the element that an `EncryptedAssertion` holds. `unchanged` is whether it is as the
/// provider wrote it, as far as we know before it is opened.
pub(super) fn decrypt(
    encrypted: Element<'_>,
    keys: &[Key],
    unchanged: bool,
) -> Result<String, Failure> {
    if keys.is_empty() {
        return Err(refused("the assertion is encrypted, and we have no key"));
    }
    let data = encrypted
        .only(xml::ENCRYPTION, "EncryptedData")?
        .ok_or_else(|| refused("EncryptedData is missing"))?;
    let kind = data.attribute("Type");
    if kind.is_some_and(|kind| kind != "http://www.w3.org/2001/04/xmlenc#Element") {
        return Err(refused("what is encrypted is not an element"));
    }
    let (cipher, _) = method(data, &[GCM, CBC].concat())?;
    if CBC.contains(&cipher) && !unchanged {
        return Err(refused(
            "what is encrypted by AES-CBC has to be signed as well, in the response around it; \
             else let the provider encrypt by AES-GCM, or set allow_cbc",
        ));
    }
    let cipher = cipher::from_uri(cipher).map_err(|_| cannot())?;
    let sealed = cipher_value(data)?;
    let within = data.only(xml::SIGNATURE, "KeyInfo")?;
    let encrypted_keys: Vec<Element<'_>> = within
        .into_iter()
        .chain([encrypted])
        .flat_map(|place| place.all(xml::ENCRYPTION, "EncryptedKey"))
        .collect();
    if encrypted_keys.is_empty() || encrypted_keys.len() > MAX_KEYS {
        return Err(refused("one to eight EncryptedKey are wanted"));
    }
    for encrypted_key in encrypted_keys {
        let (transport, its_method) = method(encrypted_key, &KEY_TRANSPORTS)?;
        let transport = keytransport::from_uri_with_params(transport, oaep(its_method)?)
            .map_err(|_| refused("the parameters of RSA-OAEP are not accepted"))?;
        let wrapped = cipher_value(encrypted_key)?;
        for key in keys {
            let Ok(Some(key)) = key.software_key() else {
                continue;
            };
            let Ok(content_key) = transport.decrypt(&key, &wrapped) else {
                continue;
            };
            if content_key.len() != cipher.key_size() {
                continue;
            }
            let opened = cipher.decrypt(&content_key, &sealed);
            if let Some(text) = opened.ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
                return Ok(text);
            }
        }
    }
    Err(cannot())
}

fn cannot() -> Failure {
    refused("the assertion cannot be decrypted with our key")
}

/// How a piece is encrypted, which must be one of these.
fn method<'d>(piece: Element<'d>, known: &[&str]) -> Result<(&'d str, Element<'d>), Failure> {
    let method = piece
        .only(xml::ENCRYPTION, "EncryptionMethod")?
        .ok_or_else(|| refused("EncryptionMethod is missing"))?;
    let algorithm = method.attribute("Algorithm").unwrap_or_default();
    if !known.contains(&algorithm) {
        return Err(refused(format!(
            "encryption by '{algorithm}' is not accepted"
        )));
    }
    Ok((algorithm, method))
}

/// The bytes of a piece, which must stand in the message itself.
fn cipher_value(piece: Element<'_>) -> Result<Vec<u8>, Failure> {
    let value = piece
        .only(xml::ENCRYPTION, "CipherData")?
        .map(|data| data.only(xml::ENCRYPTION, "CipherValue"))
        .transpose()?
        .flatten()
        .ok_or_else(|| refused("CipherValue is missing"))?;
    base64(&value.plain_text()?).ok_or_else(|| refused("CipherValue is not Base64"))
}

fn oaep(method: Element<'_>) -> Result<OaepParams, Failure> {
    let algorithm = |element: Option<Element<'_>>| {
        element.and_then(|element| Some(element.attribute("Algorithm")?.to_owned()))
    };
    let label = method
        .only(xml::ENCRYPTION, "OAEPparams")?
        .map(|label| base64(&label.text()).ok_or_else(|| refused("OAEPparams is not Base64")))
        .transpose()?;
    Ok(OaepParams {
        digest_uri: algorithm(method.only(xml::SIGNATURE, "DigestMethod")?),
        mgf_uri: algorithm(method.only(xml::ENCRYPTION_11, "MGF")?),
        oaep_params: label,
    })
}

/// Reads Base64 with space anywhere in it.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    BASE64_STANDARD.decode(packed).ok()
}
