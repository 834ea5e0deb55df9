use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

use crate::watch::watch;

/// Bytes that are taken at once for a command that does not read yet.
pub const ROOM: usize = 64 * 1024;

/// The command does not read any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody reads it any more")]
pub struct NobodyReads;

/// The host's end of a command's standard input.
///
/// Who writes is never kept waiting and never writes more than [`ROOM`] at once; what the pipe does not hold is written
/// by whoever drives the command.
pub(crate) struct Inlet {
    state: Mutex<State>,
    /// There is something to write, or it is to be closed.
    work: Notify,
    /// Everything was written, or nothing will be.
    done: Notify,
}

struct State {
    pipe: Option<Arc<AsyncFd<OwnedFd>>>,
    waiting: Vec<u8>,
    closing: bool,
}

impl Inlet {
    /// Takes the writing end of a pipe.
    pub(crate) fn new(pipe: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            state: Mutex::new(State {
                pipe: Some(Arc::new(watch(pipe, Interest::WRITABLE)?)),
                waiting: Vec::new(),
                closing: false,
            }),
            work: Notify::new(),
            done: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole between two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn room(&self) -> Result<usize, NobodyReads> {
        let state = self.state();
        match state.pipe {
            None => Err(NobodyReads),
            Some(_) if state.closing => Err(NobodyReads),
            Some(_) if state.waiting.is_empty() => Ok(ROOM),
            Some(_) => Ok(0),
        }
    }

    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), NobodyReads> {
        let mut state = self.state();
        let Some(pipe) = state.pipe.clone().filter(|_| !state.closing) else {
            return Err(NobodyReads);
        };
        let written = if state.waiting.is_empty() {
            match write(pipe.get_ref(), bytes) {
                Ok(written) => written,
                Err(_) => {
                    state.pipe = None;
                    return Err(NobodyReads);
                }
            }
        } else {
            0
        };
        let rest = bytes.get(written..).unwrap_or_default();
        if !rest.is_empty() {
            state.waiting.extend_from_slice(rest);
            self.work.notify_one();
        }
        Ok(())
    }

    pub(super) async fn writable(&self) {
        loop {
            let done = self.done.notified();
            if self.room() != Ok(0) {
                return;
            }
            done.await;
        }
    }

    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closing = true;
        if state.waiting.is_empty() {
            state.pipe = None;
        }
        drop(state);
        self.work.notify_one();
    }

    pub(super) fn end(&self) {
        let mut state = self.state();
        state.pipe = None;
        state.waiting = Vec::new();
        drop(state);
        self.work.notify_one();
        self.done.notify_waiters();
    }

    /// Writes what waits, until it is closed and all is written, or nobody reads it.
    pub(super) async fn feed(&self) -> io::Result<()> {
        loop {
            let (pipe, idle) = {
                let state = self.state();
                (state.pipe.clone(), state.waiting.is_empty())
            };
            let Some(pipe) = pipe else {
                return Ok(());
            };
            if idle {
                drop(pipe);
                self.work.notified().await;
                continue;
            }
            let mut ready = pipe.writable().await?;
            let mut state = self.state();
            match write(pipe.get_ref(), &state.waiting) {
                Ok(0) => ready.clear_ready(),
                Ok(written) => {
                    state.waiting.drain(..written);
                }
                // A command that does not want it is no error.
                Err(_) => {
                    state.waiting = Vec::new();
                    state.pipe = None;
                }
            }
            if state.waiting.is_empty() {
                if state.closing {
                    state.pipe = None;
                }
                drop(state);
                self.done.notify_waiters();
            }
        }
    }
}

/// Writes until the pipe is full, and says how much that was.
fn write(pipe: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        match rustix::io::write(pipe, rest) {
            Ok(written) => done += written,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(done)
}
