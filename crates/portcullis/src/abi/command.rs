//! `portcullis:cli/command@0.1.0`: kinds of errors and ends, times, and commands beside the guest.

use std::time::Duration;

use portcullis_exec::{Completed, ExecAsk, Status, Which};
use portcullis_policy::{Code, GuestError};
use serde::Serialize;
use wasmtime::StoreContextMut;
use wasmtime::component::{
    ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType,
};

use super::streams::{self, Awaited};
use crate::gate::{Child, Modes, Over, Refused, Way, Wish};
use crate::state::State;

/// The name under which plugins import it.
pub(crate) const COMMAND: &str = "portcullis:cli/command@0.1.0";

#[derive(ComponentType, Lift)]
#[component(record)]
struct Request {
    program: String,
    args: Vec<String>,
    cwd: Option<String>,
    env: Vec<(String, String)>,
    #[component(name = "inherit-env")]
    inherit_env: bool,
    timeout: Option<u64>,
}

impl Request {
    fn wish(self, stdin: Option<Vec<u8>>) -> Wish {
        Wish {
            ask: ExecAsk {
                program: self.program,
                args: self.args,
                cwd: self.cwd,
                env: self.env,
                inherit_env: self.inherit_env,
                stdin,
            },
            timeout: self.timeout.map(Duration::from_nanos),
        }
    }
}

#[derive(ComponentType, Lower)]
#[component(variant)]
pub(super) enum Error {
    #[component(name = "denied")]
    Denied,
    #[component(name = "not-found")]
    NotFound,
    #[component(name = "timed-out")]
    TimedOut,
    #[component(name = "limit")]
    Limit(Limit),
    #[component(name = "invalid")]
    Invalid,
    #[component(name = "io")]
    Io,
}

#[derive(Clone, Copy, Debug, ComponentType, Lower, Serialize)]
#[component(enum)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub(super) enum Limit {
    #[component(name = "children")]
    Children,
    #[component(name = "rate")]
    Rate,
    #[component(name = "total-output")]
    TotalOutput,
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused.guest {
            GuestError::Denied => Self::Denied,
            GuestError::NotFound => Self::NotFound,
            GuestError::Invalid => Self::Invalid,
            GuestError::TimedOut => Self::TimedOut,
            GuestError::Limit if refused.code == Some(Code::LimitRate) => Self::Limit(Limit::Rate),
            GuestError::Limit => Self::Limit(Limit::Children),
            GuestError::OutputLimit => Self::Limit(Limit::TotalOutput),
            GuestError::MemoryLimit | GuestError::CannotStart => Self::Io,
        }
    }
}

#[derive(ComponentType, Lower)]
#[component(variant)]
pub(super) enum Exit {
    #[component(name = "exited")]
    Exited(u8),
    #[component(name = "signalled")]
    Signalled(u8),
    #[component(name = "timed-out")]
    TimedOut,
    #[component(name = "killed")]
    Killed(Reason),
}

#[derive(Clone, Copy, Debug, ComponentType, Lower, Serialize)]
#[component(enum)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub(super) enum Reason {
    #[component(name = "asked")]
    Asked,
    #[component(name = "output")]
    Output,
    #[component(name = "total-output")]
    TotalOutput,
    #[component(name = "memory")]
    Memory,
}

impl Exit {
    pub(super) fn of(status: Status, killed_for: Option<Code>, asked: bool) -> Self {
        match (killed_for, status) {
            _ if asked => Self::Killed(Reason::Asked),
            (Some(Code::LimitMemory), _) => Self::Killed(Reason::Memory),
            (Some(Code::LimitTotalOutput), _) => Self::Killed(Reason::TotalOutput),
            (Some(_), _) => Self::Killed(Reason::Output),
            (None, Status::Exited(code)) => Self::Exited(code),
            (None, Status::Signalled(signal)) => {
                Self::Signalled(u8::try_from(signal).unwrap_or(u8::MAX))
            }
            (None, Status::TimedOut) => Self::TimedOut,
        }
    }
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Output {
    exit: Exit,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    #[component(name = "stdout-truncated")]
    stdout_truncated: bool,
    #[component(name = "stderr-truncated")]
    stderr_truncated: bool,
    duration: u64,
}

impl From<Completed> for Output {
    fn from(completed: Completed) -> Self {
        Self {
            exit: Exit::of(completed.status, completed.killed_for, completed.asked),
            stdout: completed.stdout,
            stderr: completed.stderr,
            stdout_truncated: completed.stdout_truncated,
            stderr_truncated: completed.stderr_truncated,
            duration: nanoseconds(completed.duration),
        }
    }
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct Outcome {
    exit: Exit,
    #[component(name = "stdout-truncated")]
    stdout_truncated: bool,
    #[component(name = "stderr-truncated")]
    stderr_truncated: bool,
    duration: u64,
}

fn outcome(over: Over) -> Result<Outcome, Error> {
    let over = over?;
    Ok(Outcome {
        exit: Exit::of(over.status, over.killed_for, over.asked),
        stdout_truncated: over.stdout_truncated,
        stderr_truncated: over.stderr_truncated,
        duration: nanoseconds(over.duration),
    })
}

pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "lifting makes them")]
enum Input {
    #[component(name = "null")]
    Null,
    #[component(name = "pipe")]
    Pipe,
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "lifting makes them")]
enum Sink {
    #[component(name = "null")]
    Null,
    #[component(name = "pipe")]
    Pipe,
    #[component(name = "inherit")]
    Inherit,
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "lifting makes them")]
enum ErrorSink {
    #[component(name = "null")]
    Null,
    #[component(name = "pipe")]
    Pipe,
    #[component(name = "merged")]
    Merged,
    #[component(name = "inherit")]
    Inherit,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Stdio {
    stdin: Input,
    stdout: Sink,
    stderr: ErrorSink,
}

impl From<Stdio> for Modes {
    fn from(stdio: Stdio) -> Self {
        Self {
            stdin: matches!(stdio.stdin, Input::Pipe),
            stdout: match stdio.stdout {
                Sink::Null => Way::Null,
                Sink::Pipe => Way::Pipe,
                Sink::Inherit => Way::Inherit,
            },
            stderr: match stdio.stderr {
                ErrorSink::Null => Some(Way::Null),
                ErrorSink::Pipe => Some(Way::Pipe),
                ErrorSink::Inherit => Some(Way::Inherit),
                ErrorSink::Merged => None,
            },
        }
    }
}

/// The host side of the `child` resource.
struct Handle {
    child: Child,
    /// Streams that were not handed out yet.
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

impl Handle {
    fn new(child: Child) -> Self {
        Self {
            stdin: child.streams.has_stdin(),
            stdout: child.streams.has(Which::Stdout),
            stderr: child.streams.has(Which::Stderr),
            child,
        }
    }

    fn take_output(&mut self, which: Which) -> bool {
        let there = match which {
            Which::Stdout => &mut self.stdout,
            Which::Stderr => &mut self.stderr,
        };
        std::mem::take(there)
    }
}

/// Makes the interface known to the linker. Whether a call does anything is the gate's decision.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut instance = linker.instance(COMMAND)?;
    instance.func_wrap_async(
        "run",
        |mut store: StoreContextMut<'_, State>, (request, stdin): (Request, Option<Vec<u8>>)| {
            Box::new(async move {
                let completed = store.data_mut().gate.exec(request.wish(stdin)).await;
                Ok((completed.map(Output::from).map_err(Error::from),))
            })
        },
    )?;
    instance.func_wrap_async(
        "spawn",
        |mut store: StoreContextMut<'_, State>, (request, stdio): (Request, Stdio)| {
            Box::new(async move {
                let state = store.data_mut();
                Ok((
                    match state.gate.spawn(request.wish(None), stdio.into()).await {
                        Ok(child) => Ok(state.table.push(Handle::new(child))?),
                        Err(refused) => Err(Error::from(refused)),
                    },
                ))
            })
        },
    )?;
    instance.resource("child", ResourceType::host::<Handle>(), |mut store, rep| {
        let state = store.data_mut();
        state.table.delete(Resource::<Handle>::new_own(rep))?;
        Ok(())
    })?;
    link_streams(&mut instance)?;
    link_end(&mut instance)
}

fn link_streams(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap(
        "[method]child.stdin",
        |mut store: StoreContextMut<'_, State>, (child,): (Resource<Handle>,)| {
            let state = store.data_mut();
            let handle = state.table.get_mut(&child)?;
            if !std::mem::take(&mut handle.stdin) {
                return Ok((None,));
            }
            let streams = handle.child.streams.clone();
            Ok((Some(streams::stdin(state, streams)?),))
        },
    )?;
    for (name, which) in [
        ("[method]child.stdout", Which::Stdout),
        ("[method]child.stderr", Which::Stderr),
    ] {
        instance.func_wrap(
            name,
            move |mut store: StoreContextMut<'_, State>, (child,): (Resource<Handle>,)| {
                let state = store.data_mut();
                let handle = state.table.get_mut(&child)?;
                if !handle.take_output(which) {
                    return Ok((None,));
                }
                let streams = handle.child.streams.clone();
                Ok((Some(streams::output(state, streams, which)?),))
            },
        )?;
    }
    Ok(())
}

fn link_end(instance: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    instance.func_wrap_async(
        "[method]child.wait",
        |mut store: StoreContextMut<'_, State>, (child,): (Resource<Handle>,)| {
            Box::new(async move {
                let handle = store.data_mut().table.get(&child)?;
                Ok((outcome(handle.child.wait().await),))
            })
        },
    )?;
    instance.func_wrap(
        "[method]child.try-wait",
        |mut store: StoreContextMut<'_, State>, (child,): (Resource<Handle>,)| {
            let handle = store.data_mut().table.get(&child)?;
            Ok((handle.child.try_wait().map(outcome),))
        },
    )?;
    instance.func_wrap(
        "[method]child.kill",
        |mut store: StoreContextMut<'_, State>, (child,): (Resource<Handle>,)| {
            store.data_mut().table.get(&child)?.child.streams.kill();
            Ok(())
        },
    )?;
    instance.func_wrap(
        "[method]child.subscribe",
        |mut store: StoreContextMut<'_, State>, (child,): (Resource<Handle>,)| {
            let state = store.data_mut();
            let ending = state.table.get(&child)?.child.ending();
            Ok((Awaited::End(ending).pollable(&mut state.table)?,))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_command_was_killed_goes_before_its_signal() {
        let killed = Status::Signalled(9);
        let cases = [
            (killed, Some(Code::LimitMemory), false, "memory"),
            (killed, Some(Code::LimitTotalOutput), false, "total-output"),
            (killed, Some(Code::LimitOutput), false, "output"),
            (killed, None, true, "asked"),
            (killed, None, false, "signal 9"),
            (Status::TimedOut, None, false, "timed out"),
            (Status::Exited(9), None, false, "code 9"),
        ];
        for (status, killed_for, asked, words) in cases {
            let told = match Exit::of(status, killed_for, asked) {
                Exit::Exited(code) => format!("code {code}"),
                Exit::Signalled(signal) => format!("signal {signal}"),
                Exit::TimedOut => "timed out".to_owned(),
                Exit::Killed(Reason::Asked) => "asked".to_owned(),
                Exit::Killed(Reason::Output) => "output".to_owned(),
                Exit::Killed(Reason::TotalOutput) => "total-output".to_owned(),
                Exit::Killed(Reason::Memory) => "memory".to_owned(),
            };
            assert_eq!(told, words);
        }
    }
}
