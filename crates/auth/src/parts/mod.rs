//! What admission, flows and handlers are made with. Put together once; there are no globals.

pub mod attempt_queues;
pub mod drivers;
pub mod login_cookie;

use std::sync::Arc;

use config::Config;
use model::clock::Clock;
use model::login_rules::LoginRules;
use secrets::blocking_pool::BlockingPool;
use secrets::credential_encryption::CredentialCipher;
use secrets::passwords::Hasher;
use secrets::random::Random;
use secrets::tokens::TokenFormat;
use secrets::tokens::receipt::FernetReceipts;
use store::Store;
use web::schemas::Schemas;

use crate::parts::attempt_queues::AttemptQueues;
use crate::parts::drivers::DriverRegistry;
use crate::parts::login_cookie::LoginCookies;
use crate::rules::policy_file::PolicyFile;
use crate::tokens::cache::TokenCache;

/// What admission, flows and handlers are made with.
pub struct Parts {
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
    /// What is kept of tokens between requests.
    pub token_cache: TokenCache,
    /// How receipts are written and read.
    pub receipts: FernetReceipts,
    /// Slow hashes, on threads of their own.
    pub hasher: Hasher,
    /// Whose turn it is to have a password tried.
    pub attempt_queues: AttemptQueues,
    /// What request bodies and queries may hold.
    pub schemas: Schemas,
    /// Encrypts stored credentials.
    pub credential_cipher: Arc<CredentialCipher>,
    /// What browsers carry between the two halves of a login.
    pub login_cookies: LoginCookies,
    /// How we speak to identity providers.
    pub drivers: DriverRegistry,
    /// Reads the files that requests need.
    pub files: BlockingPool,
    /// Applies mappings to what identity providers say.
    pub mappings: BlockingPool,
}

impl Parts {
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

    /// The operator's rules about accounts.
    pub fn login_rules(&self) -> LoginRules {
        let compliance = &self.config.security_compliance;
        LoginRules {
            lockout_failure_attempts: compliance.lockout_failure_attempts,
            lockout_duration: chrono::TimeDelta::from_std(compliance.lockout_duration)
                .unwrap_or(chrono::TimeDelta::MAX),
            inactive_days: compliance.disable_user_account_days_inactive,
        }
    }
}
