//! Passing a command's streams on while it runs.

use std::io;
use std::os::fd::OwnedFd;

use portcullis_policy::Code;
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::coop::consume_budget;

use crate::capture::{Capture, Interrupted};
use crate::hint;
use crate::piped::{Piped, Which};
use crate::quota::Quota;
use crate::watch as descriptor;

/// One read: what a pipe holds.
const BUFFER: usize = 64 * 1024;
/// Bytes of what was passed on that are remembered.
const END: usize = 64 * 1024;

/// Tells those who move bytes that no process of the command is left.
#[derive(Clone, Debug)]
pub(crate) struct Gone(watch::Receiver<bool>);

impl Gone {
    pub(crate) fn channel() -> (watch::Sender<bool>, Self) {
        let (tell, told) = watch::channel(false);
        (tell, Self(told))
    }

    /// Waits until it is so.
    pub(crate) async fn wait(&self) {
        // Who would tell is only gone together with everything here.
        if self.0.clone().wait_for(|gone| *gone).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn is(&self) -> bool {
        *self.0.borrow()
    }
}

/// One output of a command, with the host's end of its pipe. That closes after the command is gone: one that is killed
/// is not to end for a closed pipe instead.
#[derive(Debug)]
pub(crate) enum Sink {
    Capture(AsyncFd<OwnedFd>, Capture),
    Relay(AsyncFd<OwnedFd>, Relay),
    /// Somebody else reads it, or nobody.
    Piped(Piped, Which),
}

/// What is known of one output in the end.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    pub(crate) kept: Vec<u8>,
    pub(crate) truncated: bool,
    pub(crate) written: u64,
    /// The last bytes of what was kept or passed on; at most [`END`] of what was passed on.
    pub(crate) end: String,
}

impl Sink {
    /// Moves bytes until the end of file, or until there is nothing more and the command is gone.
    pub(crate) async fn drain(&mut self, quota: &Quota, gone: &Gone) -> Result<(), Interrupted> {
        match self {
            Self::Capture(pipe, capture) => capture.drain(pipe, quota, gone).await,
            Self::Relay(pipe, relay) => relay.drain(pipe, quota, gone).await,
            Self::Piped(piped, which) => {
                piped.rest(*which, gone).await;
                Ok(())
            }
        }
    }

    pub(crate) fn into_drained(self) -> Drained {
        match self {
            Self::Capture(_, capture) => Drained {
                truncated: capture.truncated(),
                written: capture.written,
                end: hint::end_of(&capture.kept),
                kept: capture.kept,
            },
            Self::Relay(_, relay) => Drained {
                written: relay.written,
                end: hint::end_of(&relay.end),
                ..Drained::default()
            },
            Self::Piped(piped, which) => {
                let (truncated, written, end) = piped.told(which);
                Drained {
                    truncated,
                    written,
                    end: hint::end_of(&end),
                    ..Drained::default()
                }
            }
        }
    }
}

/// An output that is passed on.
pub(crate) struct Relay {
    out: Box<dyn AsyncWrite + Send + Unpin>,
    written: u64,
    cap: u64,
    /// The last of what was passed on, to look in for why a command failed.
    end: Vec<u8>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Relay")
            .field("written", &self.written)
            .field("cap", &self.cap)
            .finish_non_exhaustive()
    }
}

impl Relay {
    /// Passes on up to `cap` bytes.
    pub(crate) fn new(out: Box<dyn AsyncWrite + Send + Unpin>, cap: u64) -> Self {
        Self {
            out,
            written: 0,
            cap,
            end: Vec::new(),
        }
    }

    async fn drain(
        &mut self,
        pipe: &AsyncFd<OwnedFd>,
        quota: &Quota,
        gone: &Gone,
    ) -> Result<(), Interrupted> {
        let mut buffer = vec![0; BUFFER];
        while !gone.is() {
            let mut ready = tokio::select! {
                ready = pipe.readable() => ready.map_err(Interrupted::Pipe)?,
                () = gone.wait() => break,
            };
            match read(pipe.get_ref(), &mut buffer)? {
                Some(0) => return self.flush().await,
                Some(read) => self.pass_on(&buffer[..read], quota).await?,
                None => {
                    ready.clear_ready();
                    // Nothing more for now: what there is must be seen, and a reader that has gone be noticed.
                    self.flush().await?;
                }
            }
            consume_budget().await;
        }
        self.rest(pipe.get_ref(), &mut buffer, quota).await
    }

    /// What the command left in the pipe. Nothing comes after it, except from somebody outside who holds the pipe.
    async fn rest(
        &mut self,
        pipe: &OwnedFd,
        buffer: &mut [u8],
        quota: &Quota,
    ) -> Result<(), Interrupted> {
        let pipe_failed = |errno: Errno| Interrupted::Pipe(errno.into());
        let mut left = rustix::io::ioctl_fionread(pipe).map_err(pipe_failed)?;
        while left > 0 {
            let room = usize::try_from(left).unwrap_or(BUFFER).min(buffer.len());
            match read(pipe, &mut buffer[..room])? {
                None | Some(0) => break,
                Some(read) => {
                    self.pass_on(&buffer[..read], quota).await?;
                    left = left.saturating_sub(read as u64);
                }
            }
        }
        self.flush().await
    }

    async fn pass_on(&mut self, bytes: &[u8], quota: &Quota) -> Result<(), Interrupted> {
        let read = bytes.len() as u64;
        let granted = quota.take_output(read);
        let allowed = granted.min(self.cap.saturating_sub(self.written));
        self.written = self.written.saturating_add(read);
        let allowed = usize::try_from(allowed).unwrap_or(bytes.len());
        self.out
            .write_all(&bytes[..allowed])
            .await
            .map_err(Interrupted::Relay)?;
        self.end.extend_from_slice(&bytes[..allowed]);
        self.end.drain(..self.end.len().saturating_sub(END));
        if allowed == bytes.len() {
            return Ok(());
        }
        self.flush().await?;
        Err(Interrupted::Limit(if granted < read {
            Code::LimitTotalOutput
        } else {
            Code::LimitOutput
        }))
    }

    async fn flush(&mut self) -> Result<(), Interrupted> {
        self.out.flush().await.map_err(Interrupted::Relay)
    }
}

/// Reads once; `None` when nothing is there yet.
fn read(pipe: &OwnedFd, buffer: &mut [u8]) -> Result<Option<usize>, Interrupted> {
    match rustix::io::retry_on_intr(|| rustix::io::read(pipe, &mut *buffer)) {
        Ok(read) => Ok(Some(read)),
        Err(Errno::AGAIN) => Ok(None),
        Err(errno) => Err(Interrupted::Pipe(errno.into())),
    }
}

/// Passes what `source` gives to the command until either is at its end, and closes the pipe. A command that does not
/// want it is no error.
pub(crate) async fn feed(
    pipe: OwnedFd,
    mut source: Box<dyn AsyncRead + Send + Unpin>,
) -> Result<(), Interrupted> {
    let pipe = descriptor::watch(pipe, tokio::io::Interest::WRITABLE).map_err(Interrupted::Pipe)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = source.read(&mut buffer).await.map_err(Interrupted::Relay)?;
        if read == 0 || !write_all(&pipe, &buffer[..read]).await? {
            return Ok(());
        }
    }
}

/// Whether anybody reads what was written.
async fn write_all(pipe: &AsyncFd<OwnedFd>, mut bytes: &[u8]) -> Result<bool, Interrupted> {
    while !bytes.is_empty() {
        let mut ready = pipe.writable().await.map_err(Interrupted::Pipe)?;
        match rustix::io::write(pipe.get_ref(), bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => ready.clear_ready(),
            Err(Errno::PIPE) => return Ok(false),
            Err(errno) => return Err(Interrupted::Pipe(io::Error::from(errno))),
        }
        consume_budget().await;
    }
    Ok(true)
}
