//! Threads of our own for work that holds a core for a good part of a second.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::{io, thread};

use tokio::sync::oneshot;

/// A fixed number of threads behind a bounded queue, first come first served.
///
/// Dropping the pool lets running jobs end and forgets the waiting ones.
pub(super) struct Pool {
    shared: Arc<Shared>,
}

/// Every thread is occupied and the queue is full.
#[derive(Debug)]
pub(super) struct Busy;

impl Pool {
    /// Starts `threads` threads; `waiting` jobs may wait while all of them are occupied.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub(super) fn start(threads: usize, waiting: usize) -> io::Result<Self> {
        let pool = Self {
            shared: Arc::new(Shared {
                state: Mutex::default(),
                changed: Condvar::new(),
                most: threads + waiting,
            }),
        };
        for number in 0..threads {
            let shared = Arc::clone(&pool.shared);
            thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || shared.work())?;
        }
        Ok(pool)
    }

    /// Queues a job. Its result arrives at the receiver; if the receiver is dropped first, the job
    /// is not begun; if the job panics, the receiver reports a closed channel.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<oneshot::Receiver<T>, Busy> {
        let (reply, receiver) = oneshot::channel();
        let mut state = self.shared.lock();
        if state.admitted() >= self.shared.most {
            // Callers who gave up must not keep others out.
            state.waiting.retain(|job| !job.is_abandoned());
            if state.admitted() >= self.shared.most {
                return Err(Busy);
            }
        }
        state.waiting.push_back(Box::new(Task { work, reply }));
        drop(state);
        self.shared.changed.notify_one();
        Ok(receiver)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        state.waiting.clear();
        drop(state);
        self.shared.changed.notify_all();
    }
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// How many jobs may be running or waiting.
    most: usize,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Box<dyn Job>>,
    running: usize,
    closed: bool,
}

impl State {
    fn admitted(&self) -> usize {
        self.running + self.waiting.len()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("jobs run, and panic, outside the lock")
    }

    /// The life of one thread.
    fn work(&self) {
        while let Some(job) = self.next() {
            if catch_unwind(AssertUnwindSafe(|| job.run())).is_err() {
                tracing::error!("a hashing job panicked");
            }
            self.lock().running -= 1;
        }
    }

    /// Waits for a job that somebody still wants; `None` when the pool is closed.
    fn next(&self) -> Option<Box<dyn Job>> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            match state.waiting.pop_front() {
                Some(job) if job.is_abandoned() => {}
                Some(job) => {
                    state.running += 1;
                    return Some(job);
                }
                None => {
                    state = self
                        .changed
                        .wait(state)
                        .expect("jobs run, and panic, outside the lock");
                }
            }
        }
    }
}

/// A [`Task`] whose result type is forgotten, so that different ones share a queue.
trait Job: Send {
    fn is_abandoned(&self) -> bool;
    fn run(self: Box<Self>);
}

struct Task<W, T> {
    work: W,
    reply: oneshot::Sender<T>,
}

impl<W: FnOnce() -> T + Send, T: Send> Job for Task<W, T> {
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(self: Box<Self>) {
        // Who no longer listens no longer cares.
        let _ = self.reply.send((self.work)());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Occupies one thread of the pool until the returned sender is used or dropped.
    fn occupy(pool: &Pool) -> mpsc::Sender<()> {
        let (begun, has_begun) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let receiver = pool.submit(move || {
            begun.send(()).unwrap();
            let _ = released.recv();
        });
        has_begun.recv().unwrap();
        // The job runs already, so nobody needs to wait for it.
        drop(receiver);
        release
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once() {
        let pool = Pool::start(1, 1).unwrap();
        let release = occupy(&pool);
        let waiting = pool.submit(|| "done").unwrap();
        assert!(pool.submit(|| ()).is_err());
        drop(release);
        assert_eq!(waiting.await, Ok("done"));
    }

    #[tokio::test]
    async fn idle_threads_do_not_count_as_queue() {
        let pool = Pool::start(2, 0).unwrap();
        let _one = occupy(&pool);
        let _two = occupy(&pool);
        assert!(pool.submit(|| ()).is_err());
    }

    #[tokio::test]
    async fn a_job_nobody_waits_for_is_not_begun() {
        let pool = Pool::start(1, 2).unwrap();
        let release = occupy(&pool);
        let (ran, has_run) = mpsc::channel();
        drop(pool.submit(move || ran.send(())).unwrap());
        let after = pool.submit(|| ()).unwrap();
        drop(release);
        after.await.unwrap();
        assert!(has_run.recv().is_err(), "the job was dropped unrun");
    }

    #[tokio::test]
    async fn jobs_nobody_waits_for_make_room() {
        let pool = Pool::start(1, 1).unwrap();
        let release = occupy(&pool);
        drop(pool.submit(|| ()).unwrap());
        let admitted = pool.submit(|| "admitted").unwrap();
        drop(release);
        assert_eq!(admitted.await, Ok("admitted"));
    }

    #[tokio::test]
    async fn a_panic_costs_one_answer_and_no_thread() {
        let pool = Pool::start(1, 1).unwrap();
        let broken = pool.submit(|| -> () { panic!("on purpose") }).unwrap();
        assert!(broken.await.is_err());
        let next = pool.submit(|| "still here").unwrap();
        assert_eq!(next.await, Ok("still here"));
    }

    #[tokio::test]
    async fn dropping_the_pool_drops_waiting_jobs() {
        let pool = Pool::start(1, 1).unwrap();
        let release = occupy(&pool);
        let waiting = pool.submit(|| ()).unwrap();
        drop(pool);
        assert!(waiting.await.is_err());
        drop(release);
    }
}
