//! `exec_command`: a command with its arguments, and an answer with code and output.

use std::borrow::Cow;

use portcullis_exec::{Completed, ExecAsk, Status};
use portcullis_policy::{Code, GuestError, InlineCode};
use serde::{Deserialize, Serialize};

use super::cap::{self, encode};
use super::context::Context;
use super::error::ErrorDetail;
use super::request::{Env, read};
use crate::abi::object::Object;
use crate::gate::{Refused, Wish};
use crate::state::State;

/// What a guest asks for. `null` is as good as nothing.
#[derive(Debug, Deserialize)]
struct Request {
    command: Option<String>,
    args: Option<Vec<String>>,
    dir: Option<String>,
    env: Option<Env>,
    context: Option<Object<Context>>,
    timeout_ms: Option<i64>,
}

/// What a guest is told.
#[derive(Debug, Default, Serialize)]
struct Answer<'a> {
    stdout: Cow<'a, str>,
    stderr: Cow<'a, str>,
    exit_code: i32,
    #[serde(skip_serializing_if = "is_zero")]
    duration_ms: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_timeout: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stdout_truncated: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stderr_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorDetail>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The code of what did not end by itself.
const NO_CODE: i32 = -1;

/// Runs a command, or says in an answer why not.
pub(super) async fn call(state: &mut State, request: &[u8]) -> Vec<u8> {
    let request: Request = match read(request) {
        Ok(request) => request,
        Err(error) => return failed(error),
    };
    let Object(context) = request.context.unwrap_or_default();
    let timeout = match context.time(request.timeout_ms) {
        Ok(timeout) => timeout,
        Err(error) => return failed(error),
    };
    let ask = ExecAsk {
        program: request.command.unwrap_or_default(),
        args: request.args.unwrap_or_default(),
        cwd: request.dir.filter(|dir| !dir.is_empty()),
        env: request.env.map(Env::pairs).unwrap_or_default(),
        ..ExecAsk::default()
    };
    let about = About::of(&ask);
    context.begin(state);
    let ran = state.gate.exec(Wish { ask, timeout }).await;
    match ran {
        Ok(completed) => told(&completed),
        Err(refused) => failed(about.refusal(refused, state)),
    }
}

/// The answer with this error and nothing else.
pub(super) fn failed(error: ErrorDetail) -> Vec<u8> {
    encode(&Answer {
        is_timeout: error.is_timeout,
        exit_code: if error.is_timeout { NO_CODE } else { 0 },
        error: Some(error),
        ..Answer::default()
    })
}

fn told(completed: &Completed) -> Vec<u8> {
    let [(stdout, stdout_cut), (stderr, stderr_cut)] =
        cap::both(&completed.stdout, &completed.stderr);
    encode(&Answer {
        stdout,
        stderr,
        exit_code: match completed.status {
            Status::Exited(code) => i32::from(code),
            Status::Signalled(_) | Status::TimedOut => NO_CODE,
        },
        duration_ms: u64::try_from(completed.duration.as_millis()).unwrap_or(u64::MAX),
        is_timeout: completed.status == Status::TimedOut,
        stdout_truncated: completed.stdout_truncated || stdout_cut,
        stderr_truncated: completed.stderr_truncated || stderr_cut,
        error: None,
    })
}

/// What a refusal is about, in the words of the request.
struct About {
    command: String,
    class: Option<InlineCode>,
}

impl About {
    fn of(ask: &ExecAsk) -> Self {
        Self {
            command: ask.program.clone(),
            class: InlineCode::of(&ask.program, &ask.args),
        }
    }

    /// What a guest learns of it: the kind, in words that it had itself.
    fn refusal(&self, refused: Refused, state: &mut State) -> ErrorDetail {
        let command = &self.command;
        match refused.guest {
            GuestError::Denied if refused.code == Some(Code::ExecNotGranted) => {
                let plugin = &state.gate.grants().plugin;
                ErrorDetail::denied(&format!("no capabilities granted to plugin {plugin}"))
            }
            GuestError::Denied => ErrorDetail::denied(&match self.class {
                Some(class) => format!(
                    "{} requires 'exec:{command}' capability (prevents arbitrary code execution)",
                    class.name()
                ),
                None => format!("capability denied: exec:{command}"),
            }),
            GuestError::NotFound => ErrorDetail {
                is_not_found: true,
                ..ErrorDetail::new(
                    "execution",
                    "EXECUTION_FAILED",
                    format!("exec: {command:?}: executable file not found"),
                )
            },
            GuestError::Invalid => ErrorDetail::invalid("invalid command, argument or variable"),
            GuestError::TimedOut => ErrorDetail::timed_out("context deadline exceeded"),
            guest @ (GuestError::Limit | GuestError::OutputLimit | GuestError::MemoryLimit) => {
                ErrorDetail::new("execution", "RESOURCE_LIMIT", guest.text())
            }
            guest => ErrorDetail::new("execution", "EXECUTION_FAILED", guest.text()),
        }
    }
}
