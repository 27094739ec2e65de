//! Configuration: `keystone.conf` as oslo.config reads it, as typed settings.
//!
//! [`Config::load`] gives the settings or names every value that is refused. Nothing in a file is
//! ignored in silence: [`Config::warnings`] tells what is unknown or out of date, and
//! [`Config::unhonoured`] which options of Keystone have no effect in this release.

use std::path::{Path, PathBuf};

pub mod ini;
mod reader;
mod report;
mod section;
mod sections;
mod source;
mod table;
mod value;

use reader::Reader;
use source::File;
use table::Table;

pub use report::{BadValue, ConfigError, Place, Unhonoured, Warning};
pub use sections::*;
pub use source::{Source, Sources};

pub use value::{Limit, Repeated, Uri};

/// Where a configuration came from and what its operator should know.
#[derive(Clone, Debug, Default, PartialEq)]
struct Origin {
    /// The folders in which a relative name is looked for, in this order.
    folders: Vec<PathBuf>,
    warnings: Vec<Warning>,
    unhonoured: Vec<Unhonoured>,
}

impl Config {
    /// Reads all sources.
    ///
    /// # Errors
    ///
    /// A file cannot be read or is not of the format, or values are refused: all of them are
    /// named.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let paths = sources.files()?;
        let folders = sources.folders_beside(&paths);
        let files = paths
            .into_iter()
            .map(File::read)
            .collect::<Result<Vec<File>, ConfigError>>()?;
        Self::from_files(&files, sources, folders)
    }

    /// Reads the text of one file and nothing else; `path` is what messages call it.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file = File::parse(path.to_owned(), text)?;
        Self::from_files(&[file], &Sources::default(), Vec::new())
    }

    /// What is unknown, renamed or deprecated in the files, in their order.
    pub fn warnings(&self) -> &[Warning] {
        &self.origin.warnings
    }

    /// The options of Keystone that are set to something other than their default and have no
    /// effect in this release, by section and name.
    pub fn unhonoured(&self) -> &[Unhonoured] {
        &self.origin.unhonoured
    }

    /// Finds a file or folder such as `policy.yaml` beside the configuration: in the folders that
    /// the command line names, beside the files, then in the folders that are searched by default.
    /// An absolute path is only checked.
    pub fn find_file(&self, name: &Path) -> Option<PathBuf> {
        if name.is_absolute() {
            return name.exists().then(|| name.to_owned());
        }
        let mut places = self.origin.folders.iter().map(|folder| folder.join(name));
        places.find(|path| path.exists())
    }

    fn from_files(
        files: &[File],
        sources: &Sources,
        folders: Vec<PathBuf>,
    ) -> Result<Self, ConfigError> {
        let table = Table::new(Self::specs());
        let mut reader = Reader::new(&table, files, &sources.environment);
        let config = Self::read(&mut reader);
        let origin = Origin {
            folders,
            warnings: reader.warnings(files),
            unhonoured: reader.unhonoured(files),
        };
        match config {
            Some(config) => Ok(Self { origin, ..config }),
            None => Err(ConfigError::Values(reader.errors)),
        }
    }
}
