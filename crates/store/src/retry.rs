//! The one loop that retries what the database asks to retry.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// How often work is tried at most. Nodes of a cluster that write the same row all the time are more
/// often in each other's way than those who wait for a lock on it.
const ATTEMPTS: u32 = 10;

/// The most that the first pause takes; each may take twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// The most that any pause takes.
const LONGEST_PAUSE: Duration = Duration::from_millis(320);

/// Does work, and retries it from the beginning while its outcome asks for that: after a deadlock, a
/// serialisation failure or a failed certification nothing of it is left. After the last attempt its
/// outcome is returned, whatever it is.
///
/// Pauses between attempts are random, so that two that were in each other's way do not meet again.
pub async fn retrying<T, W: Future<Output = T>>(
    should_retry: impl Fn(&T) -> bool,
    mut work: impl FnMut() -> W,
) -> T {
    for attempt in 1..ATTEMPTS {
        let outcome = work().await;
        if !should_retry(&outcome) {
            return outcome;
        }
        tracing::debug!(attempt, "retrying");
        let most = LONGEST_PAUSE.min(FIRST_PAUSE * (1 << (attempt - 1)));
        // A new state is seeded at random.
        let random = RandomState::new().hash_one(attempt) % 1000;
        tokio::time::sleep(most * u32::try_from(random).unwrap_or(0) / 1000).await;
    }
    work().await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// How often work is done that asks for so many retries, and how it ends.
    async fn done(asks: u32) -> (u32, Result<u32, u32>) {
        let times = AtomicU32::new(0);
        let outcome = retrying(Result::is_err, || async {
            let time = times.fetch_add(1, Ordering::SeqCst) + 1;
            if time <= asks { Err(time) } else { Ok(time) }
        });
        let outcome = outcome.await;
        (times.into_inner(), outcome)
    }

    #[tokio::test]
    async fn work_is_retried_while_it_asks_for_that_but_not_for_ever() {
        assert_eq!(done(0).await, (1, Ok(1)));
        assert_eq!(done(3).await, (4, Ok(4)));
        assert_eq!(done(ATTEMPTS - 1).await, (ATTEMPTS, Ok(ATTEMPTS)));
        assert_eq!(done(100).await, (ATTEMPTS, Err(ATTEMPTS)));
    }
}
