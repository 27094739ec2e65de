//! Revocation events.

use model::Timestamp;
use model::ids::{DomainId, GroupId, IdentityProviderId};
use model::revocation::RevocationEvent;
use model::token::AuditId;

use crate::db::Conn;
use crate::error::StoreError;
use crate::value::Row;

/// Revocation events of the database.
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
        let rows = match since {
            None => {
                let sql = format!("SELECT {COLUMNS} FROM revocation_event ORDER BY revoked_at, id");
                self.db.built_query(sql).rows().await?
            }
            Some(since) => {
                let sql = format!(
                    "SELECT {COLUMNS} FROM revocation_event WHERE revoked_at > ? \
                     ORDER BY revoked_at, id"
                );
                self.db.built_query(sql).bind(since).rows().await?
            }
        };
        events(&rows)
    }

    /// Adds an event, and forgets those made before `horizon`: no token of their time can be
    /// valid any more.
    pub async fn insert(
        &mut self,
        event: &RevocationEvent,
        horizon: Timestamp,
    ) -> Result<(), StoreError> {
        self.forget(horizon).await?;
        let sql = format!(
            "INSERT INTO revocation_event ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        );
        self.db
            .built_query(sql)
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
        Ok(())
    }

    /// The same for each user whom an identity provider keeps, as one event per user.
    pub async fn insert_for_provider(
        &mut self,
        id: &IdentityProviderId,
        revoked_at: Timestamp,
        horizon: Timestamp,
    ) -> Result<(), StoreError> {
        self.forget(horizon).await?;
        self.db
            .query(
                r#"INSERT INTO revocation_event (user_id, issued_before, revoked_at)
                   SELECT id, ?, ? FROM "user"
                   WHERE id IN (SELECT user_id FROM federated_user WHERE idp_id = ?)"#,
            )
            .bind(revoked_at)
            .bind(revoked_at)
            .bind(id)
            .execute()
            .await?;
        Ok(())
    }

    /// The same for each member of a group, as one event per user.
    pub async fn insert_for_members(
        &mut self,
        id: &GroupId,
        revoked_at: Timestamp,
        horizon: Timestamp,
    ) -> Result<(), StoreError> {
        self.forget(horizon).await?;
        self.db
            .query(
                "INSERT INTO revocation_event (user_id, issued_before, revoked_at) \
                 SELECT user_id, ?, ? FROM user_group_membership WHERE group_id = ?",
            )
            .bind(revoked_at)
            .bind(revoked_at)
            .bind(id)
            .execute()
            .await?;
        Ok(())
    }

    /// The same for all that a domain holds: one event for each of its users and projects, for
    /// itself, and for each member of its groups with roles, wherever those members are from.
    pub async fn insert_for_domain(
        &mut self,
        id: &DomainId,
        revoked_at: Timestamp,
        horizon: Timestamp,
    ) -> Result<(), StoreError> {
        self.forget(horizon).await?;
        for select in [
            r#"SELECT id, NULL, ?, ? FROM "user" WHERE domain_id = ?
               UNION SELECT m.user_id, NULL, ?, ? FROM user_group_membership m
               JOIN "group" g ON g.id = m.group_id
               WHERE g.domain_id = ? AND (
                 g.id IN (SELECT actor_id FROM assignment
                   WHERE type IN ('GroupProject', 'GroupDomain'))
                 OR g.id IN (SELECT actor_id FROM system_assignment WHERE type = 'GroupSystem'))"#,
            "SELECT NULL, id, ?, ? FROM project WHERE domain_id = ? \
             UNION SELECT NULL, id, ?, ? FROM project WHERE id = ?",
        ] {
            let sql = format!(
                "INSERT INTO revocation_event (user_id, project_id, issued_before, revoked_at) \
                 {select}"
            );
            let mut query = self.db.built_query(sql);
            for _ in 0..2 {
                query = query.bind(revoked_at).bind(revoked_at).bind(id);
            }
            query.execute().await?;
        }
        Ok(())
    }

    async fn forget(&mut self, horizon: Timestamp) -> Result<(), StoreError> {
        self.db
            .query("DELETE FROM revocation_event WHERE revoked_at < ?")
            .bind(horizon)
            .execute()
            .await?;
        Ok(())
    }
}

/// Reads events. One whose audit id cannot be one matches no token, and is passed over.
fn events(rows: &[Row]) -> Result<Vec<RevocationEvent>, StoreError> {
    let events = rows.iter().map(event).filter_map(Result::transpose);
    events.collect()
}

/// One event; `None` when an audit id cannot be one: such an event fits no token.
pub(crate) fn event(row: &Row) -> Result<Option<RevocationEvent>, StoreError> {
    let audit_id = |column| -> Result<_, StoreError> {
        let text = row.optional_text(column)?;
        Ok(text.map(|text| text.parse::<AuditId>()).transpose())
    };
    let (Ok(audit_id), Ok(audit_chain_id)) = (audit_id("audit_id")?, audit_id("audit_chain_id")?)
    else {
        return Ok(None);
    };
    Ok(Some(RevocationEvent {
        user_id: row.optional_id("user_id")?,
        project_id: row.optional_id("project_id")?,
        domain_id: row.optional_id("domain_id")?,
        role_id: row.optional_id("role_id")?,
        trust_id: row.optional_id("trust_id")?,
        consumer_id: row.optional_id("consumer_id")?,
        access_token_id: row.optional_id("access_token_id")?,
        audit_id,
        audit_chain_id,
        expires_at: row.optional_time("expires_at")?,
        issued_before: row.time("issued_before")?,
        revoked_at: row.time("revoked_at")?,
    }))
}

#[cfg(test)]
mod tests {
    use model::revocation::TokenFacts;
    use model::token::{AuditIds, Token, TokenKind};
    use model::{Method, Scope};

    use super::*;
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
        store.ensure_fresh().await.unwrap();
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
}
