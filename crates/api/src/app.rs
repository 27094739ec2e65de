//! From a configuration to a running server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use auth::parts::Parts;
use auth::parts::drivers::DriverRegistry;
use auth::parts::login_cookie::LoginCookies;
use auth::rules::policy_file::{self, PolicyFile, PolicySources};
use chrono::TimeDelta;
use config::{Config, Database, Limit, PasswordHash};
use federation::Readers;
use federation::outbound::Limits;
use model::Method;
use model::clock::Clock;
use secrets::blocking_pool::BlockingPool;
use secrets::credential_encryption::CredentialCipher;
use secrets::key_repository::{KeyRepositoryError, KeyRing};
use secrets::passwords::{Algorithm, Hasher, Settings, SetupError};
use secrets::random::Random;
use secrets::tokens::FernetTokens;
use secrets::tokens::payload::MethodBits;
use secrets::tokens::receipt::FernetReceipts;
use store::{CacheSettings, Options, Store, StoreError};
use web::schemas::Schemas;

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

/// A server: the parts that requests are served with, and what of them changes outside of the process.
pub struct App {
    /// What admission, flows and handlers are made with.
    pub parts: Arc<Parts>,
    /// The keys of tokens and of receipts, to be followed when they change.
    pub(crate) key_rings: [Arc<KeyRing>; 2],
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
        let schemas = Schemas::load();
        let routes = crate::routes();
        let rules = policy_file::default_rules(routes.operations(), &schemas, options);
        let policy =
            PolicyFile::open(rules, policy_sources(&config)).map_err(StartError::Policy)?;
        let cipher = Arc::new(CredentialCipher::open(&config.credential.key_repository));
        let parts = Parts {
            store,
            clock,
            random,
            policy,
            tokens: Box::new(tokens),
            token_cache: Default::default(),
            receipts,
            hasher: Hasher::new(&hashing(&config))?,
            attempt_queues: Default::default(),
            schemas,
            login_cookies: LoginCookies::new(Arc::clone(&token_keys)),
            drivers: DriverRegistry::new(Arc::clone(&cipher), provider_limits(&config)),
            files: BlockingPool::new(16),
            mappings: BlockingPool::new(cores()),
            credential_cipher: cipher,
            config,
        };
        Ok(Self {
            parts: Arc::new(parts),
            key_rings: [token_keys, receipt_keys],
        })
    }

    /// Looks at what changes outside of the process: key repositories and policy files. It waits for
    /// the disk.
    pub fn refresh(&self) {
        for keys in &self.key_rings {
            keys.refresh();
        }
        self.parts.credential_cipher.refresh();
        self.parts.policy.refresh();
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

/// What each driver of an identity provider may use of this machine.
fn provider_limits(config: &Config) -> Limits {
    let settings = &config.archstone;
    Limits {
        timeout: settings.provider_timeout,
        max_bytes: settings.provider_max_bytes.try_into().unwrap_or(usize::MAX),
        private_addresses: settings.private_providers,
        readers: Readers::default(),
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
