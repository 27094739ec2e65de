//! Checks requests against Keystone's JSON schemas, and tells what is wrong in Keystone's words.
//!
//! Clients see these sentences, so they are part of the contract: which of several errors is told
//! (the first, in the order in which the schema is written), how a value is shown (as Python
//! prints it), and how Python's `re` reads a pattern. A general validator decides none of these as
//! Python's does, and the sixteen keywords or so that these schemas use are less code than
//! correcting it would be. The schemas themselves are facts taken from Keystone by
//! `clients/oracle/request_schemas.py`.
//!
//! Keystone tells errors in three ways, and the file of schemas has a section for each:
//!
//! - *brief*: the first error, as `Invalid input for field/attribute name. Value: 1. 1 is not ...`;
//! - *verbose*: the first error, with the schema and the value printed in full;
//! - *mapping*: the sentences of all errors.

pub(crate) mod python;
mod walk;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::operation::Operation;
use walk::{Patterns, Step, Violation};

/// The schemas of all requests, by names such as `resource.project_create_request_body`.
pub struct Schemas {
    sections: Sections,
    patterns: Patterns,
}

/// How a request breaks its schema, as Keystone tells the client.
///
/// It quotes what the client sent, so it goes to that client and never to a log; printing it for
/// debugging shows nothing.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SchemaError(String);

impl fmt::Debug for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SchemaError")
    }
}

#[derive(Deserialize)]
struct Sections {
    brief: HashMap<String, Value>,
    verbose: HashMap<String, Value>,
    mapping: HashMap<String, Value>,
}

impl Sections {
    /// Lets protocols say how they are spoken, which Keystone's own schemas do not know.
    fn accept_drivers(&mut self) {
        for name in [
            "federation.protocol_create_request_body",
            "federation.protocol_update_request_body",
        ] {
            let attributes = self
                .brief
                .get_mut(name)
                .and_then(|schema| schema.pointer_mut("/properties/protocol/properties"))
                .expect("the schema describes a protocol");
            attributes["driver"] = json!({"type": ["string", "null"], "maxLength": 32});
            attributes["settings"] = json!({"type": "object"});
        }
    }
}

impl Schemas {
    /// Reads the schemas that are part of the program.
    pub fn load() -> Self {
        let mut sections: Sections =
            serde_json::from_str(include_str!("../../schemas/request-schemas.json"))
                .expect("the embedded schemas are JSON with these sections");
        sections.accept_drivers();
        let patterns = Patterns::of(sections.all());
        Self { sections, patterns }
    }

    /// Checks what a request says against the schemas of its operation.
    ///
    /// # Errors
    /// The first error that Keystone would meet.
    ///
    /// # Panics
    /// When the operation names a schema that there is not.
    pub fn check(
        &self,
        operation: &Operation,
        json: Option<&Value>,
        query: &str,
    ) -> Result<(), SchemaError> {
        if let Some(schema) = operation.query_schema {
            self.validate_query(schema, query)?;
        }
        if let Some(schema) = operation.body_schema {
            let empty = Value::Object(Map::new());
            self.validate(schema, json.unwrap_or(&empty))?;
        }
        Ok(())
    }

    /// A schema by its name.
    pub fn find(&self, name: &str) -> Option<&Value> {
        let Sections {
            brief,
            verbose,
            mapping,
        } = &self.sections;
        [brief, verbose, mapping]
            .into_iter()
            .find_map(|section| section.get(name))
    }

    /// Checks a body, or the part of a body that the schema describes.
    ///
    /// # Errors
    /// The first error that Keystone would meet.
    ///
    /// # Panics
    /// When no schema has this name; see [`Schemas::names`].
    pub fn validate(&self, name: &str, value: &Value) -> Result<(), SchemaError> {
        if let Some(schema) = self.sections.brief.get(name) {
            self.first(schema, value, brief)
        } else if let Some(schema) = self.sections.verbose.get(name) {
            self.first(schema, value, verbose)
        } else if let Some(schema) = self.sections.mapping.get(name) {
            self.all(schema, value)
        } else {
            panic!("no schema is named {name}")
        }
    }

    /// Checks a query string. Every value is text, and of repeated keys the first counts.
    ///
    /// # Errors
    /// The first error that Keystone would meet.
    ///
    /// # Panics
    /// When no schema has this name; see [`Schemas::names`].
    pub fn validate_query(&self, name: &str, query: &str) -> Result<(), SchemaError> {
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        let mut arguments = Map::new();
        for (key, value) in &pairs {
            arguments
                .entry(key.as_ref())
                .or_insert_with(|| Value::from(value.as_ref()));
        }
        let arguments = Value::Object(arguments);
        self.validate(name, &arguments)
            .map_err(|SchemaError(told)| {
                // Keystone shows a whole query as the type that it is there.
                match told.strip_prefix(&python::repr(&arguments)) {
                    Some(rest) => SchemaError(multi_dict(&pairs) + rest),
                    None => SchemaError(told),
                }
            })
    }

    /// The names of all schemas.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let Sections {
            brief,
            verbose,
            mapping,
        } = &self.sections;
        let names = brief.keys().chain(verbose.keys()).chain(mapping.keys());
        names.map(String::as_str)
    }

    fn first(
        &self,
        schema: &Value,
        value: &Value,
        tell: fn(&Violation<'_>) -> String,
    ) -> Result<(), SchemaError> {
        let mut told = Ok(());
        let _ = walk::check(schema, value, &self.patterns, &mut |violation| {
            told = Err(SchemaError(tell(violation)));
            ControlFlow::Break(())
        });
        told
    }

    fn all(&self, schema: &Value, value: &Value) -> Result<(), SchemaError> {
        let mut told = Vec::new();
        let mut length = 0;
        let _ = walk::check(schema, value, &self.patterns, &mut |violation| {
            let full = full(violation);
            length += full.len();
            told.push((full, format!("{}\n", violation.reason)));
            // What is much longer than anybody reads ends there.
            match length < MOST_TOLD {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        // Keystone sorts by the full text but shows only the sentence.
        told.sort();
        match told.is_empty() {
            true => Ok(()),
            false => Err(SchemaError(
                told.into_iter().map(|(_, reason)| reason).collect(),
            )),
        }
    }
}

impl Sections {
    fn all(&self) -> impl Iterator<Item = &Value> {
        let Self {
            brief,
            verbose,
            mapping,
        } = self;
        brief
            .values()
            .chain(verbose.values())
            .chain(mapping.values())
    }
}

/// How many bytes of errors are gathered when all are told.
const MOST_TOLD: usize = 1 << 20;

/// A query as Werkzeug's `ImmutableMultiDict` shows it: repeated keys stand together.
fn multi_dict(pairs: &[(Cow<'_, str>, Cow<'_, str>)]) -> String {
    let mut shown = Map::new();
    for (key, value) in pairs {
        let pair = format!("({}, {})", python::repr_str(key), python::repr_str(value));
        match shown.get_mut(key.as_ref()) {
            Some(Value::String(pairs)) => *pairs += &format!(", {pair}"),
            _ => drop(shown.insert(key.to_string(), Value::String(pair))),
        }
    }
    let shown: Vec<_> = shown.values().filter_map(Value::as_str).collect();
    format!("ImmutableMultiDict([{}])", shown.join(", "))
}

fn brief(violation: &Violation<'_>) -> String {
    let reason = &violation.reason;
    match violation.path.last() {
        None => reason.clone(),
        Some(field) => {
            let value = python::str(violation.instance);
            format!("Invalid input for field/attribute {field}. Value: {value}. {reason}")
        }
    }
}

fn verbose(violation: &Violation<'_>) -> String {
    let full = full(violation);
    if violation.path.is_empty() {
        return full;
    }
    let path: Vec<_> = violation.path.iter().map(Step::to_string).collect();
    format!("Invalid input for field '{}': {full}", path.join("/"))
}

/// The text of the `jsonschema` package's `ValidationError`.
fn full(violation: &Violation<'_>) -> String {
    // The last step is the keyword itself, which is told already.
    let schema_path = violation
        .schema_path
        .split_last()
        .map_or(&[][..], |(_, path)| path);
    format!(
        "{reason}\n\nFailed validating '{keyword}' in schema{schema_at}:\n    {schema}\n\n\
         On instance{at}:\n    {instance}",
        reason = violation.reason,
        keyword = violation.keyword,
        schema_at = indices(schema_path),
        schema = python::pretty(violation.schema, 4),
        at = indices(violation.path),
        instance = python::pretty(violation.instance, 4),
    )
}

fn indices(path: &[Step<'_>]) -> String {
    path.iter()
        .map(|step| match step {
            Step::Key(name) => format!("[{}]", python::repr_str(name)),
            Step::Index(index) => format!("[{index}]"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// What Keystone answered; `clients/oracle/schema_cases.py` asks it again.
    #[derive(Deserialize)]
    struct Case {
        schema: String,
        #[serde(default)]
        value: Value,
        query: Option<String>,
        error: Option<String>,
    }

    fn cases() -> Vec<Case> {
        serde_json::from_str(include_str!("../../tests/data/schema_cases.json")).unwrap()
    }

    #[test]
    fn requests_are_judged_in_keystones_words() {
        let schemas = Schemas::load();
        for case in cases() {
            let Case { schema, value, .. } = &case;
            let told = match &case.query {
                Some(query) => schemas.validate_query(schema, query),
                None => schemas.validate(schema, value),
            };
            let told = told.err().map(|error| error.to_string());
            let query = case.query.as_deref().unwrap_or_default();
            assert_eq!(told, case.error, "{schema} for {value} {query}");
        }
    }

    #[test]
    fn every_schema_has_cases() {
        let cases = cases();
        let tried: HashSet<_> = cases.iter().map(|case| case.schema.as_str()).collect();
        assert_eq!(tried, Schemas::load().names().collect());
    }

    #[test]
    fn the_first_of_repeated_arguments_counts() {
        let schemas = Schemas::load();
        let check = |query| {
            let name = "resource.domain_index_request_query";
            schemas.validate_query(name, query).is_ok()
        };
        assert!(check("enabled=1&enabled=nonsense"));
        assert!(!check("enabled=nonsense&enabled=1"));
        assert!(check("enabled"));
        assert!(check(""));
    }

    #[test]
    fn an_error_shows_nothing_when_debugged() {
        let schemas = Schemas::load();
        let body = serde_json::json!({"original_password": "secret"});
        let error = schemas
            .validate("identity.password_change", &body)
            .unwrap_err();
        assert!(error.to_string().contains("secret"));
        assert_eq!(format!("{error:?}"), "SchemaError");
    }
}
