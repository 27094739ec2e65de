//! What was seen at logins that providers vouched for: one-time values, and sessions there.

use chrono::TimeDelta;
use model::Timestamp;
use model::ids::{IdentityProviderId, ProtocolId, UserId};
use model::token::AuditId;

use crate::change::Entity;
use crate::db::{Conn, Tx};
use crate::dialect::placeholders;
use crate::error::StoreError;
use crate::value::unreadable;

/// For how long what counts once is remembered after it has ceased to count: the clock of another
/// node may be behind, and a provider may be given more time meanwhile.
const REMEMBERED: TimeDelta = TimeDelta::hours(1);

/// Reads one-time values and sessions.
pub struct ProviderSessions<'a> {
    pub(crate) db: Conn<'a>,
}

/// A session at a provider, and the tokens that came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTokens {
    /// Whose tokens.
    pub user_id: UserId,
    /// The root of their chain.
    pub audit_id: AuditId,
}

impl ProviderSessions<'_> {
    /// When the latest of these ended; `None` when none did of late.
    pub async fn ended_at(&mut self, ids: &[String]) -> Result<Option<Timestamp>, StoreError> {
        let marks = placeholders(ids.len());
        let sql = format!("SELECT until FROM archstone_one_time WHERE id IN ({marks})");
        let ids = ids.iter().map(String::as_str);
        let rows = self.db.built_query(sql).bind_all(ids).rows().await?;
        let mut latest = None;
        for row in &rows {
            latest = latest.max(Timestamp::from_timestamp_micros(row.int("until")?));
        }
        Ok(latest)
    }
}

/// Changes one-time values and sessions, in a transaction.
pub struct ProviderSessionsMut<'a> {
    pub(crate) tx: &'a mut Tx,
}

impl ProviderSessionsMut<'_> {
    /// Uses up a value until its end.
    ///
    /// # Errors
    ///
    /// A conflict when it was used before.
    pub async fn use_up(&mut self, id: &str, until: Timestamp) -> Result<(), StoreError> {
        self.tx
            .insert(
                "archstone_one_time",
                Entity::Any,
                "(id, until) VALUES (?, ?)",
            )
            .bind(id)
            .bind(until.timestamp_micros())
            .execute()
            .await
            .map_err(|error| error.on_unique("one_time"))?;
        Ok(())
    }

    /// Notes when something ended, for those that began before and have not come to their end.
    pub async fn note_end(&mut self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        let delete = self
            .tx
            .delete("archstone_one_time", Entity::Any, "WHERE id = ?")
            .bind(id);
        delete.execute().await?;
        self.use_up(id, at).await
    }

    /// Notes which tokens came of a session, until they expire.
    pub async fn insert(
        &mut self,
        provider: &IdentityProviderId,
        protocol: &ProtocolId,
        subject: &str,
        session_id: Option<&str>,
        tokens: &SessionTokens,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        self.tx
            .insert(
                "archstone_provider_session",
                Entity::Any,
                "(idp_id, protocol_id, subject, session_id, user_id, audit_id, until) \
                 VALUES (?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(provider)
            .bind(protocol)
            .bind(subject)
            .bind(session_id)
            .bind(&tokens.user_id)
            .bind(tokens.audit_id.to_string())
            .bind(until.timestamp_micros())
            .execute()
            .await?;
        Ok(())
    }

    /// Forgets what has come to its end. Apart from the logins, which would wait for each other.
    pub async fn forget(&mut self, now: Timestamp) -> Result<(), StoreError> {
        for (table, ended) in [
            ("archstone_one_time", now - REMEMBERED),
            ("archstone_provider_session", now),
        ] {
            let delete = self.tx.delete(table, Entity::Any, "WHERE until < ?");
            delete.bind(ended.timestamp_micros()).execute().await?;
        }
        Ok(())
    }

    /// Takes out the tokens of a session, or of all sessions of a subject. A login of which nobody knows
    /// the session, as one by a client's token, ends with any session of its subject.
    pub async fn take(
        &mut self,
        provider: &IdentityProviderId,
        protocol: &ProtocolId,
        subject: Option<&str>,
        session_id: Option<&str>,
    ) -> Result<Vec<SessionTokens>, StoreError> {
        let mut which = String::from("idp_id = ? AND protocol_id = ?");
        let mut values = vec![provider.as_str(), protocol.as_str()];
        if let Some(subject) = subject {
            which.push_str(" AND subject = ?");
            values.push(subject);
        }
        if let Some(session_id) = session_id {
            which.push_str(match subject {
                Some(_) => " AND (session_id = ? OR session_id IS NULL)",
                None => " AND session_id = ?",
            });
            values.push(session_id);
        }
        let sql = format!("SELECT user_id, audit_id FROM archstone_provider_session WHERE {which}");
        let mut conn = self.tx.read();
        let query = conn.built_query(sql).bind_all(values.iter().copied());
        let mut found = Vec::new();
        for row in query.rows().await? {
            let audit_id = row.text("audit_id")?;
            found.push(SessionTokens {
                user_id: row.id("user_id")?,
                audit_id: audit_id
                    .parse()
                    .map_err(|error| unreadable("audit_id", &error))?,
            });
        }
        let delete = self.tx.delete(
            "archstone_provider_session",
            Entity::Any,
            format!("WHERE {which}"),
        );
        delete.bind_all(values).execute().await?;
        Ok(found)
    }
}
