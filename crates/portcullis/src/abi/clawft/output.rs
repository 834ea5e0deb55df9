//! What a plugin of clawft writes to its standard output and error: lines of its log, since it was granted no other place.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use portcullis_policy::LogLevel;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::gate::Gate;

/// Bytes that are kept of a line. A line of the log has fewer, and says that it was cut.
const LINE: usize = 8 * 1024;
/// Lines that wait for the log; it takes about as many within a minute.
const LINES: usize = 128;
/// Bytes that a guest may write at once.
const AT_ONCE: usize = 64 * 1024;

/// Both streams of an instance. All clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// A line of each stream that has not ended: of the output, of errors.
    begun: [Vec<u8>; 2],
    ended: VecDeque<(LogLevel, String)>,
    /// Lines that came when there was no room.
    over: u64,
}

impl Output {
    /// The standard output.
    pub(crate) fn stdout(&self) -> Stream {
        Stream(self.clone(), LogLevel::Info)
    }

    /// The standard error.
    pub(crate) fn stderr(&self) -> Stream {
        Stream(self.clone(), LogLevel::Warn)
    }

    /// Writes into the log what there is, also what has no end of line where nothing comes after it.
    pub(crate) fn pass_on(&self, gate: &mut Gate, is_over: bool) {
        let (lines, over) = self.kept().take(is_over);
        for (level, line) in lines {
            gate.log(level, &line);
        }
        if over > 0 {
            gate.log(LogLevel::Warn, &format!("{over} lines of output more"));
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn add(&mut self, level: LogLevel, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n");
            let line = &mut self.begun[index(level)];
            let room = LINE - line.len();
            let part = text.unwrap_or(piece);
            line.extend(&part[..part.len().min(room)]);
            if text.is_some() {
                self.end(level);
            }
        }
    }

    fn end(&mut self, level: LogLevel) {
        let line = std::mem::take(&mut self.begun[index(level)]);
        if self.ended.len() < LINES {
            let text = String::from_utf8_lossy(&line).into_owned();
            self.ended.push_back((level, text));
        } else {
            self.over += 1;
        }
    }

    fn take(&mut self, is_over: bool) -> (VecDeque<(LogLevel, String)>, u64) {
        for level in [LogLevel::Info, LogLevel::Warn] {
            if is_over && !self.begun[index(level)].is_empty() {
                self.end(level);
            }
        }
        (
            std::mem::take(&mut self.ended),
            std::mem::take(&mut self.over),
        )
    }
}

const fn index(level: LogLevel) -> usize {
    match level {
        LogLevel::Info => 0,
        LogLevel::Error | LogLevel::Warn | LogLevel::Debug | LogLevel::Trace => 1,
    }
}

/// One of the two streams, and the level of its lines.
#[derive(Clone, Debug)]
pub(crate) struct Stream(Output, LogLevel);

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.kept().add(self.1, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0.kept().add(self.1, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(AT_ONCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(kept: &mut Kept, is_over: bool) -> Vec<String> {
        let (lines, _) = kept.take(is_over);
        lines.into_iter().map(|(_, line)| line).collect()
    }

    #[test]
    fn lines_are_put_together_and_streams_are_kept_apart() {
        let mut kept = Kept::default();
        kept.add(LogLevel::Info, b"one\ntw");
        kept.add(LogLevel::Warn, b"else\n");
        kept.add(LogLevel::Info, b"o\nthree");
        assert_eq!(lines(&mut kept, false), ["one", "else", "two"]);
        assert_eq!(lines(&mut kept, false), [""; 0]);
        assert_eq!(lines(&mut kept, true), ["three"]);
        assert_eq!(lines(&mut kept, true), [""; 0]);
    }

    #[test]
    fn neither_a_line_without_end_nor_lines_without_end_take_memory() {
        let mut kept = Kept::default();
        for _ in 0..100 {
            kept.add(LogLevel::Info, &[b'x'; AT_ONCE]);
        }
        assert_eq!(kept.begun[0].len(), LINE);
        kept.add(LogLevel::Info, &[b'\n'; AT_ONCE]);
        let (lines, over) = kept.take(false);
        assert_eq!((lines.len(), over), (LINES, (AT_ONCE - LINES) as u64));
        assert_eq!(lines[0].1.len(), LINE);
    }
}
