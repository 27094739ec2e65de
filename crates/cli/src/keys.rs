//! Key repositories: `fernet_setup`, `fernet_rotate`, `token_…`, `receipt_…`, `credential_…`, with
//! the options of keystone-manage.

use std::path::{Path, absolute};

use anyhow::{Context as _, Result};
use auth::flows::migrate_credentials::migrate_credentials;
use clap::Args;
use config::Config;
use model::clock::{Clock as _, SystemClock};
use secrets::credential_encryption::{CredentialCipher, MAX_ACTIVE_KEYS, check_rotation};
use secrets::key_repository::{KeyRepository, Owner};

use crate::settings::{self, Settings};

/// Whose the keys shall be.
#[derive(Args)]
pub(crate) struct Keys {
    /// The user who shall own the files: a name or a number.
    #[arg(long, requires = "keystone_group")]
    keystone_user: Option<String>,
    /// The group that shall own the files: a name or a number.
    #[arg(long, requires = "keystone_user")]
    keystone_group: Option<String>,
}

/// What keys protect.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Credentials,
    Receipts,
    Tokens,
}

impl Purpose {
    /// The folder, and how many keys a rotation leaves there.
    fn repository(self, config: &Config) -> (&Path, usize) {
        let (tokens, receipts) = (&config.fernet_tokens, &config.fernet_receipts);
        match self {
            Self::Credentials => (&config.credential.key_repository, MAX_ACTIVE_KEYS),
            Self::Receipts => (&receipts.key_repository, receipts.max_active_keys as usize),
            Self::Tokens => (&tokens.key_repository, tokens.max_active_keys as usize),
        }
    }
}

impl Keys {
    pub(crate) fn setup(self, settings: Settings, purposes: &[Purpose]) -> Result<()> {
        let config = settings.load()?;
        let owner = self.owner()?;
        for (folder, max) in repositories(&config, purposes)? {
            KeyRepository::new(folder).setup(max, owner)?;
        }
        Ok(())
    }

    pub(crate) fn rotate(self, settings: Settings, purposes: &[Purpose]) -> Result<()> {
        let config = settings.load()?;
        let owner = self.owner()?;
        for (folder, max) in repositories(&config, purposes)? {
            KeyRepository::new(folder).rotate(max, owner)?;
        }
        Ok(())
    }

    /// Refuses while credentials are stored under an older key: the next rotation would lose
    /// them.
    pub(crate) async fn credential_rotate(self, settings: Settings) -> Result<()> {
        let owner = self.owner()?;
        let config = settings.load()?;
        let repository = KeyRepository::new(&config.credential.key_repository);
        // The database alone: tokens may have no keys yet.
        let store = settings::open_database(&config)?;
        let cipher = CredentialCipher::open(&config.credential.key_repository);
        let hashes = store.credentials().key_hashes().await?;
        check_rotation(
            &cipher.primary_key_hash(),
            hashes.iter().map(String::as_str),
        )?;
        repository.rotate(MAX_ACTIVE_KEYS, owner)?;
        store.close().await;
        Ok(())
    }

    fn owner(&self) -> Result<Option<Owner>> {
        let (Some(user), Some(group)) = (&self.keystone_user, &self.keystone_group) else {
            return Ok(None);
        };
        Ok(Some(Owner {
            uid: number("/etc/passwd", user).with_context(|| format!("--keystone-user {user}"))?,
            gid: number("/etc/group", group)
                .with_context(|| format!("--keystone-group {group}"))?,
        }))
    }
}

/// Brings stored credentials under the primary key, after which a rotation is allowed.
pub(crate) async fn credential_migrate(settings: Settings) -> Result<()> {
    let config = settings.load()?;
    // Without a repository there is only the null key, which would expose them.
    KeyRepository::new(&config.credential.key_repository).load()?;
    let store = settings::open_database(&config)?;
    let cipher = CredentialCipher::open(&config.credential.key_repository);
    let migrated = migrate_credentials(&store, &cipher, SystemClock::default().now()).await?;
    tracing::info!("encrypted {migrated} credentials with the primary key");
    store.close().await;
    Ok(())
}

/// The folders for these purposes, each once: the first purpose says how many keys it holds.
fn repositories<'a>(config: &'a Config, purposes: &[Purpose]) -> Result<Vec<(&'a Path, usize)>> {
    let mut found: Vec<(&Path, usize)> = Vec::new();
    for purpose in purposes {
        let (folder, max) = purpose.repository(config);
        let path = absolute(folder)?;
        let mut others = found.iter().map(|(other, _)| absolute(other));
        if !others.any(|other| other.is_ok_and(|other| other == path)) {
            found.push((folder, max));
        }
    }
    Ok(found)
}

/// The number of a user or group: the third field of its line.
fn number(path: &str, name: &str) -> Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let text = std::fs::read_to_string(path)?;
    let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let line = lines.find(|fields| fields.first() == Some(&name));
    let number = line.and_then(|fields| fields.get(2)?.parse().ok());
    number.with_context(|| format!("{path} does not name it"))
}
