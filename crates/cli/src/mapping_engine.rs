//! Tries mapping rules on an assertion: `mapping_engine`, with the options of keystone-manage.
//!
//! Unlike there, rules are applied as their version says, as they will be in a login.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Args;
use model::Assertion;
use model::mapping::{
    ConditionExplanation, Evaluation, RuleExplanation, Rules, SchemaVersion, Test,
};
use serde_json::{Map, Value, json};
use web::json::indented;
use web::schemas::Schemas;

/// What to try on what.
#[derive(Args)]
pub(crate) struct MappingEngine {
    /// A file with the rules: a JSON object with a list under 'rules', or the list itself.
    #[arg(long, value_name = "FILE")]
    rules: PathBuf,
    /// A file with the assertion: a line 'NAME: value' for each attribute, with ';' between the
    /// values of one that has several.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Leave out the attributes whose names do not begin like this.
    #[arg(long)]
    prefix: Option<String>,
    /// Show the rules and the assertion as they were read.
    #[arg(long)]
    engine_debug: bool,
    /// Read the rules as of this version, whatever they say themselves.
    #[arg(long, value_name = "VERSION")]
    mapping_schema_version: Option<String>,
    /// Tell which rule applied and why, on a terminal always.
    #[arg(long)]
    explain: bool,
}

impl MappingEngine {
    pub(crate) fn run(self) -> Result<()> {
        let document = read_rules(&self.rules)?;
        let (version, rules) = checked(&document, self.mapping_schema_version.as_deref())?;
        let rules = Rules::parse(version, rules).context("The rules do not read")?;
        let variables = read_assertion(&self.input, self.prefix.as_deref())?;
        if self.engine_debug {
            let said: Map<String, Value> = variables
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().into()))
                .collect();
            println!("Using Rules:\n{}", indented(&document));
            println!("Using Assertion:\n{}", indented(&said));
        }
        let evaluation = rules.evaluate(&Assertion::of_variables(variables));
        if let Ok(mapped) = &evaluation.result {
            println!("{}", indented(mapped));
        }
        if self.explain || std::io::stdout().is_terminal() {
            print!("{}", tree(&evaluation));
        }
        evaluation.result.map(drop).map_err(Into::into)
    }
}

/// The file of rules, as an object.
fn read_rules(path: &Path) -> Result<Value> {
    let shown = path.display();
    let text = std::fs::read(path).with_context(|| format!("Error while opening file {shown}"))?;
    let document: Value = serde_json::from_slice(&text)
        .with_context(|| format!("Error while parsing rules {shown}"))?;
    match document {
        Value::Array(_) => Ok(json!({ "rules": document })),
        Value::Object(_) => Ok(document),
        _ => bail!("{shown} holds neither an object with rules nor a list of them"),
    }
}

/// The version and the rules of a document that meets its schema.
fn checked<'a>(document: &'a Value, version: Option<&str>) -> Result<(SchemaVersion, &'a Value)> {
    let own = document.get("schema_version").and_then(Value::as_str);
    let version = version.or(own).filter(|version| !version.is_empty());
    let version = version.unwrap_or("1.0");
    let parsed = SchemaVersion::parse(version)
        .with_context(|| format!("There is no schema version {version}"))?;
    let mut whole = document.clone();
    whole["schema_version"] = version.into();
    Schemas::load()
        .validate(&format!("federation.mapping_{version}"), &whole)
        .map_err(|error| anyhow!(error.to_string().trim_end().to_owned()))?;
    Ok((parsed, &document["rules"]))
}

/// The attributes of the file, in order.
fn read_assertion(path: &Path, prefix: Option<&str>) -> Result<Vec<(String, String)>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("Error while opening file {shown}"))?;
    let mut variables = Vec::new();
    // Leading blank lines do not count.
    for (index, line) in text.trim().lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let Some((name, value)) = line.split_once(':') else {
            bail!(
                "assertion file {shown} at line {} expected 'key: value' but found '{line}' see \
                 help for file format",
                index + 1
            );
        };
        let name = name.trim();
        if prefix.is_none_or(|prefix| name.starts_with(prefix)) {
            variables.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    Ok(variables)
}

/// The explanation, for people.
fn tree(evaluation: &Evaluation) -> String {
    let mut out = String::new();
    for rule in &evaluation.rules {
        push_rule(rule, &mut out);
    }
    for note in &evaluation.notes {
        let _ = writeln!(out, "Note: {note}");
    }
    out
}

fn push_rule(rule: &RuleExplanation, out: &mut String) {
    let verdict = match (&rule.error, rule.applied) {
        (Some(_), _) => "cannot be used",
        (None, true) => "applies",
        (None, false) => "does not apply",
    };
    let _ = writeln!(out, "Rule {} {verdict}", rule.rule);
    let mut branches: Vec<String> = rule.conditions.iter().map(condition).collect();
    for given in &rule.gave {
        branches.push(format!("gives {}", json!(given)));
    }
    if let Some(error) = &rule.error {
        branches.push(format!("error: {error}"));
    }
    let last = branches.len().saturating_sub(1);
    for (index, branch) in branches.iter().enumerate() {
        let stem = if index == last { "└─" } else { "├─" };
        let _ = writeln!(out, "{stem} {branch}");
    }
}

/// One condition in one line: whether it held, what it demands, what it found, what it let through.
fn condition(condition: &ConditionExplanation) -> String {
    let mark = match (condition.counted, condition.held) {
        (false, _) => "does not matter:",
        (true, true) => "holds:",
        (true, false) => "fails:",
    };
    let listed = list(&condition.listed);
    let kind = if condition.regex { "patterns " } else { "" };
    let mut line = format!("{mark} {}", condition.attribute);
    if condition.test != Test::Present {
        let _ = write!(line, " {} {kind}{listed}", condition.test.as_str());
    }
    if !condition.values.is_empty() {
        let _ = write!(line, ", is {}", list(&condition.values));
    }
    if let Some(reason) = &condition.reason {
        let _ = write!(line, ": {reason}");
    }
    if let Some(place) = condition.place.filter(|_| condition.held) {
        let _ = write!(line, "; {{{place}}} = {}", list(&condition.passed));
    }
    line
}

fn list(values: &[String]) -> String {
    let quoted = values.iter().map(|value| format!("{value:?}"));
    format!("[{}]", quoted.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluate(rules: Value, said: &[(&str, &str)]) -> Evaluation {
        let document = json!({ "rules": rules });
        let (version, rules) = checked(&document, None).unwrap();
        let rules = Rules::parse(version, rules).unwrap();
        rules.evaluate(&Assertion::of_variables(said.iter().copied()))
    }

    #[test]
    fn the_tree_says_why() {
        let evaluation = evaluate(
            json!([
                {
                    "local": [{"user": {"name": "größe {0}"}}],
                    "remote": [
                        {"type": "NAME"},
                        {"type": "KIND", "any_one_of": ["^st"], "regex": true},
                    ],
                },
                {
                    "local": [{"group": {"id": "g"}}],
                    "remote": [{"type": "KIND", "not_any_of": ["guest"]}, {"type": "TEAM"}],
                },
                {"local": [{"group": {"id": "{1}"}}], "remote": [{"type": "NAME"}]},
            ]),
            &[("NAME", "joe"), ("KIND", "staff;guest")],
        );
        assert_eq!(
            tree(&evaluation),
            r#"Rule 1 applies
├─ holds: NAME, is ["joe"]; {0} = ["joe"]
├─ holds: KIND any_one_of patterns ["^st"], is ["staff", "guest"]
└─ gives {"user":{"name":"größe joe"}}
Rule 2 does not apply
├─ fails: KIND not_any_of ["guest"], is ["staff", "guest"]: it has a value that must not be
└─ does not matter: TEAM: the assertion does not have this attribute
Rule 3 cannot be used
├─ holds: NAME, is ["joe"]; {0} = ["joe"]
└─ error: "{1}" asks for match 1, and the conditions of its rule give 1.
"#
        );
    }

    #[test]
    fn an_assertion_is_read_line_by_line() {
        let folder = std::env::temp_dir().join(format!("mapping-engine-{}", std::process::id()));
        std::fs::write(&folder, "\n\nASDF_A: x;y\n\n  B : c: d \r\n").unwrap();
        let all = read_assertion(&folder, None).unwrap();
        let some = read_assertion(&folder, Some("ASDF_")).unwrap();
        std::fs::write(&folder, "A: x\nB\n").unwrap();
        let error = read_assertion(&folder, None).unwrap_err().to_string();
        std::fs::remove_file(&folder).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(all, [pair("ASDF_A", "x;y"), pair("B", "c: d")]);
        assert_eq!(some, [pair("ASDF_A", "x;y")]);
        assert!(error.contains("at line 2 expected 'key: value' but found 'B'"));
    }

    #[test]
    fn rules_must_meet_the_schema_of_their_version() {
        let rules = json!({"rules": [{
            "local": [{"projects": [{"name": "p", "roles": [], "domain": {"id": "d"}}]}],
            "remote": [{"type": "NAME"}],
        }]});
        let error = checked(&rules, None).unwrap_err().to_string();
        assert_eq!(
            error,
            "Additional properties are not allowed ('domain' was unexpected)"
        );
        assert!(checked(&rules, Some("2.0")).is_ok());
        assert!(checked(&rules, Some("4.0")).is_err());
    }
}
