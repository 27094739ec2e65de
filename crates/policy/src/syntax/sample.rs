//! The sample policy file: every default, commented out.

use std::fmt::Write;

use crate::rule::Rule;

/// A request that a rule guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage<'a> {
    /// What the request does, in a few words.
    pub summary: &'a str,
    /// Its HTTP method.
    pub method: &'a str,
    /// Its path.
    pub path: &'a str,
}

/// Writes a policy file that changes nothing: each rule as it is by default, behind a `#`, below what it guards, the
/// scopes it may be asked with and what it was before.
pub fn sample<'a>(rules: impl IntoIterator<Item = (Rule, &'a [Usage<'a>])>) -> String {
    let mut out = String::from(
        "# The rules of the service, each as it is by default. Remove the # before a rule to change it;\n\
         # a change counts without a restart.\n",
    );
    for (rule, usages) in rules {
        out.push('\n');
        write_rule(&mut out, &rule, usages).expect("a String takes all text");
    }
    out
}

fn write_rule(out: &mut String, rule: &Rule, usages: &[Usage<'_>]) -> std::fmt::Result {
    for (index, usage) in usages.iter().enumerate() {
        if index == 0 || usages[index - 1].summary != usage.summary {
            writeln!(out, "# {}", usage.summary)?;
        }
        writeln!(out, "#   {} {}", usage.method, usage.path)?;
    }
    if !rule.scopes.is_empty() {
        let scopes: Vec<String> = rule.scopes.iter().map(ToString::to_string).collect();
        writeln!(out, "# Scope: {}", scopes.join(", "))?;
    }
    if let Some(deprecated) = rule
        .deprecated
        .filter(|old| old.name != rule.name || old.check != rule.check)
    {
        writeln!(
            out,
            "# Formerly {}",
            entry(deprecated.name, deprecated.check)
        )?;
    }
    writeln!(out, "#{}", entry(rule.name, rule.check))
}

/// A line of YAML. JSON's quotes are YAML's double quotes.
fn entry(name: &str, check: &str) -> String {
    let quoted = |text| serde_json::Value::from(text).to_string();
    format!("{}: {}", quoted(name), quoted(check))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Rules, ScopeType};

    const GET: Rule = Rule::new("get", "role:\"x\" or 'm':%(target.role.name)s")
        .scopes(&[ScopeType::System, ScopeType::Project])
        .deprecated("role:admin");
    const USAGES: [Usage<'static>; 3] = [
        Usage {
            summary: "Show a thing",
            method: "GET",
            path: "/v3/things/{id}",
        },
        Usage {
            summary: "Show a thing",
            method: "HEAD",
            path: "/v3/things/{id}",
        },
        Usage {
            summary: "List things",
            method: "GET",
            path: "/v3/things",
        },
    ];

    #[test]
    fn a_rule_is_shown_with_what_it_guards() {
        let text = sample([(Rule::new("open", ""), &[][..]), (GET, &USAGES[..])]);
        let rules = text.split_once("\n\n").expect("a head").1;
        assert_eq!(
            rules,
            r#"#"open": ""

# Show a thing
#   GET /v3/things/{id}
#   HEAD /v3/things/{id}
# List things
#   GET /v3/things
# Scope: system, project
# Formerly "get": "role:admin"
#"get": "role:\"x\" or 'm':%(target.role.name)s"
"#
        );
    }

    #[test]
    fn it_can_be_read_as_it_is_and_with_its_rules_switched_on() {
        let text = sample([(GET, &USAGES[..])]);
        let rules = Rules::new([GET], Options::default());
        assert!(
            rules
                .with_overrides(&text)
                .expect("comments")
                .problems()
                .is_empty()
        );
        let switched_on = rules
            .with_overrides(&text.replace("\n#\"", "\n\""))
            .expect("one rule");
        assert!(switched_on.problems().is_empty());
    }
}
