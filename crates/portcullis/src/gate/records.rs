//! What a gate writes into the trail.

use jiff::Timestamp;
use portcullis_audit::{self as audit, Event, Masked, Sink, Verdict};
use portcullis_exec::{Completed, Status};
use portcullis_policy::{Capability, Code, Denial, Dropped, GuestError, RuleId};

use super::{Gate, with_causes};
use crate::digest::Relayed;
use crate::{explained, notice};

impl Gate {
    pub(super) fn record_decision(
        &mut self,
        call: u64,
        object: &Masked,
        verdict: Result<&Vec<RuleId>, &Denial>,
    ) -> Result<(), GuestError> {
        let rule = match verdict {
            Ok(rules) => rules.first().map(|id| audit::Rule {
                id: id.to_string(),
                origin: self.rule_origin(id),
            }),
            Err(denial) => denial.rule.as_ref().map(|(id, origin)| audit::Rule {
                id: id.to_string(),
                origin: origin.to_string(),
            }),
        };
        let event = Event::Decision(audit::Decision {
            run: self.run.to_string(),
            call,
            plugin: self.parts.grants.plugin.to_string(),
            capability: verdict
                .err()
                .map_or(Capability::Exec, |denial| denial.capability)
                .name()
                .to_owned(),
            object: object.clone(),
            verdict: if verdict.is_ok() {
                Verdict::Allow
            } else {
                Verdict::Deny
            },
            rule,
            code: verdict.err().map(|denial| denial.code.to_string()),
            reason: verdict
                .err()
                .map(|denial| Masked::new(&denial.notes.join("; "))),
        });
        self.append(&event)
    }

    fn rule_origin(&self, id: &RuleId) -> String {
        let rules = self.grants.exec.iter().flat_map(|exec| &exec.allow);
        rules
            .chain(&self.answers.rules)
            .find(|rule| rule.id == *id)
            .map(|rule| rule.origin.to_string())
            .unwrap_or_default()
    }

    pub(super) fn outcome(&self, call: u64) -> audit::Outcome {
        audit::Outcome {
            run: self.run.to_string(),
            call,
            ended: audit::Ended::Cancelled,
            duration_us: 0,
            stdout_bytes: 0,
            stderr_bytes: 0,
            stdout_digest: None,
            stderr_digest: None,
            env_dropped: Vec::new(),
            stragglers_killed: 0,
            confinement: "none".to_owned(),
            connections: Vec::new(),
            trees: Vec::new(),
        }
    }

    pub(super) fn record_outcome(
        &mut self,
        call: u64,
        completed: &Completed,
        dropped: &[Dropped],
        relayed: [Option<Relayed>; 2],
    ) -> Result<(), GuestError> {
        let key = self.parts.trail.key.as_deref();
        let [stdout, stderr] = relayed.map(|relayed| relayed.map(|relayed| relayed.digest()));
        let event = Event::Outcome(audit::Outcome {
            ended: match completed.status {
                _ if completed.killed_for == Some(Code::LimitMemory) => {
                    audit::Ended::LimitReached("memory".to_owned())
                }
                _ if completed.killed_for.is_some() => {
                    audit::Ended::LimitReached("output".to_owned())
                }
                Status::Exited(code) => audit::Ended::Exited(i32::from(code)),
                Status::Signalled(signal) => audit::Ended::Signaled(signal),
                Status::TimedOut => audit::Ended::TimedOut,
            },
            duration_us: u64::try_from(completed.duration.as_micros()).unwrap_or(u64::MAX),
            stdout_bytes: completed.stdout_written,
            stderr_bytes: completed.stderr_written,
            stdout_digest: stdout.or_else(|| key.map(|key| key.digest(&completed.stdout))),
            stderr_digest: stderr.or_else(|| key.map(|key| key.digest(&completed.stderr))),
            env_dropped: dropped.iter().map(|dropped| dropped.name.clone()).collect(),
            stragglers_killed: completed.stragglers,
            confinement: completed.report.tier().name().to_owned(),
            connections: completed
                .connections
                .iter()
                .map(explained::record)
                .collect(),
            trees: completed.trees.iter().map(notice::record).collect(),
            ..self.outcome(call)
        });
        self.append(&event)
    }

    /// No audit line, no effect: a trail that cannot be written closes the gate.
    pub(super) fn append(&mut self, event: &Event) -> Result<(), GuestError> {
        match self.parts.trail.sink.append(Timestamp::now(), event) {
            Ok(_) => Ok(()),
            Err(error) => {
                self.activity.failure(format!(
                    "the audit trail cannot be written: {}",
                    with_causes(&error)
                ));
                Err(GuestError::CannotStart)
            }
        }
    }
}
