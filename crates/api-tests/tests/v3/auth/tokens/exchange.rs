//! Tokens obtained with a token.

use chrono::TimeDelta;
use serde_json::json;
use testkit::{Scope, TestServer};

use super::{exchange, log_in, on_home, shown, token};

#[tokio::test]
async fn a_token_buys_another_that_ends_with_it() {
    let server = TestServer::start().await;
    let member = server.with_role("member", Scope::Project).await;
    let first = shown(&member).await;
    server.clock.advance(TimeDelta::minutes(10));
    let second_holder = exchange(&server, &member, Some(json!("unscoped"))).await;
    let second = shown(&second_holder).await;
    let third = shown(&exchange(&server, &second_holder, Some(on_home())).await).await;

    for descendant in [&second, &third] {
        assert_eq!(descendant["expires_at"], first["expires_at"]);
        assert_eq!(descendant["issued_at"], "2026-05-04T03:12:01.000000Z");
        // The own id, and that of the first of the chain.
        let ids = descendant["audit_ids"].as_array().unwrap();
        assert_eq!(ids.len(), 2);
        assert_eq!(ids[1], first["audit_ids"][0]);
        let mut methods: Vec<_> = descendant["methods"].as_array().unwrap().iter().collect();
        methods.sort_by_key(|method| method.to_string());
        assert_eq!(methods, ["password", "token"]);
    }
    assert_ne!(second["audit_ids"][0], third["audit_ids"][0]);
    assert_eq!(third["project"], first["project"]);
}

#[tokio::test]
async fn a_token_that_is_none_buys_nothing_and_is_not_found() {
    let server = TestServer::start().await;
    for (text, message) in [
        ("", "No token in the request"),
        ("nonsense", "Could not recognize Fernet token"),
        ("gAAAAnonsense", "Could not recognize Fernet token"),
    ] {
        let answer = log_in(&server, token(text), None).await;
        assert_eq!(answer.message(404), message);
    }
}

#[tokio::test]
async fn a_token_of_the_system_buys_none_for_a_project() {
    let server = TestServer::start().await;
    let places = [("reader", Scope::System), ("reader", Scope::Project)];
    server.add_person("ada", &places).await;
    let everywhere = server
        .log_in("ada", Some(json!({"system": {"all": true}})))
        .await;
    let answer = log_in(&server, token(everywhere.token()), Some(on_home())).await;
    assert_eq!(answer.status, 403);
    let at_home = server.log_in("ada", Some(on_home())).await;
    exchange(&server, &at_home, Some(json!({"system": {"all": true}}))).await;
}

#[tokio::test]
async fn an_operator_can_forbid_to_exchange_tokens_with_a_scope() {
    let server =
        TestServer::start_with(|config| config.token.allow_rescope_scoped_token = false).await;
    let member = server.with_role("member", Scope::Project).await;
    let answer = log_in(&server, token(member.token()), Some(json!("unscoped"))).await;
    assert_eq!(
        answer.message(403),
        "You are not authorized to perform the requested action: rescope a scoped token."
    );
    let unscoped = server.log_in("member-project", None).await;
    exchange(&server, &unscoped, Some(on_home())).await;
}
