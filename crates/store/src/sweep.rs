//! Removing what nobody needs any more, in the background.

use chrono::TimeDelta;

use crate::Store;
use crate::change::Entity;
use crate::error::StoreError;

/// How often it is done. Nodes ask more often than that whether it is their turn.
const INTERVAL: TimeDelta = TimeDelta::minutes(5);

/// For how long a change is kept for nodes that have not read it.
const KEPT_CHANGES: TimeDelta = TimeDelta::hours(1);

impl Store {
    /// Removes revocation events older than `lifetime`, which is as long as any token is valid, changes
    /// that every node has read, and one-time values and sessions of logins that are over. One node does
    /// it for all: whether it was this one.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn sweep(&self, lifetime: TimeDelta) -> Result<bool, StoreError> {
        let now = self.facts().clock.now();
        let mut tx = self.begin().await?;
        // A node whose clock was far ahead must not end this for all time.
        let claimed = tx
            .update(
                "archstone_lease",
                Entity::Unkept,
                "SET until = ? WHERE name = 'sweep' AND (until <= ? OR until > ?)",
            )
            .bind((now + INTERVAL).timestamp_micros())
            .bind(now.timestamp_micros())
            .bind((now + INTERVAL * 2).timestamp_micros())
            .execute()
            .await?;
        if claimed == 0 {
            return Ok(false);
        }
        tx.revocations_mut().purge(now - lifetime).await?;
        let last = "SELECT COALESCE(MAX(id), 0) AS id FROM archstone_change";
        let rows = tx.read().query(last).rows().await?;
        let last = rows.first().map_or(Ok(0), |row| row.int("id"))?;
        // The last one stays: followers know by it that the table is the one that they have read.
        tx.delete(
            "archstone_change",
            Entity::Unkept,
            "WHERE at < ? AND id < ?",
        )
        .bind((now - KEPT_CHANGES).timestamp_micros())
        .bind(last)
        .execute()
        .await?;
        tx.provider_sessions_mut().forget(now).await?;
        let _saved = tx.commit().await?;
        Ok(true)
    }
}
