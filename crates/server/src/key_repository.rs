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
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::tokens::fernet::{DecryptError, Key, Keys, Message};
use crate::watch::Watch;

/// The key that credentials are encrypted with where no repository has been set up: 32 zero bytes.
pub const NULL_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// How often messages that no key fits may send the follower to the disk. Short, for in the meantime a message under a
/// key that has just been rotated in waits.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// How long a message that no key fits waits for the follower's next look. A folder on a network may hang for ever.
const PATIENCE: Duration = Duration::from_millis(500);

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
    #[error("cannot use {path}")]
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
    since: Option<Instant>,
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
            looks: watch::Sender::default(),
            watch: Mutex::new(None),
        }
    }

    /// The keys as of the last look at the repository.
    pub fn current(&self) -> Arc<Keys> {
        self.keys.load_full()
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
            looks.since = Some(Instant::now());
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

/// Tells which file or folder an error is about.
fn at(path: &Path) -> impl FnOnce(io::Error) -> KeyRepositoryError {
    |source| KeyRepositoryError::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, os::unix::fs::symlink, sync::mpsc};

    use model::Timestamp;
    use tempfile::TempDir;

    use super::*;
    use crate::tokens::fernet::random;

    const A: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=";
    const B: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    const C: &str = "AgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fICE=";

    fn folder(files: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    /// The files of a folder by name.
    fn files(folder: &Path) -> BTreeMap<String, String> {
        let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
        entries
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read_to_string(entry.path()).unwrap())
            })
            .collect()
    }

    fn names(folder: &Path) -> Vec<String> {
        files(folder).into_keys().collect()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn encrypted(keys: &Keys) -> String {
        keys.encrypt(b"hello", Timestamp::UNIX_EPOCH, random())
    }

    fn encrypted_by(key: &str) -> String {
        encrypted(&Key::parse(key).unwrap().into())
    }

    #[test]
    fn setup_creates_a_staged_and_a_primary_key_that_only_the_owner_reads() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("etc/fernet-keys");
        let repository = KeyRepository::new(&path);
        assert!(repository.setup(3, None).unwrap());
        assert_eq!(names(&path), ["0", "1"]);
        assert_eq!(mode(&path), 0o700);
        for (name, key) in files(&path) {
            assert_eq!(mode(&path.join(name)), 0o600);
            assert_eq!(key.len(), 44);
        }
        assert_eq!(repository.load().unwrap().count(), 2);
    }

    #[test]
    fn setup_leaves_a_repository_alone_that_has_a_staged_key() {
        let folder = folder(&[("0", A)]);
        assert!(!KeyRepository::new(folder.path()).setup(3, None).unwrap());
        assert_eq!(names(folder.path()), ["0"]);
    }

    #[test]
    fn setup_gives_new_files_to_the_owner() {
        let parent = tempfile::tempdir().unwrap();
        // Any process may give files to itself.
        let own = fs::metadata(parent.path()).unwrap();
        let owner = Owner {
            uid: own.uid(),
            gid: own.gid(),
        };
        let path = parent.path().join("keys");
        KeyRepository::new(&path).setup(3, Some(owner)).unwrap();
        let staged = fs::metadata(path.join("0")).unwrap();
        assert_eq!((staged.uid(), staged.gid()), (own.uid(), own.gid()));
    }

    #[test]
    fn a_rotation_promotes_the_staged_key_and_deletes_the_oldest() {
        let folder = folder(&[("0", A), ("1", B), ("2", C)]);
        let repository = KeyRepository::new(folder.path());
        repository.rotate(3, None).unwrap();
        let files = files(folder.path());
        assert_eq!(names(folder.path()), ["0", "2", "3"]);
        assert_eq!((&*files["2"], &*files["3"]), (C, A));
        assert_ne!(files["0"], A);
        assert_eq!(mode(&folder.path().join("0")), 0o600);

        repository.rotate(3, None).unwrap();
        assert_eq!(names(folder.path()), ["0", "3", "4"]);
    }

    #[test]
    fn a_rotation_with_room_deletes_nothing_and_with_less_deletes_several() {
        let folder = folder(&[("0", A), ("1", B)]);
        let repository = KeyRepository::new(folder.path());
        repository.rotate(5, None).unwrap();
        repository.rotate(5, None).unwrap();
        repository.rotate(5, None).unwrap();
        assert_eq!(names(folder.path()), ["0", "1", "2", "3", "4"]);
        repository.rotate(2, None).unwrap();
        assert_eq!(names(folder.path()), ["0", "5"]);
        repository.rotate(1, None).unwrap();
        assert_eq!(names(folder.path()), ["0"]);
        assert_eq!(repository.load().unwrap().count(), 1);
    }

    #[test]
    fn a_rotation_survives_what_an_interrupted_one_left_behind() {
        let folder = folder(&[("0", A), ("1", B), ("0.tmp", "half a k")]);
        KeyRepository::new(folder.path()).rotate(3, None).unwrap();
        assert_eq!(names(folder.path()), ["0", "1", "2"]);
        assert_eq!(KeyRepository::new(folder.path()).load().unwrap().count(), 3);
    }

    #[test]
    fn nothing_is_rotated_without_a_staged_key() {
        for (name, key) in [("1", B), ("0", "")] {
            let folder = folder(&[(name, key)]);
            let error = KeyRepository::new(folder.path())
                .rotate(3, None)
                .unwrap_err();
            assert!(
                matches!(error, KeyRepositoryError::NoStagedKey(_)),
                "{error}"
            );
            assert_eq!(names(folder.path()), [name]);
        }
    }

    #[test]
    fn the_highest_number_encrypts_and_every_key_decrypts() {
        let folder = folder(&[("0", A), ("9", B), ("10", C)]);
        let keys = KeyRepository::new(folder.path()).load().unwrap();
        assert_eq!(encrypted_by_which(&encrypted(&keys)), C);
        for key in [A, B, C] {
            assert!(keys.decrypt(&encrypted_by(key)).is_ok());
        }
    }

    fn encrypted_by_which(message: &str) -> &'static str {
        let fits = |key: &str| {
            Keys::from(Key::parse(key).unwrap())
                .decrypt(message)
                .is_ok()
        };
        [A, B, C, NULL_KEY]
            .into_iter()
            .find(|key| fits(key))
            .unwrap()
    }

    #[test]
    fn other_names_and_empty_files_are_ignored() {
        let folder = folder(&[
            ("0", A),
            ("1", B),
            ("2", ""),
            ("0.tmp", "half a k"),
            ("README", "keys"),
            ("-1", C),
            ("+3", C),
            ("99999999999999999999", C),
        ]);
        fs::create_dir(folder.path().join("7")).unwrap();
        let keys = KeyRepository::new(folder.path()).load().unwrap();
        assert_eq!(keys.count(), 2);
        assert_eq!(encrypted_by_which(&encrypted(&keys)), B);
    }

    #[test]
    fn links_to_keys_are_followed() {
        let (target, folder) = (folder(&[("key", B)]), folder(&[("0", A)]));
        symlink(target.path().join("key"), folder.path().join("1")).unwrap();
        let keys = KeyRepository::new(folder.path()).load().unwrap();
        assert_eq!(encrypted_by_which(&encrypted(&keys)), B);
    }

    #[test]
    fn a_repository_that_is_missing_empty_or_damaged_is_not_opened() {
        let missing = KeyRing::open("/nonexistent/keys").err().unwrap();
        assert!(
            matches!(missing, KeyRepositoryError::Io { .. }),
            "{missing}"
        );
        let empty = KeyRing::open(folder(&[]).path()).err().unwrap();
        assert!(matches!(empty, KeyRepositoryError::Empty(_)), "{empty}");
        let folder = folder(&[("0", A), ("1", "nonsense")]);
        let damaged = KeyRing::open(folder.path()).err().unwrap();
        assert!(matches!(&damaged, KeyRepositoryError::InvalidKey(path) if path.ends_with("1")));
    }

    #[test]
    fn a_refresh_reads_the_keys_only_when_the_files_have_changed() {
        let folder = folder(&[("0", A), ("1", B)]);
        let ring = KeyRing::open(folder.path()).unwrap();
        let before = ring.current();
        assert!(!ring.refresh());
        assert!(Arc::ptr_eq(&before, &ring.current()));

        KeyRepository::new(folder.path()).rotate(3, None).unwrap();
        assert!(ring.refresh());
        assert_eq!(encrypted_by_which(&encrypted(&ring.current())), A);
        assert!(!ring.refresh());
    }

    #[test]
    fn a_file_that_is_replaced_by_one_of_the_same_name_and_length_is_noticed() {
        let folder = folder(&[("0", A), ("1", B)]);
        let ring = KeyRing::open(folder.path()).unwrap();
        let new = folder.path().join("new");
        fs::write(&new, C).unwrap();
        fs::rename(&new, folder.path().join("1")).unwrap();
        assert!(ring.refresh());
        assert_eq!(encrypted_by_which(&encrypted(&ring.current())), C);
    }

    #[test]
    fn a_repository_that_is_emptied_damaged_or_removed_leaves_the_keys_in_use() {
        let folder = folder(&[("0", A), ("1", B)]);
        let ring = KeyRing::open(folder.path()).unwrap();
        let primary = folder.path().join("1");

        fs::write(&primary, "nonsense").unwrap();
        assert!(!ring.refresh());
        fs::remove_file(&primary).unwrap();
        fs::remove_file(folder.path().join("0")).unwrap();
        assert!(!ring.refresh());
        fs::remove_dir(folder.path()).unwrap();
        assert!(!ring.refresh());
        assert_eq!(encrypted_by_which(&encrypted(&ring.current())), B);

        fs::create_dir(folder.path()).unwrap();
        fs::write(&primary, C).unwrap();
        assert!(ring.refresh());
        assert_eq!(encrypted_by_which(&encrypted(&ring.current())), C);
    }

    #[tokio::test]
    async fn a_key_that_another_process_has_just_rotated_in_is_found_at_once() {
        let folder = folder(&[("0", A), ("1", B)]);
        let ring = Arc::new(KeyRing::open(folder.path()).unwrap());
        let _follower = ring.follow().unwrap();
        assert_eq!(ring.decrypt(&encrypted_by(C)), Err(DecryptError::NoKeyFits));
        fs::write(folder.path().join("2"), C).unwrap();
        ring.next_look().await;
        assert_eq!(ring.decrypt(&encrypted_by(C)).unwrap().content, b"hello");
    }

    #[tokio::test]
    async fn a_flood_of_bad_messages_asks_the_disk_only_now_and_then() {
        let folder = folder(&[("0", A), ("1", B)]);
        let ring = Arc::new(KeyRing::open(folder.path()).unwrap());
        let _follower = ring.follow().unwrap();
        let bad = encrypted_by(C);
        let began = Instant::now();
        for _ in 0..2000 {
            assert_eq!(ring.decrypt(&bad), Err(DecryptError::NoKeyFits));
        }
        ring.next_look().await;
        let most = began.elapsed().as_millis() / RETRY_INTERVAL.as_millis() + 3;
        assert!(u128::from(ring.looks.borrow().begun) <= most);
    }

    #[test]
    fn anyone_who_decrypts_never_reads_the_folder() {
        let folder = folder(&[("0", A), ("1", B)]);
        let ring = KeyRing::open(folder.path()).unwrap();
        fs::write(folder.path().join("2"), C).unwrap();
        assert_eq!(ring.decrypt(&encrypted_by(C)), Err(DecryptError::NoKeyFits));
        assert_eq!(ring.decrypt("nonsense"), Err(DecryptError::Malformed));
        assert!(ring.refresh());
        assert!(ring.decrypt(&encrypted_by(C)).is_ok());
    }

    #[tokio::test]
    async fn a_folder_that_hangs_holds_up_nobody_for_long_who_shows_a_token() {
        let folder = folder(&[("0", A), ("1", B)]);
        let ring = Arc::new(KeyRing::open(folder.path()).unwrap());
        let _follower = ring.follow().unwrap();
        let known = encrypted_by(A);
        // As long as a read of the folder does not end, this is held.
        let (hold, held) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let hanging = Arc::clone(&ring);
        let reader = thread::spawn(move || {
            let _polled = hanging.polled.lock().unwrap();
            hold.send(()).unwrap();
            let _ = released.recv();
        });
        held.recv().unwrap();
        let ask = async || {
            assert_eq!(ring.decrypt(&encrypted_by(C)), Err(DecryptError::NoKeyFits));
            ring.next_look().await;
            assert!(ring.decrypt(&known).is_ok());
        };
        let is_known_to_hang = || {
            let since = ring.looks.borrow().since;
            since.is_some_and(|at| at.elapsed() > PATIENCE)
        };
        while !is_known_to_hang() {
            tokio::time::timeout(20 * PATIENCE, ask()).await.unwrap();
        }
        // Now nobody waits at all, and nobody else looks at it.
        let looks = ring.looks.borrow().begun;
        for _ in 0..20 {
            let mut ask = std::pin::pin!(ask());
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(ask.as_mut().poll(&mut context).is_ready());
        }
        assert!(is_known_to_hang());
        assert_eq!(ring.looks.borrow().begun, looks);
        drop(release);
        reader.join().unwrap();
        // It is looked at again as soon as it answers.
        fs::write(folder.path().join("2"), C).unwrap();
        let found = async {
            while ring.decrypt(&encrypted_by(C)).is_err() {
                tokio::task::yield_now().await;
                ring.next_look().await;
            }
        };
        tokio::time::timeout(20 * PATIENCE, found).await.unwrap();
    }

    #[test]
    fn the_null_key_serves_until_the_repository_can_be_used_and_decrypts_ever_after() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("credential-keys");
        let ring = KeyRing::open_with_null_key(&path);
        assert_eq!(ring.current().count(), 1);
        assert_eq!(encrypted_by_which(&encrypted(&ring.current())), NULL_KEY);
        assert!(!ring.refresh());

        fs::create_dir(&path).unwrap();
        assert!(!ring.refresh());
        fs::write(path.join("0"), A).unwrap();
        fs::write(path.join("1"), B).unwrap();
        assert!(ring.refresh());
        assert_eq!(ring.current().count(), 3);
        assert_eq!(encrypted_by_which(&encrypted(&ring.current())), B);
        assert!(ring.decrypt(&encrypted_by(NULL_KEY)).is_ok());
        assert_eq!(KeyRing::open_with_null_key(&path).current().count(), 3);
    }
}
