//! Access rules over HTTP.

use serde_json::{Value, json};
use testkit::{Client, Scope, TestServer, home};

/// A member of the project `home`, and the path of what they have.
async fn person(server: &TestServer, name: &str) -> (Client, String) {
    let id = server.add_person(name, &[("member", Scope::Project)]).await;
    let client = server
        .log_in(name, Some(json!({"project": {"id": home()}})))
        .await;
    (client, format!("/v3/users/{id}"))
}

/// Creates a credential with access rules, and returns it.
async fn credential(client: &Client, user: &str, name: &str, rules: Value) -> Value {
    let document = json!({"application_credential": {"name": name, "access_rules": rules}});
    let answer = client
        .post(&format!("{user}/application_credentials"), document)
        .await;
    answer.expect(201)["application_credential"].clone()
}

/// Tries to create a credential that must be refused, and returns why.
async fn refusal(client: &Client, user: &str, rule: Value, status: u16) -> String {
    let document = json!({"application_credential": {"name": "bad", "access_rules": [rule]}});
    let answer = client
        .post(&format!("{user}/application_credentials"), document)
        .await;
    answer.message(status)
}

fn servers() -> Value {
    json!({"service": "compute", "path": "/v2.1/servers", "method": "GET"})
}

fn images() -> Value {
    json!({"service": "image", "path": "/v2/images/*", "method": "POST"})
}

#[tokio::test]
async fn an_access_rule_lives_longer_than_its_credential() {
    let server = TestServer::start().await;
    let (owner, user) = person(&server, "owner").await;
    let made = credential(&owner, &user, "bound", json!([servers()])).await;
    let id = made["access_rules"][0]["id"].as_str().unwrap();
    let path = format!("{user}/access_rules/{id}");
    insta::assert_compact_json_snapshot!(owner.get(&path).await.expect(200), @r#"
    {
      "access_rule": {
        "id": "00000000000000000000000000001002",
        "service": "compute",
        "path": "/v2.1/servers",
        "method": "GET",
        "links": {
          "self": "http://server/v3/access_rules/00000000000000000000000000001002"
        }
      }
    }
    "#);
    assert_eq!(owner.head(&path).await.status, 200);
    assert_eq!(
        owner.delete(&path).await.message(403),
        "May not delete access rule in use"
    );

    let credential = made["id"].as_str().unwrap();
    owner
        .delete(&format!("{user}/application_credentials/{credential}"))
        .await
        .expect(204);
    assert_eq!(owner.get(&path).await.status, 200);
    assert_eq!(owner.delete(&path).await.status, 204);
    let gone = format!("Could not find Access Rule: {id}.");
    assert_eq!(owner.get(&path).await.message(404), gone);
    assert_eq!(owner.delete(&path).await.message(404), gone);
    let made_apart = owner.post(&format!("{user}/access_rules"), servers()).await;
    assert_eq!(made_apart.status, 405);
}

#[tokio::test]
async fn a_rule_that_the_user_has_is_used_again() {
    let server = TestServer::start().await;
    let (owner, user) = person(&server, "owner").await;
    let first = credential(&owner, &user, "first", json!([servers()])).await;
    let rule = &first["access_rules"][0];
    let by_content = credential(&owner, &user, "a", json!([servers(), images(), servers()])).await;
    let rules = by_content["access_rules"].as_array().unwrap();
    assert_eq!(rules.len(), 2);
    assert!(rules.contains(rule));
    let by_id = credential(&owner, &user, "b", json!([{"id": rule["id"]}])).await;
    assert_eq!(by_id["access_rules"], json!([rule]));
    let listed = owner.get(&format!("{user}/access_rules")).await.expect(200);
    assert_eq!(listed["access_rules"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_rule_of_somebody_else_looks_like_a_missing_one() {
    let server = TestServer::start().await;
    let (alice, alices) = person(&server, "alice").await;
    let (bob, bobs) = person(&server, "bob").await;
    let made = credential(&alice, &alices, "bound", json!([servers()])).await;
    let id = made["access_rules"][0]["id"].as_str().unwrap();
    let foreign = refusal(&bob, &bobs, json!({ "id": id }), 404).await;
    assert_eq!(foreign, format!("Could not find Access Rule: {id}."));
    let missing = refusal(&bob, &bobs, json!({"id": "nothing"}), 404).await;
    assert_eq!(missing, foreign.replace(id, "nothing"));

    let own = credential(&bob, &bobs, "bound", json!([servers()])).await;
    assert_ne!(own["access_rules"][0]["id"], id);
    assert_eq!(
        bob.get(&format!("{bobs}/access_rules/{id}")).await.status,
        404
    );
}

#[tokio::test]
async fn a_rule_names_a_service_a_path_and_a_method() {
    let server = TestServer::start().await;
    let (owner, user) = person(&server, "owner").await;
    for missing in ["service", "path", "method"] {
        let mut rule = servers();
        rule.as_object_mut().unwrap().shift_remove(missing);
        let message = refusal(&owner, &user, rule, 400).await;
        let expected = format!("Expecting to find {missing} in access_rule. ");
        assert!(message.starts_with(&expected), "{message}");
    }
    let mut unknown = servers();
    unknown["more"] = json!(1);
    assert_eq!(
        refusal(&owner, &user, unknown, 400).await,
        "'more' is an invalid keyword argument for AccessRuleModel"
    );
    let mut relative = servers();
    relative["path"] = json!("x");
    assert_eq!(
        refusal(&owner, &user, relative, 400).await,
        "Invalid input for field/attribute path. Value: x. 'x' does not match '^/\\\\.*'"
    );
    let mut long = servers();
    long["path"] = json!(format!("/{}", "x".repeat(128)));
    let message = refusal(&owner, &user, long, 400).await;
    assert!(message.starts_with("String length exceeded. "), "{message}");
}

#[tokio::test]
async fn they_are_listed_by_what_they_allow() {
    let server = TestServer::start().await;
    let (owner, user) = person(&server, "owner").await;
    credential(&owner, &user, "bound", json!([servers(), images()])).await;
    for (query, services) in [
        ("", vec!["compute", "image"]),
        ("?service=image", vec!["image"]),
        ("?method=GET", vec!["compute"]),
        ("?path=/v2.1/servers", vec!["compute"]),
        ("?service=image&method=GET", vec![]),
        ("?unknown=1", vec!["compute", "image"]),
    ] {
        let listed = owner
            .get(&format!("{user}/access_rules{query}"))
            .await
            .expect(200);
        let rules = listed["access_rules"].as_array().unwrap();
        let mut found: Vec<_> = rules
            .iter()
            .map(|rule| rule["service"].as_str().unwrap())
            .collect();
        found.sort_unstable();
        assert_eq!(found, services, "{query}");
    }
}

#[tokio::test]
async fn the_user_and_the_system_see_them_and_no_project_administrator() {
    let server = TestServer::start().await;
    let (owner, user) = person(&server, "owner").await;
    let made = credential(&owner, &user, "bound", json!([servers()])).await;
    let all = format!("{user}/access_rules");
    let one = format!("{all}/{}", made["access_rules"][0]["id"].as_str().unwrap());
    for allowed in [owner, server.with_role("reader", Scope::System).await] {
        assert_eq!(allowed.get(&all).await.status, 200);
        assert_eq!(allowed.get(&one).await.status, 200);
    }
    for denied in [server.admin().await, server.stranger().await] {
        for (answer, rule) in [
            (denied.get(&all).await, "list_access_rules"),
            (denied.get(&one).await, "get_access_rule"),
            (denied.delete(&one).await, "delete_access_rule"),
        ] {
            assert_eq!(
                answer.message(403),
                format!("You are not authorized to perform the requested action: identity:{rule}.")
            );
        }
    }
    assert_eq!(server.nobody().get(&all).await.status, 401);
    let missing = server
        .system_admin()
        .await
        .get("/v3/users/nobody/access_rules")
        .await;
    assert_eq!(missing.expect(200)["access_rules"], json!([]));
    let in_use = server.system_admin().await.delete(&one).await;
    assert_eq!(in_use.message(403), "May not delete access rule in use");
}
