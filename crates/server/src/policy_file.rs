//! The rules in force: Keystone's defaults with the operator's file laid over them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use policy::{Options, Rule, Rules, Usage};

use crate::base_rules::BASE_RULES;
use crate::operation::Routes;

/// Every default: the base rules, then the rules of each operation.
pub fn defaults(routes: &Routes) -> impl Iterator<Item = Rule> {
    let rules = routes
        .operations()
        .flat_map(|operation| operation.rules.iter().copied());
    BASE_RULES.iter().copied().chain(rules)
}

/// A policy file that changes nothing: every default, commented out, below what it guards.
pub fn sample() -> String {
    let routes = crate::routes();
    let mut rules: Vec<(Rule, Vec<Usage<'_>>)> = Vec::new();
    for rule in defaults(&routes) {
        if rules.iter().any(|(known, _)| known.name == rule.name) {
            continue;
        }
        let usages = routes
            .operations()
            .filter(|operation| operation.rules.contains(&rule))
            .map(|operation| Usage {
                summary: operation.summary,
                method: operation.method.as_str(),
                path: operation.path,
            });
        rules.push((rule, usages.collect()));
    }
    policy::sample(
        rules
            .iter()
            .map(|(rule, usages)| (*rule, usages.as_slice())),
    )
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_sample_is_current() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../deploy/policy.yaml.sample"
        );
        let checked_in = std::fs::read_to_string(path).unwrap();
        assert!(
            checked_in == sample(),
            "write it anew: cargo run --bin archstone -- policy > deploy/policy.yaml.sample"
        );
    }

    #[test]
    fn the_sample_has_every_rule_once_and_changes_nothing() {
        let routes = crate::routes();
        let sample = sample();
        for rule in defaults(&routes) {
            let line = format!("\n#\"{}\": ", rule.name);
            assert_eq!(sample.matches(&line).count(), 1, "{}", rule.name);
        }
        let rules = Rules::new(defaults(&routes), Options::default());
        let switched_on = sample.replace("\n#\"", "\n\"");
        for text in [&sample, &switched_on] {
            let problems = rules.with_overrides(text).unwrap().problems().len();
            assert_eq!(problems, 0);
        }
    }

    #[test]
    fn operations_that_share_a_rule_agree_on_it() {
        let routes = crate::routes();
        let rules: Vec<Rule> = defaults(&routes).collect();
        for rule in &rules {
            assert!(
                rules
                    .iter()
                    .all(|other| other.name != rule.name || other == rule),
                "{}",
                rule.name
            );
        }
    }
}
