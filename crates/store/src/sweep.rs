//! Removing what nobody needs any more, in the background.

use chrono::TimeDelta;
use model::Timestamp;

use crate::Store;
use crate::change::Entity;
use crate::error::StoreError;
use crate::value::Value;

/// How often it is done. Nodes ask more often than that whether it is their turn.
const INTERVAL: TimeDelta = TimeDelta::minutes(5);

/// For how long a change is kept for nodes that have not read it.
const KEPT_CHANGES: TimeDelta = TimeDelta::hours(1);

/// How many rows one transaction removes: nobody waits for longer than that takes.
const SLICE: i64 = 5_000;

impl Store {
    /// Removes revocation events older than `lifetime`, which is as long as any token is valid, changes
    /// older than an hour, and one-time values and sessions of logins that are over. One node does it for
    /// all: whether it was this one.
    ///
    /// # Errors
    ///
    /// When the database does not answer. What was removed until then stays removed.
    pub async fn sweep(&self, lifetime: TimeDelta) -> Result<bool, StoreError> {
        let now = self.caches().clock.now();
        let mut tx = self.begin().await?;
        // A node whose clock was far ahead must not end this for all time.
        let claimed = tx
            .update(
                "archstone_lease",
                Entity::Uncached,
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
        tx.provider_sessions_mut().forget(now).await?;
        let _saved = tx.commit().await?;
        // Nor must a clock that is ahead remove what still counts.
        let now = now.min(self.time_of_database().await?);
        let horizon = (now - lifetime).into();
        self.remove_older("revocation_event", "revoked_at", horizon)
            .await?;
        let horizon = (now - KEPT_CHANGES).timestamp_micros().into();
        self.remove_older("archstone_change", "at", horizon).await?;
        Ok(true)
    }

    async fn time_of_database(&self) -> Result<Timestamp, StoreError> {
        let sql = self.dialect().utc_now();
        let rows = self.pool().query(sql).rows().await?;
        rows.first()
            .map_or(Ok(Timestamp::MIN_UTC), |row| row.time("now"))
    }

    /// Removes the rows that were written before a moment, some at a time. The last one stays: followers
    /// know by it that the table is the one that they have read, and SQLite gives no id twice.
    async fn remove_older(
        &self,
        table: &'static str,
        time: &'static str,
        horizon: Value,
    ) -> Result<(), StoreError> {
        loop {
            let sql = format!(
                "SELECT MAX(id) AS id, COUNT(*) AS number FROM ( \
                   SELECT id FROM {table} \
                   WHERE {time} < ? AND id < (SELECT COALESCE(MAX(id), 0) FROM {table}) \
                   ORDER BY id LIMIT {SLICE}) AS oldest"
            );
            let mut pool = self.pool();
            let rows = pool.built_query(sql).bind(horizon.clone()).rows().await?;
            let Some(row) = rows.first() else {
                return Ok(());
            };
            let Some(last) = row.optional_int("id")? else {
                return Ok(());
            };
            let mut tx = self.begin().await?;
            let which = format!("WHERE {time} < ? AND id <= ?");
            let delete = tx.delete(table, Entity::Uncached, which);
            delete.bind(horizon.clone()).bind(last).execute().await?;
            let _saved = tx.commit().await?;
            if row.int("number")? < SLICE {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::clock::{Clock as _, SystemClock};

    use super::*;
    use crate::scratch;

    #[tokio::test]
    async fn what_is_old_is_removed_whatever_there_is_of_it_but_for_the_last_row() {
        let folder = tempfile::tempdir().unwrap();
        let store = scratch::store(&folder).await;
        let mut tx = store.begin().await.unwrap();
        let rows = vec!["('roles', 'ada', 0)"; 1_000].join(", ");
        let rest = format!("(kind, entity_id, at) VALUES {rows}");
        for _ in 0..SLICE / 1_000 + 1 {
            let insert = tx.insert("archstone_change", Entity::New, &rest);
            insert.execute().await.unwrap();
        }
        for year in [2020, 2100] {
            let rest = format!(
                "(user_id, issued_before, revoked_at) \
                 VALUES ('ada', '{year}-01-01 00:00:00', '{year}-01-01 00:00:00')"
            );
            let insert = tx.insert("revocation_event", Entity::New, rest);
            insert.execute().await.unwrap();
        }
        let _saved = tx.commit().await.unwrap();
        assert!(store.sweep(TimeDelta::hours(1)).await.unwrap());
        for (table, left) in [("archstone_change", 1), ("revocation_event", 1)] {
            let sql = format!("SELECT COUNT(*) AS number FROM {table}");
            assert_eq!(
                scratch::number(&store, &sql).await.unwrap(),
                left,
                "{table}"
            );
        }
        assert!(
            !store.sweep(TimeDelta::hours(1)).await.unwrap(),
            "it is not due"
        );
        // A node whose clock was a day ahead has claimed it until then.
        let ahead = (SystemClock::default().now() + TimeDelta::days(1)).timestamp_micros();
        let sql = format!("UPDATE archstone_lease SET until = {ahead}");
        scratch::run(&store, &sql).await;
        assert!(store.sweep(TimeDelta::hours(1)).await.unwrap());
    }

    #[tokio::test]
    async fn a_clock_that_is_ahead_removes_nothing_that_still_counts() {
        let folder = tempfile::tempdir().unwrap();
        let store = scratch::store(&folder).await;
        let clock = Arc::new(scratch::HandClock::default());
        clock.set(SystemClock::default().now() + TimeDelta::days(1));
        let ahead = store.with_clock(clock);
        let now = Value::sqlite_time(SystemClock::default().now());
        let sql = format!(
            "INSERT INTO revocation_event (user_id, issued_before, revoked_at) \
             VALUES ('ada', '{now}', '{now}'), ('joe', '{now}', '{now}')"
        );
        scratch::run(&store, &sql).await;
        assert!(ahead.sweep(TimeDelta::hours(1)).await.unwrap());
        let left = "SELECT COUNT(*) AS number FROM revocation_event";
        assert_eq!(scratch::number(&store, left).await.unwrap(), 2);
    }
}
