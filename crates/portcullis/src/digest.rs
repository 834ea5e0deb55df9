//! Digests of what is passed on and not kept.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use portcullis_audit::{DigestKey, Digester, KeyedDigest};
use portcullis_exec::{Output, Stdio, Stream, Streams};
use tokio::io::AsyncWrite;

/// The digest of what has been passed on so far.
#[derive(Clone, Debug)]
pub(crate) struct Relayed(Arc<Mutex<Digester>>);

impl Relayed {
    pub(crate) fn digest(&self) -> KeyedDigest {
        // A digester is whole between two updates.
        let digester = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        digester.finish()
    }

    fn update(&self, bytes: &[u8]) {
        let mut digester = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        digester.update(bytes);
    }
}

/// Has everything that is passed on go into a digest as well; for standard output and standard error.
pub(crate) fn of_relayed(stdio: Stdio, key: Option<&DigestKey>) -> (Stdio, [Option<Relayed>; 2]) {
    let wrap = |output| match (output, key) {
        (Output::Relay(out), Some(key)) => {
            let relayed = Relayed(Arc::new(Mutex::new(key.digester())));
            let digesting = Digesting {
                out,
                relayed: relayed.clone(),
            };
            (Output::Relay(Box::new(digesting)), Some(relayed))
        }
        (output, _) => (output, None),
    };
    let (stdout, out) = wrap(stdio.stdout);
    let (stderr, err) = wrap(stdio.stderr);
    let stdio = Stdio {
        stdout,
        stderr,
        ..stdio
    };
    (stdio, [out, err])
}

/// Has everything that is read or passed on of a command beside the guest go into a digest as well.
pub(crate) fn of_streams(
    streams: Streams,
    key: Option<&DigestKey>,
) -> (Streams, [Option<Relayed>; 2]) {
    let wrap = |stream| {
        let (Some(key), Stream::Pipe(_) | Stream::Relay(_)) = (key, &stream) else {
            return (stream, None);
        };
        let relayed = Relayed(Arc::new(Mutex::new(key.digester())));
        let also = relayed.clone();
        let stream = match stream {
            Stream::Pipe(_) => Stream::Pipe(Some(Box::new(move |bytes| also.update(bytes)))),
            Stream::Relay(out) => Stream::Relay(Box::new(Digesting { out, relayed: also })),
            Stream::Null => Stream::Null,
        };
        (stream, Some(relayed))
    };
    let (stdout, out) = wrap(streams.stdout);
    let (stderr, err) = streams.stderr.map(wrap).unzip();
    let streams = Streams {
        stdout,
        stderr,
        ..streams
    };
    (streams, [out, err.flatten()])
}

/// An output, and the digest of what it has taken.
struct Digesting {
    out: Box<dyn AsyncWrite + Send + Unpin>,
    relayed: Relayed,
}

impl AsyncWrite for Digesting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = ready!(Pin::new(&mut self.out).poll_write(context, bytes))?;
        self.relayed.update(bytes.get(..taken).unwrap_or(bytes));
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.out).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.out).poll_shutdown(context)
    }
}
