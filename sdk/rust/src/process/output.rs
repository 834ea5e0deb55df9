//! How a command ended, and what it wrote.

use std::fmt;
use std::time::Duration;

use crate::host::Ran;
use crate::{Error, Result};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExitStatus(pub(crate) Exit);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    all(target_family = "wasm", feature = "fledge"),
    allow(dead_code, reason = "fledge tells codes only")
)]
pub(crate) enum Exit {
    Exited(u8),
    Signalled(u8),
    TimedOut,
    Killed(KillReason),
}

/// Why the host killed a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KillReason {
    /// The plugin asked for it.
    Asked,
    /// A stream was far longer than it may be.
    Output,
    /// The plugin's commands wrote more in all than they may.
    TotalOutput,
    /// It had more memory than it may.
    Memory,
}

/// SIGKILL, by which the host ends what has to end.
const KILL: i32 = 9;

impl ExitStatus {
    /// Whether it ended by itself, with code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.0 == Exit::Exited(0)
    }

    /// The exit code, if it ended by itself.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        match self.0 {
            Exit::Exited(code) => Some(code.into()),
            _ => None,
        }
    }

    /// The signal that ended it; 9 of one that the host ended, also because its time was over.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        match self.0 {
            Exit::Exited(_) => None,
            Exit::Signalled(signal) => Some(signal.into()),
            Exit::TimedOut | Exit::Killed(_) => Some(KILL),
        }
    }

    /// Whether it was ended because its time was over.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.0 == Exit::TimedOut
    }

    /// Why the host killed it, if it did.
    #[must_use]
    pub fn killed(&self) -> Option<KillReason> {
        match self.0 {
            Exit::Killed(reason) => Some(reason),
            _ => None,
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Exit::Exited(code) => write!(f, "exit status {code}"),
            Exit::Signalled(signal) => write!(f, "signal {signal}"),
            Exit::TimedOut => f.write_str("its time was over"),
            Exit::Killed(KillReason::Asked) => f.write_str("killed"),
            Exit::Killed(KillReason::Output | KillReason::TotalOutput) => {
                f.write_str("killed for too much output")
            }
            Exit::Killed(KillReason::Memory) => f.write_str("killed for too much memory"),
        }
    }
}

/// A command that ran to its end, with what it wrote.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output, up to what policy keeps of a stream: 10 MiB unless it says otherwise.
    pub stdout: Vec<u8>,
    /// Standard error, likewise.
    pub stderr: Vec<u8>,
    /// Whether it wrote more to standard output than [`stdout`](Self::stdout) has.
    pub stdout_truncated: bool,
    /// Whether it wrote more to standard error than [`stderr`](Self::stderr) has.
    pub stderr_truncated: bool,
    /// From its start to the end of the last process that it started.
    pub duration: Duration,
    program: String,
}

impl Output {
    pub(crate) fn new(program: String, ran: Ran) -> Self {
        Self {
            status: ran.outcome.status,
            stdout: ran.stdout,
            stderr: ran.stderr,
            stdout_truncated: ran.outcome.stdout_truncated,
            stderr_truncated: ran.outcome.stderr_truncated,
            duration: ran.outcome.duration,
            program,
        }
    }

    /// Itself, if the command was a success.
    ///
    /// ```
    /// use portcullis::ErrorKind;
    /// use portcullis::process::Command;
    /// use portcullis::testing::{Host, Reply};
    ///
    /// let host = Host::new().command(["git", "log"], Reply::new().code(128).stderr("fatal: no commits\n"));
    /// host.run(|| {
    ///     let error = Command::new("git").arg("log").output()?.exit_ok().unwrap_err();
    ///     assert_eq!(error.kind(), ErrorKind::Failed);
    ///     assert_eq!(error.to_string(), "`git` failed: exit status 128: fatal: no commits");
    ///     assert_eq!(error.output().and_then(|output| output.status.code()), Some(128));
    ///     # Ok::<_, portcullis::Error>(())
    /// })?;
    /// # Ok::<_, portcullis::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Failed`](crate::ErrorKind::Failed) with this output in it, if not; the message ends with the first line of standard error.
    pub fn exit_ok(self) -> Result<Self> {
        if self.status.success() {
            return Ok(self);
        }
        let mut message = format!("`{}` failed: {}", self.program, self.status);
        let stderr = String::from_utf8_lossy(&self.stderr);
        if let Some(line) = stderr.lines().find(|line| !line.trim().is_empty()) {
            message.push_str(": ");
            message.push_str(line.trim());
        }
        Err(Error::failed(message, self))
    }
}
