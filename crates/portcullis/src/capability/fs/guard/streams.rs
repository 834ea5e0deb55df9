//! Streams of files: Wasmtime's, counted.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

use super::handles::Stream;
use crate::capability::fs::total::Total;

/// Reads from a file.
pub(super) struct Reader {
    pub(super) inner: DynInputStream,
    /// Bytes that one call reads.
    pub(super) most: usize,
    pub(super) _counted: Stream,
}

#[async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait]
impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.inner.read(size.min(self.most))
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.inner.blocking_read(size.min(self.most)).await
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}

/// Writes to a file, as long as something is left of the total.
pub(super) struct Writer {
    pub(super) inner: DynOutputStream,
    pub(super) total: Total,
    /// Bytes that one call writes.
    pub(super) most: usize,
    /// Where it begins, until it has: what lies between the end of the file and there is written with it.
    pub(super) begins: Option<(Arc<File>, u64)>,
    pub(super) _counted: Stream,
}

impl Writer {
    /// Bytes that may be tried to write at once, of which there is one at least.
    fn most(&self) -> usize {
        let left = usize::try_from(self.total.left()).unwrap_or(usize::MAX);
        left.min(self.most).max(1)
    }

    /// Takes what writing these bytes costs.
    fn pay(&mut self, bytes: usize) -> StreamResult<()> {
        if bytes > self.most {
            return Err(failed(self.total.tell()));
        }
        let gap = match &self.begins {
            Some((file, at)) if bytes > 0 => gap(file, *at).map_err(failed)?,
            _ => 0,
        };
        let cost = gap.saturating_add(bytes as u64);
        self.total.take_or_tell(cost).map_err(failed)?;
        if bytes > 0 {
            self.begins = None;
        }
        Ok(())
    }
}

/// Bytes that are missing between the end of a file and a place in it.
///
/// # Errors
/// What the system says.
pub(super) fn gap(file: &File, at: u64) -> std::io::Result<u64> {
    // It costs a call of the system, and most writing begins at the beginning.
    if at == 0 {
        return Ok(0);
    }
    Ok(at.saturating_sub(file.metadata()?.len()))
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> StreamError {
    StreamError::LastOperationFailed(error.into())
}

#[async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }
}

#[async_trait]
impl OutputStream for Writer {
    fn check_write(&mut self) -> StreamResult<usize> {
        let room = self.inner.check_write()?;
        // Where nothing is left, a byte may be tried: nothing would come of waiting, and what was written is flushed.
        Ok(room.min(self.most()))
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.pay(bytes.len())?;
        self.inner.write(bytes)
    }

    async fn blocking_write_and_flush(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        while bytes.len() > self.most {
            let some = bytes.split_to(self.most.max(1));
            self.pay(some.len())?;
            self.inner.blocking_write_and_flush(some).await?;
        }
        self.pay(bytes.len())?;
        self.inner.blocking_write_and_flush(bytes).await
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.inner.flush()
    }

    async fn cancel(&mut self) {
        self.inner.cancel().await;
    }
}
