//! The rules in force: Keystone's defaults with the operator's file laid over them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use policy::{Flaw, Offers, Options, Problem, Rule, Rules};
use serde_json::Value;
use web::operation::Operation;
use web::schemas::Schemas;

use crate::rules::base_rules::BASE_RULES;

/// Every default: the base rules, then the rules of each operation.
pub fn defaults(
    operations: impl Iterator<Item = &'static Operation>,
) -> impl Iterator<Item = Rule> {
    let rules = operations.flat_map(|operation| operation.rules.iter().copied());
    BASE_RULES.iter().copied().chain(rules)
}

/// The defaults, ready to be asked.
///
/// # Panics
///
/// When a rule asks for a key that none of its operations offers: it would deny in silence.
pub fn default_rules(
    operations: impl Iterator<Item = &'static Operation> + Clone,
    schemas: &Schemas,
    options: Options,
) -> Rules {
    let offers = offers(operations.clone(), schemas);
    // With what the rules said before, which may be switched on.
    let with_deprecated = Options {
        enforce_new_defaults: false,
        ..Options::default()
    };
    let all = Rules::new(defaults(operations.clone()), with_deprecated).offering(offers.clone());
    for problem in all.problems() {
        assert!(
            !matches!(problem.flaw, Flaw::NotOffered { .. }),
            "a default of the policy is wrong: {problem}"
        );
    }
    Rules::new(defaults(operations), options).offering(offers)
}

/// The keys that the rules of operations are given, by the names of the rules.
fn offers(operations: impl Iterator<Item = &'static Operation>, schemas: &Schemas) -> Offers {
    let mut offers = Offers::new();
    for operation in operations {
        for rule in operation.rules {
            let offered = offers.entry(rule.name).or_default();
            rule.about.for_each(&mut |key| {
                offered.insert(key.to_owned());
            });
            offered.extend(operation.variables().map(str::to_owned));
            let filters = operation.filters.iter();
            offered.extend(filters.map(|name| format!("filter_attr.{name}")));
            match operation.body_schema {
                Some(name) => {
                    let schema = schemas.find(name).expect("the schema is there");
                    add_attributes(offered, "request_body", schema);
                }
                // Whatever a client sends.
                None => drop(offered.insert("request_body.*".to_owned())),
            }
        }
    }
    offers
}

/// Adds what a schema describes, and leaves open what it leaves open inside of the resource.
fn add_attributes(offered: &mut BTreeSet<String>, prefix: &str, schema: &Value) {
    let attributes = schema.get("properties").and_then(Value::as_object);
    for (name, schema) in attributes.into_iter().flatten() {
        let key = format!("{prefix}.{name}");
        add_attributes(offered, &key, schema);
        if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            offered.insert(format!("{key}.*"));
        }
        offered.insert(key);
    }
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
    pub fn open(defaults: Rules, sources: PolicySources) -> Result<Self, String> {
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
    use model::user::User;

    use super::*;
    use crate::rules::keys_of;

    const LIST: Rule = Rule::new("list_things", "rule:admin_required or user_id:%(user_id)s");

    #[test]
    #[should_panic(expected = "the rule \"get_thing\" asks for %(target.user.dom_id)s")]
    fn a_misspelt_key_of_a_default_rule_stops_the_start() {
        const GET: Rule =
            Rule::new("get_thing", "domain_id:%(target.user.dom_id)s").about(keys_of::<User>());
        static SHOW: Operation =
            Operation::get("/v3/things/{thing_id}", "Show a thing").rules(&[GET]);
        default_rules([&SHOW].into_iter(), &Schemas::load(), Options::default());
    }

    #[test]
    #[should_panic(expected = "asks, by way of the rule \"owner\", for %(user_id)s")]
    fn so_does_one_of_a_rule_that_is_referred_to_by_what_a_rule_said_before() {
        const GET: Rule = Rule::new("get_thing", "role:reader").deprecated("rule:admin_or_owner");
        static SHOW: Operation =
            Operation::get("/v3/things/{thing_id}", "Show a thing").rules(&[GET]);
        default_rules([&SHOW].into_iter(), &Schemas::load(), Options::default());
    }

    #[test]
    fn a_key_that_an_operators_rule_is_never_given_is_told() {
        static OF_USER: Operation = Operation::post("/v3/users/{user_id}/things", "Create a thing")
            .rules(&[LIST])
            .filters(&["domain_id"])
            .body("resource.project_create_request_body");
        let defaults = default_rules([&OF_USER].into_iter(), &Schemas::load(), Options::default());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.yaml");
        for (rule, told) in [
            ("user_id:%(user_id)s", None),
            ("domain_id:%(filter_attr.domain_id)s", None),
            ("domain_id:%(request_body.project.domain_id)s", None),
            (
                "domain_id:%(request_body.domain_id)s",
                Some("request_body.domain_id"),
            ),
            ("user_id:%(target.user.id)s", Some("target.user.id")),
            ("domain_id:%(filter_attr.name)s", Some("filter_attr.name")),
            ("rule:token_subject", Some("target.token.user_id")),
        ] {
            std::fs::write(&file, format!("list_things: {rule}\n")).unwrap();
            let (_, warnings) = overridden(&defaults, std::slice::from_ref(&file)).unwrap();
            let warnings: Vec<String> = warnings
                .iter()
                .map(|(_, problem)| problem.to_string())
                .collect();
            let Some(key) = told else {
                assert_eq!(warnings, [""; 0], "{rule}");
                continue;
            };
            let [warning] = warnings.as_slice() else {
                panic!("one warning: {warnings:?}");
            };
            assert!(
                warning.starts_with("line 1: the rule \"list_things\" asks"),
                "{warning}"
            );
            assert!(
                warning.contains(&format!("for %({key})s, which it is never given")),
                "{warning}"
            );
        }
    }

    #[test]
    fn files_that_come_and_go_while_the_server_runs_count() {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("policy.d");
        let sources = PolicySources {
            file: folder.path().join("policy.yaml"),
            folders: vec![rules.clone()],
        };
        let policy = PolicyFile::open(Rules::new([], Options::default()), sources).unwrap();
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
