//! Encryption of the `credential` table: EC2 keys, TOTP seeds and the like rest as Fernet messages, with padding.

use std::path::PathBuf;

use model::Timestamp;

use crate::{key_repository::KeyRing, tokens::fernet};

/// How many keys a rotation leaves in the credential repository; no option changes it.
pub const MAX_ACTIVE_KEYS: usize = 3;

/// The one type of credential whose secret is JSON within JSON. Keystone compares it exactly.
const EC2: &str = "ec2";

/// Encrypts and decrypts the secrets of credentials.
pub struct CredentialCipher {
    keys: KeyRing,
}

/// A secret as the `credential` table holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedBlob {
    /// Column `encrypted_blob`.
    pub text: String,
    /// Column `key_hash`: SHA-1 of the text of the key, in hex.
    pub key_hash: String,
}

/// No key of the repository fits a stored credential, in Keystone's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Credential could not be decrypted. Please contact the administrator")]
pub struct Undecryptable;

/// Rows remain that a rotation could make unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not all credentials are encrypted with the primary key: run credential_migrate first")]
pub struct NotMigrated;

impl CredentialCipher {
    /// Secrets under the keys of `[credential] key_repository`, or under the null key while that cannot be used.
    pub fn open(key_repository: impl Into<PathBuf>) -> Self {
        Self {
            keys: KeyRing::open_with_null_key(key_repository),
        }
    }

    /// Reads the keys again if they have changed. To be called often.
    pub fn refresh(&self) -> bool {
        self.keys.refresh()
    }

    /// Encrypts the secret of a credential of type `kind`.
    pub fn encrypt(&self, kind: &str, blob: &str, now: Timestamp) -> EncryptedBlob {
        if kind == EC2 {
            self.seal(serde_json::Value::from(blob).to_string().as_bytes(), now)
        } else {
            self.seal(blob.as_bytes(), now)
        }
    }

    /// Decrypts the secret of a credential of type `kind`.
    pub fn decrypt(&self, kind: &str, encrypted: &str) -> Result<String, Undecryptable> {
        let content = self
            .keys
            .decrypt(encrypted)
            .map_err(|_| Undecryptable)?
            .content;
        let blob = String::from_utf8(content).map_err(|_| Undecryptable)?;
        if kind != EC2 {
            return Ok(blob);
        }
        // Where the secret was an object and no string, the text itself is its JSON.
        Ok(serde_json::from_str(&blob).unwrap_or(blob))
    }

    /// Encrypts anew what an older key encrypted, for any type of credential. `None` if the primary key did.
    pub fn migrate(
        &self,
        stored: &EncryptedBlob,
        now: Timestamp,
    ) -> Result<Option<EncryptedBlob>, Undecryptable> {
        if stored.key_hash == self.primary_key_hash() {
            return Ok(None);
        }
        let message = self.keys.decrypt(&stored.text).map_err(|_| Undecryptable)?;
        Ok(Some(self.seal(&message.content, now)))
    }

    /// The `key_hash` of what is encrypted now.
    pub fn primary_key_hash(&self) -> String {
        self.keys.current().primary().text_sha1()
    }

    fn seal(&self, content: &[u8], now: Timestamp) -> EncryptedBlob {
        let keys = self.keys.current();
        // A repository that can be used adds at least one.
        if keys.count() == 1 {
            tracing::warn!(
                "encrypting a credential with the null key, which protects nothing: \
                 set up the credential key repository"
            );
        }
        EncryptedBlob {
            text: keys.encrypt(content, now, fernet::random()),
            key_hash: keys.primary().text_sha1(),
        }
    }
}

/// Refuses a rotation while any stored `key_hash` is not that of the primary key: with only [`MAX_ACTIVE_KEYS`] kept,
/// it could delete a key that is still needed.
pub fn check_rotation<'a>(
    primary_key_hash: &str,
    stored: impl IntoIterator<Item = &'a str>,
) -> Result<(), NotMigrated> {
    let migrated = stored
        .into_iter()
        .all(|key_hash| key_hash == primary_key_hash);
    if migrated { Ok(()) } else { Err(NotMigrated) }
}
