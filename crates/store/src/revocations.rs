//! Revocation events.

use model::Timestamp;
use model::ids::{DomainId, GroupId};
use model::revocation::RevocationEvent;
use model::token::Token;

use crate::db::Conn;
use crate::error::StoreError;
use crate::value::{FromRow, Row};

/// Revocation events of the database.
pub struct Revocations<'a> {
    pub(crate) db: Conn<'a>,
}

const COLUMNS: &str = "user_id, project_id, domain_id, role_id, trust_id, consumer_id, \
     access_token_id, audit_id, audit_chain_id, expires_at, issued_before, revoked_at";

impl Revocations<'_> {
    /// The events that could revoke a token: those of its time that name something of it, or
    /// nothing that a token can be told apart by. The model decides.
    pub async fn list_candidates(
        &mut self,
        token: &Token,
    ) -> Result<Vec<RevocationEvent>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM revocation_event WHERE issued_before >= ? \
             AND (audit_id IS NULL OR audit_id = ?) \
             AND (project_id IS NULL OR project_id = ?) \
             AND (user_id IS NULL OR user_id = ? OR ? = ?)"
        );
        // The parties of a trust count as users too; only then every user's events matter.
        let any_user = i64::from(token.trust_id().is_some());
        self.db
            .built_query(sql)
            .bind(token.issued_at)
            .bind(token.audit_ids.own.to_string())
            .bind(token.project_id())
            .bind(&token.user_id)
            .bind(any_user)
            .bind(1_i64)
            .all()
            .await
    }

    /// All events that were made after a moment, in their order.
    pub async fn list(
        &mut self,
        since: Option<Timestamp>,
    ) -> Result<Vec<RevocationEvent>, StoreError> {
        match since {
            None => {
                let sql = format!("SELECT {COLUMNS} FROM revocation_event ORDER BY revoked_at, id");
                self.db.built_query(sql).all().await
            }
            Some(since) => {
                let sql = format!(
                    "SELECT {COLUMNS} FROM revocation_event WHERE revoked_at > ? \
                     ORDER BY revoked_at, id"
                );
                self.db.built_query(sql).bind(since).all().await
            }
        }
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

impl FromRow for RevocationEvent {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        // An audit id that cannot be one matches no token, but must not stop the others.
        let audit_id = |column| -> Result<_, StoreError> {
            Ok(row.optional_text(column)?.map(|text| {
                text.parse()
                    .unwrap_or_else(|_| model::token::AuditId::from_bytes([0; 16]))
            }))
        };
        Ok(Self {
            user_id: row.optional_id("user_id")?,
            project_id: row.optional_id("project_id")?,
            domain_id: row.optional_id("domain_id")?,
            role_id: row.optional_id("role_id")?,
            trust_id: row.optional_id("trust_id")?,
            consumer_id: row.optional_id("consumer_id")?,
            access_token_id: row.optional_id("access_token_id")?,
            audit_id: audit_id("audit_id")?,
            audit_chain_id: audit_id("audit_chain_id")?,
            expires_at: row.optional_time("expires_at")?,
            issued_before: row.time("issued_before")?,
            revoked_at: row.time("revoked_at")?,
        })
    }
}
