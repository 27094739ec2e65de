//! Any JSON is the rules of a mapping, and an assertion; what comes of them is always the same, is told
//! in words, and names a user only by what stood in the two.
//!
//!     fuzz/run mapping_rules

#![no_main]

use archstone_fuzz::{Bound, MIB, counted, lengthened};
use libfuzzer_sys::fuzz_target;
use model::Assertion;
use model::mapping::{MappingError, Rules, SchemaVersion};
use serde_json::Value;

static READ: Bound = Bound::new("rules", 2 * MIB, 384, 4);
static EVALUATED: Bound = Bound::new("evaluation", 2 * MIB, 256, 4);

/// How many bytes the templates of all rules may come to.
const MOST_MADE: usize = 16 << 20;

/// How many bytes of what is made count as one of the input: short values take eight times their length,
/// and are told in several places.
const MADE: usize = 32;

fuzz_target!(|text: &str| {
    let text = &*lengthened(text);
    // The rules, then the variables, a line each.
    let (rules, variables) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(rules) = serde_json::from_str::<Value>(rules) else {
        return;
    };
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    let assertion = Assertion::of_variables(variables);
    for version in [SchemaVersion::V1, SchemaVersion::V2, SchemaVersion::V3] {
        let (read, spent) = counted(|| Rules::parse(version, &rules));
        // Patterns are the operator's, and compile to much more than is written.
        if !text.contains("regex") {
            spent.check(text.len(), &READ);
        }
        let read = match read {
            Ok(read) => read,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                continue;
            }
        };
        let (evaluation, spent) = counted(|| read.evaluate(&assertion));
        // Templates may say a long value many times, and so what they come to counts as well. Of what
        // became too long nothing is left to be measured.
        let made = match &evaluation.result {
            Err(MappingError::TooMany { .. }) => MOST_MADE,
            _ => serde_json::to_string(&evaluation.rules).map_or(0, |told| told.len()),
        };
        spent.check(text.len() + made / MADE, &EVALUATED);
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
            assert!(
                !rule.applied || all_held,
                "a rule applied although a condition failed"
            );
        }
    }
});
