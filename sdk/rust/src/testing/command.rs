//! Commands that only say what a test had them say.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::pattern::matches_all;
use crate::ErrorKind;
use crate::host::{Outcome, Ran, Request, Sink, Sinks};
use crate::process::{Exit, ExitStatus, KillReason};

/// A command that a plugin started.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call {
    /// The program's name.
    pub program: String,
    /// The arguments after it.
    pub args: Vec<String>,
    /// The working directory, if it is not the project directory.
    pub current_dir: Option<PathBuf>,
    /// The variables that were set, in order.
    pub env: Vec<(String, String)>,
    /// Whether the host's environment was asked for.
    pub inherit_env: bool,
    /// The time that it was given.
    pub timeout: Option<Duration>,
    /// What was written to its standard input.
    pub stdin: Vec<u8>,
}

impl Call {
    fn of(request: &Request, stdin: &[u8]) -> Self {
        Self {
            program: request.program.clone(),
            args: request.args.clone(),
            current_dir: request.cwd.as_deref().map(Into::into),
            env: request.env.clone(),
            inherit_env: request.inherit_env,
            timeout: request.timeout,
            stdin: stdin.to_vec(),
        }
    }
}

/// How a command ends: by itself, with code 0, at once and without a word, unless something else is said.
#[derive(Clone, Debug)]
pub struct Reply {
    end: Result<Exit, ErrorKind>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    takes: Duration,
}

impl Default for Reply {
    fn default() -> Self {
        Self {
            end: Ok(Exit::Exited(0)),
            stdout: Vec::new(),
            stderr: Vec::new(),
            takes: Duration::ZERO,
        }
    }
}

impl Reply {
    /// A success without a word.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// It is not started: [`ErrorKind::NotFound`], [`ErrorKind::Denied`], or what else a host says.
    #[must_use]
    pub fn error(kind: ErrorKind) -> Self {
        Self {
            end: Err(kind),
            ..Self::default()
        }
    }

    /// It writes this to standard output.
    #[must_use]
    pub fn stdout(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdout = bytes.into();
        self
    }

    /// It writes this to standard error.
    #[must_use]
    pub fn stderr(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stderr = bytes.into();
        self
    }

    /// It ends with this code.
    #[must_use]
    pub fn code(mut self, code: u8) -> Self {
        self.end = Ok(Exit::Exited(code));
        self
    }

    /// It ends by this signal.
    #[must_use]
    pub fn signal(mut self, signal: u8) -> Self {
        self.end = Ok(Exit::Signalled(signal));
        self
    }

    /// It takes this long, which nobody waits for: a command that has less time ends as one whose time was over, with what it
    /// wrote. Each look whether a child is over passes a millisecond.
    #[must_use]
    pub fn takes(mut self, duration: Duration) -> Self {
        self.takes = duration;
        self
    }

    fn outcome(&self, timeout: Option<Duration>) -> Result<Outcome, ErrorKind> {
        let end = self.end?;
        let late = timeout.filter(|timeout| *timeout < self.takes);
        let (status, duration) =
            late.map_or((end, self.takes), |timeout| (Exit::TimedOut, timeout));
        Ok(Outcome {
            status: ExitStatus(status),
            stdout_truncated: false,
            stderr_truncated: false,
            duration,
        })
    }
}

#[derive(Clone)]
pub(crate) enum Script {
    Fixed(Reply),
    With(Rc<dyn Fn(&Call) -> Reply>),
}

impl Script {
    fn reply(&self, call: &Call) -> Reply {
        match self {
            Self::Fixed(reply) => reply.clone(),
            Self::With(reply) => reply(call),
        }
    }
}

fn fits(pattern: &[String], request: &Request) -> bool {
    let words: Vec<_> = [&request.program]
        .into_iter()
        .chain(&request.args)
        .map(String::as_str)
        .collect();
    matches_all(pattern, words.into_iter())
}

impl super::State {
    fn script(
        &mut self,
        request: &Request,
        stdin: &[u8],
    ) -> Result<(Script, Rc<RefCell<Call>>), ErrorKind> {
        let call = Rc::new(RefCell::new(Call::of(request, stdin)));
        self.calls.push(Rc::clone(&call));
        let mut commands = self.commands.iter();
        let (_, script) = commands
            .find(|(pattern, _)| fits(pattern, request))
            .ok_or(ErrorKind::Denied)?;
        Ok((script.clone(), call))
    }
}

pub(crate) fn run(
    state: &RefCell<super::State>,
    request: &Request,
    stdin: &[u8],
) -> Result<Ran, ErrorKind> {
    // A script may ask what the host knows by then.
    let (script, call) = state.borrow_mut().script(request, stdin)?;
    let reply = script.reply(&call.borrow());
    let outcome = reply.outcome(request.timeout)?;
    Ok(Ran {
        outcome,
        stdout: reply.stdout,
        stderr: reply.stderr,
    })
}

pub(crate) fn spawn(
    state: &RefCell<super::State>,
    request: &Request,
    sinks: Sinks,
) -> Result<Child, ErrorKind> {
    let (script, call) = state.borrow_mut().script(request, &[])?;
    if let Script::Fixed(Reply { end: Err(kind), .. }) = script {
        return Err(kind);
    }
    let (waited, killed) = (Cell::new(Duration::ZERO), Cell::new(false));
    Ok(Child {
        of: Rc::new(Running {
            script,
            call,
            reply: OnceCell::new(),
            waited,
            killed,
        }),
        sinks,
    })
}

struct Running {
    script: Script,
    call: Rc<RefCell<Call>>,
    reply: OnceCell<Reply>,
    /// How much of its time has passed.
    waited: Cell<Duration>,
    killed: Cell<bool>,
}

impl Running {
    fn reply(&self) -> &Reply {
        self.reply
            .get_or_init(|| self.script.reply(&self.call.borrow()))
    }

    fn outcome(&self) -> Result<Outcome, ErrorKind> {
        let mut outcome = self.reply().outcome(self.call.borrow().timeout)?;
        if self.killed.get() {
            outcome.status = ExitStatus(Exit::Killed(KillReason::Asked));
        }
        Ok(outcome)
    }
}

#[derive(Clone)]
pub(crate) struct Child {
    of: Rc<Running>,
    sinks: Sinks,
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.of.call.fmt(f)
    }
}

impl Child {
    pub(crate) fn stdin(&self) -> Option<OutputStream> {
        self.sinks.stdin.then(|| OutputStream(self.clone()))
    }

    pub(crate) fn stdout(&self) -> Option<InputStream> {
        let stream = InputStream {
            child: self.clone(),
            error: false,
            read: 0,
        };
        (self.sinks.stdout == Sink::Pipe).then_some(stream)
    }

    pub(crate) fn stderr(&self) -> Option<InputStream> {
        let stream = InputStream {
            child: self.clone(),
            error: true,
            read: 0,
        };
        (self.sinks.stderr == Sink::Pipe).then_some(stream)
    }

    pub(crate) fn wait(&self) -> Result<Outcome, ErrorKind> {
        let outcome = self.of.outcome();
        self.of.waited.set(Duration::MAX);
        outcome
    }

    pub(crate) fn try_wait(&self) -> Option<Result<Outcome, ErrorKind>> {
        let outcome = self.of.outcome();
        let over = outcome
            .as_ref()
            .map_or(Duration::ZERO, |outcome| outcome.duration);
        if self.of.waited.get() < over {
            self.of
                .waited
                .set(self.of.waited.get() + Duration::from_millis(1));
            return None;
        }
        Some(outcome)
    }

    pub(crate) fn kill(&self) {
        let over = self
            .of
            .reply
            .get()
            .is_some_and(|reply| self.of.waited.get() >= reply.takes);
        if !over {
            self.of.killed.set(true);
            self.of.waited.set(Duration::MAX);
        }
    }
}

#[derive(Debug)]
pub(crate) struct OutputStream(Child);

impl io::Write for OutputStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.of.call.borrow_mut().stdin.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct InputStream {
    child: Child,
    /// Whether it is standard error.
    error: bool,
    read: usize,
}

impl io::Read for InputStream {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let reply = self.child.of.reply();
        let merged = [&reply.stdout[..], &reply.stderr].concat();
        let all = match (self.error, self.child.sinks.stderr) {
            (true, _) => &reply.stderr,
            (false, Sink::Merged) => &merged,
            (false, _) => &reply.stdout,
        };
        let read = io::Read::read(&mut &all[self.read..], room)?;
        self.read += read;
        Ok(read)
    }
}
