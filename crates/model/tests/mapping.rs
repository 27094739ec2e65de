//! What Keystone maps assertions to, as `clients/oracle/mapping_cases.py` wrote it down.

use model::Assertion;
use model::mapping::{Rules, SchemaVersion};
use serde_json::{Value, json};

fn load(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("the script writes a list of cases")
}

fn cases() -> Vec<Value> {
    load(include_str!("data/mapping_cases.json"))
}

fn vectors() -> Vec<Value> {
    load(include_str!("data/mapping_vectors.json"))
}

/// What we make of a case, in the words of the script.
fn mapped(case: &Value) -> Value {
    let version = case["schema_version"]
        .as_str()
        .and_then(SchemaVersion::parse);
    let Some(version) = version else {
        return json!({"error": "rules"});
    };
    let Ok(rules) = Rules::parse(version, &case["rules"]) else {
        return json!({"error": "rules"});
    };
    let said = case["assertion"].as_object().expect("an object");
    let said = said
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_str()?)));
    match rules.evaluate(&Assertion::of_variables(said)).result {
        Ok(mapped) => {
            let document = serde_json::to_value(&mapped).expect("JSON");
            sorted(document)
        }
        Err(error) if error.blames_assertion() => json!({"error": "refused"}),
        Err(_) => json!({"error": "broken"}),
    }
}

/// What came out, with the groups in some order: sets have none in Python.
fn sorted(mut document: Value) -> Value {
    for name in ["group_ids", "group_names"] {
        if let Some(list) = document[name].as_array_mut() {
            list.sort_by_key(ToString::to_string);
        }
    }
    json!({ "ok": document })
}

#[test]
fn assertions_are_mapped_as_keystone_does() {
    let mut wrong = Vec::new();
    let cases = cases();
    assert!(cases.len() >= 150);
    for case in &cases {
        let ours = mapped(case);
        let theirs = &case["result"];
        let alike = match theirs.get("error").and_then(Value::as_str) {
            None => ours == sorted(theirs["ok"].clone()),
            // What Keystone fails on is refused here: some rules that it stores are not read, and
            // an assertion that means nothing is no fault of the server.
            Some("broken") => ours.get("error").is_some(),
            Some(kind) => ours == json!({ "error": kind }),
        };
        if !alike {
            let note = &case["note"];
            wrong.push(format!("{note}\n  theirs: {theirs}\n  ours:   {ours}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_vectors_hold() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 27);
    for case in &vectors {
        let ours = mapped(case);
        let note = &case["note"];
        match case["result"].get("error").and_then(Value::as_str) {
            None => assert_eq!(ours, sorted(case["result"]["ok"].clone()), "{note}"),
            // Errors in rules and in what they make of an assertion are of one class there.
            Some("ValidationError") => assert!(
                ours == json!({"error": "refused"}) || ours == json!({"error": "rules"}),
                "{note}: {ours}"
            ),
            Some(_) => assert_eq!(ours, json!({"error": "broken"}), "{note}"),
        }
    }
}

fn evaluate(rules: Value, said: &[(&str, &str)]) -> model::mapping::Evaluation {
    let rules = Rules::parse(SchemaVersion::V2, &rules).expect("rules");
    rules.evaluate(&Assertion::of_variables(said.iter().copied()))
}

#[test]
fn an_evaluation_tells_which_condition_held_and_why_another_did_not() {
    let rules = json!([
        {
            "local": [{"user": {"name": "{0}"}}, {"groups": "{1}", "domain": {"id": "d"}}],
            "remote": [
                {"type": "NAME"},
                {"type": "KIND", "any_one_of": ["^sta"], "regex": true},
                {"type": "GROUPS", "blacklist": ["guests"]},
            ],
        },
        {
            "local": [{"user": {"name": "visitor"}}],
            "remote": [
                {"type": "NAME"},
                {"type": "KIND", "not_any_of": ["staff"]},
                {"type": "NOTHING"},
            ],
        },
    ]);
    let said = [
        ("NAME", "joe"),
        ("KIND", "staff;guest"),
        ("GROUPS", "a;guests;b"),
    ];
    let evaluation = evaluate(rules, &said);

    let [first, second] = &evaluation.rules[..] else {
        panic!("{:?}", evaluation.rules);
    };
    assert!(first.applied);
    let [name, kind, groups] = &first.conditions[..] else {
        panic!("{first:?}");
    };
    assert_eq!(
        (name.place, &name.passed[..]),
        (Some(0), &["joe".to_owned()][..])
    );
    assert_eq!((kind.place, kind.held), (None, true));
    assert_eq!(kind.matched, ["staff"]);
    assert_eq!(groups.place, Some(1));
    assert_eq!(
        (&groups.matched[..], &groups.passed[..]),
        (
            &["guests".to_owned()][..],
            &["a".to_owned(), "b".to_owned()][..]
        )
    );
    assert_eq!(first.gave[1].groups.as_deref(), Some("['a', 'b']"));

    assert!(!second.applied);
    assert!(second.gave.is_empty());
    let [name, kind, nothing] = &second.conditions[..] else {
        panic!("{second:?}");
    };
    assert!(name.held && name.counted);
    assert!(!kind.held && kind.counted);
    assert_eq!(
        kind.reason.as_deref(),
        Some("it has a value that must not be")
    );
    assert_eq!(kind.matched, ["staff"]);
    assert!(!nothing.held && !nothing.counted);
    let reason = nothing.reason.as_deref();
    assert_eq!(reason, Some("the assertion does not have this attribute"));
}

#[test]
fn a_rule_that_breaks_is_named_and_the_others_are_still_explained() {
    let rule =
        |name: &str| json!({"local": [{"user": {"name": name}}], "remote": [{"type": "NAME"}]});
    let evaluation = evaluate(
        json!([rule("{0}"), rule("{4}"), rule("b")]),
        &[("NAME", "joe")],
    );
    let error = evaluation.result.expect_err("there is no fifth match");
    assert_eq!(
        error.to_string(),
        r#""{4}" asks for match 4, and the conditions of its rule give 1."#
    );
    assert_eq!(evaluation.rules[0].error, None);
    assert_eq!(evaluation.rules[1].error, Some(error.to_string()));
    assert!(evaluation.rules[2].applied);
}

#[test]
fn what_does_not_count_is_told() {
    let rule = |name: &str| {
        json!({
            "local": [{"user": {"name": name}, "projects": [{"name": name, "roles": []}]}],
            "remote": [{"type": "NAME"}],
        })
    };
    let evaluation = evaluate(json!([rule("{0}"), rule("other")]), &[("NAME", "joe")]);
    let mapped = evaluation.result.expect("both rules apply");
    assert_eq!(mapped.user.name.as_deref(), Some("joe"));
    assert_eq!(mapped.projects[0].name, "other");
    assert_eq!(
        evaluation.notes,
        [
            r#"the user "other" does not count: an earlier rule gave one"#,
            "earlier projects do not count: the last ones do",
        ]
    );
}

/// What rules of version 1.0 make of somebody in so many groups.
fn with_groups(count: usize, local: &Value) -> Result<model::mapping::Mapped, String> {
    let rule = json!({"local": local, "remote": [{"type": "u"}, {"type": "g"}]});
    let rules = Rules::parse(SchemaVersion::V1, &json!([rule])).expect("good rules");
    let mut said = Assertion::new();
    said.set("u", vec!["joe".to_owned()]);
    said.set("g", (0..count).map(|number| format!("g{number}")).collect());
    rules.evaluate(&said).result.map_err(|error| {
        // A login by such an assertion is refused, and nobody calls the mapping broken.
        assert!(error.blames_assertion(), "{error}");
        error.to_string()
    })
}

#[test]
fn a_login_brings_no_more_groups_than_the_bound() {
    let domain = json!({"id": "d"});
    let named = json!({"groups": "{1}", "domain": domain});
    // The names count as often as they come, and ids once each.
    let twice = json!([{"user": {"name": "{0}"}}, named, named]);
    let mapped = with_groups(10_000, &twice).expect("as many as may be");
    assert_eq!(mapped.group_names.len(), 20_000);
    let both = json!([
        {"user": {"name": "{0}"}}, named, {"group_ids": "{1}"},
        {"group": {"id": "one more"}}
    ]);
    with_groups(9_999, &both).expect("one below");
    for (count, local) in [(10_001, &twice), (10_000, &both)] {
        let error = with_groups(count, local).expect_err("too many");
        assert_eq!(error, "more than 20000 groups.");
    }
}

#[test]
fn a_login_brings_no_more_projects_and_roles_than_the_bounds() {
    let projects = |projects: usize, roles: usize| {
        let roles: Vec<_> = (0..roles)
            .map(|number| json!({"name": format!("r{number}")}))
            .collect();
        let projects: Vec<_> = (0..projects)
            .map(|number| json!({"name": format!("p{number}"), "roles": roles}))
            .collect();
        let local = json!([{"user": {"name": "{0}"}}, {"projects": projects}]);
        with_groups(1, &local).map(|mapped| mapped.projects.len())
    };
    assert_eq!(projects(1000, 10), Ok(1000));
    assert_eq!(projects(1001, 1), Err("more than 1000 projects.".into()));
    assert_eq!(projects(10, 1000), Ok(10));
    assert_eq!(
        projects(10, 1001),
        Err("more than 10000 roles on projects.".into())
    );
}
