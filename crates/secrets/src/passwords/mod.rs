//! Slow hashes of passwords and of application credentials' secrets.
//!
//! Hashing is slow on purpose, so it has threads of its own and a bounded queue: a flood of logins
//! can then refuse other logins, but never starve the validation of tokens. What verified once is
//! remembered for a few minutes.

mod formats;
mod pool;
mod remembered;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{io, thread};

use chrono::TimeDelta;
use model::{Secret, Timestamp};

use formats::Scheme;
use pool::Pool;
use remembered::Remembered;

/// What a [`Hasher`] is made from. `None` and zero mean the algorithm's default, as in Keystone.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `[identity] password_hash_algorithm`: how new secrets are hashed.
    pub algorithm: Algorithm,
    /// `[identity] password_hash_rounds`: the cost of bcrypt (12) or the rounds of PBKDF2 (25000);
    /// scrypt ignores it.
    pub rounds: Option<u32>,
    /// `[identity] scrypt_block_size` (8).
    pub scrypt_block_size: Option<u32>,
    /// `[identity] scrypt_parallelism` (1).
    pub scrypt_parallelism: Option<u32>,
    /// `[identity] salt_bytesize` (16) for scrypt and PBKDF2.
    pub salt_bytes: Option<usize>,
    /// `[identity] max_password_length`, in bytes of UTF-8.
    pub max_length: usize,
    /// `[DEFAULT] strict_password_check`: refuse longer secrets instead of cutting them.
    pub strict_length: bool,
    /// How many hashes are computed at the same time.
    pub threads: usize,
    /// How many secrets may wait while all threads are occupied.
    pub waiting: usize,
    /// How many verified secrets are remembered.
    pub remembered: usize,
    /// For how long each is remembered.
    pub remember_for: TimeDelta,
}

impl Default for Settings {
    /// Keystone's defaults, with one thread for each core.
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        Self {
            algorithm: Algorithm::Bcrypt,
            rounds: None,
            scrypt_block_size: None,
            scrypt_parallelism: None,
            salt_bytes: None,
            max_length: 4096,
            strict_length: false,
            threads,
            // At a quarter of a second each, the last one waits some eight seconds.
            waiting: threads * 32,
            remembered: 10_000,
            remember_for: TimeDelta::minutes(5),
        }
    }
}

/// The algorithms that `[identity] password_hash_algorithm` may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `bcrypt`
    Bcrypt,
    /// `bcrypt_sha256`
    BcryptSha256,
    /// `scrypt`
    Scrypt,
    /// `pbkdf2_sha512`
    Pbkdf2Sha512,
}

/// Why a [`Hasher`] cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// An option has a value that its algorithm cannot use.
    #[error("[identity] {option} = {value} is not possible: {reason}")]
    Option {
        /// The option's name in `keystone.conf`.
        option: &'static str,
        /// Its value.
        value: u64,
        /// What would be possible.
        reason: &'static str,
    },
    /// The system refused to start the threads.
    #[error("no threads for hashing")]
    Threads(#[source] io::Error),
}

/// Why a secret was neither hashed nor verified.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Every thread is occupied and the queue is full; later there will be room.
    #[error("too many secrets are waiting to be hashed")]
    Busy,
    /// The secret is longer than allowed, and cutting it is not allowed either. In Keystone's
    /// words, because clients see them.
    #[error(
        "The password length must be less than or equal to {limit}. The server could not comply \
         with the request because the password is invalid."
    )]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The stored hash is in no format that we, or Keystone, write.
    #[error("a stored hash has an unknown format")]
    UnknownFormat,
    /// The computation broke off; the log says why.
    #[error("hashing was broken off")]
    Aborted,
}

/// Hashes and verifies secrets on threads of its own.
pub struct Hasher {
    scheme: Scheme,
    limit: usize,
    strict_length: bool,
    pool: Pool,
    remembered: Arc<Remembered>,
    computed: AtomicU64,
}

impl Hasher {
    /// Checks the settings and starts the threads.
    ///
    /// # Errors
    /// When an option is out of its algorithm's bounds, or no threads can be had.
    pub fn new(settings: &Settings) -> Result<Self, SetupError> {
        let limit = match settings.algorithm {
            // The configured algorithm decides, even where a stored hash is of another one.
            Algorithm::Bcrypt => settings.max_length.min(BCRYPT_MAX_LENGTH),
            _ => settings.max_length,
        };
        Ok(Self {
            scheme: settings.scheme()?,
            limit,
            strict_length: settings.strict_length,
            pool: Pool::start(settings.threads.max(1), settings.waiting)
                .map_err(SetupError::Threads)?,
            remembered: Arc::new(Remembered::new(settings.remembered, settings.remember_for)),
            computed: AtomicU64::new(0),
        })
    }

    /// Hashes a secret for storage.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] at once when the queue is full; [`PasswordError::TooLong`].
    pub async fn hash(&self, secret: &Secret<String>) -> Result<String, PasswordError> {
        let scheme = self.scheme;
        let bytes = self.within_limit(secret)?;
        self.run(move || formats::hash(scheme, bytes.expose()))
            .await
    }

    /// Tells whether `stored` was made from `secret`, whatever algorithm is configured today.
    ///
    /// A pair that verified lately is answered from memory, and faster. A stranger who measures
    /// that learns no more than from the success itself, unless the login is refused in spite of
    /// the right secret: for those cases there is [`Hasher::verify_slowly`].
    ///
    /// # Errors
    /// [`PasswordError::Busy`] at once when the queue is full; [`PasswordError::TooLong`];
    /// [`PasswordError::UnknownFormat`].
    pub async fn verify(
        &self,
        secret: &Secret<String>,
        stored: &str,
        now: Timestamp,
    ) -> Result<bool, PasswordError> {
        let bytes = self.within_limit(secret)?;
        let digest = self.remembered.digest(bytes.expose(), stored);
        if self.remembered.contains(&digest, now) {
            return Ok(true);
        }
        let remembered = Arc::clone(&self.remembered);
        let stored = stored.to_owned();
        self.run(move || {
            // The same client may have asked twice at once, and the other request is through.
            if remembered.contains(&digest, now) {
                return Ok(true);
            }
            let verified = formats::verify(bytes.expose(), &stored)?;
            if verified {
                remembered.insert(digest, now);
            }
            Ok(verified)
        })
        .await?
        .map_err(|formats::UnknownFormat| PasswordError::UnknownFormat)
    }

    /// Whether [`Hasher::verify`] would answer at once, and say yes.
    pub fn remembers(&self, secret: &Secret<String>, stored: &str, now: Timestamp) -> bool {
        self.within_limit(secret).is_ok_and(|bytes| {
            let digest = self.remembered.digest(bytes.expose(), stored);
            self.remembered.contains(&digest, now)
        })
    }

    /// Like [`Hasher::verify`], but neither remembers nor uses what is remembered.
    ///
    /// For accounts that will be refused even with the right secret, such as disabled ones: the
    /// time of the answer must not tell that the secret was right.
    ///
    /// # Errors
    /// As [`Hasher::verify`].
    pub async fn verify_slowly(
        &self,
        secret: &Secret<String>,
        stored: &str,
    ) -> Result<bool, PasswordError> {
        let bytes = self.within_limit(secret)?;
        let stored = stored.to_owned();
        self.run(move || formats::verify(bytes.expose(), &stored))
            .await?
            .map_err(|formats::UnknownFormat| PasswordError::UnknownFormat)
    }

    /// Takes as long as verifying, for when there is no stored hash to verify against.
    ///
    /// Call it where a user or credential does not exist or has no secret, so that the time of the
    /// answer does not tell. (It costs what the configured algorithm costs; an account whose hash
    /// is still of another one differs from it until its secret is changed.)
    ///
    /// # Errors
    /// [`PasswordError::Busy`] and [`PasswordError::TooLong`], as [`Hasher::verify`] would.
    pub async fn verify_absent(&self, secret: &Secret<String>) -> Result<(), PasswordError> {
        self.hash(secret).await.map(drop)
    }

    /// How many slow computations were begun so far.
    pub fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    /// The bytes that count: at most as many as the limit, unless that is an error.
    fn within_limit(&self, secret: &Secret<String>) -> Result<Secret<Vec<u8>>, PasswordError> {
        let bytes = secret.expose().as_bytes();
        if bytes.len() > self.limit && self.strict_length {
            return Err(PasswordError::TooLong { limit: self.limit });
        }
        Ok(Secret::new(bytes[..bytes.len().min(self.limit)].to_vec()))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let result = self
            .pool
            .submit(work)
            .map_err(|pool::Busy| PasswordError::Busy)?;
        self.computed.fetch_add(1, Ordering::Relaxed);
        result.await.map_err(|_| PasswordError::Aborted)
    }
}

/// bcrypt reads no further.
const BCRYPT_MAX_LENGTH: usize = 72;

impl Settings {
    fn scheme(&self) -> Result<Scheme, SetupError> {
        let rounds = self.rounds.filter(|&rounds| rounds > 0);
        let salt_bytes = self.salt_bytes.filter(|&bytes| bytes > 0).unwrap_or(16);
        let scheme = match self.algorithm {
            Algorithm::Bcrypt => Scheme::Bcrypt {
                cost: bcrypt_cost(rounds)?,
            },
            Algorithm::BcryptSha256 => Scheme::BcryptSha256 {
                cost: bcrypt_cost(rounds)?,
            },
            Algorithm::Scrypt => self.scrypt(salt_bytes)?,
            Algorithm::Pbkdf2Sha512 => Scheme::Pbkdf2Sha512 {
                rounds: rounds.and_then(NonZeroU32::new).unwrap_or(PBKDF2_ROUNDS),
                salt_bytes,
            },
        };
        Ok(scheme)
    }

    fn scrypt(&self, salt_bytes: usize) -> Result<Scheme, SetupError> {
        let block_size = self.scrypt_block_size.filter(|&r| r > 0).unwrap_or(8);
        let parallelism = self.scrypt_parallelism.filter(|&p| p > 0).unwrap_or(1);
        let params = formats::scrypt_params(SCRYPT_LOG_N, block_size, parallelism);
        let params = params.ok_or(SetupError::Option {
            option: "scrypt_block_size",
            value: block_size.into(),
            reason: "scrypt takes up to 512, and less than 2^30 times scrypt_parallelism",
        })?;
        Ok(Scheme::Scrypt { params, salt_bytes })
    }
}

/// Keystone never lets scrypt's N be configured.
const SCRYPT_LOG_N: u8 = 16;
const PBKDF2_ROUNDS: NonZeroU32 = NonZeroU32::new(25_000).expect("is not zero");

fn bcrypt_cost(rounds: Option<u32>) -> Result<u32, SetupError> {
    match rounds.unwrap_or(12) {
        cost @ 4..=31 => Ok(cost),
        cost => Err(SetupError::Option {
            option: "password_hash_rounds",
            value: cost.into(),
            reason: "bcrypt takes 4 to 31",
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use serde::Deserialize;
    use tokio::sync::oneshot;

    use super::*;

    /// What Keystone answered; `clients/oracle/password_vectors.py` asks it again.
    #[derive(Deserialize)]
    struct Vector {
        note: String,
        configured: String,
        max_length: usize,
        strict: bool,
        password: Secret<String>,
        stored: String,
        verifies: Option<bool>,
        refused: Option<String>,
    }

    fn vectors() -> Vec<Vector> {
        let text = include_str!("../../tests/data/password_vectors.json");
        serde_json::from_str(text).unwrap()
    }

    fn algorithm(name: &str) -> Algorithm {
        match name {
            "bcrypt" => Algorithm::Bcrypt,
            "bcrypt_sha256" => Algorithm::BcryptSha256,
            "scrypt" => Algorithm::Scrypt,
            "pbkdf2_sha512" => Algorithm::Pbkdf2Sha512,
            other => panic!("no algorithm is named {other}"),
        }
    }

    /// A cheap hasher on one thread.
    fn settings(algorithm: Algorithm) -> Settings {
        Settings {
            algorithm,
            rounds: Some(4),
            scrypt_block_size: Some(1),
            threads: 1,
            waiting: 1,
            ..Settings::default()
        }
    }

    fn hasher() -> Hasher {
        Hasher::new(&settings(Algorithm::Bcrypt)).unwrap()
    }

    fn secret_of(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    fn noon() -> Timestamp {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }

    #[tokio::test]
    async fn verifying_answers_as_keystone_does() {
        for vector in vectors() {
            let hasher = Hasher::new(&Settings {
                max_length: vector.max_length,
                strict_length: vector.strict,
                ..settings(algorithm(&vector.configured))
            })
            .unwrap();
            let answer = hasher
                .verify(&vector.password, &vector.stored, noon())
                .await;
            let case = format!(
                "{:?} against {:?}: {}",
                vector.password.expose(),
                vector.stored,
                vector.note
            );
            match (vector.verifies, vector.refused) {
                (Some(true), None) => assert_eq!(answer, Ok(true), "{case}"),
                (Some(false), None) => assert_ne!(answer, Ok(true), "{case}"),
                (None, Some(refused)) => {
                    assert_eq!(answer.unwrap_err().to_string(), refused, "{case}");
                }
                _ => panic!("a vector has one answer"),
            }
        }
    }

    #[tokio::test]
    async fn hashes_have_keystones_form_and_verify() {
        let forms = [
            (Algorithm::Bcrypt, "$2b$04$", 60),
            (Algorithm::BcryptSha256, "$bcrypt-sha256$v=2,t=2b,r=4$", 82),
            (Algorithm::Scrypt, "$scrypt$ln=16,r=1,p=1$", 88),
            (Algorithm::Pbkdf2Sha512, "$pbkdf2-sha512$4$", 126),
        ];
        for (algorithm, prefix, length) in forms {
            let hasher = Hasher::new(&settings(algorithm)).unwrap();
            let secret = secret_of("pässwörd");
            let stored = hasher.hash(&secret).await.unwrap();
            assert!(stored.starts_with(prefix), "{stored}");
            assert_eq!(stored.len(), length, "{stored}");
            assert_ne!(stored, hasher.hash(&secret).await.unwrap());
            let other = secret_of("passwort");
            assert_eq!(hasher.verify(&secret, &stored, noon()).await, Ok(true));
            assert_eq!(hasher.verify(&other, &stored, noon()).await, Ok(false));
            assert_eq!(hasher.verify_slowly(&secret, &stored).await, Ok(true));
            assert_eq!(hasher.verify_slowly(&other, &stored).await, Ok(false));
        }
    }

    #[tokio::test]
    async fn what_only_older_releases_could_verify_still_verifies() {
        let hasher = Hasher::new(&settings(Algorithm::Scrypt)).unwrap();
        let secret = secret_of("secret");
        let stored = [
            // passlib's first version, made with passlib 1.7.4.
            "$bcrypt-sha256$2b,4$n1Zb5phjhzh07xOb58IZVe$jvu3ABpF76asYOhlhI2./L0mIAXu9kW",
            "$bcrypt-sha256$2a,4$n1Zb5phjhzh07xOb58IZVe$jvu3ABpF76asYOhlhI2./L0mIAXu9kW",
            // A cost of one digit.
            "$bcrypt-sha256$v=2,t=2b,r=4$n1Zb5phjhzh07xOb58IZVe$CMMDwpmoCTPrP8KIwXG6OhdlXkPdWCy",
        ];
        for stored in stored {
            assert_eq!(hasher.verify_slowly(&secret, stored).await, Ok(true));
        }
        // A secret of more than 72 bytes, from when bcrypt was configured.
        let stored = "$2b$04$L555WKoGY0e1L7pCVNqhD.fSMzW3HwFCPqVD4giOsZACCvtoBNQne";
        let secret = secret_of(&"a".repeat(80));
        assert_eq!(hasher.verify_slowly(&secret, stored).await, Ok(true));
    }

    #[tokio::test]
    async fn a_damaged_row_cannot_take_the_memory() {
        let secret = secret_of("secret");
        for params in ["ln=63,r=8,p=1", "ln=255,r=8,p=1", "ln=4,r=65536,p=65536"] {
            let stored = format!("$scrypt${params}$c2FsdA$ZGlnZXN0");
            let answer = hasher().verify(&secret, &stored, noon()).await;
            assert_eq!(answer, Err(PasswordError::UnknownFormat));
        }
    }

    #[tokio::test]
    async fn a_remembered_secret_needs_no_thread() {
        let hasher = hasher();
        let secret = secret_of("secret");
        let stored = hasher.hash(&secret).await.unwrap();
        assert_eq!(hasher.verify(&secret, &stored, noon()).await, Ok(true));

        let _occupied = occupy(&hasher);
        let other = secret_of("other");
        let later = noon() + TimeDelta::minutes(5);
        let busy = Err(PasswordError::Busy);
        assert_eq!(hasher.verify(&secret, &stored, noon()).await, Ok(true));
        assert_eq!(hasher.verify(&secret, &stored, later).await, busy);
        assert_eq!(hasher.verify(&other, &stored, noon()).await, busy);
        assert_eq!(hasher.verify_slowly(&secret, &stored).await, busy);
        assert_eq!(
            hasher.verify_absent(&secret).await,
            Err(PasswordError::Busy)
        );
    }

    #[tokio::test]
    async fn neither_failures_nor_slow_checks_are_remembered() {
        let hasher = hasher();
        let (secret, other) = (secret_of("secret"), secret_of("other"));
        let stored = hasher.hash(&secret).await.unwrap();
        assert_eq!(hasher.verify_slowly(&secret, &stored).await, Ok(true));
        assert_eq!(hasher.verify(&other, &stored, noon()).await, Ok(false));

        let _occupied = occupy(&hasher);
        let busy = Err(PasswordError::Busy);
        assert_eq!(hasher.verify(&secret, &stored, noon()).await, busy);
        assert_eq!(hasher.verify(&other, &stored, noon()).await, busy);
    }

    #[tokio::test]
    async fn an_absent_hash_asks_for_the_same_length() {
        let strict = Hasher::new(&Settings {
            strict_length: true,
            ..settings(Algorithm::Bcrypt)
        })
        .unwrap();
        let long = secret_of(&"a".repeat(73));
        let too_long = PasswordError::TooLong { limit: 72 };
        assert_eq!(strict.verify_absent(&long).await, Err(too_long));
        assert_eq!(hasher().verify_absent(&long).await, Ok(()));
    }

    #[test]
    fn impossible_options_are_named() {
        for (settings, option) in [
            (
                Settings {
                    rounds: Some(3),
                    ..settings(Algorithm::Bcrypt)
                },
                "password_hash_rounds",
            ),
            (
                Settings {
                    rounds: Some(32),
                    ..settings(Algorithm::BcryptSha256)
                },
                "password_hash_rounds",
            ),
            (
                Settings {
                    scrypt_block_size: Some(513),
                    ..settings(Algorithm::Scrypt)
                },
                "scrypt_block_size",
            ),
        ] {
            let error = Hasher::new(&settings).err().unwrap().to_string();
            assert!(error.contains(option), "{error}");
        }
    }

    /// Fills the thread and the queue until the returned value is dropped.
    fn occupy(hasher: &Hasher) -> Occupied {
        let (release, released) = mpsc::channel();
        let released = Arc::new(Mutex::new(released));
        let mut waiting = Vec::new();
        loop {
            let released = Arc::clone(&released);
            let work = move || released.lock().unwrap().recv();
            match hasher.pool.submit(work) {
                Ok(receiver) => waiting.push(receiver),
                Err(pool::Busy) => return Occupied { release, waiting },
            }
        }
    }

    #[expect(dead_code, reason = "it matters only when they are dropped")]
    struct Occupied {
        release: mpsc::Sender<()>,
        waiting: Vec<oneshot::Receiver<Result<(), mpsc::RecvError>>>,
    }
}
