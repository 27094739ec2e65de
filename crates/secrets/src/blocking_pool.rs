//! Work that waits for a disk or takes long, done away from the threads that answer requests.

use std::future::pending;
use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Threads for such work, a few at a time. Who finds none free waits, for as long as a request may
/// take; work that hangs keeps its thread, and no other.
pub struct BlockingPool {
    permits: Arc<Semaphore>,
}

impl BlockingPool {
    /// So many threads at a time.
    pub fn new(threads: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(threads)),
        }
    }

    /// Does some work. Once begun it is done, even where nobody waits for it any more.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let done = spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        match done.await.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(result) => result,
            Err(Ok(panic)) => resume_unwind(panic),
            // The server ends.
            Err(Err(_)) => pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn work_that_hangs_keeps_its_own_thread_only() {
        let pool = Arc::new(BlockingPool::new(2));
        let (release, released) = mpsc::channel::<()>();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let hanging = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                pool.run(move || {
                    let _ = begin.send(());
                    let _ = released.recv();
                })
                .await;
            }
        });
        begun.await.unwrap();
        assert_eq!(pool.run(|| 1).await, 1);
        assert_eq!(pool.run(|| 2).await, 2);
        drop(release);
        hanging.await.unwrap();
    }

    #[tokio::test]
    #[should_panic(expected = "on purpose")]
    async fn a_panic_reaches_anyone_who_waits() {
        BlockingPool::new(1).run(|| panic!("on purpose")).await
    }
}
