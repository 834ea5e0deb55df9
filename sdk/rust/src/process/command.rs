//! A command, from its name to its start.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Child, ExitStatus, Output};
use crate::host::{self, Request, Sink, Sinks};
use crate::{Error, ErrorKind, Result};

/// A command to run: an argument vector, never a line for a shell. As [`std::process::Command`].
///
/// ```
/// use portcullis::process::Command;
/// use portcullis::testing::{Host, Reply};
///
/// let host = Host::new().command(["git", "branch", "--show-current"], Reply::new().stdout("main\n"));
/// host.run(|| {
///     let output = Command::new("git").args(["branch", "--show-current"]).output()?;
///     assert!(output.status.success());
///     assert_eq!(output.stdout, b"main\n");
///     # Ok::<_, portcullis::Error>(())
/// })?;
/// # Ok::<_, portcullis::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Command {
    request: Request,
    input: Option<Vec<u8>>,
    stdin: Option<Sink>,
    stdout: Option<Sink>,
    stderr: Option<Sink>,
}

/// Where a stream of a child leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stdio(Sink);

impl Stdio {
    /// Nowhere: end of file at once, or it is thrown away.
    #[must_use]
    pub fn null() -> Self {
        Self(Sink::Null)
    }

    /// To a stream of the [`Child`].
    #[must_use]
    pub fn piped() -> Self {
        Self(Sink::Pipe)
    }

    /// Where the plugin's own goes, which policy has to allow. There is none of standard input.
    #[must_use]
    pub fn inherit() -> Self {
        Self(Sink::Inherit)
    }
}

impl Command {
    /// A command without arguments and variables, in the project directory, with the time that policy gives it.
    ///
    /// `program` is a bare name, looked up on the search path of the operator's policy, or an absolute path.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            request: Request {
                program: text(program),
                args: Vec::new(),
                cwd: None,
                env: Vec::new(),
                inherit_env: false,
                timeout: None,
            },
            input: None,
            stdin: None,
            stdout: None,
            stderr: None,
        }
    }

    /// Adds an argument, which reaches the program as it is.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.request.args.push(text(arg));
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<OsStr>>(&mut self, args: impl IntoIterator<Item = S>) -> &mut Self {
        self.request.args.extend(args.into_iter().map(text));
        self
    }

    /// Sets a variable. One that policy refuses makes the command [`Denied`](ErrorKind::Denied).
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.request.env.push((text(name), text(value)));
        self
    }

    /// Sets variables.
    pub fn envs<N: AsRef<OsStr>, V: AsRef<OsStr>>(
        &mut self,
        vars: impl IntoIterator<Item = (N, V)>,
    ) -> &mut Self {
        let vars = vars.into_iter();
        self.request
            .env
            .extend(vars.map(|(name, value)| (text(name), text(value))));
        self
    }

    /// Takes back a variable that was set. One that is inherited stays.
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        let name = text(name);
        self.request.env.retain(|(own, _)| *own != name);
        self
    }

    /// Takes back all variables, and inherits none.
    pub fn env_clear(&mut self) -> &mut Self {
        self.request.env.clear();
        self.inherit_env(false)
    }

    /// Whether the host's environment is included, as far as policy lets it through. Default: no.
    pub fn inherit_env(&mut self, inherit: bool) -> &mut Self {
        self.request.inherit_env = inherit;
        self
    }

    /// The working directory, which has to lie in a granted one. Default: the project directory.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        self.request.cwd = Some(text(directory.as_ref()));
        self
    }

    /// How long it may take from its start on; it is ended then, with all that it started. It only shortens what policy gives it.
    pub fn timeout(&mut self, timeout: Duration) -> &mut Self {
        self.request.timeout = Some(timeout);
        self
    }

    /// Bytes that it reads from standard input, and then the end. Default: the end at once.
    pub fn input(&mut self, bytes: impl Into<Vec<u8>>) -> &mut Self {
        self.input = Some(bytes.into());
        self
    }

    /// Where standard input comes from: [`null`](Stdio::null), the default, or [`piped`](Stdio::piped).
    pub fn stdin(&mut self, stdio: Stdio) -> &mut Self {
        self.stdin = Some(stdio.0);
        self
    }

    /// Where standard output goes. Default: [`piped`](Stdio::piped) for [`output`](Self::output), else [`null`](Stdio::null).
    pub fn stdout(&mut self, stdio: Stdio) -> &mut Self {
        self.stdout = Some(stdio.0);
        self
    }

    /// Where standard error goes. Default: as for [`stdout`](Self::stdout).
    pub fn stderr(&mut self, stdio: Stdio) -> &mut Self {
        self.stderr = Some(stdio.0);
        self
    }

    /// Standard error goes where standard output goes, in the order in which it was written.
    pub fn stderr_to_stdout(&mut self) -> &mut Self {
        self.stderr = Some(Sink::Merged);
        self
    }

    /// The program's name.
    #[must_use]
    pub fn get_program(&self) -> &str {
        &self.request.program
    }

    /// The arguments.
    pub fn get_args(&self) -> impl Iterator<Item = &str> {
        self.request.args.iter().map(String::as_str)
    }

    /// The working directory, if it is not the project directory.
    #[must_use]
    pub fn get_current_dir(&self) -> Option<PathBuf> {
        self.request.cwd.as_deref().map(Into::into)
    }

    /// Runs it, waits for it and for every process that it started, and collects what it wrote.
    ///
    /// # Errors
    /// It was not started: [`Denied`](ErrorKind::Denied), [`NotFound`](ErrorKind::NotFound), [`TimedOut`](ErrorKind::TimedOut),
    /// [`Limit`](ErrorKind::Limit), [`Invalid`](ErrorKind::Invalid) or [`Io`](ErrorKind::Io). A command that ran is none, whatever its
    /// status, also when its time was over.
    pub fn output(&mut self) -> Result<Output> {
        if (self.stdin, self.stdout, self.stderr) != (None, None, None) {
            return self.start(Sink::Pipe)?.wait_with_output();
        }
        let ran =
            host::exec(&self.request, self.input.as_deref()).map_err(|kind| self.error(kind))?;
        Ok(Output::new(self.request.program.clone(), ran))
    }

    /// Runs it as [`output`](Self::output) does, and says only how it ended. Its output is thrown away unless it was sent elsewhere.
    ///
    /// # Errors
    /// As [`output`](Self::output).
    pub fn status(&mut self) -> Result<ExitStatus> {
        self.start(Sink::Null)?.wait()
    }

    /// Runs it, and returns what it wrote to standard output as text, without the line break at the end.
    ///
    /// ```
    /// use portcullis::process::Command;
    /// use portcullis::testing::{Host, Reply};
    ///
    /// let host = Host::new().command(["git", "branch", "--show-current"], Reply::new().stdout("main\n"));
    /// host.run(|| {
    ///     assert_eq!(Command::new("git").args(["branch", "--show-current"]).read()?, "main");
    ///     # Ok::<_, portcullis::Error>(())
    /// })?;
    /// # Ok::<_, portcullis::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`output`](Self::output); [`Failed`](ErrorKind::Failed) if it was no success; [`Invalid`](ErrorKind::Invalid) if it wrote
    /// something that is not UTF-8.
    pub fn read(&mut self) -> Result<String> {
        let output = self.output()?.exit_ok()?;
        let mut text = String::from_utf8(output.stdout).map_err(|_| {
            let why = format!(
                "`{}` wrote something that is not UTF-8",
                self.request.program
            );
            Error::new(ErrorKind::Invalid, why)
        })?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(text)
    }

    /// Starts it, beside the plugin. What [`input`](Self::input) was given is written before this returns.
    ///
    /// ```
    /// use std::io::{BufRead, BufReader};
    ///
    /// use portcullis::process::{Command, Stdio};
    /// use portcullis::testing::{Host, Reply};
    ///
    /// let host = Host::new().command(["make", "all"], Reply::new().stdout("cc a.c\ncc b.c\n"));
    /// host.run(|| {
    ///     let mut child = Command::new("make").arg("all").stdout(Stdio::piped()).spawn()?;
    ///     let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    ///     assert_eq!(lines.collect::<Result<Vec<_>, _>>()?, ["cc a.c", "cc b.c"]);
    ///     assert!(child.wait()?.success());
    ///     # Ok::<_, portcullis::Error>(())
    /// })?;
    /// # Ok::<_, portcullis::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`output`](Self::output). A program that cannot be executed is an error of [`wait`](Child::wait).
    pub fn spawn(&mut self) -> Result<Child> {
        self.start(Sink::Null)
    }

    /// Starts it; what was not sent elsewhere goes there.
    fn start(&self, otherwise: Sink) -> Result<Child> {
        if self.stdin == Some(Sink::Inherit) {
            let why = format!(
                "cannot run `{}` with the plugin's own standard input",
                self.request.program
            );
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        let sinks = Sinks {
            stdin: self.input.is_some() || self.stdin == Some(Sink::Pipe),
            stdout: self.stdout.unwrap_or(otherwise),
            stderr: self.stderr.unwrap_or(otherwise),
        };
        let child = host::spawn(&self.request, sinks).map_err(|kind| self.error(kind))?;
        let mut child = Child::new(self.request.program.clone(), child);
        let Some(input) = &self.input else {
            return Ok(child);
        };
        if let Some(mut stdin) = child.stdin.take() {
            // A command may end without having read all of it.
            let _ = stdin.write_all(input);
        }
        Ok(child)
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::of(format_args!("cannot run `{}`", self.request.program), kind)
    }
}

/// What the host is told: it takes UTF-8.
fn text(text: impl AsRef<OsStr>) -> String {
    text.as_ref().to_string_lossy().into_owned()
}
