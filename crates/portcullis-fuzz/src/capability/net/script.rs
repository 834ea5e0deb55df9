//! A server that says what an input says.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The server's end; each of its clones is the same connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script(Arc<Mutex<Lines>>);

/// What is said, and what was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    /// What it says at once, and after each line that it is told.
    turns: Vec<Vec<u8>>,
    /// Bytes that come at a time.
    piece: usize,
    /// Whether what it says last has no end: it is said again and again.
    endless: bool,
    /// What was taken of it, up to TLS.
    pub(crate) taken: Vec<u8>,
    /// What it was told, up to TLS, and in TLS.
    pub(crate) told: [Vec<u8>; 2],
    /// Whether TLS has begun.
    pub(crate) tls: bool,
    /// Bytes that were taken in all.
    pub(crate) bytes: usize,
    /// Where it is: in which turn, and at which of its bytes.
    turn: usize,
    at: usize,
}

impl Script {
    /// `said` has a `|` where it waits for a line.
    pub(crate) fn saying(said: &[u8], piece: u8, endless: bool) -> Self {
        let turns = said.split(|byte| *byte == b'|');
        Self(Arc::new(Mutex::new(Lines {
            turns: turns.map(<[u8]>::to_vec).collect(),
            piece: usize::from(piece).max(1),
            endless,
            ..Lines::default()
        })))
    }

    pub(crate) fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap()
    }

    pub(super) fn begin_tls(&self) {
        let mut lines = self.lines();
        assert!(!lines.tls, "TLS begins twice");
        lines.tls = true;
    }
}

impl Lines {
    /// What comes next; nothing: it has closed the connection.
    fn next(&mut self, most: usize) -> Vec<u8> {
        let lines = self.told.concat();
        let asked = lines.iter().filter(|byte| **byte == b'\n').count();
        loop {
            let Some(said) = self.turns.get(self.turn) else {
                return Vec::new();
            };
            if self.at < said.len() {
                let end = (self.at + self.piece.min(most)).min(said.len());
                let piece = said[self.at..end].to_vec();
                self.at = end;
                return piece;
            }
            let last = self.turn + 1 == self.turns.len();
            self.at = 0;
            match self.endless && last && !said.is_empty() {
                true => {}
                // Whoever is not asked has nothing to say.
                false if self.turn >= asked => return Vec::new(),
                false => self.turn += 1,
            }
        }
    }
}

impl AsyncRead for Script {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut lines = self.lines();
        let piece = lines.next(into.remaining());
        lines.bytes += piece.len();
        if !lines.tls {
            lines.taken.extend_from_slice(&piece);
        }
        into.put_slice(&piece);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut lines = self.lines();
        let which = usize::from(lines.tls);
        lines.told[which].extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
