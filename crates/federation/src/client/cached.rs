//! What is fetched from a provider and kept for a while.

use std::sync::{Arc, RwLock};

use chrono::TimeDelta;
use model::Timestamp;
use tokio::sync::{Mutex, MutexGuard};

use crate::driver::Failure;

/// For how long it counts without asking again.
const FRESH: TimeDelta = TimeDelta::hours(1);
/// For how long it counts when the provider does not answer.
const STALE: TimeDelta = TimeDelta::hours(24);
/// The time between two attempts, whatever brings them about, so that nobody can make us hammer
/// the provider, and nobody waits long for one that does not answer.
const PAUSE: TimeDelta = TimeDelta::seconds(10);

/// A value of the provider's. One request at a time is under way for it; others meanwhile
/// get the old value, or wait for the new one where there is none.
#[derive(Debug)]
pub(crate) struct Cached<T> {
    value: RwLock<Option<(Arc<T>, Timestamp)>>,
    last: Mutex<Option<Attempt>>,
}

#[derive(Debug)]
struct Attempt {
    at: Timestamp,
    failure: Option<Failure>,
}

impl<T> Cached<T> {
    pub(crate) fn new() -> Self {
        Self {
            value: RwLock::new(None),
            last: Mutex::new(None),
        }
    }

    /// The value, fetched when it is old.
    pub(crate) async fn fresh(
        &self,
        now: Timestamp,
        fetch: impl AsyncFnOnce() -> Result<T, Failure>,
    ) -> Result<Arc<T>, Failure> {
        if let Some(value) = self.younger_than(FRESH, now) {
            return Ok(value);
        }
        let last = match (self.last.try_lock(), self.younger_than(STALE, now)) {
            (Ok(last), _) => last,
            (Err(_), Some(value)) => return Ok(value),
            (Err(_), None) => self.last.lock().await,
        };
        self.tried(last, now, fetch).await
    }

    /// The value, fetched again unless that was tried a moment ago.
    pub(crate) async fn renewed(
        &self,
        now: Timestamp,
        fetch: impl AsyncFnOnce() -> Result<T, Failure>,
    ) -> Result<Arc<T>, Failure> {
        let last = self.last.lock().await;
        self.tried(last, now, fetch).await
    }

    /// What is known once it was tried to fetch it, now or a moment ago.
    async fn tried(
        &self,
        mut last: MutexGuard<'_, Option<Attempt>>,
        now: Timestamp,
        fetch: impl AsyncFnOnce() -> Result<T, Failure>,
    ) -> Result<Arc<T>, Failure> {
        let rested = last
            .as_ref()
            .is_none_or(|last| (now - last.at).abs() >= PAUSE);
        if rested {
            let failure = match fetch().await {
                Ok(value) => {
                    self.set(value, now);
                    None
                }
                Err(failure) => {
                    // Where nothing is known, the caller reports it.
                    if self.younger_than(STALE, now).is_some() {
                        tracing::warn!(error = %failure, "what is known of a provider gets old");
                    }
                    Some(failure)
                }
            };
            *last = Some(Attempt { at: now, failure });
        }
        let failure = last.as_ref().and_then(|last| last.failure.clone());
        match (self.younger_than(STALE, now), failure) {
            (Some(value), _) => Ok(value),
            (None, Some(failure)) => Err(failure),
            (None, None) => Err(Failure::Unavailable("it was not asked yet".into())),
        }
    }

    fn younger_than(&self, age: TimeDelta, now: Timestamp) -> Option<Arc<T>> {
        let value = self
            .value
            .read()
            .unwrap_or_else(|broken| broken.into_inner());
        let (value, fetched) = value.as_ref()?;
        ((now - *fetched).abs() < age).then(|| Arc::clone(value))
    }

    fn set(&self, value: T, now: Timestamp) {
        let mut known = self
            .value
            .write()
            .unwrap_or_else(|broken| broken.into_inner());
        *known = Some((Arc::new(value), now));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
    }

    #[tokio::test]
    async fn a_value_is_asked_for_once_however_many_want_it() {
        let (kept, asked) = (Cached::new(), AtomicU32::new(0));
        let fetch = async || {
            tokio::task::yield_now().await;
            Ok(asked.fetch_add(1, Ordering::SeqCst))
        };
        let (first, second) = tokio::join!(kept.fresh(at(0), fetch), kept.fresh(at(0), fetch));
        assert_eq!((*first.expect("first"), *second.expect("second")), (0, 0));
        // An old one is asked for again, and a doubted one after a pause.
        assert_eq!(*kept.fresh(at(3599), fetch).await.expect("fresh"), 0);
        assert_eq!(*kept.fresh(at(3600), fetch).await.expect("fresh"), 1);
        assert_eq!(*kept.renewed(at(3605), fetch).await.expect("paused"), 1);
        assert_eq!(*kept.renewed(at(3610), fetch).await.expect("renewed"), 2);
    }

    #[tokio::test]
    async fn a_stale_value_is_used_while_it_is_fetched_again() {
        let kept = Cached::new();
        let first = kept.fresh(at(0), async || Ok(7)).await;
        assert_eq!(first.map(|kept| *kept), Ok(7));
        let never = async || std::future::pending().await;
        let mut asking = std::pin::pin!(kept.fresh(at(3600), never));
        let mut context = Context::from_waker(Waker::noop());
        assert!(asking.as_mut().poll(&mut context).is_pending());
        let mut other = std::pin::pin!(kept.fresh(at(3700), async || Ok(8)));
        match other.as_mut().poll(&mut context) {
            Poll::Ready(old) => assert_eq!(old.map(|kept| *kept), Ok(7)),
            Poll::Pending => panic!("it waits for the one that asks"),
        }
    }

    #[tokio::test]
    async fn an_old_value_counts_for_a_day_while_the_provider_does_not_answer() {
        let kept = Cached::new();
        let down = async || Err(Failure::Unavailable("down".into()));
        assert_eq!(
            kept.fresh(at(0), async || Ok(7)).await.map(|kept| *kept),
            Ok(7)
        );
        let old = kept.fresh(at(86_399), down).await;
        assert_eq!(old.map(|kept| *kept), Ok(7));
        let gone = kept.fresh(at(86_410), down).await;
        assert_eq!(gone, Err(Failure::Unavailable("down".into())));
    }

    #[tokio::test]
    async fn a_failure_is_remembered_for_a_moment() {
        let kept = Cached::new();
        let down = async || Err(Failure::Unavailable("down".into()));
        let _ = kept.fresh(at(0), down).await;
        let early = kept.fresh(at(9), async || Ok(7)).await;
        assert_eq!(early, Err(Failure::Unavailable("down".into())));
        let later = kept.fresh(at(10), async || Ok(7)).await;
        assert_eq!(later.map(|kept| *kept), Ok(7));
    }
}
