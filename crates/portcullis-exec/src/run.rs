//! One command: from the decision into a cell, and out again with nothing left behind.

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_confine::{Cell, CellCommand, Observed, Rlimits, SendError, Tier};
use portcullis_policy::{
    Authorized, ChildRights, Confinement, Cwd, ExecRequest, ExecTerms, Net as PolicyNet, Program,
};
use portcullis_proxy::{Proxy, Serving};
use tokio::io::Interest;
use tokio::time::timeout_at;

use crate::aftermath::{Aftermath, Prepared};
use crate::cache::{Cache, InUse, Scope};
use crate::care::TreeNote;
use crate::connections::Ledger;
use crate::environment::environment;
use crate::executor::Inner;
use crate::hint::{self, Complaint};
use crate::piped::EndsWith;
use crate::plan::{Planned, Wanted};
use crate::plumbing::Plumbing;
use crate::pool::Yard;
use crate::relay::Sink;
use crate::resolve::{OpenedDirectory, OpenedProgram};
use crate::supervise::{Held, Leash, Source, Times, Watched, supervise};
use crate::watch::watch;
use crate::{CacheOwner, Completed, ExecFailure, Opened, Permit, Quota, Sharer};

/// Parked cells that are found dead before a command is given up.
const MAX_DEAD_CELLS: usize = 4;

/// One command that was decided on.
#[derive(Debug)]
pub(crate) struct Run {
    authorized: Authorized<ExecRequest>,
    opened: Opened,
    started: Instant,
    deadline: Option<Instant>,
    permit: Permit,
}

impl Run {
    /// Its time counts from now on.
    pub(crate) fn new(
        authorized: Authorized<ExecRequest>,
        opened: Opened,
        deadline: Option<Instant>,
        permit: Permit,
    ) -> Self {
        Self {
            authorized,
            opened,
            started: Instant::now(),
            deadline,
            permit,
        }
    }
}

/// A command in its cell. Dropping it kills everything in the cell, and waits some milliseconds until it is gone if the
/// command could write.
#[derive(Debug)]
pub struct Running {
    executor: Arc<Inner>,
    pub(crate) piped: Option<EndsWith>,
    // The cell is dropped before what settles the trees, and before its cache is anybody else's.
    cell: Leash,
    proxy: Option<Serving>,
    aftermath: Aftermath,
    yard: Arc<Yard>,
    source: Option<Source>,
    sinks: [Sink; 2],
    merged: bool,
    planned: Arc<Planned>,
    ledger: Ledger,
    rights: ChildRights,
    args: Vec<String>,
    cwd: PathBuf,
    started: Instant,
    times: Times,
    /// How long its time had stood still when it began.
    paused_before: Duration,
    permit: Permit,
    in_use: Option<InUse>,
}

/// Gives a command that was decided on to a cell, with the pipes that `plumb` makes.
pub(crate) async fn begin<T>(
    executor: &Arc<Inner>,
    run: Run,
    plumb: impl FnOnce(&ExecTerms, &Quota) -> io::Result<(Plumbing, T)>,
) -> Result<(Running, T), ExecFailure> {
    let Run {
        authorized,
        opened,
        started,
        deadline,
        permit,
    } = run;
    let cache = cache(executor, &authorized, permit.cache())?;
    let wanted = Wanted::of(&authorized, &opened.search_path, cache)?;
    let (program, directory) = decided(authorized.request(), opened)?;
    let terms = authorized.terms();
    let paused_before = permit.pauses().total();
    let times = Times::new(started, deadline, terms.timeout, terms.term_grace);
    if times.kill <= started.into() {
        return Err(ExecFailure::TimeUp);
    }
    let (planned, in_use) = if wanted.cache().is_some() {
        timeout_at(times.kill, planned_with_cache(executor, wanted))
            .await
            .map_err(|_elapsed| ExecFailure::TimeUp)??
    } else {
        (planned(executor, wanted).await?, None)
    };
    let argv = argv(&program, authorized.request())?;
    let args = authorized.request().args.iter();
    let args = args.map(|arg| arg.as_str().to_owned()).collect();
    let env = environment(executor, &authorized, &planned)?;
    let (plumbing, told) = plumb(terms, permit.quota()).map_err(ExecFailure::Pipe)?;
    let [stdin, stdout, stderr] = plumbing.ends.fds(&executor.nulls);
    let command = CellCommand {
        program: program.file.as_fd(),
        argv: &argv,
        env: &env,
        cwd: directory.dir.as_fd(),
        stdin,
        stdout,
        stderr,
        limits: limits(terms, executor.pool.own_processes()),
        observed: executor.observe,
    };
    let ledger = Ledger::default();
    let net = (&terms.rights.net, &ledger);
    let started_cell = start(executor, &planned, permit.sharer(), net, &command);
    let Started {
        aftermath,
        yard,
        proxy,
        cell,
    } = timeout_at(times.kill, started_cell)
        .await
        .map_err(|_elapsed| ExecFailure::TimeUp)??;
    executor.pool.take_in(&yard);
    // The ends of the command are closed here with the plumbing; until then its end of file never comes.
    let running = Running {
        executor: executor.clone(),
        piped: None,
        cell,
        proxy,
        aftermath,
        yard,
        merged: plumbing.merged,
        source: plumbing.source,
        sinks: [plumbing.stdout, plumbing.stderr],
        planned,
        ledger,
        rights: terms.rights.clone(),
        args,
        cwd: directory.real,
        started,
        times,
        paused_before,
        permit,
        in_use,
    };
    Ok((running, told))
}

impl Running {
    /// Watches over the command until its whole process tree is gone.
    ///
    /// # Errors
    /// [`ExecFailure`]; nothing of it is left either.
    ///
    /// # Cancellation
    /// Dropping the future kills the process tree and ends the permit.
    pub async fn finish(self) -> Result<Completed, ExecFailure> {
        // What is bound last is dropped first: the cell.
        let Self {
            executor,
            in_use,
            args,
            cwd,
            rights,
            planned,
            permit,
            ledger,
            sinks: [mut stdout, mut stderr],
            mut aftermath,
            yard,
            proxy,
            cell,
            piped,
            ..
        } = self;
        let report = cell.get_ref().0.report();
        let sinks = [&mut stdout, &mut stderr];
        let stop = piped.as_ref().map(|ends| &ends.0);
        let watched = Watched {
            cell: &cell,
            stop,
            times: self.times,
            pauses: permit.pauses(),
            paused_before: self.paused_before,
            quota: permit.quota(),
        };
        let ended = supervise(watched, self.source, sinks, &mut aftermath).await?;
        if let Some(proxy) = proxy {
            proxy.finish().await;
        }
        let mut trees = ended.trees;
        trees.extend(settled_cache(&planned, in_use).await);
        let observed = observed(&cell).await;
        let connections = ledger.take();
        let (stdout, stderr) = (stdout.into_drained(), stderr.into_drained());
        let killed = ended.killed_for.is_some() || ended.asked;
        let confined = planned.plan.tier() != Tier::Limits && !killed;
        let complaint = (confined && hint::is_failure(ended.status)).then_some(Complaint {
            rights,
            cwd,
            args,
            stderr: if self.merged { stdout.end } else { stderr.end },
            asked_proxy: !connections.is_empty(),
        });
        executor.pool.refill(&yard);
        Ok(Completed {
            status: ended.status,
            stdout: stdout.kept,
            stderr: stderr.kept,
            stdout_truncated: stdout.truncated,
            stderr_truncated: stderr.truncated,
            stdout_written: stdout.written,
            stderr_written: stderr.written,
            killed_for: ended.killed_for,
            asked: ended.asked,
            stragglers: ended.stragglers,
            duration: self.started.elapsed(),
            usage: ended.usage,
            report,
            trees,
            connections,
            complaint,
            observed,
        })
    }
}

/// What the command looked at, if that was to be seen.
async fn observed(cell: &Leash) -> Option<Observed> {
    let observing = cell.get_ref().0.take_observing()?;
    let observed = tokio::task::spawn_blocking(|| observing.finish()).await;
    // A panic was printed where it happened.
    Some(observed.unwrap_or_default())
}

/// The opened things, if they are those of the request that was decided on.
fn decided(
    request: &ExecRequest,
    opened: Opened,
) -> Result<(OpenedProgram, OpenedDirectory), ExecFailure> {
    let (Program::Found(found), Some(program), Some(directory)) =
        (&request.found, opened.program, opened.cwd)
    else {
        return Err(ExecFailure::NotDecided);
    };
    let interpreter = found
        .interpreter
        .as_ref()
        .map(|interpreter| interpreter.file);
    let real = match &request.cwd {
        Cwd::Project(real) | Cwd::Requested { real, .. } => real,
        Cwd::Unusable { .. } => return Err(ExecFailure::NotDecided),
    };
    if program.found == found.file && program.interpreter == interpreter && directory.real == *real
    {
        Ok((program, directory))
    } else {
        Err(ExecFailure::NotDecided)
    }
}

fn argv(program: &OpenedProgram, request: &ExecRequest) -> Result<Vec<CString>, ExecFailure> {
    let mut argv = program.argv.clone();
    for arg in &request.args {
        argv.push(c_string(arg.as_str())?);
    }
    Ok(argv)
}

/// The plan of a command: one that was made before, or a new one.
async fn planned(executor: &Arc<Inner>, wanted: Wanted) -> Result<Arc<Planned>, ExecFailure> {
    if let Some(planned) = executor.planner.kept(&wanted) {
        return Ok(planned);
    }
    let executor = executor.clone();
    // A large working tree takes a while to look through.
    let made = tokio::task::spawn_blocking(move || executor.planner.make(wanted)).await;
    made.unwrap_or_else(|panic| Err(ExecFailure::Pipe(io::Error::other(panic))))
}

/// What is kept for a command, if its rights say so and there is a place for it.
fn cache(
    executor: &Inner,
    authorized: &Authorized<ExecRequest>,
    owner: Option<&CacheOwner>,
) -> Result<Option<Cache>, ExecFailure> {
    let most = authorized.terms().rights.cache;
    let (Some(most), Some(place), Some(owner)) = (most, &executor.caches, owner) else {
        return Ok(None);
    };
    let scope = Scope::of(owner, authorized);
    scope
        .map(|scope| Cache::new(place, &scope, most))
        .transpose()
}

/// How often a plan is made again because its cache was removed before the command had it.
const MAX_REMOVED: usize = 4;

/// The plan of a command, and the right to its cache.
async fn planned_with_cache(
    executor: &Arc<Inner>,
    wanted: Wanted,
) -> Result<(Arc<Planned>, Option<InUse>), ExecFailure> {
    for _ in 0..MAX_REMOVED {
        let planned = planned(executor, wanted.clone()).await?;
        let Some(cache) = planned.cache().cloned() else {
            return Ok((planned, None));
        };
        let held = tokio::task::spawn_blocking(move || cache.hold()).await;
        let held = held.unwrap_or_else(|panic| Err(ExecFailure::Pipe(io::Error::other(panic))))?;
        if planned.is_current() {
            return Ok((planned, Some(held)));
        }
    }
    let path = wanted.cache().map(Cache::files).unwrap_or_default();
    Err(ExecFailure::Changed(path))
}

/// Looks at what a command has left in its cache.
async fn settled_cache(planned: &Planned, in_use: Option<InUse>) -> Option<TreeNote> {
    // Nobody, not even this, can empty what is in use.
    drop(in_use);
    let cache = planned.cache().cloned()?;
    let settled = tokio::task::spawn_blocking(move || cache.settle()).await;
    // A panic was printed where it happened.
    settled.ok().flatten()
}

/// Processes and threads of a command and all it starts, where no rule says fewer.
pub(crate) const PROCESSES: u32 = 1024;
/// Open descriptors of each of its processes.
const DESCRIPTORS: u64 = 4096;

/// Without a cgroup, the kernel counts all that a user has in the cells of one template, so `own` of ours are not the
/// command's.
fn limits(terms: &ExecTerms, own: u32) -> Rlimits {
    if terms.confinement == Confinement::Limits {
        return Rlimits::default();
    }
    Rlimits {
        memory_bytes: terms.rights.memory,
        processes: Some(u64::from(terms.rights.processes.unwrap_or(PROCESSES)) + u64::from(own)),
        open_files: Some(DESCRIPTORS),
        ..Rlimits::default()
    }
}

/// The decision refuses every NUL; should one come all the same, nothing runs.
pub(crate) fn c_string(text: impl Into<Vec<u8>>) -> Result<CString, ExecFailure> {
    CString::new(text).map_err(|_| ExecFailure::NotDecided)
}

/// A command under way, and what must live as long as it does.
pub(crate) struct Started {
    pub(crate) aftermath: Aftermath,
    pub(crate) yard: Arc<Yard>,
    pub(crate) proxy: Option<Serving>,
    pub(crate) cell: Leash,
}

/// Gives the command to a cell; a parked one if there is one that is alive.
pub(crate) async fn start(
    executor: &Inner,
    planned: &Arc<Planned>,
    sharer: &Sharer,
    net: (&PolicyNet, &Ledger),
    command: &CellCommand<'_>,
) -> Result<Started, ExecFailure> {
    let mut dead = 0;
    loop {
        let (mut cell, yard) = executor.pool.cell(&planned.plan, sharer).await?;
        let prepared = Prepared::of(planned, &mut cell)?;
        let proxy = proxy(executor, net, &mut cell)?;
        match cell.start(command) {
            Ok(()) => {
                let aftermath = Aftermath::of(prepared);
                let cell = watch(Held(cell), Interest::READABLE).map_err(ExecFailure::Pipe)?;
                return Ok(Started {
                    aftermath,
                    yard,
                    proxy,
                    cell,
                });
            }
            // It never read the command, so the command did not run.
            Err(SendError::Gone) if dead < MAX_DEAD_CELLS => dead += 1,
            Err(error) => return Err(ExecFailure::Command(error)),
        }
    }
}

/// The proxy of one cell, to the hosts that its command was granted, and where it writes down what it was asked for.
fn proxy(
    executor: &Inner,
    (net, ledger): (&PolicyNet, &Ledger),
    cell: &mut Cell,
) -> Result<Option<Serving>, ExecFailure> {
    let (PolicyNet::Hosts(hosts), Some(listener)) = (net, cell.take_listener()) else {
        return Ok(None);
    };
    let proxy = Proxy::new(hosts.clone(), ledger.told(&executor.proxy));
    proxy
        .serve(listener.into())
        .map(Some)
        .map_err(ExecFailure::Proxy)
}
