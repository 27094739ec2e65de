//! How much strangers can make us ask of a provider: a made-up code or token costs a request there, in
//! our client's name, and nobody has to log in for that.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::driver::Failure;

/// How many are under way at once, of one kind with one provider.
const AT_ONCE: usize = 32;
/// How many more may wait for their turn.
const WAITING: usize = 128;

/// Lets a bounded number of requests of one kind through to a provider.
pub(crate) struct Throttle {
    permits: Semaphore,
    waiting: AtomicUsize,
    patience: Duration,
}

impl Throttle {
    /// One in which nobody waits longer than this for their turn.
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            permits: Semaphore::new(AT_ONCE),
            waiting: AtomicUsize::new(0),
            patience,
        }
    }

    /// Does this when its turn has come.
    ///
    /// # Errors
    ///
    /// [`Failure::Unavailable`] when too many wait already, or for too long.
    pub(crate) async fn run<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let _permit = self.turn().await?;
        work.await
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, Failure> {
        let busy =
            || Failure::Unavailable("too many requests to the provider are in progress".into());
        if let Ok(permit) = self.permits.try_acquire() {
            return Ok(permit);
        }
        let _waiting = Waiting::begin(&self.waiting).ok_or_else(busy)?;
        match tokio::time::timeout(self.patience, self.permits.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(busy()),
        }
    }
}

/// One who waits. It is no longer counted when it is dropped, also because its client has left.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Option<Self> {
        let waiting = Self(count);
        (count.fetch_add(1, Ordering::SeqCst) < WAITING).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Questions to a provider: a bounded number of them, where equal ones that are asked at the same
/// time wait for one answer.
pub(crate) struct Questions<T> {
    throttle: Throttle,
    asked: Mutex<HashMap<Key, Cell<T>>>,
}

/// A digest of what is asked, which may be a secret.
type Key = [u8; 32];

/// Its holder asks; `None` until there is an answer.
type Cell<T> = Arc<tokio::sync::Mutex<Option<Result<T, Failure>>>>;

impl<T: Clone> Questions<T> {
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            throttle: Throttle::new(patience),
            asked: Mutex::new(HashMap::new()),
        }
    }

    /// The answer to a question that these parts make up.
    ///
    /// # Errors
    ///
    /// Those of the work, and [`Failure::Unavailable`] when too many are asking already.
    pub(crate) async fn ask<'a>(
        &self,
        parts: impl IntoIterator<Item = &'a [u8]>,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let question = self.question(key(parts));
        let mut answer = question.cell.lock().await;
        // When the one who asked has left, the next one asks.
        if let Some(answer) = &*answer {
            return answer.clone();
        }
        let result = self.throttle.run(work).await;
        *answer = Some(result.clone());
        // Those who come from now on ask again.
        question.forget();
        result
    }

    fn question(&self, key: Key) -> Question<'_, T> {
        let cell = Arc::clone(self.asked().entry(key).or_default());
        Question {
            questions: self,
            key,
            cell,
        }
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<Key, Cell<T>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that somebody waits for an answer to.
struct Question<'a, T: Clone> {
    questions: &'a Questions<T>,
    key: Key,
    cell: Cell<T>,
}

impl<T: Clone> Question<'_, T> {
    fn forget(&self) {
        let mut asked = self.questions.asked();
        if asked
            .get(&self.key)
            .is_some_and(|cell| Arc::ptr_eq(cell, &self.cell))
        {
            asked.remove(&self.key);
        }
    }
}

impl<T: Clone> Drop for Question<'_, T> {
    fn drop(&mut self) {
        let mut asked = self.questions.asked();
        // Given up under the lock, so that of two who leave at once the last one sees it.
        let cell = std::mem::take(&mut self.cell);
        let is_ours = |kept: &Cell<T>| Arc::ptr_eq(kept, &cell) && Arc::strong_count(kept) == 2;
        if asked.get(&self.key).is_some_and(is_ours) {
            asked.remove(&self.key);
        }
    }
}

/// Each part with its length before it, so that no two lists of parts look the same.
fn key<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Key {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut key = Key::default();
    key.copy_from_slice(context.finish().as_ref());
    key
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Throttle")
    }
}

impl<T> fmt::Debug for Questions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Questions")
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn parts(text: &str) -> [&[u8]; 1] {
        [text.as_bytes()]
    }

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn so_many_at_once_so_many_wait_and_the_others_are_turned_away() {
        let throttle = Throttle::new(PATIENCE);
        let never = || Box::pin(throttle.run(std::future::pending::<Result<(), Failure>>()));
        let mut running: Vec<_> = (0..AT_ONCE + WAITING).map(|_| never()).collect();
        for one in &mut running {
            assert!(poll(one.as_mut()).is_pending());
        }
        let busy = |result| matches!(result, Poll::Ready(Err(Failure::Unavailable(_))));
        assert!(busy(poll(never().as_mut())));
        // One that leaves makes room, whether it is under way or waits.
        for place in [0, AT_ONCE] {
            drop(running.remove(place));
            for one in &mut running {
                assert!(poll(one.as_mut()).is_pending());
            }
            let mut next = never();
            assert!(poll(next.as_mut()).is_pending());
            running.push(next);
            assert!(busy(poll(never().as_mut())));
        }
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let throttle = Throttle::new(Duration::from_millis(1));
        let never = || Box::pin(throttle.run(std::future::pending::<Result<(), Failure>>()));
        let mut running: Vec<_> = (0..AT_ONCE).map(|_| never()).collect();
        for one in &mut running {
            assert!(poll(one.as_mut()).is_pending());
        }
        assert!(matches!(never().await, Err(Failure::Unavailable(_))));
    }

    #[tokio::test]
    async fn equal_questions_wait_for_one_answer() {
        let questions = Questions::new(PATIENCE);
        let count = AtomicUsize::new(0);
        let work = async || {
            tokio::task::yield_now().await;
            Ok(count.fetch_add(1, Ordering::SeqCst))
        };
        let ask = |text| questions.ask(parts(text), work());
        let (one, two, other, three) = tokio::join!(ask("a"), ask("a"), ask("b"), ask("a"));
        assert!(one == two && two == three && one != other);
        assert_eq!(count.load(Ordering::SeqCst), 2);
        assert!(questions.asked().is_empty());
        // An answer is not kept, and a failure is one.
        assert_eq!(ask("a").await, Ok(2));
        let failed = || Failure::Refused("no".into());
        let mut first = Box::pin(questions.ask(parts("a"), async {
            tokio::task::yield_now().await;
            Err(failed())
        }));
        assert!(poll(first.as_mut()).is_pending());
        let mut second = Box::pin(ask("a"));
        assert!(poll(second.as_mut()).is_pending());
        assert_eq!((first.await, second.await), (Err(failed()), Err(failed())));
    }

    #[tokio::test]
    async fn when_the_one_who_asks_leaves_another_asks() {
        let questions = Questions::new(PATIENCE);
        let mut first = Box::pin(questions.ask(parts("a"), std::future::pending()));
        assert!(poll(first.as_mut()).is_pending());
        let mut second = Box::pin(questions.ask(parts("a"), async { Ok(7) }));
        assert!(poll(second.as_mut()).is_pending());
        drop(first);
        assert_eq!(second.await, Ok(7));
        let mut alone = Box::pin(questions.ask(parts("a"), std::future::pending()));
        assert!(poll(alone.as_mut()).is_pending());
        drop(alone);
        assert!(questions.asked().is_empty());
    }

    #[test]
    fn parts_are_not_joined() {
        let pieces = |all: &[&'static str]| key(all.iter().map(|text| text.as_bytes()));
        assert_ne!(pieces(&["ab", "c"]), pieces(&["a", "bc"]));
        assert_ne!(pieces(&["a"]), pieces(&["a", ""]));
    }
}
