//! The host's ends of the pipes of a command that runs beside whoever started it.
//!
//! What the command writes is read from its pipe by whoever wants it, when it is wanted: nothing lies between, and a
//! command that is not read waits. Only while somebody waits for one thing of a command is what comes from its
//! other streams taken in, up to a bound, so that no order of reading is a deadlock.

mod inlet;
mod outlet;

use std::fmt;
use std::future::pending;
use std::sync::Arc;

use portcullis_policy::Code;
use tokio::sync::watch;
use tokio::task::yield_now;

use crate::capture::Interrupted;
use crate::relay::Gone;
pub(crate) use inlet::Inlet;
pub use inlet::{NobodyReads, ROOM};
pub(crate) use outlet::{Bounds, Outlet};
pub use outlet::{CHUNK, ReadError};

/// Is told of everything that is read from a stream, in order.
pub type Observer = Box<dyn FnMut(&[u8]) + Send>;

/// One output of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The streams of a command that runs beside whoever started it, as far as they are pipes. All clones are the same.
///
/// Dropping it closes nothing: the command, and what it wrote, are [`Running`](crate::Running)'s.
#[derive(Clone)]
pub struct Piped(Arc<Shared>);

struct Shared {
    stdin: Option<Inlet>,
    stdout: Option<Outlet>,
    stderr: Option<Outlet>,
    stop: watch::Sender<Option<Stop>>,
}

/// Why a command is killed before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Asked,
    Limit(Code),
}

impl fmt::Debug for Piped {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Piped")
            .field("stdin", &self.has_stdin())
            .field("stdout", &self.0.stdout.is_some())
            .field("stderr", &self.0.stderr.is_some())
            .finish_non_exhaustive()
    }
}

impl Piped {
    pub(crate) fn new(
        stdin: Option<Inlet>,
        stdout: Option<Outlet>,
        stderr: Option<Outlet>,
    ) -> Self {
        Self(Arc::new(Shared {
            stdin,
            stdout,
            stderr,
            stop: watch::Sender::new(None),
        }))
    }

    /// Whether its standard input is a pipe.
    pub fn has_stdin(&self) -> bool {
        self.0.stdin.is_some()
    }

    /// Whether this output is a pipe.
    pub fn has(&self, which: Which) -> bool {
        self.outlet(which).is_some()
    }

    fn outlet(&self, which: Which) -> Option<&Outlet> {
        match which {
            Which::Stdout => self.0.stdout.as_ref(),
            Which::Stderr => self.0.stderr.as_ref(),
        }
    }

    /// Takes what an output has, up to `most` bytes and [`CHUNK`]; empty when there is nothing yet. Never waits.
    ///
    /// # Errors
    /// [`ReadError`] at its end, and for a stream that is no pipe.
    pub fn read(&self, which: Which, most: usize) -> Result<Vec<u8>, ReadError> {
        let outlet = self.outlet(which).ok_or(ReadError::Ended)?;
        let (read, limit) = outlet.read(most);
        if let Some(code) = limit {
            self.stop(Stop::Limit(code));
        }
        read
    }

    /// Waits until [`read`](Self::read) has something to say. What comes from the other output meanwhile is held.
    pub async fn readable(&self, which: Which) {
        let ready = async {
            if let Some(outlet) = self.outlet(which) {
                outlet.readable().await;
            }
        };
        tokio::select! {
            biased;
            () = ready => {}
            () = self.hold(Some(which)) => {}
        }
    }

    /// Closes an output: a command that goes on writing gets SIGPIPE.
    pub fn close(&self, which: Which) {
        if let Some(outlet) = self.outlet(which) {
            outlet.close();
        }
    }

    /// How many bytes [`write`](Self::write) takes now: [`ROOM`], or 0 while there is still something to be written.
    ///
    /// # Errors
    /// [`NobodyReads`], also when its standard input is no pipe.
    pub fn room(&self) -> Result<usize, NobodyReads> {
        self.0.stdin.as_ref().ok_or(NobodyReads)?.room()
    }

    /// Gives the command bytes to read; no more than [`room`](Self::room) said. Never waits.
    ///
    /// # Errors
    /// As [`room`](Self::room).
    pub fn write(&self, bytes: &[u8]) -> Result<(), NobodyReads> {
        self.0.stdin.as_ref().ok_or(NobodyReads)?.write(bytes)
    }

    /// Waits until [`room`](Self::room) does not say 0. What comes from the outputs meanwhile is held.
    pub async fn writable(&self) {
        let ready = async {
            if let Some(inlet) = &self.0.stdin {
                inlet.writable().await;
            }
        };
        self.meanwhile(ready).await;
    }

    /// Closes standard input after what was written to it.
    pub fn close_stdin(&self) {
        if let Some(inlet) = &self.0.stdin {
            inlet.close();
        }
    }

    /// Waits for something else of this command. What comes from both outputs meanwhile is held.
    pub async fn meanwhile(&self, wait: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = wait => {}
            () = self.hold(None) => {}
        }
    }

    /// Kills the command and everything it started, if it still runs.
    pub fn kill(&self) {
        self.stop(Stop::Asked);
    }

    /// Whether it was to be killed before its time, whether or not it is gone.
    pub fn is_killed(&self) -> bool {
        self.0.stop.borrow().is_some()
    }

    /// The limit for which it is to be killed, if it went beyond one.
    pub(crate) fn beyond(&self) -> Option<Code> {
        match *self.0.stop.borrow() {
            Some(Stop::Limit(code)) => Some(code),
            Some(Stop::Asked) | None => None,
        }
    }

    fn stop(&self, stop: Stop) {
        self.0.stop.send_if_modified(|told| {
            let first = told.is_none();
            told.get_or_insert(stop);
            first
        });
    }

    /// Waits until the command is to be killed.
    pub(crate) async fn stopped(&self) -> Stop {
        let mut told = self.0.stop.subscribe();
        match told.wait_for(Option::is_some).await.map(|stop| *stop) {
            Ok(Some(stop)) => stop,
            // Whoever would tell is here.
            Ok(None) | Err(_) => pending().await,
        }
    }

    /// Takes in what comes from the outputs but for one, for as long as this is waited for.
    async fn hold(&self, but: Option<Which>) {
        // Whoever waits for one of them as well is ready by now, and nothing has to be held.
        yield_now().await;
        tokio::join!(
            self.hold_one(Which::Stdout, but),
            self.hold_one(Which::Stderr, but)
        );
    }

    async fn hold_one(&self, which: Which, but: Option<Which>) {
        match self.outlet(which) {
            Some(outlet) if but != Some(which) => {
                let code = outlet.hold().await;
                self.stop(Stop::Limit(code));
            }
            Some(_) | None => {}
        }
        pending().await
    }

    /// Writes what the command has not taken yet, until it is closed.
    pub(crate) async fn feed(&self) -> Result<(), Interrupted> {
        match &self.0.stdin {
            Some(inlet) => inlet.feed().await.map_err(Interrupted::Pipe),
            None => Ok(()),
        }
    }

    /// Leaves an output to whoever reads it until the command is gone; then takes in what is left in its pipe.
    pub(crate) async fn rest(&self, which: Which, gone: &Gone) {
        gone.wait().await;
        if let Some(outlet) = self.outlet(which) {
            outlet.take_rest();
        }
    }

    /// What became of an output: whether something was lost, how much was read, and the last of it where that is kept.
    pub(crate) fn told(&self, which: Which) -> (bool, u64, Vec<u8>) {
        self.outlet(which).map(Outlet::told).unwrap_or_default()
    }

    /// Nothing comes any more, and nothing is taken.
    pub(crate) fn end(&self) {
        for outlet in [&self.0.stdout, &self.0.stderr].into_iter().flatten() {
            outlet.end();
        }
        if let Some(inlet) = &self.0.stdin {
            inlet.end();
        }
    }
}

/// Ends the streams when whoever drives the command lets go of it, whyever.
#[derive(Debug)]
pub(crate) struct EndsWith(pub(crate) Piped);

impl Drop for EndsWith {
    fn drop(&mut self) {
        self.0.end();
    }
}
