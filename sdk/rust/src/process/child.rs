//! A command that runs beside the plugin.

use std::io::{self, Read, Write};

use super::{ExitStatus, Output};
use crate::host::{self, Outcome, Ran};
use crate::{Error, ErrorKind, Result};

/// A command that runs beside the plugin. As [`std::process::Child`], but that it is killed when it is dropped.
///
/// A child that is not read waits, once the pipe is full. While the plugin waits for one thing of it, the host keeps what comes from its
/// other streams, so that no order of reading and writing is a deadlock: 10 MiB of each, unless policy says otherwise, and the rest is
/// lost.
#[derive(Debug)]
pub struct Child {
    /// Standard input, if it is a pipe. Dropping it is the child's end of file.
    pub stdin: Option<ChildStdin>,
    /// Standard output, if it is a pipe. Dropping it closes the pipe.
    pub stdout: Option<ChildStdout>,
    /// Standard error, likewise.
    pub stderr: Option<ChildStderr>,
    handle: host::Child,
    program: String,
}

/// What a child reads.
///
/// More than there is room for waits. Writing to a child that reads no more is [`BrokenPipe`](io::ErrorKind::BrokenPipe).
#[derive(Debug)]
pub struct ChildStdin(host::OutputStream);

/// What a child writes to standard output. A stream of which something was lost ends with an error.
#[derive(Debug)]
pub struct ChildStdout(host::InputStream);

/// What a child writes to standard error. A stream of which something was lost ends with an error.
#[derive(Debug)]
pub struct ChildStderr(host::InputStream);

impl Write for ChildStdin {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Read for ChildStdout {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.0.read(room)
    }
}

impl Read for ChildStderr {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        self.0.read(room)
    }
}

impl Child {
    pub(crate) fn new(program: String, child: host::Child) -> Self {
        Self {
            stdin: child.stdin().map(ChildStdin),
            stdout: child.stdout().map(ChildStdout),
            stderr: child.stderr().map(ChildStderr),
            handle: child,
            program,
        }
    }

    /// Closes its standard input, and waits until it and every process that it started are gone. May be called again.
    ///
    /// # Errors
    /// It was never executed, or the host lost it; nothing of it is left either.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.stdin = None;
        Ok(self.over(self.handle.wait())?.status)
    }

    /// As [`wait`](Self::wait), if it is over already; nothing is closed.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        let Some(over) = self.handle.try_wait() else {
            return Ok(None);
        };
        Ok(Some(self.over(over)?.status))
    }

    /// Kills it and everything that it started. One that is over already is left as it is.
    ///
    /// # Errors
    /// None: it is a result because that of `std` is one.
    pub fn kill(&mut self) -> Result<()> {
        self.handle.kill();
        Ok(())
    }

    /// Closes its standard input, reads its streams to their end, and waits. A stream of which something was lost is marked as cut.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_with_output(mut self) -> Result<Output> {
        self.stdin = None;
        let (stdout, stdout_lost) = rest(self.stdout.take());
        let (stderr, stderr_lost) = rest(self.stderr.take());
        let mut outcome = self.over(self.handle.wait())?;
        outcome.stdout_truncated |= stdout_lost;
        outcome.stderr_truncated |= stderr_lost;
        Ok(Output::new(
            self.program,
            Ran {
                outcome,
                stdout,
                stderr,
            },
        ))
    }

    fn over(&self, over: Result<Outcome, ErrorKind>) -> Result<Outcome> {
        over.map_err(|kind| Error::of(format_args!("cannot run `{}`", self.program), kind))
    }
}

/// What is left of a stream, and whether something of it was lost.
fn rest(stream: Option<impl Read>) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let end = stream.map(|mut stream| stream.read_to_end(&mut bytes));
    let lost = matches!(end, Some(Err(_)));
    (bytes, lost)
}
