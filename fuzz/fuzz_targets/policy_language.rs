//! Any text is a policy file, or the text of one rule; neither may do more than it says.
//!
//!     fuzz/run policy_language

#![no_main]

use archstone_fuzz::{Bound, MIB, lengthened, linear};
use libfuzzer_sys::fuzz_target;
use policy::{Decision, Options, Rule, Rules};
use serde_json::{Value, json};

static READ: Bound = Bound::new("file", 2 * MIB, 320, 4);
static ASKED: Bound = Bound::new("decision", 2 * MIB, 256, 4);

fuzz_target!(|text: &str| {
    let text = &*lengthened(text);
    judge(text);
});

fn judge(text: &str) {
    let defaults = [
        Rule::new("a", "rule:b"),
        Rule::new("b", "role:admin").formerly("c", "role:member"),
    ];
    let rules = Rules::new(
        defaults,
        Options {
            enforce_new_defaults: false,
            ..Options::default()
        },
    );
    if let Ok(rules) = linear(text.len(), &READ, || rules.with_overrides(text)) {
        for name in ["a", "b", "c", "default"] {
            let _ = linear(text.len(), &ASKED, || ask(&rules, &[name]));
        }
    }

    let one = |check: String| {
        let file = json!({ "fuzzed": check }).to_string();
        linear(file.len(), &READ, || rules.with_overrides(&file))
    };
    let Ok(plain) = one(text.to_owned()) else {
        return;
    };
    let decision = linear(text.len(), &ASKED, || ask(&plain, &["fuzzed"]));
    if !plain.problems().is_empty() || text.is_empty() {
        return;
    }
    // A rule without problems is one unit in parentheses, and neither operator adds a right that it lacks.
    let narrowed = one(format!("({text}) and !")).expect("a rule that could be read");
    assert_eq!(ask(&narrowed, &["fuzzed"]), Decision::Denied);
    let widened = one(format!("({text}) or !")).expect("a rule that could be read");
    if widened.problems().is_empty() {
        assert_eq!(ask(&widened, &["fuzzed"]), decision);
    }
}

/// Asks for some rules, with the explanation that must agree; returns the last decision.
fn ask(rules: &Rules, names: &[&str]) -> Decision {
    let credentials = json!({
        "user_id": "u1", "project_id": null, "is_admin_project": true, "number": 1.5, "roles": ["Admin", "rôle"],
        "token": {"roles": [{"id": "r1"}, {"id": "r2"}], "project": {"domain": {"id": "d1"}}, "text": "x"},
    });
    let target: Value = json!({"user_id": "u1", "target": {"user": {"id": "u1", "domain_id": null}, "tags": ["a", 1]}});
    let mut last = Decision::Denied;
    for name in names {
        last = rules.check(name, &credentials, &target);
        let explained = rules.explain(name, &credentials, &target);
        assert_eq!(explained.decision, last, "{explained}");
        assert!(!explained.to_string().is_empty());
    }
    for problem in rules.problems() {
        assert!(!problem.to_string().is_empty());
    }
    last
}
