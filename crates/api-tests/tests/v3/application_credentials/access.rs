//! Who may make them, see them and delete them.

use chrono::TimeDelta;
use model::clock::Clock as _;
use model::token::{AuditId, AuditIds, TokenKind};
use model::{Method, Scope as TokenScope, Token};
use serde_json::json;
use testkit::{Scope, TestServer, home};

use super::{REFUSED, bearer, create, created, one, owner, person, roles};

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
