//! What a plugin did and what it was refused, for the operator.

use std::time::Duration;

use portcullis_exec::{Report, Status};
use portcullis_policy::{Denial, Dropped, RuleId};

use crate::Diagnostic;

/// One command that ran, for the operator's report.
#[derive(Clone, Debug)]
pub struct Command {
    /// The number of the call in the audit trail.
    pub call: u64,
    /// The program's real path.
    pub program: String,
    /// The rules that allowed it.
    pub rules: Vec<RuleId>,
    /// How it ended.
    pub status: Status,
    /// Wall-clock time.
    pub duration: Duration,
    /// Variables of the host that were left out of its environment.
    pub dropped: Vec<Dropped>,
    /// Processes that outlived it and were killed.
    pub stragglers: u32,
    /// What the kernel enforced on it, in words.
    pub confinement: String,
    /// The same as data: the tier, and each protection that was in force, read back by its cell.
    pub report: Report,
    /// Keys of its rules that only the kernel could enforce and that were not in force.
    pub not_in_force: Vec<&'static str>,
}

/// What the plugin did and what it was refused, since the instance was made.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    /// Commands that ran, in order.
    pub commands: Vec<Command>,
    /// Requests that were refused, in order.
    pub denials: Vec<Denial>,
    /// Failures of the host that the guest saw as an error, in words.
    pub failures: Vec<String>,
    /// What commands left that needs a look, in order.
    pub notices: Vec<Diagnostic>,
    /// How many commands, denials, failures and notices came after the first [`Activity::KEPT`] of each, and are not in the
    /// lists. The audit trail has them.
    pub not_kept: u64,
    /// Lines for the log that were dropped because there were more than `limits.log_per_minute`.
    pub log_dropped: u64,
}

impl Activity {
    /// How many of each are kept: a plugin decides how many there are.
    pub const KEPT: usize = 1000;

    fn keep<T>(list: &mut Vec<T>, not_kept: &mut u64, item: T) {
        if list.len() < Self::KEPT {
            list.push(item);
        } else {
            *not_kept += 1;
        }
    }

    pub(crate) fn command(&mut self, command: Command) {
        Self::keep(&mut self.commands, &mut self.not_kept, command);
    }

    pub(crate) fn denial(&mut self, denial: Denial) {
        Self::keep(&mut self.denials, &mut self.not_kept, denial);
    }

    pub(crate) fn notice(&mut self, notice: Diagnostic) {
        Self::keep(&mut self.notices, &mut self.not_kept, notice);
    }

    /// One that is there already is not told again: the same command may fail a thousand times.
    pub(crate) fn notice_once(&mut self, notice: Diagnostic) {
        if !self.notices.contains(&notice) {
            self.notice(notice);
        }
    }

    pub(crate) fn failure(&mut self, why: String) {
        Self::keep(&mut self.failures, &mut self.not_kept, why);
    }
}
