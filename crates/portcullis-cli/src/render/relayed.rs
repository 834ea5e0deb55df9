//! What a command says while it runs, on its way to the operator.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::task::JoinHandle;

use super::guest::GuestOutput;

/// One of our streams, written to by a thread that may wait: whoever reads it slowly keeps nothing else from happening.
#[derive(Debug)]
pub(crate) struct Relayed {
    out: GuestOutput,
    writing: Option<JoinHandle<io::Result<()>>>,
}

impl Relayed {
    pub(crate) fn new(out: GuestOutput) -> Self {
        Self { out, writing: None }
    }

    /// Waits until what was taken has been written.
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(writing) = &mut self.writing else {
            return Poll::Ready(Ok(()));
        };
        let written = ready!(Pin::new(writing).poll(context));
        self.writing = None;
        Poll::Ready(written.unwrap_or_else(|panic| Err(io::Error::other(panic))))
    }
}

impl AsyncWrite for Relayed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_written(context))?;
        let (out, taken) = (self.out.clone(), bytes.to_vec());
        self.writing = Some(tokio::task::spawn_blocking(move || out.write(&taken)));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_written(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}
