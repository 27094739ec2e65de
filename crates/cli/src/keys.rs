//! Key repositories: `fernet_setup`, `fernet_rotate`, `credential_setup`, `credential_rotate`,
//! with the options of keystone-manage.

use anyhow::{Context as _, Result};
use clap::Args;
use server::credential_encryption::{MAX_ACTIVE_KEYS, check_rotation};
use server::key_repository::{KeyRepository, Owner};

use crate::settings::{self, Settings};

/// Whose the keys shall be.
#[derive(Args)]
pub(crate) struct Keys {
    #[command(flatten)]
    settings: Settings,
    /// The user who shall own the files: a name or a number.
    #[arg(long, requires = "keystone_group")]
    keystone_user: Option<String>,
    /// The group that shall own the files: a name or a number.
    #[arg(long, requires = "keystone_user")]
    keystone_group: Option<String>,
}

impl Keys {
    pub(crate) fn fernet_setup(self) -> Result<()> {
        let config = self.settings.load()?;
        let tokens = &config.fernet_tokens;
        let repository = KeyRepository::new(&tokens.key_repository);
        repository.setup(tokens.max_active_keys as usize, self.owner()?)?;
        Ok(())
    }

    pub(crate) fn fernet_rotate(self) -> Result<()> {
        let config = self.settings.load()?;
        let tokens = &config.fernet_tokens;
        let repository = KeyRepository::new(&tokens.key_repository);
        repository.rotate(tokens.max_active_keys as usize, self.owner()?)?;
        Ok(())
    }

    pub(crate) fn credential_setup(self) -> Result<()> {
        let config = self.settings.load()?;
        let repository = KeyRepository::new(&config.credential.key_repository);
        repository.setup(MAX_ACTIVE_KEYS, self.owner()?)?;
        Ok(())
    }

    /// Refuses while credentials are stored under an older key: the next rotation would lose
    /// them.
    pub(crate) async fn credential_rotate(self) -> Result<()> {
        let owner = self.owner()?;
        let config = self.settings.load()?;
        let repository = KeyRepository::new(&config.credential.key_repository);
        let app = settings::open(config)?;
        let hashes = app.store.credentials().key_hashes().await?;
        let current = app.credential_cipher.primary_key_hash();
        check_rotation(&current, hashes.iter().map(String::as_str))?;
        repository.rotate(MAX_ACTIVE_KEYS, owner)?;
        app.store.close().await;
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
