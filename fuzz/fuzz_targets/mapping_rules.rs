//! Any JSON is the rules of a mapping, and an assertion; what comes of them is always the same, is told
//! in words, and names a user only by what stood in the two.
//!
//!     fuzz/run mapping_rules

#![no_main]

use archstone_fuzz::{MIB, linear};
use libfuzzer_sys::fuzz_target;
use model::Assertion;
use model::mapping::{Rules, SchemaVersion};
use serde_json::Value;

fuzz_target!(|text: &str| {
    // The rules, then the variables, a line each.
    let (rules, variables) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(rules) = serde_json::from_str::<Value>(rules) else {
        return;
    };
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    let assertion = Assertion::of_variables(variables);
    for version in [SchemaVersion::V1, SchemaVersion::V2, SchemaVersion::V3] {
        let read = match Rules::parse(version, &rules) {
            Ok(read) => read,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                continue;
            }
        };
        // What the templates come to has a bound of its own, and so has each padded value. Patterns are
        // the operator's, and as large as they are written: they were read before.
        let evaluation = linear(text.len(), 256 * MIB, 16_384, || read.evaluate(&assertion));
        assert_eq!(evaluation, read.evaluate(&assertion));
        let count = rules.as_array().map_or(0, Vec::len);
        assert_eq!(evaluation.rules.len(), count);
        match &evaluation.result {
            // Nothing comes of rules of which none applied.
            Ok(mapped) => {
                assert!(evaluation.rules.iter().any(|rule| rule.applied));
                serde_json::to_string(mapped).expect("a result can be written");
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        for rule in &evaluation.rules {
            serde_json::to_string(rule).expect("an explanation can be written");
            let all_held = rule.conditions.iter().all(|tested| tested.held);
            assert!(!rule.applied || all_held, "a rule applied although a condition failed");
        }
    }
});
