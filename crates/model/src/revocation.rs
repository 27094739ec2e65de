//! Revocation events: which tokens are void before they expire.

use chrono::SubsecRound;

use crate::{
    Timestamp,
    ids::{AccessTokenId, ConsumerId, DomainId, ProjectId, RoleId, TrustId, UserId},
    token::{AuditId, Token},
};

/// Declares void every token that was issued up to `issued_before` and fits all fields that are given.
///
/// An event without any such field revokes every token of its time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RevocationEvent {
    /// The token's user, or a party of its trust.
    pub user_id: Option<UserId>,
    /// The project the token is valid on.
    pub project_id: Option<ProjectId>,
    /// The domain of the token's user, or the domain it is valid on; only the latter when `expires_at` is given too.
    pub domain_id: Option<DomainId>,
    /// A role that the token has.
    pub role_id: Option<RoleId>,
    /// The trust the token acts by.
    pub trust_id: Option<TrustId>,
    /// The OAuth 1.0a consumer the token acts for.
    pub consumer_id: Option<ConsumerId>,
    /// An OAuth 1.0a access token; recorded, never compared.
    pub access_token_id: Option<AccessTokenId>,
    /// The token's own audit id.
    pub audit_id: Option<AuditId>,
    /// The token's parent audit id. The root of a chain has none, and so does not fit its own chain's event.
    pub audit_chain_id: Option<AuditId>,
    /// The token's expiry.
    pub expires_at: Option<Timestamp>,
    /// The last second of issue that is revoked.
    pub issued_before: Timestamp,
    /// When the event was made; it is forgotten once no token of its time can be valid.
    pub revoked_at: Timestamp,
}

/// A token with what events are compared with and a token does not say itself.
#[derive(Clone, Copy, Debug)]
pub struct TokenFacts<'a> {
    /// The token.
    pub token: &'a Token,
    /// The domain of the token's user.
    pub user_domain_id: &'a DomainId,
    /// The roles that the token has now.
    pub role_ids: &'a [RoleId],
    /// The parties of the token's trust.
    pub trust: Option<TrustParties<'a>>,
    /// The consumer of the token's OAuth 1.0a access token.
    pub consumer_id: Option<&'a ConsumerId>,
}

/// Who gave a trust to whom.
#[derive(Clone, Copy, Debug)]
pub struct TrustParties<'a> {
    /// Who gave it.
    pub trustor_id: &'a UserId,
    /// Who received it.
    pub trustee_id: &'a UserId,
}

impl RevocationEvent {
    /// An event made `now`, to be narrowed by struct update: as it stands it revokes every token.
    pub fn at(now: Timestamp) -> Self {
        let second = now.trunc_subsecs(0);
        Self {
            user_id: None,
            project_id: None,
            domain_id: None,
            role_id: None,
            trust_id: None,
            consumer_id: None,
            access_token_id: None,
            audit_id: None,
            audit_chain_id: None,
            expires_at: None,
            issued_before: second,
            revoked_at: second,
        }
    }

    /// Whether the event revokes the token.
    ///
    /// Times are compared in whole seconds, so a token issued in the very second of the event is revoked.
    pub fn revokes(&self, facts: &TokenFacts<'_>) -> bool {
        let token = facts.token;
        fits(&self.audit_id, |id| *id == token.audit_ids.own)
            && self.issued_before >= token.issued_at
            && fits(&self.user_id, |id| facts.involves(id))
            && fits(&self.project_id, |id| token.project_id() == Some(id))
            && fits(&self.trust_id, |id| token.trust_id() == Some(id))
            && fits(&self.domain_id, |id| self.fits_domain(id, facts))
            && fits(&self.expires_at, |time| {
                time.trunc_subsecs(0) == token.expires_at
            })
            && fits(&self.consumer_id, |id| facts.consumer_id == Some(id))
            && fits(&self.audit_chain_id, |id| {
                token.audit_ids.parent == Some(*id)
            })
            && fits(&self.role_id, |id| facts.role_ids.contains(id))
    }

    /// Whether two events differ in their times at most.
    pub(crate) fn names_the_same(&self, other: &Self) -> bool {
        let timeless = |event: &Self| Self {
            issued_before: Timestamp::UNIX_EPOCH,
            revoked_at: Timestamp::UNIX_EPOCH,
            ..event.clone()
        };
        timeless(self) == timeless(other)
    }

    /// A project's domain does not count: Keystone forgets it when it looks at the token's own domain.
    fn fits_domain(&self, id: &DomainId, facts: &TokenFacts<'_>) -> bool {
        let is_scope = facts.token.domain_id() == Some(id);
        is_scope || (self.expires_at.is_none() && facts.user_domain_id == id)
    }
}

impl TokenFacts<'_> {
    /// Whether the user is the token's, or a party of its trust.
    fn involves(&self, user_id: &UserId) -> bool {
        self.token.user_id == *user_id
            || self
                .trust
                .is_some_and(|trust| trust.trustor_id == user_id || trust.trustee_id == user_id)
    }
}

/// Whether a field of an event is absent or holds.
fn fits<T>(field: &Option<T>, holds: impl FnOnce(&T) -> bool) -> bool {
    field.as_ref().is_none_or(holds)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{
        method::Method,
        scope::Scope,
        token::{AuditIds, TokenKind},
    };

    const OWN: AuditId = AuditId::from_bytes([1; 16]);
    const ROOT: AuditId = AuditId::from_bytes([2; 16]);

    fn time(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).unwrap()
    }

    /// A token of user `joe`, whose domain is `home`, issued at 1000 until 4600.
    fn token(kind: TokenKind) -> Token {
        Token {
            user_id: "joe".into(),
            methods: vec![Method::Password],
            kind,
            audit_ids: AuditIds::root(OWN),
            issued_at: time(1000),
            expires_at: time(4600),
        }
    }

    fn unscoped() -> Token {
        token(TokenKind::Direct(Scope::Unscoped))
    }

    fn on_project() -> Token {
        token(TokenKind::Direct(Scope::Project("apollo".into())))
    }

    fn on_domain() -> Token {
        token(TokenKind::Direct(Scope::Domain("away".into())))
    }

    fn by_trust() -> Token {
        token(TokenKind::Trust {
            trust_id: "trust".into(),
            project_id: Some("apollo".into()),
        })
    }

    /// Judges with `joe`'s domain and no more.
    fn revokes(event: &RevocationEvent, token: &Token) -> bool {
        let home = DomainId::from("home");
        event.revokes(&TokenFacts {
            token,
            user_domain_id: &home,
            role_ids: &[],
            trust: None,
            consumer_id: None,
        })
    }

    fn event() -> RevocationEvent {
        RevocationEvent::at(time(1000))
    }

    #[test]
    fn an_event_without_fields_revokes_every_token_of_its_time() {
        for token in [unscoped(), on_project(), on_domain(), by_trust()] {
            assert!(revokes(&event(), &token));
        }
    }

    #[test]
    fn a_token_of_the_same_second_is_revoked_and_one_of_the_next_is_not() {
        let late_in_the_second = time(1000) + TimeDelta::milliseconds(999);
        assert!(revokes(
            &RevocationEvent::at(late_in_the_second),
            &unscoped()
        ));
        assert!(!revokes(&RevocationEvent::at(time(999)), &unscoped()));
    }

    #[test]
    fn issue_is_compared_with_issued_before_not_with_when_the_event_was_made() {
        let backdated = RevocationEvent {
            issued_before: time(999),
            ..event()
        };
        assert!(!revokes(&backdated, &unscoped()));
        let made_long_ago = RevocationEvent {
            revoked_at: time(1),
            ..event()
        };
        assert!(revokes(&made_long_ago, &unscoped()));
    }

    #[test]
    fn a_user_event_fits_only_that_user() {
        let of = |user: &str| RevocationEvent {
            user_id: Some(user.into()),
            ..event()
        };
        assert!(revokes(&of("joe"), &unscoped()));
        assert!(!revokes(&of("eve"), &unscoped()));
        assert!(!revokes(&of("JOE"), &unscoped()));
    }

    #[test]
    fn a_user_event_fits_both_parties_of_a_trust() {
        let (token, home) = (by_trust(), DomainId::from("home"));
        let (trustor, trustee) = (UserId::from("tess"), UserId::from("joe"));
        let facts = TokenFacts {
            token: &token,
            user_domain_id: &home,
            role_ids: &[],
            trust: Some(TrustParties {
                trustor_id: &trustor,
                trustee_id: &trustee,
            }),
            consumer_id: None,
        };
        let of = |user: &str| RevocationEvent {
            user_id: Some(user.into()),
            ..event()
        };
        assert!(of("tess").revokes(&facts));
        assert!(of("joe").revokes(&facts));
        assert!(!of("eve").revokes(&facts));
    }

    #[test]
    fn a_project_event_fits_tokens_on_that_project_only() {
        let on = |project: &str| RevocationEvent {
            project_id: Some(project.into()),
            ..event()
        };
        assert!(revokes(&on("apollo"), &on_project()));
        assert!(revokes(&on("apollo"), &by_trust()));
        assert!(!revokes(&on("gemini"), &on_project()));
        assert!(!revokes(&on("apollo"), &unscoped()));
        assert!(!revokes(&on("away"), &on_domain()));
    }

    #[test]
    fn a_trust_event_fits_tokens_of_that_trust_only() {
        let of = |trust: &str| RevocationEvent {
            trust_id: Some(trust.into()),
            ..event()
        };
        assert!(revokes(&of("trust"), &by_trust()));
        assert!(!revokes(&of("other"), &by_trust()));
        assert!(!revokes(&of("trust"), &on_project()));
    }

    #[test]
    fn a_domain_event_fits_the_users_domain_and_the_scope() {
        let on = |domain: &str| RevocationEvent {
            domain_id: Some(domain.into()),
            ..event()
        };
        assert!(revokes(&on("home"), &unscoped()));
        assert!(revokes(&on("home"), &on_domain()));
        assert!(revokes(&on("away"), &on_domain()));
        assert!(!revokes(&on("away"), &unscoped()));
    }

    #[test]
    fn a_domain_event_with_an_expiry_fits_the_scope_alone() {
        let on = |domain: &str| RevocationEvent {
            domain_id: Some(domain.into()),
            expires_at: Some(time(4600)),
            ..event()
        };
        assert!(revokes(&on("away"), &on_domain()));
        assert!(!revokes(&on("home"), &on_domain()));
        assert!(!revokes(&on("home"), &unscoped()));
    }

    #[test]
    fn a_domain_event_reaches_a_project_token_only_by_its_user() {
        let on = |domain: &str| RevocationEvent {
            domain_id: Some(domain.into()),
            ..event()
        };
        assert!(revokes(&on("home"), &on_project()));
        // Whatever domain owns the project, the token carries only the project.
        assert!(!revokes(&on("away"), &on_project()));
        assert!(!revokes(&on("apollo"), &on_project()));
    }

    #[test]
    fn an_expiry_is_compared_in_whole_seconds() {
        let until = |time| RevocationEvent {
            expires_at: Some(time),
            ..event()
        };
        assert!(revokes(&until(time(4600)), &unscoped()));
        assert!(revokes(
            &until(time(4600) + TimeDelta::milliseconds(999)),
            &unscoped()
        ));
        assert!(!revokes(&until(time(4599)), &unscoped()));
        assert!(!revokes(&until(time(4601)), &unscoped()));
    }

    #[test]
    fn an_audit_event_fits_the_token_itself_and_not_its_descendants() {
        let of = |id| RevocationEvent {
            audit_id: Some(id),
            ..event()
        };
        let child = Token {
            audit_ids: AuditIds {
                own: OWN,
                parent: Some(ROOT),
            },
            ..unscoped()
        };
        assert!(revokes(&of(OWN), &child));
        assert!(!revokes(&of(ROOT), &child));
    }

    #[test]
    fn a_chain_event_fits_the_descendants_and_not_the_root_itself() {
        let of = |id| RevocationEvent {
            audit_chain_id: Some(id),
            ..event()
        };
        let root = Token {
            audit_ids: AuditIds::root(ROOT),
            ..unscoped()
        };
        let child = Token {
            audit_ids: AuditIds::descended(OWN, &root.audit_ids),
            ..unscoped()
        };
        assert!(revokes(&of(ROOT), &child));
        assert!(!revokes(&of(OWN), &child));
        assert!(!revokes(&of(ROOT), &root));
    }

    #[test]
    fn a_role_event_fits_tokens_that_have_the_role_now() {
        let (token, home) = (on_project(), DomainId::from("home"));
        let roles = [RoleId::from("reader"), RoleId::from("member")];
        let facts = TokenFacts {
            token: &token,
            user_domain_id: &home,
            role_ids: &roles,
            trust: None,
            consumer_id: None,
        };
        let of = |role: &str| RevocationEvent {
            role_id: Some(role.into()),
            ..event()
        };
        assert!(of("member").revokes(&facts));
        assert!(!of("admin").revokes(&facts));
        assert!(!revokes(&of("member"), &unscoped()));
    }

    #[test]
    fn a_consumer_event_fits_its_tokens_and_the_access_token_is_never_compared() {
        let kind = TokenKind::AccessToken {
            access_token_id: "access".into(),
            project_id: "apollo".into(),
        };
        let (token, home) = (token(kind), DomainId::from("home"));
        let consumer = ConsumerId::from("consumer");
        let facts = TokenFacts {
            token: &token,
            user_domain_id: &home,
            role_ids: &[],
            trust: None,
            consumer_id: Some(&consumer),
        };
        let of = |id: &str| RevocationEvent {
            consumer_id: Some(id.into()),
            ..event()
        };
        assert!(of("consumer").revokes(&facts));
        assert!(!of("other").revokes(&facts));
        assert!(!revokes(&of("consumer"), &unscoped()));
        let access = RevocationEvent {
            access_token_id: Some("another".into()),
            ..event()
        };
        assert!(access.revokes(&facts));
        assert!(revokes(&access, &unscoped()));
    }

    #[test]
    fn an_event_revokes_only_what_fits_all_of_its_fields() {
        let both = |user: &str, project: &str| RevocationEvent {
            user_id: Some(user.into()),
            project_id: Some(project.into()),
            ..event()
        };
        assert!(revokes(&both("joe", "apollo"), &on_project()));
        assert!(!revokes(&both("joe", "gemini"), &on_project()));
        assert!(!revokes(&both("eve", "apollo"), &on_project()));
    }
}
