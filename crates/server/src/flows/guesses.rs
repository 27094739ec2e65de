//! Turns for passwords that are tried on one account.
//!
//! A lock that is judged before a slow hash, and failures that are counted after it, would let
//! guesses that are made side by side pass the lock together. So where failures are counted, the
//! passwords of one account are tried one after the other.

use std::hash::{BuildHasher as _, RandomState};

use model::ids::UserId;
use tokio::sync::{Mutex, MutexGuard};

/// How many turns can be held at once. Accounts that share one wait for each other.
const QUEUES: usize = 1024;

/// The turns of all accounts.
pub struct Guesses {
    queues: Box<[Mutex<()>]>,
    places: RandomState,
}

/// The right to try a password now, until it is dropped.
pub struct Turn<'a> {
    _guard: MutexGuard<'a, ()>,
}

impl Guesses {
    /// Waits until it is this account's turn, first come first served.
    pub async fn turn(&self, id: &UserId) -> Turn<'_> {
        // Nobody can steer two accounts into one queue: the hash has a random key.
        let place = self.places.hash_one(id.as_str()) as usize % QUEUES;
        Turn {
            _guard: self.queues[place].lock().await,
        }
    }
}

impl Default for Guesses {
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
    async fn one_account_has_one_turn_at_a_time() {
        let guesses = Guesses::default();
        let id = UserId::from("ada");
        let first = guesses.turn(&id).await;
        let mut second = std::pin::pin!(guesses.turn(&id));
        tokio::select! {
            biased;
            _ = &mut second => panic!("two turns at once"),
            () = tokio::task::yield_now() => {}
        }
        drop(first);
        let _second = second.await;
    }
}
