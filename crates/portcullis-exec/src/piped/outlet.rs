use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_policy::Code;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::yield_now;

use super::Observer;
use crate::Quota;
use crate::quota::Held;
use crate::watch::watch;

/// Most bytes that one read gives: what a pipe holds.
pub const CHUNK: usize = 64 * 1024;
/// Bytes of the last of what was read that are kept, to look in for why a command failed.
const END: usize = 64 * 1024;

/// Why there is nothing more to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// That was all.
    #[error("it is at its end")]
    Ended,
    /// There was more, and it is lost: nobody read it, or it was more than a limit allows.
    #[error("some of it is lost: it was longer than what is kept of a stream, or than a limit")]
    Lost,
}

/// How long a stream may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes that may be read of it in all.
    pub(crate) length: Option<u64>,
    /// Bytes that are held for whoever does not read it yet.
    pub(crate) held: u64,
    /// Whether the last of what was read is kept.
    pub(crate) keeps_end: bool,
}

/// The host's end of a command's output.
pub(crate) struct Outlet {
    bounds: Bounds,
    quota: Quota,
    state: Mutex<State>,
    /// Something is held, or the stream is at its end.
    changed: Notify,
}

struct State {
    pipe: Option<Arc<AsyncFd<OwnedFd>>>,
    /// Bytes for who reads later. All in one: a command may write them one at a time.
    held: VecDeque<u8>,
    /// Their part of what may be held in all; what was left in the pipe at the end is not counted.
    holding: Held,
    read: u64,
    lost: bool,
    end: Vec<u8>,
    observer: Option<Observer>,
}

impl Outlet {
    /// Takes the reading end of a pipe.
    pub(crate) fn new(
        pipe: OwnedFd,
        bounds: Bounds,
        quota: Quota,
        observer: Option<Observer>,
    ) -> io::Result<Self> {
        let holding = quota.hold();
        Ok(Self {
            bounds,
            quota,
            state: Mutex::new(State {
                pipe: Some(Arc::new(watch(pipe, Interest::READABLE)?)),
                held: VecDeque::new(),
                holding,
                read: 0,
                lost: false,
                end: Vec::new(),
                observer,
            }),
            changed: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whole between two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads, and says besides for which limit the command is to be killed, if it went beyond one.
    pub(super) fn read(&self, most: usize) -> (Result<Vec<u8>, ReadError>, Option<Code>) {
        let mut state = self.state();
        if let Some(bytes) = state.take_held(most) {
            return (Ok(bytes), None);
        }
        if state.lost {
            return (Err(ReadError::Lost), None);
        }
        let Some(bytes) = state.read_pipe(most) else {
            return (Err(ReadError::Ended), None);
        };
        match self.account(&mut state, bytes) {
            Ok(bytes) => (Ok(bytes), None),
            Err((bytes, code)) if bytes.is_empty() => (Err(ReadError::Lost), Some(code)),
            // What was still allowed is given first.
            Err((bytes, code)) => (Ok(bytes), Some(code)),
        }
    }

    /// Counts what was read. With the code of the limit it went beyond, only what was allowed is left of it.
    fn account(&self, state: &mut State, mut bytes: Vec<u8>) -> Result<Vec<u8>, (Vec<u8>, Code)> {
        let read = bytes.len() as u64;
        let granted = self.quota.take_output(read);
        let room = self
            .bounds
            .length
            .map_or(read, |length| length.saturating_sub(state.read).min(read));
        state.read = state.read.saturating_add(read);
        let allowed = granted.min(room);
        bytes.truncate(usize::try_from(allowed).unwrap_or(usize::MAX));
        if let Some(observer) = &mut state.observer {
            observer(&bytes);
        }
        if self.bounds.keeps_end {
            state.end.extend_from_slice(&bytes);
            let surplus = state.end.len().saturating_sub(END);
            state.end.drain(..surplus);
        }
        if allowed == read {
            return Ok(bytes);
        }
        state.lost = true;
        let code = if granted < read {
            Code::LimitTotalOutput
        } else {
            Code::LimitOutput
        };
        Err((bytes, code))
    }

    /// Waits until a read has something to say.
    pub(super) async fn readable(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let Some(pipe) = self.state().to_wait_for() else {
                return;
            };
            tokio::select! {
                () = has_something(&pipe) => return,
                () = changed => {}
            }
        }
    }

    /// Takes in what comes, until that has gone beyond a limit: gives its code.
    pub(super) async fn hold(&self) -> Code {
        loop {
            let pipe = self.state().pipe.clone();
            let Some(pipe) = pipe else {
                return std::future::pending().await;
            };
            has_something(&pipe).await;
            drop(pipe);
            if let Err(code) = self.take_in(CHUNK, false) {
                return code;
            }
            // Whoever reads this stream goes first.
            yield_now().await;
        }
    }

    /// Reads once and keeps what was read, as far as it may be; `all` is for what is left when the command is gone.
    fn take_in(&self, most: usize, all: bool) -> Result<bool, Code> {
        let mut state = self.state();
        let Some(bytes) = state.read_pipe(most) else {
            self.changed.notify_waiters();
            return Ok(false);
        };
        let more = !bytes.is_empty();
        let was_lost = state.lost;
        let (bytes, limit) = match self.account(&mut state, bytes) {
            Ok(bytes) => (bytes, Ok(more)),
            Err((bytes, code)) => (bytes, Err(code)),
        };
        if !was_lost {
            self.keep(&mut state, &bytes, all);
        }
        drop(state);
        self.changed.notify_waiters();
        limit
    }

    fn keep(&self, state: &mut State, bytes: &[u8], all: bool) {
        let mut room = bytes.len();
        if !all {
            let held = state.held.len() as u64;
            let free = self.bounds.held.saturating_sub(held).min(room as u64);
            let granted = state.holding.more(free);
            state.lost |= granted < room as u64;
            room = usize::try_from(granted).unwrap_or(room);
        }
        state.held.extend(bytes.get(..room).unwrap_or(bytes));
    }

    /// Takes in what a command that is gone left in the pipe, and closes it. Nothing comes after it, except from
    /// somebody outside who holds the pipe.
    pub(super) fn take_rest(&self) {
        let pipe = self.state().pipe.clone();
        let left = pipe.and_then(|pipe| rustix::io::ioctl_fionread(pipe.get_ref()).ok());
        let mut left = usize::try_from(left.unwrap_or_default()).unwrap_or_default();
        while left > 0 {
            match self.take_in(left.min(CHUNK), true) {
                Ok(true) => left = left.saturating_sub(CHUNK),
                Ok(false) | Err(_) => break,
            }
        }
        self.end();
    }

    /// Nothing more is read; what is held stays.
    pub(super) fn end(&self) {
        self.state().pipe = None;
        self.changed.notify_waiters();
    }

    /// Nobody reads it any more.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.pipe = None;
        state.let_go(usize::MAX);
        drop(state);
        self.changed.notify_waiters();
    }

    pub(super) fn told(&self) -> (bool, u64, Vec<u8>) {
        let mut state = self.state();
        (state.lost, state.read, std::mem::take(&mut state.end))
    }
}

impl State {
    /// The pipe, if a read has nothing to say yet.
    fn to_wait_for(&self) -> Option<Arc<AsyncFd<OwnedFd>>> {
        let waits = self.held.is_empty() && !self.lost;
        self.pipe.clone().filter(|_| waits)
    }

    fn take_held(&mut self, most: usize) -> Option<Vec<u8>> {
        if self.held.is_empty() {
            return None;
        }
        let (first, _) = self.held.as_slices();
        let taken = first.len().min(most).min(CHUNK);
        let bytes = first.get(..taken)?.to_vec();
        self.let_go(taken);
        Some(bytes)
    }

    /// The first of what is held is held no more.
    fn let_go(&mut self, bytes: usize) {
        self.holding.less(bytes as u64);
        if bytes < self.held.len() {
            self.held.drain(..bytes);
        } else {
            // The room as well.
            self.held = VecDeque::new();
        }
    }

    /// Reads once: `None` at the end, after which the pipe is closed, and nothing when nothing is there yet.
    fn read_pipe(&mut self, most: usize) -> Option<Vec<u8>> {
        let room = most.min(CHUNK);
        let pipe = self.pipe.as_ref()?;
        let mut bytes = Vec::new();
        if room == 0 {
            return Some(bytes);
        }
        bytes.reserve_exact(room);
        let read = rustix::io::retry_on_intr(|| {
            rustix::io::read(pipe.get_ref(), rustix::buffer::spare_capacity(&mut bytes))
        });
        match read {
            Ok(read) if read > 0 => Some(bytes),
            Err(Errno::AGAIN) => Some(Vec::new()),
            // A pipe has no errors of its own.
            Ok(_) | Err(_) => {
                self.pipe = None;
                None
            }
        }
    }
}

/// Waits until there is something in a pipe, or nobody is left to write.
async fn has_something(pipe: &AsyncFd<OwnedFd>) {
    // Asked directly, because the runtime may not have seen it yet.
    while !polls(pipe.get_ref()) {
        match pipe.readable().await {
            Ok(mut ready) => {
                if polls(pipe.get_ref()) {
                    return;
                }
                ready.clear_ready();
            }
            // The runtime is going down, and the command with it.
            Err(_) => return,
        }
    }
}

fn polls(pipe: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(pipe, PollFlags::IN)];
    let at_once = Timespec::default();
    rustix::event::poll(&mut polled, Some(&at_once)).is_ok_and(|ready| ready > 0)
}
