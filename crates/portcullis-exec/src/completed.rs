use std::time::Duration;

use portcullis_confine::{Observed, Report, Usage};
use portcullis_policy::Code;

use crate::care::TreeNote;
use crate::{Complaint, Connections};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// By itself, with this code.
    Exited(u8),
    /// By this signal; never to be mistaken for a code.
    Signalled(i32),
    /// It was stopped because its time was over, with SIGTERM or SIGKILL.
    TimedOut,
}

/// A command that ran. Nothing of its process tree is left.
#[derive(Clone, Debug)]
pub struct Completed {
    /// How it ended.
    pub status: Status,
    /// Its standard output, up to the cap; empty when it was passed on.
    pub stdout: Vec<u8>,
    /// Its standard error, up to the cap; empty when it was passed on.
    pub stderr: Vec<u8>,
    /// Whether it wrote more to standard output than is in `stdout`.
    pub stdout_truncated: bool,
    /// Whether it wrote more to standard error than is in `stderr`.
    pub stderr_truncated: bool,
    /// Bytes that were read from standard output, those not kept included.
    pub stdout_written: u64,
    /// Bytes that were read from standard error, those not kept included.
    pub stderr_written: u64,
    /// The limit for which it was killed: [`Code::LimitOutput`] when it wrote far more than its cap,
    /// [`Code::LimitTotalOutput`] when the plugin's total was used up, [`Code::LimitMemory`] when its tree had more
    /// memory than its rule gives it. Its status is then SIGKILL.
    pub killed_for: Option<Code>,
    /// Whether it was killed because whoever started it asked for that. Its status is then SIGKILL.
    pub asked: bool,
    /// Processes that were still running when it ended and were killed before this was returned.
    pub stragglers: u32,
    /// From the start to the end of the last process.
    pub duration: Duration,
    /// What the whole tree used.
    pub usage: Usage,
    /// What the kernel enforced, read back by the cell.
    pub report: Report,
    /// What became of the working trees that it could write.
    pub trees: Vec<TreeNote>,
    /// What it asked its proxy for, if it may reach hosts; never for the guest.
    pub connections: Vec<Connections>,
    /// What it said, if it failed; to be looked at when the guest has returned, and never for the guest.
    pub complaint: Option<Complaint>,
    /// What it and all that it started looked at, with [`ExecutorOptions::observe`](crate::ExecutorOptions::observe);
    /// never for the guest.
    pub observed: Option<Observed>,
}

impl Completed {
    /// Whether any output is missing.
    pub fn truncated(&self) -> bool {
        self.stdout_truncated || self.stderr_truncated
    }
}
