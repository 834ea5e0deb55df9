//! The seam: what this crate asks of a host. A plugin asks the one that runs it, by the interfaces of `portcullis:cli` or by the
//! functions of fledge; a native build, which has none, the one that a test has scripted. All have the same functions, and what is
//! above them is the same code.

use std::time::Duration;

use crate::process::ExitStatus;

#[cfg(all(target_family = "wasm", not(feature = "fledge")))]
mod wit;
#[cfg(all(target_family = "wasm", not(feature = "fledge")))]
pub use wit::*;

#[cfg(all(target_family = "wasm", feature = "fledge"))]
mod fledge;
#[cfg(all(target_family = "wasm", feature = "fledge"))]
pub use fledge::*;

#[cfg(not(target_family = "wasm"))]
pub(crate) mod scripted;
#[cfg(not(target_family = "wasm"))]
pub use scripted::*;

/// A command to run.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) program: String,
    pub(crate) args: Vec<String>,
    pub(crate) cwd: Option<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) inherit_env: bool,
    pub(crate) timeout: Option<Duration>,
}

/// Where a stream of a child leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    Null,
    Pipe,
    Inherit,
    /// Of standard error: where standard output goes.
    Merged,
}

/// Where the streams of a child lead.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    all(target_family = "wasm", feature = "fledge"),
    allow(dead_code, reason = "fledge has no children")
)]
pub(crate) struct Sinks {
    /// Whether it is a pipe, or nothing.
    pub(crate) stdin: bool,
    pub(crate) stdout: Sink,
    pub(crate) stderr: Sink,
}

/// What became of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) stdout_truncated: bool,
    pub(crate) stderr_truncated: bool,
    pub(crate) duration: Duration,
}

/// A command that ran to its end, with what it wrote.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// One page of keys, and whether there are more.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) keys: Vec<String>,
    pub(crate) more: bool,
}
