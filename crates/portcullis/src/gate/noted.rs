//! What passes the gate, for the record of a run: the same whatever the guest's interface.

use std::borrow::Cow;

use portcullis_exec::{Completed, ExecAsk, Input, Status};
use portcullis_policy::Denial;
use serde_json::{Value, json};

use super::Gate;
use crate::capability::http::HttpAnswer;
use crate::record::{Bytes, Tape};

impl Gate {
    /// Notes something, where a record is made.
    pub(super) fn note(&self, passed: impl FnOnce() -> Value) {
        if let Some(Tape::Record(recorder)) = &self.parts.tape {
            recorder.passed(passed());
        }
    }

    /// What is asked of a command, where a record is made.
    pub(super) fn command_to_note(&self, ask: &ExecAsk, stdin: &Input) -> Option<Value> {
        self.parts.tape.as_ref()?;
        let stdin: Cow<'_, [u8]> = match stdin {
            Input::Nothing => Cow::Borrowed(&[]),
            Input::Bytes(bytes) => Cow::Borrowed(bytes),
            Input::Relay(_) => return None,
        };
        Some(json!({
            "program": ask.program,
            "args": ask.args,
            "cwd": ask.cwd,
            "env": ask.env.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            "stdin": Bytes::value(&stdin),
        }))
    }

    /// What became of a command.
    pub(super) fn note_command(&self, asked: Option<Value>, completed: &Completed) {
        let Some(asked) = asked else { return };
        self.note(|| {
            let status = match completed.status {
                Status::Exited(code) => json!({ "exited": code }),
                Status::Signalled(signal) => json!({ "signalled": signal }),
                _ => json!("stopped"),
            };
            let whole = !completed.stdout_truncated && !completed.stderr_truncated;
            json!({ "command": {
                "asked": asked,
                "status": status,
                "stdout": Bytes::value(&completed.stdout),
                "stderr": Bytes::value(&completed.stderr),
                "whole": whole,
            } })
        });
    }

    /// A command that runs beside the guest: what it writes passes by its streams.
    pub(super) fn note_beside(&self, ask: &ExecAsk) {
        self.note(|| json!({ "beside": { "program": ask.program, "args": ask.args } }));
    }

    /// A denial.
    pub(super) fn note_denial(&self, denial: &Denial) {
        self.note(
            || json!({ "denied": { "code": denial.code.as_str(), "object": denial.object } }),
        );
    }

    /// A request and its answer.
    pub(crate) fn note_http(&self, asked: (&str, &str, &[u8]), answer: &HttpAnswer) {
        self.note(|| {
            let (method, url, body) = asked;
            json!({ "http": {
                "method": method,
                "url": url,
                "sent": Bytes::value(body),
                "status": answer.status,
                "headers": answer.headers,
                "body": Bytes::value(&answer.body),
                "whole": !answer.truncated,
            } })
        });
    }

    /// A variable that the guest was told.
    pub(crate) fn note_variable(&self, name: &str, value: Option<&str>) {
        self.note(|| json!({ "variable": [name, value] }));
    }
}
