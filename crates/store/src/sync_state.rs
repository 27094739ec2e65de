//! What requests ask of the one who follows the database, and what they are answered.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::Timestamp;
use model::revocation::RevocationEvent;
use tokio::sync::watch;

use crate::error::StoreError;

/// What requests ask, and what they are answered.
pub(crate) struct SyncState {
    pub(crate) asked: watch::Sender<Requested>,
    pub(crate) answer: watch::Sender<Answer>,
    /// Whether there is a task that answers.
    pub(crate) is_followed: AtomicBool,
    /// Rows that this node has committed, and that are known without being read.
    own: Mutex<Vec<OwnRows>>,
    /// When what is known was asked for, in microseconds of the clock that never goes back, plus one;
    /// 0 means never.
    pub(crate) fresh_at: AtomicU64,
}

impl Default for SyncState {
    fn default() -> Self {
        Self {
            asked: watch::Sender::new(Requested::default()),
            answer: watch::Sender::new(Answer::default()),
            is_followed: AtomicBool::new(false),
            own: Mutex::default(),
            fresh_at: AtomicU64::new(0),
        }
    }
}

impl SyncState {
    /// Notes rows that this node has committed. Their events it has applied itself.
    pub(crate) fn know(&self, rows: Vec<OwnRows>) {
        self.own().extend(rows);
    }

    /// Whether the follower has taken all rows that were noted.
    #[cfg(test)]
    pub(crate) fn knows_all_that_it_has_written(&self) -> bool {
        self.own().is_empty()
    }

    pub(crate) fn own(&self) -> MutexGuard<'_, Vec<OwnRows>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Many revocation events without a gap, which one statement of this node has written. To read a
/// hundred thousand takes a second, for which everybody would wait who validates a token.
pub(crate) struct OwnRows {
    pub(crate) first: i64,
    /// Of the last one only the database says that it is there.
    pub(crate) last: i64,
    pub(crate) at: i64,
    pub(crate) fingerprints: Vec<u64>,
}

impl OwnRows {
    /// `None` where there is a gap, or few.
    pub(crate) fn of(ids: &[i64], events: &[RevocationEvent]) -> Option<Self> {
        let (first, last) = (*ids.first()?, *ids.last()?);
        let is_whole = i64::try_from(ids.len()).ok()? == last.checked_sub(first)? + 1;
        (is_whole && ids.len() > MANY).then(|| Self {
            first,
            last,
            at: events[0].revoked_at.timestamp_micros(),
            fingerprints: events
                .iter()
                .map(|event| fingerprint_of(Some(event), event.revoked_at))
                .collect(),
        })
    }
}

/// Those who asked are numbered.
#[derive(Clone, Copy, Default)]
pub(crate) struct Requested {
    pub(crate) last: u64,
    /// The last one who asked for a thorough look.
    pub(crate) thorough: u64,
}

/// The last answer: to all up to this number.
#[derive(Clone, Default)]
pub(crate) struct Answer {
    pub(crate) up_to: u64,
    pub(crate) error: Option<Arc<StoreError>>,
}

/// So many rows in a row are worth a word to the database.
pub(crate) const MANY: usize = 1000;

/// What stands for all that a row of `revocation_event` holds.
pub(crate) fn fingerprint_of(event: Option<&RevocationEvent>, revoked_at: Timestamp) -> u64 {
    let facts = event.map(|event| {
        (
            &event.user_id,
            &event.project_id,
            &event.domain_id,
            &event.role_id,
            &event.trust_id,
            &event.consumer_id,
            &event.access_token_id,
            event.audit_id,
            event.audit_chain_id,
            event.expires_at,
            event.issued_before,
        )
    });
    fingerprint(&(revoked_at, facts))
}

/// What stands for a value.
pub(crate) fn fingerprint(of: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
