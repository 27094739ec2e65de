//! Queues for the attempts to log in to one account by a password.
//!
//! A lock that is judged before a slow hash, and failures that are counted after it, would let
//! guesses that are made side by side pass the lock together. So where failures are counted, the
//! passwords of one account are tried one after the other.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Mutex, MutexGuard};

use crate::error::ApiError;

/// How many attempts can be under way at once. Accounts that share one wait for each other.
const QUEUES: usize = 1024;

/// How many attempts are in one queue at most.
const LENGTH: usize = 64;

/// The queues of all accounts.
pub struct AttemptQueues {
    queues: Box<[Queue]>,
    places: RandomState,
}

#[derive(Default)]
struct Queue {
    turn: Mutex<()>,
    length: AtomicUsize,
}

/// The right to try a password now, until it is dropped.
pub struct Attempt<'a> {
    // Before the place in the queue, which is free when the turn is over.
    _turn: MutexGuard<'a, ()>,
    _place: Place<'a>,
}

struct Place<'a>(&'a AtomicUsize);

impl AttemptQueues {
    /// Waits until it is the turn of an account, first come first served. An account that is not
    /// there has a queue as well, so that waiting does not tell which are.
    ///
    /// # Errors
    ///
    /// 503 when too many wait for this account.
    pub async fn begin(&self, account: &str) -> Result<Attempt<'_>, ApiError> {
        let queue = self.queue(account);
        let before = queue.length.fetch_add(1, Ordering::Relaxed);
        let place = Place(&queue.length);
        if before >= LENGTH {
            return Err(ApiError::Unavailable(
                "too many logins to one account wait".into(),
            ));
        }
        Ok(Attempt {
            _turn: queue.turn.lock().await,
            _place: place,
        })
    }

    /// How many attempts on an account are waiting or under way.
    pub fn length(&self, account: &str) -> usize {
        self.queue(account).length.load(Ordering::Relaxed)
    }

    fn queue(&self, account: &str) -> &Queue {
        // Nobody can steer two accounts into one queue: the hash has a random key.
        &self.queues[self.places.hash_one(account) as usize % QUEUES]
    }
}

impl Default for AttemptQueues {
    fn default() -> Self {
        Self {
            queues: (0..QUEUES).map(|_| Queue::default()).collect(),
            places: RandomState::new(),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_account_has_one_turn_at_a_time() {
        let queues = AttemptQueues::default();
        let first = queues.begin("ada").await.unwrap();
        let mut second = std::pin::pin!(queues.begin("ada"));
        tokio::select! {
            biased;
            _ = &mut second => panic!("two turns at once"),
            () = tokio::task::yield_now() => {}
        }
        assert_eq!(queues.length("ada"), 2);
        drop(first);
        drop(second.await.unwrap());
        assert_eq!(queues.length("ada"), 0);
    }

    #[tokio::test]
    async fn a_queue_has_an_end_and_who_leaves_it_makes_room() {
        let queues = AttemptQueues::default();
        let _first = queues.begin("ada").await.unwrap();
        let mut waiting = Vec::new();
        for _ in 1..LENGTH {
            let mut next = Box::pin(queues.begin("ada"));
            assert!(still_waits(&mut next).await);
            waiting.push(next);
        }
        assert!(queues.begin("ada").await.is_err());
        assert_eq!(queues.length("ada"), LENGTH);
        waiting.pop();
        assert_eq!(queues.length("ada"), LENGTH - 1);
    }

    /// Polls once; whether it still waits.
    async fn still_waits<F: Future + Unpin>(future: &mut F) -> bool {
        tokio::select! {
            biased;
            _ = future => false,
            () = std::future::ready(()) => true,
        }
    }
}
