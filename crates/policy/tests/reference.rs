//! The reference's own answers, as `clients/oracle/policy_cases.py` wrote them down.

use policy::{Decision, Options, Rule, Rules, ScopeType};
use serde_json::{Value, json};

/// A file of answers.
fn load(text: &str) -> Value {
    serde_json::from_str(text).expect("the script writes JSON")
}

fn cases() -> Value {
    load(include_str!("cases.json"))
}

/// What we must decide where the reference says `answer`; an exception there is a denial here.
fn decision(answer: &str) -> Decision {
    match answer.as_bytes() {
        [b'a', ..] => Decision::Allowed,
        [b'd' | b'e', ..] => Decision::Denied,
        [b's', ..] => Decision::WrongScope,
        _ => panic!("{answer:?} is no answer"),
    }
}

fn text(value: &Value) -> &'static str {
    value.as_str().expect("a text").to_owned().leak()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .expect("an object")
        .iter()
        .map(|(name, value)| (name.as_str(), value))
}

/// A rule as the script describes it.
fn rule(described: &Value) -> Rule {
    let mut rule = Rule::new(text(&described["name"]), text(&described["check"]));
    if let Some(scopes) = described["scopes"].as_array() {
        let scopes: Vec<ScopeType> = scopes
            .iter()
            .map(|scope| match text(scope) {
                "system" => ScopeType::System,
                "domain" => ScopeType::Domain,
                "project" => ScopeType::Project,
                other => panic!("{other:?} is no scope"),
            })
            .collect();
        rule = rule.scopes(scopes.leak());
    }
    if !described["deprecated"].is_null() {
        let deprecated = &described["deprecated"];
        rule = rule.formerly(text(&deprecated["name"]), text(&deprecated["check"]));
    }
    rule
}

fn options(described: &Value) -> Options {
    let mut options = Options::default();
    if let Some(enforce) = described["enforce_new_defaults"].as_bool() {
        options.enforce_new_defaults = enforce;
    }
    if let Some(name) = described["default_rule"].as_str() {
        options.default_rule = name.to_owned();
    }
    options
}

/// Compares one decision, and that it is explained as it was made.
#[track_caller]
fn compare(
    rules: &Rules,
    name: &str,
    credentials: &Value,
    target: &Value,
    answer: &Value,
    about: &dyn Fn() -> String,
) {
    let decided = rules.check(name, credentials, target);
    assert_eq!(decided, decision(text(answer)), "{}", about());
    let explained = rules.explain(name, credentials, target);
    assert_eq!(explained.decision, decided, "{}\n{explained}", about());
}

#[test]
fn the_language_means_what_it_means_there() {
    let cases = cases();
    let rules = Rules::new([], Options::default());
    assert!(list(&cases["language"]).len() >= 150);
    for case in list(&cases["language"]) {
        let mut file = cases["common"].clone();
        file["asked"] = case["rule"].clone();
        let rules = rules
            .with_overrides(&file.to_string())
            .expect("the reference could read it");
        let credentials = &cases["credentials"][text(&case["credentials"])];
        let target = &cases["targets"][text(&case["target"])];
        compare(
            &rules,
            "asked",
            credentials,
            target,
            &case["expected"],
            &|| case.to_string(),
        );
    }
}

#[test]
fn files_and_defaults_go_together_as_there() {
    let cases = cases();
    let target = &cases["targets"]["u1"];
    for file in list(&cases["files"]) {
        let mut rules = Rules::new(
            list(&cases["defaults"]).iter().map(rule),
            options(&file["options"]),
        );
        if let Some(text) = file["file"].as_str() {
            rules = rules
                .with_overrides(text)
                .unwrap_or_else(|error| panic!("{}: {error}", file["title"]));
        }
        for (name, answers) in entries(&file["expected"]) {
            for (who, answer) in entries(answers) {
                let about = || format!("{}: {name} asked by {who}", file["title"]);
                compare(
                    &rules,
                    name,
                    &cases["credentials"][who],
                    target,
                    answer,
                    &about,
                );
            }
        }
    }
}

#[test]
fn files_that_cannot_be_loaded_there_cannot_be_loaded_here() {
    let rules = Rules::new([], Options::default());
    for file in list(&cases()["unloadable"]) {
        assert!(
            rules.with_overrides(text(&file["file"])).is_err(),
            "{}",
            file["title"]
        );
    }
}

#[test]
fn keystones_default_rules_admit_the_same_callers() {
    let document = load(include_str!("keystone_rules.json"));
    let declared = list(&document["rules"]);
    assert!(declared.len() > 200);
    for (enforce_new_defaults, answers) in
        [(true, "expected"), (false, "expected_with_old_defaults")]
    {
        let options = Options {
            enforce_new_defaults,
            ..Options::default()
        };
        let rules = Rules::new(declared.iter().map(rule), options);
        assert_eq!(rules.problems(), []);
        for described in declared {
            let name = text(&described["name"]);
            for (thing, answers) in entries(&described[answers]) {
                for (index, who) in list(&document["personas"]).iter().enumerate() {
                    let who = text(who);
                    let answer = json!(text(answers)[index..=index]);
                    let about = || {
                        format!(
                            "{name} on {thing} asked by {who}, new defaults {enforce_new_defaults}"
                        )
                    };
                    compare(
                        &rules,
                        name,
                        &document["credentials"][who],
                        &document["things"][thing],
                        &answer,
                        &about,
                    );
                }
            }
        }
    }
}
