//! The default policy as a file, as it is checked in.

use auth::rules::policy_file::defaults;
use policy::{Rule, Usage};

/// A policy file that changes nothing: every default, commented out, below what it guards.
pub fn sample() -> String {
    let routes = crate::routes();
    let mut rules: Vec<(Rule, Vec<Usage<'_>>)> = Vec::new();
    for rule in defaults(routes.operations()) {
        if rules.iter().any(|(known, _)| known.name == rule.name) {
            continue;
        }
        let usages = routes
            .operations()
            .filter(|operation| operation.rules.contains(&rule))
            .map(|operation| Usage {
                summary: operation.summary,
                method: operation.method.as_str(),
                path: operation.path,
            });
        rules.push((rule, usages.collect()));
    }
    policy::sample(
        rules
            .iter()
            .map(|(rule, usages)| (*rule, usages.as_slice())),
    )
}

#[cfg(test)]
mod tests {
    use policy::{Options, Rules};

    use super::*;

    #[test]
    fn the_checked_in_sample_is_current() {
        let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
        let path = package + "/../../deploy/policy.yaml.sample";
        let checked_in = std::fs::read_to_string(path).unwrap();
        assert!(
            checked_in == sample(),
            "write it again: cargo run --bin archstone -- policy > deploy/policy.yaml.sample"
        );
    }

    #[test]
    fn the_sample_has_every_rule_once_and_changes_nothing() {
        let routes = crate::routes();
        let sample = sample();
        for rule in defaults(routes.operations()) {
            let line = format!("\n#\"{}\": ", rule.name);
            assert_eq!(sample.matches(&line).count(), 1, "{}", rule.name);
        }
        let rules = Rules::new(defaults(routes.operations()), Options::default());
        let switched_on = sample.replace("\n#\"", "\n\"");
        for text in [&sample, &switched_on] {
            let problems = rules.with_overrides(text).unwrap().problems().len();
            assert_eq!(problems, 0);
        }
    }

    #[test]
    fn operations_that_share_a_rule_agree_on_it() {
        let routes = crate::routes();
        let rules: Vec<Rule> = defaults(routes.operations()).collect();
        for rule in &rules {
            assert!(
                rules
                    .iter()
                    .all(|other| other.name != rule.name || other == rule),
                "{}",
                rule.name
            );
        }
    }
}
