//! One command: from the decision into a cell, and out again with nothing left behind.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use portcullis_confine::{CellCommand, Rlimits, SendError};
use portcullis_policy::{Authorized, Confinement, Cwd, ExecRequest, Program};
use tokio::io::Interest;
use tokio::time::timeout_at;

use crate::capture::{self, Capture, Feed, HostEnd};
use crate::pool::Pool;
use crate::resolve::{OpenedDirectory, OpenedProgram};
use crate::supervise::{Held, Leash, Pipes, Times, supervise};
use crate::watch::watch;
use crate::{Completed, ExecFailure, Opened, Quota};

/// Parked cells that are found dead before a command is given up.
const MAX_DEAD_CELLS: usize = 4;

/// Everything about one command.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) authorized: Authorized<ExecRequest>,
    pub(crate) opened: Opened,
    pub(crate) stdin: Option<Vec<u8>>,
    pub(crate) started: Instant,
    pub(crate) deadline: Option<Instant>,
    pub(crate) quota: &'a Quota,
}

/// The command's ends, given to the cell and then closed here.
#[derive(Debug)]
struct Ends {
    stdin: Option<OwnedFd>,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

/// Runs a command that was decided on.
pub(crate) async fn run(
    pool: &Pool,
    null: &OwnedFd,
    run: Run<'_>,
) -> Result<Completed, ExecFailure> {
    let Run {
        authorized,
        opened,
        stdin,
        started,
        deadline,
        quota,
    } = run;
    match authorized.terms().confinement {
        Confinement::Limits => {}
        other @ (Confinement::Full | Confinement::Namespaces | Confinement::Landlock) => {
            return Err(ExecFailure::Confinement(other));
        }
    }
    let (program, directory) = decided(authorized.request(), opened)?;
    let terms = authorized.terms();
    let times = Times::new(started, deadline, terms.timeout, terms.term_grace);
    if times.kill <= started.into() {
        return Err(ExecFailure::TimeUp);
    }
    let argv = argv(&program, authorized.request())?;
    let env = environment(&authorized)?;
    let (pipes, feed, ends) = pipes(stdin).map_err(ExecFailure::Pipe)?;
    let command = CellCommand {
        program: program.file.as_fd(),
        argv: &argv,
        env: &env,
        cwd: directory.dir.as_fd(),
        stdin: ends.stdin.as_ref().unwrap_or(null).as_fd(),
        stdout: ends.stdout.as_fd(),
        stderr: ends.stderr.as_fd(),
        limits: Rlimits::default(),
    };
    let mut stdout = Capture::new(terms.output);
    let mut stderr = Capture::new(terms.output);
    let cell = timeout_at(times.kill, start(pool, &command)).await;
    // Whoever took a cell asks for another, also when it came to nothing: others may be waiting.
    pool.refill();
    let cell = cell.map_err(|_elapsed| ExecFailure::TimeUp)??;
    let report = cell.get_ref().0.report();
    // Until they are closed here, their end of file never comes.
    drop((ends, program, directory));
    let ended = supervise(
        &cell,
        &pipes,
        feed,
        [&mut stdout, &mut stderr],
        times,
        quota,
    )
    .await?;
    Ok(Completed {
        status: ended.status,
        stdout_truncated: stdout.truncated(),
        stderr_truncated: stderr.truncated(),
        stdout_written: stdout.written,
        stderr_written: stderr.written,
        stdout: stdout.kept,
        stderr: stderr.kept,
        killed_for: ended.killed_for,
        stragglers: ended.stragglers,
        duration: started.elapsed(),
        usage: ended.usage,
        report,
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

fn environment(authorized: &Authorized<ExecRequest>) -> Result<Vec<CString>, ExecFailure> {
    let vars = &authorized.terms().environment.vars;
    vars.iter()
        .map(|(name, value)| c_string(format!("{name}={value}")))
        .collect()
}

/// The decision refuses every NUL; should one come all the same, nothing runs.
fn c_string(text: impl Into<Vec<u8>>) -> Result<CString, ExecFailure> {
    CString::new(text).map_err(|_| ExecFailure::NotDecided)
}

fn pipes(stdin: Option<Vec<u8>>) -> io::Result<(Pipes, Option<Feed>, Ends)> {
    let (stdout, child_stdout) = capture::pipe(HostEnd::Read)?;
    let (stderr, child_stderr) = capture::pipe(HostEnd::Read)?;
    let (feed, child_stdin) = match stdin.filter(|bytes| !bytes.is_empty()) {
        Some(bytes) => {
            let (child_stdin, write) = capture::pipe(HostEnd::Write)?;
            (Feed::begin(write, bytes)?, Some(child_stdin))
        }
        None => (None, None),
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
    Ok((pipes, feed, ends))
}

/// Gives the command to a cell; a parked one if there is one that is alive.
async fn start(pool: &Pool, command: &CellCommand<'_>) -> Result<Leash, ExecFailure> {
    let mut dead = 0;
    loop {
        let cell = pool.cell().await?;
        match cell.start(command) {
            Ok(()) => {
                return watch(Held(cell), Interest::READABLE).map_err(ExecFailure::Pipe);
            }
            // It never read the command, so the command did not run.
            Err(SendError::Gone) if dead < MAX_DEAD_CELLS => dead += 1,
            Err(error) => return Err(ExecFailure::Command(error)),
        }
    }
}
