//! Logins with them, and the tokens obtained so: what these carry, and when they end.

use chrono::TimeDelta;
use model::clock::Clock as _;
use serde_json::{Value, json};
use testkit::{TestServer, home};

use super::{REFUSED, bearer, created, log_in, one, owner, role_id, roles, text, validate};

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
