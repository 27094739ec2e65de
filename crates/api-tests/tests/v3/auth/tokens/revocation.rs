//! What ends a token before its time, or lets it rest.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;
use testkit::{PASSWORD, Scope, TestServer, home};

use super::{
    PATH, REFUSED, about, exchange, log_in, on_home, password, shown, token, user,
    without_bootstrap,
};

#[tokio::test]
async fn administrators_and_the_user_revoke_a_token() {
    let server = TestServer::start().await;
    let subject = server.stranger().await;
    for denied in [
        server.with_role("service", Scope::Project).await,
        server.with_role("reader", Scope::System).await,
        server.with_role("manager", Scope::Project).await,
    ] {
        assert_eq!(
            about(&denied, &subject).delete(PATH).await.message(403),
            "You are not authorized to perform the requested action: identity:revoke_token."
        );
    }
    assert_eq!(
        about(&server.nobody(), &subject).delete(PATH).await.status,
        401
    );
    about(&subject, &subject).delete(PATH).await.expect(204);
    for (name, allowed) in [
        ("one", server.admin().await),
        ("two", server.system_admin().await),
        ("three", server.with_role("admin", Scope::Domain).await),
    ] {
        server.add_person(name, &[]).await;
        let subject = server.log_in(name, None).await;
        about(&allowed, &subject).delete(PATH).await.expect(204);
        assert_eq!(about(&allowed, &subject).get(PATH).await.status, 404);
    }
}

#[tokio::test]
async fn a_revoked_token_identifies_nobody() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let stranger = server.stranger().await;
    let other = server.log_in("stranger", None).await;
    about(&stranger, &stranger).delete(PATH).await.expect(204);
    assert_eq!(
        stranger.get("/v3/auth/projects").await.message(401),
        REFUSED
    );
    assert_eq!(about(&stranger, &stranger).get(PATH).await.status, 401);
    let revoked = about(&admin, &stranger);
    assert_eq!(
        revoked.get(PATH).await.message(404),
        "Failed to validate token"
    );
    assert_eq!(revoked.delete(PATH).await.status, 404);
    let forgiving = format!("{PATH}?allow_expired=1");
    assert_eq!(revoked.get(&forgiving).await.status, 404);
    let obtained = log_in(&server, token(stranger.token()), None).await;
    assert_eq!(obtained.message(404), "Failed to validate token");
    assert_eq!(about(&other, &other).get(PATH).await.status, 200);
}

#[tokio::test]
async fn revoking_the_first_of_a_chain_revokes_the_chain() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let first = server.stranger().await;
    let second = exchange(&server, &first, None).await;
    let third = exchange(&server, &second, None).await;
    about(&admin, &first).delete(PATH).await.expect(204);
    for token in [first, second, third] {
        assert_eq!(about(&admin, &token).get(PATH).await.status, 404);
    }
}

#[tokio::test]
async fn revoking_another_of_a_chain_revokes_it_alone() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let first = server.stranger().await;
    let second = exchange(&server, &first, None).await;
    let third = exchange(&server, &second, None).await;
    about(&admin, &second).delete(PATH).await.expect(204);
    assert_eq!(about(&admin, &second).get(PATH).await.status, 404);
    for token in [first, third] {
        assert_eq!(about(&admin, &token).get(PATH).await.status, 200);
    }
}

#[tokio::test]
async fn a_chain_can_be_kept_when_its_first_is_revoked() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let first = server.stranger().await;
    let second = exchange(&server, &first, None).await;
    let path = format!("{PATH}?cascade=false");
    about(&admin, &first).delete(&path).await.expect(204);
    assert_eq!(about(&admin, &first).get(PATH).await.status, 404);
    assert_eq!(about(&admin, &second).get(PATH).await.status, 200);
}

#[tokio::test]
async fn a_user_who_is_disabled_has_no_tokens() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let stranger = server.stranger().await;
    let id = shown(&stranger).await["user"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/v3/users/{id}");
    let enabled = |enabled: bool| json!({"user": {"enabled": enabled}});
    admin.patch(&path, enabled(false)).await.expect(200);
    assert_eq!(
        about(&admin, &stranger).get(PATH).await.message(404),
        "Failed to validate token"
    );
    assert_eq!(
        stranger.get("/v3/auth/projects").await.message(401),
        REFUSED
    );
    assert_eq!(
        log_in(&server, password("stranger"), None)
            .await
            .message(401),
        REFUSED
    );
    // Enabling the user brings the login back, and not the tokens.
    admin.patch(&path, enabled(true)).await.expect(200);
    assert_eq!(about(&admin, &stranger).get(PATH).await.status, 404);
    server.clock.advance(TimeDelta::seconds(1));
    let again = server.log_in("stranger", None).await;
    assert_eq!(about(&admin, &again).get(PATH).await.status, 200);

    admin.delete(&path).await.expect(204);
    let gone = format!("Could not find user: {id}.");
    assert_eq!(about(&admin, &again).get(PATH).await.message(404), gone);
    assert_eq!(again.get("/v3/auth/projects").await.message(404), gone);
}

#[tokio::test]
async fn a_token_rests_while_its_project_is_disabled() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let member = server.with_role("member", Scope::Project).await;
    let path = format!("/v3/projects/{}", home());
    let enabled = |enabled: bool| json!({"project": {"enabled": enabled}});
    admin.patch(&path, enabled(false)).await.expect(200);
    let disabled = format!(
        "Unable to validate token because project {} is disabled",
        home()
    );
    assert_eq!(
        about(&admin, &member).get(PATH).await.message(404),
        disabled
    );
    // Whom such a token identifies is told so, instead of 401.
    assert_eq!(member.get("/v3/auth/projects").await.message(404), disabled);
    let answer = log_in(&server, password("member-project"), Some(on_home())).await;
    assert_eq!(answer.message(401), REFUSED);

    admin.patch(&path, enabled(true)).await.expect(200);
    assert_eq!(about(&admin, &member).get(PATH).await.status, 200);
    admin.delete(&path).await.expect(204);
    let gone = format!("Could not find project: {}.", home());
    assert_eq!(about(&admin, &member).get(PATH).await.message(404), gone);
}

#[tokio::test]
async fn a_token_rests_while_a_domain_of_it_is_disabled() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let created = admin
        .post("/v3/domains", json!({"domain": {"name": "acme"}}))
        .await;
    let domain = created.expect(201)["domain"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let attributes = json!({"name": "ada", "domain_id": domain, "password": PASSWORD});
    user(&admin, attributes).await;
    let mut identity = password("ada");
    identity["password"]["user"]["domain"] = json!({"name": "acme"});
    let answer = log_in(&server, identity.clone(), None).await;
    answer.expect(201);
    let ada = server.nobody().with_token(answer.header("X-Subject-Token"));

    let path = format!("/v3/domains/{domain}");
    let enabled = |enabled: bool| json!({"domain": {"enabled": enabled}});
    admin.patch(&path, enabled(false)).await.expect(200);
    let disabled = format!("Unable to validate token because domain {domain} is disabled");
    assert_eq!(about(&admin, &ada).get(PATH).await.message(404), disabled);
    assert_eq!(ada.get("/v3/auth/projects").await.message(404), disabled);
    assert_eq!(log_in(&server, identity, None).await.message(401), REFUSED);
    admin.patch(&path, enabled(true)).await.expect(200);
    assert_eq!(about(&admin, &ada).get(PATH).await.status, 200);
}

#[tokio::test]
async fn a_token_ends_with_the_last_role() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let roles = [("member", Scope::Project), ("service", Scope::Project)];
    let id = server.add_person("ada", &roles).await;
    let ada = server.log_in("ada", Some(on_home())).await;
    let listed = admin.get("/v3/roles").await.expect(200);
    let revoke = |name: &str| {
        let roles = listed["roles"].as_array().unwrap();
        let role = roles.iter().find(|role| role["name"] == name).unwrap();
        let role = role["id"].as_str().unwrap();
        format!("/v3/projects/{}/users/{id}/roles/{role}", home())
    };
    admin.delete(&revoke("member")).await.expect(204);
    let left = about(&admin, &ada).get(PATH).await.expect(200);
    assert_eq!(
        without_bootstrap(left["token"].clone())["roles"],
        json!(["service"])
    );
    admin.delete(&revoke("service")).await.expect(204);
    assert_eq!(
        about(&admin, &ada).get(PATH).await.message(404),
        format!("Could not find token: {}.", ada.token())
    );
    assert_eq!(ada.get("/v3/auth/projects").await.message(401), REFUSED);
}

#[tokio::test]
async fn a_token_outlives_the_password_that_bought_it() {
    let server = TestServer::start_with(|config| {
        config.security_compliance.password_expires_days = Some(1);
        config.token.expiration = Duration::from_secs(7 * 24 * 60 * 60);
    })
    .await;
    let admin = server.admin().await;
    let attributes = json!({"name": "ada", "domain_id": "default", "password": PASSWORD});
    let id = user(&admin, attributes).await;
    let ada = server.log_in("ada", None).await;
    server.clock.advance(TimeDelta::days(2));

    let expired = log_in(&server, password("ada"), None).await;
    assert_eq!(
        expired.message(401),
        format!("The password is expired and needs to be changed for user: {id}.")
    );
    let mut wrong = password("ada");
    wrong["password"]["user"]["password"] = json!("wrong");
    assert_eq!(log_in(&server, wrong, None).await.message(401), REFUSED);

    let token = shown(&ada).await;
    assert_eq!(
        token["user"]["password_expires_at"],
        "2026-05-05T03:02:01.000000"
    );
    assert_eq!(ada.get("/v3/auth/projects").await.status, 200);
    exchange(&server, &ada, None).await;
}

#[tokio::test]
async fn tokens_that_were_revoked_are_listed_no_more() {
    let path = format!("{PATH}/OS-PKI/revoked");
    let server = TestServer::start().await;
    assert_eq!(
        server.admin().await.get(&path).await.message(403),
        "You are not authorized to perform the requested action."
    );
    let server = TestServer::start_with(|config| config.token.revoke_by_id = false).await;
    assert_eq!(
        server.nobody().get(&path).await.message(410),
        "The service you have requested is no longer available on this server."
    );
}
