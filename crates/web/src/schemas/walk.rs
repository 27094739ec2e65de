//! Walks a value and its schema together, in the order in which Python's `jsonschema` does.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::ControlFlow;

use fancy_regex::Regex;
use serde_json::{Map, Number, Value};

use super::python::{repr, repr_str};

/// One way in which a value breaks a schema.
pub(super) struct Violation<'a> {
    /// The sentence, such as `1 is not of type 'string'`.
    pub(super) reason: String,
    /// The broken keyword.
    pub(super) keyword: &'a str,
    /// The innermost schema, which has that keyword.
    pub(super) schema: &'a Value,
    /// Where in the whole schema the keyword is.
    pub(super) schema_path: &'a [Step<'a>],
    /// The part of the value that breaks it.
    pub(super) instance: &'a Value,
    /// Where in the whole value that part is.
    pub(super) path: &'a [Step<'a>],
}

/// One step down into a document.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(name) => f.write_str(name),
            Self::Index(index) => index.fmt(f),
        }
    }
}

/// Reports violations until `report` breaks off.
pub(super) fn check(
    schema: &Value,
    instance: &Value,
    patterns: &Patterns,
    report: &mut dyn FnMut(&Violation<'_>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    Walk {
        root: schema,
        patterns,
        path: Vec::new(),
        schema_path: Vec::new(),
        report,
    }
    .check(schema, instance)
}

struct Walk<'a, 'r> {
    root: &'a Value,
    patterns: &'a Patterns,
    path: Vec<Step<'a>>,
    schema_path: Vec<Step<'a>>,
    report: &'r mut dyn FnMut(&Violation<'_>) -> ControlFlow<()>,
}

/// A keyword at work: `argument` is what `schema` says about it.
#[derive(Clone, Copy)]
struct Rule<'a> {
    keyword: &'a str,
    argument: &'a Value,
    schema: &'a Value,
    instance: &'a Value,
}

impl<'a> Walk<'a, '_> {
    fn check(&mut self, schema: &'a Value, instance: &'a Value) -> ControlFlow<()> {
        for (keyword, argument) in members(schema) {
            // These two do not count as steps.
            let is_step = !matches!(keyword.as_str(), "$ref" | "if");
            if is_step {
                self.schema_path.push(Step::Key(keyword));
            }
            self.apply(Rule {
                keyword,
                argument,
                schema,
                instance,
            })?;
            if is_step {
                self.schema_path.pop();
            }
        }
        ControlFlow::Continue(())
    }

    fn apply(&mut self, rule: Rule<'a>) -> ControlFlow<()> {
        let Rule {
            argument, instance, ..
        } = rule;
        match (rule.keyword, instance) {
            ("$ref", _) => return self.check(self.resolve(argument), instance),
            ("allOf", _) => {
                for (index, schema) in elements(argument).enumerate() {
                    self.schema_path.push(Step::Index(index));
                    self.check(schema, instance)?;
                    self.schema_path.pop();
                }
            }
            ("if", _) if self.accepts(argument, instance) => {
                if let Some(then) = rule.schema.get("then") {
                    self.schema_path.push(Step::Key("then"));
                    self.check(then, instance)?;
                    self.schema_path.pop();
                }
            }
            ("properties", Value::Object(fields)) => {
                for (name, schema) in members(argument) {
                    if let Some(value) = fields.get(name) {
                        self.schema_path.push(Step::Key(name));
                        self.path.push(Step::Key(name));
                        self.check(schema, value)?;
                        self.path.pop();
                        self.schema_path.pop();
                    }
                }
            }
            ("items", Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    self.path.push(Step::Index(index));
                    self.check(argument, item)?;
                    self.path.pop();
                }
            }
            ("required", Value::Object(fields)) => {
                for name in strings(argument).filter(|name| !fields.contains_key(*name)) {
                    self.fail(rule, format!("{} is a required property", repr_str(name)))?;
                }
            }
            ("dependentRequired", Value::Object(fields)) => {
                for (name, needed) in members(argument) {
                    let needed = strings(needed).filter(|needed| !fields.contains_key(*needed));
                    for needed in needed.filter(|_| fields.contains_key(name)) {
                        let (needed, name) = (repr_str(needed), repr_str(name));
                        self.fail(rule, format!("{needed} is a dependency of {name}"))?;
                    }
                }
            }
            _ => {
                if let Some(reason) = self.objection(rule) {
                    self.fail(rule, reason)?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// What the keywords say that look at one value and have one sentence for it.
    fn objection(&self, rule: Rule<'a>) -> Option<String> {
        let Rule {
            keyword,
            argument,
            instance,
            ..
        } = rule;
        let shown = || repr(instance);
        match (keyword, instance) {
            ("type", _) => {
                let types = one_or_more(argument);
                let fits = types.iter().any(|name| is_type(instance, name));
                let types: Vec<_> = types.into_iter().map(repr_str).collect();
                (!fits).then(|| format!("{} is not of type {}", shown(), types.join(", ")))
            }
            ("enum", _) => {
                let known = elements(argument).any(|each| equal(each, instance));
                (!known).then(|| format!("{} is not one of {}", shown(), repr(argument)))
            }
            ("const", _) => {
                (!equal(argument, instance)).then(|| format!("{} was expected", repr(argument)))
            }
            ("not", _) => self.accepts(argument, instance).then(|| {
                let (shown, schema) = (shown(), repr(argument));
                format!("{shown} should not be valid under {schema}")
            }),
            ("oneOf", _) => self.one_of(argument, instance),
            ("format", Value::String(text)) => {
                let format = argument.as_str()?;
                (!has_format(text, format)).then(|| {
                    let (shown, format) = (shown(), repr_str(format));
                    format!("{shown} is not a {format}")
                })
            }
            ("pattern", Value::String(text)) => {
                let pattern = argument.as_str()?;
                let fits = self.patterns.is_match(pattern, text);
                (!fits).then(|| format!("{} does not match {}", shown(), repr_str(pattern)))
            }
            ("minLength", Value::String(text)) => {
                at_least(argument, text.chars().count(), "is too short", shown)
            }
            ("maxLength", Value::String(text)) => {
                at_most(argument, text.chars().count(), "is too long", shown)
            }
            ("minItems", Value::Array(items)) => {
                at_least(argument, items.len(), "is too short", shown)
            }
            ("maxItems", Value::Array(items)) => {
                at_most(argument, items.len(), "is too long", shown)
            }
            ("minProperties", Value::Object(fields)) => {
                let reason = "does not have enough properties";
                at_least(argument, fields.len(), reason, shown)
            }
            ("maxProperties", Value::Object(fields)) => {
                at_most(argument, fields.len(), "has too many properties", shown)
            }
            ("uniqueItems", Value::Array(items)) => {
                let mut seen = HashSet::new();
                let unique = items.iter().all(|item| seen.insert(canonical(item)));
                let wanted = argument == &Value::Bool(true);
                (wanted && !unique).then(|| format!("{} has non-unique elements", shown()))
            }
            ("minimum", Value::Number(number)) => (number.as_f64()? < argument.as_f64()?)
                .then(|| format!("{} is less than the minimum of {argument}", whole(number))),
            ("maximum", Value::Number(number)) => {
                (number.as_f64()? > argument.as_f64()?).then(|| {
                    format!(
                        "{} is greater than the maximum of {argument}",
                        whole(number)
                    )
                })
            }
            ("additionalProperties", Value::Object(fields)) if argument == &Value::Bool(false) => {
                unexpected(fields, rule.schema)
            }
            _ => None,
        }
    }

    fn one_of(&self, schemas: &'a Value, instance: &'a Value) -> Option<String> {
        let accept = |schema: &&Value| self.accepts(schema, instance);
        let mut accepting: Vec<&Value> = elements(schemas).filter(accept).collect();
        match accepting.len() {
            0 => Some(format!(
                "{} is not valid under any of the given schemas",
                repr(instance)
            )),
            1 => None,
            _ => {
                // The one that accepted first is named last.
                accepting.rotate_left(1);
                let schemas: Vec<_> = accepting.into_iter().map(repr).collect();
                Some(format!(
                    "{} is valid under each of {}",
                    repr(instance),
                    schemas.join(", ")
                ))
            }
        }
    }

    fn accepts(&self, schema: &Value, instance: &Value) -> bool {
        let mut silent = |_: &Violation<'_>| ControlFlow::Break(());
        Walk {
            root: self.root,
            patterns: self.patterns,
            path: Vec::new(),
            schema_path: Vec::new(),
            report: &mut silent,
        }
        .check(schema, instance)
        .is_continue()
    }

    /// The schema that a reference of the form `#/definitions/name` means.
    fn resolve(&self, reference: &Value) -> &'a Value {
        let name = reference
            .as_str()
            .and_then(|text| text.strip_prefix("#/definitions/"));
        name.and_then(|name| self.root.get("definitions")?.get(name))
            .expect("the embedded schemas refer to their own definitions")
    }

    fn fail(&mut self, rule: Rule<'a>, reason: String) -> ControlFlow<()> {
        (self.report)(&Violation {
            reason,
            keyword: rule.keyword,
            schema: rule.schema,
            schema_path: &self.schema_path,
            instance: rule.instance,
            path: &self.path,
        })
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    elements(value).filter_map(Value::as_str)
}

fn one_or_more(value: &Value) -> Vec<&str> {
    match value {
        Value::String(one) => vec![one],
        more => strings(more).collect(),
    }
}

fn is_type(instance: &Value, name: &str) -> bool {
    match name {
        "null" => instance.is_null(),
        "boolean" => instance.is_boolean(),
        "string" => instance.is_string(),
        "array" => instance.is_array(),
        "object" => instance.is_object(),
        "number" => instance.is_number(),
        // 1.0 counts as an integer.
        "integer" => instance
            .as_f64()
            .is_some_and(|number| number.fract() == 0.0),
        _ => false,
    }
}

fn at_least(
    least: &Value,
    length: usize,
    reason: &str,
    shown: impl Fn() -> String,
) -> Option<String> {
    let least = least.as_u64()?;
    let reason = if least == 1 {
        "should be non-empty"
    } else {
        reason
    };
    ((length as u64) < least).then(|| format!("{} {reason}", shown()))
}

fn at_most(
    most: &Value,
    length: usize,
    reason: &str,
    shown: impl Fn() -> String,
) -> Option<String> {
    let most = most.as_u64()?;
    let reason = if most == 0 {
        "is expected to be empty"
    } else {
        reason
    };
    ((length as u64) > most).then(|| format!("{} {reason}", shown()))
}

fn unexpected(fields: &Map<String, Value>, schema: &Value) -> Option<String> {
    let known = schema.get("properties");
    let is_known = |name: &str| known.is_some_and(|known| known.get(name).is_some());
    let mut extras: Vec<&str> = fields.keys().map(String::as_str).collect();
    extras.retain(|name| !is_known(name));
    extras.sort_unstable();
    let verb = if extras.len() == 1 { "was" } else { "were" };
    let shown: Vec<_> = extras.iter().copied().map(repr_str).collect();
    let shown = shown.join(", ");
    (!extras.is_empty())
        .then(|| format!("Additional properties are not allowed ({shown} {verb} unexpected)"))
}

/// Keystone's server has no checker for other formats, so anything passes them.
fn has_format(text: &str, format: &str) -> bool {
    match format {
        "uuid" => is_uuid_like(text),
        _ => true,
    }
}

/// What `oslo_utils.uuidutils.is_uuid_like` takes for a UUID.
fn is_uuid_like(text: &str) -> bool {
    let text = text.replace("urn:", "").replace("uuid:", "");
    let text = text.trim_matches(['{', '}']).replace('-', "");
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A number without its fraction, which Keystone takes off before it looks at bounds.
///
/// Where there are bounds the schemas ask for integers, so the fraction is always zero.
fn whole(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => format!("{float:.0}"),
        _ => number.to_string(),
    }
}

/// Equality as JSON Schema means it: 1 is 1.0 but not true, and fields have no order.
fn equal(one: &Value, other: &Value) -> bool {
    canonical(one) == canonical(other)
}

/// A text that two values share just when they are equal.
fn canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if !number.is_f64() || float.fract() != 0.0 => number.to_string(),
            // Adding nothing makes -0 a 0.
            Some(float) => format!("{:.0}", float + 0.0),
            None => number.to_string(),
        },
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value)))
                .collect();
            fields.sort_unstable();
            format!("{{{}}}", fields.join(","))
        }
        other => other.to_string(),
    }
}

/// The regular expressions in all schemas, read as Python's `re` does.
pub(super) struct Patterns(HashMap<String, Regex>);

impl Patterns {
    pub(super) fn of<'a>(schemas: impl Iterator<Item = &'a Value>) -> Self {
        let mut patterns = HashMap::new();
        for schema in schemas {
            collect_patterns(schema, &mut patterns);
        }
        Self(patterns)
    }

    fn is_match(&self, pattern: &str, text: &str) -> bool {
        let regex = self
            .0
            .get(pattern)
            .expect("the patterns of all schemas were collected");
        regex.is_match(text).unwrap_or(false)
    }
}

fn collect_patterns(schema: &Value, patterns: &mut HashMap<String, Regex>) {
    for (keyword, argument) in members(schema) {
        match argument {
            Value::String(pattern) if keyword == "pattern" => {
                // In Python `$` also matches before a final newline, and some control characters
                // are white space.
                let expression = pattern
                    .replace('$', r"\n?\z")
                    .replace(r"\S", r"[^\s\x1C-\x1F]");
                let regex = Regex::new(&expression).expect("the embedded patterns are valid");
                patterns.insert(pattern.clone(), regex);
            }
            Value::Array(schemas) => {
                for schema in schemas {
                    collect_patterns(schema, patterns);
                }
            }
            // Named schemas, or a schema.
            _ => collect_patterns(argument, patterns),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Schemas;
    use super::*;

    const CHECKED: [&str; 24] = [
        "$ref",
        "additionalProperties",
        "allOf",
        "const",
        "dependentRequired",
        "enum",
        "format",
        "if",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "not",
        "oneOf",
        "pattern",
        "properties",
        "required",
        "type",
        "uniqueItems",
    ];
    /// `then` belongs to `if`; the last is a typing error in Keystone, without effect.
    const IGNORED: [&str; 3] = ["definitions", "then", "additonalProperties"];

    #[test]
    fn every_keyword_in_the_schemas_is_known() {
        fn visit(schema: &Value) {
            for (keyword, argument) in members(schema) {
                let known = CHECKED.iter().chain(&IGNORED).any(|known| known == keyword);
                assert!(known, "{keyword} is not implemented");
                match keyword.as_str() {
                    "properties" | "definitions" => {
                        members(argument).for_each(|(_, schema)| visit(schema));
                    }
                    "allOf" | "oneOf" => elements(argument).for_each(visit),
                    "if" | "items" | "not" | "then" => visit(argument),
                    // The walk knows no other kind.
                    "additionalProperties" => assert!(argument.is_boolean()),
                    _ => {}
                }
            }
        }
        let schemas = Schemas::load();
        schemas.sections.all().for_each(visit);
    }

    #[test]
    fn equality_is_that_of_json_schema() {
        assert!(equal(&json!(1), &json!(1.0)));
        assert!(equal(&json!(0), &json!(-0.0)));
        assert!(equal(
            &json!([{"a": 1, "b": [2]}]),
            &json!([{"b": [2.0], "a": 1}])
        ));
        assert!(!equal(&json!(1), &json!(true)));
        assert!(!equal(&json!(0), &json!(false)));
        assert!(!equal(&json!("1"), &json!(1)));
        assert!(!equal(&json!(["a", "b"]), &json!(["a,b"])));
        assert!(!equal(&json!(null), &json!("null")));
    }

    #[test]
    fn patterns_are_read_as_python_reads_them() {
        let patterns =
            Patterns::of([json!({"pattern": "^a$"}), json!({"pattern": r"[\S]+"})].iter());
        assert!(patterns.is_match("^a$", "a"));
        assert!(patterns.is_match("^a$", "a\n"));
        assert!(!patterns.is_match("^a$", "a\n\n"));
        assert!(!patterns.is_match("^a$", "b\na"));
        assert!(patterns.is_match(r"[\S]+", " a "));
        assert!(!patterns.is_match(r"[\S]+", " \t\n\u{b}\u{1c}\u{85}\u{a0}\u{3000}"));
        assert!(patterns.is_match(r"[\S]+", "\u{200b}"));
    }
}
