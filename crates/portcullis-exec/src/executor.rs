use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use portcullis_confine::{Helper, Plan, StartError};
use portcullis_policy::{Authorized, Confinement, ExecRequest};
use portcullis_proxy::ProxyOptions;

use crate::care::GitIdentity;
use crate::plan::{self, Planner};
use crate::pool::Pool;
use crate::run::{self, Run};
use crate::{Completed, ExecFailure, Opened, Permit, Stdio};

/// Most cells that are worth parking: each is a process.
const MAX_PARKED: usize = 16;

/// How an [`Executor`] works.
///
/// # Defaults
/// - `parked`: 3 cells of each plan
/// - `confinement`: full
/// - `proxy`: the resolver and the network of this process
/// - `ca_file`: none besides the certificates of the system
/// - `git`: nobody
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExecutorOptions {
    /// Cells made ahead of need, 1 to 16, for commands of equal rights. More at once than that wait for theirs.
    pub parked: usize,
    /// What the spawn server has to prove that it can enforce before anything else.
    pub confinement: Confinement,
    /// How the hosts are reached that a command was granted.
    pub proxy: ProxyOptions,
    /// Certificates in PEM that commands trust instead of the system's; a company's bundle has both.
    pub ca_file: Option<PathBuf>,
    /// Who commits.
    pub git: GitIdentity,
}

impl Default for ExecutorOptions {
    fn default() -> Self {
        Self {
            parked: 3,
            confinement: Confinement::default(),
            proxy: ProxyOptions::default(),
            ca_file: None,
            git: GitIdentity::default(),
        }
    }
}

/// Runs authorized commands. One per host; clones share the spawn server and its parked cells.
#[derive(Clone, Debug)]
pub struct Executor(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) pool: Pool,
    pub(crate) planner: Planner,
    pub(crate) proxy: ProxyOptions,
    pub(crate) git: GitIdentity,
    /// `/dev/null` for reading: the standard input of a command that is given none.
    pub(crate) null: OwnedFd,
}

impl Executor {
    /// Starts the spawn server.
    ///
    /// Blocks for some milliseconds, until the server has made one cell as proof that this system can: it tries what
    /// it must not be able to do. Needs no async runtime.
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
        let proof = Plan::new(plan::tier(options.confinement));
        let pool = Pool::start(helper, proof, options.parked.clamp(1, MAX_PARKED))?;
        Ok(Self(Arc::new(Inner {
            pool,
            planner: Planner::new(options.ca_file.clone()),
            proxy: options.proxy.clone(),
            git: options.git.clone(),
            null,
        })))
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
    /// What is [relayed](crate::Output::Relay) is passed on as it comes, and all of it has been when this returns.
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
        stdio: impl Into<Stdio>,
        deadline: Option<Instant>,
        permit: Permit,
    ) -> Result<Completed, ExecFailure> {
        let run = Run {
            authorized,
            opened,
            stdio: stdio.into(),
            started: Instant::now(),
            deadline,
            quota: permit.quota(),
            sharer: permit.sharer(),
        };
        run::run(&self.0, run).await
    }
}
