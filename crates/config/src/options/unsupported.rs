//! Options of Keystone that nothing here acts on: which of them may be set all the same, and which
//! stop the start.

use std::{collections::HashMap, sync::LazyLock};

/// What becomes of an option of Keystone that this release does not act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unsupported {
    /// The texts that ask for nothing but what this server does anyway. `None` when every text may
    /// stand there: the option decides neither where users are nor who gets in.
    pub(crate) accepted: Option<Vec<&'static str>>,
    /// Why it has no effect, or what to do instead.
    pub(crate) reason: &'static str,
}

impl Unsupported {
    /// Finds what becomes of an option, which a row may name alone or with all of its section.
    pub(crate) fn find(section: &'static str, name: &'static str) -> Option<&'static Self> {
        ROWS.get(&(section, name))
            .or_else(|| ROWS.get(&(section, "*")))
    }

    /// What may stand there and why nothing else, as a refusal says it.
    pub(crate) fn expected(&self) -> String {
        let accepted = self.accepted.as_deref().unwrap_or_default();
        match accepted.is_empty() {
            true => format!("the default: {}", self.reason),
            false => format!("{}: {}", accepted.join(", "), self.reason),
        }
    }
}

static ROWS: LazyLock<HashMap<(&str, &str), Unsupported>> = LazyLock::new(|| rows().collect());

fn rows() -> impl Iterator<Item = ((&'static str, &'static str), Unsupported)> {
    include_str!("unsupported.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let [section, name, accepted, reason] = columns[..] else {
                unreachable!("unsupported.tsv has four columns: {line}");
            };
            let values = || accepted.split('|').filter(|value| !value.is_empty());
            let accepted = (accepted != "*").then(|| values().collect());
            ((section, name), Unsupported { accepted, reason })
        })
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, fs, path::Path};

    use super::*;
    use crate::{Config, TABLE};

    #[test]
    fn every_option_of_keystone_is_either_honoured_or_says_what_becomes_of_it() {
        let mut used = HashSet::new();
        for spec in TABLE.specs() {
            let (section, name) = (spec.section, spec.name);
            let acts = spec.honoured && !spec.pending;
            assert_eq!(
                acts,
                Unsupported::find(section, name).is_none(),
                "[{section}] {name} needs an effect or a row in unsupported.tsv, and not both"
            );
            used.extend([(section, name), (section, "*")]);
        }
        assert_eq!(rows().count(), ROWS.len(), "no option has two rows");
        for ((section, name), row) in rows() {
            assert!(used.contains(&(section, name)), "[{section}] {name}");
            assert!(!row.reason.is_empty(), "[{section}] {name} has a reason");
        }
    }

    /// What keystone.conf says of where users are and who gets in must not be dropped.
    #[test]
    fn what_decides_who_gets_in_is_never_only_warned_of() {
        for spec in TABLE.specs().iter().filter(|spec| !spec.honoured) {
            let plug_in = spec.name == "driver" || spec.section == "auth";
            let decides = plug_in && spec.section != "oslo_messaging_notifications";
            let row = Unsupported::find(spec.section, spec.name);
            assert!(
                !decides || row.is_some_and(|row| row.accepted.is_some()),
                "[{}] {}",
                spec.section,
                spec.name
            );
        }
    }

    /// A field that no code outside of this crate names cannot have an effect.
    #[test]
    fn every_option_that_is_honoured_is_read_by_the_code() {
        let mut sources = Vec::new();
        let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
        let own = Path::new(&package);
        for entry in fs::read_dir(own.join("..")).unwrap() {
            let folder = entry.unwrap().path();
            // What declares and reads the options does not act on them.
            if !folder.ends_with("config") && folder.join("src").is_dir() {
                gather(&folder.join("src"), &mut sources);
            }
        }
        // What stands beside a section's type does.
        gather_file(&own.join("src/lib.rs"), &mut sources);
        let unread: Vec<String> = Config::specs()
            .iter()
            // Of one choice there is nothing to read.
            .filter(|spec| !spec.pending && spec.rule.choices.len() != 1)
            .filter(|spec| {
                !sources
                    .iter()
                    .any(|text| reads(text, spec.section, spec.name))
            })
            .map(|spec| format!("[{}] {}", spec.section, spec.name))
            .collect();
        assert!(unread.is_empty(), "nothing reads {unread:?}");
    }

    fn gather(folder: &Path, sources: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                gather(&path, sources);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                gather_file(&path, sources);
            }
        }
    }

    fn gather_file(path: &Path, sources: &mut Vec<String>) {
        let text = fs::read_to_string(path).unwrap();
        // Tests at the bottom of a file have no effect on a server.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().filter(|line| !line.trim().starts_with("//"));
        sources.push(lines.collect::<Vec<_>>().join("\n"));
    }

    /// Whether a file reaches for the section and reads the field, directly or by a name that it
    /// gave to the section.
    fn reads(text: &str, section: &str, name: &str) -> bool {
        let (section, named) = match section {
            "DEFAULT" => ("default", "General".to_owned()),
            section => (section, camel_case(section)),
        };
        let reaches = |word: &str| {
            text.match_indices(word).any(|(at, _)| {
                let rest = &text[at + word.len()..];
                !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '(')
            })
        };
        let dotted = |name: &str| reaches(&format!(".{name}"));
        dotted(name) && (dotted(section) || reaches(&named))
    }

    /// The name of a section's type.
    fn camel_case(section: &str) -> String {
        section
            .split('_')
            .map(|word| word[..1].to_uppercase() + &word[1..])
            .collect()
    }
}
