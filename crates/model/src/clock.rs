//! Where the time comes from, so that tests can move it.

use std::time::{Duration, Instant};

use crate::Timestamp;

/// A source of time.
pub trait Clock: Send + Sync {
    /// The time of day, UTC. Somebody may set it forward or back.
    fn now(&self) -> Timestamp;

    /// The time since a moment of the process. It never goes back, whatever the time of day does.
    fn elapsed(&self) -> Duration;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        chrono::Utc::now()
    }

    fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }
}
