//! Readers of foreign input take time in proportion to its length, whatever it says.

use std::path::Path;

use auth::methods::login_request::LoginRequest;
use config::{Config, ini};
use http::HeaderMap;
use model::mapping::{Rules, SchemaVersion};
use model::{Assertion, Method, Timestamp};
use secrets::fernet::{Key, Keys};
use secrets::tokens::payload::{MethodBits, PayloadCodec};
use serde_json::{Value, json};
use testkit::growth::assert_linear;
use web::request::{Query, read_json};
use web::schemas::Schemas;

/// `name0`, `name1`, ...
fn names(name: &str, size: usize) -> Vec<String> {
    (0..size).map(|number| format!("{name}{number}")).collect()
}

#[test]
fn a_login_by_many_methods() {
    let body = |size| json!({"identity": {"methods": names("m", size)}});
    assert_linear("methods", 2000, body, |auth| {
        assert!(LoginRequest::parse(auth).is_err());
    });
}

#[test]
fn bodies_of_all_kinds() {
    type Make = fn(usize) -> String;
    let kinds: [(&str, Make); 6] = [
        ("members", |size| {
            let members = names("m", size).into_iter();
            json!(
                members
                    .map(|it| (it, json!(1)))
                    .collect::<serde_json::Map<_, _>>()
            )
            .to_string()
        }),
        ("one name", |size| {
            format!("{{{}\"a\": 1}}", "\"a\": 1, ".repeat(size))
        }),
        ("lists", |size| {
            format!("{{\"a\": [{}[]]}}", "[], ".repeat(size))
        }),
        ("digits", |size| {
            format!("{{\"a\": {}.0}}", "9".repeat(size))
        }),
        ("escapes", |size| {
            format!("{{\"a\": \"{}\"}}", r#"\\\""#.repeat(size))
        }),
        ("open", |size| format!("{{\"a\": {}", "[".repeat(size))),
    ];
    for (kind, make) in kinds {
        assert_linear(kind, 4000, make, |text| {
            let _ = read_json(&HeaderMap::new(), text.as_bytes());
        });
    }
}

/// Documents that break a schema in a way that takes many words to tell.
fn wrong(size: usize) -> Vec<Value> {
    let long = "x".repeat(size);
    let mut deep = json!([1]);
    for _ in 0..100 {
        deep = json!([deep, "y".repeat(size / 100)]);
    }
    let members = names("m", size / 10)
        .into_iter()
        .map(|it| (it, json!({"name": 1})));
    vec![
        // Each line of the list stands as far to the right as its name is long.
        json!({ long.clone(): vec![1; size / 10] }),
        json!({ "a": vec![json!({"b": 1}); size / 10] }),
        deep,
        Value::Object(members.collect()),
        json!({ "a": format!("{} ", "word ".repeat(size / 5)) }),
        json!(names("t", size / 10)),
        json!(long),
    ]
}

/// The schemas of which errors show all of a document.
const SHOWN_WHOLE: [&str; 3] = [
    "auth.token_issue",
    "identity.password_change",
    "policy.policy_create",
];

#[test]
fn bodies_that_break_a_schema() {
    let schemas = Schemas::load();
    let names: Vec<String> = schemas.names().map(str::to_owned).collect();
    for name in names {
        let schema = schemas.find(&name).unwrap().clone();
        let documents = |size| {
            let mut documents = Vec::new();
            for part in wrong(size) {
                // At the top, and as each of the attributes that the schema knows.
                documents.push(part.clone());
                let mut whole = serde_json::Map::new();
                for (attribute, known) in properties(&schema) {
                    whole.insert(attribute.clone(), part.clone());
                    for (inner, known) in properties(known) {
                        let inside = json!({ attribute: { inner: part } });
                        documents.push(inside);
                        if properties(known).next().is_some() {
                            documents.push(json!({ attribute: { inner: [part, part] } }));
                        }
                    }
                }
                documents.push(Value::Object(whole));
            }
            documents
        };
        // Where a whole document is shown it is long; elsewhere only what is wrong is.
        let size = if SHOWN_WHOLE.contains(&&*name) {
            500
        } else {
            50
        };
        assert_linear(&name, size, documents, |documents| {
            for document in documents {
                let _ = schemas.validate(&name, document);
            }
        });
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

#[test]
fn queries_that_break_a_schema() {
    let schemas = Schemas::load();
    let query = |size| format!("enabled=x&{}", names("a=", size).join("&"));
    let name = "resource.domain_index_request_query";
    assert_linear("a query", 1000, query, |query| {
        let _ = schemas.validate_query(name, query);
    });
}

#[test]
fn mappings_that_break_their_schema_everywhere() {
    let schemas = Schemas::load();
    for version in ["1.0", "2.0", "3.0"] {
        let wrong_rules = |size| json!({"rules": vec![json!([]); size], "schema_version": version});
        let name = format!("federation.mapping_{version}");
        assert_linear(&name, 500, wrong_rules, |mapping| {
            assert!(schemas.validate(&name, mapping).is_err());
        });
    }
}

#[test]
fn assertions_of_many_attributes() {
    let attributes = |size| names("a", size);
    assert_linear("attributes", 1000, attributes, |names| {
        let said = Assertion::of_variables(names.iter().map(|name| (name.as_str(), "x")));
        let mut said = said.in_any_case();
        for name in names {
            assert_eq!(said.values(&name.to_uppercase()), ["x"]);
            said.set(name.to_uppercase(), Vec::new());
        }
    });
}

/// Rules with `size` of whatever can be listed, for an assertion with as many values.
fn rules_of_all_kinds(size: usize) -> Vec<(Rules, Assertion)> {
    let listed = names("g", size);
    let entries = |entry: fn(String) -> Value| listed.iter().cloned().map(entry);
    let remote = |condition: Value| json!([{"type": "u"}, condition]);
    let user = json!({"user": {"name": "{0}"}, "groups": "{1}", "domain": {"id": "d"}});
    let projects = listed.iter().map(|name| json!({"name": name, "roles": []}));
    let projects = Value::from_iter(projects.take(900)).to_string();
    let rules = [
        json!({"local": [user], "remote": remote(json!({"type": "g"}))}),
        json!({"local": [user], "remote": remote(json!({"type": "g", "whitelist": listed}))}),
        json!({"local": [user], "remote": remote(json!({"type": "g", "blacklist": listed}))}),
        json!({"local": [user], "remote": remote(json!({"type": "g", "not_any_of": ["x"]}))}),
        json!({
            "local": Value::from_iter(entries(|name| json!({"group": {"id": name}}))),
            "remote": [{"type": "u"}],
        }),
        json!({
            "local": Value::from_iter(entries(
                |name| json!({"group": {"name": name, "domain": {"id": "d"}}}),
            )),
            "remote": [{"type": "u"}],
        }),
        json!({"local": [{"group_ids": "{1}"}], "remote": remote(json!({"type": "g"}))}),
        json!({
            "local": [{"projects_json": "{1}", "domain": {"id": "d"}}],
            "remote": remote(json!({"type": "p"})),
        }),
        // A long text in many places: not even what it comes to may be long.
        json!({
            "local": [{"user": {"name": "{1}".repeat(size)}}],
            "remote": remote(json!({"type": "l"})),
        }),
        json!({
            "local": [{"user": {"name": "{1[0]}".repeat(size)}}],
            "remote": remote(json!({"type": "g"})),
        }),
    ];
    let mut said = Assertion::new();
    said.set("u", vec!["joe".to_owned()]);
    said.set("g", listed.clone());
    said.set("p", vec![projects]);
    said.set("l", vec!["l".repeat(40 * size)]);
    let parse = |rule: Value| Rules::parse(SchemaVersion::V3, &json!([rule])).unwrap();
    rules
        .into_iter()
        .map(|rule| (parse(rule), said.clone()))
        .collect()
}

#[test]
fn mappings_of_all_kinds() {
    let kinds = rules_of_all_kinds(1).len();
    for kind in 0..kinds {
        let input = |size| rules_of_all_kinds(size).swap_remove(kind);
        assert_linear(&format!("rule {kind}"), 400, input, |(rules, said)| {
            let _ = rules.evaluate(said);
        });
    }
}

#[test]
fn configuration_files() {
    type Make = fn(usize) -> String;
    let kinds: [(&str, Make); 5] = [
        ("sections", |size| {
            names("[s", size).join("]\na = 1\n") + "]\n"
        }),
        ("options", |size| {
            format!("[DEFAULT]\n{} = 1\n", names("o", size).join(" = 1\n"))
        }),
        ("one option", |size| {
            "[token]\nexpiration = 1\n".repeat(size)
        }),
        ("lines of one value", |size| {
            // Many: to copy the lines before each is fast.
            format!("[DEFAULT]\na = b{}", "\n  c".repeat(10 * size))
        }),
        ("a list", |size| {
            format!("[auth]\nmethods = {}", names("m", size).join(","))
        }),
    ];
    for (kind, make) in kinds {
        assert_linear(kind, 2000, make, |text| {
            let _ = Config::parse(Path::new("keystone.conf"), text);
            let _ = ini::parse(text);
        });
    }
}

#[test]
fn tokens_and_what_is_in_them() {
    let key = Key::parse("cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=").unwrap();
    let keys = Keys::new([key]).unwrap();
    assert_linear(
        "a token",
        20_000,
        |size| "gAAAAA".repeat(size),
        |text| {
            assert!(keys.decrypt(text).is_err());
        },
    );
    let codec = PayloadCodec::new(MethodBits::new(vec![Method::Password]), "default".into());
    let groups = |size: usize| {
        // An unscoped token of a federated login: version 4, a user, methods, a list of groups, a
        // provider, a protocol, an end, audit ids.
        let mut payload = vec![0x98, 4, 0x92, 0xc3, 0xc4, 16];
        payload.extend([7; 16]);
        payload.extend([1, 0xdd]);
        payload.extend(u32::try_from(size).unwrap().to_be_bytes());
        for number in 0..size {
            payload.extend([0x92, 0xc3, 0xc4, 16]);
            payload.extend((number as u128).to_be_bytes());
        }
        payload.extend([0x92, 0xc3, 0xc4, 16]);
        payload.extend([7; 16]);
        payload.extend(b"\xa6mapped\xcb");
        payload.extend([0; 8]);
        payload.extend([0x91, 0xc4, 16]);
        payload.extend([7; 16]);
        payload
    };
    assert_linear("groups of a token", 2000, groups, |payload| {
        let read = codec.read(payload, Timestamp::UNIX_EPOCH);
        assert!(read.is_ok(), "{read:?}");
    });
}

#[test]
fn policies() {
    type Make = fn(usize) -> String;
    let kinds: [(&str, Make); 6] = [
        ("alternatives", |size| names("role:r", size).join(" or ")),
        ("conditions", |size| names("role:r", size).join(" and ")),
        ("parentheses", |size| {
            format!("{}@{}", "(".repeat(size), ")".repeat(size))
        }),
        ("negations", |size| format!("{}@", "not ".repeat(size))),
        ("a word", |size| format!("role:{}", "r".repeat(size))),
        ("places", |size| format!("x:{}", "%(a)s".repeat(size))),
    ];
    let defaults = ::policy::Rules::new(
        [::policy::Rule::new("a", "!")],
        ::policy::Options::default(),
    );
    let target = json!({"a": "b"});
    let credentials = json!({"roles": ["r"], "x": "y"});
    for (kind, make) in kinds {
        let text = |size| json!({"a": make(size)}).to_string();
        assert_linear(kind, 500, text, |text| {
            if let Ok(rules) = defaults.with_overrides(text) {
                let _ = rules.check("a", &credentials, &target);
            }
        });
    }
    let many = |size| {
        let rules = names("rule", size)
            .into_iter()
            .map(|name| (name, json!("rule:a")));
        Value::Object(rules.collect()).to_string()
    };
    assert_linear("rules", 200, many, |text| {
        assert!(defaults.with_overrides(text).is_ok());
    });
}

#[test]
fn tokens_of_providers_and_their_keys() {
    let token = |size: usize| format!("{}.{}.x", "e30".repeat(size), "e30".repeat(size));
    assert_linear("a token", 5000, token, |token| {
        assert!(!federation::oidc::is_signed_by(
            token,
            "{}",
            Timestamp::UNIX_EPOCH
        ));
    });
    let keys = |size| {
        let keys = names("k", size).into_iter().map(|id| {
            json!({"kty": "OKP", "crv": "Ed25519", "kid": id,
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
        });
        json!({"keys": Value::from_iter(keys)}).to_string()
    };
    // {"alg":"EdDSA","kid":"k1"}
    let token = "eyJhbGciOiJFZERTQSIsImtpZCI6ImsxIn0.e30.x";
    assert_linear("keys", 200, keys, |keys| {
        assert!(!federation::oidc::is_signed_by(
            token,
            keys,
            Timestamp::UNIX_EPOCH
        ));
    });
}

#[test]
fn a_query_costs_in_proportion_to_its_length() {
    let raw = |size| {
        let pairs = (0..size).map(|number| format!("{number:x}=1&name__contains=a"));
        pairs.collect::<Vec<_>>().join("&")
    };
    assert_linear("a query", 500, raw, |raw| {
        let query = Query::parse(raw);
        assert!(query.get("limit").is_none() && query.text("name").is_some());
        assert!(query.behind("last", "1").ends_with("&marker=last&limit=1"));
    });
}
