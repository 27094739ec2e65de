//! Queues for the attempts to log in to one account by a password.
//!
//! A lock that is judged before a slow hash, and failures that are counted after it, would let
//! guesses that are made side by side pass the lock together. So where failures are counted, the
//! passwords of one account are tried one after the other.

use std::hash::{BuildHasher as _, RandomState};

use model::ids::UserId;
use tokio::sync::{Mutex, MutexGuard};

/// How many attempts can be under way at once. Accounts that share one wait for each other.
const QUEUES: usize = 1024;

/// The queues of all accounts.
pub struct AttemptQueues {
    queues: Box<[Mutex<()>]>,
    places: RandomState,
}

/// The right to try a password now, until it is dropped.
pub struct Attempt<'a> {
    _guard: MutexGuard<'a, ()>,
}

impl AttemptQueues {
    /// Waits until it is this account's turn, first come first served.
    pub async fn begin(&self, id: &UserId) -> Attempt<'_> {
        // Nobody can steer two accounts into one queue: the hash has a random key.
        let place = self.places.hash_one(id.as_str()) as usize % QUEUES;
        Attempt {
            _guard: self.queues[place].lock().await,
        }
    }
}

impl Default for AttemptQueues {
    fn default() -> Self {
        Self {
            queues: (0..QUEUES).map(|_| Mutex::default()).collect(),
            places: RandomState::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_account_has_one_attempt_at_a_time() {
        let queues = AttemptQueues::default();
        let id = UserId::from("ada");
        let first = queues.begin(&id).await;
        let mut second = std::pin::pin!(queues.begin(&id));
        tokio::select! {
            biased;
            _ = &mut second => panic!("two attempts at once"),
            () = tokio::task::yield_now() => {}
        }
        drop(first);
        let _second = second.await;
    }
}
