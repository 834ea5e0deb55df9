//! What a guest is told, as JSON in the words of the WIT.

use std::time::Duration;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use portcullis_exec::{Completed, Status};
use portcullis_policy::{Code, GuestError};
use serde::{Serialize, Serializer};

/// Why a command did not run: the kind alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Error {
    Denied,
    NotFound,
    Limit { limit: Limit },
    Invalid,
    Io,
}

/// A limit that keeps a command from being started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Limit {
    Children,
    TotalOutput,
}

impl From<GuestError> for Error {
    fn from(error: GuestError) -> Self {
        match error {
            GuestError::Denied => Self::Denied,
            GuestError::NotFound => Self::NotFound,
            GuestError::Invalid => Self::Invalid,
            GuestError::Limit => Self::Limit {
                limit: Limit::Children,
            },
            GuestError::OutputLimit => Self::Limit {
                limit: Limit::TotalOutput,
            },
            GuestError::MemoryLimit | GuestError::CannotStart => Self::Io,
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Exit {
    Exited { code: u8 },
    Signalled { signal: i32 },
    TimedOut,
    Killed { reason: Reason },
}

/// Why the host killed a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reason {
    Output,
    TotalOutput,
    Memory,
}

impl Exit {
    fn of(completed: &Completed) -> Self {
        let reason = completed.killed_for.map(|code| match code {
            Code::LimitMemory => Reason::Memory,
            Code::LimitTotalOutput => Reason::TotalOutput,
            _ => Reason::Output,
        });
        match (reason, completed.status) {
            (Some(reason), _) => Self::Killed { reason },
            (None, Status::Exited(code)) => Self::Exited { code },
            (None, Status::Signalled(signal)) => Self::Signalled { signal },
            (None, Status::TimedOut) => Self::TimedOut,
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
    #[serde(serialize_with = "nanoseconds")]
    duration: Duration,
}

impl<'a> From<&'a Completed> for Output<'a> {
    fn from(completed: &'a Completed) -> Self {
        Self {
            exit: Exit::of(completed),
            stdout: &completed.stdout,
            stderr: &completed.stderr,
            stdout_truncated: completed.stdout_truncated,
            stderr_truncated: completed.stderr_truncated,
            duration: completed.duration,
        }
    }
}

/// Writes an answer out.
pub(super) fn encode<T: Serialize>(answer: Result<T, Error>) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "kebab-case")]
    enum Answer<T> {
        Ok(T),
        Error(Error),
    }
    let answer = match answer {
        Ok(value) => Answer::Ok(value),
        Err(error) => Answer::Error(error),
    };
    // Only a map with keys that are no texts, or a type that fails by itself, could fail here.
    serde_json::to_vec(&answer).unwrap_or_default()
}

fn base64<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&Base64Display::new(bytes, &STANDARD))
}

fn nanoseconds<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}
