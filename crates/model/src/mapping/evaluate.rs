//! Applies rules to an assertion, and tells how it went.

use std::cell::Cell;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::condition::{Condition, ConditionExplanation};
use super::local::Given;
use super::merge::merge;
use super::parse::Rule;
use super::template::{Match, Matches};
use super::{Mapped, MappedProject, MappingError, Rules};
use crate::Assertion;

/// How many values an assertion may have. Somebody in thousands of groups gets in.
const MAX_VALUES: usize = 20_000;

/// How many bytes the templates of all rules that apply may come to.
pub(super) const MAX_TEXT: usize = 16 << 20;

/// What rules made of an assertion, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// What came out.
    pub result: Result<Mapped, MappingError>,
    /// How each rule fared, in order.
    pub rules: Vec<RuleExplanation>,
    /// What was given and does not count.
    pub notes: Vec<String>,
}

/// How a rule fared with an assertion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleExplanation {
    /// Its number, from 1.
    pub rule: usize,
    /// Whether all its conditions held.
    pub applied: bool,
    /// How each condition fared, in order.
    pub conditions: Vec<ConditionExplanation>,
    /// What it gave.
    pub gave: Vec<Given>,
    /// Why it broke.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Rules {
    /// Maps an assertion. The same assertion always comes to the same.
    pub fn evaluate(&self, assertion: &Assertion) -> Evaluation {
        if assertion.value_count() > MAX_VALUES {
            return self.refuse(MappingError::TooMany {
                what: "values in the assertion",
                most: MAX_VALUES,
            });
        }
        let mut failure = None;
        let mut entries = Vec::new();
        let mut rules = Vec::with_capacity(self.rules.len());
        let left = Cell::new(MAX_TEXT);
        for (index, rule) in self.rules.iter().enumerate() {
            let (mut explanation, outcome) = rule.apply(assertion, &left);
            explanation.rule = index + 1;
            match outcome {
                Ok(given) => entries.extend(given),
                Err(error) => {
                    explanation.error = Some(error.to_string());
                    failure.get_or_insert(error);
                }
            }
            rules.push(explanation);
        }
        let mut notes = Vec::new();
        let result = match failure {
            Some(error) => Err(error),
            None => merge(self.version, &entries, &mut notes),
        };
        Evaluation {
            result,
            rules,
            notes,
        }
    }

    /// Tries no rule.
    fn refuse(&self, error: MappingError) -> Evaluation {
        let untried = (1..=self.rules.len()).map(|rule| RuleExplanation {
            rule,
            applied: false,
            conditions: Vec::new(),
            gave: Vec::new(),
            error: Some(error.to_string()),
        });
        Evaluation {
            rules: untried.collect(),
            result: Err(error),
            notes: Vec::new(),
        }
    }
}

impl Rule {
    /// Applies the rule. Its templates may come to as many bytes as are `left`.
    fn apply(
        &self,
        assertion: &Assertion,
        left: &Cell<usize>,
    ) -> (RuleExplanation, Result<Vec<Given>, MappingError>) {
        let mut explanation = RuleExplanation {
            rule: 0,
            applied: true,
            conditions: Vec::with_capacity(self.remote.len()),
            gave: Vec::new(),
            error: None,
        };
        let mut matches = Vec::new();
        let mut failure = None;
        for condition in &self.remote {
            let (tested, held) = self.test(condition, assertion, &mut explanation, &mut matches);
            match held {
                Ok(true) => {}
                Ok(false) => explanation.applied = false,
                // What comes after a condition that failed is tested for the explanation only.
                Err(error) => {
                    if explanation.applied {
                        failure = Some(error);
                    }
                    explanation.applied = false;
                }
            }
            explanation.conditions.push(tested);
        }
        if let Some(error) = failure {
            return (explanation, Err(error));
        }
        if !explanation.applied {
            return (explanation, Ok(Vec::new()));
        }
        let matches = Matches::new(matches, left);
        let given: Result<Vec<_>, _> = self
            .local
            .iter()
            .map(|entry| entry.fill(&matches))
            .collect();
        if let Ok(given) = &given {
            explanation.gave.clone_from(given);
        }
        (explanation, given)
    }

    fn test(
        &self,
        condition: &Condition,
        assertion: &Assertion,
        explanation: &mut RuleExplanation,
        matches: &mut Vec<Match>,
    ) -> (ConditionExplanation, Result<bool, MappingError>) {
        let (mut tested, held) = condition.test(assertion);
        tested.counted = explanation.applied;
        if condition.fills_place() {
            tested.place = Some(matches.len());
            matches.push(Match::new(&tested.passed));
        }
        (tested, held)
    }
}

/// As Keystone writes it: from version 2.0 on, a domain that nobody named is null.
impl Serialize for Mapped {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let always = self.version.honours_domains();
        let mut user = Map::new();
        for (name, value) in [
            ("id", &self.user.id),
            ("name", &self.user.name),
            ("email", &self.user.email),
        ] {
            if let Some(value) = value {
                user.insert(name.into(), value.as_str().into());
            }
        }
        user.insert("type".into(), json!(self.user.kind));
        if always || self.user.domain.is_some() {
            user.insert("domain".into(), json!(self.user.domain));
        }
        let projects = self.projects.iter().map(|project| {
            let mut document = project_document(project);
            if always && project.domain.is_none() {
                document.insert("domain".into(), Value::Null);
            }
            Value::Object(document)
        });
        let document = json!({
            "user": user,
            "group_ids": self.group_ids,
            "group_names": self.group_names,
            "projects": projects.collect::<Vec<_>>(),
        });
        document.serialize(serializer)
    }
}

impl Serialize for MappedProject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        project_document(self).serialize(serializer)
    }
}

fn project_document(project: &MappedProject) -> Map<String, Value> {
    let roles = project.roles.iter().map(|name| json!({ "name": name }));
    let mut document = Map::new();
    document.insert("name".into(), project.name.as_str().into());
    document.insert("roles".into(), roles.collect());
    if let Some(domain) = &project.domain {
        document.insert("domain".into(), json!(domain));
    }
    document
}
