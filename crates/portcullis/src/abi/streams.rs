//! The streams of a command as `wasi:io` streams, and pollables that need nothing but themselves.
//!
//! In WASI a pollable is a child of the stream it was made from, and dropping the stream first is a trap. Languages with a
//! garbage collector drop in any order. So what a pollable of a command's stream waits for is its own, and the two
//! `subscribe` of `wasi:io/streams` are ours: for every other stream they do what Wasmtime's do.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use portcullis_exec::{NobodyReads, Piped, ReadError, Which};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, InputStream, OutputStream, Pollable, StreamError,
    StreamResult, subscribe,
};

use crate::gate::Ending;
use crate::state::State;

/// The name under which Wasmtime has linked the interface.
const STREAMS: &str = "wasi:io/streams@0.2.12";

/// Something of a command that a guest may wait for.
#[derive(Clone, Debug)]
pub(crate) enum Awaited {
    Readable(Piped, Which),
    Writable(Piped),
    End(Ending),
}

#[async_trait]
impl Pollable for Awaited {
    async fn ready(&mut self) {
        match self {
            Self::Readable(streams, which) => streams.readable(*which).await,
            Self::Writable(streams) => streams.writable().await,
            Self::End(ending) => ending.wait().await,
        }
    }
}

impl Awaited {
    /// A pollable that is nobody's child.
    pub(crate) fn pollable(
        self,
        table: &mut ResourceTable,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        let own = table.push(self)?;
        subscribe(table, own)
    }
}

/// Which of the streams in a table are a command's.
#[derive(Debug, Default)]
pub(crate) struct Streams(HashMap<u32, Weak<Awaited>>);

impl Streams {
    fn know<T>(&mut self, stream: &Resource<T>, awaited: &Arc<Awaited>) {
        self.0.insert(stream.rep(), Arc::downgrade(awaited));
    }

    /// What a pollable of this stream waits for, if it is a command's.
    fn of<T>(&mut self, stream: &Resource<T>) -> Option<Awaited> {
        let awaited = self.0.get(&stream.rep())?.upgrade();
        if awaited.is_none() {
            // It was dropped, and another lies in its place.
            self.0.remove(&stream.rep());
        }
        awaited.as_deref().cloned()
    }
}

/// Puts ours in the place of Wasmtime's `subscribe`.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut streams = linker.instance(STREAMS)?;
    streams.func_wrap(
        "[method]input-stream.subscribe",
        |mut store: StoreContextMut<'_, State>, (stream,): (Resource<DynInputStream>,)| {
            let state = store.data_mut();
            Ok((match state.streams.of(&stream) {
                Some(awaited) => awaited.pollable(&mut state.table)?,
                None => subscribe(&mut state.table, stream)?,
            },))
        },
    )?;
    streams.func_wrap(
        "[method]output-stream.subscribe",
        |mut store: StoreContextMut<'_, State>, (stream,): (Resource<DynOutputStream>,)| {
            let state = store.data_mut();
            Ok((match state.streams.of(&stream) {
                Some(awaited) => awaited.pollable(&mut state.table)?,
                None => subscribe(&mut state.table, stream)?,
            },))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Hands a command's standard input to the guest.
pub(crate) fn stdin(
    state: &mut State,
    streams: Piped,
) -> wasmtime::Result<Resource<DynOutputStream>> {
    let awaited = Arc::new(Awaited::Writable(streams.clone()));
    let writer = Writer {
        streams,
        _known: Arc::clone(&awaited),
    };
    let stream: DynOutputStream = Box::new(writer);
    let stream = state.table.push(stream)?;
    state.streams.know(&stream, &awaited);
    Ok(stream)
}

/// Hands an output of a command to the guest.
pub(crate) fn output(
    state: &mut State,
    streams: Piped,
    which: Which,
) -> wasmtime::Result<Resource<DynInputStream>> {
    let awaited = Arc::new(Awaited::Readable(streams.clone(), which));
    let reader = Reader {
        streams,
        which,
        failed: false,
        _known: Arc::clone(&awaited),
    };
    let stream: DynInputStream = Box::new(reader);
    let stream = state.table.push(stream)?;
    state.streams.know(&stream, &awaited);
    Ok(stream)
}

struct Reader {
    streams: Piped,
    which: Which,
    /// Whether the guest has been told that something is lost.
    failed: bool,
    _known: Arc<Awaited>,
}

#[async_trait]
impl Pollable for Reader {
    async fn ready(&mut self) {
        self.streams.readable(self.which).await;
    }
}

#[async_trait]
impl InputStream for Reader {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        match self.streams.read(self.which, size) {
            Ok(bytes) => Ok(bytes.into()),
            Err(ReadError::Lost) if !self.failed => {
                self.failed = true;
                Err(StreamError::LastOperationFailed(ReadError::Lost.into()))
            }
            Err(ReadError::Lost | ReadError::Ended) => Err(StreamError::Closed),
        }
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        loop {
            let bytes = self.read(size)?;
            if !bytes.is_empty() || size == 0 {
                return Ok(bytes);
            }
            self.ready().await;
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.streams.close(self.which);
    }
}

struct Writer {
    streams: Piped,
    _known: Arc<Awaited>,
}

#[async_trait]
impl Pollable for Writer {
    async fn ready(&mut self) {
        self.streams.writable().await;
    }
}

impl OutputStream for Writer {
    fn check_write(&mut self) -> StreamResult<usize> {
        self.streams.room().map_err(closed)
    }

    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > self.check_write()? {
            return Err(StreamError::trap(
                "more was written than `check-write` allows",
            ));
        }
        self.streams.write(&bytes).map_err(closed)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.check_write().map(drop)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.streams.close_stdin();
    }
}

fn closed(_: NobodyReads) -> StreamError {
    StreamError::Closed
}
