use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use portcullis_confine::{Helper, Plan, StartError};
use portcullis_policy::{Authorized, Confinement, ExecRequest, ExecTerms};
use portcullis_proxy::ProxyOptions;

use crate::care::GitIdentity;
use crate::piped::{EndsWith, Piped};
use crate::plan::{self, Planner};
use crate::plumbing::Plumbing;
use crate::pool::Pool;
use crate::run::{self, Run, Running};
use crate::{Completed, ExecFailure, Opened, Permit, Quota, Stdio, Streams};

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
/// - `caches`: none are kept
/// - `observe`: no command is observed
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExecutorOptions {
    /// Cells made ahead of need, 1 to 16, for commands of equal rights. More at once than that wait for theirs.
    pub parked: usize,
    /// What the spawn server has to prove that it can enforce before anything else.
    pub confinement: Confinement,
    /// How the hosts are reached that a command was granted.
    pub proxy: ProxyOptions,
    /// Certificates in PEM that commands trust instead of the system's; a company's bundle has both. In a cell with a root
    /// of its own they are also where the system keeps its own, which are not there. A file that is no such file, or is
    /// larger than 4 MiB, lets no command start.
    pub ca_file: Option<PathBuf>,
    /// Who commits.
    pub git: GitIdentity,
    /// The directory in which caches are kept for commands whose rights say so. No grant may reach it.
    pub caches: Option<PathBuf>,
    /// Whether it is seen what each command looks at: [`Completed::observed`]. It takes time, and changes nothing of what
    /// a command may do. Where it cannot be seen, no command is started.
    pub observe: bool,
}

impl Default for ExecutorOptions {
    fn default() -> Self {
        Self {
            parked: 3,
            confinement: Confinement::default(),
            proxy: ProxyOptions::default(),
            ca_file: None,
            git: GitIdentity::default(),
            caches: None,
            observe: false,
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
    pub(crate) caches: Option<PathBuf>,
    pub(crate) observe: bool,
    pub(crate) nulls: Nulls,
}

/// `/dev/null`: the streams of a command that is given none.
#[derive(Debug)]
pub(crate) struct Nulls {
    pub(crate) read: OwnedFd,
    pub(crate) write: OwnedFd,
}

impl Nulls {
    fn open() -> io::Result<Self> {
        Ok(Self {
            read: File::open("/dev/null")?.into(),
            write: File::options().write(true).open("/dev/null")?.into(),
        })
    }
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
        let nulls = Nulls::open().map_err(failed)?;
        let proof = Plan::new(plan::tier(options.confinement));
        let pool = Pool::start(helper, proof, options.parked.clamp(1, MAX_PARKED))?;
        Ok(Self(Arc::new(Inner {
            planner: Planner::new(options.ca_file.clone(), pool.has_cgroups()),
            pool,
            proxy: options.proxy.clone(),
            git: options.git.clone(),
            caches: options.caches.clone(),
            observe: options.observe,
            nulls,
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
        let stdio = stdio.into();
        let plumb = |terms: &ExecTerms, _: &Quota| {
            Ok((Plumbing::waited_for(stdio, [terms.output; 2])?, ()))
        };
        let run = Run::new(authorized, opened, deadline, permit);
        let (running, ()) = run::begin(&self.0, run, plumb).await?;
        running.finish().await
    }

    /// Starts one command in a cell of its own that runs beside whoever started it.
    ///
    /// As [`run`](Self::run), but that this returns when the command is in its cell. [`Running::finish`] has to be
    /// waited for, by a task of its own: until then nothing watches the command's time, and what is written to it may
    /// stay where it is.
    ///
    /// # Errors
    /// [`ExecFailure`] when nothing was started. That the program could not be executed is told by `finish`.
    ///
    /// # Cancellation
    /// Dropping the future, or [`Running`], kills the process tree and ends the permit.
    pub async fn spawn(
        &self,
        authorized: Authorized<ExecRequest>,
        opened: Opened,
        streams: Streams,
        deadline: Option<Instant>,
        permit: Permit,
    ) -> Result<(Piped, Running), ExecFailure> {
        let plumb = |terms: &ExecTerms, quota: &Quota| Plumbing::beside(streams, terms, quota);
        let run = Run::new(authorized, opened, deadline, permit);
        let (mut running, piped) = run::begin(&self.0, run, plumb).await?;
        running.piped = Some(EndsWith(piped.clone()));
        Ok((piped, running))
    }
}
