//! Reading the bodies of requests: within a limit for each, and one for all that are held together.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// All bodies that are held: those that are still arriving, and those whose requests are not
/// answered yet.
///
/// Anyone who sends slowly must not keep others out: where arriving bodies come to more than the limit,
/// the one that began first is given up. An honest one is whole within moments and never the first.
pub struct Bodies {
    held: Mutex<Held>,
    most: usize,
}

/// A body that is whole and no longer than this part of all room (16 KiB of 64 MiB) is always taken:
/// requests that wait, as for a slow hash, must not keep others out that hardly need room.
const SMALL_PART: usize = 4096;

#[derive(Default)]
struct Held {
    next_number: u64,
    /// In the order in which they began.
    arriving: BTreeMap<u64, Arriving>,
    arriving_bytes: usize,
    /// What the requests that are being answered hold.
    whole_bytes: usize,
}

struct Arriving {
    bytes: usize,
    /// Dropped when the body is given up.
    _tell: oneshot::Sender<()>,
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is longer than it may be.
    TooLarge,
    /// Nothing of it came for too long.
    TooSlow,
    /// Too many bodies are held, and this one began first or came last.
    Overloaded,
    /// The connection broke, or what came was no body.
    Broken,
}

/// The place of a body among those that are held; it is free again when this is dropped.
pub struct Place {
    bodies: Arc<Bodies>,
    number: u64,
    /// The bytes, once the body is whole.
    whole: Option<usize>,
}

impl Bodies {
    /// Room for so many bytes that are arriving, and for as many that have arrived.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            held: Mutex::default(),
            most,
        })
    }

    /// Reads a body of at most `limit` bytes, of which some have to come within any time of
    /// `patience`. One that is known to be empty takes no place.
    pub async fn read<B>(
        self: &Arc<Self>,
        body: B,
        limit: usize,
        patience: Duration,
    ) -> Result<(Bytes, Option<Place>), BodyError>
    where
        B: http_body::Body,
    {
        if body.is_end_stream() {
            return Ok((Bytes::new(), None));
        }
        let mut body = pin!(body);
        let (mut place, mut given_up) = self.begin();
        let mut bytes = BytesMut::new();
        loop {
            let frame = tokio::select! {
                // The sender says nothing: it is dropped.
                _ = &mut given_up => return Err(BodyError::Overloaded),
                frame = timeout(patience, body.frame()) => frame,
            };
            let frame = match frame {
                Err(_) => return Err(BodyError::TooSlow),
                Ok(Some(Err(_))) => return Err(BodyError::Broken),
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => break,
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let length = data.remaining();
            if length > limit - bytes.len() {
                return Err(BodyError::TooLarge);
            }
            place.grow(length)?;
            bytes.put(data);
        }
        place.finish()?;
        Ok((bytes.freeze(), Some(place)))
    }

    fn begin(self: &Arc<Self>) -> (Place, oneshot::Receiver<()>) {
        let (tell, given_up) = oneshot::channel();
        let mut held = self.lock();
        let number = held.next_number;
        held.next_number += 1;
        let arriving = Arriving {
            bytes: 0,
            _tell: tell,
        };
        held.arriving.insert(number, arriving);
        drop(held);
        let place = Place {
            bodies: Arc::clone(self),
            number,
            whole: None,
        };
        (place, given_up)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn give_up(&mut self, number: u64) -> Option<Arriving> {
        let given_up = self.arriving.remove(&number)?;
        self.arriving_bytes -= given_up.bytes;
        Some(given_up)
    }
}

impl Place {
    /// Counts bytes that came. Those that began first make room.
    fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        let mut held = self.bodies.lock();
        let own = held.arriving.get_mut(&self.number);
        own.ok_or(BodyError::Overloaded)?.bytes += bytes;
        held.arriving_bytes += bytes;
        while held.arriving_bytes > self.bodies.most
            && let Some(first) = held.arriving.keys().next().copied()
        {
            held.give_up(first);
        }
        match held.arriving.contains_key(&self.number) {
            true => Ok(()),
            false => Err(BodyError::Overloaded),
        }
    }

    /// Counts the body among those that are whole, if there is room.
    fn finish(&mut self) -> Result<(), BodyError> {
        let mut held = self.bodies.lock();
        let own = held.give_up(self.number).ok_or(BodyError::Overloaded)?;
        let is_small = own.bytes <= self.bodies.most / SMALL_PART;
        if !is_small && held.whole_bytes + own.bytes > self.bodies.most {
            return Err(BodyError::Overloaded);
        }
        held.whole_bytes += own.bytes;
        self.whole = Some(own.bytes);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.bodies.lock();
        match self.whole {
            Some(bytes) => held.whole_bytes -= bytes,
            None => drop(held.give_up(self.number)),
        }
    }
}

/// Lets a body of a refused request pass by, so that its sender hears the refusal and not a broken
/// connection. Anyone who sends more than `most` bytes, or nothing for a while, is not waited for.
pub async fn discard<B: http_body::Body>(body: B, most: usize) {
    const PATIENCE: Duration = Duration::from_secs(1);
    let mut body = pin!(body);
    let mut passed = 0;
    while let Ok(Some(Ok(frame))) = timeout(PATIENCE, body.frame()).await {
        let data = frame.into_data();
        let length = data.map_or(0, |data| data.remaining());
        passed += length;
        if passed > most {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body::Frame;
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A body whose sender decides when something comes.
    struct Sent(mpsc::UnboundedReceiver<Bytes>);

    impl http_body::Body for Sent {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let polled = self.0.poll_recv(context);
            polled.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    type Reading = JoinHandle<Result<(Bytes, Option<Place>), BodyError>>;

    /// Begins to read a body of which `count` bytes have come.
    async fn begin(bodies: &Arc<Bodies>, count: usize) -> (mpsc::UnboundedSender<Bytes>, Reading) {
        let (send, receive) = mpsc::unbounded_channel();
        let bodies = Arc::clone(bodies);
        let known = bodies.lock().arriving_bytes;
        let reader = Arc::clone(&bodies);
        let reading = tokio::spawn(async move { reader.read(Sent(receive), 1000, PATIENCE).await });
        send.send(vec![b'x'; count].into()).unwrap();
        let most = bodies.most;
        while bodies.lock().arriving_bytes < (known + count).min(most - most % count) {
            tokio::task::yield_now().await;
        }
        (send, reading)
    }

    #[tokio::test]
    async fn of_a_flood_of_unfinished_bodies_the_first_are_given_up_and_a_newcomer_is_read() {
        let bodies = Bodies::new(1000);
        let mut flood = Vec::new();
        for _ in 0..30 {
            flood.push(begin(&bodies, 100).await);
            assert!(bodies.lock().arriving_bytes <= 1000);
        }
        let (send, reading) = begin(&bodies, 50).await;
        drop(send);
        assert_eq!(reading.await.unwrap().unwrap().0.len(), 50);
        let mut given_up = 0;
        for (send, reading) in flood {
            drop(send);
            match reading.await.unwrap() {
                Ok((bytes, _)) => assert_eq!(bytes.len(), 100),
                Err(error) => {
                    assert_eq!(error, BodyError::Overloaded);
                    given_up += 1;
                }
            }
        }
        assert_eq!(given_up, 21);
        assert_eq!(bodies.lock().arriving_bytes, 0);
        assert_eq!(bodies.lock().whole_bytes, 0);
    }

    #[tokio::test]
    async fn bodies_whose_requests_are_not_answered_leave_no_room_for_more() {
        let bodies = Bodies::new(1000);
        let read = async |count: usize| {
            let (send, reading) = begin(&bodies, count).await;
            drop(send);
            reading.await.unwrap()
        };
        let one = read(500).await.unwrap();
        let two = read(500).await.unwrap();
        assert_eq!(read(100).await.err(), Some(BodyError::Overloaded));
        drop(one);
        assert!(read(100).await.is_ok());
        drop(two);
        assert_eq!(bodies.lock().whole_bytes, 0);
    }

    #[tokio::test]
    async fn a_small_body_is_read_where_there_is_no_room_for_a_long_one() {
        let bodies = Bodies::new(3 * SMALL_PART);
        let read = async |count: usize| {
            let (send, reading) = begin(&bodies, count).await;
            drop(send);
            reading.await.unwrap()
        };
        let mut held = Vec::new();
        while bodies.lock().whole_bytes < 3 * SMALL_PART {
            held.push(read(SMALL_PART / 8).await.unwrap());
        }
        assert_eq!(read(4).await.err(), Some(BodyError::Overloaded));
        assert!(read(3).await.is_ok());
    }

    #[tokio::test]
    async fn a_body_has_a_limit_of_its_own() {
        let bodies = Bodies::new(10_000);
        let (send, receive) = mpsc::unbounded_channel();
        send.send(vec![b'x'; 600].into()).unwrap();
        send.send(vec![b'x'; 401].into()).unwrap();
        let read = bodies.read(Sent(receive), 1000, PATIENCE).await;
        assert_eq!(read.err(), Some(BodyError::TooLarge));
        assert_eq!(bodies.lock().arriving_bytes, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_of_which_nothing_comes_is_given_up() {
        let bodies = Bodies::new(1000);
        let (send, reading) = begin(&bodies, 10).await;
        tokio::time::advance(PATIENCE - Duration::from_secs(1)).await;
        send.send(vec![b'x'; 10].into()).unwrap();
        tokio::task::yield_now().await;
        tokio::time::advance(PATIENCE - Duration::from_secs(1)).await;
        assert!(!reading.is_finished());
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(reading.await.unwrap().err(), Some(BodyError::TooSlow));
    }
}
