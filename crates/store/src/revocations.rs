//! Revocation events.

use model::Timestamp;
use model::ids::{DomainId, GroupId, IdentityProviderId};
use model::revocation::RevocationEvent;
use model::token::AuditId;

use crate::change::Entity;
use crate::db::{Conn, Tx};
use crate::error::StoreError;
use crate::value::Row;

/// Reads revocation events.
pub struct Revocations<'a> {
    pub(crate) db: Conn<'a>,
}

const COLUMNS: &str = "user_id, project_id, domain_id, role_id, trust_id, consumer_id, \
     access_token_id, audit_id, audit_chain_id, expires_at, issued_before, revoked_at";

impl Revocations<'_> {
    /// All events that were made after a moment, in their order.
    pub async fn list(
        &mut self,
        since: Option<Timestamp>,
    ) -> Result<Vec<RevocationEvent>, StoreError> {
        let which = match since {
            None => "",
            Some(_) => "WHERE revoked_at > ? ",
        };
        let sql =
            format!("SELECT id, {COLUMNS} FROM revocation_event {which}ORDER BY revoked_at, id");
        let query = self.db.built_query(sql).bind_all(since);
        query.fold(keep_event).await
    }
}

/// Adds revocation events, in a transaction. This node judges by them from its commit on; what the
/// others read of them, they follow.
pub struct RevocationsMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl RevocationsMut<'_> {
    /// Adds an event.
    pub async fn insert(&mut self, event: &RevocationEvent) -> Result<(), StoreError> {
        let rest = format!("({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
        self.tx
            .insert("revocation_event", Entity::New, rest)
            .bind(event.user_id.as_ref())
            .bind(event.project_id.as_ref())
            .bind(event.domain_id.as_ref())
            .bind(event.role_id.as_ref())
            .bind(event.trust_id.as_ref())
            .bind(event.consumer_id.as_ref())
            .bind(event.access_token_id.as_ref())
            .bind(event.audit_id.map(|id| id.to_string()))
            .bind(event.audit_chain_id.map(|id| id.to_string()))
            .bind(event.expires_at)
            .bind(event.issued_before)
            .bind(event.revoked_at)
            .execute()
            .await?;
        self.tx.revoke([event.clone()]);
        Ok(())
    }

    /// The same for each user whom an identity provider keeps, as one event per user.
    pub async fn insert_for_provider(
        &mut self,
        id: &IdentityProviderId,
        revoked_at: Timestamp,
    ) -> Result<(), StoreError> {
        let rest = r#"(user_id, issued_before, revoked_at)
            SELECT id, ?, ? FROM "user"
            WHERE id IN (SELECT user_id FROM federated_user WHERE idp_id = ?)"#;
        self.tx
            .insert("revocation_event", Entity::New, rest)
            .bind(revoked_at)
            .bind(revoked_at)
            .bind(id)
            .execute()
            .await?;
        self.note(revoked_at).await
    }

    /// The same for each member of a group, as one event per user.
    pub async fn insert_for_members(
        &mut self,
        id: &GroupId,
        revoked_at: Timestamp,
    ) -> Result<(), StoreError> {
        let rest = "(user_id, issued_before, revoked_at) \
             SELECT user_id, ?, ? FROM user_group_membership WHERE group_id = ?";
        self.tx
            .insert("revocation_event", Entity::New, rest)
            .bind(revoked_at)
            .bind(revoked_at)
            .bind(id)
            .execute()
            .await?;
        self.note(revoked_at).await
    }

    /// The same for all that a domain holds: one event for each of its users and projects, for
    /// itself, and for each member of its groups with roles, wherever those members are from.
    pub async fn insert_for_domain(
        &mut self,
        id: &DomainId,
        revoked_at: Timestamp,
    ) -> Result<(), StoreError> {
        for select in [
            r#"SELECT id, NULL, ?, ? FROM "user" WHERE domain_id = ?
               UNION SELECT m.user_id, NULL, ?, ? FROM user_group_membership m
               JOIN "group" g ON g.id = m.group_id
               WHERE g.domain_id = ? AND (
                 EXISTS (SELECT 1 FROM assignment a
                   WHERE a.type IN ('GroupProject', 'GroupDomain') AND a.actor_id = g.id)
                 OR EXISTS (SELECT 1 FROM system_assignment s
                   WHERE s.type = 'GroupSystem' AND s.actor_id = g.id))"#,
            "SELECT NULL, id, ?, ? FROM project WHERE domain_id = ? \
             UNION SELECT NULL, id, ?, ? FROM project WHERE id = ?",
        ] {
            let rest = format!("(user_id, project_id, issued_before, revoked_at) {select}");
            let mut insert = self.tx.insert("revocation_event", Entity::New, rest);
            for _ in 0..2 {
                insert = insert.bind(revoked_at).bind(revoked_at).bind(id);
            }
            insert.execute().await?;
        }
        self.note(revoked_at).await
    }

    /// Finds out which events the database made of a statement of ours: those of this moment that name
    /// a user or a project alone. Others like them count as well.
    async fn note(&mut self, revoked_at: Timestamp) -> Result<(), StoreError> {
        let sql = "SELECT user_id, project_id FROM revocation_event \
                   WHERE revoked_at = ? AND issued_before = ? AND domain_id IS NULL \
                   AND role_id IS NULL AND trust_id IS NULL AND consumer_id IS NULL \
                   AND access_token_id IS NULL AND audit_id IS NULL AND audit_chain_id IS NULL \
                   AND expires_at IS NULL";
        let mut reading = self.tx.read();
        let query = reading.query(sql).bind(revoked_at).bind(revoked_at);
        let named = query.fold(|named: &mut Vec<_>, row| {
            named.push((row.optional_id("user_id")?, row.optional_id("project_id")?));
            Ok(())
        });
        let events = named.await?.into_iter();
        let events = events.map(|(user_id, project_id)| RevocationEvent {
            user_id,
            project_id,
            // As they were written, whatever part of a second there is.
            issued_before: revoked_at,
            revoked_at,
            ..RevocationEvent::at(revoked_at)
        });
        self.tx.revoke(events);
        Ok(())
    }
}

/// Reads an event. One whose audit id cannot be one matches no token, and is passed over.
fn keep_event(events: &mut Vec<RevocationEvent>, row: Row) -> Result<(), StoreError> {
    events.extend(event(&row).0);
    Ok(())
}

/// One event, and what of it cannot be read: it revokes all that it may stand for. `None` when an audit
/// id cannot be one: such an event fits no token.
pub(crate) fn event(row: &Row) -> (Option<RevocationEvent>, Option<String>) {
    let mut unreadable = Vec::new();
    macro_rules! read {
        ($how:ident, $column:literal, $otherwise:expr) => {
            row.$how($column).unwrap_or_else(|error| {
                unreadable.push(error.to_string());
                $otherwise
            })
        };
    }
    let audit_ids = (
        read!(optional_text, "audit_id", None),
        read!(optional_text, "audit_chain_id", None),
    );
    let parse = |id: Option<String>| id.map(|id| id.parse::<AuditId>()).transpose();
    let (Ok(audit_id), Ok(audit_chain_id)) = (parse(audit_ids.0), parse(audit_ids.1)) else {
        return (None, None);
    };
    let event = RevocationEvent {
        user_id: read!(optional_id, "user_id", None),
        project_id: read!(optional_id, "project_id", None),
        domain_id: read!(optional_id, "domain_id", None),
        role_id: read!(optional_id, "role_id", None),
        trust_id: read!(optional_id, "trust_id", None),
        consumer_id: read!(optional_id, "consumer_id", None),
        access_token_id: read!(optional_id, "access_token_id", None),
        audit_id,
        audit_chain_id,
        expires_at: read!(optional_time, "expires_at", None),
        issued_before: read!(time, "issued_before", Timestamp::MAX_UTC),
        revoked_at: read!(time, "revoked_at", Timestamp::MAX_UTC),
    };
    let complaint = (!unreadable.is_empty()).then(|| unreadable.join("; "));
    (Some(event), complaint)
}

#[cfg(test)]
mod tests {
    use model::revocation::TokenFacts;
    use model::token::{AuditIds, Token, TokenKind};
    use model::{Method, Scope};

    use super::*;
    use crate::Store;
    use crate::dialect::Dialect;
    use crate::scratch::{run, store};

    #[tokio::test]
    async fn an_event_whose_audit_id_is_none_matches_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        for column in ["audit_id", "audit_chain_id"] {
            let sql = format!(
                "INSERT INTO revocation_event ({column}, issued_before, revoked_at) \
                 VALUES ('no audit id', '2030-01-01 00:00:00', '2030-01-01 00:00:00')"
            );
            run(&store, &sql).await;
        }
        let at = |second| Timestamp::from_timestamp(second, 0).unwrap();
        let zeros = AuditId::from_bytes([0; 16]);
        let token = Token {
            user_id: "ada".into(),
            methods: vec![Method::Password],
            kind: TokenKind::Direct(Scope::Unscoped),
            audit_ids: AuditIds::descended(zeros, &AuditIds::root(zeros)),
            issued_at: at(1000),
            expires_at: at(2000),
        };
        store.ensure_synced().await.unwrap();
        let revoked = store.is_revoked(&TokenFacts {
            token: &token,
            user_domain_id: &"default".into(),
            role_ids: &[],
            trust: None,
            consumer_id: None,
        });
        assert!(!revoked);
        assert!(store.revocations().list(None).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_event_of_a_time_that_cannot_be_read_revokes_all_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let time = match store.dialect() {
            Dialect::MariaDb => "0000-00-00 00:00:00",
            Dialect::Postgres => "infinity",
            Dialect::Sqlite => "not a time",
        };
        let sql = format!(
            "INSERT INTO revocation_event (user_id, issued_before, revoked_at) \
             VALUES ('ada', '{time}', '2030-01-01 00:00:00'), \
               ('joe', '2030-01-01 00:00:00', '{time}')"
        );
        run(&store, &sql).await;
        store.sync().await.unwrap();
        let is_revoked = |user: &str, year| {
            let day = chrono::NaiveDate::from_ymd_opt(year, 1, 1).unwrap();
            let token = Token {
                user_id: user.into(),
                methods: vec![Method::Password],
                kind: TokenKind::Direct(Scope::Unscoped),
                audit_ids: AuditIds::root(AuditId::from_bytes([1; 16])),
                issued_at: day.and_hms_opt(0, 0, 0).unwrap().and_utc(),
                expires_at: Timestamp::MAX_UTC,
            };
            store.is_revoked(&TokenFacts {
                token: &token,
                user_domain_id: &"default".into(),
                role_ids: &[],
                trust: None,
                consumer_id: None,
            })
        };
        assert!(is_revoked("ada", 2040), "no time is after it");
        assert!(is_revoked("joe", 2029));
        assert!(!is_revoked("joe", 2031), "this time can be read");
        assert!(!is_revoked("eve", 2029));
        assert_eq!(store.revocations().list(None).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn what_the_database_makes_of_a_statement_counts_here_from_the_commit_on() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        for sql in [
            "INSERT INTO project (id, name, domain_id, is_domain, enabled, extra) \
             SELECT 'd', 'd', id, is_domain, enabled, '{}' FROM project",
            "INSERT INTO \"user\" (id, domain_id, extra) VALUES ('ada', 'd', '{}')",
            "INSERT INTO \"user\" (id, domain_id, extra) VALUES ('joe', 'd', '{}')",
            "INSERT INTO \"group\" (id, domain_id, name, extra) VALUES ('g', 'd', 'g', '{}')",
            "INSERT INTO user_group_membership (user_id, group_id) VALUES ('ada', 'g')",
        ] {
            run(&store, sql).await;
        }
        store.sync().await.unwrap();
        let revoked = |user: &str| is_revoked(&store, user);
        let at = Timestamp::from_timestamp(2_000, 0).unwrap();
        let mut tx = store.begin().await.unwrap();
        let mut revocations = tx.revocations_mut();
        revocations
            .insert_for_members(&"g".into(), at)
            .await
            .unwrap();
        assert!(!revoked("ada"), "not before the commit");
        let _saved = tx.commit().await.unwrap();
        assert!(revoked("ada") && !revoked("joe"));
        let mut tx = store.begin().await.unwrap();
        let mut revocations = tx.revocations_mut();
        revocations
            .insert_for_domain(&"d".into(), at)
            .await
            .unwrap();
        let _saved = tx.commit().await.unwrap();
        assert!(revoked("joe"));
    }

    #[tokio::test]
    async fn of_many_events_at_once_and_of_one_beside_them_none_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let neighbour = Store::connect(&store.db.options).unwrap();
        let digits: Vec<String> = (0..40)
            .map(|digit| format!("SELECT {digit} AS d"))
            .collect();
        let digits = digits.join(" UNION ALL ");
        let all =
            format!("SELECT CONCAT('u', a.d + 40 * b.d) FROM ({digits}) a CROSS JOIN ({digits}) b");
        for sql in [
            "INSERT INTO project (id, name, domain_id, is_domain, enabled, extra) \
             SELECT 'd', 'd', id, is_domain, enabled, '{}' FROM project",
            &all.replace(
                "SELECT CONCAT",
                "INSERT INTO \"user\" (domain_id, id) SELECT 'd', CONCAT",
            ),
            "INSERT INTO \"group\" (id, domain_id, name, extra) VALUES ('g', 'd', 'g', '{}')",
            "INSERT INTO user_group_membership (group_id, user_id) SELECT 'g', id FROM \"user\"",
        ] {
            run(&store, sql).await;
        }
        for store in [&store, &neighbour] {
            store.sync().await.unwrap();
        }
        let at = |second| Timestamp::from_timestamp(second, 0).unwrap();
        let mut tx = store.begin().await.unwrap();
        let mut revocations = tx.revocations_mut();
        revocations
            .insert_for_members(&"g".into(), at(2_000))
            .await
            .unwrap();
        let _saved = tx.commit().await.unwrap();
        let mut tx = neighbour.begin().await.unwrap();
        let event = RevocationEvent {
            user_id: Some("joe".into()),
            ..RevocationEvent::at(at(2_000))
        };
        tx.revocations_mut().insert(&event).await.unwrap();
        let _saved = tx.commit().await.unwrap();
        for store in [&store, &neighbour] {
            store.sync().await.unwrap();
            for user in ["u0", "u799", "u1599", "joe"] {
                assert!(is_revoked(store, user), "{user}");
            }
        }
        // A backup is restored in which none of them is.
        run(&neighbour, "DELETE FROM revocation_event").await;
        for store in [&store, &neighbour] {
            store.sync().await.unwrap();
            assert!(!is_revoked(store, "u0") && !is_revoked(store, "joe"));
        }
    }

    fn is_revoked(store: &Store, user: &str) -> bool {
        let token = Token {
            user_id: user.into(),
            methods: vec![Method::Password],
            kind: TokenKind::Direct(Scope::Unscoped),
            audit_ids: AuditIds::root(AuditId::from_bytes([1; 16])),
            issued_at: Timestamp::from_timestamp(1_000, 0).unwrap(),
            expires_at: Timestamp::MAX_UTC,
        };
        store.is_revoked(&TokenFacts {
            token: &token,
            user_domain_id: &"d".into(),
            role_ids: &[],
            trust: None,
            consumer_id: None,
        })
    }
}
