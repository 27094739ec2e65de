//! The rules in force: Keystone's defaults with the operator's file laid over them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use policy::{Options, Rule, Rules};

/// The rules in force; a changed file takes effect without a restart.
pub struct PolicyFile {
    defaults: Rules,
    current: ArcSwap<Rules>,
    files: Vec<PathBuf>,
    seen: Mutex<Seen>,
}

/// The files as they were when last read.
type Seen = Vec<Option<(SystemTime, u64)>>;

impl PolicyFile {
    /// Starts with the defaults and the files, in the order in which they override each other. A
    /// file that does not exist counts as empty.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or holds something other than rules.
    pub fn open(
        rules: impl IntoIterator<Item = Rule>,
        options: Options,
        files: Vec<PathBuf>,
    ) -> Result<Self, String> {
        let defaults = Rules::new(rules, options);
        let seen = look(&files);
        let current = ArcSwap::from_pointee(read(&defaults, &files)?);
        Ok(Self {
            defaults,
            current,
            files,
            seen: Mutex::new(seen),
        })
    }

    /// The rules in force.
    pub fn current(&self) -> Arc<Rules> {
        self.current.load_full()
    }

    /// Reads the files again when they have changed. A bad file leaves the rules as they are and
    /// is logged.
    pub fn refresh(&self) {
        let now = look(&self.files);
        let mut seen = self
            .seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if *seen == now {
            return;
        }
        match read(&self.defaults, &self.files) {
            Ok(rules) => {
                self.current.store(Arc::new(rules));
                tracing::info!("the policy was read again");
            }
            Err(error) => tracing::error!(error, "the changed policy is not used"),
        }
        *seen = now;
    }
}

fn look(files: &[PathBuf]) -> Seen {
    let facts = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().map(facts).collect()
}

fn read(defaults: &Rules, files: &[PathBuf]) -> Result<Rules, String> {
    let mut rules = defaults.clone();
    for path in files {
        let Some(text) = text(path)? else { continue };
        rules = rules
            .with_overrides(&text)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        for problem in rules.problems() {
            tracing::warn!(file = %path.display(), %problem, "a policy rule denies everything");
        }
    }
    Ok(rules)
}

fn text(path: &Path) -> Result<Option<String>, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}
