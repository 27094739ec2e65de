//! Revocation events, filed by what they match on.
//!
//! Judging a token looks only at the events that name something of it, so it costs the same
//! however many events there are.

use std::collections::HashMap;
use std::hash::Hash;

use crate::Timestamp;
use crate::ids::{ConsumerId, DomainId, ProjectId, RoleId, TrustId, UserId};
use crate::revocation::{RevocationEvent, TokenFacts};
use crate::token::AuditId;

/// Revocation events, each filed under the narrowest thing that it names.
#[derive(Debug, Default)]
pub struct RevocationIndex {
    by_audit_id: Filed<AuditId>,
    by_audit_chain_id: Filed<AuditId>,
    by_trust: Filed<TrustId>,
    by_consumer: Filed<ConsumerId>,
    by_user: Filed<UserId>,
    by_project: Filed<ProjectId>,
    by_role: Filed<RoleId>,
    by_domain: Filed<DomainId>,
    /// Those that name nothing that a token could be found by.
    others: Vec<RevocationEvent>,
}

type Filed<K> = HashMap<K, Vec<RevocationEvent>>;

impl RevocationIndex {
    /// Files an event. One that differs from another only in its times takes that one's place when
    /// it revokes more.
    pub fn insert(&mut self, event: RevocationEvent) {
        let place = if let Some(id) = &event.audit_id {
            self.by_audit_id.entry(*id).or_default()
        } else if let Some(id) = &event.audit_chain_id {
            self.by_audit_chain_id.entry(*id).or_default()
        } else if let Some(id) = &event.trust_id {
            self.by_trust.entry(id.clone()).or_default()
        } else if let Some(id) = &event.consumer_id {
            self.by_consumer.entry(id.clone()).or_default()
        } else if let Some(id) = &event.user_id {
            self.by_user.entry(id.clone()).or_default()
        } else if let Some(id) = &event.project_id {
            self.by_project.entry(id.clone()).or_default()
        } else if let Some(id) = &event.role_id {
            self.by_role.entry(id.clone()).or_default()
        } else if let Some(id) = &event.domain_id {
            self.by_domain.entry(id.clone()).or_default()
        } else {
            &mut self.others
        };
        // One of which a time is not known stays by itself: it must not keep others for ever.
        let has_times = |event: &RevocationEvent| {
            event.issued_before < Timestamp::MAX_UTC && event.revoked_at < Timestamp::MAX_UTC
        };
        let joins = |known: &&mut RevocationEvent| {
            known.names_the_same(&event)
                && (**known == event || (has_times(known) && has_times(&event)))
        };
        match place.iter_mut().find(joins) {
            Some(known) => {
                known.issued_before = known.issued_before.max(event.issued_before);
                known.revoked_at = known.revoked_at.max(event.revoked_at);
            }
            None => place.push(event),
        }
    }

    /// Whether an event revokes the token.
    pub fn revokes(&self, facts: &TokenFacts<'_>) -> bool {
        let token = facts.token;
        let users = [Some(&token.user_id)].into_iter().chain(
            facts
                .trust
                .into_iter()
                .flat_map(|trust| [Some(trust.trustor_id), Some(trust.trustee_id)]),
        );
        let domains = [Some(facts.user_domain_id), token.domain_id()];
        let mut candidates = under(&self.by_audit_id, [Some(&token.audit_ids.own)])
            .chain(under(
                &self.by_audit_chain_id,
                [token.audit_ids.parent.as_ref()],
            ))
            .chain(under(&self.by_trust, [token.trust_id()]))
            .chain(under(&self.by_consumer, [facts.consumer_id]))
            .chain(under(&self.by_user, users))
            .chain(under(&self.by_project, [token.project_id()]))
            .chain(under(&self.by_role, facts.role_ids.iter().map(Some)))
            .chain(under(&self.by_domain, domains))
            .chain(&self.others);
        candidates.any(|event| event.revokes(facts))
    }

    /// Drops the events made before a moment: no token of their time can be valid any more.
    pub fn forget(&mut self, before: Timestamp) {
        fn sweep<K: Eq + Hash>(filed: &mut Filed<K>, before: Timestamp) {
            filed.retain(|_, events| {
                events.retain(|event| event.revoked_at >= before);
                !events.is_empty()
            });
        }
        sweep(&mut self.by_audit_id, before);
        sweep(&mut self.by_audit_chain_id, before);
        sweep(&mut self.by_trust, before);
        sweep(&mut self.by_consumer, before);
        sweep(&mut self.by_user, before);
        sweep(&mut self.by_project, before);
        sweep(&mut self.by_role, before);
        sweep(&mut self.by_domain, before);
        self.others.retain(|event| event.revoked_at >= before);
    }
}

/// The events filed under any of these keys.
fn under<'a, K: Eq + Hash + 'a>(
    filed: &'a Filed<K>,
    keys: impl IntoIterator<Item = Option<&'a K>>,
) -> impl Iterator<Item = &'a RevocationEvent> {
    keys.into_iter()
        .flatten()
        .filter_map(|key| filed.get(key))
        .flatten()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::method::Method;
    use crate::scope::Scope;
    use crate::token::{AuditIds, Token, TokenKind};

    fn time(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).unwrap()
    }

    fn token() -> Token {
        Token {
            user_id: "joe".into(),
            methods: vec![Method::Password],
            kind: TokenKind::Direct(Scope::Project("apollo".into())),
            audit_ids: AuditIds::descended(
                AuditId::from_bytes([1; 16]),
                &AuditIds::root(AuditId::from_bytes([2; 16])),
            ),
            issued_at: time(1000),
            expires_at: time(4600),
        }
    }

    /// One event for each thing that a token can be found by.
    fn events() -> Vec<RevocationEvent> {
        let at = RevocationEvent::at(time(1000));
        vec![
            RevocationEvent {
                audit_id: Some(AuditId::from_bytes([1; 16])),
                ..at.clone()
            },
            RevocationEvent {
                audit_chain_id: Some(AuditId::from_bytes([2; 16])),
                ..at.clone()
            },
            RevocationEvent {
                user_id: Some("joe".into()),
                ..at.clone()
            },
            RevocationEvent {
                project_id: Some("apollo".into()),
                ..at.clone()
            },
            RevocationEvent {
                role_id: Some("reader".into()),
                ..at.clone()
            },
            RevocationEvent {
                domain_id: Some("home".into()),
                ..at.clone()
            },
            at,
        ]
    }

    fn revokes(index: &RevocationIndex, token: &Token) -> bool {
        index.revokes(&TokenFacts {
            token,
            user_domain_id: &"home".into(),
            role_ids: &["reader".into()],
            trust: None,
            consumer_id: None,
        })
    }

    #[test]
    fn an_event_is_found_by_whatever_it_names() {
        for event in events() {
            let mut index = RevocationIndex::default();
            assert!(!revokes(&index, &token()));
            index.insert(event.clone());
            assert!(revokes(&index, &token()), "{event:?}");
        }
    }

    #[test]
    fn the_later_of_two_equal_events_counts_and_takes_no_more_room() {
        let mut index = RevocationIndex::default();
        for second in [1200, 900, 999] {
            index.insert(RevocationEvent {
                user_id: Some("joe".into()),
                ..RevocationEvent::at(time(second))
            });
        }
        assert!(revokes(&index, &token()));
        assert_eq!(index.by_user.values().flatten().count(), 1);
    }

    #[test]
    fn what_is_too_old_is_forgotten() {
        for event in events() {
            let mut index = RevocationIndex::default();
            index.insert(event.clone());
            index.forget(time(1000));
            assert!(revokes(&index, &token()), "{event:?}");
            index.forget(time(1000) + TimeDelta::seconds(1));
            assert!(!revokes(&index, &token()), "{event:?}");
        }
    }
}
