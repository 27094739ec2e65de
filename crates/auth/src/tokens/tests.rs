use chrono::DateTime;
use config::Resource;
use model::application_credential::ApplicationCredential;
use model::assignment::EffectiveRoles;
use model::federation::ServiceProvider;
use model::ids::ProjectId;
use model::role::Role;
use model::subject::{CatalogEndpoint, CatalogService, DomainRef, ScopeTarget, Subject};
use model::token::{AuditId, AuditIds, FederatedLogin, FederatedScope};
use model::{Scope, Timestamp};

use super::cache::TokenCache;
use super::document::Parts;
use super::rights::Facts;
use super::*;
use crate::delegation::Delegation;

fn time(second: i64) -> Timestamp {
    DateTime::from_timestamp(second, 0).unwrap()
}

fn token(kind: TokenKind) -> Token {
    Token {
        user_id: "ada".into(),
        methods: vec![Method::Password, Method::Token],
        kind,
        audit_ids: AuditIds::descended(
            AuditId::from_bytes([1; 16]),
            &AuditIds::root(AuditId::from_bytes([2; 16])),
        ),
        issued_at: time(1_000_000_000),
        expires_at: time(1_000_003_600),
    }
}

fn domain() -> DomainRef {
    DomainRef {
        id: "default".into(),
        name: "Default".into(),
        enabled: true,
    }
}

fn facts(target: Option<ScopeTarget>) -> Facts {
    let role = Role {
        id: "r1".into(),
        name: "member".into(),
        domain_id: None,
        description: None,
        options: Default::default(),
        extra: Default::default(),
    };
    let subject = Subject {
        id: "ada".into(),
        name: "Ada \"the countess\" Lovelace, née Byron".into(),
        domain: domain(),
        enabled: true,
        password_expires_at: Some(time(2_000_000_000)),
        default_project_id: None,
        last_seen: None,
    };
    Facts {
        subject: subject.into(),
        target: target.map(Arc::new),
        held: Arc::new(EffectiveRoles {
            roles: vec![role],
            ends_at: None,
        }),
        delegation: None,
    }
}

fn project() -> ScopeTarget {
    ScopeTarget {
        id: "apollo".into(),
        name: "Apollo".into(),
        enabled: true,
        domain: Some(domain()),
    }
}

fn credential() -> ApplicationCredential {
    ApplicationCredential {
        id: "c1".into(),
        name: "ci".into(),
        description: None,
        user_id: "ada".into(),
        project_id: Some("apollo".into()),
        expires_at: None,
        unrestricted: Some(false),
        role_ids: vec!["r1".into()],
        access_rules: Vec::new(),
    }
}

fn services() -> Arc<Vec<CatalogService>> {
    Arc::new(vec![CatalogService {
        id: "s1".into(),
        kind: "compute".into(),
        name: "nova".into(),
        endpoints: vec![CatalogEndpoint {
            id: "e1".into(),
            interface: "public".into(),
            region_id: Some("RegionOne".into()),
            url: "http://nova/$(project_id)s".into(),
            extra: Default::default(),
        }],
    }])
}

fn on_project() -> TokenKind {
    TokenKind::Direct(Scope::Project(ProjectId::from("apollo")))
}

/// A token of each kind that is issued here.
fn tokens() -> Vec<ValidToken> {
    let valid = |kind: TokenKind, facts: Facts| {
        let token = token(kind);
        let rights = Rights::new(&Resource::default(), &token, facts);
        ValidToken::new(token, Arc::new(rights))
    };
    let as_domain = ScopeTarget {
        domain: None,
        ..project()
    };
    let by_credential = Facts {
        delegation: Some(Delegation::ApplicationCredential(Arc::new(credential()))),
        ..facts(Some(project()))
    };
    let login = FederatedLogin {
        identity_provider_id: "idp".into(),
        protocol_id: "openid".into(),
        group_ids: vec!["g1".into(), "g2".into()],
    };
    vec![
        valid(TokenKind::Direct(Scope::Unscoped), facts(None)),
        valid(TokenKind::Direct(Scope::System), facts(None)),
        valid(on_project(), facts(Some(project()))),
        valid(
            TokenKind::Direct(Scope::Domain("apollo".into())),
            facts(Some(as_domain)),
        ),
        valid(
            TokenKind::Federated {
                login,
                scope: FederatedScope::Project("apollo".into()),
            },
            facts(Some(project())),
        ),
        valid(
            TokenKind::ApplicationCredential {
                application_credential_id: "c1".into(),
                project_id: "apollo".into(),
            },
            by_credential,
        ),
        valid(
            TokenKind::Certificate {
                thumbprint: "x5t".into(),
                project_id: "apollo".into(),
            },
            facts(Some(project())),
        ),
    ]
}

#[test]
fn a_body_that_is_put_together_is_the_document() {
    for valid in tokens() {
        let whole = serde_json::json!({"token": document::token(&valid)});
        let parts = Parts::write(&valid, None, &[]);
        assert_eq!(parts.body(&valid.token), web::json::spaced(&whole));
    }
}

#[test]
fn a_body_has_the_catalog_and_the_service_providers_in_their_places() {
    let provider = ServiceProvider {
        id: "sp".into(),
        auth_url: "https://sp/auth".into(),
        sp_url: "https://sp/acs".into(),
        description: None,
        enabled: true,
        relay_state_prefix: "ss:mem:".into(),
    };
    let valid = &tokens()[5];
    let parts = Parts::write(valid, Some(&services()), &[provider]);
    insta::assert_snapshot!(parts.body(&valid.token));
}

#[test]
fn years_of_any_length_are_written() {
    for (second, text) in [
        (0, "1970-01-01T00:00:00.000000Z"),
        (951_827_696, "2000-02-29T12:34:56.000000Z"),
        (253_402_300_799, "9999-12-31T23:59:59.000000Z"),
        (253_402_300_800, "+10000-01-01T00:00:00.000000Z"),
        (-62_167_219_201, "-0001-12-31T23:59:59.000000Z"),
    ] {
        assert_eq!(document::time(time(second)), text);
    }
}

#[test]
fn rights_are_shared_by_tokens_until_a_fact_is_another() {
    let cache = TokenCache::default();
    let settings = Resource::default();
    let token = token(on_project());
    let rights = |facts| cache.rights(&settings, &token, facts);
    let first = rights(facts(Some(project())));
    let again = rights(facts(Some(project())));
    assert!(Arc::ptr_eq(&first, &again), "equal facts, read twice");
    let usual = || facts(Some(project()));
    let renamed = Subject {
        name: "Ada King".into(),
        ..Subject::clone(&usual().subject)
    };
    let moved = ScopeTarget {
        name: "Gemini".into(),
        ..project()
    };
    let others = [
        Facts {
            subject: renamed.into(),
            ..usual()
        },
        facts(Some(moved)),
        facts(None),
        Facts {
            held: Arc::default(),
            ..usual()
        },
        Facts {
            delegation: Some(Delegation::ApplicationCredential(Arc::new(credential()))),
            ..usual()
        },
    ];
    for (number, other) in others.into_iter().enumerate() {
        let kept = rights(usual());
        let made = rights(other);
        assert!(!Arc::ptr_eq(&kept, &made), "fact {number}");
        assert!(!made.are_of(&usual()), "fact {number}");
    }
}

#[test]
fn a_body_is_written_again_for_another_catalog_or_other_providers() {
    let cache = TokenCache::default();
    let valid = &tokens()[2];
    let (catalog, providers) = (services(), Arc::default());
    let first = cache.parts(valid, Some(&catalog), &providers);
    let is_first = |parts: &Arc<Parts>| Arc::ptr_eq(parts, &first);
    assert!(is_first(&cache.parts(valid, Some(&catalog), &providers)));
    assert!(!is_first(&cache.parts(valid, None, &providers)));
    assert!(is_first(&cache.parts(valid, Some(&catalog), &providers)));
    assert!(!is_first(&cache.parts(
        valid,
        Some(&services()),
        &providers
    )));
    assert!(!is_first(&cache.parts(
        valid,
        Some(&catalog),
        &Arc::default()
    )));
    let text = cache.catalog(valid, &catalog);
    assert!(Arc::ptr_eq(&text, &cache.catalog(valid, &catalog)));
    assert!(!Arc::ptr_eq(&text, &cache.catalog(valid, &services())));
}

#[test]
fn a_text_is_read_again_once_the_keys_have_changed() {
    let cache = TokenCache::default();
    let valid = Arc::new(tokens().remove(0));
    cache.keep("text", 7, &valid);
    assert!(cache.find("text", 7).is_some());
    assert!(cache.find("text", 8).is_none());
    assert!(cache.find("tex", 7).is_none());
}
