//! Everything that can go wrong on the host's side.

use std::{io, path::PathBuf};

use crate::Step;

/// Why no helper was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HelperError {
    /// This executable cannot serve, and nothing else was named.
    #[error(
        "no spawn server: call `portcullis::enter()` first in `main`, or name a `portcullis` binary \
         by its absolute path"
    )]
    NotEntered,
    /// A helper is named by absolute path only.
    #[error("helper `{}` is not an absolute path", path.display())]
    NotAbsolute {
        /// The path that was given.
        path: PathBuf,
    },
    /// The helper is not something that can be run safely.
    #[error("helper `{}` {problem}", path.display())]
    Unfit {
        /// The path that was given or found.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The helper could not be opened.
    #[error("cannot open helper `{}`", path.display())]
    Open {
        /// The path that was given or found.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// This platform has no cells.
    #[error("starting commands is supported on Linux only (x86_64 and aarch64)")]
    Unsupported,
}

/// Why the spawn server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// This process carries the server's cookie but is no server.
    #[error(
        "the environment has `{}`, so this process was started by a spawn server's host; \
         call `portcullis::enter()` first in `main`, or remove the variable",
        crate::COOKIE
    )]
    Reentered,
    /// The helper could not be run.
    #[error("cannot run helper `{}`", path.display())]
    Run {
        /// The helper.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The helper ran but did not serve.
    #[error("helper `{}` {problem}; does its `main` call `portcullis::enter()` first?", path.display())]
    NotServing {
        /// The helper.
        path: PathBuf,
        /// What it did instead.
        problem: &'static str,
    },
    /// The helper serves, but this system lets it make no cell.
    #[error("cannot make a cell: {step} failed: {}{}", io::Error::from_raw_os_error(*errno), remedy_suffix(remedy.as_deref()))]
    Cell {
        /// The step that failed.
        step: Step,
        /// Its error number.
        errno: i32,
        /// What to change on this system, where that is known.
        remedy: Option<String>,
    },
    /// The helper answered with something that is not ours.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// This platform has no cells.
    #[error("starting commands is supported on Linux only (x86_64 and aarch64)")]
    Unsupported,
}

fn remedy_suffix(remedy: Option<&str>) -> String {
    remedy.map(|text| format!("; {text}")).unwrap_or_default()
}

/// Why the spawn server or a cell is of no more use.
///
/// Except for [`ServerError::Cell`], the server has been given up: everything it started is being
/// killed, every later request is [`ServerError::GivenUp`], and the caller may start another.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// One cell could not be made; the next may succeed.
    #[error("cannot make a cell: {step} failed: {}", io::Error::from_raw_os_error(*errno))]
    Cell {
        /// The step that failed.
        step: Step,
        /// Its error number.
        errno: i32,
    },
    /// The server or the cell ended without saying why.
    #[error("the {peer} ended unexpectedly")]
    Gone {
        /// `spawn server`, `template` or `cell`.
        peer: &'static str,
    },
    /// A message was not one of ours.
    #[error("the {peer} sent a message that is not valid: {problem}")]
    Protocol {
        /// `spawn server`, `template` or `cell`.
        peer: &'static str,
        /// What was wrong with it.
        problem: &'static str,
    },
    /// The server was given up after an earlier error.
    #[error("the spawn server was given up after an earlier error")]
    GivenUp,
    /// The plan has more roots, or longer paths, than a message holds; nothing was given up.
    #[error("the plan has too many roots, or too long paths")]
    PlanTooLarge,
    /// More cells were asked for than the socket holds.
    #[error("too many cells are asked for at once")]
    Busy,
    /// The socket failed.
    #[error("cannot talk to the {peer}")]
    Io {
        /// `spawn server`, `template` or `cell`.
        peer: &'static str,
        /// The operating system's error.
        source: io::Error,
    },
}

/// Why a command was not handed to its cell.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// A command has at least its own name.
    #[error("the argument list is empty")]
    NoArguments,
    /// The arguments are too long.
    #[error("the arguments take {bytes} bytes, more than the {limit} that a command may have")]
    ArgumentsTooLong {
        /// All arguments with their terminating zero bytes.
        bytes: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The environment is too long.
    #[error("the environment takes {bytes} bytes, more than the {limit} that a command may have")]
    EnvironmentTooLong {
        /// All variables with their terminating zero bytes.
        bytes: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A cell runs one command.
    #[error("the cell was already given a command")]
    AlreadyStarted,
    /// The cell ended before it got the command.
    #[error("the cell is gone")]
    Gone,
    /// What it looks at cannot be seen, and was to be.
    #[error("cannot observe the command")]
    Observe(#[source] io::Error),
    /// The socket failed.
    #[error("cannot send the command to its cell")]
    Io(#[source] io::Error),
}
