//! Looking at files again and again, away from the threads that answer requests.

use std::sync::mpsc::{self, RecvTimeoutError, SyncSender, TrySendError};
use std::time::Duration;
use std::{io, thread};

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Work that is done every second, and when somebody asks for it, on a thread of its own, until this
/// is dropped. Nobody waits for the thread: a file on a network may hang for ever.
pub struct Watch {
    wake: SyncSender<()>,
}

impl Watch {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// When the system has none left.
    pub fn start(name: &str, work: impl Fn() + Send + 'static) -> io::Result<Self> {
        // Requests coalesce.
        let (wake, woken) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                while woken.recv_timeout(INTERVAL) != Err(RecvTimeoutError::Disconnected) {
                    work();
                }
            })?;
        Ok(Self { wake })
    }

    /// Asks for the work to be done as soon as what is being done has ended.
    pub fn ask(&self) {
        match self.wake.try_send(()) {
            Ok(()) | Err(TrySendError::Full(())) => {}
            Err(TrySendError::Disconnected(())) => {
                tracing::error!("the file watcher has stopped")
            }
        }
    }
}
