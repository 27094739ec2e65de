//! Credentials over HTTP.

use config::Limit;
use serde_json::{Value, json};
use testkit::{Answer, Client, Scope, TestServer, home};

const PATH: &str = "/v3/credentials";

/// A member of the project `home`, and their id.
async fn owner(server: &TestServer) -> (Client, String) {
    let id = server
        .add_person("owner", &[("member", Scope::Project)])
        .await;
    let scope = json!({"project": {"id": home()}});
    (server.log_in("owner", Some(scope)).await, id.to_string())
}

fn certificate(user: &str) -> Value {
    json!({"type": "cert", "blob": "Größe", "user_id": user})
}

fn keys(user: &str) -> Value {
    let blob = r#"{"access": "abc", "secret": "def"}"#;
    json!({"type": "ec2", "blob": blob, "user_id": user, "project_id": home()})
}

async fn create(client: &Client, attributes: Value) -> Answer {
    client.post(PATH, json!({ "credential": attributes })).await
}

/// Creates one that must succeed, and returns its path.
async fn created(client: &Client, attributes: Value) -> String {
    let created = create(client, attributes).await.expect(201);
    format!("{PATH}/{}", created["credential"]["id"].as_str().unwrap())
}

async fn change(client: &Client, path: &str, attributes: Value) -> Answer {
    client
        .patch(path, json!({ "credential": attributes }))
        .await
}

/// The blobs that somebody sees.
async fn blobs(client: &Client, query: &str) -> Vec<String> {
    let listed = client.get(&format!("{PATH}{query}")).await.expect(200);
    let credentials = listed["credentials"].as_array().unwrap();
    let mut blobs: Vec<_> = credentials
        .iter()
        .map(|credential| credential["blob"].as_str().unwrap().to_owned())
        .collect();
    blobs.sort_unstable();
    blobs
}

#[tokio::test]
async fn a_credential_lives() {
    let server = TestServer::start().await;
    let (owner, user) = owner(&server).await;
    let mut attributes = certificate(&user);
    attributes["colour"] = json!("red");
    let created = create(&owner, attributes).await;
    insta::assert_compact_json_snapshot!(created.expect(201), @r#"
    {
      "credential": {
        "colour": "red",
        "id": "00000000000000000000000000001001",
        "user_id": "d9a1e755268e55edbedf3007f15cf3de",
        "project_id": null,
        "blob": "Größe",
        "type": "cert",
        "links": {
          "self": "http://server/v3/credentials/00000000000000000000000000001001"
        }
      }
    }
    "#);
    let id = created.expect(201)["credential"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("{PATH}/{id}");
    assert_eq!(owner.get(&path).await.text, created.text);
    assert_eq!(owner.head(&path).await.status, 200);

    let changed = change(&owner, &path, json!({"blob": "changed"}))
        .await
        .expect(200);
    assert_eq!(changed["credential"]["blob"], "changed");
    assert_eq!(changed["credential"]["colour"], "red");
    assert_eq!(owner.get(&path).await.expect(200), changed);

    owner.delete(&path).await.expect(204);
    let admin = server.admin().await;
    let gone = format!("Could not find credential: {id}.");
    assert_eq!(admin.get(&path).await.message(404), gone);
    assert_eq!(admin.delete(&path).await.message(404), gone);
    assert_eq!(
        change(&admin, &path, json!({"blob": "x"}))
            .await
            .message(404),
        gone
    );
}

#[tokio::test]
async fn a_pair_of_keys_has_an_id_of_its_own() {
    let server = TestServer::start().await;
    let (owner, user) = owner(&server).await;
    let path = created(&owner, keys(&user)).await;
    // The SHA-256 of the access key.
    assert_eq!(
        path,
        format!("{PATH}/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    );
    let again = create(&owner, keys(&user)).await;
    assert!(
        again.message(409).contains("Duplicate entry"),
        "{}",
        again.text
    );
    let mut without_project = keys(&user);
    without_project
        .as_object_mut()
        .unwrap()
        .shift_remove("project_id");
    assert_eq!(create(&owner, without_project).await.status, 400);
    for blob in [r#"{"secret": "def"}"#, "no JSON", "[]"] {
        let mut bad = keys(&user);
        bad["blob"] = json!(blob);
        assert_eq!(create(&owner, bad).await.status, 400, "{blob}");
    }
}

#[tokio::test]
async fn by_whose_authority_keys_act_cannot_change() {
    let server = TestServer::start().await;
    let (owner, user) = owner(&server).await;
    let path = created(&owner, keys(&user)).await;
    let secret = r#"{"access": "abc", "secret": "changed"}"#;
    change(&owner, &path, json!({"blob": secret}))
        .await
        .expect(200);
    for name in ["trust_id", "app_cred_id", "access_token_id", "access_id"] {
        let blob = json!({"access": "abc", "secret": "def", name: "other"}).to_string();
        assert_eq!(
            change(&owner, &path, json!({ "blob": blob }))
                .await
                .message(400),
            format!("{name} can not be updated for credential")
        );
    }
}

#[tokio::test]
async fn credentials_are_listed_by_user_and_type() {
    let server = TestServer::start().await;
    let (owner, user) = owner(&server).await;
    let admin = server.admin().await;
    created(&owner, certificate(&user)).await;
    created(
        &owner,
        json!({"type": "totp", "blob": "owner's", "user_id": user}),
    )
    .await;
    created(
        &admin,
        json!({"type": "totp", "blob": "other", "user_id": "other"}),
    )
    .await;
    for (query, found) in [
        (String::new(), vec!["Größe", "other", "owner's"]),
        (format!("?user_id={user}"), vec!["Größe", "owner's"]),
        ("?type=totp".into(), vec!["other", "owner's"]),
        (format!("?user_id={user}&type=totp"), vec!["owner's"]),
        ("?type=ec2".into(), vec![]),
        ("?unknown=1".into(), vec!["Größe", "other", "owner's"]),
    ] {
        assert_eq!(blobs(&admin, &query).await, found, "{query}");
    }
    // Others see what is theirs, whatever they ask for.
    assert_eq!(blobs(&owner, "").await, ["Größe", "owner's"]);
    assert!(blobs(&owner, "?user_id=other").await.is_empty());
    assert!(blobs(&server.stranger().await, "").await.is_empty());
}

#[tokio::test]
async fn documents_that_make_no_sense_are_refused() {
    let server = TestServer::start().await;
    let (owner, user) = owner(&server).await;
    let path = created(&owner, certificate(&user)).await;
    for missing in ["type", "blob", "user_id"] {
        let mut attributes = certificate(&user);
        attributes.as_object_mut().unwrap().shift_remove(missing);
        assert_eq!(create(&owner, attributes).await.status, 400, "{missing}");
    }
    for (name, value) in [
        ("type", json!(7)),
        ("blob", json!(7)),
        ("blob", json!({"a": 1})),
        ("project_id", json!(7)),
    ] {
        let mut attributes = certificate(&user);
        attributes[name] = value.clone();
        assert_eq!(
            create(&owner, attributes).await.status,
            400,
            "{name} {value}"
        );
    }
    for attributes in [
        json!({}),
        json!({"type": "other"}),
        json!({"blob": "x", "project_id": home()}),
        json!({"blob": 7}),
    ] {
        assert_eq!(
            change(&owner, &path, attributes.clone()).await.status,
            400,
            "{attributes}"
        );
    }
}

#[tokio::test]
async fn a_user_can_have_so_many_and_no_more() {
    let server =
        TestServer::start_with(|config| config.credential.user_limit = Limit::AtMost(1)).await;
    let (owner, user) = owner(&server).await;
    created(&owner, certificate(&user)).await;
    assert_eq!(
        create(&owner, certificate(&user)).await.message(403),
        "Unable to create additional credentials, maximum of 1 already exceeded for user."
    );
}

#[tokio::test]
async fn the_user_administrators_and_readers_of_the_system_see_them() {
    let server = TestServer::start().await;
    let (owner, user) = owner(&server).await;
    let path = created(&owner, certificate(&user)).await;
    for allowed in [
        owner,
        server.admin().await,
        server.system_admin().await,
        server.with_role("admin", Scope::Domain).await,
        server.with_role("reader", Scope::System).await,
    ] {
        assert_eq!(allowed.get(&path).await.status, 200);
        assert_eq!(blobs(&allowed, "").await, ["Größe"]);
    }
    for denied in [
        server.with_role("reader", Scope::Domain).await,
        server.with_role("manager", Scope::Project).await,
        server.with_role("service", Scope::Project).await,
        server.stranger().await,
    ] {
        let hidden = denied.get(&path).await;
        assert_eq!(
            hidden.message(403),
            "You are not authorized to perform the requested action: identity:get_credential."
        );
        let missing = denied.get(&format!("{PATH}/nothing")).await;
        assert_eq!(missing.expect(403), hidden.expect(403));
        assert!(blobs(&denied, "").await.is_empty());
    }
    assert_eq!(server.nobody().get(&path).await.status, 401);
    assert_eq!(server.nobody().get(PATH).await.status, 401);
}

#[tokio::test]
async fn the_user_and_administrators_change_them() {
    let server = TestServer::start().await;
    let (owner, user) = owner(&server).await;
    for allowed in [
        owner.clone(),
        server.admin().await,
        server.system_admin().await,
        server.with_role("admin", Scope::Domain).await,
    ] {
        let path = created(&allowed, certificate(&user)).await;
        change(&allowed, &path, json!({"blob": "x"}))
            .await
            .expect(200);
        allowed.delete(&path).await.expect(204);
    }
    let path = created(&owner, certificate(&user)).await;
    for denied in [
        server.with_role("reader", Scope::System).await,
        server.with_role("manager", Scope::Domain).await,
        server.with_role("manager", Scope::Project).await,
        server.stranger().await,
    ] {
        for (answer, rule) in [
            (
                create(&denied, certificate(&user)).await,
                "create_credential",
            ),
            (
                change(&denied, &path, json!({"blob": "x"})).await,
                "update_credential",
            ),
            (denied.delete(&path).await, "delete_credential"),
        ] {
            assert_eq!(
                answer.message(403),
                format!("You are not authorized to perform the requested action: identity:{rule}.")
            );
        }
    }
    assert_eq!(
        create(&server.nobody(), certificate(&user)).await.status,
        401
    );
}

/// Who acts by an application credential of somebody, and its id.
async fn robot(server: &TestServer, owner: &Client, user: &str) -> (Client, String) {
    let made = owner
        .post(
            &format!("/v3/users/{user}/application_credentials"),
            json!({"application_credential": {"name": "robot", "secret": "right"}}),
        )
        .await
        .expect(201);
    let id = &made["application_credential"]["id"];
    let proof = json!({"id": id, "secret": "right"});
    let identity = json!({"methods": ["application_credential"], "application_credential": proof});
    let obtained = server
        .nobody()
        .post("/v3/auth/tokens", json!({"auth": {"identity": identity}}))
        .await;
    obtained.expect(201);
    let robot = server
        .nobody()
        .with_token(obtained.header("X-Subject-Token"));
    (robot, id.as_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_operator_can_let_delegated_administrators_reach_ec2_keys() {
    let server = TestServer::start_with(|config| {
        let compliance = &mut config.security_compliance;
        compliance.allow_insecure_admin_trust_cross_project_credentials_access = true;
    })
    .await;
    let boss = server
        .add_person("boss", &[("admin", Scope::Project)])
        .await;
    let scope = json!({"project": {"id": home()}});
    let boss_client = server.log_in("boss", Some(scope)).await;
    let (of_boss, delegation) = robot(&server, &boss_client, boss.as_str()).await;
    let (owner, user) = owner(&server).await;
    let (of_owner, _) = robot(&server, &owner, &user).await;
    let secret = created(&owner, certificate(&user)).await;

    let mut attributes = keys(&user);
    attributes["type"] = "EC2".into();
    let path = created(&of_boss, attributes).await;
    let shown = of_boss.get(&path).await.expect(200);
    let blob: Value = serde_json::from_str(shown["credential"]["blob"].as_str().unwrap()).unwrap();
    assert_eq!(
        blob,
        json!({"access": "abc", "secret": "def", "app_cred_id": delegation})
    );
    assert_eq!(blobs(&of_boss, "").await.len(), 1, "the keys alone");
    let body = json!({ "blob": blob.to_string() });
    change(&of_boss, &path, body).await.expect(200);

    of_boss.get(&secret).await.expect(403);
    create(&of_boss, certificate(&user)).await.expect(403);
    of_owner.get(&path).await.expect(403);
    of_owner.delete(&path).await.expect(403);
    of_boss.delete(&path).await.expect(204);
    of_boss.get(&path).await.expect(404);
}

#[tokio::test]
async fn a_token_that_was_delegated_does_not_reach_them() {
    let server = TestServer::start().await;
    let (owner, user) = owner(&server).await;
    let path = created(&owner, certificate(&user)).await;
    let (robot, _) = robot(&server, &owner, &user).await;
    for answer in [
        create(&robot, certificate(&user)).await,
        robot.get(&path).await,
        change(&robot, &path, json!({"blob": "x"})).await,
        robot.delete(&path).await,
    ] {
        assert_eq!(
            answer.message(403),
            "You are not authorized to perform the requested action: Delegated tokens cannot \
             access credentials directly."
        );
    }
    assert!(blobs(&robot, "").await.is_empty());
}
