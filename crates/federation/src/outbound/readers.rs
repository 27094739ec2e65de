//! Where documents of strangers are read.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::driver::Failure;

/// Threads apart from those that answer requests, for documents that take a while to parse, verify
/// or decrypt: a few at once, a bounded number waiting, and each for a bounded time.
///
/// They are not those that hash passwords: a flood of documents then keeps other documents waiting,
/// and no password.
#[derive(Clone, Debug)]
pub struct Readers {
    /// One permit for each that is read or waits.
    room: Arc<Semaphore>,
    /// One permit for each that is read.
    turns: Arc<Semaphore>,
    deadline: Duration,
}

impl Readers {
    /// Readers of `at_once` documents, for which `waiting` more may wait. Whatever is not read at the
    /// deadline is given up.
    pub fn new(at_once: usize, waiting: usize, deadline: Duration) -> Self {
        Self {
            room: Arc::new(Semaphore::new(at_once + waiting)),
            turns: Arc::new(Semaphore::new(at_once)),
            deadline,
        }
    }

    /// Reads on a thread apart. Work that nobody waits for any more is not begun; what has begun
    /// cannot be stopped, and keeps its place among the few until it is done.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let _room = self.room.try_acquire().map_err(|_| busy())?;
        let read = async {
            let turn = Arc::clone(&self.turns).acquire_owned().await;
            let turn = turn.map_err(|_| busy())?;
            let reading = tokio::task::spawn_blocking(move || {
                let read = work();
                drop(turn);
                read
            });
            match reading.await {
                Ok(read) => Ok(read),
                Err(broken) => match broken.try_into_panic() {
                    // It belongs to the request, as on its own thread.
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => Err(busy()),
                },
            }
        };
        tokio::time::timeout(self.deadline, read)
            .await
            .unwrap_or_else(|_| Err(busy()))
    }
}

impl Default for Readers {
    /// Half of the cores, so that the other half stays with everybody else.
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self::new((cores / 2).clamp(1, 4), 64, Duration::from_secs(10))
    }
}

fn busy() -> Failure {
    Failure::Unavailable("too many documents of providers are waiting to be read".into())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Occupies one reader until the sender is used or dropped.
    async fn occupy(readers: &Readers) -> mpsc::Sender<()> {
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (release, released) = mpsc::channel::<()>();
        let readers = readers.clone();
        tokio::spawn(async move {
            let work = move || {
                begun.send(()).expect("somebody waits");
                let _ = released.recv();
            };
            readers.run(work).await
        });
        has_begun.await.expect("it begins");
        release
    }

    #[tokio::test]
    async fn beyond_those_that_may_wait_documents_are_refused_at_once() {
        let readers = Readers::new(1, 1, Duration::from_secs(60));
        let release = occupy(&readers).await;
        let waiting = readers.run(|| "read");
        tokio::pin!(waiting);
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("it does not wait"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(readers.run(|| "too many").await, Err(busy()));
        drop(release);
        assert_eq!(waiting.await, Ok("read"));
        assert_eq!(readers.run(|| "room again").await, Ok("room again"));
    }

    #[tokio::test]
    async fn a_document_that_waits_for_too_long_is_given_up_and_not_begun() {
        let readers = Readers::new(1, 1, Duration::from_millis(1));
        let release = occupy(&readers).await;
        let (ran, has_run) = mpsc::channel();
        assert_eq!(readers.run(move || ran.send(())).await, Err(busy()));
        drop(release);
        assert!(has_run.recv().is_err(), "it was dropped unread");
    }

    #[tokio::test]
    async fn what_takes_too_long_keeps_its_place_until_it_is_done() {
        let readers = Readers::new(1, 1, Duration::from_millis(1));
        let release = occupy(&readers).await;
        // The one that occupies the reader has been given up by now, and goes on.
        assert_eq!(readers.run(|| ()).await, Err(busy()));
        assert_eq!(readers.turns.available_permits(), 0);
        drop(release);
        let turn = readers.turns.acquire().await.expect("it ends");
        drop(turn);
    }
}
