//! Where configuration comes from: files, folders of files, the environment.

use std::{
    collections::HashMap,
    env, fs, io,
    path::{Path, PathBuf},
};

use super::{
    ConfigError,
    ini::{self, Assignment},
};

/// A `--config-file` or `--config-dir`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// One file.
    File(PathBuf),
    /// The `*.conf` files of a folder, in the order of their names.
    Folder(PathBuf),
}

impl Source {
    /// Takes a leading `~` as the home folder, as oslo.config does even where no shell did.
    fn below_home(self, home: Option<&Path>) -> Self {
        let expand = |path: PathBuf| match (home, path.strip_prefix("~")) {
            (Some(home), Ok(rest)) => home.join(rest),
            _ => path,
        };
        match self {
            Self::File(path) => Self::File(expand(path)),
            Self::Folder(path) => Self::Folder(expand(path)),
        }
    }
}

/// All that a configuration is read from. What comes later wins, the environment over files.
///
/// It does not print: the environment may hold secrets.
#[derive(Clone, Default)]
pub struct Sources {
    /// What the command line names, in its order.
    pub given: Vec<Source>,
    /// Where files and folders that are not named are looked for: the first folder that has one.
    pub search: Vec<PathBuf>,
    /// The environment: `OS_<SECTION>__<OPTION>`, in upper case, sets an option.
    pub environment: HashMap<String, String>,
}

impl Sources {
    /// The sources of this process, with what its command line names.
    ///
    /// Without a `--config-file`, `OS_KEYSTONE_CONFIG_DIR` and `OS_KEYSTONE_CONFIG_FILES` (file
    /// names separated by `;`) are honoured as Keystone's WSGI application does.
    pub fn of_process(given: Vec<Source>) -> Self {
        // A name or a value that is not text can be none of ours.
        let environment: HashMap<String, String> = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let variable = |name| environment.get(name).map(PathBuf::from);
        let home = env::home_dir();
        let given = given
            .into_iter()
            .map(|source| source.below_home(home.as_deref()))
            .collect();
        let search = [
            home.as_ref().map(|home| home.join(".keystone")),
            home.clone(),
            Some(PathBuf::from("/etc/keystone")),
            Some(PathBuf::from("/etc")),
            variable("SNAP_COMMON").map(|snap| snap.join("etc/keystone")),
            variable("SNAP").map(|snap| snap.join("etc/keystone")),
        ];
        Self {
            given,
            search: search.into_iter().flatten().collect(),
            environment,
        }
    }

    /// The files to read, the strongest last.
    ///
    /// As in oslo.config, a kind of source that the command line does not name is looked for,
    /// and is weaker than what it does name.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>, ConfigError> {
        let mut files = Vec::new();
        if !self.given.iter().any(|it| matches!(it, Source::File(_))) {
            files.extend(self.default_files());
        }
        if !self.given.iter().any(|it| matches!(it, Source::Folder(_))) {
            for folder in self.look_for(".conf.d") {
                files.extend(conf_files(&folder)?);
            }
        }
        for source in &self.given {
            match source {
                Source::File(path) => files.push(path.clone()),
                Source::Folder(path) => files.extend(conf_files(path)?),
            }
        }
        Ok(files)
    }

    /// The folders in which a relative name is looked for: those given, those of the files from
    /// the strongest, those that are searched.
    pub(super) fn folders_beside(&self, files: &[PathBuf]) -> Vec<PathBuf> {
        let given = self.given.iter().filter_map(|source| match source {
            Source::Folder(path) => Some(path.clone()),
            Source::File(_) => None,
        });
        let beside = files
            .iter()
            .rev()
            .filter_map(|path| path.parent().map(Path::to_owned));
        given.chain(beside).chain(self.search.clone()).collect()
    }

    fn default_files(&self) -> Vec<PathBuf> {
        let variable = |name| self.environment.get(name).map_or("", |value| value.trim());
        let mut names: Vec<&str> = variable("OS_KEYSTONE_CONFIG_FILES")
            .split(';')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .collect();
        let folder = variable("OS_KEYSTONE_CONFIG_DIR");
        if names.is_empty() && folder.is_empty() {
            return self.look_for(".conf");
        }
        if names.is_empty() {
            names.push("keystone.conf");
        }
        names
            .iter()
            .map(|name| Path::new(folder).join(name))
            .collect()
    }

    /// Looks for what is named after Keystone, then for what is named after us and so stronger.
    fn look_for(&self, extension: &str) -> Vec<PathBuf> {
        ["keystone", "archstone"]
            .iter()
            .filter_map(|stem| {
                let mut places = self
                    .search
                    .iter()
                    .map(|folder| folder.join(format!("{stem}{extension}")));
                places.find(|path| path.exists())
            })
            .collect()
    }
}

/// A file that has been read.
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) assignments: Vec<Assignment>,
}

impl File {
    pub(super) fn read(path: PathBuf) -> Result<Self, ConfigError> {
        let text = fs::read(&path)
            .and_then(|bytes| {
                String::from_utf8(bytes)
                    .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
            })
            .map_err(|source| ConfigError::Unreadable {
                path: path.clone(),
                source,
            })?;
        Self::parse(path, &text)
    }

    pub(super) fn parse(path: PathBuf, text: &str) -> Result<Self, ConfigError> {
        match ini::parse(text) {
            Ok(assignments) => Ok(Self { path, assignments }),
            Err(error) => Err(ConfigError::Syntax { path, error }),
        }
    }
}

/// The `*.conf` files of a folder, sorted; as for a shell, `*` does not match a leading dot.
fn conf_files(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if name.ends_with(b".conf") && !name.starts_with(b".") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_is_the_home_folder() {
        let file = |path: &str| Source::File(PathBuf::from(path));
        let below = |source: Source| source.below_home(Some(Path::new("/home/a")));
        assert_eq!(below(file("~/k.conf")), file("/home/a/k.conf"));
        assert_eq!(below(file("~b/k.conf")), file("~b/k.conf"));
        assert_eq!(below(file("x/~/k.conf")), file("x/~/k.conf"));
        let folder = |path: &str| Source::Folder(PathBuf::from(path));
        assert_eq!(below(folder("~")), folder("/home/a"));
        assert_eq!(folder("~").below_home(None), folder("~"));
    }

    #[test]
    fn a_file_that_is_not_text_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.conf");
        fs::write(&path, b"[token]\n# \xff\n").unwrap();
        let error = File::read(path.clone()).err().unwrap();
        assert_eq!(
            error.to_string(),
            format!("{}: it is not UTF-8", path.display())
        );
    }
}
