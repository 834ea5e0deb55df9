//! The pipes of one command: which ends it gets, and what the host does with the others.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use portcullis_policy::ExecTerms;
use tokio::io::Interest;

use crate::capture::{self, Capture, Feed, HostEnd};
use crate::executor::Nulls;
use crate::piped::{Bounds, Inlet, Outlet, Piped, Which};
use crate::relay::{Relay, Sink};
use crate::supervise::Source;
use crate::watch::watch;
use crate::{Input, Output, Quota, Stdio, Stream, Streams};

/// Everything that moves bytes to and from one command.
#[derive(Debug)]
pub(crate) struct Plumbing {
    /// The command's ends, given to the cell and then closed here.
    pub(crate) ends: Ends,
    pub(crate) source: Option<Source>,
    pub(crate) stdout: Sink,
    pub(crate) stderr: Sink,
    /// Whether standard error goes where standard output goes.
    pub(crate) merged: bool,
}

/// What the command gets for its streams. `None` is `/dev/null`.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

impl Ends {
    /// Standard input, output and error.
    pub(crate) fn fds<'a>(&'a self, nulls: &'a Nulls) -> [BorrowedFd<'a>; 3] {
        [
            self.stdin.as_ref().unwrap_or(&nulls.read).as_fd(),
            self.stdout.as_ref().unwrap_or(&nulls.write).as_fd(),
            self.stderr.as_ref().unwrap_or(&nulls.write).as_fd(),
        ]
    }
}

impl Plumbing {
    /// For a command that is waited for, of whose standard output and error this many bytes are kept or passed on.
    pub(crate) fn waited_for(stdio: Stdio, [out_cap, err_cap]: [u64; 2]) -> io::Result<Self> {
        let (source, stdin) = match stdio.stdin {
            Input::Bytes(bytes) if !bytes.is_empty() => {
                let (stdin, write) = capture::pipe(HostEnd::Write)?;
                let feed = Feed::begin(write, bytes)?;
                (feed.map(Source::Bytes), Some(stdin))
            }
            Input::Relay(from) => {
                let (stdin, write) = capture::pipe(HostEnd::Write)?;
                (Some(Source::Relay(write, from)), Some(stdin))
            }
            Input::Bytes(_) | Input::Nothing => (None, None),
        };
        let sink = |output, cap| {
            let (read, write) = capture::pipe(HostEnd::Read)?;
            let pipe = watch(read, Interest::READABLE)?;
            let sink = match output {
                Output::Capture => Sink::Capture(pipe, Capture::new(cap)),
                Output::Relay(out) => Sink::Relay(pipe, Relay::new(out, cap)),
            };
            io::Result::Ok((sink, Some(write)))
        };
        let (out, stdout) = sink(stdio.stdout, out_cap)?;
        let (err, stderr) = sink(stdio.stderr, err_cap)?;
        Ok(Self {
            ends: Ends {
                stdin,
                stdout,
                stderr,
            },
            source,
            stdout: out,
            stderr: err,
            merged: false,
        })
    }

    /// For a command that runs beside whoever started it, and the host's ends of its pipes.
    pub(crate) fn beside(
        streams: Streams,
        terms: &ExecTerms,
        quota: &Quota,
    ) -> io::Result<(Self, Piped)> {
        let merged = streams.stderr.is_none();
        let bounds = |keeps_end| Bounds {
            length: terms.streamed,
            held: terms.output,
            keeps_end,
        };
        let (inlet, stdin) = if streams.stdin {
            let (stdin, write) = capture::pipe(HostEnd::Write)?;
            (Some(Inlet::new(write)?), Some(stdin))
        } else {
            (None, None)
        };
        let out = Way::of(streams.stdout, bounds(merged), quota)?;
        let err = match streams.stderr {
            Some(stream) => Way::of(stream, bounds(true), quota)?,
            None => Way {
                end: out.end.as_ref().map(OwnedFd::try_clone).transpose()?,
                ..Way::default()
            },
        };
        let piped = Piped::new(inlet, out.outlet, err.outlet);
        let sink =
            |relay: Option<Sink>, which| relay.unwrap_or_else(|| Sink::Piped(piped.clone(), which));
        let plumbing = Self {
            ends: Ends {
                stdin,
                stdout: out.end,
                stderr: err.end,
            },
            source: Some(Source::Piped(piped.clone())),
            stdout: sink(out.relay, Which::Stdout),
            stderr: sink(err.relay, Which::Stderr),
            merged,
        };
        Ok((plumbing, piped))
    }
}

/// The way of one output.
#[derive(Default)]
struct Way {
    end: Option<OwnedFd>,
    outlet: Option<Outlet>,
    relay: Option<Sink>,
}

impl Way {
    fn of(stream: Stream, bounds: Bounds, quota: &Quota) -> io::Result<Self> {
        if matches!(stream, Stream::Null) {
            return Ok(Self::default());
        }
        let (read, write) = capture::pipe(HostEnd::Read)?;
        let mut way = Self {
            end: Some(write),
            ..Self::default()
        };
        match stream {
            Stream::Pipe(observer) => {
                way.outlet = Some(Outlet::new(read, bounds, quota.clone(), observer)?);
            }
            Stream::Relay(out) => {
                let pipe = watch(read, Interest::READABLE)?;
                let cap = bounds.length.unwrap_or(u64::MAX);
                way.relay = Some(Sink::Relay(pipe, Relay::new(out, cap)));
            }
            Stream::Null => {}
        }
        Ok(way)
    }
}
