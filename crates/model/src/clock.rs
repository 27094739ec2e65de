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
    origin: Stopwatch,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            origin: Stopwatch::start(),
        }
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "everyone else has the time from here"
    )]
    fn now(&self) -> Timestamp {
        chrono::Utc::now()
    }

    fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// Measures how long something takes, where no test moves the time.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins now.
    #[expect(
        clippy::disallowed_methods,
        reason = "everyone else measures with this"
    )]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since it began.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
