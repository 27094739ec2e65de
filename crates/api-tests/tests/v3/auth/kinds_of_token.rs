//! Tokens of every kind that a Keystone on the same database issues, some of which are refused here.

use chrono::{SubsecRound as _, TimeDelta};
use model::clock::Clock as _;
use model::token::{AuditId, AuditIds, FederatedLogin, FederatedScope, TokenKind};
use model::{Method, Scope as TokenScope, Token};
use secrets::tokens::payload::MethodBits;
use serde_json::json;
use testkit::{Answer, Client, Scope, TestServer, home};

const PATH: &str = "/v3/auth/tokens";
const REFUSED: &str = "The request you have made requires authentication.";

/// A token of the administrator of the project `home`, as a Keystone beside this server issues it.
async fn issued(server: &TestServer, methods: &[&str], kind: TokenKind) -> Client {
    let user_id = server
        .add_person("delegate", &[("admin", Scope::Project)])
        .await;
    let issued_at = server.clock.now().trunc_subsecs(0);
    let token = Token {
        user_id,
        methods: methods.iter().map(|name| Method::from(*name)).collect(),
        kind,
        audit_ids: AuditIds::root(AuditId::from_bytes([7; 16])),
        issued_at,
        expires_at: issued_at + TimeDelta::hours(1),
    };
    let text = server.app.parts.tokens.issue(&token).unwrap();
    server.nobody().with_token(&text)
}

async fn validated(server: &TestServer, token: &Client) -> Answer {
    let admin = server.admin().await;
    let asker = admin.with_header("x-subject-token", token.token());
    asker.get(PATH).await
}

/// Tries to obtain another token with this one, on the project `home`.
async fn exchanged(server: &TestServer, token: &Client) -> Answer {
    let identity = json!({"methods": ["token"], "token": {"id": token.token()}});
    let scope = json!({"project": {"id": home()}});
    let body = json!({"auth": {"identity": identity, "scope": scope}});
    server.nobody().post(PATH, body).await
}

/// Asks for an assertion to another cloud with this token.
async fn asserted(server: &TestServer, token: &Client) -> Answer {
    let admin = server.admin().await;
    let url = "https://a.example";
    let provider = json!({"auth_url": url, "sp_url": url, "enabled": true});
    let provider = json!({ "service_provider": provider });
    let path = "/v3/OS-FEDERATION/service_providers/anywhere";
    admin.put(path, provider).await.expect(201);
    let identity = json!({"methods": ["token"], "token": {"id": token.token()}});
    let scope = json!({"service_provider": {"id": "anywhere"}});
    let body = json!({"auth": {"identity": identity, "scope": scope}});
    server
        .nobody()
        .post("/v3/auth/OS-FEDERATION/saml2", body)
        .await
}

fn delegated() -> [(&'static [&'static str], TokenKind); 3] {
    let trust = |project_id| TokenKind::Trust {
        trust_id: "61f9d937f916422fa84d050fc49273c3".into(),
        project_id,
    };
    let access_token = TokenKind::AccessToken {
        access_token_id: "2c2a2f6b8d9c4f2fb1c3a0d8d5a4e1f0".into(),
        project_id: home(),
    };
    [
        (&["password"], trust(Some(home()))),
        (&["password"], trust(None)),
        (&["oauth1"], access_token),
    ]
}

#[tokio::test]
async fn a_token_of_a_trust_or_of_an_oauth1_consumer_is_nobodys() {
    for (methods, kind) in delegated() {
        let server = TestServer::start().await;
        let token = issued(&server, methods, kind).await;
        let subject = validated(&server, &token).await;
        let unknown = format!("Could not find token: {}.", token.token());
        assert_eq!(subject.message(404), unknown);
        for path in ["/v3/users", "/v3/auth/projects", "/v3/auth/catalog"] {
            assert_eq!(token.get(path).await.message(401), REFUSED, "{path}");
        }
        let user = json!({"user": {"name": "mallory"}});
        assert_eq!(token.post("/v3/users", user).await.message(401), REFUSED);
        // Nor does it say anything of itself, or end itself.
        let itself = token.clone().with_header("x-subject-token", token.token());
        assert_eq!(itself.get(PATH).await.message(401), REFUSED);
        assert_eq!(itself.delete(PATH).await.message(401), REFUSED);
    }
}

#[tokio::test]
async fn a_token_of_a_trust_or_of_an_oauth1_consumer_proves_nothing() {
    for (methods, kind) in delegated() {
        let server = TestServer::start().await;
        let token = issued(&server, methods, kind).await;
        assert_eq!(exchanged(&server, &token).await.message(401), REFUSED);
        for method in ["mapped", "openid", "saml2"] {
            let identity = json!({"methods": [method], method: {"id": token.token()}});
            let body = json!({"auth": {"identity": identity}});
            assert_eq!(server.nobody().post(PATH, body).await.status, 401);
        }
        // Neither to a service provider.
        assert_eq!(asserted(&server, &token).await.message(401), REFUSED);
    }
}

#[tokio::test]
async fn a_token_by_ec2_keys_says_who_its_user_is_and_opens_nothing() {
    let server = TestServer::start().await;
    let on_home = TokenKind::Direct(TokenScope::Project(home()));
    let token = issued(&server, &["ec2credential"], on_home).await;
    let shown = validated(&server, &token).await.expect(200);
    assert_eq!(shown["token"]["methods"], json!(["ec2credential"]));
    let refused = "You are not authorized to perform the requested action.";
    for path in ["/v3/users", "/v3/auth/projects", "/v3", "/v3/nowhere"] {
        assert_eq!(token.get(path).await.message(403), refused, "{path}");
    }
    assert_eq!(exchanged(&server, &token).await.status, 403);
    assert_eq!(asserted(&server, &token).await.message(403), refused);
}

#[tokio::test]
async fn a_token_by_a_method_that_is_not_configured_is_not_recognized() {
    let server = TestServer::start().await;
    let on_home = || TokenKind::Direct(TokenScope::Project(home()));
    let known = issued(&server, &["ec2credential"], on_home()).await;
    // The neighbour's list is longer.
    let narrow = TestServer::start_with(|config| {
        config
            .auth
            .methods
            .retain(|method| method != "ec2credential");
        config.fernet_tokens.key_repository =
            server.app.parts.config.fernet_tokens.key_repository.clone();
    })
    .await;
    narrow
        .add_person("delegate", &[("admin", Scope::Project)])
        .await;
    let token = narrow.nobody().with_token(known.token());
    let message = "Could not recognize Fernet token";
    assert_eq!(validated(&narrow, &token).await.message(404), message);
    assert_eq!(token.get("/v3/users").await.message(401), REFUSED);
    assert_eq!(exchanged(&narrow, &token).await.message(404), message);
}

#[tokio::test]
async fn the_kinds_that_are_understood_are_good() {
    let server = TestServer::start().await;
    let on_home = TokenKind::Direct(TokenScope::Project(home()));
    for kind in [TokenKind::Direct(TokenScope::Unscoped), on_home] {
        let server = TestServer::start().await;
        let token = issued(&server, &["password"], kind).await;
        validated(&server, &token).await.expect(200);
    }
    let login = FederatedLogin {
        identity_provider_id: "idp".into(),
        protocol_id: "openid".into(),
        group_ids: Vec::new(),
    };
    let scope = FederatedScope::Project(home());
    let token = issued(&server, &["mapped"], TokenKind::Federated { login, scope }).await;
    // As in Keystone, not without its provider.
    let message = validated(&server, &token).await.message(404);
    assert_eq!(message, "Could not find Identity Provider: idp.");
    let admin = server.admin().await;
    let path = "/v3/OS-FEDERATION/identity_providers/idp";
    let body = json!({"identity_provider": {"enabled": true}});
    admin.put(path, body).await.expect(201);
    validated(&server, &token).await.expect(200);
    let server = TestServer::start().await;
    let bound = TokenKind::Certificate {
        thumbprint: "x".into(),
        project_id: home(),
    };
    let token = issued(&server, &[], bound).await;
    validated(&server, &token).await.expect(200);
}

#[test]
fn the_default_methods_leave_no_bit_unnamed() {
    let names = config::Config::default().auth.methods;
    let bits = MethodBits::new(names.iter().map(|name| Method::from(&**name)).collect());
    let all = (1 << names.len()) - 1;
    assert_eq!(bits.decode(all).unwrap().len(), names.len());
    assert!(bits.decode(all + 1).is_err());
}
