//! The host's ends of a command's pipes: feeding standard input, collecting both outputs.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use portcullis_policy::Code;
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::coop::consume_budget;

use crate::quota::Quota;
use crate::relay::Gone;
use crate::watch::watch;

/// How often a stream's cap may be written, kept or not, before the command is killed.
const HARD_FACTOR: u64 = 64;
/// Room for one read: what most commands write, and what a pipe holds.
const SMALLEST_READ: usize = 4 * 1024;
const LARGEST_READ: usize = 64 * 1024;
/// How long a pipe may stay open after the last process is gone. It closes with it; this is for the case that somebody
/// outside holds it.
const EOF_WAIT: Duration = Duration::from_millis(250);

/// Why a stream came to its end before the command did.
#[derive(Debug)]
pub(crate) enum Interrupted {
    /// Too much was written.
    Limit(Code),
    /// The pipe failed.
    Pipe(io::Error),
    /// Whoever gives or takes what is passed on failed.
    Relay(io::Error),
}

/// Makes a pipe whose host end never blocks. `(read, write)`, both closed on exec.
pub(crate) fn pipe(host_end: HostEnd) -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    // Only ours: a program that finds its own end non-blocking would lose output.
    match host_end {
        HostEnd::Read => rustix::io::ioctl_fionbio(&read, true)?,
        HostEnd::Write => rustix::io::ioctl_fionbio(&write, true)?,
    }
    Ok((read, write))
}

/// Which end of a pipe stays with the host.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HostEnd {
    Read,
    Write,
}

/// What a command wrote to one stream.
#[derive(Debug)]
pub(crate) struct Capture {
    pub(crate) kept: Vec<u8>,
    pub(crate) written: u64,
    cap: u64,
}

impl Capture {
    /// Keeps up to `cap` bytes.
    pub(crate) fn new(cap: u64) -> Self {
        Self {
            kept: Vec::new(),
            written: 0,
            cap,
        }
    }

    /// Whether something was written that is not kept.
    pub(crate) fn truncated(&self) -> bool {
        self.written > self.kept.len() as u64
    }

    /// Reads until the end of file; beyond the cap it reads on and keeps nothing, because a command
    /// that is not read from stops, and one whose pipe is closed fails. For the same reason the pipe is
    /// only borrowed: it stays open until the command is gone.
    pub(crate) async fn drain(
        &mut self,
        pipe: &AsyncFd<OwnedFd>,
        quota: &Quota,
        gone: &Gone,
    ) -> Result<(), Interrupted> {
        let long_gone = async {
            gone.wait().await;
            tokio::time::sleep(EOF_WAIT).await;
        };
        tokio::select! {
            biased;
            ended = self.read_to_end(pipe, quota) => ended,
            () = long_gone => Ok(()),
        }
    }

    async fn read_to_end(
        &mut self,
        pipe: &AsyncFd<OwnedFd>,
        quota: &Quota,
    ) -> Result<(), Interrupted> {
        let mut discarded = Vec::new();
        loop {
            let mut ready = pipe.readable().await.map_err(Interrupted::Pipe)?;
            loop {
                match self.read(pipe.get_ref(), quota, &mut discarded)? {
                    Some(0) => return Ok(()),
                    Some(_) => consume_budget().await,
                    None => break,
                }
            }
            ready.clear_ready();
        }
    }

    /// Reads once; `None` when nothing is there yet.
    fn read(
        &mut self,
        pipe: &OwnedFd,
        quota: &Quota,
        discarded: &mut Vec<u8>,
    ) -> Result<Option<usize>, Interrupted> {
        let start = self.kept.len();
        let keeps = (start as u64) < self.cap;
        let into = if keeps { &mut self.kept } else { discarded };
        if !keeps {
            into.clear();
        }
        let room = if keeps {
            start.clamp(SMALLEST_READ, LARGEST_READ)
        } else {
            LARGEST_READ
        };
        into.reserve(room);
        let read = rustix::io::retry_on_intr(|| {
            rustix::io::read(pipe, rustix::buffer::spare_capacity(into))
        });
        let read = match read {
            Ok(read) => read,
            Err(Errno::AGAIN) => return Ok(None),
            Err(errno) => return Err(Interrupted::Pipe(errno.into())),
        };
        self.account(start, read, keeps, quota)?;
        Ok(Some(read))
    }

    /// Counts what was read, and cuts what is over a limit.
    fn account(
        &mut self,
        start: usize,
        read: usize,
        keeps: bool,
        quota: &Quota,
    ) -> Result<(), Interrupted> {
        let read = read as u64;
        self.written = self.written.saturating_add(read);
        let granted = quota.take_output(read);
        if keeps {
            let room = self.cap.saturating_sub(start as u64).min(granted);
            self.kept
                .truncate(start + usize::try_from(room).unwrap_or(usize::MAX - start));
        }
        if granted < read {
            return Err(Interrupted::Limit(Code::LimitTotalOutput));
        }
        if self.written > self.cap.saturating_mul(HARD_FACTOR) {
            return Err(Interrupted::Limit(Code::LimitOutput));
        }
        Ok(())
    }
}

/// Standard input that is still to be written.
#[derive(Debug)]
pub(crate) struct Feed {
    pipe: OwnedFd,
    bytes: Vec<u8>,
    done: usize,
}

impl Feed {
    /// Writes what the pipe holds at once; `None` when that was all, and the pipe is closed.
    pub(crate) fn begin(pipe: OwnedFd, bytes: Vec<u8>) -> io::Result<Option<Self>> {
        let mut feed = Self {
            pipe,
            bytes,
            done: 0,
        };
        Ok(if write(&feed.pipe, &feed.bytes, &mut feed.done)? {
            None
        } else {
            Some(feed)
        })
    }

    /// Writes the rest and closes the pipe. A command that does not want it is no error.
    pub(crate) async fn finish(self) -> Result<(), Interrupted> {
        let Self {
            pipe,
            bytes,
            mut done,
        } = self;
        let pipe = watch(pipe, Interest::WRITABLE).map_err(Interrupted::Pipe)?;
        loop {
            let mut ready = pipe.writable().await.map_err(Interrupted::Pipe)?;
            if write(pipe.get_ref(), &bytes, &mut done).map_err(Interrupted::Pipe)? {
                return Ok(());
            }
            ready.clear_ready();
            consume_budget().await;
        }
    }
}

/// Writes until the pipe is full (`false`), or all is written or nobody reads any more (`true`).
fn write(pipe: &OwnedFd, bytes: &[u8], done: &mut usize) -> io::Result<bool> {
    while *done < bytes.len() {
        match rustix::io::write(pipe, &bytes[*done..]) {
            Ok(written) => *done += written,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(false),
            Err(Errno::PIPE) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(true)
}
