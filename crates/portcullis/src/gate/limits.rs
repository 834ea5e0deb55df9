//! Denials of what would be allowed, were it not too much.

use portcullis_exec::Completed;
use portcullis_policy::{Capability, Code, Denial, ExecTerms, GuestError};

use super::Gate;

impl Gate {
    /// Reports to the operator that output was cut; the adapter decides what the guest gets for it.
    pub(crate) fn output_limit(&mut self, completed: &Completed) -> GuestError {
        // Of a command that was killed for it, the operator knows.
        if completed.killed_for.is_none() {
            let denial = self.limit(Code::LimitOutput, &self.last_program, None);
            self.activity.denial(denial);
        }
        GuestError::OutputLimit
    }

    /// What the operator is told of a command that was killed for its memory; the guest has its status.
    pub(super) fn over_memory(&self, program: &str, terms: &ExecTerms) -> Denial {
        let most = terms.rights.memory.unwrap_or_default();
        Denial {
            notes: vec![format!(
                "it and what it started had more than {most} bytes (`memory` of its rule)"
            )],
            rule: None,
            guest: GuestError::MemoryLimit,
            action: format!("have more memory for `{program}`"),
            ..self.limit(Code::LimitMemory, program, None)
        }
    }

    /// The denial of what goes beyond a limit; `streamed` is that of a rule on what is passed on.
    pub(super) fn limit(&self, code: Code, program: &str, streamed: Option<u64>) -> Denial {
        let limits = &self.parts.grants.limits;
        let (action, note, guest) = match code {
            Code::LimitChildren => (
                format!("run `{program}` now"),
                format!(
                    "{} commands are already running (`limits.children`)",
                    limits.children
                ),
                GuestError::Limit,
            ),
            Code::LimitRate => (
                format!("run `{program}` now"),
                format!(
                    "{} were started in the last minute (`limits.spawns_per_minute`)",
                    limits.spawns_per_minute
                ),
                GuestError::Limit,
            ),
            Code::LimitTotalOutput => (
                format!("run `{program}` any more"),
                format!(
                    "its commands wrote {} bytes together (`limits.total_output`)",
                    limits.total_output
                ),
                GuestError::OutputLimit,
            ),
            _ => (
                format!("read more output of `{program}`"),
                match streamed {
                    Some(bytes) => {
                        format!("a stream is longer than {bytes} bytes (`output` of its rule)")
                    }
                    None => format!(
                        "a stream is longer than {} bytes (`limits.output`)",
                        limits.output
                    ),
                },
                GuestError::OutputLimit,
            ),
        };
        Denial {
            code,
            plugin: self.parts.grants.plugin.clone(),
            capability: Capability::Exec,
            action,
            object: program.to_owned(),
            notes: vec![note],
            remedies: Vec::new(),
            rule: None,
            guest,
        }
    }
}
