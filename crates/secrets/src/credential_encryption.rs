//! Encryption of the `credential` table: EC2 keys, TOTP seeds and the like rest as Fernet messages, with padding.

use std::{io, path::PathBuf, sync::Arc};

use model::Timestamp;

use crate::{
    key_repository::{Follower, KeyRing},
    random,
};

/// How many keys a rotation leaves in the credential repository; no option changes it.
pub const MAX_ACTIVE_KEYS: usize = 3;

/// The one type of credential whose secret is JSON within JSON. Keystone compares it exactly.
const EC2: &str = "ec2";

/// Encrypts and decrypts the secrets of credentials.
pub struct CredentialCipher {
    keys: Arc<KeyRing>,
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
            keys: Arc::new(KeyRing::open_with_null_key(key_repository)),
        }
    }

    /// Reads the keys again if they have changed. It waits for the disk.
    pub fn refresh(&self) -> bool {
        self.keys.refresh()
    }

    /// Follows the keys, as [`KeyRing::follow`].
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub fn follow(&self) -> io::Result<Follower> {
        self.keys.follow()
    }

    /// Where one of these keys (`key_hash`) is not known, waits for a bounded time until the keys have been looked for
    /// once more: another node may have just rotated it in.
    pub async fn expect_keys<'a>(&self, key_hashes: impl IntoIterator<Item = &'a str>) {
        let keys = self.keys.current();
        if key_hashes.into_iter().any(|hash| !keys.has(hash)) {
            self.keys.next_look().await;
        }
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

    /// Encrypts again what an older key encrypted, for any type of credential. `None` if the primary key did.
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
            text: keys.encrypt(content, now, random::bytes()),
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

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;
    use tempfile::TempDir;

    use super::*;
    use crate::key_repository::{KeyRepository, NULL_KEY};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    /// A repository with the keys of the vectors, and the vector of a credential.
    fn vector() -> (TempDir, Value) {
        let text = include_str!("../tests/data/token_vectors.json");
        let mut data: Value = serde_json::from_str(text).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for (name, key) in data["keys"].as_object().unwrap() {
            fs::write(folder.path().join(name), key.as_str().unwrap()).unwrap();
        }
        (folder, data["credential"].take())
    }

    #[test]
    fn a_credential_of_keystone_is_read() {
        let (folder, vector) = vector();
        let cipher = CredentialCipher::open(folder.path());
        let encrypted = vector["encrypted_blob"].as_str().unwrap();
        assert_eq!(
            cipher.decrypt("ec2", encrypted).as_deref(),
            Ok(vector["blob"].as_str().unwrap())
        );
        assert_eq!(
            cipher.primary_key_hash(),
            vector["key_hash"].as_str().unwrap()
        );
    }

    #[test]
    fn credentials_outside_ascii_and_escaped_as_python_does_are_read() {
        let (folder, _) = vector();
        let cipher = CredentialCipher::open(folder.path());
        let text = include_str!("../tests/data/token_vectors_more.json");
        let data: Value = serde_json::from_str(text).unwrap();
        for vector in data["credentials"].as_array().unwrap() {
            let encrypted = vector["encrypted_blob"].as_str().unwrap();
            let text = vector["text"].as_str().unwrap();
            assert_eq!(cipher.decrypt("cert", encrypted).as_deref(), Ok(text));
            let within = serde_json::from_str(text).unwrap_or(text.to_owned());
            assert_eq!(cipher.decrypt("ec2", encrypted), Ok(within));
        }
    }

    #[test]
    fn a_secret_is_encrypted_with_padding_under_the_hash_of_its_key() {
        let (folder, vector) = vector();
        let cipher = CredentialCipher::open(folder.path());
        // 57 bytes around the blocks of 16: padding shows at two lengths of three.
        let short = cipher.encrypt("totp", "JBSWY3DPEHPK3PXP", NOW);
        assert_eq!(short.text.len() % 4, 0);
        assert!(short.text.ends_with('='));
        assert_eq!(short.key_hash, vector["key_hash"].as_str().unwrap());
        assert_eq!(
            cipher.decrypt("totp", &short.text).unwrap(),
            "JBSWY3DPEHPK3PXP"
        );
    }

    #[test]
    fn only_an_ec2_secret_is_json_within_json() {
        let (folder, _) = vector();
        let cipher = CredentialCipher::open(folder.path());
        let blob = r#"{"access": "Ä", "secret": "\"\n"}"#;
        for kind in ["ec2", "EC2", "cert"] {
            let encrypted = cipher.encrypt(kind, blob, NOW);
            assert_eq!(cipher.decrypt(kind, &encrypted.text).unwrap(), blob);
            let stored = cipher.decrypt("any other", &encrypted.text).unwrap();
            assert_eq!(stored.starts_with(r#""{\"access"#), kind == "ec2");
        }
    }

    #[test]
    fn an_ec2_secret_that_was_stored_as_an_object_is_returned_as_its_json() {
        let (folder, _) = vector();
        let cipher = CredentialCipher::open(folder.path());
        let object = r#"{"access": "AK", "secret": "SK"}"#;
        let encrypted = cipher.encrypt("as an object", object, NOW);
        assert_eq!(cipher.decrypt("ec2", &encrypted.text).unwrap(), object);
    }

    #[test]
    fn a_secret_under_a_lost_key_cannot_be_decrypted() {
        let (folder, vector) = vector();
        let cipher = CredentialCipher::open(folder.path());
        let (foreign, other) = (tempfile::tempdir().unwrap(), "not a message");
        KeyRepository::new(foreign.path())
            .setup(MAX_ACTIVE_KEYS, None)
            .unwrap();
        let encrypted = CredentialCipher::open(foreign.path())
            .encrypt("cert", "secret", NOW)
            .text;
        for text in [
            encrypted.as_str(),
            other,
            vector["key_hash"].as_str().unwrap(),
        ] {
            assert_eq!(cipher.decrypt("cert", text), Err(Undecryptable));
        }
    }

    #[test]
    fn migration_moves_a_secret_to_the_primary_key_and_only_once() {
        let (folder, _) = vector();
        let cipher = CredentialCipher::open(folder.path());
        let old = cipher.encrypt("ec2", "{}", NOW);
        assert_eq!(cipher.migrate(&old, NOW), Ok(None));

        KeyRepository::new(folder.path())
            .rotate(MAX_ACTIVE_KEYS, None)
            .unwrap();
        assert!(cipher.refresh());
        let new = cipher.migrate(&old, NOW).unwrap().unwrap();
        assert_eq!(new.key_hash, cipher.primary_key_hash());
        assert_ne!(new.key_hash, old.key_hash);
        assert_eq!(cipher.decrypt("ec2", &new.text).unwrap(), "{}");
        assert_eq!(cipher.migrate(&new, NOW), Ok(None));
    }

    #[test]
    fn secrets_under_the_null_key_are_migrated_once_there_is_a_repository() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("credential-keys");
        let cipher = CredentialCipher::open(&path);
        let weak = cipher.encrypt("cert", "secret", NOW);
        let sha1_of_the_null_key = crate::fernet::Key::parse(NULL_KEY).unwrap().text_sha1();
        assert_eq!(weak.key_hash, sha1_of_the_null_key);

        KeyRepository::new(&path)
            .setup(MAX_ACTIVE_KEYS, None)
            .unwrap();
        cipher.refresh();
        let strong = cipher.migrate(&weak, NOW).unwrap().unwrap();
        assert_ne!(strong.key_hash, weak.key_hash);
        assert_eq!(cipher.decrypt("cert", &strong.text).unwrap(), "secret");
    }

    #[test]
    fn a_rotation_is_refused_while_any_secret_is_under_another_key() {
        assert_eq!(check_rotation("new", []), Ok(()));
        assert_eq!(check_rotation("new", ["new", "new"]), Ok(()));
        assert_eq!(check_rotation("new", ["new", "old"]), Err(NotMigrated));
    }
}
