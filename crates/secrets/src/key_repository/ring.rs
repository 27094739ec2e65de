//! The keys of a repository as they are in use, and following them when the files change.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use model::clock::Stopwatch;
use tokio::sync::watch;

use super::{FileState, KeyRepository, KeyRepositoryError};
use crate::fernet::{DecryptError, Key, Keys, Message};
use crate::watch::Watch;

/// The key that credentials are encrypted with where no repository has been set up: 32 zero bytes.
pub const NULL_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// How often messages that no key fits may send the follower to the disk. Short, for in the meantime a message under a
/// key that has just been rotated in waits.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// How long a message that no key fits waits for the follower's next look. A folder on a network may hang for ever.
const PATIENCE: Duration = Duration::from_millis(500);

/// The keys of a repository, parsed once and exchanged as a whole when the files change.
pub struct KeyRing {
    repository: KeyRepository,
    with_null_key: bool,
    keys: ArcSwap<Keys>,
    version: AtomicU64,
    /// Held by anyone who reads the folder, however long that takes: never while answering a request.
    polled: Mutex<Polled>,
    looks: watch::Sender<Looks>,
    watch: Mutex<Option<Watch>>,
}

/// The looks of the follower at the folder.
#[derive(Clone, Copy, Default)]
struct Looks {
    begun: u64,
    finished: u64,
    /// When the one that is not finished began.
    since: Option<Stopwatch>,
}

/// Looks at a repository again and again, on a thread of its own, until this is dropped.
pub struct Follower {
    ring: Arc<KeyRing>,
}

/// What the last looks at the folder have shown.
#[derive(Default)]
struct Polled {
    /// The files of which the keys in use were read.
    in_use: Option<Vec<FileState>>,
    /// The files, if they can be listed at all, of which no keys could be read: one fault is logged once.
    failed: Option<Option<Vec<FileState>>>,
}

impl KeyRing {
    /// Reads the keys of the repository at `path`, which must have one.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, KeyRepositoryError> {
        let repository = KeyRepository::new(path);
        let state = repository.state()?;
        let keys = repository.load()?;
        Ok(Self::new(
            repository,
            false,
            keys,
            Polled {
                in_use: Some(state),
                ..Polled::default()
            },
        ))
    }

    /// Reads the keys of the repository at `path` and adds the [`NULL_KEY`]: that alone serves while the repository
    /// cannot be used.
    pub fn open_with_null_key(path: impl Into<PathBuf>) -> Self {
        let repository = KeyRepository::new(path);
        let state = repository.state().ok();
        match load(&repository, true) {
            Ok(keys) => Self::new(
                repository,
                true,
                keys,
                Polled {
                    in_use: state,
                    ..Polled::default()
                },
            ),
            Err(error) => {
                tracing::warn!(
                    key_repository = %repository.path.display(),
                    error = &error as &dyn std::error::Error,
                    "key repository cannot be used: there is but the null key"
                );
                let polled = Polled {
                    failed: Some(state),
                    ..Polled::default()
                };
                Self::new(repository, true, null_key().into(), polled)
            }
        }
    }

    fn new(repository: KeyRepository, with_null_key: bool, keys: Keys, polled: Polled) -> Self {
        Self {
            repository,
            with_null_key,
            keys: ArcSwap::from_pointee(keys),
            version: AtomicU64::new(0),
            polled: Mutex::new(polled),
            looks: watch::Sender::default(),
            watch: Mutex::new(None),
        }
    }

    /// The keys as of the last look at the repository.
    pub fn current(&self) -> Arc<Keys> {
        self.keys.load_full()
    }

    /// How often the keys have changed. Who asks for this and then for the keys gets those of this number or
    /// later ones.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// Looks at the repository and reads its keys if they have changed; says whether they have. It waits for the disk.
    ///
    /// A repository that cannot be used leaves the keys as they are. That is logged, and tried again at the next call.
    pub fn refresh(&self) -> bool {
        self.poll(&mut self.polled.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Decrypts by the keys as of the last look. If none fits, the follower is asked to look soon whether another
    /// process has just rotated one in: [`KeyRing::next_look`] waits for it.
    pub fn decrypt(&self, text: &str) -> Result<Message, DecryptError> {
        let outcome = self.current().decrypt(text);
        if outcome == Err(DecryptError::NoKeyFits) {
            self.ask();
        }
        outcome
    }

    /// Follows the repository. There is one follower at a time.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub fn follow(self: &Arc<Self>) -> io::Result<Follower> {
        let ring = Arc::clone(self);
        let watch = Watch::start("keys", move || {
            ring.look();
            thread::sleep(RETRY_INTERVAL);
        })?;
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch);
        Ok(Follower {
            ring: Arc::clone(self),
        })
    }

    /// Waits until the follower has looked at the folder once more, for a bounded time: not at all where it hangs.
    pub async fn next_look(&self) {
        let mut looks = self.looks.subscribe();
        let known = *looks.borrow();
        // A look that has begun may have missed what is looked for.
        let wanted = known.begun + 1;
        let hangs = known.since.is_some_and(|at| at.elapsed() > PATIENCE);
        if hangs || !self.ask() {
            return;
        }
        let finished = looks.wait_for(|looks| looks.finished >= wanted);
        // Who waited in vain has the keys as they are.
        let _ = tokio::time::timeout(PATIENCE, finished).await;
    }

    /// Asks the follower to look at the folder; says whether there is one.
    fn ask(&self) -> bool {
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.as_ref().map(Watch::ask).is_some()
    }

    fn look(&self) {
        self.looks.send_modify(|looks| {
            looks.begun += 1;
            looks.since = Some(Stopwatch::start());
        });
        self.refresh();
        self.looks.send_modify(|looks| {
            looks.finished = looks.begun;
            looks.since = None;
        });
    }

    fn poll(&self, polled: &mut Polled) -> bool {
        // Before the keys are read, so that what changes in between is seen the next time.
        let state = self.repository.state().ok();
        if state.is_some() && state == polled.in_use {
            polled.failed = None;
            return false;
        }
        match load(&self.repository, self.with_null_key) {
            Ok(keys) => {
                tracing::info!(
                    key_repository = %self.repository.path.display(),
                    key.count = keys.count(),
                    "read changed keys"
                );
                self.keys.store(Arc::new(keys));
                // Afterwards: who reads with the keys from before does not know this number.
                self.version.fetch_add(1, Ordering::SeqCst);
                polled.in_use = state;
                polled.failed = None;
                true
            }
            Err(error) => {
                if polled.failed.as_ref() != Some(&state) {
                    tracing::error!(
                        key_repository = %self.repository.path.display(),
                        error = &error as &dyn std::error::Error,
                        "key repository cannot be used: the keys stay as they are"
                    );
                    polled.failed = Some(state);
                }
                false
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut watch = self
            .ring
            .watch
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *watch = None;
    }
}

fn load(repository: &KeyRepository, with_null_key: bool) -> Result<Keys, KeyRepositoryError> {
    let mut keys = repository.load()?;
    if with_null_key {
        keys.push(null_key());
    }
    Ok(keys)
}

fn null_key() -> Key {
    Key::parse(NULL_KEY).expect("the null key is a key")
}

#[cfg(test)]
mod tests;
