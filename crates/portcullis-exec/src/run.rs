//! One command: from the decision into a cell, and out again with nothing left behind.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use portcullis_confine::{Cell, CellCommand, Rlimits, SendError, Tier};
use portcullis_policy::{
    Authorized, Confinement, Cwd, ExecRequest, ExecTerms, Net as PolicyNet, Program,
};
use portcullis_proxy::{Proxy, Serving};
use tokio::io::Interest;
use tokio::time::timeout_at;

use crate::aftermath::{Aftermath, Prepared};
use crate::capture::{self, Capture, Feed, HostEnd};
use crate::connections::Ledger;
use crate::environment::environment;
use crate::executor::Inner;
use crate::hint::{self, Complaint};
use crate::plan::{Planned, Wanted};
use crate::pool::Yard;
use crate::relay::{Relay, Sink};
use crate::resolve::{OpenedDirectory, OpenedProgram};
use crate::supervise::{Held, Leash, Pipes, Source, Times, supervise};
use crate::watch::watch;
use crate::{Completed, ExecFailure, Input, Opened, Output, Quota, Sharer, Stdio};

/// Parked cells that are found dead before a command is given up.
const MAX_DEAD_CELLS: usize = 4;

/// Everything about one command.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) authorized: Authorized<ExecRequest>,
    pub(crate) opened: Opened,
    pub(crate) stdio: Stdio,
    pub(crate) started: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) quota: &'a Quota,
    pub(crate) sharer: &'a Sharer,
}

/// The command's ends, given to the cell and then closed here.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) stdin: Option<OwnedFd>,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// Runs a command that was decided on.
pub(crate) async fn run(executor: &Arc<Inner>, run: Run<'_>) -> Result<Completed, ExecFailure> {
    let Run {
        authorized,
        opened,
        stdio,
        started,
        deadline,
        quota,
        sharer,
    } = run;
    let wanted = Wanted::of(&authorized, &opened.search_path)?;
    let (program, directory) = decided(authorized.request(), opened)?;
    let terms = authorized.terms();
    let times = Times::new(started, deadline, terms.timeout, terms.term_grace);
    if times.kill <= started.into() {
        return Err(ExecFailure::TimeUp);
    }
    let planned = planned(executor, wanted).await?;
    let argv = argv(&program, authorized.request())?;
    let args = authorized
        .request()
        .args
        .iter()
        .map(|arg| arg.as_str().to_owned())
        .collect();
    let cwd = directory.real.clone();
    let env = environment(executor, &authorized, &planned.plan)?;
    let (pipes, source, ends) = pipes(stdio.stdin).map_err(ExecFailure::Pipe)?;
    let command = CellCommand {
        program: program.file.as_fd(),
        argv: &argv,
        env: &env,
        cwd: directory.dir.as_fd(),
        stdin: ends.stdin.as_ref().unwrap_or(&executor.null).as_fd(),
        stdout: ends.stdout.as_fd(),
        stderr: ends.stderr.as_fd(),
        limits: limits(terms, executor.pool.own_processes()),
    };
    let mut stdout = sink(stdio.stdout, terms.output);
    let mut stderr = sink(stdio.stderr, terms.output);
    let ledger = Ledger::default();
    let started_cell = timeout_at(
        times.kill,
        start(
            executor,
            &planned,
            sharer,
            (&terms.rights.net, &ledger),
            &command,
        ),
    );
    // The cell comes last, so that it is dropped first.
    let Started {
        mut aftermath,
        yard,
        proxy,
        cell,
    } = started_cell
        .await
        .map_err(|_elapsed| ExecFailure::TimeUp)??;
    executor.pool.take_in(&yard);
    let report = cell.get_ref().0.report();
    // Until they are closed here, their end of file never comes.
    drop((ends, program, directory));
    let ended = supervise(
        &cell,
        &pipes,
        source,
        [&mut stdout, &mut stderr],
        times,
        quota,
        &mut aftermath,
    )
    .await?;
    if let Some(proxy) = proxy {
        proxy.finish().await;
    }
    let connections = ledger.take();
    let confined = planned.plan.tier() != Tier::Limits && ended.killed_for.is_none();
    let complaint = (confined && hint::is_failure(ended.status)).then(|| Complaint {
        rights: terms.rights.clone(),
        cwd,
        args,
        stderr: hint::end_of(stderr.end()),
        asked_proxy: !connections.is_empty(),
    });
    let (stdout, stdout_truncated, stdout_written) = stdout.into_parts();
    let (stderr, stderr_truncated, stderr_written) = stderr.into_parts();
    executor.pool.refill(&yard);
    Ok(Completed {
        status: ended.status,
        stdout,
        stderr,
        stdout_truncated,
        stderr_truncated,
        stdout_written,
        stderr_written,
        killed_for: ended.killed_for,
        stragglers: ended.stragglers,
        duration: started.elapsed(),
        usage: ended.usage,
        report,
        trees: ended.trees,
        connections,
        complaint,
    })
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

/// Processes and threads of a command and all it starts, where no rule says fewer.
const PROCESSES: u32 = 1024;
/// Open descriptors of each of its processes.
const DESCRIPTORS: u64 = 4096;

/// The kernel counts all that a user has in the cells of one template, so `own` of ours are not the command's.
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

fn sink(output: Output, cap: u64) -> Sink {
    match output {
        Output::Capture => Sink::Capture(Capture::new(cap)),
        Output::Relay(out) => Sink::Relay(Relay::new(out, cap)),
    }
}

pub(crate) fn pipes(stdin: Input) -> io::Result<(Pipes, Option<Source>, Ends)> {
    let (stdout, child_stdout) = capture::pipe(HostEnd::Read)?;
    let (stderr, child_stderr) = capture::pipe(HostEnd::Read)?;
    let (source, child_stdin) = match stdin {
        Input::Bytes(bytes) if !bytes.is_empty() => {
            let (child_stdin, write) = capture::pipe(HostEnd::Write)?;
            let feed = Feed::begin(write, bytes)?;
            (feed.map(Source::Bytes), Some(child_stdin))
        }
        Input::Relay(from) => {
            let (child_stdin, write) = capture::pipe(HostEnd::Write)?;
            (Some(Source::Relay(write, from)), Some(child_stdin))
        }
        Input::Bytes(_) | Input::Nothing => (None, None),
    };
    let readable = |pipe| watch(pipe, Interest::READABLE);
    let pipes = Pipes {
        stdout: readable(stdout)?,
        stderr: readable(stderr)?,
    };
    let ends = Ends {
        stdin: child_stdin,
        stdout: child_stdout,
        stderr: child_stderr,
    };
    Ok((pipes, source, ends))
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
