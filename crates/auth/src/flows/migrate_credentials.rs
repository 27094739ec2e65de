//! Brings stored credentials under the primary key (`keystone-manage credential_migrate`).

use model::Timestamp;
use model::credential::CredentialFilter;
use model::ids::{CredentialId, IdentityProviderId, ProtocolId};
use secrets::credential_encryption::{CredentialCipher, EncryptedBlob, Undecryptable};
use store::{Store, StoreError};

/// Why credentials were not brought under the primary key.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database refused or did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No key of the repository fits this one.
    #[error("credential {id} fits no key of the repository: {source}")]
    Undecryptable {
        /// Which.
        id: CredentialId,
        /// In Keystone's words.
        source: Undecryptable,
    },
    /// No key of the repository fits the secrets of this protocol.
    #[error("the secrets of protocol {id} of {provider} fit no key of the repository: {source}")]
    Protocol {
        /// Which.
        id: ProtocolId,
        /// Whose.
        provider: IdentityProviderId,
        /// In Keystone's words.
        source: Undecryptable,
    },
}

/// Encrypts again every credential that is stored under an older key, and the secrets of protocols, all
/// of them or none; says how many. One that is changed meanwhile is under the primary key anyway.
///
/// # Errors
///
/// When the database does not answer, or a credential fits no key.
pub async fn migrate_credentials(
    store: &Store,
    cipher: &CredentialCipher,
    now: Timestamp,
) -> Result<usize, MigrateError> {
    let mut migrated = 0;
    let mut tx = store.begin().await?;
    for credential in tx.credentials().list(&CredentialFilter::default()).await? {
        let stored = EncryptedBlob {
            text: credential.encrypted_blob.clone(),
            key_hash: credential.key_hash.clone(),
        };
        let renewed = cipher.migrate(&stored, now);
        let renewed = renewed.map_err(|source| MigrateError::Undecryptable {
            id: credential.id.clone(),
            source,
        })?;
        if let Some(EncryptedBlob { text, key_hash }) = renewed {
            let mut credentials = tx.credentials_mut();
            migrated += usize::from(credentials.reencrypt(&credential, &text, &key_hash).await?);
        }
    }
    for protocol in tx.protocols().list_all().await? {
        let Some((text, key_hash)) = protocol.driver.as_ref().and_then(|own| own.secrets.clone())
        else {
            continue;
        };
        let stored = EncryptedBlob { text, key_hash };
        let renewed = cipher.migrate(&stored, now);
        let renewed = renewed.map_err(|source| MigrateError::Protocol {
            id: protocol.id.clone(),
            provider: protocol.identity_provider_id.clone(),
            source,
        })?;
        if let Some(EncryptedBlob { text, key_hash }) = renewed {
            let mut protocols = tx.protocols_mut();
            let done = protocols.reencrypt(&protocol, &stored.text, &text, &key_hash);
            migrated += usize::from(done.await?);
        }
    }
    let _saved = tx.commit().await?;
    Ok(migrated)
}
