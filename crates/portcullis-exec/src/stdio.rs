//! Where the three streams of a command lead.

use std::fmt;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::piped::Observer;

/// The standard streams of a command. It gets a pipe for each, never a descriptor of ours: one that was opened for
/// more than it is used for, a socket or a terminal would be a way out.
///
/// # Defaults
/// Nothing for standard input; both outputs are kept.
#[derive(Debug, Default)]
pub struct Stdio {
    /// What it reads.
    pub stdin: Input,
    /// What becomes of its standard output.
    pub stdout: Output,
    /// What becomes of its standard error.
    pub stderr: Output,
}

/// What a command reads.
#[derive(Default)]
pub enum Input {
    /// End of file at once.
    #[default]
    Nothing,
    /// These bytes, then end of file.
    Bytes(Vec<u8>),
    /// What this gives, for as long as the command runs. More is read from it than the command takes: up to what a pipe
    /// holds and one buffer.
    Relay(Box<dyn AsyncRead + Send + Unpin>),
}

/// What becomes of what a command writes.
#[derive(Default)]
pub enum Output {
    /// It is returned with the status, up to the cap of the decision.
    #[default]
    Capture,
    /// It is passed on as it comes. The command waits when this is slow, and is killed when this fails or when it has
    /// written as much as the decision allows.
    Relay(Box<dyn AsyncWrite + Send + Unpin>),
}

/// The standard streams of a command that runs beside whoever started it.
///
/// # Defaults
/// Nothing: end of file at once, and both outputs thrown away.
#[derive(Debug, Default)]
pub struct Streams {
    /// Whether what it reads is written to it while it runs; otherwise it reads nothing.
    pub stdin: bool,
    /// What becomes of its standard output.
    pub stdout: Stream,
    /// What becomes of its standard error; `None` has it go where standard output goes.
    pub stderr: Option<Stream>,
}

/// What becomes of one output of a command that runs beside whoever started it.
#[derive(Default)]
pub enum Stream {
    /// It is thrown away.
    #[default]
    Null,
    /// It is read while the command runs; the observer is told of all that was read, by whoever does.
    Pipe(Option<Observer>),
    /// It is passed on as it comes, as with [`Output::Relay`].
    Relay(Box<dyn AsyncWrite + Send + Unpin>),
}

/// Bytes or nothing for standard input, and both outputs kept.
impl From<Option<Vec<u8>>> for Stdio {
    fn from(bytes: Option<Vec<u8>>) -> Self {
        Self {
            stdin: bytes.map_or(Input::Nothing, Input::Bytes),
            ..Self::default()
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Nothing => "Nothing",
            // What is passed to a command may be a secret.
            Self::Bytes(_) => "Bytes(..)",
            Self::Relay(_) => "Relay(..)",
        })
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Null => "Null",
            Self::Pipe(_) => "Pipe(..)",
            Self::Relay(_) => "Relay(..)",
        })
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Capture => "Capture",
            Self::Relay(_) => "Relay(..)",
        })
    }
}
