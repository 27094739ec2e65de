//! What other nodes have changed: one task asks the database, and everybody waits for its answers.
//!
//! Nodes write what they change into `archstone_change`, in the transaction of the change, and
//! Keystone and we write revocations into `revocation_event`. The task reads what was added to both
//! since it read last, in one statement. Nothing is decided by ids alone:
//!
//! - Ids become visible out of order, and some never do. Those that are missing are looked for again
//!   for as long as a transaction may be open that has taken them.
//! - A row that comes later still, or whose id went back, is found by its time, which is looked at
//!   twice a second.
//! - Where a row that was read is gone, or is another now, the table went back: it was restored, or
//!   emptied. Then everything is read again, and all else that is kept is invalid.
//!
//! All rows are read before any is applied, and a request that is given up ends none of this.

mod position;

#[cfg(test)]
mod state_machine;

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use chrono::TimeDelta;
use model::Timestamp;
use model::revocation::RevocationEvent;
use tokio::sync::watch;

use crate::Store;
use crate::change::{Changes, Entity, MOST_ENTITIES};
use crate::db::{Conn, Db, timer_now};
use crate::error::StoreError;
use crate::revocations;
use crate::sync_state::{Answer, Requested};
use crate::value::Row;
use position::{Found, MOST_GAPS, Position};

/// How old what is cached may get without asking for changes.
const BOUND: Duration = Duration::from_secs(1);

/// How far from now rows are looked at again by their time. Clocks of nodes are to differ by less.
const RECENT: TimeDelta = TimeDelta::seconds(15);

/// How often revocations are forgotten that the database has forgotten.
const FORGET: Duration = Duration::from_secs(300);

impl Store {
    /// Makes sure that what is kept is at most a second behind the database.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn ensure_synced(&self) -> Result<(), StoreError> {
        if self.is_fresh() {
            return Ok(());
        }
        self.ask(true).await
    }

    fn is_fresh(&self) -> bool {
        let caches = self.caches();
        let Some(at) = caches
            .sync_state
            .fresh_at
            .load(Ordering::SeqCst)
            .checked_sub(1)
        else {
            return false;
        };
        let age = caches
            .clock
            .elapsed()
            .saturating_sub(Duration::from_micros(at));
        caches.settings.sole_writer || age < BOUND
    }

    /// Learns of all changes up to now: to be called before a token is issued from what is cached.
    /// Requests that wait together share one question, asked after the last of them arrived.
    ///
    /// # Errors
    ///
    /// When the database does not answer.
    pub async fn sync(&self) -> Result<(), StoreError> {
        if self.caches().settings.sole_writer && self.is_fresh() {
            return Ok(());
        }
        self.ask(false).await
    }

    async fn ask(&self, is_thorough: bool) -> Result<(), StoreError> {
        let sync_state = &self.caches().sync_state;
        let mut answers = sync_state.answer.subscribe();
        let mut ticket = 0;
        sync_state.asked.send_modify(|asked| {
            asked.last += 1;
            ticket = asked.last;
            if is_thorough {
                asked.thorough = ticket;
            }
        });
        self.follow();
        let limit = self.db.longest_wait();
        let answer = answers.wait_for(|answer| answer.up_to >= ticket);
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(answer)) => match &answer.error {
                None => Ok(()),
                Some(error) => Err(error.again()),
            },
            // The sender lives as long as the store.
            Ok(Err(_)) => Err(StoreError::Unavailable("shutting down".into())),
            Err(_) => Err(StoreError::TimedOut(limit)),
        }
    }

    /// Starts the task that follows the database, unless there is one. It ends with the store.
    pub fn follow(&self) {
        let sync_state = &self.caches().sync_state;
        if sync_state.is_followed.swap(true, Ordering::SeqCst) {
            return;
        }
        let running = Running(Arc::downgrade(&self.db));
        let asked = sync_state.asked.subscribe();
        tokio::spawn(async move { Follower::new(running).run(asked).await });
    }
}

/// That the task runs. When it ends, by a defect or with its runtime, the next who asks starts another.
struct Running(Weak<Db>);

impl Drop for Running {
    fn drop(&mut self) {
        let Some(db) = self.0.upgrade() else { return };
        let sync_state = &db.caches.sync_state;
        sync_state.is_followed.store(false, Ordering::SeqCst);
        // Nobody is to wait in vain for what is no longer there.
        let error = StoreError::Unavailable("what follows the database has ended".into());
        sync_state.answer.send_replace(Answer {
            up_to: sync_state.asked.borrow().last,
            error: Some(Arc::new(error)),
        });
    }
}

/// The task, and how far it has read.
struct Follower {
    running: Running,
    /// `None` until both tables were read whole.
    positions: Option<Positions>,
    /// Whether the database answered last, to say so once when that changes.
    answers: bool,
    /// When revocations that the database has forgotten were last forgotten here too.
    forgot_at: Duration,
}

struct Positions {
    changes: Position,
    revocations: Position,
}

impl Follower {
    fn new(running: Running) -> Self {
        Self {
            running,
            positions: None,
            answers: true,
            forgot_at: Duration::ZERO,
        }
    }

    async fn run(mut self, mut asked: watch::Receiver<Requested>) {
        let settings = self.running.0.upgrade().map(|db| db.caches.settings);
        // Where nobody else writes, there is only to forget what is old.
        let poll = settings.and_then(|settings| match settings.sole_writer {
            true => settings.poll.map(|_| FORGET),
            false => settings.poll,
        });
        let mut due = poll.map(|poll| timer_now() + poll);
        let mut answered = 0;
        // The one who started this asks already.
        asked.mark_changed();
        loop {
            let pause = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            let is_asked = tokio::select! {
                biased;
                changed = asked.changed() => match changed {
                    Ok(()) => true,
                    Err(_) => return,
                },
                () = pause => false,
            };
            let Some(db) = self.running.0.upgrade() else {
                return;
            };
            let Requested { last, thorough } = *asked.borrow_and_update();
            // However many ask otherwise: rows that come late are found in time.
            let is_due = due.is_some_and(|due| due <= timer_now());
            let is_thorough = is_due || thorough > answered;
            if is_thorough {
                due = poll.map(|poll| timer_now() + poll);
            }
            answered = last;
            let asked_at = db.caches.clock.elapsed();
            let outcome = self.look(&db, is_asked, is_thorough).await;
            self.report(&outcome);
            let sync_state = &db.caches.sync_state;
            let error = match outcome {
                Ok(()) => {
                    let micros = u64::try_from(asked_at.as_micros()).unwrap_or(u64::MAX - 1);
                    sync_state.fresh_at.store(micros + 1, Ordering::SeqCst);
                    None
                }
                Err(error) => Some(Arc::new(error)),
            };
            let up_to = last;
            sync_state.answer.send_replace(Answer { up_to, error });
        }
    }

    /// Says once when the database stops to answer, and once when it answers again.
    fn report(&mut self, outcome: &Result<(), StoreError>) {
        match outcome {
            Err(error) if self.answers => tracing::warn!(
                error = error as &dyn std::error::Error,
                "the database does not answer"
            ),
            Ok(()) if !self.answers => tracing::info!("the database answers again"),
            _ => {}
        }
        self.answers = outcome.is_ok();
    }

    /// Reads what was added, and applies it; with a thorough look also by its time. One that nobody
    /// asked for is not counted among the statements that requests cost.
    async fn look(
        &mut self,
        db: &Arc<Db>,
        is_asked: bool,
        is_thorough: bool,
    ) -> Result<(), StoreError> {
        let Some(positions) = &mut self.positions else {
            self.positions = Some(read_all(db).await?);
            return Ok(());
        };
        let around = is_thorough.then(|| db.caches.clock.now());
        let (changes, revocations) = read_new(db, positions, around, is_asked).await?;
        // A gap is waited for since it was seen.
        let now = db.caches.clock.elapsed();
        let went_back =
            positions.changes.went_back(&changes) || positions.revocations.went_back(&revocations);
        if went_back {
            tracing::warn!("the database was restored or purged: all that is kept is read again");
            self.positions = None;
            self.positions = Some(read_all(db).await?);
            return Ok(());
        }
        let changed = positions.changes.take_new(changes, now);
        let revoked = positions.revocations.take_new(revocations, now);
        let revoked = revoked.into_iter().filter_map(|row| {
            row.complain("revocation_event");
            row.content
        });
        let revoked: Vec<RevocationEvent> = revoked.collect();
        let reasons = reasons_of(&revoked);
        db.caches.revoked(revoked).await;
        db.caches.changed(&reasons);
        for row in changed {
            row.complain("archstone_change");
            db.caches.changed(&row.content);
        }
        if is_thorough && now.saturating_sub(self.forgot_at) >= FORGET {
            self.forgot_at = now;
            forget(db).await?;
        }
        Ok(())
    }
}

/// What was changed when these were revoked. A Keystone tells nobody else: with what is cached of a user whose
/// password it has changed, a login would obtain a token from after the revocation.
fn reasons_of(events: &[RevocationEvent]) -> Changes {
    let mut reasons = Changes::default();
    // With more of them, each region would be invalid as a whole.
    if events.len() > MOST_ENTITIES {
        reasons.add(Changes::of("user", Entity::Any));
        reasons.add(Changes::of("project", Entity::Any));
        return reasons;
    }
    for event in events {
        if let Some(id) = &event.user_id {
            reasons.add(Changes::of("user", Entity::One(id.as_str())));
            reasons.add(Changes::of("assignment", Entity::One(id.as_str())));
        }
        if let Some(id) = &event.project_id {
            reasons.add(Changes::of("project", Entity::One(id.as_str())));
        }
        if event.domain_id.is_some() {
            reasons.add(Changes::of("project", Entity::Any));
        }
    }
    reasons
}

/// Reads both tables again: all revocations, and of the changes where they end, since all else that is
/// cached is invalidated.
async fn read_all(db: &Arc<Db>) -> Result<Positions, StoreError> {
    let caches = &db.caches;
    // Transactions that are open now may have taken ids before those of the last rows.
    let open = caches.settings.longest_transaction;
    let settled = caches.clock.now() - TimeDelta::from_std(open * 2).unwrap_or(TimeDelta::MAX);
    let settled = settled.timestamp_micros();
    caches.begin_replacing_revocations();
    let sql = format!("SELECT {REVOCATION} FROM revocation_event");
    let mut reading = Conn::Pool(db);
    let query = reading.built_query(sql);
    let found = query.fold(|found: &mut Vec<_>, row| {
        found.push(revocation(&row)?);
        Ok(())
    });
    let found: Vec<_> = found.await?;
    let mut revocations = Position::before(&found, settled, open);
    let events = found.iter().filter_map(|row| {
        row.complain("revocation_event");
        row.content.clone()
    });
    let events = events.collect();
    revocations.take_new(found, caches.clock.elapsed());
    let sql = format!(
        "SELECT {CHANGE} FROM archstone_change \
         WHERE id >= (SELECT COALESCE(MAX(id), 0) FROM archstone_change WHERE at < ?)"
    );
    let mut reading = Conn::Pool(db);
    let rows = reading.built_query(sql).bind(settled).rows().await?;
    let found: Vec<_> = rows.iter().map(change).collect::<Result<_, _>>()?;
    let mut changes = Position::before(&found, settled, open);
    changes.take_new(found, caches.clock.elapsed());
    caches.replace_revocations(events);
    caches.changed(&Changes::all());
    Ok(Positions {
        changes,
        revocations,
    })
}

const REVOCATION: &str = "id, 'revocation' AS kind, NULL AS entity_id, NULL AS at, user_id, \
     project_id, domain_id, role_id, trust_id, consumer_id, access_token_id, audit_id, \
     audit_chain_id, expires_at, issued_before, revoked_at";
const CHANGE: &str = "id, kind, entity_id, at, NULL AS user_id, NULL AS project_id, \
     NULL AS domain_id, NULL AS role_id, NULL AS trust_id, NULL AS consumer_id, \
     NULL AS access_token_id, NULL AS audit_id, NULL AS audit_chain_id, NULL AS expires_at, \
     NULL AS issued_before, NULL AS revoked_at";

/// Forgets the revocations that the database no longer has: not by the time of this node alone, which
/// may be set to anything.
async fn forget(db: &Arc<Db>) -> Result<(), StoreError> {
    let now = db.caches.clock.now();
    let sql = "SELECT MIN(revoked_at) AS revoked_at FROM revocation_event";
    let rows = Conn::Pool(db).query(sql).uncounted().rows().await?;
    let first = rows.first().map(|row| row.optional_time("revoked_at"));
    // Of a row that cannot be read nobody knows whether it is the first.
    if let Some(Ok(first)) = first {
        db.caches.forget(first.unwrap_or(now - RECENT));
    }
    Ok(())
}

type New = (Vec<Found<Changes>>, Vec<Found<Option<RevocationEvent>>>);

/// Reads in one statement what may be new in both tables; beyond their ends and gaps also what was
/// written around a moment, but for a long run that was read whole.
async fn read_new(
    db: &Arc<Db>,
    positions: &Positions,
    around: Option<Timestamp>,
    is_counted: bool,
) -> Result<New, StoreError> {
    let gaps = " OR id BETWEEN ? AND ?".repeat(MOST_GAPS);
    let mut parts = vec![
        format!("SELECT {REVOCATION} FROM revocation_event WHERE id >= ?{gaps}"),
        format!("SELECT {CHANGE} FROM archstone_change WHERE id >= ?{gaps}"),
    ];
    if around.is_some() {
        parts.push(format!(
            "SELECT {REVOCATION} FROM revocation_event \
             WHERE revoked_at BETWEEN ? AND ? AND id NOT BETWEEN ? AND ?"
        ));
        parts.push(format!(
            "SELECT {CHANGE} FROM archstone_change \
             WHERE at BETWEEN ? AND ? AND id NOT BETWEEN ? AND ?"
        ));
    }
    let mut conn = Conn::Pool(db);
    let mut query = conn.built_query(parts.join(" UNION ALL "));
    for position in [&positions.revocations, &positions.changes] {
        query = query.bind_all(position.bounds());
    }
    if let Some(now) = around {
        // No further into the future than clocks differ: a node that is ahead hides nothing.
        let (from, to) = (now - RECENT, now + RECENT);
        let (first, last) = positions.revocations.long_run();
        query = query.bind(from).bind(to).bind(first).bind(last);
        let (first, last) = positions.changes.long_run();
        query = query
            .bind(from.timestamp_micros())
            .bind(to.timestamp_micros())
            .bind(first)
            .bind(last);
    }
    if !is_counted {
        query = query.uncounted();
    }
    query.fold(new).await
}

fn new((changes, revocations): &mut New, row: Row) -> Result<(), StoreError> {
    if row.text("kind").is_ok_and(|kind| kind == "revocation") {
        revocations.push(revocation(&row)?);
    } else {
        changes.push(change(&row)?);
    }
    Ok(())
}

fn revocation(row: &Row) -> Result<Found<Option<RevocationEvent>>, StoreError> {
    let id = row.int("id")?;
    let (content, complaint) = revocations::event(row);
    let revoked_at = row.time("revoked_at").unwrap_or(Timestamp::MAX_UTC);
    Ok(Found {
        id,
        at: revoked_at.timestamp_micros(),
        fingerprint: fingerprint(&(revoked_at, &content)),
        content,
        complaint,
    })
}

fn change(row: &Row) -> Result<Found<Changes>, StoreError> {
    let id = row.int("id")?;
    let told = || Ok::<_, StoreError>((row.text("kind")?, row.text("entity_id")?, row.int("at")?));
    let (content, at, complaint) = match told() {
        Ok((kind, entity_id, at)) => (Changes::told(&kind, &entity_id), at, None),
        Err(error) => (Changes::all(), 0, Some(error.to_string())),
    };
    Ok(Found {
        id,
        at,
        fingerprint: fingerprint(&(at, format!("{content:?}"))),
        content,
        complaint,
    })
}

fn fingerprint(of: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use model::ids::{DomainId, UserId};

    use super::*;
    use crate::db::Session;
    use crate::scratch::{self, HandClock};

    #[tokio::test]
    async fn who_waits_for_a_follower_that_breaks_is_told_at_once_and_the_next_gets_another() {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(HandClock::default());
        let store = scratch::store(&folder).await.with_clock(Arc::clone(&clock));
        clock.panic_once();
        let limit = Duration::from_secs(20);
        let told = tokio::time::timeout(limit, store.sync()).await;
        let told = told.expect("nobody waits for what is not there");
        assert!(matches!(told, Err(StoreError::Unavailable(_))), "{told:?}");
        store.sync().await.unwrap();
    }

    #[test]
    fn a_follower_that_has_ended_is_started_again_by_the_next_who_asks() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = || tokio::runtime::Runtime::new().unwrap();
        let first = runtime();
        let store = first.block_on(async {
            let often = Some(Duration::from_millis(10));
            let store = scratch::store_with(&folder, |options| options.cache.poll = often).await;
            store.sync().await.unwrap();
            store
        });
        drop(first);
        let is_followed = || store.caches().sync_state.is_followed.load(Ordering::SeqCst);
        assert!(!is_followed(), "it ended with its runtime");
        runtime().block_on(async {
            store.sync().await.unwrap();
            assert!(is_followed());
        });
    }

    #[test]
    fn all_that_an_event_names_is_read_again_and_of_many_events_everything() {
        let at = Timestamp::UNIX_EPOCH;
        let event =
            |user: Option<&str>, project: Option<&str>, domain: Option<&str>| RevocationEvent {
                user_id: user.map(Into::into),
                project_id: project.map(Into::into),
                domain_id: domain.map(Into::into),
                ..RevocationEvent::at(at)
            };
        let sum = |changes: &[(&str, Entity<'_>)]| {
            let mut sum = Changes::default();
            for (table, entity) in changes {
                sum.add(Changes::of(table, *entity));
            }
            sum
        };
        let (ada, apollo) = (Entity::One("ada"), Entity::One("apollo"));
        let of_ada = [("user", ada), ("assignment", ada)];
        assert_eq!(reasons_of(&[event(None, None, None)]), Changes::default());
        assert_eq!(reasons_of(&[event(Some("ada"), None, None)]), sum(&of_ada));
        assert_eq!(
            reasons_of(&[event(Some("ada"), Some("apollo"), None)]),
            sum(&[of_ada[0], of_ada[1], ("project", apollo)])
        );
        assert_eq!(
            reasons_of(&[event(None, Some("apollo"), Some("acme"))]),
            sum(&[("project", apollo), ("project", Entity::Any)])
        );
        let many = vec![event(Some("ada"), None, None); MOST_ENTITIES + 1];
        let all = sum(&[("user", Entity::Any), ("project", Entity::Any)]);
        assert_eq!(reasons_of(&many), all);
    }

    #[tokio::test]
    async fn what_a_keystone_revokes_for_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = scratch::store_with(&folder, |options| {
            options.cache.enabled = true;
            options.cache.foreign_ttl = Duration::from_secs(600);
        });
        let store = store.await;
        scratch::add_user(&store, "ada", "Ada", "acme").await;
        let (ada, acme) = (UserId::from("ada"), DomainId::from("acme"));
        let known = async || {
            store.sync().await.unwrap();
            let login = store.login(&ada).await.unwrap().unwrap();
            let domain = store.target(&acme.clone().into()).await.unwrap().unwrap();
            (login.subject.name.clone(), domain.name.clone())
        };
        let both = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        assert_eq!(known().await, both("Ada", "acme"));
        // As a Keystone does it, which names nothing that it changes.
        let run = async |sql: &str| Session::run_alone(&store.db, sql.into()).await.unwrap();
        run("UPDATE local_user SET name = 'Lovelace' WHERE user_id = 'ada'").await;
        run("UPDATE project SET name = 'Acme' WHERE id = 'acme'").await;
        let event = |id: u32, column: &str, value: &str| {
            format!(
                "INSERT INTO revocation_event (id, {column}, issued_before, revoked_at) VALUES \
                 ({id}, '{value}', '2026-01-02 03:04:05.000000', '2026-01-02 03:04:05.000000')"
            )
        };
        assert_eq!(known().await, both("Ada", "acme"), "nobody has told");
        run(&event(1, "audit_id", "0123456789abcdefghijkl")).await;
        assert_eq!(known().await, both("Ada", "acme"), "a token alone");
        run(&event(2, "user_id", "ada")).await;
        assert_eq!(known().await, both("Lovelace", "acme"));
        run(&event(3, "domain_id", "acme")).await;
        assert_eq!(known().await, both("Lovelace", "Acme"));
    }

    #[tokio::test]
    async fn the_follower_ends_with_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let store = scratch::store(&folder).await;
        store.sync().await.unwrap();
        let db = Arc::downgrade(&store.db);
        drop(store);
        // What the task holds while it looks it lets go again.
        let ended = async {
            while db.upgrade().is_some() {
                tokio::task::yield_now().await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(30), ended);
        ended.await.expect("nothing holds the database any longer");
    }
}
