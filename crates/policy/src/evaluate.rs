//! Whether a rule holds for a caller and a target.

use serde_json::Value;

use crate::check::{Check, Comparison, Fault, Left};
use crate::python;
use crate::rules::Rules;
use crate::target::{Credentials, Target};
use crate::template::Template;

/// How many checks may be inside one another, references to rules included. A rule that refers to itself gets here.
pub(crate) const MAX_DEPTH: usize = 500;

/// What the rules say to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[must_use]
pub enum Decision {
    /// The rule holds, and the token has the right scope.
    Allowed,
    /// The rule does not hold, is not defined, or cannot be evaluated.
    Denied,
    /// The token has a scope that the rule may not be asked with; nothing else was looked at.
    WrongScope,
}

/// A request: who wants to act on what.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) credentials: &'a dyn Credentials,
    pub(crate) target: &'a dyn Target,
}

impl<'a> Request<'a> {
    /// Whether a check holds. Parts are asked in order, and no more of them than needed.
    pub(crate) fn holds(&self, check: &Check, depth: usize) -> Result<bool, Fault> {
        if depth == MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        match check {
            Check::Always => Ok(true),
            Check::Never => Ok(false),
            Check::Not(part) => Ok(!self.holds(part, depth + 1)?),
            Check::All(parts) => {
                for part in parts {
                    if !self.holds(part, depth + 1)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Check::Any(parts) => {
                for part in parts {
                    if self.holds(part, depth + 1)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Check::Rule(reference) => match reference.place {
                Some(place) => self.holds(self.rules.check_at(place), depth + 1),
                None => Ok(false),
            },
            Check::Role(role) => self.has_role(role),
            Check::Compare(comparison) => self.matches(comparison),
            Check::Remote(_) => Err(Fault::Remote),
        }
    }

    /// A credential by the first part of its name.
    pub(crate) fn credential(&self, name: &str) -> Option<&'a Value> {
        // `system` is an older name of `system_scope`, and yields to it.
        if name == "system" {
            let scope = self
                .credentials
                .get("system_scope")
                .filter(|scope| python::is_true(scope));
            return scope.or_else(|| self.credentials.get("system"));
        }
        self.credentials.get(name)
    }

    fn has_role(&self, role: &Template) -> Result<bool, Fault> {
        let Some(role) = role.fill(self.target)? else {
            return Ok(false);
        };
        let Some(roles) = self.credentials.get("roles") else {
            return Ok(false);
        };
        let roles = roles.as_array().ok_or(Fault::Roles)?;
        if !roles.iter().all(Value::is_string) {
            return Err(Fault::Roles);
        }
        Ok(roles
            .iter()
            .filter_map(Value::as_str)
            .any(|held| python::equal_in_lower_case(held, &role)))
    }

    fn matches(&self, comparison: &Comparison) -> Result<bool, Fault> {
        let Some(right) = comparison.right.fill(self.target)? else {
            return Ok(false);
        };
        match &comparison.left {
            Left::Literal(left) => Ok(*left == right),
            Left::Unreadable => Err(Fault::LeftSide),
            Left::Credential(path) => match path.split_first() {
                Some((first, rest)) => match self.credential(first) {
                    Some(value) => any_prints_as(value, rest, &right),
                    None => Ok(false),
                },
                None => Ok(false),
            },
        }
    }
}

/// Whether the value at the end of a path, or an element of it if it is a list, prints as `wanted`. A list on the way
/// stands for any of its elements.
fn any_prints_as(value: &Value, path: &[String], wanted: &str) -> Result<bool, Fault> {
    match value {
        Value::Array(items) => {
            for item in items {
                if prints_as(item, path, wanted)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        single => prints_as(single, path, wanted),
    }
}

fn prints_as(value: &Value, path: &[String], wanted: &str) -> Result<bool, Fault> {
    let Some((name, rest)) = path.split_first() else {
        return Ok(python::text(value) == wanted);
    };
    match value.as_object().ok_or(Fault::NotAnObject)?.get(name) {
        Some(next) => any_prints_as(next, rest, wanted),
        None => Ok(false),
    }
}
