//! Key repositories: folders of Fernet keys for tokens, receipts and credentials, shared with Keystone.
//!
//! Each file is named by a number and holds one key. The highest number is the primary key, which encrypts; 0 is the
//! staged key, the next primary, so that every node knows a key before the first message under it arrives.

mod ring;

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, fchown},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::fernet::{Key, Keys};

pub use ring::{Follower, KeyRing, NULL_KEY};

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

/// Tells which file or folder an error is about.
fn at(path: &Path) -> impl FnOnce(io::Error) -> KeyRepositoryError {
    |source| KeyRepositoryError::Io {
        path: path.to_owned(),
        source,
    }
}
