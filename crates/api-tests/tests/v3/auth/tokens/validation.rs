//! Who may ask about a token, what is no token, and until when one is valid.

use chrono::TimeDelta;
use secrets::key_repository::KeyRepository;
use serde_json::json;
use testkit::{Scope, TestServer};

use super::{PATH, REFUSED, about, log_in, token};

#[tokio::test]
async fn administrators_readers_of_the_system_and_the_user_validate_a_token() {
    let server = TestServer::start().await;
    let subject = server.stranger().await;
    let of_the_same_user = server.log_in("stranger", None).await;
    let service = server.with_role("service", Scope::Project).await;
    for allowed in [
        server.admin().await,
        server.system_admin().await,
        server.with_role("admin", Scope::Domain).await,
        server.with_role("reader", Scope::System).await,
        of_the_same_user,
    ] {
        assert_eq!(about(&allowed, &subject).get(PATH).await.status, 200);
        assert_eq!(about(&allowed, &subject).head(PATH).await.status, 200);
    }
    for denied in [
        server.with_role("manager", Scope::Domain).await,
        server.with_role("manager", Scope::Project).await,
        server.with_role("member", Scope::Project).await,
        server.with_role("reader", Scope::Domain).await,
    ] {
        assert_eq!(
            about(&denied, &subject).get(PATH).await.message(403),
            "You are not authorized to perform the requested action: identity:validate_token."
        );
        assert_eq!(about(&denied, &subject).head(PATH).await.status, 403);
    }
    // A service may read a token, and not check it.
    assert_eq!(about(&service, &subject).get(PATH).await.status, 200);
    assert_eq!(about(&service, &subject).head(PATH).await.status, 403);
    let nobody = server.nobody();
    assert_eq!(about(&nobody, &subject).get(PATH).await.status, 401);
    assert_eq!(about(&nobody, &subject).head(PATH).await.status, 401);
}

#[tokio::test]
async fn a_subject_that_is_no_token_is_not_found_by_anybody() {
    let server = TestServer::start().await;
    for asker in [server.admin().await, server.stranger().await] {
        for (text, message) in [
            ("", "No token in the request"),
            ("nonsense", "Could not recognize Fernet token"),
        ] {
            let asker = asker.clone().with_header("x-subject-token", text);
            assert_eq!(asker.get(PATH).await.message(404), message);
            assert_eq!(asker.head(PATH).await.status, 404);
            assert_eq!(asker.delete(PATH).await.message(404), message);
        }
    }
}

#[tokio::test]
async fn a_request_without_a_subject_is_judged_before_it_is_refused() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    assert_eq!(
        admin.get(PATH).await.message(404),
        "No token in the request"
    );
    assert_eq!(
        admin.delete(PATH).await.message(404),
        "No token in the request"
    );
    let stranger = server.stranger().await;
    assert_eq!(stranger.get(PATH).await.status, 403);
    assert_eq!(stranger.delete(PATH).await.status, 403);
    assert_eq!(server.nobody().get(PATH).await.status, 401);
    assert_eq!(admin.put(PATH, json!({})).await.status, 405);
}

#[tokio::test]
async fn padding_at_the_end_of_a_token_does_not_matter() {
    let server = TestServer::start().await;
    let stranger = server.stranger().await;
    let padded = stranger
        .clone()
        .with_token(&format!("{}=", stranger.token()));
    assert_eq!(about(&stranger, &padded).get(PATH).await.status, 200);
    let damaged = stranger
        .clone()
        .with_token(&format!("{}x", stranger.token()));
    assert_eq!(about(&stranger, &damaged).get(PATH).await.status, 404);
    assert_eq!(damaged.get("/v3/auth/projects").await.message(401), REFUSED);
}

#[tokio::test]
async fn a_token_expires_at_its_time_and_not_before() {
    let server = TestServer::start().await;
    let stranger = server.stranger().await;
    server
        .clock
        .advance(TimeDelta::minutes(60) - TimeDelta::seconds(1));
    assert_eq!(about(&stranger, &stranger).get(PATH).await.status, 200);
    server.clock.advance(TimeDelta::seconds(1));
    let admin = server.admin().await;
    let expired = about(&admin, &stranger);
    assert_eq!(
        expired.get(PATH).await.message(404),
        "Failed to validate token"
    );
    assert_eq!(expired.head(PATH).await.status, 404);
    assert_eq!(expired.delete(PATH).await.status, 404);
    assert_eq!(
        stranger.get("/v3/auth/projects").await.message(401),
        REFUSED
    );
    let obtained = log_in(&server, token(stranger.token()), None).await;
    assert_eq!(obtained.message(404), "Failed to validate token");
}

#[tokio::test]
async fn who_allows_it_sees_an_expired_token_for_a_while() {
    let server = TestServer::start().await;
    let stranger = server.stranger().await;
    server.clock.advance(TimeDelta::hours(48));
    let admin = server.admin().await;
    let expired = about(&admin, &stranger);
    for (query, status) in [
        ("", 404),
        ("?allow_expired=0", 404),
        ("?allow_expired=false", 404),
        ("?allow_expired", 200),
        ("?allow_expired=1", 200),
        ("?allow_expired=maybe", 200),
    ] {
        let path = format!("{PATH}{query}");
        assert_eq!(expired.get(&path).await.status, status, "{query}");
        assert_eq!(expired.head(&path).await.status, status, "{query}");
    }
    // It is only looked at: as the token of who asks it stays expired.
    let path = format!("{PATH}?allow_expired=1");
    assert_eq!(about(&stranger, &stranger).get(&path).await.status, 401);
    server.clock.advance(TimeDelta::hours(1));
    let admin = server.admin().await;
    assert_eq!(about(&admin, &stranger).get(&path).await.status, 404);
}

#[tokio::test]
async fn a_token_ends_with_the_key_that_made_it_however_often_it_was_validated() {
    let server = TestServer::start().await;
    let subject = server.stranger().await;
    let config = &server.app.parts.config;
    let keys = KeyRepository::new(&config.fernet_tokens.key_repository);
    // The key that made it is one of three, and then of none.
    keys.rotate(3, None).unwrap();
    server.app.refresh();
    let admin = server.admin().await;
    for _ in 0..2 {
        about(&admin, &subject).get(PATH).await.expect(200);
        subject.get("/v3/auth/projects").await.expect(200);
    }
    for _ in 0..3 {
        keys.rotate(1, None).unwrap();
    }
    server.app.refresh();
    assert_eq!(subject.get("/v3/auth/projects").await.status, 401);
    let admin = server.admin().await;
    assert_eq!(
        about(&admin, &subject).get(PATH).await.message(404),
        "Could not recognize Fernet token"
    );
}
