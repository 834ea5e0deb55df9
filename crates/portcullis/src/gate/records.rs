//! What a gate writes into the trail.

use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use portcullis_audit::{self as audit, Event, Masked, Sink, Verdict};
use portcullis_exec::{Completed, ExecFailure, ServerError, Status};
use portcullis_policy::{Capability, Code, Denial, Dropped, ExecTerms, Origin, RuleId};

use super::{GateParts, with_causes};
use crate::digest::Relayed;
use crate::{explained, notice};

/// The lines of one request in the trail.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    pub(super) parts: Arc<GateParts>,
    pub(super) run: Arc<str>,
    pub(super) call: u64,
    /// What the guest calls its work.
    pub(super) request_id: Option<Masked>,
}

/// What a decision is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct About<'a> {
    pub(super) capability: Capability,
    /// What of the capability, where it is more than one function.
    pub(super) function: Option<&'static str>,
    pub(super) object: &'a Masked,
}

/// A line that could not be written, and why.
#[derive(Debug)]
pub(crate) struct Unwritten(pub(crate) String);

impl Lines {
    /// The policy's answer.
    pub(super) fn decision(
        &self,
        object: &Masked,
        verdict: Result<Option<audit::Rule>, &Denial>,
    ) -> Result<(), Unwritten> {
        let denial = verdict.as_ref().err();
        let about = About {
            capability: denial.map_or(Capability::Exec, |denial| denial.capability),
            function: None,
            object,
        };
        self.decided(about, verdict, None)
    }

    /// The policy's answer, and what came of it where it is over already.
    pub(super) fn decided(
        &self,
        about: About<'_>,
        verdict: Result<Option<audit::Rule>, &Denial>,
        effect: Option<audit::Effect>,
    ) -> Result<(), Unwritten> {
        let denial = verdict.as_ref().err().copied();
        let rule = verdict.unwrap_or_else(|denial| denial.rule.as_ref().map(rule));
        self.append(&Event::Decision(audit::Decision {
            run: self.run.to_string(),
            call: self.call,
            plugin: self.parts.grants.plugin.to_string(),
            capability: about.capability.name().to_owned(),
            function: about.function.map(str::to_owned),
            object: about.object.clone(),
            request_id: self.request_id.clone(),
            verdict: if denial.is_none() {
                Verdict::Allow
            } else {
                Verdict::Deny
            },
            rule,
            code: denial.map(|denial| denial.code.to_string()),
            reason: denial.map(|denial| Masked::new(&denial.notes.join("; "))),
            effect,
        }))
    }

    /// What a person answered.
    pub(super) fn answer(&self, object: &Masked, answer: audit::Answer) -> Result<(), Unwritten> {
        self.append(&Event::Asked(audit::Asked {
            run: self.run.to_string(),
            call: self.call,
            plugin: self.parts.grants.plugin.to_string(),
            capability: Capability::Exec.name().to_owned(),
            object: object.clone(),
            answer,
        }))
    }

    /// The outcome of a command that was given up; every other begins with it.
    pub(super) fn given_up(&self) -> audit::Outcome {
        audit::Outcome {
            run: self.run.to_string(),
            call: self.call,
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

    /// What became of a command that was allowed.
    pub(super) fn outcome(
        &self,
        became: &Result<Completed, Failure>,
        dropped: &[Dropped],
        relayed: [Option<Relayed>; 2],
    ) -> Result<(), Unwritten> {
        let outcome = match became {
            Ok(completed) => self.completed(completed, dropped, relayed),
            // It ran, and was killed because nobody reads what it says.
            Err(Failure::CutOff(_)) => self.given_up(),
            Err(Failure::Unconfined(denial)) => {
                self.failed(&format!("{}: {}", denial.code, denial.notes.join("; ")))
            }
            Err(Failure::TimeUp(why) | Failure::Other(why)) => self.failed(why),
        };
        self.append(&Event::Outcome(outcome))
    }

    fn failed(&self, why: &str) -> audit::Outcome {
        audit::Outcome {
            ended: audit::Ended::FailedToStart(Masked::new(why)),
            ..self.given_up()
        }
    }

    fn completed(
        &self,
        completed: &Completed,
        dropped: &[Dropped],
        relayed: [Option<Relayed>; 2],
    ) -> audit::Outcome {
        let key = self.parts.trail.key.as_deref();
        let [stdout, stderr] = relayed.map(|relayed| relayed.map(|relayed| relayed.digest()));
        audit::Outcome {
            ended: ended(completed),
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
            ..self.given_up()
        }
    }

    /// No audit line, no effect: a trail that cannot be written closes the gate.
    pub(super) fn append(&self, event: &Event) -> Result<(), Unwritten> {
        let appended = self.parts.trail.sink.append(Timestamp::now(), event);
        appended.map(drop).map_err(|error| {
            Unwritten(format!(
                "the audit trail cannot be written: {}",
                with_causes(&error)
            ))
        })
    }
}

/// A rule as the trail has it.
pub(super) fn rule((id, origin): &(RuleId, Origin)) -> audit::Rule {
    audit::Rule {
        id: id.to_string(),
        origin: origin.to_string(),
    }
}

fn ended(completed: &Completed) -> audit::Ended {
    match completed.status {
        _ if completed.asked => audit::Ended::Cancelled,
        _ if completed.killed_for == Some(Code::LimitMemory) => {
            audit::Ended::LimitReached("memory".to_owned())
        }
        _ if completed.killed_for.is_some() => audit::Ended::LimitReached("output".to_owned()),
        Status::Exited(code) => audit::Ended::Exited(i32::from(code)),
        Status::Signalled(signal) => audit::Ended::Signaled(signal),
        Status::TimedOut => audit::Ended::TimedOut,
    }
}

/// Why a command that was allowed has no status.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was killed, because its streams could not be passed on.
    CutOff(io::Error),
    /// It cannot be confined as it was allowed.
    Unconfined(Box<Denial>),
    /// Its time was over before it began.
    TimeUp(String),
    /// The host failed, for this reason.
    Other(String),
}

impl Failure {
    pub(super) fn of(
        failure: ExecFailure,
        parts: &GateParts,
        program: &str,
        terms: &ExecTerms,
    ) -> Self {
        let why = || format!("`{program}` did not run: {}", with_causes(&failure));
        match failure {
            ExecFailure::Start(_) | ExecFailure::Server(ServerError::Cell { .. }) => {
                Self::Unconfined(Box::new(Denial::unconfinable(
                    &parts.grants.plugin,
                    program,
                    terms.confinement,
                    &with_causes(&failure),
                    "see what is missing here, and what adds it: `portcullis doctor`",
                )))
            }
            ExecFailure::Relay(error) => Self::CutOff(error),
            ExecFailure::TimeUp => Self::TimeUp(why()),
            _ => Self::Other(why()),
        }
    }
}
