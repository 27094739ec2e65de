//! Mappings over HTTP.

use config::MappingVersion;
use serde_json::{Value, json};
use testkit::{Scope, TestServer};

const MAPPINGS: &str = "/v3/OS-FEDERATION/mappings";

#[tokio::test]
async fn a_mapping_lives() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let path = format!("{MAPPINGS}/map");
    let first = rules("Größe {0}");
    let body = json!({"mapping": {"rules": first, "schema_version": "2.0"}});
    let created = admin.put(&path, body).await.expect(201);
    assert_eq!(
        created["mapping"],
        json!({
            "id": "map",
            "rules": first,
            "schema_version": "2.0",
            "links": {"self": "http://server/v3/OS-FEDERATION/mappings/map"},
        })
    );
    assert_eq!(admin.get(&path).await.expect(200), created);
    let listed = admin.get(MAPPINGS).await.expect(200);
    assert_eq!(listed["mappings"], json!([created["mapping"]]));
    // A change that names no version takes the default one, whatever was there.
    let change = json!({"mapping": {"rules": rules("{0}")}});
    let changed = admin.patch(&path, change).await.expect(200);
    assert_eq!(changed["mapping"]["rules"], rules("{0}"));
    assert_eq!(changed["mapping"]["schema_version"], "1.0");
    assert_eq!(admin.get(&path).await.expect(200), changed);
    admin.delete(&path).await.expect(204);
    let message = admin.get(&path).await.message(404);
    assert_eq!(message, "Could not find mapping: map.");
    admin.delete(&path).await.expect(404);
}

#[tokio::test]
async fn the_default_version_is_configured() {
    let server = TestServer::start_with(|config| {
        config.federation.attribute_mapping_default_schema_version = MappingVersion::V3;
    })
    .await;
    let admin = server.admin().await;
    let path = format!("{MAPPINGS}/map");
    let body = json!({"mapping": {"rules": rules("{0}"), "schema_version": ""}});
    let created = admin.put(&path, body).await.expect(201);
    assert_eq!(created["mapping"]["schema_version"], "3.0");
}

#[tokio::test]
async fn what_a_mapping_says_must_fit() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let path = format!("{MAPPINGS}/map");
    let put = async |mapping: Value| admin.put(&path, json!({ "mapping": mapping })).await;
    let answer = put(json!({"rules": []})).await;
    assert_eq!(answer.message(400), "[] should be non-empty\n");
    let answer = put(json!({})).await;
    assert_eq!(answer.message(400), "'rules' is a required property\n");
    admin.put_empty(&path).await.expect(400);
    put(json!("text")).await.expect(400);
    let answer = put(json!({"rules": rules("{0}"), "schema_version": "4.0"})).await;
    assert!(answer.message(400).contains("schema version 4.0"));
    put(json!({"rules": rules("{0}"), "schema_version": 2.0}))
        .await
        .expect(400);
    put(json!({"rules": rules("{0}"), "schema-version": "2.0"}))
        .await
        .expect(201);
    let answer = put(json!({"rules": rules("{0}")})).await;
    assert_eq!(
        answer.message(409),
        "Conflict occurred attempting to store mapping - Duplicate entry."
    );
    let long = format!("{MAPPINGS}/{}", "a".repeat(65));
    let body = json!({"mapping": {"rules": rules("{0}")}});
    admin.put(&long, body.clone()).await.expect(400);
    admin
        .patch(&format!("{MAPPINGS}/nowhere"), body)
        .await
        .expect(404);
}

#[tokio::test]
async fn an_evaluation_gives_the_result_and_tells_why() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let rules = json!([
        {
            "local": [{"user": {"name": "{0}"}}, {"group_ids": "{1}"}],
            "remote": [
                {"type": "NAME"},
                {"type": "GROUPS", "whitelist": ["crew", "cooks"]},
                {"type": "KIND", "not_any_of": ["guest"]},
            ],
        },
        {
            "local": [{"group": {"id": "guests"}}],
            "remote": [{"type": "KIND", "any_one_of": ["^gu"], "regex": true}],
        },
    ]);
    let body = json!({"mapping": {"rules": rules}});
    admin
        .put(&format!("{MAPPINGS}/map"), body)
        .await
        .expect(201);
    let assertion = json!({"NAME": "joe", "GROUPS": "crew;none;cooks", "KIND": ["staff"]});
    let answer = admin
        .post(
            &format!("{MAPPINGS}/map/evaluate"),
            json!({ "assertion": assertion }),
        )
        .await
        .expect(200);
    assert_eq!(
        answer["result"],
        json!({
            "user": {"name": "joe", "type": "ephemeral"},
            "group_ids": ["crew", "cooks"],
            "group_names": [],
            "projects": [],
        })
    );
    assert_eq!(answer["error"], Value::Null);
    let [first, second] = &answer["explanation"]["rules"].as_array().unwrap()[..] else {
        panic!("{answer}");
    };
    assert_eq!(
        first["conditions"][1],
        json!({
            "attribute": "GROUPS",
            "test": "whitelist",
            "listed": ["crew", "cooks"],
            "regex": false,
            "values": ["crew", "none", "cooks"],
            "matched": ["crew", "cooks"],
            "held": true,
            "counted": true,
            "place": 1,
            "passed": ["crew", "cooks"],
        })
    );
    assert_eq!(
        first["gave"],
        json!([{"user": {"name": "joe"}}, {"group_ids": "['crew', 'cooks']"}])
    );
    assert_eq!(second["applied"], false);
    assert_eq!(
        second["conditions"][0]["reason"],
        "no pattern is found in any of its values"
    );
    // Drafts give the same, before they are stored.
    let draft = json!({"rules": rules, "schema_version": "1.0", "assertion": assertion});
    let drafted = admin.post(&format!("{MAPPINGS}/evaluate"), draft).await;
    assert_eq!(drafted.expect(200), answer);
}

#[tokio::test]
async fn an_evaluation_that_comes_to_nothing_says_so() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let evaluate = async |rules: Value, assertion: Value| {
        let body = json!({"rules": rules, "schema_version": "2.0", "assertion": assertion});
        admin.post(&format!("{MAPPINGS}/evaluate"), body).await
    };
    let nothing = evaluate(rules("{0}"), json!({})).await.expect(200);
    assert_eq!(nothing["result"], Value::Null);
    let error = nothing["error"].as_str().unwrap();
    assert!(error.starts_with("Could not map any federated user properties"));
    let wrong = evaluate(rules("{1}"), json!({"NAME": "joe"}))
        .await
        .expect(200);
    assert_eq!(
        wrong["error"],
        r#""{1}" asks for match 1, and the conditions of its rule give 1."#
    );
    assert_eq!(wrong["explanation"]["rules"][0]["error"], wrong["error"]);

    evaluate(json!([]), json!({})).await.expect(400);
    evaluate(rules("{0}"), json!({"NAME": 7})).await.expect(400);
    evaluate(rules("{0}"), json!({"NAME": ["a", null]}))
        .await
        .expect(400);
    evaluate(rules("{0}"), json!("NAME")).await.expect(400);
    let path = format!("{MAPPINGS}/nowhere/evaluate");
    admin
        .post(&path, json!({"assertion": {}}))
        .await
        .expect(404);
}

#[tokio::test]
async fn administrators_manage_mappings_and_readers_of_the_system_see_them() {
    let server = TestServer::start().await;
    let admin = server.system_admin().await;
    let path = format!("{MAPPINGS}/map");
    let body = json!({"mapping": {"rules": rules("{0}")}});
    admin.put(&path, body.clone()).await.expect(201);
    let trial = json!({"assertion": {"NAME": "joe"}, "rules": rules("{0}")});
    let stored = format!("{path}/evaluate");
    let draft = format!("{MAPPINGS}/evaluate");
    admin.post(&stored, trial.clone()).await.expect(200);
    let reader = server.with_role("reader", Scope::System).await;
    reader.get(&path).await.expect(200);
    reader.get(MAPPINGS).await.expect(200);
    reader.put(&path, body.clone()).await.expect(403);
    reader.patch(&path, body.clone()).await.expect(403);
    reader.delete(&path).await.expect(403);
    reader.post(&stored, trial.clone()).await.expect(403);
    reader.post(&draft, trial.clone()).await.expect(403);
    let member = server.with_role("member", Scope::Project).await;
    member.get(&path).await.expect(403);
    member.get(MAPPINGS).await.expect(403);
    server.nobody().get(&path).await.expect(401);
    server
        .nobody()
        .post(&draft, trial.clone())
        .await
        .expect(401);
    server.set_policy("\"identity:evaluate_mapping\": \"role:reader\"\n");
    reader.post(&draft, trial).await.expect(200);
}

fn rules(name: &str) -> Value {
    json!([{"local": [{"user": {"name": name}}], "remote": [{"type": "NAME"}]}])
}
