//! Policy files: YAML, or JSON, that gives names to rules.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::syntax::parse::{self, Parsed};
use crate::syntax::problem::{Flaw, PolicyError};

/// A rule of a policy file.
#[derive(Clone, Debug)]
pub(crate) struct Override {
    pub(crate) name: String,
    pub(crate) line: u64,
    pub(crate) rule: Parsed,
}

/// Reads the rules of a file in their order; a name may come twice.
pub(crate) fn read(text: &str) -> Result<Vec<Override>, PolicyError> {
    let options = serde_saphyr::options! {
        // The later rule counts, as in PyYAML.
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::PassThrough,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    let document: Document = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| PolicyError::Malformed(error.to_string()))?;
    document.entries.into_iter().map(read_entry).collect()
}

fn read_entry((name, rule): (Spanned<Value>, Spanned<Value>)) -> Result<Override, PolicyError> {
    let line = name.referenced.line();
    let name = match name.value {
        Value::String(name) => name,
        other => {
            return Err(PolicyError::NotAName {
                line,
                found: parse::kind_of(&other),
            });
        }
    };
    let not_a_rule = |found| PolicyError::NotARule {
        rule: name.clone(),
        line,
        found,
    };
    // A `!` without quotes is a tag on nothing. PyYAML reads that as null, and so an author who meant to deny is told.
    let is_absent = rule.defined.span().is_empty();
    let rule = match rule.value {
        Value::String(text) if text.is_empty() && is_absent => nothing(),
        Value::Null => nothing(),
        Value::String(text) => parse::text(&text),
        Value::Array(alternatives) => parse::list(&alternatives).map_err(not_a_rule)?,
        other => return Err(not_a_rule(parse::kind_of(&other))),
    };
    for flaw in &rule.flaws {
        if let Flaw::RemoteCheck(check) = flaw {
            return Err(PolicyError::RemoteCheck {
                rule: name,
                line,
                check: check.clone(),
            });
        }
    }
    Ok(Override { name, line, rule })
}

/// Null, which is open to all: the reference takes it for an empty list.
fn nothing() -> Parsed {
    Parsed {
        flaws: vec![Flaw::Null],
        ..parse::text("")
    }
}

/// A file before its rules are read. An empty file and an empty list mean no rules.
struct Document {
    entries: Vec<(Spanned<Value>, Spanned<Value>)>,
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping of names to rules")
    }

    fn visit_unit<E: Error>(self) -> Result<Document, E> {
        Ok(Document {
            entries: Vec::new(),
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Document, A::Error> {
        match items.next_element::<IgnoredAny>()? {
            None => Ok(Document {
                entries: Vec::new(),
            }),
            Some(_) => Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Document, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = fields.next_entry()? {
            entries.push(entry);
        }
        Ok(Document { entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        read(text).expect_err("not a policy file").to_string()
    }

    #[test]
    fn rules_know_their_lines() {
        let rules = read("# two rules\n\na: role:x\n\"b\":\n  - role:y\n").expect("well-formed");
        let read: Vec<_> = rules
            .iter()
            .map(|rule| (rule.name.as_str(), rule.line, rule.rule.check.to_string()))
            .collect();
        assert_eq!(
            read,
            [("a", 3, "role:x".to_owned()), ("b", 4, "role:y".to_owned())]
        );
    }

    #[test]
    fn errors_name_line_and_rule() {
        assert_eq!(
            error("a: x:1\nb: 5\n"),
            "line 2: the rule \"b\" must be a text or a list of texts, and is a number"
        );
        assert_eq!(
            error("a: false\n"),
            "line 1: the rule \"a\" must be a text or a list of texts, and is a boolean"
        );
        assert_eq!(
            error("a:\n- [x:1]\n- 1.5\n"),
            "line 1: the rule \"a\" must be a text or a list of texts, and is a number"
        );
        assert_eq!(
            error("a: {}\n"),
            "line 1: the rule \"a\" must be a text or a list of texts, and is a mapping"
        );
        assert_eq!(
            error("\na: role:x or http://127.0.0.1/%(x)s\n"),
            "line 2: the rule \"a\" asks a remote server (http://127.0.0.1/%(x)s), which is not supported: \
             write what that server decides by as roles, scopes and attributes of the target, or leave \
             the rule out to have its default"
        );
        assert!(error("a: 'x:1\n").starts_with("the policy file is not well-formed: "));
        assert!(error("a: x:1\nb: @\n").contains("line 2"));
    }

    #[test]
    fn null_is_noted() {
        let rules = read("a:\nb: !\nc: ~\nd: ''\ne: []\n").expect("well-formed");
        let flaws: Vec<_> = rules
            .iter()
            .map(|rule| rule.rule.flaws.as_slice())
            .collect();
        assert_eq!(
            flaws,
            [&[Flaw::Null][..], &[Flaw::Null], &[Flaw::Null], &[], &[]]
        );
    }

    #[test]
    fn truth_values_are_refused_in_any_spelling() {
        for text in ["a: no", "a: off", "a: n", "a: true", "a: 0", "a: .inf"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(error("yes: x:1").contains("the name of a rule must be a text, and is a boolean"));
    }
}
