//! The rules in force: Keystone's defaults with the operator's file laid over them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use policy::{Options, Problem, Rule, Rules};
use web::operation::Operation;

use crate::rules::base_rules::BASE_RULES;

/// Every default: the base rules, then the rules of each operation.
pub fn defaults(
    operations: impl Iterator<Item = &'static Operation>,
) -> impl Iterator<Item = Rule> {
    let rules = operations.flat_map(|operation| operation.rules.iter().copied());
    BASE_RULES.iter().copied().chain(rules)
}

/// Where the operator's rules stand.
#[derive(Clone, Debug)]
pub struct PolicySources {
    /// `[oslo_policy] policy_file`. When it does not exist, it counts as empty.
    pub file: PathBuf,
    /// `[oslo_policy] policy_dirs`, whose files override those before them, in the order of their
    /// names. One that does not exist counts as empty.
    pub folders: Vec<PathBuf>,
}

impl PolicySources {
    /// The files that there are now, in the order in which they override each other.
    fn files(&self) -> Result<Vec<PathBuf>, String> {
        let mut files = vec![self.file.clone()];
        for folder in &self.folders {
            let entries = match std::fs::read_dir(folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(format!("{}: {error}", folder.display())),
            };
            let mut inside = Vec::new();
            for entry in entries {
                let entry = entry.map_err(|error| format!("{}: {error}", folder.display()))?;
                inside.push(entry.path());
            }
            inside.retain(|path| path.is_file());
            inside.sort();
            files.extend(inside);
        }
        Ok(files)
    }
}

/// The rules in force; what changes in the files takes effect without a restart.
pub struct PolicyFile {
    defaults: Rules,
    current: ArcSwap<Rules>,
    sources: PolicySources,
    seen: Mutex<Seen>,
}

/// The files as they were when last read, or why they cannot be listed.
type Seen = Result<Vec<(PathBuf, Option<(SystemTime, u64)>)>, String>;

impl PolicyFile {
    /// Starts with the defaults and the operator's files.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or holds something other than rules.
    pub fn open(
        rules: impl IntoIterator<Item = Rule>,
        options: Options,
        sources: PolicySources,
    ) -> Result<Self, String> {
        let defaults = Rules::new(rules, options);
        let seen = look(&sources);
        let current = ArcSwap::from_pointee(read(&defaults, &seen)?);
        Ok(Self {
            defaults,
            current,
            sources,
            seen: Mutex::new(seen),
        })
    }

    /// The rules in force.
    pub fn current(&self) -> Arc<Rules> {
        self.current.load_full()
    }

    /// Reads the files again when they have changed, or when there are others. A bad file leaves the
    /// rules as they are and is logged.
    pub fn refresh(&self) {
        let now = look(&self.sources);
        let mut seen = self
            .seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if *seen == now {
            return;
        }
        match read(&self.defaults, &now) {
            Ok(rules) => {
                self.current.store(Arc::new(rules));
                tracing::info!("the policy was read again");
            }
            Err(error) => tracing::error!(error, "the changed policy is not used"),
        }
        *seen = now;
    }
}

fn look(sources: &PolicySources) -> Seen {
    let facts = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    let files = sources.files()?.into_iter();
    Ok(files.map(|path| (path.clone(), facts(&path))).collect())
}

fn read(defaults: &Rules, seen: &Seen) -> Result<Rules, String> {
    let files: Vec<PathBuf> = seen.clone()?.into_iter().map(|(path, _)| path).collect();
    let (rules, warnings) = overridden(defaults, &files)?;
    for (path, problem) in warnings {
        tracing::warn!(
            file = %path.display(),
            %problem,
            "a policy rule may not mean what was meant"
        );
    }
    Ok(rules)
}

/// A problem of a rule, and the file that the rule stands in.
type Warning<'a> = (&'a Path, Problem);

/// The defaults with the files laid over them, and what their author should be told.
fn overridden<'a>(
    defaults: &Rules,
    files: &'a [PathBuf],
) -> Result<(Rules, Vec<Warning<'a>>), String> {
    let mut rules = defaults.clone();
    let mut warnings: Vec<Warning<'a>> = Vec::new();
    for path in files {
        let Some(text) = text(path)? else { continue };
        rules = rules
            .with_overrides(&text)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        // A later file may mend what an earlier one says.
        let problems = rules.problems();
        warnings.retain(|(_, known)| problems.contains(known));
        for problem in problems {
            if !warnings.iter().any(|(_, known)| known == problem) {
                warnings.push((path, problem.clone()));
            }
        }
    }
    Ok((rules, warnings))
}

fn text(path: &Path) -> Result<Option<String>, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_come_and_go_while_the_server_runs_count() {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("policy.d");
        let sources = PolicySources {
            file: folder.path().join("policy.yaml"),
            folders: vec![rules.clone()],
        };
        let policy = PolicyFile::open([], Options::default(), sources).unwrap();
        let reader = serde_json::json!({"roles": ["reader"]});
        let allowed = || {
            policy.refresh();
            policy.current().check("a", &reader, &()) == policy::Decision::Allowed
        };
        assert!(!allowed(), "there is no such folder yet");
        std::fs::create_dir(&rules).unwrap();
        std::fs::write(rules.join("1.yaml"), "a: role:reader").unwrap();
        assert!(allowed());
        std::fs::write(rules.join("2.yaml"), "a: role:writer").unwrap();
        assert!(!allowed(), "the later one overrides");
        std::fs::rename(rules.join("2.yaml"), rules.join("0.yaml")).unwrap();
        assert!(allowed(), "it is now the earlier one");
        std::fs::remove_file(rules.join("1.yaml")).unwrap();
        assert!(!allowed());
        // What cannot be listed changes nothing.
        std::fs::write(rules.join("0.yaml"), "a: role:reader").unwrap();
        assert!(allowed());
        std::fs::remove_dir_all(&rules).unwrap();
        std::fs::write(&rules, "no folder").unwrap();
        assert!(allowed());
    }

    #[test]
    fn what_is_told_of_a_rule_is_true() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["main.yaml", "later.yaml"].map(|name| folder.path().join(name));
        let main = "a:\nb: ''\nc: []\nd: rule:missing or role:reader\ne: role:x or\n\
                    f: rule:elsewhere\n";
        std::fs::write(&files[0], main).unwrap();
        std::fs::write(&files[1], "elsewhere: role:reader\ng: rule:nowhere\n").unwrap();

        let defaults = Rules::new([], Options::default());
        let (rules, warnings) = overridden(&defaults, &files).unwrap();
        let warnings: Vec<String> = warnings
            .iter()
            .map(|(path, problem)| {
                format!("{}: {problem}", path.file_name().unwrap().to_str().unwrap())
            })
            .collect();
        assert_eq!(
            warnings,
            [
                "main.yaml: line 1: the rule \"a\" is empty and so allows everybody who is logged \
                 in; to deny everybody write \"!\" in quotes",
                "main.yaml: line 5: the rule \"e\" cannot be read and so denies everybody: a check \
                 is missing at the end",
                "main.yaml: line 4: the rule \"d\" refers to the rule \"missing\", which is not \
                 defined and never matches; the rest of the rule applies",
                "later.yaml: line 2: the rule \"g\" refers to the rule \"nowhere\", which is not \
                 defined and never matches; the rest of the rule applies",
            ]
        );
        let reader = serde_json::json!({"roles": ["reader"]});
        for (rule, allowed) in [
            ("a", true),
            ("b", true),
            ("c", true),
            ("d", true),
            ("e", false),
            ("f", true),
            ("g", false),
        ] {
            let decision = rules.check(rule, &reader, &());
            assert_eq!(decision == policy::Decision::Allowed, allowed, "{rule}");
        }
    }
}
