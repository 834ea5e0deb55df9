//! What a plugin does, told as it happens: to whoever wants to know what it needs.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use portcullis_exec::{Completed, Connections, Observed, Status};
use portcullis_policy::{ExecRequest, FsAccess, HttpRequest, ProgramRef};

/// Who is told what a plugin does. With one, commands are observed as well, which makes them slower: each file that a
/// process looks at is told by the kernel first. Nothing is decided by it.
///
/// It is told by the task of the guest, so it may not block.
pub trait Needs: fmt::Debug + Send + Sync {
    /// A plugin did this, and was allowed to.
    fn needed(&self, what: Need);
}

/// One thing that a plugin did, or asked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Need {
    /// It started a command.
    Command(NeededCommand),
    /// A command of it has ended.
    Ended(EndedCommand),
    /// It opened or looked at a file or directory itself, changed it (with [`FsAccess::ReadWrite`]), or made one.
    File {
        /// The real path.
        path: PathBuf,
        /// What for.
        access: FsAccess,
    },
    /// It asked for a variable, granted or not.
    Variable {
        /// The name.
        name: String,
        /// Whether the host has it.
        is_set: bool,
    },
    /// It was allowed to send a request.
    Request(HttpRequest),
    /// It was allowed to connect somewhere: `host:port`.
    Connection(String),
    /// It was allowed to look up a name.
    Lookup(String),
}

/// A command that was allowed.
#[derive(Clone, Debug)]
pub struct NeededCommand {
    /// The number of the call in the audit trail.
    pub call: u64,
    /// The program as the plugin spelled it.
    pub program: ProgramRef,
    /// Its real path.
    pub file: PathBuf,
    /// The arguments after the program's name.
    pub args: Vec<String>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// Whether it is given an input.
    pub stdin: bool,
    /// Whether its output goes where the plugin's own goes.
    pub inherit_output: bool,
}

/// A command that has ended.
#[derive(Clone, Debug)]
pub struct EndedCommand {
    /// The number of the call in the audit trail.
    pub call: u64,
    /// How it ended.
    pub status: Status,
    /// What it asked its proxy for.
    pub connections: Vec<Connections>,
    /// What it and all that it started looked at.
    pub observed: Observed,
}

impl NeededCommand {
    pub(crate) fn of(call: u64, request: &ExecRequest) -> Self {
        Self {
            call,
            program: request.program.clone(),
            file: request
                .found
                .file()
                .map(|found| found.path.clone())
                .unwrap_or_default(),
            args: request.args.clone(),
            cwd: request.cwd.path().map(Into::into).unwrap_or_default(),
            stdin: request.stdin,
            inherit_output: request.inherit_output,
        }
    }
}

impl EndedCommand {
    pub(crate) fn of(call: u64, completed: &Completed) -> Self {
        Self {
            call,
            status: completed.status,
            connections: completed.connections.clone(),
            observed: completed.observed.clone().unwrap_or_default(),
        }
    }
}

/// Whoever is told, or nobody.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(pub(crate) Option<Arc<dyn Needs>>);

impl Told {
    pub(crate) fn tell(&self, what: impl FnOnce() -> Need) {
        if let Some(needs) = &self.0 {
            needs.needed(what());
        }
    }
}
