//! What requests ask of the one who follows the database, and what they are answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use tokio::sync::watch;

use crate::error::StoreError;

/// What requests ask, and what they are answered.
pub(crate) struct SyncState {
    pub(crate) asked: watch::Sender<Requested>,
    pub(crate) answer: watch::Sender<Answer>,
    /// Whether there is a task that answers.
    pub(crate) is_followed: AtomicBool,
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
            fresh_at: AtomicU64::new(0),
        }
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
