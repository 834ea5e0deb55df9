//! What a guest is told, as JSON in the words of the WIT: those of [`command`](crate::abi::command), and no others.

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use portcullis_exec::Completed;
use serde::{Serialize, Serializer};

use crate::abi::command::{self, Limit, Reason, nanoseconds};
use crate::gate::{Over, Refused};

/// Why a command did not run: the kind alone.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Error {
    Denied,
    NotFound,
    TimedOut,
    Limit { limit: Limit },
    Invalid,
    Io,
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match command::Error::from(refused) {
            command::Error::Denied => Self::Denied,
            command::Error::NotFound => Self::NotFound,
            command::Error::TimedOut => Self::TimedOut,
            command::Error::Limit(limit) => Self::Limit { limit },
            command::Error::Invalid => Self::Invalid,
            command::Error::Io => Self::Io,
        }
    }
}

/// How a command ended.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Exit {
    Exited { code: u8 },
    Signalled { signal: u8 },
    TimedOut,
    Killed { reason: Reason },
}

impl From<command::Exit> for Exit {
    fn from(exit: command::Exit) -> Self {
        match exit {
            command::Exit::Exited(code) => Self::Exited { code },
            command::Exit::Signalled(signal) => Self::Signalled { signal },
            command::Exit::TimedOut => Self::TimedOut,
            command::Exit::Killed(reason) => Self::Killed { reason },
        }
    }
}

/// A command that ran to its end, with what it wrote.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Output<'a> {
    exit: Exit,
    #[serde(serialize_with = "base64")]
    stdout: &'a [u8],
    #[serde(serialize_with = "base64")]
    stderr: &'a [u8],
    stdout_truncated: bool,
    stderr_truncated: bool,
    duration: u64,
}

impl<'a> From<&'a Completed> for Output<'a> {
    fn from(completed: &'a Completed) -> Self {
        let exit = command::Exit::of(completed.status, completed.killed_for, completed.asked);
        Self {
            exit: exit.into(),
            stdout: &completed.stdout,
            stderr: &completed.stderr,
            stdout_truncated: completed.stdout_truncated,
            stderr_truncated: completed.stderr_truncated,
            duration: nanoseconds(completed.duration),
        }
    }
}

/// A command that runs now.
#[derive(Debug, Serialize)]
pub(super) struct Started {
    pub(super) child: i32,
}

/// What there is to say of a command.
#[derive(Debug, Default, Serialize)]
pub(super) struct Polled {
    #[serde(serialize_with = "base64")]
    pub(super) stdout: Vec<u8>,
    #[serde(serialize_with = "base64")]
    pub(super) stderr: Vec<u8>,
    pub(super) writable: usize,
    pub(super) outcome: Option<Ended>,
}

/// What became of a command.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Ended {
    Outcome(Outcome),
    Error { error: Error },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Outcome {
    exit: Exit,
    stdout_truncated: bool,
    stderr_truncated: bool,
    duration: u64,
}

impl From<Over> for Ended {
    fn from(over: Over) -> Self {
        match over {
            Ok(over) => Self::Outcome(Outcome {
                exit: command::Exit::of(over.status, over.killed_for, over.asked).into(),
                stdout_truncated: over.stdout_truncated,
                stderr_truncated: over.stderr_truncated,
                duration: nanoseconds(over.duration),
            }),
            Err(refused) => Self::Error {
                error: refused.into(),
            },
        }
    }
}

/// Writes an answer out.
pub(super) fn encode<T: Serialize, E: Serialize>(answer: Result<T, E>) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    enum Answer<T, E> {
        Ok(T),
        Error(E),
    }
    let answer = match answer {
        Ok(value) => Answer::Ok(value),
        Err(error) => Answer::Error(error),
    };
    // Nothing here has keys that are no texts, or fails by itself.
    serde_json::to_vec(&answer).unwrap_or_default()
}

fn base64<S: Serializer>(bytes: impl AsRef<[u8]>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&Base64Display::new(bytes.as_ref(), &STANDARD))
}
