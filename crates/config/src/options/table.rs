//! The table of all options: Keystone's, checked in as `options.tsv`, and those honoured here.

use std::collections::{HashMap, HashSet};

use crate::value::{Kind, Rule, Value};

/// What is known of one option.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    /// The section, in lower case but for `DEFAULT`.
    pub(crate) section: &'static str,
    /// The name within the section.
    pub(crate) name: &'static str,
    /// What it accepts.
    pub(crate) rule: Rule,
    /// The default as written in a file: nothing when unset, several values when repeated.
    pub(crate) default: Vec<&'static str>,
    /// The sections and names it had before, which are still read.
    pub(crate) former: Vec<(&'static str, &'static str)>,
    /// Whether its value must not be shown.
    pub(crate) secret: bool,
    /// Whether Keystone means to remove it.
    pub(crate) deprecated: bool,
    /// Whether this release declares it, with a type of its own.
    pub(crate) honoured: bool,
    /// Whether its value is checked but nothing acts on it yet.
    pub(crate) pending: bool,
    /// What it means, a line each.
    pub(crate) doc: &'static [&'static str],
}

impl Spec {
    /// An option that this release declares.
    pub(crate) fn honoured<T: Value>(
        section: &'static str,
        name: &'static str,
        doc: &'static [&'static str],
    ) -> Self {
        Self {
            section,
            name,
            rule: T::rule(),
            default: Vec::new(),
            former: Vec::new(),
            secret: T::SECRET,
            deprecated: false,
            honoured: true,
            pending: false,
            doc,
        }
    }

    pub(crate) fn default(mut self, text: &'static str) -> Self {
        self.default.push(text);
        self
    }

    pub(crate) fn min(mut self, min: i64) -> Self {
        self.rule.min = Some(min);
        self
    }

    pub(crate) fn max(mut self, max: i64) -> Self {
        self.rule.max = Some(max);
        self
    }

    pub(crate) fn former(mut self, dotted: &'static str) -> Self {
        self.former.push(split_dotted(dotted));
        self
    }

    pub(crate) fn deprecated(mut self, deprecated: bool) -> Self {
        self.deprecated = deprecated;
        self
    }

    pub(crate) fn pending(mut self, pending: bool) -> Self {
        self.pending = pending;
        self
    }
}

/// All options by section and name.
pub(crate) struct Table {
    specs: Vec<Spec>,
    /// The index in `specs` behind each section and name, former ones among them.
    names: HashMap<&'static str, HashMap<&'static str, usize>>,
}

impl Table {
    /// The options that `honoured` declares, and what else Keystone has.
    pub(crate) fn new(honoured: Vec<Spec>) -> Self {
        let declared: HashSet<_> = honoured.iter().map(|it| (it.section, it.name)).collect();
        let others = keystone().filter(|it| !declared.contains(&(it.section, it.name)));
        let specs: Vec<Spec> = honoured.iter().cloned().chain(others).collect();

        let mut names: HashMap<_, HashMap<_, _>> = HashMap::new();
        let mut name =
            |(section, name), index| names.entry(section).or_default().insert(name, index);
        for (index, spec) in specs.iter().enumerate() {
            for former in &spec.former {
                name(*former, index);
            }
        }
        // A present name is stronger than the same name as a former one of another option.
        for (index, spec) in specs.iter().enumerate() {
            name((spec.section, spec.name), index);
        }
        Self { specs, names }
    }

    /// Finds an option by its present name.
    pub(crate) fn find(&self, section: &str, name: &str) -> Option<&Spec> {
        self.find_by_any_name(section, name)
            .filter(|spec| spec.section == section && spec.name == name)
    }

    /// Finds an option by its present name or a former one.
    pub(crate) fn find_by_any_name(&self, section: &str, name: &str) -> Option<&Spec> {
        let index = self.names.get(section)?.get(name)?;
        Some(&self.specs[*index])
    }

    pub(crate) fn has_section(&self, section: &str) -> bool {
        self.names.contains_key(section)
    }

    pub(crate) fn specs(&self) -> &[Spec] {
        &self.specs
    }
}

/// Keystone's options, none of them honoured.
pub(crate) fn keystone() -> impl Iterator<Item = Spec> {
    include_str!("options.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(row)
}

fn row(line: &'static str) -> Spec {
    let columns: Vec<&str> = line.split('\t').collect();
    let [
        section,
        name,
        kind,
        default,
        min,
        max,
        choices,
        former,
        flags,
    ] = columns[..]
    else {
        unreachable!("options.tsv has nine columns: {line}");
    };
    let kind = match kind {
        // No option that is a map is honoured: its text is enough to tell it from the default.
        "text" | "map" => Kind::Text,
        "integer" => Kind::Integer,
        "float" => Kind::Float,
        "boolean" => Kind::Boolean,
        "list" => Kind::List,
        "repeated" => Kind::Repeated,
        "uri" => Kind::Uri,
        _ => unreachable!("options.tsv names a kind: {line}"),
    };
    let default = match (default, kind) {
        ("<unset>", _) => Vec::new(),
        (values, Kind::Repeated) => values.split('|').collect(),
        (value, _) => vec![value],
    };
    let several = |column: &'static str| column.split('|').filter(|_| !column.is_empty());
    Spec {
        section,
        name,
        rule: Rule {
            kind,
            min: min.parse().ok(),
            max: max.parse().ok(),
            choices: several(choices).collect(),
            words: None,
        },
        default,
        former: several(former).map(split_dotted).collect(),
        secret: flags.contains("secret"),
        deprecated: flags.contains("deprecated"),
        honoured: false,
        pending: false,
        doc: &[],
    }
}

fn split_dotted(dotted: &'static str) -> (&'static str, &'static str) {
    dotted
        .split_once('.')
        .expect("a former name is section.name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, TABLE, reader};

    #[test]
    fn what_is_honoured_is_declared_as_keystone_has_it() {
        for ours in Config::specs() {
            let name = format!("[{}] {}", ours.section, ours.name);
            let Some(theirs) =
                keystone().find(|it| (it.section, it.name) == (ours.section, ours.name))
            else {
                let own = ours.section == "archstone" || name == "[cache] foreign_ttl";
                assert!(own, "{name} is neither Keystone's nor ours");
                continue;
            };
            assert_eq!(ours.rule.kind, theirs.rule.kind, "kind of {name}");
            assert_eq!(
                reader::plain_default(&ours),
                reader::plain_default(&theirs),
                "default of {name}"
            );
            assert_eq!(ours.former, theirs.former, "former names of {name}");
            assert_eq!(ours.deprecated, theirs.deprecated, "deprecation of {name}");
            assert!(ours.secret || !theirs.secret, "{name} is a secret");
            // A type may allow less than Keystone does, never more.
            assert!(ours.rule.min >= theirs.rule.min, "least value of {name}");
            let theirs_max = theirs.rule.max.unwrap_or(i64::MAX);
            assert!(
                ours.rule.max.unwrap_or(i64::MAX) <= theirs_max,
                "greatest value of {name}"
            );
            if !theirs.rule.choices.is_empty() {
                assert_eq!(ours.rule.choices, theirs.rule.choices, "choices of {name}");
            }
        }
    }

    #[test]
    fn every_default_of_keystone_obeys_its_rule() {
        for spec in keystone() {
            let default = reader::plain_default(&spec);
            assert!(
                default.is_ok(),
                "[{}] {}: {default:?}",
                spec.section,
                spec.name
            );
        }
    }

    #[test]
    fn an_option_is_found_by_present_and_former_names() {
        let table = &*TABLE;
        let present = table.find("resource", "caching").unwrap();
        let former = table.find_by_any_name("assignment", "caching").unwrap();
        assert_eq!(
            (former.section, former.name),
            (present.section, present.name)
        );
        assert!(table.find("assignment", "caching").is_none());
        assert!(table.has_section("oslo_messaging_rabbit"));
        assert!(!table.has_section("nova"));
    }
}
