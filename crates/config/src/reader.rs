//! Finds the value of an option among all sources and reads it by the option's rule.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
    path::Path,
};

use super::{
    ini::{self, Assignment},
    options::table::{Spec, Table},
    options::unsupported::Unsupported,
    report::{BadValue, Place, UnsupportedOption, Warning},
    source::File,
    value::{Kind, Plain, Refused, Value},
};

/// The default of an option among those of its section.
pub(super) fn default<T: Value>(specs: &[Spec], name: &str) -> T {
    let spec = specs.iter().find(|spec| spec.name == name);
    spec.and_then(|spec| plain_default(spec).ok())
        .and_then(T::from_plain)
        .expect("a declared default obeys its own rule")
}

/// Reads options from files and the environment and gathers what is wrong with them.
pub(super) struct Reader<'a> {
    table: &'a Table,
    /// The strongest first.
    files: Vec<Index<'a>>,
    environment: &'a HashMap<String, String>,
    /// How many references the value that is being read has led to.
    references: Cell<u32>,
    /// The values that were refused.
    pub(super) errors: Vec<BadValue>,
}

/// How many references a value may lead to: one to two to four and so on is soon too much for any
/// machine.
const MOST_REFERENCES: u32 = 1000;

/// The assignments of one file by section and name.
struct Index<'a> {
    path: &'a Path,
    sections: HashMap<String, HashMap<&'a str, Vec<Written<'a>>>>,
}

#[derive(Clone, Copy)]
struct Written<'a> {
    value: &'a str,
    line: usize,
}

/// The texts that set an option; more than one only when it is repeated.
struct Found<'a> {
    texts: Vec<&'a str>,
    place: Place,
    /// The section and name under which it was found.
    name: (&'a str, &'a str),
}

impl<'a> Reader<'a> {
    /// A reader of files, the strongest last, and of an environment that is stronger than they.
    pub(super) fn new(
        table: &'a Table,
        files: &'a [File],
        environment: &'a HashMap<String, String>,
    ) -> Self {
        Self {
            table,
            files: files.iter().rev().map(Index::of).collect(),
            environment,
            references: Cell::new(0),
            errors: Vec::new(),
        }
    }

    /// The value of a declared option; `None`, with an entry in `errors`, when it is refused.
    pub(super) fn value<T: Value>(&mut self, section: &str, name: &str) -> Option<T> {
        let spec = self
            .table
            .find(section, name)
            .expect("the option is declared");
        let found = self.found(spec);
        let value = self
            .plain(spec, found.as_ref(), &mut Vec::new())
            .and_then(|plain| T::from_plain(plain).ok_or_else(|| Refused(spec.rule.describe())));
        match value {
            Ok(value) => Some(value),
            Err(Refused(expected)) => {
                self.errors.push(bad_value(spec, found.as_ref(), expected));
                None
            }
        }
    }

    /// What the operator should hear of although it does not stop the start.
    pub(super) fn warnings(&self, files: &[File]) -> Vec<Warning> {
        let mut unknown_sections = HashSet::new();
        placed(files)
            .filter_map(|(assignment, place)| self.warning(assignment, place))
            // Once for a section is enough, however much stands in it.
            .filter(|warning| match warning {
                Warning::UnknownSection { section, .. } => unknown_sections.insert(section.clone()),
                _ => true,
            })
            .collect()
    }

    fn warning(&self, assignment: &Assignment, place: Place) -> Option<Warning> {
        let section = normalized(&assignment.section);
        let written = (assignment.section.clone(), assignment.name.clone());
        match self.table.find_by_any_name(&section, &assignment.name) {
            Some(spec) if spec.section != section || spec.name != assignment.name => {
                Some(Warning::FormerName {
                    written,
                    present: (spec.section, spec.name),
                    place,
                })
            }
            Some(spec) if spec.honoured && spec.deprecated => {
                Some(Warning::Deprecated { written, place })
            }
            Some(_) => None,
            None if is_federation_option(&assignment.name) => None,
            None if self.table.has_section(&section) => {
                Some(Warning::UnknownOption { written, place })
            }
            None => Some(Warning::UnknownSection {
                section: assignment.section.clone(),
                place,
            }),
        }
    }

    /// Keystone's options that are set to something other than their default and that nothing acts
    /// on: those that do no harm, by section and name, and those that must not be dropped.
    pub(super) fn unsupported_options(&self) -> (Vec<UnsupportedOption>, Vec<BadValue>) {
        let (mut harmless, mut refused) = (Vec::new(), Vec::new());
        for spec in self.table.specs() {
            let Some(unsupported) = Unsupported::find(spec.section, spec.name) else {
                continue;
            };
            let Some(found) = self.found(spec) else {
                continue;
            };
            let value = self.plain(spec, Some(&found), &mut Vec::new());
            let default = plain_default(spec);
            let same = match &value {
                Ok(Plain::Text(text)) if text.is_empty() => default == Ok(Plain::Unset),
                // As samples have it: given once, with nothing.
                Ok(Plain::List(items)) if items.iter().all(String::is_empty) => {
                    default == Ok(Plain::Unset) || value == default
                }
                _ => value == default,
            };
            let accepted = unsupported.accepted.as_deref();
            let said = |text: &String| accepted.is_some_and(|it| it.contains(&text.as_str()));
            if same || matches!(&value, Ok(Plain::Text(text)) if said(text)) {
                continue;
            }
            match accepted {
                Some(_) => refused.push(bad_value(spec, Some(&found), unsupported.expected())),
                None => harmless.push(UnsupportedOption {
                    section: spec.section.to_owned(),
                    name: spec.name.to_owned(),
                    place: found.place,
                    reason: unsupported.reason,
                }),
            }
        }
        harmless.sort_by(|a, b| (&a.section, &a.name).cmp(&(&b.section, &b.name)));
        (harmless, refused)
    }

    /// Where an option is set, if it is.
    pub(super) fn place(&self, section: &str, name: &str) -> Option<Place> {
        Some(self.found(self.table.find(section, name)?)?.place)
    }

    /// What sets an option. A stronger file wins under any name, within one file the present name;
    /// of several values the last, unless the option is repeated.
    fn found(&self, spec: &'a Spec) -> Option<Found<'a>> {
        let variable = format!(
            "OS_{}__{}",
            spec.section.to_uppercase(),
            spec.name.to_uppercase()
        );
        if let Some(value) = self.environment.get(&variable) {
            return Some(Found {
                texts: vec![value],
                place: Place::Environment(variable),
                name: (spec.section, spec.name),
            });
        }
        let mut found: Option<Found> = None;
        for file in &self.files {
            let names = [(spec.section, spec.name)];
            for name in names.iter().chain(&spec.former) {
                let Some(written) = file.find(*name) else {
                    continue;
                };
                let last = written.last().expect("an indexed name has a value");
                let mut texts: Vec<&str> = written.iter().map(|it| it.value).collect();
                match &mut found {
                    None => {
                        found = Some(Found {
                            texts,
                            place: Place::File {
                                path: file.path.to_owned(),
                                line: last.line,
                            },
                            name: *name,
                        });
                    }
                    // What a weaker file says of a repeated option comes first.
                    Some(found) => {
                        texts.append(&mut found.texts);
                        found.texts = texts;
                    }
                }
                if spec.rule.kind != Kind::Repeated {
                    return found;
                }
            }
        }
        found
    }

    /// Resolves references and reads the result. `pending` are the options that wait for this one.
    fn plain(
        &self,
        spec: &'a Spec,
        found: Option<&Found<'a>>,
        pending: &mut Vec<(&'a str, &'a str)>,
    ) -> Result<Plain, Refused> {
        let Some(found) = found else {
            return plain_default(spec);
        };
        if pending.is_empty() {
            self.references.set(0);
        }
        pending.push((spec.section, spec.name));
        let texts: Result<Vec<String>, Refused> = found
            .texts
            .iter()
            .map(|text| {
                ini::substitute(text, |reference| {
                    self.referenced(spec.section, reference, pending)
                })
            })
            .collect();
        pending.pop();
        read(spec, &texts?)
    }

    /// The value of the option that a reference names, as text. A name without a group is looked
    /// for in the section of the value and then in `[DEFAULT]`.
    fn referenced(
        &self,
        section: &str,
        reference: &str,
        pending: &mut Vec<(&'a str, &'a str)>,
    ) -> Result<String, Refused> {
        let spec = match reference.split_once('.') {
            Some((group, name)) => self
                .table
                .find(group, name)
                .filter(|spec| spec.section != "DEFAULT"),
            None => self
                .table
                .find(section, reference)
                .or_else(|| self.table.find("DEFAULT", reference)),
        };
        let Some(spec) = spec else {
            return Err(Refused(format!(
                "the name of an option after $, which {reference} is not; $$ is a dollar sign"
            )));
        };
        self.references.set(self.references.get() + 1);
        if self.references.get() > MOST_REFERENCES {
            return Err(Refused(format!(
                "at most {MOST_REFERENCES} references to other options"
            )));
        }
        if pending.contains(&(spec.section, spec.name)) {
            return Err(Refused(format!(
                "a reference that does not come back to itself, as ${reference} does"
            )));
        }
        let found = self.found(spec);
        self.plain(spec, found.as_ref(), pending).map(as_python)
    }
}

impl<'a> Index<'a> {
    fn of(file: &'a File) -> Self {
        let mut sections: HashMap<String, HashMap<&str, Vec<Written>>> = HashMap::new();
        for assignment in &file.assignments {
            sections
                .entry(normalized(&assignment.section))
                .or_default()
                .entry(&assignment.name)
                .or_default()
                .push(Written {
                    value: assignment.value.expose(),
                    line: assignment.line,
                });
        }
        Self {
            path: &file.path,
            sections,
        }
    }

    fn find(&self, (section, name): (&str, &str)) -> Option<&[Written<'a>]> {
        Some(self.sections.get(section)?.get(name)?)
    }
}

/// All assignments with their places, in their order.
fn placed(files: &[File]) -> impl Iterator<Item = (&Assignment, Place)> {
    files.iter().flat_map(|file| {
        file.assignments.iter().map(|assignment| {
            let place = Place::File {
                path: file.path.clone(),
                line: assignment.line,
            };
            (assignment, place)
        })
    })
}

/// Sections are told apart without regard to case, but `[default]` is not `[DEFAULT]`.
fn normalized(section: &str) -> String {
    match section {
        "DEFAULT" => section.to_owned(),
        other => other.to_lowercase(),
    }
}

/// What stands as `remote_id_attribute` in the sections of protocols, the strongest file last.
pub(super) fn remote_id_attributes(files: &[File]) -> HashMap<String, String> {
    let set = placed(files).filter(|(assignment, _)| is_federation_option(&assignment.name));
    set.map(|(assignment, _)| {
        (
            assignment.section.clone(),
            assignment.value.expose().clone(),
        )
    })
    .collect()
}

/// Keystone reads the one option of a section that is named after a federation protocol.
fn is_federation_option(name: &str) -> bool {
    name == "remote_id_attribute"
}

pub(super) fn plain_default(spec: &Spec) -> Result<Plain, Refused> {
    match spec.default.is_empty() {
        true => Ok(Plain::Unset),
        false => read(spec, &spec.default),
    }
}

fn read(spec: &Spec, texts: &[impl AsRef<str>]) -> Result<Plain, Refused> {
    if spec.rule.kind == Kind::Repeated {
        let items: Result<Vec<String>, Refused> = texts
            .iter()
            .map(|text| match spec.rule.read(text.as_ref())? {
                Plain::Text(item) => Ok(item),
                _ => unreachable!("a repeated option holds text"),
            })
            .collect();
        return items.map(Plain::List);
    }
    let text = texts.last().expect("an option that is set has a text");
    spec.rule.read(text.as_ref())
}

/// A value as Python's `str` shows it, which is what a reference is replaced by.
fn as_python(value: Plain) -> String {
    let quoted = |text: &String| match text.contains('\'') && !text.contains('"') {
        true => format!("\"{text}\""),
        false => format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'")),
    };
    match value {
        Plain::Unset => String::new(),
        Plain::Text(text) => text,
        Plain::Integer(number) => number.to_string(),
        Plain::Float(number) => format!("{number:?}").to_lowercase(),
        Plain::Boolean(true) => "True".to_owned(),
        Plain::Boolean(false) => "False".to_owned(),
        Plain::List(items) => {
            let items: Vec<String> = items.iter().map(quoted).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

fn bad_value(spec: &Spec, found: Option<&Found>, expected: String) -> BadValue {
    let (section, name) = found.map_or((spec.section, spec.name), |found| found.name);
    let value = found
        .and_then(|found| found.texts.last())
        .filter(|_| !spec.secret);
    BadValue {
        section: section.to_owned(),
        name: name.to_owned(),
        value: value.map(|value| (*value).to_owned()),
        place: found.map_or(Place::Default, |found| found.place.clone()),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value as Json, json};

    use super::*;
    use crate::{ConfigError, Source, Sources, TABLE};

    /// What oslo.config made of each case; `clients/oracle/config_cases.py` asked it.
    const CASES: &str = include_str!("../tests/data/config_cases.json");

    #[test]
    fn files_mean_what_they_mean_to_oslo_config() {
        let cases: Vec<Json> = serde_json::from_str(CASES).unwrap();
        assert!(cases.len() > 100);
        for case in &cases {
            assert_eq!(outcome(case), case["expect"], "{}", case["name"]);
        }
    }

    fn outcome(case: &Json) -> Json {
        let home = tempfile::tempdir().unwrap();
        for (path, text) in case["files"].as_object().unwrap() {
            let path = home.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text.as_str().unwrap()).unwrap();
        }
        let arguments: Vec<&str> = strings(&case["args"]);
        let environment = case["environment"].as_object().unwrap();
        let sources = Sources {
            given: arguments
                .chunks(2)
                .map(|pair| source(pair, home.path()))
                .collect(),
            search: vec![home.path().join(".keystone"), home.path().to_owned()],
            environment: environment
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect(),
        };
        match read_files(&sources) {
            Err(ConfigError::Syntax { .. }) => json!("syntax"),
            Err(_) => json!("missing"),
            Ok(files) => {
                let reader = Reader::new(&TABLE, &files, &sources.environment);
                let asked = case["expect"]
                    .as_object()
                    .expect("the files are not refused");
                asked
                    .keys()
                    .map(|option| (option.clone(), value(&reader, option)))
                    .collect()
            }
        }
    }

    fn strings(list: &Json) -> Vec<&str> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|it| it.as_str().unwrap())
            .collect()
    }

    fn source(arguments: &[&str], home: &Path) -> Source {
        match arguments {
            ["--config-file", path] => Source::File(home.join(path)),
            ["--config-dir", path] => Source::Folder(home.join(path)),
            _ => panic!("{arguments:?}"),
        }
    }

    fn read_files(sources: &Sources) -> Result<Vec<File>, ConfigError> {
        sources.files()?.into_iter().map(File::read).collect()
    }

    fn value(reader: &Reader, option: &str) -> Json {
        let (section, name) = option.split_once('.').unwrap();
        // The rules are Keystone's: a declared type may refuse more.
        let mut spec = reader.table.find(section, name).unwrap().clone();
        let theirs = crate::options::table::keystone();
        spec.rule = theirs
            .into_iter()
            .find(|it| (it.section, it.name) == (section, name))
            .unwrap()
            .rule;
        match reader.plain(&spec, reader.found(&spec).as_ref(), &mut Vec::new()) {
            Err(_) => json!({"refused": true}),
            Ok(Plain::Unset) => Json::Null,
            Ok(Plain::Text(text)) => json!(text),
            Ok(Plain::Integer(number)) => json!(number),
            Ok(Plain::Float(number)) => json!(number),
            Ok(Plain::Boolean(value)) => json!(value),
            Ok(Plain::List(items)) => json!(items),
        }
    }
}
