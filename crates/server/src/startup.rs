//! From a configuration to a running server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use model::Method;
use model::clock::Clock;
use store::{CacheSettings, Options, Store, StoreError};

use crate::app::App;
use crate::login_cookie::LoginCookies;
use crate::policy_file::{self, PolicyFile, PolicySources};
use crate::schemas::Schemas;
use config::{Config, Database, Limit, PasswordHash};
use secrets::blocking_pool::BlockingPool;
use secrets::credential_encryption::CredentialCipher;
use secrets::key_repository::{Follower, KeyRepositoryError, KeyRing};
use secrets::passwords::{Algorithm, Hasher, Settings, SetupError};
use secrets::random::Random;
use secrets::tokens::FernetTokens;
use secrets::tokens::payload::MethodBits;
use secrets::tokens::receipt::FernetReceipts;
use secrets::watch::Watch;

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database address cannot be used, or the database is not there.
    #[error(transparent)]
    Database(#[from] StoreError),
    /// The keys that protect tokens cannot be used.
    #[error("[fernet_tokens] key_repository: {0}. `archstone fernet_setup` makes one.")]
    TokenKeys(#[source] KeyRepositoryError),
    /// The keys that protect receipts cannot be used.
    #[error("[fernet_receipts] key_repository: {0}")]
    ReceiptKeys(#[source] KeyRepositoryError),
    /// The options of password hashes do not fit each other.
    #[error("[identity] password_hash_…: {0}")]
    Hashing(#[from] SetupError),
    /// A policy file cannot be used.
    #[error("[oslo_policy] policy_file: {0}")]
    Policy(String),
}

impl App {
    /// Makes a server of its settings. The database is not asked yet.
    ///
    /// # Errors
    ///
    /// What in the settings, or in the files that they name, cannot be used.
    pub fn open(
        config: Config,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, StartError> {
        let store = Store::connect(&database(&config, Arc::clone(&clock)))?;
        let methods: Vec<Method> = config
            .auth
            .methods
            .iter()
            .map(|name| Method::from(name.as_str()))
            .collect();
        let token_keys = KeyRing::open(&config.fernet_tokens.key_repository);
        let token_keys = Arc::new(token_keys.map_err(StartError::TokenKeys)?);
        let receipt_keys =
            if config.fernet_receipts.key_repository == config.fernet_tokens.key_repository {
                Arc::clone(&token_keys)
            } else {
                let keys = KeyRing::open(&config.fernet_receipts.key_repository);
                Arc::new(keys.map_err(StartError::ReceiptKeys)?)
            };
        let tokens = FernetTokens::new(
            Arc::clone(&token_keys),
            MethodBits::new(methods.clone()),
            config.identity.default_domain_id.clone(),
            config.default.max_token_size as usize,
        );
        let receipts = FernetReceipts::new(Arc::clone(&receipt_keys), MethodBits::new(methods));
        let options = policy::Options {
            enforce_new_defaults: config.oslo_policy.enforce_new_defaults,
            default_rule: config.oslo_policy.policy_default_rule.clone(),
        };
        let policy = PolicyFile::open(
            policy_file::defaults(&crate::routes()),
            options,
            policy_sources(&config),
        )
        .map_err(StartError::Policy)?;
        Ok(Self {
            store,
            clock,
            random,
            policy,
            tokens: Box::new(tokens),
            receipts,
            hasher: Hasher::new(&hashing(&config))?,
            attempt_queues: Default::default(),
            schemas: Schemas::load(),
            login_cookies: LoginCookies::new(Arc::clone(&token_keys)),
            drivers: Default::default(),
            files: BlockingPool::new(16),
            mappings: BlockingPool::new(cores()),
            credential_cipher: CredentialCipher::open(&config.credential.key_repository),
            key_rings: [token_keys, receipt_keys],
            config,
        })
    }

    /// Looks at what changes outside of the process: key repositories and policy files. It waits for
    /// the disk.
    pub fn refresh(&self) {
        for keys in &self.key_rings {
            keys.refresh();
        }
        self.credential_cipher.refresh();
        self.policy.refresh();
    }
}

/// How to use the database that the settings name.
pub fn database(config: &Config, clock: Arc<dyn Clock>) -> Options {
    let max_connections = match (config.database.max_pool_size, config.database.max_overflow) {
        // Any number, as far as a database bears it.
        (0, _) => 100,
        (kept, Limit::Unlimited) => kept.saturating_add(100),
        (kept, Limit::AtMost(overflow)) => kept.saturating_add(overflow),
    };
    let timeout = config.archstone.database_timeout;
    Options {
        connection: connection(&config.database),
        wsrep_sync_wait: config.database.mysql_wsrep_sync_wait,
        max_connections,
        timeout,
        acquire_timeout: config.database.pool_timeout.unwrap_or(timeout),
        clock,
        cache: CacheSettings {
            enabled: config.cache.enabled,
            foreign_ttl: config.cache.foreign_ttl,
            sole_writer: config.archstone.sole_writer,
            poll: Some(FOLLOW),
            // A request ends in time, and the statement that it waits for last.
            longest_transaction: (config.archstone.request_timeout + timeout * 2)
                .max(Duration::from_secs(60)),
        },
        authorization_ttl: config.federation.default_authorization_ttl,
        whole_catalog: config.endpoint_filter.return_all_endpoints_if_no_filter,
        lifetime: match config.database.connection_recycle_time {
            Limit::AtMost(lifetime) => Some(lifetime),
            Limit::Unlimited => None,
        },
    }
}

/// The URL with the parameters that are set apart from it.
fn connection(settings: &Database) -> String {
    let url = settings.connection.expose();
    let parameters = settings.connection_parameters.expose().trim_matches('&');
    let join = if url.contains('?') { '&' } else { '?' };
    match parameters.is_empty() {
        true => url.clone(),
        false => format!("{url}{join}{parameters}"),
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn hashing(config: &Config) -> Settings {
    let identity = &config.identity;
    let threads = match config.archstone.hash_threads {
        0 => cores(),
        threads => threads as usize,
    };
    Settings {
        algorithm: match identity.password_hash_algorithm {
            PasswordHash::Bcrypt => Algorithm::Bcrypt,
            PasswordHash::BcryptSha256 => Algorithm::BcryptSha256,
            PasswordHash::Scrypt => Algorithm::Scrypt,
            PasswordHash::Pbkdf2Sha512 => Algorithm::Pbkdf2Sha512,
        },
        rounds: identity.password_hash_rounds,
        scrypt_block_size: identity.scrypt_block_size,
        scrypt_parallelism: identity.scrypt_parallelism,
        salt_bytes: identity.salt_bytesize.map(|bytes| bytes as usize),
        max_length: identity.max_password_length as usize,
        strict_length: config.default.strict_password_check,
        threads,
        waiting: config.archstone.hash_queue as usize,
        remembered: 10_000,
        remember_for: TimeDelta::minutes(5),
    }
}

/// Where the settings say that the operator's rules stand.
fn policy_sources(config: &Config) -> PolicySources {
    let find = |name: &Path| config.find_file(name).unwrap_or_else(|| name.to_owned());
    let folders = config.oslo_policy.policy_dirs.iter();
    PolicySources {
        file: find(&config.oslo_policy.policy_file),
        folders: folders.map(|folder| find(folder)).collect(),
    }
}

/// How often a node asks what others have changed.
const FOLLOW: Duration = Duration::from_millis(500);

/// How often a node asks whether it is its turn to remove what nobody needs any more.
const SWEEP: Duration = Duration::from_secs(60);

/// Removes from the database what nobody needs any more, for as long as the server lives. What fails is
/// tried again; when it goes on to fail, the operator is told.
pub async fn sweep(app: Arc<App>) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failures = 0;
    loop {
        ticks.tick().await;
        let lifetime = crate::flows::revoke::lifetime(&app);
        let lifetime = TimeDelta::from_std(lifetime).unwrap_or(TimeDelta::MAX);
        match app.store.sweep(lifetime).await {
            Ok(true) => failures = 0,
            // Another node's turn, or not yet.
            Ok(false) => {}
            Err(error) => {
                failures += 1;
                if failures == 3 {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "what nobody needs any more is not removed from the database"
                    );
                }
            }
        }
    }
}

/// Follows the key repositories and policy files of a server until the result is dropped, each on a
/// thread of its own, so that one that hangs holds up no other.
///
/// # Errors
///
/// When the system has no thread left.
pub fn follow_files(app: &Arc<App>) -> std::io::Result<impl Drop + use<>> {
    let followed = Arc::clone(app);
    let mut followers = Followers {
        _policy: Watch::start("policy", move || followed.policy.refresh())?,
        keys: vec![app.credential_cipher.follow()?],
    };
    let [tokens, receipts] = &app.key_rings;
    followers.keys.push(tokens.follow()?);
    if !Arc::ptr_eq(tokens, receipts) {
        followers.keys.push(receipts.follow()?);
    }
    Ok(followers)
}

struct Followers {
    _policy: Watch,
    keys: Vec<Follower>,
}

impl Drop for Followers {
    fn drop(&mut self) {
        self.keys.clear();
    }
}
