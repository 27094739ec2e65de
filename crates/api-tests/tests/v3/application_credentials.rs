//! Application credentials over HTTP, and the tokens obtained with them.

use chrono::TimeDelta;
use config::Limit;
use model::clock::Clock as _;
use model::role::Role;
use model::token::{AuditId, AuditIds, TokenKind};
use model::{Method, Scope as TokenScope, Token};
use serde_json::{Value, json};
use testkit::{Answer, Client, Scope, TestServer, home};

const REFUSED: &str = "The request you have made requires authentication.";

/// A member of the project `home`, and the path of their application credentials.
async fn owner(server: &TestServer) -> (Client, String) {
    person(server, "owner", "member").await
}

async fn person(server: &TestServer, name: &str, role: &str) -> (Client, String) {
    let id = server.add_person(name, &[(role, Scope::Project)]).await;
    let client = server
        .log_in(name, Some(json!({"project": {"id": home()}})))
        .await;
    (client, format!("/v3/users/{id}/application_credentials"))
}

async fn create(client: &Client, path: &str, document: Value) -> Answer {
    client
        .post(path, json!({ "application_credential": document }))
        .await
}

/// Creates one that must succeed.
async fn created(client: &Client, path: &str, document: Value) -> Value {
    create(client, path, document).await.expect(201)["application_credential"].clone()
}

fn text(document: &Value, name: &str) -> String {
    document[name].as_str().unwrap().to_owned()
}

fn one(path: &str, credential: &Value) -> String {
    format!("{path}/{}", text(credential, "id"))
}

/// The names of the roles, sorted.
fn roles(credential: &Value) -> Vec<String> {
    let roles = credential["roles"].as_array().unwrap();
    let mut names: Vec<_> = roles.iter().map(|role| text(role, "name")).collect();
    names.sort_unstable();
    names
}

/// The id of one of the roles.
fn role_id(credential: &Value, name: &str) -> String {
    let roles = credential["roles"].as_array().unwrap();
    let role = roles.iter().find(|role| role["name"] == name).unwrap();
    text(role, "id")
}

async fn log_in(server: &TestServer, proof: Value) -> Answer {
    let identity = json!({"methods": ["application_credential"], "application_credential": proof});
    let body = json!({"auth": {"identity": identity}});
    server.nobody().post("/v3/auth/tokens", body).await
}

/// Somebody with a token obtained with the credential.
async fn bearer(server: &TestServer, credential: &Value) -> Client {
    let proof = json!({"id": credential["id"], "secret": credential["secret"]});
    let answer = log_in(server, proof).await;
    answer.expect(201);
    server.nobody().with_token(answer.header("X-Subject-Token"))
}

async fn validate(asker: &Client, token: &str) -> Answer {
    asker
        .clone()
        .with_header("x-subject-token", token)
        .get("/v3/auth/tokens")
        .await
}

#[tokio::test]
async fn an_application_credential_lives() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;

    let mut credential = created(&owner, &path, json!({"name": "plain"})).await;
    assert_eq!(roles(&credential), ["member", "reader"]);
    let with_roles = credential["roles"].take();
    insta::assert_compact_json_snapshot!(credential, @r#"
    {
      "id": "00000000000000000000000000001004",
      "name": "plain",
      "description": null,
      "user_id": "d9a1e755268e55edbedf3007f15cf3de",
      "project_id": "4e4fbacd557558f69ac2af6ef856bc7b",
      "system": null,
      "expires_at": null,
      "unrestricted": null,
      "roles": null,
      "secret": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQAw",
      "links": {
        "self": "http://server/v3/application_credentials/00000000000000000000000000001004"
      }
    }
    "#);
    insta::assert_compact_json_snapshot!(keys(&with_roles[0]), @r#"["id", "name", "domain_id", "description", "options"]"#);

    credential["roles"] = with_roles;
    let path_of_one = one(&path, &credential);
    credential.as_object_mut().unwrap().shift_remove("secret");
    let shown = owner.get(&path_of_one).await.expect(200);
    assert_eq!(shown, json!({ "application_credential": credential }));
    let listed = owner.get(&path).await.expect(200);
    assert_eq!(listed["application_credentials"], json!([credential]));
    assert_eq!(owner.head(&path_of_one).await.status, 200);
    assert_eq!(owner.head(&path).await.status, 200);

    assert_eq!(owner.delete(&path_of_one).await.status, 204);
    let gone = format!(
        "Could not find Application Credential: {}.",
        text(&credential, "id")
    );
    assert_eq!(owner.get(&path_of_one).await.message(404), gone);
    assert_eq!(owner.delete(&path_of_one).await.message(404), gone);
    assert_eq!(owner.patch(&path_of_one, json!({})).await.status, 405);
}

fn keys(document: &Value) -> Vec<&String> {
    document.as_object().unwrap().keys().collect()
}

#[tokio::test]
async fn every_attribute_can_be_given() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let mut credential = created(
        &owner,
        &path,
        json!({
            "name": "complete",
            "description": "Größe",
            "secret": "chosen",
            "expires_at": "2099-12-31T23:59:59.999999Z",
            "unrestricted": true,
            "roles": [{"name": "reader"}],
            "access_rules": [
                {"service": "compute", "path": "/v2.1/servers", "method": "GET"},
                {"service": "image", "path": "/v2/images/*", "method": "POST"},
            ],
        }),
    )
    .await;
    assert_eq!(roles(&credential), ["reader"]);
    credential["roles"].take();
    insta::assert_compact_json_snapshot!(credential, @r#"
    {
      "id": "00000000000000000000000000001005",
      "name": "complete",
      "description": "Größe",
      "user_id": "d9a1e755268e55edbedf3007f15cf3de",
      "project_id": "4e4fbacd557558f69ac2af6ef856bc7b",
      "system": null,
      "expires_at": "2099-12-31T23:59:59.999999",
      "unrestricted": true,
      "roles": null,
      "access_rules": [
        {
          "id": "00000000000000000000000000001003",
          "service": "compute",
          "path": "/v2.1/servers",
          "method": "GET"
        },
        {
          "id": "00000000000000000000000000001004",
          "service": "image",
          "path": "/v2/images/*",
          "method": "POST"
        }
      ],
      "secret": "chosen",
      "links": {
        "self": "http://server/v3/application_credentials/00000000000000000000000000001005"
      }
    }
    "#);
}

#[tokio::test]
async fn a_secret_is_made_when_none_is_given() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let null = created(&owner, &path, json!({"name": "null", "secret": null})).await;
    let empty = created(&owner, &path, json!({"name": "empty", "secret": ""})).await;
    assert_eq!(text(&null, "secret").len(), 86);
    assert_ne!(null["secret"], empty["secret"]);
}

#[tokio::test]
async fn roles_are_chosen_by_id_or_name_and_bring_those_they_imply() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let all = created(&owner, &path, json!({"name": "all", "roles": []})).await;
    assert_eq!(roles(&all), ["member", "reader"]);
    let by_name = created(
        &owner,
        &path,
        json!({"name": "a", "roles": [{"name": "member"}]}),
    )
    .await;
    assert_eq!(roles(&by_name), ["member", "reader"]);
    let reader = role_id(&by_name, "reader");
    let by_id = json!({"name": "b", "roles": [{"id": reader}, {"name": "reader"}]});
    assert_eq!(roles(&created(&owner, &path, by_id).await), ["reader"]);
}

#[tokio::test]
async fn roles_that_the_token_does_not_carry_are_refused() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let unassigned = "Invalid application credential: Cannot create an application credential \
                      with unassigned role";
    for role in [json!({"name": "admin"}), json!({"id": "nothing"})] {
        let answer = create(&owner, &path, json!({"name": "bad", "roles": [role]})).await;
        assert_eq!(answer.message(400), unassigned);
    }
    let answer = create(
        &owner,
        &path,
        json!({"name": "bad", "roles": [{"name": "new"}]}),
    )
    .await;
    assert_eq!(answer.message(404), "Role new is not defined");

    let twin = Role {
        id: "twin".into(),
        name: "member".into(),
        domain_id: Some("default".into()),
        description: None,
        options: Default::default(),
        extra: Default::default(),
    };
    let mut tx = server.app.parts.store.begin().await.unwrap();
    tx.roles_mut().insert(&twin).await.unwrap();
    let _saved = tx.commit().await.unwrap();
    let answer = create(
        &owner,
        &path,
        json!({"name": "bad", "roles": [{"name": "member"}]}),
    )
    .await;
    assert_eq!(
        answer.message(400),
        "There are multiple role entities named 'member'. Please use ID instead of names to \
         resolve the ambiguity."
    );
}

#[tokio::test]
async fn an_end_is_a_time_to_come() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    for (number, (given, shown)) in [
        ("2099-01-02T03:04:05", "2099-01-02T03:04:05.000000"),
        ("2099-01-02T03:04:05.123Z", "2099-01-02T03:04:05.123000"),
        ("2099-01-02 03:04:05", "2099-01-02T03:04:05.000000"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("end {number}");
        let credential = created(&owner, &path, json!({"name": name, "expires_at": given})).await;
        assert_eq!(credential["expires_at"], shown);
        let again = owner.get(&one(&path, &credential)).await.expect(200);
        assert_eq!(again["application_credential"]["expires_at"], shown);
    }
    for bad in ["2099-01-01", "tomorrow", "2099-01-02T03:04:05+02:00", ""] {
        let answer = create(&owner, &path, json!({"name": "bad", "expires_at": bad})).await;
        assert!(
            answer
                .message(400)
                .starts_with("Timestamp not in expected format. "),
            "{bad}"
        );
    }
    let past = json!({"name": "bad", "expires_at": "2026-05-04T03:02:00Z"});
    let message = create(&owner, &path, past).await.message(400);
    assert!(
        message.starts_with("The 'expires_at' must not be before now. "),
        "{message}"
    );
}

#[tokio::test]
async fn documents_that_make_no_sense_are_refused() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    for (document, message) in [
        (
            json!({}),
            "Invalid input for field/attribute application_credential. Value: {}. 'name' is a \
             required property",
        ),
        (
            json!({"name": ""}),
            "Invalid input for field/attribute name. Value: . '' should be non-empty",
        ),
        (
            json!({"name": "bad", "secret": 7}),
            "Invalid input for field/attribute secret. Value: 7. 7 is not of type 'string', 'null'",
        ),
        (
            json!({"name": "bad", "roles": [{}]}),
            "Invalid input for field/attribute 0. Value: {}. {} should be non-empty",
        ),
        (
            json!({"name": "bad", "more": 1}),
            "Invalid input for field/attribute application_credential. Value: {'name': 'bad', \
             'more': 1}. Additional properties are not allowed ('more' was unexpected)",
        ),
    ] {
        assert_eq!(create(&owner, &path, document).await.message(400), message);
    }
}

#[tokio::test]
async fn a_name_is_unique_for_its_user() {
    let server = TestServer::start().await;
    let (alice, alices) = person(&server, "alice", "member").await;
    let (bob, bobs) = person(&server, "bob", "reader").await;
    created(&alice, &alices, json!({"name": "same"})).await;
    created(&bob, &bobs, json!({"name": "same"})).await;
    assert_eq!(
        create(&alice, &alices, json!({"name": "same"}))
            .await
            .message(409),
        "Conflict occurred attempting to store application_credential - Duplicate entry found \
         with name same."
    );
}

#[tokio::test]
async fn a_user_can_have_so_many_and_no_more() {
    let server = TestServer::start_with(|config| {
        config.application_credential.user_limit = Limit::AtMost(1);
    })
    .await;
    let (owner, path) = owner(&server).await;
    created(&owner, &path, json!({"name": "first"})).await;
    assert_eq!(
        create(&owner, &path, json!({"name": "second"}))
            .await
            .message(403),
        "Unable to create additional application credentials, maximum of 1 already exceeded for \
         user."
    );
}

#[tokio::test]
async fn they_are_listed_by_name_and_in_pages() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let mut ids = Vec::new();
    for name in ["backup", "build", "metrics"] {
        ids.push(text(
            &created(&owner, &path, json!({ "name": name })).await,
            "id",
        ));
    }
    let list = async |query: &str| owner.get(&format!("{path}?{query}")).await.expect(200);
    let names = |list: &Value| -> Vec<String> {
        let items = list["application_credentials"].as_array().unwrap();
        items.iter().map(|item| text(item, "name")).collect()
    };
    assert_eq!(names(&list("name=build").await), ["build"]);
    assert_eq!(
        names(&list("name__startswith=b").await),
        ["backup", "build"]
    );
    assert!(names(&list("name=other").await).is_empty());
    let first = list("limit=2").await;
    assert_eq!(names(&first), ["backup", "build"]);
    assert_eq!(first["truncated"], true);
    assert_eq!(
        names(&list(&format!("limit=2&marker={}", ids[1])).await),
        ["metrics"]
    );
}

#[tokio::test]
async fn only_the_user_creates_one() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let others = [
        server.admin().await,
        server.system_admin().await,
        server.with_role("admin", Scope::Domain).await,
        server.with_role("manager", Scope::Project).await,
        server.stranger().await,
    ];
    for other in others {
        assert_eq!(
            create(&other, &path, json!({"name": "denied"}))
                .await
                .message(403),
            "You are not authorized to perform the requested action: \
             identity:create_application_credential."
        );
    }
    let nobody = create(&server.nobody(), &path, json!({"name": "denied"})).await;
    assert_eq!(nobody.message(401), REFUSED);
    created(&owner, &path, json!({"name": "allowed"})).await;
}

#[tokio::test]
async fn no_policy_lets_others_create_one() {
    let server = TestServer::start().await;
    let (_, path) = owner(&server).await;
    server.set_policy("\"identity:create_application_credential\": \"\"\n");
    assert_eq!(
        create(&server.admin().await, &path, json!({"name": "denied"}))
            .await
            .message(403),
        "You are not authorized to perform the requested action: Cannot create an application \
         credential for another user.."
    );
}

#[tokio::test]
async fn the_user_administrators_and_system_readers_see_them() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let credential = created(&owner, &path, json!({"name": "guarded"})).await;
    let path_of_one = one(&path, &credential);
    for allowed in [
        owner,
        server.admin().await,
        server.system_admin().await,
        server.with_role("reader", Scope::System).await,
    ] {
        assert_eq!(allowed.get(&path).await.status, 200);
        assert_eq!(allowed.get(&path_of_one).await.status, 200);
    }
    for denied in [
        server.with_role("admin", Scope::Domain).await,
        server.with_role("manager", Scope::Project).await,
        server.stranger().await,
    ] {
        assert_eq!(
            denied.get(&path).await.message(403),
            "You are not authorized to perform the requested action: \
             identity:list_application_credentials."
        );
        // Nor can they tell a hidden one from a missing one.
        let hidden = denied.get(&path_of_one).await.expect(403);
        assert_eq!(
            hidden,
            denied.get(&format!("{path}/nothing")).await.expect(403)
        );
    }
    assert_eq!(
        server.nobody().get(&path_of_one).await.message(401),
        REFUSED
    );
}

#[tokio::test]
async fn the_user_and_administrators_delete_them() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let credential = created(&owner, &path, json!({"name": "guarded"})).await;
    let path_of_one = one(&path, &credential);
    for denied in [
        server.with_role("reader", Scope::System).await,
        server.with_role("manager", Scope::Project).await,
        server.stranger().await,
    ] {
        assert_eq!(
            denied.delete(&path_of_one).await.message(403),
            "You are not authorized to perform the requested action: \
             identity:delete_application_credential."
        );
    }
    assert_eq!(server.admin().await.delete(&path_of_one).await.status, 204);
}

#[tokio::test]
async fn naming_oneself_in_the_path_does_not_open_what_others_have() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let credential = created(&owner, &path, json!({"name": "guarded"})).await;
    let (intruder, intruders) = person(&server, "intruder", "member").await;
    let sideways = one(&intruders, &credential);
    assert_eq!(intruder.get(&sideways).await.status, 403);
    assert_eq!(intruder.delete(&sideways).await.status, 403);
    assert_eq!(server.admin().await.get(&sideways).await.status, 200);
}

#[tokio::test]
async fn a_restricted_one_manages_no_others() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let credential = created(&owner, &path, json!({"name": "restricted"})).await;
    let bearer = bearer(&server, &credential).await;
    let refusal = "You are not authorized to perform the requested action: Using method \
                   'application_credential' is not allowed for managing additional application \
                   credentials..";
    let answer = create(&bearer, &path, json!({"name": "another"})).await;
    assert_eq!(answer.message(403), refusal);
    let path_of_one = one(&path, &credential);
    assert_eq!(bearer.delete(&path_of_one).await.message(403), refusal);
    assert_eq!(bearer.get(&path).await.status, 200);
    assert_eq!(bearer.get(&path_of_one).await.status, 200);
}

#[tokio::test]
async fn an_unrestricted_one_manages_others_within_its_roles() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let document = json!({"name": "root", "unrestricted": true, "roles": [{"name": "reader"}]});
    let bearer = bearer(&server, &created(&owner, &path, document).await).await;
    let child = created(&bearer, &path, json!({"name": "child"})).await;
    assert_eq!(roles(&child), ["reader"]);
    let more = json!({"name": "more", "roles": [{"name": "member"}]});
    assert_eq!(create(&bearer, &path, more).await.status, 400);
    assert_eq!(bearer.delete(&one(&path, &child)).await.status, 204);
}

#[tokio::test]
async fn a_token_that_was_delegated_does_not_reach_them() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let credential = created(&owner, &path, json!({"name": "plain"})).await;
    let user_id = credential["user_id"].as_str().unwrap();
    let now = server.clock.now();
    let delegated = server
        .app
        .parts
        .tokens
        .issue(&Token {
            user_id: user_id.into(),
            methods: vec![Method::OAuth1],
            kind: TokenKind::Direct(TokenScope::Project(home())),
            audit_ids: AuditIds::root(AuditId::from_bytes([1; 16])),
            issued_at: now,
            expires_at: now + TimeDelta::hours(1),
        })
        .unwrap();
    let delegated = server.nobody().with_token(&delegated);
    let refusal = "You are not authorized to perform the requested action.";
    let answer = create(&delegated, &path, json!({"name": "more"})).await;
    assert_eq!(answer.message(403), refusal);
    let path_of_one = one(&path, &credential);
    for path in [
        path.clone(),
        path_of_one.clone(),
        path.replace("application_credentials", "access_rules"),
    ] {
        assert_eq!(delegated.get(&path).await.message(403), refusal);
    }
    assert_eq!(delegated.delete(&path_of_one).await.message(403), refusal);
}

#[tokio::test]
async fn a_token_without_a_scope_makes_one_that_buys_nothing() {
    let server = TestServer::start().await;
    let id = server.add_person("nomad", &[]).await;
    let nomad = server.log_in("nomad", None).await;
    let path = format!("/v3/users/{id}/application_credentials");
    let credential = created(&nomad, &path, json!({"name": "empty"})).await;
    assert_eq!(credential["project_id"], Value::Null);
    assert_eq!(credential["roles"], json!([]));
    let proof = json!({"id": credential["id"], "secret": credential["secret"]});
    assert_eq!(log_in(&server, proof).await.message(401), REFUSED);
}

#[tokio::test]
async fn it_logs_in_by_id_and_by_name() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let credential = created(&owner, &path, json!({"name": "plain"})).await;
    let (id, secret, user) = (
        &credential["id"],
        &credential["secret"],
        &credential["user_id"],
    );
    for proof in [
        json!({"id": id, "secret": secret}),
        json!({"name": "plain", "secret": secret, "user": {"id": user}}),
        json!({
            "name": "plain",
            "secret": secret,
            "user": {"name": "owner", "domain": {"name": "Default"}},
        }),
    ] {
        let token = log_in(&server, proof).await.expect(201)["token"].clone();
        assert_eq!(token["methods"], json!(["application_credential"]));
        assert_eq!(token["user"]["id"], *user);
        assert_eq!(token["project"]["id"], json!(home()));
        assert_eq!(
            token["application_credential"],
            json!({"id": id, "name": "plain", "restricted": true})
        );
    }
}

#[tokio::test]
async fn logins_that_fail_all_look_the_same() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let credential = created(&owner, &path, json!({"name": "plain", "secret": "right"})).await;
    let (id, user) = (&credential["id"], &credential["user_id"]);
    let expected = log_in(&server, json!({"id": id, "secret": "wrong"})).await;
    assert_eq!(expected.message(401), REFUSED);
    for proof in [
        json!({"id": "nothing", "secret": "right"}),
        json!({"id": id}),
        json!({"id": id, "secret": ""}),
        json!({"name": "other", "secret": "right", "user": {"id": user}}),
        json!({"name": "plain", "secret": "right", "user": {"id": "nobody"}}),
    ] {
        let answer = log_in(&server, proof).await;
        assert_eq!((answer.status, answer.text), (401, expected.text.clone()));
    }
}

#[tokio::test]
async fn logins_that_make_no_sense_are_told_so() {
    let server = TestServer::start().await;
    for (proof, message) in [
        (
            json!({"secret": "x"}),
            "Expecting to find name or ID in application credential. ",
        ),
        (
            json!({"name": "x", "secret": "x"}),
            "Expecting to find user in application credential. ",
        ),
        (
            json!({"name": "x", "secret": "x", "user": {}}),
            "Expecting to find user in application credential. ",
        ),
        (
            json!({"name": "x", "secret": "x", "user": {"name": "x"}}),
            "Expecting to find domain in user. ",
        ),
        (
            json!({"id": "x", "secret": 7}),
            "Expecting to find string in password. ",
        ),
    ] {
        let told = log_in(&server, proof).await.message(400);
        assert!(told.starts_with(message), "{told}");
    }
}

#[tokio::test]
async fn it_cannot_choose_a_scope() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let credential = created(&owner, &path, json!({"name": "plain"})).await;
    let proof = json!({"id": credential["id"], "secret": credential["secret"]});
    for scope in [json!("unscoped"), json!({"project": {"id": home()}})] {
        let identity =
            json!({"methods": ["application_credential"], "application_credential": proof});
        let body = json!({"auth": {"identity": identity, "scope": scope}});
        let answer = server.nobody().post("/v3/auth/tokens", body).await;
        assert_eq!(
            answer.message(401),
            "Error authenticating with application credential: Application credentials cannot \
             request a scope."
        );
    }
}

#[tokio::test]
async fn its_token_cannot_be_exchanged() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let bearer = bearer(
        &server,
        &created(&owner, &path, json!({"name": "plain"})).await,
    )
    .await;
    let identity = json!({"methods": ["token"], "token": {"id": bearer.token()}});
    let body = json!({"auth": {"identity": identity}});
    assert_eq!(
        server
            .nobody()
            .post("/v3/auth/tokens", body)
            .await
            .message(403),
        "You are not authorized to perform the requested action: Using a delegated token to \
         create another token is not allowed.."
    );
}

#[tokio::test]
async fn its_token_carries_only_the_roles_that_both_have() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let document = json!({"name": "reader", "roles": [{"name": "reader"}]});
    let credential = created(&owner, &path, document).await;
    let bearer = bearer(&server, &credential).await;
    let token = validate(&bearer, bearer.token()).await.expect(200);
    assert_eq!(roles(&token["token"]), ["reader"]);
}

#[tokio::test]
async fn its_token_ends_with_it() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let credential = created(&owner, &path, json!({"name": "plain"})).await;
    let bearer = bearer(&server, &credential).await;
    assert_eq!(bearer.get(&path).await.status, 200);
    owner.delete(&one(&path, &credential)).await.expect(204);
    let gone = format!(
        "Could not find Application Credential: {}.",
        text(&credential, "id")
    );
    assert_eq!(bearer.get(&path).await.message(404), gone);
    let admin = server.admin().await;
    assert_eq!(validate(&admin, bearer.token()).await.message(404), gone);
}

#[tokio::test]
async fn its_token_ends_no_later_than_it_does() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let end = server.clock.now() + TimeDelta::minutes(10);
    let document = json!({"name": "short", "expires_at": end.format("%FT%T%.6f").to_string()});
    let credential = created(&owner, &path, document).await;
    let bearer = bearer(&server, &credential).await;
    let token = validate(&bearer, bearer.token()).await.expect(200);
    assert_eq!(
        token["token"]["expires_at"],
        end.format("%FT%T%.6fZ").to_string()
    );

    server.clock.advance(TimeDelta::minutes(10));
    assert_eq!(bearer.get(&path).await.message(401), REFUSED);
    let proof = json!({"id": credential["id"], "secret": credential["secret"]});
    assert_eq!(log_in(&server, proof).await.message(401), REFUSED);
}

#[tokio::test]
async fn its_token_ends_with_the_last_role() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let credential = created(&owner, &path, json!({"name": "plain"})).await;
    let bearer = bearer(&server, &credential).await;
    let admin = server.admin().await;
    let member = role_id(&credential, "member");
    let user = credential["user_id"].as_str().unwrap();
    let grant = format!("/v3/projects/{}/users/{user}/roles/{member}", home());
    assert_eq!(admin.delete(&grant).await.status, 204);
    assert_eq!(bearer.get(&path).await.message(401), REFUSED);
    assert_eq!(
        validate(&admin, bearer.token()).await.message(404),
        format!("Could not find token: {}.", bearer.token())
    );
    let proof = json!({"id": credential["id"], "secret": credential["secret"]});
    assert_eq!(log_in(&server, proof).await.message(401), REFUSED);
}

#[tokio::test]
async fn its_token_rests_while_the_user_is_disabled() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let credential = created(&owner, &path, json!({"name": "plain"})).await;
    let bearer = bearer(&server, &credential).await;
    let user_id = credential["user_id"].as_str().unwrap().into();
    server.set_enabled(&user_id, false).await;
    assert_eq!(bearer.get(&path).await.message(401), REFUSED);
    let proof = json!({"id": credential["id"], "secret": credential["secret"]});
    assert_eq!(log_in(&server, proof.clone()).await.message(401), REFUSED);
    server.set_enabled(&user_id, true).await;
    assert_eq!(log_in(&server, proof).await.status, 201);
}

#[tokio::test]
async fn its_token_rests_while_the_project_is_disabled() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let credential = created(&owner, &path, json!({"name": "plain"})).await;
    let bearer = bearer(&server, &credential).await;
    let admin = server.admin().await;
    let project = format!("/v3/projects/{}", home());
    admin
        .patch(&project, json!({"project": {"enabled": false}}))
        .await
        .expect(200);
    let disabled = format!(
        "Unable to validate token because project {} is disabled",
        home()
    );
    assert_eq!(bearer.get(&path).await.message(404), disabled);
    assert_eq!(
        validate(&admin, bearer.token()).await.message(404),
        disabled
    );
    let proof = json!({"id": credential["id"], "secret": credential["secret"]});
    assert_eq!(log_in(&server, proof).await.message(401), REFUSED);
}

#[tokio::test]
async fn a_token_with_access_rules_is_valid_only_for_who_enforces_them() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;
    let rule = json!({"service": "identity", "path": "/v3/projects", "method": "GET"});
    let document = json!({"name": "bound", "access_rules": [rule]});
    let bearer = bearer(&server, &created(&owner, &path, document).await).await;
    let admin = server.admin().await;
    let refused = validate(&admin, bearer.token()).await;
    assert_eq!(refused.message(404), "Failed to validate token");
    for (version, status) in [("0.9", 404), ("new", 404), ("1.0", 200), ("2", 200)] {
        let asker = admin
            .clone()
            .with_header("openstack-identity-access-rules", version);
        assert_eq!(
            validate(&asker, bearer.token()).await.status,
            status,
            "{version}"
        );
    }
    let asker = admin.with_header("openstack-identity-access-rules", "1.0");
    let token = validate(&asker, bearer.token()).await.expect(200)["token"].clone();
    let mut shown = token["application_credential"]["access_rules"][0].clone();
    shown.as_object_mut().unwrap().shift_remove("id");
    assert_eq!(shown, rule);

    // Its rules are enforced here too: `auth/access_rules.rs` has what they permit.
    assert_eq!(bearer.get(&path).await.message(401), REFUSED);
    let promising = bearer
        .clone()
        .with_header("openstack-identity-access-rules", "1.0");
    assert_eq!(promising.get(&path).await.message(401), REFUSED);
    assert_eq!(bearer.get("/v3/projects").await.status, 403);
}
