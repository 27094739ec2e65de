//! Reading rules.

use serde::Deserialize;
use serde_json::Value;

use super::condition::{Condition, Test, Values};
use super::local::{Local, LocalDocument};
use super::{Rules, SchemaVersion};

/// Why something does not read as rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// There are none.
    #[error("there are no rules")]
    Empty,
    /// One of them does not read.
    #[error("rule {number}: {reason}")]
    Rule {
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// They are no list.
    #[error("the rules are not a list")]
    NoList,
}

/// One rule: what must hold, and what follows.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) local: Vec<Local>,
    pub(super) remote: Vec<Condition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleDocument {
    local: Vec<LocalDocument>,
    remote: Vec<ConditionDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionDocument {
    #[serde(rename = "type")]
    attribute: String,
    any_one_of: Option<Vec<Value>>,
    not_any_of: Option<Vec<Value>>,
    blacklist: Option<Vec<Value>>,
    whitelist: Option<Vec<Value>>,
    regex: Option<bool>,
}

impl Rules {
    /// Reads the rules of a mapping.
    ///
    /// # Errors
    ///
    /// [`RulesError`], which names the rule that does not read.
    pub fn parse(version: SchemaVersion, rules: &Value) -> Result<Self, RulesError> {
        let rules = rules.as_array().ok_or(RulesError::NoList)?;
        if rules.is_empty() {
            return Err(RulesError::Empty);
        }
        let parse = |(index, rule)| {
            Rule::parse(version, rule).map_err(|reason| RulesError::Rule {
                number: index + 1,
                reason,
            })
        };
        let rules = rules.iter().enumerate().map(parse);
        Ok(Self {
            version,
            rules: rules.collect::<Result<_, _>>()?,
        })
    }

    /// The version of their language.
    pub fn version(&self) -> SchemaVersion {
        self.version
    }
}

impl Rule {
    fn parse(version: SchemaVersion, rule: &Value) -> Result<Self, String> {
        if !rule.is_object() {
            return Err("it is not an object".into());
        }
        let document = RuleDocument::deserialize(rule).map_err(|error| error.to_string())?;
        if document.remote.is_empty() {
            return Err("it has no conditions".into());
        }
        let local = document.local.into_iter();
        let remote = document.remote.into_iter();
        Ok(Self {
            local: local
                .map(|local| local.into_local(version))
                .collect::<Result<_, _>>()?,
            remote: remote
                .map(ConditionDocument::into_condition)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl ConditionDocument {
    fn into_condition(self) -> Result<Condition, String> {
        let regex = self.regex.unwrap_or(false);
        let tests = [
            (Test::AnyOneOf, self.any_one_of),
            (Test::NotAnyOf, self.not_any_of),
            (Test::Blacklist, self.blacklist),
            (Test::Whitelist, self.whitelist),
        ];
        let mut tests = tests
            .into_iter()
            .filter_map(|(test, values)| Some((test, values?)));
        let (test, values) = match (tests.next(), tests.next()) {
            (Some(_), Some(_)) => {
                return Err(format!("{} is tested in two ways at once", self.attribute));
            }
            (Some((test, values)), None) => (test, Values::new(values, regex)),
            (None, _) if self.regex.is_some() => {
                return Err(format!("{} has regex and nothing to match", self.attribute));
            }
            (None, _) => (Test::Present, Values::default()),
        };
        Ok(Condition {
            attribute: self.attribute,
            test,
            values,
        })
    }
}
