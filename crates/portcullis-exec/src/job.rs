//! Work of the host's own on what others wrote, done where it can do no harm.
//!
//! The host's executable is started again in a cell that holds the libraries of the system and nothing else: no file
//! of the user, no network, nobody else's process. It reads its standard input, writes its standard output, and is
//! killed when it takes too long or too much memory.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_confine::{Access, CellCommand, Plan, Rlimits, Root, Tier};
use portcullis_policy::{Code, Limits, Net as PolicyNet};

use crate::aftermath::Aftermath;
use crate::connections::Ledger;
use crate::executor::Inner;
use crate::plan::Planned;
use crate::plumbing::Plumbing;
use crate::relay::Sink;
use crate::run::{self, Started};
use crate::supervise::{Ended, Times, Watched, supervise};
use crate::{ExecFailure, Executor, Pauses, Quota, Sharer, Status, Stdio};

/// Bytes of standard error that are kept to say what went wrong.
const COMPLAINT: u64 = 4096;
/// Open descriptors of the process.
const DESCRIPTORS: u64 = 64;

/// What the host's executable is to do in its cell.
#[derive(Debug)]
pub struct Job {
    /// Its `argv[0]`, by which it knows what it is for; it has no other arguments and no environment.
    pub role: &'static str,
    /// What it reads from its standard input.
    pub input: Vec<u8>,
    /// Wall-clock time.
    pub time: Duration,
    /// Bytes of memory, watched fifty times a second.
    pub memory: u64,
    /// Bytes that it may write.
    pub output: u64,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// Its time was up, and it was killed.
    #[error("its time was up")]
    Time,
    /// It had more memory than it may have, and was killed.
    #[error("it took more memory than it may have")]
    Memory,
    /// It wrote more than it may.
    #[error("it wrote more than it may")]
    Output,
    /// It ended otherwise than with success. What it wrote about that was written beside hostile bytes.
    #[error("it ended with {status:?}: {complaint}")]
    Ended {
        /// How.
        status: Status,
        /// The end of its standard error.
        complaint: String,
    },
    /// The executable cannot be given to a cell, because it was replaced since it was started.
    #[error("the executable was replaced while it runs")]
    Replaced,
    /// It could not be started, or was lost.
    #[error("{0}")]
    Failed(#[source] ExecFailure),
}

impl Executor {
    /// Runs a job under the confinement that this executor was started with, and gives what it wrote when it is gone.
    ///
    /// Must run in a Tokio runtime with I/O and time.
    ///
    /// # Authority
    /// Ambient, and all of it is given up: the job's process can use what it was given as input, and nothing else.
    ///
    /// # Errors
    /// [`JobError`].
    ///
    /// # Cancellation
    /// Dropping the future kills the process.
    pub async fn work(&self, job: Job) -> Result<Vec<u8>, JobError> {
        let Job {
            role,
            input,
            time,
            memory,
            output,
        } = job;
        let inner = &self.0;
        let times = Times::new(Instant::now(), None, time, Duration::ZERO);
        let (program, planned) = planned(inner)?;
        let pipe = |error| JobError::Failed(ExecFailure::Pipe(error));
        let stdio = Stdio::from(Some(input));
        let plumbing = Plumbing::waited_for(stdio, [output, COMPLAINT]).map_err(pipe)?;
        let [stdin, stdout, stderr] = plumbing.ends.fds(&inner.nulls);
        let argv = [run::c_string(role).map_err(JobError::Failed)?];
        // A cell shows a place that it does not have as an empty directory of its own.
        let directory = File::open("/").map_err(pipe)?;
        let command = CellCommand {
            program: program.as_fd(),
            argv: &argv,
            env: &[] as &[CString],
            cwd: directory.as_fd(),
            stdin,
            stdout,
            stderr,
            limits: Rlimits {
                memory_bytes: Some(memory),
                open_files: Some(DESCRIPTORS),
                file_bytes: Some(0),
                ..Rlimits::default()
            },
            observed: false,
        };
        let (sharer, ledger) = (Sharer::new(), Ledger::default());
        let started = run::start(
            inner,
            &planned,
            &sharer,
            (&PolicyNet::None, &ledger),
            &command,
        );
        let started = tokio::time::timeout_at(times.kill, started).await;
        // The yard is kept until the end: without it the cell ends.
        let Started {
            yard: _yard, cell, ..
        } = started
            .map_err(|_elapsed| JobError::Time)?
            .map_err(JobError::Failed)?;
        let Plumbing {
            ends,
            source,
            mut stdout,
            mut stderr,
            ..
        } = plumbing;
        // Until they are closed here, their end of file never comes.
        drop(ends);
        let quota = Quota::new(&Limits {
            total_output: output.saturating_add(COMPLAINT),
            ..Limits::default()
        });
        let watched = Watched {
            cell: &cell,
            stop: None,
            times,
            pauses: &Pauses::default(),
            paused_before: Duration::ZERO,
            quota: &quota,
        };
        let sinks = [&mut stdout, &mut stderr];
        let mut nothing = Aftermath::of(None);
        let ended = supervise(watched, source, sinks, &mut nothing).await;
        result(ended.map_err(JobError::Failed)?, stdout, stderr)
    }
}

fn result(ended: Ended, stdout: Sink, stderr: Sink) -> Result<Vec<u8>, JobError> {
    match (ended.killed_for, ended.status) {
        (Some(Code::LimitMemory), _) => return Err(JobError::Memory),
        (Some(_), _) => return Err(JobError::Output),
        (None, Status::TimedOut) => return Err(JobError::Time),
        (None, Status::Exited(0)) => {}
        (None, status) => {
            let complaint = String::from_utf8_lossy(&stderr.into_drained().kept)
                .trim()
                .to_owned();
            return Err(JobError::Ended { status, complaint });
        }
    }
    let stdout = stdout.into_drained();
    if stdout.truncated {
        return Err(JobError::Output);
    }
    Ok(stdout.kept)
}

/// This executable, and a plan in which nothing else of the user is.
fn planned(inner: &Inner) -> Result<(File, Arc<Planned>), JobError> {
    let root_failed = |error| JobError::Failed(ExecFailure::Root(error));
    let pipe = |error: io::Error| JobError::Failed(ExecFailure::Pipe(error));
    let (program, path) = inner.pool.helper().reopen().map_err(pipe)?;
    let tier = inner.pool.tier();
    let mut plan = Plan::new(tier);
    if tier != Tier::Limits {
        let root = Root::open(&path, Access::Program).map_err(root_failed)?;
        let meta = program.metadata().map_err(pipe)?;
        if root.id() != (meta.dev(), meta.ino()) {
            return Err(JobError::Replaced);
        }
        plan = plan.root(root);
    }
    if matches!(tier, Tier::Full | Tier::Landlock) {
        plan = plan.only_listed_programs();
    }
    Ok((program, Arc::new(Planned::bare(plan))))
}
