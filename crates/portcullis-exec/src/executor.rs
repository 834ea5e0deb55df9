use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use portcullis_confine::{Helper, Plan, StartError};
use portcullis_policy::{Authorized, ExecRequest};

use crate::pool::Pool;
use crate::run::{self, Run};
use crate::{Completed, ExecFailure, Opened, Permit};

/// Most cells that are worth parking: each is a process.
const MAX_PARKED: usize = 16;

/// How an [`Executor`] works.
///
/// # Defaults
/// - `parked`: 3 cells
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExecutorOptions {
    /// Cells made ahead of need, 1 to 16. More commands at once than that wait for theirs.
    pub parked: usize,
}

impl Default for ExecutorOptions {
    fn default() -> Self {
        Self { parked: 3 }
    }
}

/// Runs authorized commands. One per host; clones share the spawn server and its parked cells.
#[derive(Clone, Debug)]
pub struct Executor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: Pool,
    /// `/dev/null` for reading: the standard input of a command that is given none.
    null: OwnedFd,
}

impl Executor {
    /// Starts the spawn server and has the first cells made.
    ///
    /// Blocks for about two milliseconds, until the server has made one cell as proof that this
    /// system can. Needs no async runtime.
    ///
    /// # Authority
    /// Ambient: commands run as the user of this process.
    ///
    /// # Errors
    /// [`StartError`], which names the step that this system refused.
    pub fn start(helper: Helper, options: &ExecutorOptions) -> Result<Self, StartError> {
        let failed = |source: io::Error| StartError::Run {
            path: helper.path().to_owned(),
            source,
        };
        let null = File::open("/dev/null").map_err(failed)?.into();
        let pool = Pool::start(helper, Plan::limits(), options.parked.clamp(1, MAX_PARKED))?;
        Ok(Self(Arc::new(Inner { pool, null })))
    }

    /// Waits until a cell is parked.
    ///
    /// # Errors
    /// [`ExecFailure::Start`] or [`ExecFailure::Server`].
    pub async fn ready(&self) -> Result<(), ExecFailure> {
        let cell = self.0.pool.cell().await?;
        self.0.pool.park(cell);
        Ok(())
    }

    /// The process number of the spawn server, for diagnostics; `None` after it was lost.
    pub fn server_pid(&self) -> Option<u32> {
        self.0.pool.server_pid()
    }

    /// Runs one command in a cell of its own and returns when its whole process tree is gone.
    ///
    /// The file and directory of `opened` are used, whatever their paths lead to by now; they must
    /// be those that the decision was about. The time that counts is the smallest of the decision's
    /// timeout and `deadline`, from this call on; what has not ended by then is killed, and its
    /// output so far is kept. Whether truncated output is an error is for the caller to say.
    ///
    /// Must run in a Tokio runtime with I/O and time. Writing to a command that closed its standard
    /// input raises SIGPIPE, which every Rust program ignores unless it was told otherwise.
    ///
    /// # Errors
    /// [`ExecFailure`]; a guest is told no more than that its command could not be started.
    ///
    /// # Cancellation
    /// Dropping the future kills the process tree and ends the permit.
    pub async fn run(
        &self,
        authorized: Authorized<ExecRequest>,
        opened: Opened,
        stdin: Option<Vec<u8>>,
        deadline: Option<Instant>,
        permit: Permit,
    ) -> Result<Completed, ExecFailure> {
        let run = Run {
            authorized,
            opened,
            stdin,
            started: Instant::now(),
            deadline,
            quota: permit.quota(),
        };
        run::run(&self.0.pool, &self.0.null, run).await
    }
}
