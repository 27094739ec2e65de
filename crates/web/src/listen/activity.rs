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

/// The time by which timers run.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of this crate; tests stop this clock by tokio::time::pause"
)]
fn now() -> Instant {
    Instant::now()
}

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
        Arc::new(Self(Mutex::new(State::new(now()))))
    }

    /// Notes that a request runs, until the result is dropped.
    pub(super) fn begin(self: &Arc<Self>, version: Version) -> Running {
        self.state().begin(version);
        Running(Arc::clone(self))
    }

    /// Returns once the client has taken longer than the limits allow.
    pub(super) async fn overdue(&self, limits: &Limits) -> Overdue {
        loop {
            let now = now();
            // What is waited for may change at any time, so sleep no longer than the shortest wait.
            let mut wake = now + limits.header_read_timeout.min(limits.keep_alive_timeout);
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
            let now = now();
            let deadline = self.state().quiet_since().unwrap_or(now) + time;
            if deadline <= now {
                return;
            }
            sleep_until(deadline).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while holding this")
    }
}

impl State {
    fn new(now: Instant) -> Self {
        Self {
            running: 0,
            quiet_since: now,
            head_since: Some(now),
            bytes_are_heads: true,
        }
    }

    fn begin(&mut self, version: Version) {
        self.running += 1;
        self.head_since = None;
        self.bytes_are_heads = version < Version::HTTP_2;
    }

    fn end(&mut self, now: Instant) {
        self.running -= 1;
        self.quiet_since = now;
    }

    fn received(&mut self, now: Instant) {
        if self.running == 0 && self.bytes_are_heads {
            self.head_since.get_or_insert(now);
        }
    }

    fn sent(&mut self, now: Instant) {
        self.quiet_since = now;
    }

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
        self.0.state().end(now());
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
            self.activity.state().received(now());
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
        self.activity.state().sent(now());
        Poll::Ready(Ok(sent))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, bytes))?;
        self.activity.state().sent(now());
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

    const HEAD: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(60);
    const LIMITS: Limits = Limits {
        header_read_timeout: HEAD,
        keep_alive_timeout: IDLE,
        ..Limits::DEFAULT
    };

    /// A connection and the time of its begin.
    fn fresh() -> (State, Instant) {
        let start = now();
        (State::new(start), start)
    }

    /// A connection and the time when its first request was answered.
    fn answered(version: Version) -> (State, Instant) {
        let (mut state, start) = fresh();
        let now = start + Duration::from_secs(5);
        state.begin(version);
        state.end(now);
        (state, now)
    }

    #[test]
    fn the_first_head_must_come_soon_whether_it_begins_or_not() {
        let (mut state, start) = fresh();
        let expected = Some((start + HEAD, Overdue::Head));
        assert_eq!(state.deadline(&LIMITS), expected);
        state.received(start + Duration::from_secs(9));
        assert_eq!(state.deadline(&LIMITS), expected);
    }

    #[test]
    fn a_running_request_takes_the_time_it_takes() {
        let (mut state, _) = fresh();
        state.begin(Version::HTTP_11);
        assert_eq!(state.deadline(&LIMITS), None);
    }

    #[test]
    fn an_answered_connection_may_idle() {
        let (state, now) = answered(Version::HTTP_11);
        assert_eq!(
            state.deadline(&LIMITS),
            Some((now + IDLE, Overdue::Request))
        );
    }

    #[test]
    fn a_further_head_is_timed_from_its_first_byte() {
        let (mut state, now) = answered(Version::HTTP_11);
        let begun = now + Duration::from_secs(25);
        state.received(begun);
        state.received(begun + Duration::from_secs(5));
        assert_eq!(state.deadline(&LIMITS), Some((begun + HEAD, Overdue::Head)));
    }

    #[test]
    fn frames_of_http_2_are_no_heads() {
        let (mut state, now) = answered(Version::HTTP_2);
        state.received(now + Duration::from_secs(25));
        assert_eq!(
            state.deadline(&LIMITS),
            Some((now + IDLE, Overdue::Request))
        );
    }

    #[test]
    fn one_of_several_requests_is_enough_to_run() {
        let (mut state, now) = fresh();
        state.begin(Version::HTTP_2);
        state.begin(Version::HTTP_2);
        state.end(now);
        assert_eq!(state.deadline(&LIMITS), None);
    }

    #[test]
    fn a_client_that_takes_its_answer_slowly_is_waited_for() {
        let (mut state, now) = answered(Version::HTTP_11);
        let sent = now + Duration::from_secs(50);
        state.sent(sent);
        assert_eq!(
            state.deadline(&LIMITS),
            Some((sent + IDLE, Overdue::Request))
        );
    }
}
