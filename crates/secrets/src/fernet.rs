//! Fernet messages: encrypted, authenticated and dated (<https://github.com/fernet/spec>, version 0x80).
//!
//! A message is `0x80 | creation time | IV | AES-128-CBC ciphertext | HMAC-SHA256`, in url-safe base64.

use std::fmt;

use aws_lc_rs::{
    cipher::{
        AES_128, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
        PaddedBlockEncryptingKey, UnboundCipherKey,
    },
    digest, hmac,
    iv::FixedLength,
};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use model::Timestamp;
use zeroize::Zeroizing;

use crate::hex::hex;
use crate::random;

/// Writes padding, and reads with and without it: tokens travel without, credentials rest with it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const VERSION: u8 = 0x80;
const BLOCK: usize = 16;
/// Version, creation time and IV.
const HEADER: usize = 1 + 8 + BLOCK;
const MAC: usize = 32;

/// A key with what is derived from it, so that no message waits for that.
pub struct Key {
    signing: hmac::Key,
    encrypting: PaddedBlockEncryptingKey,
    decrypting: PaddedBlockDecryptingKey,
    text_sha1: [u8; 20],
}

/// Keys of which the first encrypts and any may have encrypted what is decrypted.
pub struct Keys {
    primary: Key,
    others: Vec<Key>,
}

/// A decrypted message.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// What was encrypted.
    pub content: Vec<u8>,
    /// When it was encrypted, in whole seconds.
    pub created_at: Timestamp,
}

/// A text that is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a Fernet key is 32 bytes in url-safe base64")]
pub struct InvalidKey;

/// Why a message cannot be decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecryptError {
    /// It has not the form of a message, so no key will help.
    #[error("not a Fernet message")]
    Malformed,
    /// None of the keys made it, or somebody has changed it.
    #[error("no key fits the Fernet message")]
    NoKeyFits,
}

impl Key {
    /// Reads a key as its file holds it: url-safe base64, of which white space at the end is no part.
    ///
    /// The standard alphabet is taken too, as Keystone does.
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        let url_safe = Zeroizing::new(text.trim_end().replace('+', "-").replace('/', "_"));
        let bytes = BASE64.decode(url_safe.as_bytes()).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| InvalidKey)?;
        if bytes.len() != 2 * BLOCK {
            return Err(InvalidKey);
        }
        let (signing, encryption) = bytes.split_at(BLOCK);
        let cipher = || UnboundCipherKey::new(&AES_128, encryption).map_err(|_| InvalidKey);
        let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
        Ok(Self {
            signing: hmac::Key::new(hmac::HMAC_SHA256, signing),
            encrypting: PaddedBlockEncryptingKey::cbc_pkcs7(cipher()?).map_err(|_| InvalidKey)?,
            decrypting: PaddedBlockDecryptingKey::cbc_pkcs7(cipher()?).map_err(|_| InvalidKey)?,
            text_sha1: sha1
                .as_ref()
                .try_into()
                .expect("a SHA-1 digest has 20 bytes"),
        })
    }

    /// A new random key as its file holds it: 44 characters.
    pub fn generate() -> Zeroizing<String> {
        let bytes = Zeroizing::new(random::bytes::<{ 2 * BLOCK }>());
        Zeroizing::new(BASE64.encode(bytes.as_slice()))
    }

    /// SHA-1 of the key's text in lower-case hex, by which the `credential` table names keys.
    pub fn text_sha1(&self) -> String {
        hex(&self.text_sha1)
    }

    fn encrypt(&self, content: &[u8], created_at: Timestamp, iv: [u8; BLOCK]) -> String {
        let mut ciphertext = content.to_vec();
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        self.encrypting
            .less_safe_encrypt(&mut ciphertext, context)
            .expect("CBC takes a padded message of any length and a 16 byte IV");

        let mut message = Vec::with_capacity(HEADER + ciphertext.len() + MAC);
        message.push(VERSION);
        // The format knows no time before 1970.
        message.extend(
            u64::try_from(created_at.timestamp())
                .unwrap_or(0)
                .to_be_bytes(),
        );
        message.extend(iv);
        message.extend(ciphertext);
        let mac = hmac::sign(&self.signing, &message);
        message.extend(mac.as_ref());
        BASE64.encode(message)
    }
}

impl Keys {
    /// Whether one of the keys is called so by the `credential` table: by [`Key::text_sha1`].
    pub fn has(&self, text_sha1: &str) -> bool {
        let mut keys = [&self.primary].into_iter().chain(&self.others);
        keys.any(|key| key.text_sha1() == text_sha1)
    }

    /// Keys of which the first encrypts; the others are tried in order. There must be one.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Option<Self> {
        let mut keys = keys.into_iter();
        Some(Self {
            primary: keys.next()?,
            others: keys.collect(),
        })
    }

    /// Adds a key that only decrypts, after all others have been tried.
    pub fn push(&mut self, key: Key) {
        self.others.push(key);
    }

    /// The key that encrypts.
    pub fn primary(&self) -> &Key {
        &self.primary
    }

    /// How many keys there are.
    pub fn count(&self) -> usize {
        1 + self.others.len()
    }

    /// Encrypts with the primary key. The text has padding.
    ///
    /// No two messages may share an `iv`: take it from [`random::bytes`].
    pub fn encrypt(&self, content: &[u8], created_at: Timestamp, iv: [u8; BLOCK]) -> String {
        self.primary.encrypt(content, created_at, iv)
    }

    /// Decrypts what any of the keys encrypted, however long ago. The text may lack padding.
    pub fn decrypt(&self, text: &str) -> Result<Message, DecryptError> {
        let mut message = BASE64.decode(text).map_err(|_| DecryptError::Malformed)?;
        let ciphertext = HEADER..message.len().saturating_sub(MAC);
        if message.first() != Some(&VERSION)
            || ciphertext.is_empty()
            || !ciphertext.len().is_multiple_of(BLOCK)
        {
            return Err(DecryptError::Malformed);
        }

        let (signed, mac) = message.split_at(ciphertext.end);
        let key = std::iter::once(&self.primary)
            .chain(&self.others)
            .find(|key| hmac::verify(&key.signing, signed, mac).is_ok())
            .ok_or(DecryptError::NoKeyFits)?;

        let created_at = u64::from_be_bytes(array(&message[1..9]));
        let created_at = i64::try_from(created_at)
            .ok()
            .and_then(|seconds| Timestamp::from_timestamp(seconds, 0))
            .ok_or(DecryptError::Malformed)?;
        let iv = FixedLength::from(array(&message[9..HEADER]));
        let content = key
            .decrypting
            .decrypt(&mut message[ciphertext], DecryptionContext::Iv128(iv))
            .map_err(|_| DecryptError::Malformed)?
            .to_vec();
        Ok(Message {
            content,
            created_at,
        })
    }
}

impl From<Key> for Keys {
    fn from(primary: Key) -> Self {
        Self {
            primary,
            others: Vec::new(),
        }
    }
}

/// Says no more of the keys than how many there are.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.count())
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the slice was cut to this length")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and messages of the Fernet specification (`generate.json`, `verify.json`).
    const SPEC_KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    const SPEC_TOKEN: &str = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";

    fn keys(texts: &[&str]) -> Keys {
        Keys::new(texts.iter().map(|text| Key::parse(text).unwrap())).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).unwrap()
    }

    #[test]
    fn a_message_is_byte_for_byte_that_of_the_specification() {
        let iv = std::array::from_fn(|i| i as u8);
        assert_eq!(
            keys(&[SPEC_KEY]).encrypt(b"hello", at(499_162_800), iv),
            SPEC_TOKEN
        );
    }

    #[test]
    fn padding_may_be_missing() {
        let expected = Message {
            content: b"hello".to_vec(),
            created_at: at(499_162_800),
        };
        let keys = keys(&[SPEC_KEY]);
        assert_eq!(keys.decrypt(SPEC_TOKEN).as_ref(), Ok(&expected));
        assert_eq!(keys.decrypt(SPEC_TOKEN.trim_end_matches('=')), Ok(expected));
    }

    #[test]
    fn any_key_decrypts_and_the_first_encrypts() {
        let other = Key::generate();
        let text = keys(&[&other]).encrypt(b"hi", at(1), random::bytes());
        assert_eq!(
            keys(&[SPEC_KEY, &other]).decrypt(&text).unwrap().content,
            b"hi"
        );
        let text = keys(&[SPEC_KEY, &other]).encrypt(b"hi", at(1), random::bytes());
        assert_eq!(keys(&[&other]).decrypt(&text), Err(DecryptError::NoKeyFits));
    }

    #[test]
    fn a_change_of_any_bit_is_noticed() {
        let keys = keys(&[SPEC_KEY]);
        let message = BASE64.decode(SPEC_TOKEN).unwrap();
        for bit in 0..message.len() * 8 {
            let mut changed = message.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(keys.decrypt(&BASE64.encode(changed)).is_err(), "bit {bit}");
        }
        for length in 0..message.len() {
            assert!(
                keys.decrypt(&BASE64.encode(&message[..length])).is_err(),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn what_has_not_the_form_of_a_message_is_told_apart_from_a_foreign_one() {
        let keys = keys(&[SPEC_KEY]);
        let no_ciphertext = BASE64.encode([&[VERSION][..], &[0; HEADER - 1 + MAC]].concat());
        for text in [
            "",
            "gAAAA",
            "not base64!",
            "gAAA AA",
            no_ciphertext.as_str(),
        ] {
            assert_eq!(keys.decrypt(text), Err(DecryptError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn a_genuine_message_that_is_nonsense_within_is_refused() {
        let keys = keys(&[SPEC_KEY]);
        let genuine = |seconds: [u8; 8], ciphertext: [u8; BLOCK]| {
            let iv = [0; BLOCK];
            let signed = [&[VERSION], &seconds[..], &iv, &ciphertext].concat();
            let mac = hmac::sign(&keys.primary.signing, &signed);
            BASE64.encode([&signed, mac.as_ref()].concat())
        };
        // Zero bytes decrypt to bytes of no pattern, so to no padding.
        let no_padding = genuine([0; 8], [0; BLOCK]);
        assert_eq!(keys.decrypt(&no_padding), Err(DecryptError::Malformed));
        let no_time = genuine([0xff; 8], [0; BLOCK]);
        assert_eq!(keys.decrypt(&no_time), Err(DecryptError::Malformed));
    }

    #[test]
    fn a_key_is_32_bytes_of_either_base64() {
        assert!(Key::parse(SPEC_KEY).is_ok());
        assert!(Key::parse(&format!("{SPEC_KEY}\n")).is_ok());
        assert!(Key::parse(&SPEC_KEY.replace('_', "/").replace('-', "+")).is_ok());
        for bad in [
            "",
            "AAAA",
            "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=A",
            "nonsense",
        ] {
            assert!(Key::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Key::generate().len(), 44);
        assert_ne!(Key::generate(), Key::generate());
    }
}
