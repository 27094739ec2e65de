//! Key repositories: folders of Fernet keys for tokens, receipts and credentials, shared with Keystone.
//!
//! Each file is named by a number and holds one key. The highest number is the primary key, which encrypts; 0 is the
//! staged key, the next primary, so that every node knows a key before the first message under it arrives.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, fchown},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use zeroize::Zeroizing;

use crate::tokens::fernet::{DecryptError, Key, Keys, Message};

/// The key that credentials are encrypted with where no repository has been set up: 32 zero bytes.
pub const NULL_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// How often messages that no key fits may send us to the disk. Short, for in the meantime a message under a key that
/// has just been rotated in is refused.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// A folder of keys.
#[derive(Clone, Debug)]
pub struct KeyRepository {
    path: PathBuf,
}

/// Who is to own new files, by the numbers of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Why a key repository cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyRepositoryError {
    /// There is no key in it.
    #[error("{0} does not contain keys")]
    Empty(PathBuf),
    /// A file named like a key holds something else.
    #[error("{0} is not a Fernet key")]
    InvalidKey(PathBuf),
    /// The system refuses.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Nothing can be rotated in: the repository was never set up.
    #[error("{0} has no staged key to rotate in")]
    NoStagedKey(PathBuf),
}

/// The keys of a repository, parsed once and exchanged as a whole when the files change.
pub struct KeyRing {
    repository: KeyRepository,
    with_null_key: bool,
    keys: ArcSwap<Keys>,
    polled: Mutex<Polled>,
    retry_interval: Duration,
}

/// What the last looks at the folder have shown.
#[derive(Default)]
struct Polled {
    /// The files of which the keys in use were read.
    in_use: Option<Vec<FileState>>,
    /// The files, if they can be listed at all, of which no keys could be read: one fault is logged once.
    failed: Option<Option<Vec<FileState>>>,
    /// When a message that no key fits last sent us to the disk.
    retried_at: Option<Instant>,
}

/// What shows that a file is another or has other content. A rename moves nothing but the name, a copy by `rsync`
/// may keep the time, an editor may keep the length.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct FileState {
    number: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A key file: its number and its content.
struct KeyFile {
    number: u64,
    path: PathBuf,
    text: Zeroizing<String>,
}

impl KeyRepository {
    /// The repository in the folder `path`, which need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the folder and a staged and a primary key. Says whether it did: a staged key that exists is left alone.
    pub fn setup(
        &self,
        max_active_keys: usize,
        owner: Option<Owner>,
    ) -> Result<bool, KeyRepositoryError> {
        if !self.path.exists() {
            self.create_folder(owner)?;
        }
        if self.file(0).exists() {
            return Ok(false);
        }
        self.write_next_staged_key(owner)?;
        self.stage_next_key()?;
        self.rotate(max_active_keys, owner)?;
        Ok(true)
    }

    /// Makes the staged key the primary one, stages a new one, and deletes the oldest beyond `max_active_keys`.
    ///
    /// The staged key counts as active. Other processes may read the repository at any moment in between.
    pub fn rotate(
        &self,
        max_active_keys: usize,
        owner: Option<Owner>,
    ) -> Result<(), KeyRepositoryError> {
        // Ascending, without the staged key.
        let mut files = self.key_files()?;
        if files.first().is_none_or(|file| file.number != 0) {
            return Err(KeyRepositoryError::NoStagedKey(self.path.clone()));
        }
        let primary = files.last().map_or(0, |file| file.number) + 1;
        files.remove(0);

        // First, so that a full disk changes nothing.
        self.write_next_staged_key(owner)?;
        let promoted = self.file(primary);
        fs::rename(self.file(0), &promoted).map_err(at(&promoted))?;
        self.stage_next_key()?;

        let count = files.len() + 1;
        let excess = count.saturating_sub(max_active_keys.saturating_sub(1));
        let paths = files.iter().map(|file| &file.path).chain([&promoted]);
        for path in paths.take(excess) {
            fs::remove_file(path).map_err(at(path))?;
        }
        tracing::info!(
            key_repository = %self.path.display(),
            key.primary = primary,
            key.deleted = excess,
            "rotated keys"
        );
        Ok(())
    }

    /// Reads and parses the keys, the highest number first.
    pub fn load(&self) -> Result<Keys, KeyRepositoryError> {
        let mode = fs::metadata(&self.path)
            .map_err(at(&self.path))?
            .permissions()
            .mode();
        if mode & 0o005 != 0 {
            tracing::warn!(key_repository = %self.path.display(), "key repository is world readable");
        }
        let mut keys = Vec::new();
        for file in self.key_files()?.into_iter().rev() {
            let key = Key::parse(&file.text);
            keys.push(key.map_err(|_| KeyRepositoryError::InvalidKey(file.path))?);
        }
        Keys::new(keys).ok_or_else(|| KeyRepositoryError::Empty(self.path.clone()))
    }

    /// The files that hold keys, in ascending order of their numbers.
    fn key_files(&self) -> Result<Vec<KeyFile>, KeyRepositoryError> {
        let mut files = Vec::new();
        for (number, path) in self.numbered_files()? {
            let text = fs::read_to_string(&path)
                .map(Zeroizing::new)
                .map_err(at(&path))?;
            if text.is_empty() {
                tracing::warn!(key.path = %path.display(), "ignoring an empty key");
                continue;
            }
            files.push(KeyFile { number, path, text });
        }
        files.sort_unstable_by_key(|file| file.number);
        Ok(files)
    }

    /// The files that are named by a number; other names are none of our business.
    fn numbered_files(&self) -> Result<Vec<(u64, PathBuf)>, KeyRepositoryError> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(at(&self.path))? {
            let entry = entry.map_err(at(&self.path))?;
            let name = entry.file_name();
            let digits = name
                .to_str()
                .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
            // Links are followed: an orchestrator's volume consists of them.
            if let Some(number) = digits.and_then(|digits| digits.parse().ok())
                && entry.path().is_file()
            {
                files.push((number, entry.path()));
            }
        }
        Ok(files)
    }

    /// What shows that keys have come, gone or changed, without reading them.
    fn state(&self) -> Result<Vec<FileState>, KeyRepositoryError> {
        let mut states = Vec::new();
        for (number, path) in self.numbered_files()? {
            let metadata = fs::metadata(&path).map_err(at(&path))?;
            states.push(FileState {
                number,
                inode: metadata.ino(),
                length: metadata.len(),
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                changed: (metadata.ctime(), metadata.ctime_nsec()),
            });
        }
        states.sort_unstable();
        Ok(states)
    }

    fn create_folder(&self, owner: Option<Owner>) -> Result<(), KeyRepositoryError> {
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent).map_err(at(parent))?;
        }
        DirBuilder::new()
            .mode(0o700)
            .create(&self.path)
            .map_err(at(&self.path))?;
        if let Some(Owner { uid, gid }) = owner {
            chown(&self.path, Some(uid), Some(gid)).map_err(at(&self.path))?;
        }
        Ok(())
    }

    /// Writes a new key under a name that no reader takes for a key.
    fn write_next_staged_key(&self, owner: Option<Owner>) -> Result<(), KeyRepositoryError> {
        let path = self.next_staged_key();
        // A rotation that was interrupted leaves one behind, with who knows which permissions.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&path)(error)),
            _ => {}
        }
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)?;
            if let Some(Owner { uid, gid }) = owner {
                fchown(&file, Some(uid), Some(gid))?;
            }
            file.write_all(Key::generate().as_bytes())?;
            file.sync_all()
        };
        write().map_err(at(&path))
    }

    /// Gives the new key its place, in one step.
    fn stage_next_key(&self) -> Result<(), KeyRepositoryError> {
        let path = self.file(0);
        fs::rename(self.next_staged_key(), &path).map_err(at(&path))?;
        File::open(&self.path)
            .and_then(|folder| folder.sync_all())
            .map_err(at(&self.path))
    }

    fn file(&self, number: u64) -> PathBuf {
        self.path.join(number.to_string())
    }

    fn next_staged_key(&self) -> PathBuf {
        self.path.join("0.tmp")
    }
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
            polled: Mutex::new(polled),
            retry_interval: RETRY_INTERVAL,
        }
    }

    /// The keys as of the last look at the repository.
    pub fn current(&self) -> Arc<Keys> {
        self.keys.load_full()
    }

    /// Looks at the repository and reads its keys if they have changed; says whether they have. To be called often.
    ///
    /// A repository that cannot be used leaves the keys as they are. That is logged, and tried again at the next call.
    pub fn refresh(&self) -> bool {
        self.poll(&mut self.polled.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Decrypts, and if no key fits looks whether another process has just rotated one in.
    pub fn decrypt(&self, text: &str) -> Result<Message, DecryptError> {
        let keys = self.current();
        match keys.decrypt(text) {
            Err(DecryptError::NoKeyFits) if self.supersedes(&keys) => self.current().decrypt(text),
            outcome => outcome,
        }
    }

    /// Whether there are newer keys than `keys`, for which the disk is asked only now and then.
    fn supersedes(&self, keys: &Arc<Keys>) -> bool {
        let mut polled = self.polled.lock().unwrap_or_else(PoisonError::into_inner);
        if polled
            .retried_at
            .is_none_or(|at| at.elapsed() >= self.retry_interval)
        {
            polled.retried_at = Some(Instant::now());
            self.poll(&mut polled);
        }
        !Arc::ptr_eq(keys, &self.keys.load())
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

/// Tells which file or folder an error is about.
fn at(path: &Path) -> impl FnOnce(io::Error) -> KeyRepositoryError {
    |source| KeyRepositoryError::Io {
        path: path.to_owned(),
        source,
    }
}
