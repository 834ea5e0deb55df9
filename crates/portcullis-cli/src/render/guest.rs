//! What a guest says, on its way to the operator: untouched into files and pipes, filtered onto a terminal.

use std::io::{self, IsTerminal, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use rustix::fs::FileType;
use tokio::io::AsyncWrite;
use tokio::sync::Notify;
use wasmtime_wasi::cli::StdoutStream;

use super::screen::Screen;
use super::terminal::TerminalFilter;

/// One of our own streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Stdout,
    Stderr,
}

/// A stream of ours as a guest sees it. All clones are the same stream.
#[derive(Clone, Debug)]
pub(crate) struct GuestOutput {
    channel: Channel,
    /// Present when the stream is a terminal.
    filter: Option<Arc<Mutex<TerminalFilter>>>,
    closed: Arc<Notify>,
    screen: Screen,
    is_pipe: bool,
}

impl GuestOutput {
    pub(crate) fn new(channel: Channel, screen: &Screen) -> Self {
        let (terminal, kind) = match channel {
            Channel::Stdout => (io::stdout().is_terminal(), rustix::fs::fstat(io::stdout())),
            Channel::Stderr => (io::stderr().is_terminal(), rustix::fs::fstat(io::stderr())),
        };
        let kind = kind.map(|stat| FileType::from_raw_mode(stat.st_mode));
        let filter = terminal.then(|| Arc::new(Mutex::new(TerminalFilter::default())));
        Self {
            channel,
            filter,
            closed: Arc::new(Notify::new()),
            screen: screen.clone(),
            // Another terminal may be shown anywhere, a file is not.
            is_pipe: kind.is_ok_and(|kind| matches!(kind, FileType::Fifo | FileType::Socket)),
        }
    }

    /// Returns once whoever read the stream has gone away.
    pub(crate) async fn closed(&self) {
        self.closed.notified().await;
    }

    /// Writes a guest's bytes, as soon as nobody is asked anything. Waits for that, so it is not for tasks.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let _writing = self.screen.wait_to_write();
        self.write_now(bytes)
    }

    fn write_now(&self, bytes: &[u8]) -> io::Result<()> {
        if self.is_pipe && !bytes.is_empty() {
            self.screen.set_piped();
        }
        let filtered = self.filter.as_ref().map(|filter| {
            // A filter that was left half way only drops more.
            filter
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .filter(bytes)
        });
        let bytes = filtered.as_deref().unwrap_or(bytes);
        match self.channel {
            Channel::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            }
            Channel::Stderr => io::stderr().lock().write_all(bytes),
        }
    }

    /// Writes a guest's text as a paragraph of its own: with a newline at its end, if it has any text.
    pub(crate) fn paragraph(&self, text: &str) -> io::Result<()> {
        self.write(text.as_bytes())?;
        if text.is_empty() || text.ends_with('\n') {
            Ok(())
        } else {
            self.write(b"\n")
        }
    }
}

impl wasmtime_wasi::cli::IsTerminal for GuestOutput {
    /// Guests are told that nothing is a terminal: what they may send to one is less than they would think.
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

/// Writes at once and as a whole: the guest waits as long as a native program would.
impl AsyncWrite for GuestOutput {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let _writing = ready!(self.screen.poll_write(context));
        let written = self.write_now(bytes).map(|()| bytes.len());
        if written
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        {
            self.closed.notify_one();
        }
        Poll::Ready(written)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
