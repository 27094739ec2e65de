//! What can be asked for, and what is shown, listed and deleted.

use config::Limit;
use model::role::Role;
use serde_json::{Value, json};
use testkit::TestServer;

use super::{create, created, one, owner, person, role_id, roles, text};

#[tokio::test]
async fn an_application_credential_lives() {
    let server = TestServer::start().await;
    let (owner, path) = owner(&server).await;

    let mut credential = created(&owner, &path, json!({"name": "plain"})).await;
    assert_eq!(roles(&credential), ["member", "reader"]);
    let with_roles = credential["roles"].take();
    insta::assert_compact_json_snapshot!(credential, @r#"
    {
      "id": "00000000000000000000000000001002",
      "name": "plain",
      "description": null,
      "user_id": "d9a1e755268e55edbedf3007f15cf3de",
      "project_id": "4e4fbacd557558f69ac2af6ef856bc7b",
      "system": null,
      "expires_at": null,
      "unrestricted": null,
      "roles": null,
      "secret": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQAQ",
      "links": {
        "self": "http://server/v3/application_credentials/00000000000000000000000000001002"
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
      "id": "00000000000000000000000000001003",
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
          "id": "00000000000000000000000000001001",
          "service": "compute",
          "path": "/v2.1/servers",
          "method": "GET"
        },
        {
          "id": "00000000000000000000000000001002",
          "service": "image",
          "path": "/v2/images/*",
          "method": "POST"
        }
      ],
      "secret": "chosen",
      "links": {
        "self": "http://server/v3/application_credentials/00000000000000000000000000001003"
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
