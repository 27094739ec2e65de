//! Conditions: what a rule demands of an attribute, and which of its values it lets through.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::MappingError;
use super::pattern::Pattern;
use crate::Assertion;

/// What a rule demands of one attribute.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) attribute: String,
    pub(super) test: Test,
    pub(super) values: Values,
}

/// How an attribute is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// It is there; all its values are let through.
    Present,
    /// One of its values is listed; none is let through.
    AnyOneOf,
    /// None of its values is listed; none is let through.
    NotAnyOf,
    /// It is there; its values are let through but for those listed.
    Blacklist,
    /// It is there; its values are let through that are listed.
    Whitelist,
}

impl Test {
    /// Its name in rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::AnyOneOf => "any_one_of",
            Self::NotAnyOf => "not_any_of",
            Self::Blacklist => "blacklist",
            Self::Whitelist => "whitelist",
        }
    }
}

/// What the values of an attribute are compared with.
#[derive(Clone, Debug)]
pub(super) enum Values {
    /// Texts that must be equal. What is no text equals nothing.
    Exact(Exact),
    /// Patterns that must be found somewhere.
    Patterns(Vec<Pattern>),
}

/// Texts to be compared with, however many.
#[derive(Clone, Debug, Default)]
pub(super) struct Exact {
    texts: HashSet<String>,
    /// All values as they are shown, in order.
    shown: Vec<String>,
    /// The first that is a list or an object.
    odd: Option<Value>,
}

impl Default for Values {
    fn default() -> Self {
        Self::Exact(Exact::default())
    }
}

impl Values {
    pub(super) fn new(values: Vec<Value>, regex: bool) -> Self {
        if regex {
            return Self::Patterns(values.iter().map(Pattern::new).collect());
        }
        let is_odd = |value: &&Value| value.is_array() || value.is_object();
        Self::Exact(Exact {
            shown: values.iter().map(shown).collect(),
            odd: values.iter().find(is_odd).cloned(),
            texts: values
                .iter()
                .filter_map(|value| value.as_str().map(str::to_owned))
                .collect(),
        })
    }

    fn contain(&self, value: &str) -> Result<bool, MappingError> {
        match self {
            Self::Exact(values) => {
                // Python cannot put these into a set, which is how it compares.
                if let Some(odd) = &values.odd {
                    return Err(MappingError::Pattern {
                        pattern: odd.to_string(),
                        reason: "it is not a text".into(),
                    });
                }
                Ok(values.texts.contains(value))
            }
            Self::Patterns(patterns) => {
                for pattern in patterns {
                    if pattern.is_found_in(value)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    fn shown(&self) -> Vec<String> {
        match self {
            Self::Exact(values) => values.shown.clone(),
            Self::Patterns(patterns) => patterns.iter().map(ToString::to_string).collect(),
        }
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), Into::into)
}

/// How a condition fared with an assertion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConditionExplanation {
    /// The attribute.
    pub attribute: String,
    /// How it was tested.
    pub test: Test,
    /// What its values were compared with.
    pub listed: Vec<String>,
    /// Whether those are regular expressions.
    pub regex: bool,
    /// What the assertion says of the attribute.
    #[serde(serialize_with = "as_slice")]
    pub values: Arc<[String]>,
    /// Those values that are listed.
    pub matched: Vec<String>,
    /// Whether it held.
    pub held: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether it counted: after the first condition that fails, none does.
    pub counted: bool,
    /// The number of the place that it fills, `{0}` for 0; `None` when it fills none.
    pub place: Option<usize>,
    /// What it lets through to that place.
    #[serde(serialize_with = "as_slice")]
    pub passed: Arc<[String]>,
}

fn as_slice<S: Serializer>(values: &Arc<[String]>, serializer: S) -> Result<S::Ok, S::Error> {
    values[..].serialize(serializer)
}

impl Condition {
    /// Tests an assertion. The result is whether the condition holds, or why that cannot be told.
    pub(super) fn test(
        &self,
        assertion: &Assertion,
    ) -> (ConditionExplanation, Result<bool, MappingError>) {
        let values = assertion.shared(&self.attribute);
        let mut explanation = ConditionExplanation {
            attribute: self.attribute.clone(),
            test: self.test,
            listed: self.values.shown(),
            regex: matches!(self.values, Values::Patterns(_)),
            values: Arc::clone(&values),
            matched: Vec::new(),
            held: false,
            reason: None,
            counted: true,
            place: None,
            passed: Arc::from([]),
        };
        if values.is_empty() {
            explanation.reason = Some("the assertion does not have this attribute".into());
            return (explanation, Ok(false));
        }
        for value in &values[..] {
            match self.values.contain(value) {
                Ok(true) => explanation.matched.push(value.clone()),
                Ok(false) => {}
                Err(error) => {
                    explanation.reason = Some(error.to_string());
                    return (explanation, Err(error));
                }
            }
        }
        let matched = &explanation.matched;
        let any = !matched.is_empty();
        match self.test {
            Test::Present => explanation.passed = Arc::clone(&values),
            Test::AnyOneOf if !any => {
                explanation.reason = Some(if explanation.regex {
                    "no pattern is found in any of its values".into()
                } else {
                    "none of its values is listed".into()
                });
            }
            Test::NotAnyOf if any => {
                explanation.reason = Some("it has a value that must not be".into());
            }
            Test::AnyOneOf | Test::NotAnyOf => {}
            // Keystone compares by sets, so that a value is let through once; only patterns of a
            // whitelist leave repeated values alone.
            Test::Blacklist => {
                let matched: HashSet<_> = matched.iter().collect();
                let rest = values.iter().filter(|value| !matched.contains(value));
                explanation.passed = unique(rest);
            }
            Test::Whitelist if explanation.regex => explanation.passed = matched.clone().into(),
            Test::Whitelist => explanation.passed = unique(matched.iter()),
        }
        explanation.held = explanation.reason.is_none();
        let held = explanation.held;
        (explanation, Ok(held))
    }

    /// Whether what it lets through fills a place.
    pub(super) fn fills_place(&self) -> bool {
        !matches!(self.test, Test::AnyOneOf | Test::NotAnyOf)
    }
}

fn unique<'a>(values: impl Iterator<Item = &'a String>) -> Arc<[String]> {
    let mut seen = HashSet::new();
    values
        .filter(|value| seen.insert(*value))
        .cloned()
        .collect()
}
