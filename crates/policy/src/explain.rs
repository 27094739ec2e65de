//! Why a rule held or did not, for people.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::check::{Check, Comparison, Left};
use crate::evaluate::{Decision, MAX_DEPTH, Request};
use crate::python;
use crate::rule::ScopeType;
use crate::template::Template;

/// A decision with its reasons. Printed, it is a tree of lines.
///
/// Of the values that were compared, ids, names and roles are shown; others are not, for they may be secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The rule that was asked.
    pub rule: String,
    /// What it said.
    pub decision: Decision,
    /// A sentence on the token's scope.
    pub scope: String,
    /// The parts of the rule; `None` when there is no such rule.
    pub root: Option<Step>,
}

/// A part of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The part as the language writes it, or `all of`, `any of`, `not`.
    pub check: String,
    /// Whether it held.
    pub outcome: Outcome,
    /// The values it was decided on; may be empty.
    pub reason: String,
    /// What it is made of.
    pub parts: Vec<Step>,
}

/// What came of a part of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It held.
    Held,
    /// It did not.
    Failed,
    /// It could not be evaluated; if the decision hung on it, it was to deny.
    Broken,
}

impl Explanation {
    pub(crate) fn new(
        name: &str,
        decision: Decision,
        scopes: &[ScopeType],
        check: &Check,
        request: Request<'_>,
    ) -> Self {
        let scope = ScopeType::of(request.credentials);
        let asked = match scopes {
            [] => "any will do".to_owned(),
            some => format!(
                "asked for: {}",
                joined(some.iter().map(ToString::to_string))
            ),
        };
        let mut writer = Writer {
            request,
            opened: HashSet::new(),
        };
        Self {
            rule: name.to_owned(),
            decision,
            scope: format!("the scope of the token is {scope}; {asked}"),
            root: Some(writer.step(check, 0)),
        }
    }

    pub(crate) fn undefined(name: &str, decision: Decision, request: Request<'_>) -> Self {
        let scope = format!(
            "the scope of the token is {}",
            ScopeType::of(request.credentials)
        );
        Self {
            rule: name.to_owned(),
            decision,
            scope,
            root: None,
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decision = match self.decision {
            Decision::Allowed => "allowed",
            Decision::Denied => "denied",
            Decision::WrongScope => "denied for the scope of the token",
        };
        writeln!(f, "{}: {decision}", self.rule)?;
        writeln!(f, "  {}", self.scope)?;
        match &self.root {
            Some(root) => root.write(f, 1),
            None => writeln!(f, "  there is no such rule, and no default rule"),
        }
    }
}

impl Step {
    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Held => "held  ",
            Outcome::Failed => "failed",
            Outcome::Broken => "broken",
        };
        write!(
            f,
            "{:indent$}{outcome} {}",
            "",
            self.check,
            indent = depth * 2
        )?;
        if !self.reason.is_empty() {
            write!(f, " ({})", self.reason)?;
        }
        writeln!(f)?;
        self.parts
            .iter()
            .try_for_each(|part| part.write(f, depth + 1))
    }
}

struct Writer<'a> {
    request: Request<'a>,
    /// The rules whose parts have been written: once is enough to read, and keeps the tree finite.
    opened: HashSet<usize>,
}

impl Writer<'_> {
    fn step(&mut self, check: &Check, depth: usize) -> Step {
        let result = self.request.holds(check, depth);
        let parts = match depth {
            MAX_DEPTH => Vec::new(),
            _ => self.parts(check, depth + 1),
        };
        let (outcome, reason) = match result {
            Ok(true) => (Outcome::Held, self.reason(check, &parts)),
            Ok(false) => (Outcome::Failed, self.reason(check, &parts)),
            // A fault is told where it arose, not again by all that it went through.
            Err(fault) if parts.is_empty() => (Outcome::Broken, fault.to_string()),
            Err(_) => (Outcome::Broken, String::new()),
        };
        let title = match check {
            Check::Not(_) => "not".to_owned(),
            Check::All(_) => "all of".to_owned(),
            Check::Any(_) => "any of".to_owned(),
            other => other.to_string(),
        };
        Step {
            check: title,
            outcome,
            reason,
            parts,
        }
    }

    fn parts(&mut self, check: &Check, depth: usize) -> Vec<Step> {
        match check {
            Check::Not(part) => vec![self.step(part, depth)],
            Check::All(parts) | Check::Any(parts) => {
                parts.iter().map(|part| self.step(part, depth)).collect()
            }
            Check::Rule(reference) => match reference.place {
                Some(place) if self.opened.insert(place) => {
                    vec![self.step(self.request.rules.check_at(place), depth)]
                }
                _ => Vec::new(),
            },
            Check::Always
            | Check::Never
            | Check::Role(_)
            | Check::Compare(_)
            | Check::Remote(_) => Vec::new(),
        }
    }

    /// What a part was decided on, where its own parts do not say so.
    fn reason(&self, check: &Check, parts: &[Step]) -> String {
        match check {
            Check::Role(role) => self.roles(role),
            Check::Compare(comparison) => self.values(comparison),
            Check::Rule(reference) if reference.place.is_none() => "not defined".to_owned(),
            Check::Rule(_) if parts.is_empty() => "see above".to_owned(),
            _ => String::new(),
        }
    }

    fn roles(&self, role: &Template) -> String {
        let held = match self.request.credentials.get("roles") {
            Some(Value::Array(roles)) if roles.is_empty() => "the caller has no roles".to_owned(),
            Some(Value::Array(roles)) => {
                format!(
                    "the caller's roles are {}",
                    joined(roles.iter().map(|role| python::text(role).into_owned()))
                )
            }
            _ => "the caller has no roles".to_owned(),
        };
        joined(
            [self.right(role), held]
                .into_iter()
                .filter(|text| !text.is_empty()),
        )
    }

    fn values(&self, comparison: &Comparison) -> String {
        let left = match &comparison.left {
            Left::Literal(_) | Left::Unreadable => String::new(),
            Left::Credential(path) => {
                let value = path.split_first().and_then(|(first, rest)| {
                    rest.iter()
                        .try_fold(self.request.credential(first)?, |value, name| {
                            value.get(name)
                        })
                });
                let name = &comparison.source;
                match value {
                    None => format!("the caller has no {name}"),
                    Some(value) => format!(
                        "the caller's {name} is {}",
                        shown(name, &python::text(value))
                    ),
                }
            }
        };
        joined(
            [left, self.right(&comparison.right)]
                .into_iter()
                .filter(|text| !text.is_empty()),
        )
    }

    /// The values that a template looks up.
    fn right(&self, template: &Template) -> String {
        joined(
            template
                .keys()
                .map(|key| match self.request.target.find(key) {
                    Some(value) => format!("{key} is {}", shown(key, &value)),
                    None => format!("{key} is not known"),
                }),
        )
    }
}

/// A value, if its name says that it is an id, a name, a role or a truth; other values could be secrets.
fn shown(key: &str, value: &str) -> String {
    let last = key.rsplit('.').next().unwrap_or(key);
    let identifies = last.ends_with("_id")
        || last.starts_with("is_")
        || matches!(
            last,
            "id" | "name" | "roles" | "system" | "system_scope" | "all" | "enabled"
        );
    let secretive = ["secret", "token", "password", "key"]
        .iter()
        .any(|word| last.contains(word));
    // A truth and an absence give nothing away.
    if matches!(value, "None" | "True" | "False") || (identifies && !secretive) {
        format!("{value:?}")
    } else {
        "not shown".to_owned()
    }
}

fn joined(parts: impl IntoIterator<Item = String>) -> String {
    parts.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{Options, Rule, Rules, ScopeType};

    const RULES: [Rule; 4] = [
        Rule::new("admin", "role:admin or is_admin:1"),
        Rule::new(
            "get",
            "rule:admin or (user_id:%(target.user.id)s and not 'x':%(target.user.domain_id)s)",
        )
        .scopes(&[ScopeType::Project]),
        Rule::new(
            "both",
            "rule:admin and (rule:admin or class:x) or rule:nowhere or rule:both",
        ),
        Rule::new(
            "secret",
            "blob:%(request_body.credential.blob)s or access_token_id:%(x)s",
        ),
    ];

    fn explain(rule: &str, credentials: serde_json::Value, target: serde_json::Value) -> String {
        Rules::new(RULES, Options::default())
            .explain(rule, &credentials, &target)
            .to_string()
    }

    #[test]
    fn each_part_says_what_came_of_it() {
        let told = explain(
            "get",
            json!({"user_id": "u1", "roles": ["member", "reader"]}),
            json!({"target": {"user": {"id": "u2", "domain_id": "x"}}}),
        );
        assert_eq!(
            told,
            r#"get: denied
  the scope of the token is project; asked for: project
  failed any of
    failed rule:admin
      failed any of
        failed role:admin (the caller's roles are member, reader)
        failed is_admin:1 (the caller has no is_admin)
    failed all of
      failed user_id:%(target.user.id)s (the caller's user_id is "u1", target.user.id is "u2")
      failed not
        held   'x':%(target.user.domain_id)s (target.user.domain_id is "x")
"#
        );
    }

    #[test]
    fn faults_cycles_and_repetitions_are_told_and_end() {
        let told = explain("both", json!({"roles": []}), json!({}));
        assert_eq!(
            told,
            r#"both: denied
  the scope of the token is project; any will do
  broken any of
    failed all of
      failed rule:admin
        failed any of
          failed role:admin (the caller has no roles)
          failed is_admin:1 (the caller has no is_admin)
      broken any of
        failed rule:admin (see above)
        broken class:x (the left side cannot be read)
    failed rule:nowhere (not defined)
    broken rule:both
      broken any of
        failed all of
          failed rule:admin (see above)
          broken any of
            failed rule:admin (see above)
            broken class:x (the left side cannot be read)
        failed rule:nowhere (not defined)
        broken rule:both (the rule refers to itself, or is nested too deep)
"#
        );
    }

    #[test]
    fn a_long_chain_is_told_as_far_as_it_was_followed() {
        let file: String = (0..5_000)
            .map(|link| format!("r{link}: rule:r{}\n", link + 1))
            .collect();
        let rules = Rules::new([], Options::default())
            .with_overrides(&file)
            .expect("a well-formed file");
        let told = rules.explain("r0", &json!({}), &()).to_string();
        assert!(
            told.ends_with("broken rule:r501 (the rule refers to itself, or is nested too deep)\n")
        );
    }

    #[test]
    fn secrets_are_not_shown() {
        let told = explain(
            "secret",
            json!({"blob": "s3cret", "access_token_id": "s3cret"}),
            json!({"request_body": {"credential": {"blob": "s3cret"}}, "x": "s3cret"}),
        );
        assert!(told.starts_with("secret: allowed"), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }

    #[test]
    fn a_wrong_scope_and_a_missing_rule_are_told() {
        let told = explain(
            "get",
            json!({"domain_id": "d", "roles": ["admin"]}),
            json!({}),
        );
        assert!(told.starts_with("get: denied for the scope of the token\n  the scope of the token is domain; asked for: project\n"));
        assert!(
            explain("nowhere", json!({}), json!({}))
                .ends_with("there is no such rule, and no default rule\n")
        );
    }
}
