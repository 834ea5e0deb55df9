//! A guest's standard error on its way to wherever it goes, with its end kept: where a guest crashes, that is what its
//! language says about it.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// Bytes that are kept.
const KEPT: usize = 16 * 1024;

/// The last that was written in a call. All clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastWords(Arc<Mutex<VecDeque<u8>>>);

impl LastWords {
    /// Forgets what earlier calls wrote.
    pub(crate) fn forget(&self) {
        self.kept().clear();
    }

    /// The text, without a first character that was cut.
    pub(crate) fn text(&self) -> String {
        let kept: Vec<u8> = self.kept().iter().copied().collect();
        String::from_utf8_lossy(&kept).into_owned()
    }

    fn keep(&self, bytes: &[u8]) {
        let mut kept = self.kept();
        let bytes = &bytes[bytes.len().saturating_sub(KEPT)..];
        let over = (kept.len() + bytes.len()).saturating_sub(KEPT);
        kept.drain(..over);
        kept.extend(bytes);
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<u8>> {
        // Bytes are bytes, whoever left them half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream that keeps, and passes on to another one.
    pub(crate) fn listen(&self, to: Box<dyn StdoutStream + Sync>) -> Listened {
        let words = self.clone();
        Listened::new(to, Arc::new(move |bytes| words.keep(bytes)))
    }
}

/// Who hears what passes through a stream.
type Hears = Arc<dyn Fn(&[u8]) + Send + Sync>;

/// A stream that somebody listens to.
pub(crate) struct Listened {
    to: Box<dyn StdoutStream + Sync>,
    hears: Hears,
}

impl Listened {
    pub(crate) fn new(to: Box<dyn StdoutStream + Sync>, hears: Hears) -> Self {
        Self { to, hears }
    }
}

impl IsTerminal for Listened {
    fn is_terminal(&self) -> bool {
        self.to.is_terminal()
    }
}

impl StdoutStream for Listened {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Listening {
            to: Pin::from(self.to.async_stream()),
            hears: Arc::clone(&self.hears),
        })
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Listening {
            to: self.to.p2_stream(),
            hears: Arc::clone(&self.hears),
        })
    }
}

struct Listening<S> {
    to: S,
    hears: Hears,
}

impl AsyncWrite for Listening<Pin<Box<dyn AsyncWrite + Send + Sync>>> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.to.as_mut().poll_write(context, bytes);
        if let Poll::Ready(Ok(length)) = &written {
            (self.hears)(&bytes[..*length]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.to.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.to.as_mut().poll_shutdown(context)
    }
}

#[async_trait]
impl Pollable for Listening<Box<dyn OutputStream>> {
    async fn ready(&mut self) {
        self.to.ready().await;
    }
}

#[async_trait]
impl OutputStream for Listening<Box<dyn OutputStream>> {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        (self.hears)(&bytes);
        self.to.write(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.to.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.to.check_write()
    }

    async fn cancel(&mut self) {
        self.to.cancel().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_and_no_more() {
        let words = LastWords::default();
        words.keep(b"first ");
        words.keep(b"second");
        assert_eq!(words.text(), "first second");
        words.keep(&[b'x'; KEPT - 6]);
        assert_eq!(words.text().len(), KEPT);
        assert!(words.text().starts_with("secondx"));
        words.keep(&[b'y'; 3 * KEPT]);
        assert_eq!(words.text(), "y".repeat(KEPT));
        words.forget();
        assert_eq!(words.text(), "");
    }
}
