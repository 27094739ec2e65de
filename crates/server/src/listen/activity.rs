//! How a connection spends its time, so that one that only waits can be closed.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Version;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, sleep_until},
};

use super::Limits;

/// What one connection is doing: answering, sending, reading a request's head, or nothing.
///
/// hyper's own header timeout also runs while a kept-alive connection idles, does not see a client
/// that connects and stays silent, and does not exist for HTTP/2. Watching bytes and requests from
/// outside is one rule for all of them.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Requests given to the service and not answered yet.
    running: usize,
    /// When the last request was answered, or something was last sent.
    quiet_since: Instant,
    /// When the first byte of the head that is being read arrived.
    head_since: Option<Instant>,
    /// Whether bytes that arrive must be a head: HTTP/2 has frames that begin no request.
    bytes_are_heads: bool,
}

/// What a client took too long for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// To finish the head of a request.
    Head,
    /// To begin another request, or to take what it is sent.
    Request,
}

impl Activity {
    /// A connection whose first request is expected from now on.
    pub(super) fn new() -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self(Mutex::new(State {
            running: 0,
            quiet_since: now,
            head_since: Some(now),
            bytes_are_heads: true,
        })))
    }

    /// Notes that a request runs, until the result is dropped.
    pub(super) fn begin(self: &Arc<Self>, version: Version) -> Running {
        let mut state = self.state();
        state.running += 1;
        state.head_since = None;
        state.bytes_are_heads = version < Version::HTTP_2;
        Running(Arc::clone(self))
    }

    /// Returns once the client has taken longer than the limits allow.
    pub(super) async fn overdue(&self, limits: &Limits) -> Overdue {
        loop {
            let now = Instant::now();
            // A head may begin at any time, so never sleep longer than one may take.
            let mut wake = now + limits.header_read_timeout;
            if let Some((deadline, overdue)) = self.state().deadline(limits) {
                if deadline <= now {
                    return overdue;
                }
                wake = wake.min(deadline);
            }
            sleep_until(wake).await;
        }
    }

    /// Returns once no request has run and nothing has been sent for `time`.
    pub(super) async fn quiet_for(&self, time: Duration) {
        loop {
            let now = Instant::now();
            let deadline = self.state().quiet_since().unwrap_or(now) + time;
            if deadline <= now {
                return;
            }
            sleep_until(deadline).await;
        }
    }

    fn received(&self) {
        let mut state = self.state();
        if state.running == 0 && state.bytes_are_heads && state.head_since.is_none() {
            state.head_since = Some(Instant::now());
        }
    }

    fn sent(&self) {
        self.state().quiet_since = Instant::now();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while holding this")
    }
}

impl State {
    /// Since when nothing has run or been sent; `None` while a request runs.
    fn quiet_since(&self) -> Option<Instant> {
        (self.running == 0).then_some(self.quiet_since)
    }

    /// When the client will be overdue; `None` while it is the server's turn.
    fn deadline(&self, limits: &Limits) -> Option<(Instant, Overdue)> {
        let quiet_since = self.quiet_since()?;
        Some(match self.head_since {
            Some(begun) => (
                begun.max(quiet_since) + limits.header_read_timeout,
                Overdue::Head,
            ),
            None => (quiet_since + limits.keep_alive_timeout, Overdue::Request),
        })
    }
}

/// A request that runs.
pub(super) struct Running(Arc<Activity>);

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.running -= 1;
        state.quiet_since = Instant::now();
    }
}

/// A stream that tells what passes through it.
pub(super) struct Watched<T> {
    stream: T,
    activity: Arc<Activity>,
}

impl<T> Watched<T> {
    pub(super) fn new(stream: T, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.activity.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        self.activity.sent();
        Poll::Ready(Ok(sent))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, bytes))?;
        self.activity.sent();
        Poll::Ready(Ok(sent))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        header_read_timeout: Duration::from_secs(10),
        keep_alive_timeout: Duration::from_secs(60),
        ..Limits::DEFAULT
    };

    async fn overdue_after(activity: &Activity) -> (Overdue, Duration) {
        let start = Instant::now();
        (activity.overdue(&LIMITS).await, start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_must_come_soon_even_if_nothing_arrives() {
        let activity = Activity::new();
        let expected = (Overdue::Head, LIMITS.header_read_timeout);
        assert_eq!(overdue_after(&activity).await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_does_not_put_off_the_end() {
        let activity = Activity::new();
        let trickle = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                activity.received();
            }
        };
        tokio::select! {
            end = overdue_after(&activity) => {
                assert_eq!(end, (Overdue::Head, LIMITS.header_read_timeout));
            }
            () = trickle => unreachable!("a trickle is endless"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answered_connection_may_idle_for_longer() {
        let activity = Activity::new();
        drop(activity.begin(Version::HTTP_11));
        let expected = (Overdue::Request, LIMITS.keep_alive_timeout);
        assert_eq!(overdue_after(&activity).await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_head_is_timed_from_its_first_byte() {
        let activity = Activity::new();
        drop(activity.begin(Version::HTTP_11));
        tokio::time::sleep(Duration::from_secs(25)).await;
        activity.received();
        let expected = (Overdue::Head, LIMITS.header_read_timeout);
        assert_eq!(overdue_after(&activity).await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_of_http_2_are_no_heads() {
        let activity = Activity::new();
        drop(activity.begin(Version::HTTP_2));
        activity.received();
        let expected = (Overdue::Request, LIMITS.keep_alive_timeout);
        assert_eq!(overdue_after(&activity).await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_request_takes_the_time_it_takes() {
        let activity = Activity::new();
        let running = activity.begin(Version::HTTP_11);
        let hour = Duration::from_secs(3600);
        assert!(
            tokio::time::timeout(hour, activity.overdue(&LIMITS))
                .await
                .is_err()
        );
        drop(running);
        assert_eq!(activity.overdue(&LIMITS).await, Overdue::Request);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_its_answer_slowly_is_waited_for() {
        let activity = Activity::new();
        drop(activity.begin(Version::HTTP_11));
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(50)).await;
            activity.sent();
        }
        let expected = (Overdue::Request, LIMITS.keep_alive_timeout);
        assert_eq!(overdue_after(&activity).await, expected);
    }
}
