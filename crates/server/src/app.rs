//! The server: what every request shares. Built once; there are no globals.

use std::sync::Arc;

use model::clock::Clock;
use store::Store;

use crate::flows::attempt_queues::AttemptQueues;
use crate::login_cookie::LoginCookies;
use crate::policy_file::PolicyFile;
use crate::providers::Drivers;
use crate::schemas::Schemas;
use config::Config;
use secrets::blocking_pool::BlockingPool;
use secrets::credential_encryption::CredentialCipher;
use secrets::key_repository::KeyRing;
use secrets::passwords::Hasher;
use secrets::random::Random;
use secrets::tokens::TokenFormat;
use secrets::tokens::receipt::FernetReceipts;

/// The server.
pub struct App {
    /// The settings.
    pub config: Config,
    /// The database.
    pub store: Store,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where ids and secrets come from.
    pub random: Arc<dyn Random>,
    /// Who may do what.
    pub policy: PolicyFile,
    /// How tokens are written and read.
    pub tokens: Box<dyn TokenFormat>,
    /// How receipts are written and read.
    pub receipts: FernetReceipts,
    /// Slow hashes, on threads of their own.
    pub hasher: Hasher,
    /// Whose turn it is to have a password tried.
    pub attempt_queues: AttemptQueues,
    /// What request bodies and queries may hold.
    pub schemas: Schemas,
    /// Encrypts stored credentials.
    pub credential_cipher: CredentialCipher,
    /// What browsers carry between the two halves of a login.
    pub login_cookies: LoginCookies,
    /// How we speak to identity providers.
    pub drivers: Drivers,
    /// Reads the files that requests need.
    pub files: BlockingPool,
    /// Applies mappings to what identity providers say.
    pub mappings: BlockingPool,
    /// The other keys, to be followed when they change.
    pub(crate) key_rings: [Arc<KeyRing>; 2],
}

impl App {
    /// `[DEFAULT] insecure_debug`: whether failed logins tell everybody why.
    pub fn insecure_debug(&self) -> bool {
        self.config.default.insecure_debug
    }

    /// `[DEFAULT] max_db_limit`: the most items of one answer; `None` when unlimited.
    pub fn max_page(&self) -> Option<u32> {
        Some(self.config.default.max_db_limit).filter(|limit| *limit > 0)
    }

    /// How many items a list has when the client does not say: by the `list_limit` of its section,
    /// else that of `[DEFAULT]`; `None` when all.
    pub fn list_limit(&self, section: Option<u32>) -> Option<u32> {
        let given = |limit: &u32| *limit > 0;
        section
            .filter(given)
            .or(self.config.default.list_limit.filter(given))
    }
}
