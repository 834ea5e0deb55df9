//! The host that runs the plugin, by the interfaces of `portcullis:cli`. What a plugin does not call, it does not import.

use std::io;
use std::time::Duration;

use bindings::portcullis::cli;
use bindings::wasi::io::streams::{self, StreamError};

use super::{Outcome, Page, Ran, Request, Sink, Sinks};
use crate::ErrorKind;
use crate::fs::{DirEntry, FileType, Kind, Metadata};
use crate::http;
use crate::process::{Exit, ExitStatus, KillReason};

#[doc(hidden)]
#[allow(
    missing_debug_implementations,
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    clippy::pedantic,
    reason = "it is generated"
)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        // The last is what a message of a panic goes to, where `std` has no standard error.
        inline: "
            package portcullis:sdk;

            world sdk {
                import portcullis:cli/command@0.1.0;
                import portcullis:cli/env@0.1.0;
                import portcullis:cli/fs@0.1.0;
                import portcullis:cli/http@0.1.0;
                import portcullis:cli/kv@0.1.0;
                import portcullis:cli/log@0.1.0;
                import portcullis:cli/prompt@0.1.0;
                import wasi:cli/stderr@0.2.0;

                export run: func(args: list<string>) -> result<string, string>;
            }

            package wasi:cli@0.2.0 {
                interface stderr {
                    use wasi:io/streams@0.2.0.{output-stream};
                    get-stderr: func() -> output-stream;
                }
            }
        ",
        world: "portcullis:sdk/sdk",
        generate_all,
        pub_export_macro: true,
    });
}

/// Called before the plugin's function: where `std` has no standard error, a panic is told by the host's.
#[doc(hidden)]
pub fn prepare() {
    #[cfg(target_os = "unknown")]
    std::panic::set_hook(Box::new(|panic| {
        let mut stderr = OutputStream(bindings::wasi::cli::stderr::get_stderr());
        // As `std` writes it where it can. The plugin ends right after this, told or not.
        let told = format!("\nthread '<unnamed>' {panic}\n");
        let _ = io::Write::write_all(&mut stderr, told.as_bytes());
        let _ = io::Write::flush(&mut stderr);
    }));
}

/// What a host's stream gives at once.
const CHUNK: usize = 64 * 1024;

#[derive(Debug)]
pub(crate) struct InputStream(streams::InputStream);

impl io::Read for InputStream {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let length = room.len().min(CHUNK);
        if length == 0 {
            return Ok(0);
        }
        match self.0.blocking_read(length as u64) {
            Ok(read) => {
                room[..read.len()].copy_from_slice(&read);
                Ok(read.len())
            }
            Err(StreamError::Closed) => Ok(0),
            Err(StreamError::LastOperationFailed(why)) => {
                Err(io::Error::other(why.to_debug_string()))
            }
        }
    }
}

#[derive(Debug)]
pub(crate) struct OutputStream(streams::OutputStream);

impl io::Write for OutputStream {
    /// Waits for room. More than there is room for would be a trap.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        loop {
            let room = self.0.check_write().map_err(closed)?;
            if room > 0 {
                let length = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
                self.0.write(&bytes[..length]).map_err(closed)?;
                return Ok(length);
            }
            self.0.subscribe().block();
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.blocking_flush().map_err(closed)
    }
}

fn closed(error: StreamError) -> io::Error {
    match error {
        StreamError::Closed => io::ErrorKind::BrokenPipe.into(),
        StreamError::LastOperationFailed(why) => io::Error::other(why.to_debug_string()),
    }
}

#[derive(Debug)]
pub(crate) struct Child(cli::command::Child);

impl Child {
    pub(crate) fn stdin(&self) -> Option<OutputStream> {
        self.0.stdin().map(OutputStream)
    }

    pub(crate) fn stdout(&self) -> Option<InputStream> {
        self.0.stdout().map(InputStream)
    }

    pub(crate) fn stderr(&self) -> Option<InputStream> {
        self.0.stderr().map(InputStream)
    }

    pub(crate) fn wait(&self) -> Result<Outcome, ErrorKind> {
        self.0.wait().map(Into::into).map_err(Into::into)
    }

    pub(crate) fn try_wait(&self) -> Option<Result<Outcome, ErrorKind>> {
        let over = self.0.try_wait()?;
        Some(over.map(Into::into).map_err(Into::into))
    }

    pub(crate) fn kill(&self) {
        self.0.kill();
    }
}

impl Request {
    fn wit(&self) -> cli::command::Request {
        let timeout = self
            .timeout
            .map(|timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
        cli::command::Request {
            program: self.program.clone(),
            args: self.args.clone(),
            cwd: self.cwd.clone(),
            env: self.env.clone(),
            inherit_env: self.inherit_env,
            timeout,
        }
    }
}

impl Sinks {
    fn wit(self) -> cli::command::Stdio {
        use cli::command::{ErrorSink, Input, Sink as OutputSink, Stdio};
        Stdio {
            stdin: if self.stdin { Input::Pipe } else { Input::Null },
            stdout: match self.stdout {
                Sink::Null => OutputSink::Null,
                Sink::Inherit => OutputSink::Inherit,
                // Standard output is not merged into anything.
                Sink::Pipe | Sink::Merged => OutputSink::Pipe,
            },
            stderr: match self.stderr {
                Sink::Null => ErrorSink::Null,
                Sink::Inherit => ErrorSink::Inherit,
                Sink::Pipe => ErrorSink::Pipe,
                Sink::Merged => ErrorSink::Merged,
            },
        }
    }
}

impl From<cli::command::Exit> for ExitStatus {
    fn from(exit: cli::command::Exit) -> Self {
        use cli::command::{Exit as Wit, Reason};
        Self(match exit {
            Wit::Exited(code) => Exit::Exited(code),
            Wit::Signalled(signal) => Exit::Signalled(signal),
            Wit::TimedOut => Exit::TimedOut,
            Wit::Killed(reason) => Exit::Killed(match reason {
                Reason::Asked => KillReason::Asked,
                Reason::Output => KillReason::Output,
                Reason::TotalOutput => KillReason::TotalOutput,
                Reason::Memory => KillReason::Memory,
            }),
        })
    }
}

impl From<cli::command::Outcome> for Outcome {
    fn from(outcome: cli::command::Outcome) -> Self {
        Self {
            status: outcome.exit.into(),
            stdout_truncated: outcome.stdout_truncated,
            stderr_truncated: outcome.stderr_truncated,
            duration: Duration::from_nanos(outcome.duration),
        }
    }
}

/// The kinds of errors of one interface, each by the one of this crate that means the same.
macro_rules! kinds {
    ($interface:ident: $($wit:pat => $kind:ident),* $(,)?) => {
        impl From<cli::$interface::Error> for ErrorKind {
            fn from(error: cli::$interface::Error) -> Self {
                use cli::$interface::Error as Wit;
                match error {
                    $($wit => Self::$kind),*
                }
            }
        }
    };
}

kinds! { command:
    Wit::Denied => Denied, Wit::NotFound => NotFound, Wit::TimedOut => TimedOut, Wit::Limit(_) => Limit, Wit::Invalid => Invalid,
    Wit::Io => Io,
}
kinds! { env: Wit::Limit => Limit, Wit::Io => Io }
kinds! { fs:
    Wit::Denied => Denied, Wit::NotFound => NotFound, Wit::Exists => AlreadyExists, Wit::NotEmpty => NotEmpty,
    Wit::NotAFile => NotAFile, Wit::NotADirectory => NotADirectory, Wit::TooLarge => TooLarge, Wit::Limit => Limit,
    Wit::Invalid => Invalid, Wit::Io => Io,
}
kinds! { http:
    Wit::Denied => Denied, Wit::Invalid => Invalid, Wit::TooLarge => TooLarge, Wit::Limit => Limit, Wit::TimedOut => TimedOut,
    Wit::Io => Io,
}
kinds! { kv: Wit::Denied => Denied, Wit::TooLarge => TooLarge, Wit::Full => Full, Wit::Limit => Limit, Wit::Io => Io }
kinds! { prompt: Wit::Nobody => Nobody, Wit::Invalid => Invalid, Wit::Limit => Limit, Wit::Io => Io }

pub(crate) fn exec(request: &Request, stdin: Option<&[u8]>) -> Result<Ran, ErrorKind> {
    let output = cli::command::run(&request.wit(), stdin)?;
    Ok(Ran {
        outcome: Outcome {
            status: output.exit.into(),
            stdout_truncated: output.stdout_truncated,
            stderr_truncated: output.stderr_truncated,
            duration: Duration::from_nanos(output.duration),
        },
        stdout: output.stdout,
        stderr: output.stderr,
    })
}

pub(crate) fn spawn(request: &Request, sinks: Sinks) -> Result<Child, ErrorKind> {
    Ok(Child(cli::command::spawn(&request.wit(), sinks.wit())?))
}

pub(crate) fn fs_read(path: &str) -> Result<Vec<u8>, ErrorKind> {
    Ok(cli::fs::read(path)?)
}

pub(crate) fn fs_write(path: &str, content: &[u8]) -> Result<(), ErrorKind> {
    Ok(cli::fs::write(path, content)?)
}

pub(crate) fn fs_entries(path: &str) -> Result<Vec<DirEntry>, ErrorKind> {
    let entries = cli::fs::entries(path)?.into_iter();
    Ok(entries
        .map(|entry| DirEntry {
            name: entry.name,
            kind: entry.kind.into(),
        })
        .collect())
}

pub(crate) fn fs_stat(path: &str) -> Result<Metadata, ErrorKind> {
    let cli::fs::Metadata {
        kind,
        size,
        modified,
    } = cli::fs::stat(path)?;
    Ok(Metadata {
        kind: kind.into(),
        size,
        modified,
    })
}

impl From<cli::fs::Kind> for FileType {
    fn from(kind: cli::fs::Kind) -> Self {
        Self(match kind {
            cli::fs::Kind::File => Kind::File,
            cli::fs::Kind::Directory => Kind::Directory,
            cli::fs::Kind::Link => Kind::Link,
            cli::fs::Kind::Other => Kind::Other,
        })
    }
}

pub(crate) fn fs_make_directory(path: &str) -> Result<(), ErrorKind> {
    Ok(cli::fs::make_directory(path)?)
}

pub(crate) fn fs_remove(path: &str) -> Result<(), ErrorKind> {
    Ok(cli::fs::remove(path)?)
}

pub(crate) fn fs_rename(from: &str, to: &str) -> Result<(), ErrorKind> {
    Ok(cli::fs::rename(from, to)?)
}

pub(crate) fn env_get(name: &str) -> Result<Option<String>, ErrorKind> {
    Ok(cli::env::get(name)?)
}

pub(crate) fn http_send(request: &http::Request) -> Result<http::Response, ErrorKind> {
    let response = cli::http::send(&cli::http::Request {
        method: request.method.clone(),
        url: request.url.clone(),
        headers: request.headers.clone(),
        body: request.body.clone(),
    })?;
    Ok(http::Response {
        status: response.status,
        headers: response.headers,
        body: response.body,
        truncated: response.truncated,
    })
}

pub(crate) fn kv_get(key: &str) -> Result<Option<Vec<u8>>, ErrorKind> {
    Ok(cli::kv::get(key)?)
}

pub(crate) fn kv_set(key: &str, value: &[u8]) -> Result<(), ErrorKind> {
    Ok(cli::kv::set(key, value)?)
}

pub(crate) fn kv_delete(key: &str) -> Result<bool, ErrorKind> {
    Ok(cli::kv::delete(key)?)
}

pub(crate) fn kv_list(prefix: &str, after: Option<&str>, limit: u32) -> Result<Page, ErrorKind> {
    let cli::kv::Page { keys, more } = cli::kv::list(prefix, after, limit)?;
    Ok(Page { keys, more })
}

pub(crate) fn kv_compare_and_swap(
    key: &str,
    expected: Option<&[u8]>,
    value: &[u8],
) -> Result<bool, ErrorKind> {
    Ok(cli::kv::compare_and_swap(key, expected, value)?)
}

pub(crate) fn log_write(level: log::Level, message: &str) {
    use cli::log::Level;
    let level = match level {
        log::Level::Error => Level::Error,
        log::Level::Warn => Level::Warn,
        log::Level::Info => Level::Info,
        log::Level::Debug => Level::Debug,
        log::Level::Trace => Level::Trace,
    };
    cli::log::write(level, message);
}

pub(crate) fn prompt_text(
    id: &str,
    message: &str,
    default: Option<&str>,
) -> Result<String, ErrorKind> {
    Ok(cli::prompt::text(id, message, default)?)
}

pub(crate) fn prompt_confirm(id: &str, message: &str, default: bool) -> Result<bool, ErrorKind> {
    Ok(cli::prompt::confirm(id, message, default)?)
}

pub(crate) fn prompt_choose(
    id: &str,
    message: &str,
    options: &[String],
    default: Option<u32>,
) -> Result<u32, ErrorKind> {
    Ok(cli::prompt::choose(id, message, options, default)?)
}

pub(crate) fn prompt_choose_some(
    id: &str,
    message: &str,
    options: &[String],
    defaults: &[u32],
) -> Result<Vec<u32>, ErrorKind> {
    Ok(cli::prompt::choose_some(id, message, options, defaults)?)
}
