//! The gate: one per instance, in front of every effect.
//!
//! Each kind of request is one method with the same steps: resolve, decide, write the decision down, act, write the
//! outcome down. An ABI adapter decodes, asks the gate and encodes; it decides nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use portcullis_audit::{self as audit, AppendError, DigestKey, Event, Head, Masked, Sink, Verdict};
use portcullis_exec::{
    Complaint, Completed, ExecAsk, ExecFailure, Executor, Input, Opened, Permit, Place, Quota,
    Report, ServerError, Sharer, Status, Stdio, resolve,
};
use portcullis_policy::{
    Authorized, Capability, ChangeRequest, Code, Decision, Denial, Dropped, ExecRequest, ExecTerms,
    Grants, GuestError, Program, RuleId, decide,
};

use crate::capability::fs_guard::NamedByGit;
use crate::digest::{self, Relayed};
use crate::explained::{self, Whose};
use crate::{Diagnostic, notice};

/// What a gate needs, shared by all instances of one loaded plugin.
#[derive(Debug)]
pub(crate) struct GateParts {
    pub(crate) grants: Arc<Grants>,
    pub(crate) place: Arc<Place>,
    pub(crate) executor: Option<Executor>,
    pub(crate) quota: Arc<Quota>,
    pub(crate) named_by_git: Arc<NamedByGit>,
    pub(crate) trail: Trail,
}

/// Where decisions and outcomes are written down.
#[derive(Clone)]
pub(crate) struct Trail {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) key: Option<Arc<DigestKey>>,
}

impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trail").finish_non_exhaustive()
    }
}

/// The trail of an application that keeps none.
pub(crate) struct Nowhere;

impl Sink for Nowhere {
    fn append(&self, _: Timestamp, _: &Event) -> Result<Option<Head>, AppendError> {
        Ok(None)
    }
}

/// One command that ran, for the operator's report.
#[derive(Clone, Debug)]
pub struct Command {
    /// The number of the call in the audit trail.
    pub call: u64,
    /// The program's real path.
    pub program: String,
    /// The rules that allowed it.
    pub rules: Vec<RuleId>,
    /// How it ended.
    pub status: Status,
    /// Wall-clock time.
    pub duration: Duration,
    /// Variables of the host that were left out of its environment.
    pub dropped: Vec<Dropped>,
    /// Processes that outlived it and were killed.
    pub stragglers: u32,
    /// What the kernel enforced on it, in words.
    pub confinement: String,
    /// The same as data: the tier, and each protection that was in force, read back by its cell.
    pub report: Report,
    /// Keys of its rules that only the kernel could enforce and that were not in force.
    pub not_in_force: Vec<&'static str>,
}

/// What the plugin did and what it was refused, since the instance was made.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    /// Commands that ran, in order.
    pub commands: Vec<Command>,
    /// Requests that were refused, in order.
    pub denials: Vec<Denial>,
    /// Failures of the host that the guest saw as an error, in words.
    pub failures: Vec<String>,
    /// What commands left that needs a look, in order.
    pub notices: Vec<Diagnostic>,
    /// How many commands, denials, failures and notices came after the first [`Activity::KEPT`] of each, and are not in the
    /// lists. The audit trail has them.
    pub not_kept: u64,
}

impl Activity {
    /// How many of each are kept: a plugin decides how many there are.
    pub const KEPT: usize = 1000;

    fn keep<T>(list: &mut Vec<T>, not_kept: &mut u64, item: T) {
        if list.len() < Self::KEPT {
            list.push(item);
        } else {
            *not_kept += 1;
        }
    }

    fn command(&mut self, command: Command) {
        Self::keep(&mut self.commands, &mut self.not_kept, command);
    }

    fn denial(&mut self, denial: Denial) {
        Self::keep(&mut self.denials, &mut self.not_kept, denial);
    }

    fn notice(&mut self, notice: Diagnostic) {
        Self::keep(&mut self.notices, &mut self.not_kept, notice);
    }

    /// One that is there already is not told again: the same command may fail a thousand times.
    fn notice_once(&mut self, notice: Diagnostic) {
        if !self.notices.contains(&notice) {
            self.notice(notice);
        }
    }

    fn failure(&mut self, why: String) {
        Self::keep(&mut self.failures, &mut self.not_kept, why);
    }
}

/// The only door between a guest and the host.
#[derive(Debug)]
pub(crate) struct Gate {
    parts: Arc<GateParts>,
    run: Arc<str>,
    calls: u64,
    /// When the guest's call is over, and every command with it.
    pub(crate) deadline: Option<Instant>,
    /// The plugin's own environment for all its commands.
    pub(crate) overlay: Vec<(String, String)>,
    pub(crate) activity: Activity,
    /// What its commands may have in common, they have with no other instance's.
    sharer: Sharer,
    /// The program that ran last.
    last_program: String,
    /// What commands said that failed, until the guest has returned.
    unexplained: Vec<(Whose, Complaint)>,
}

/// Failed commands of one call that are explained.
const UNEXPLAINED: usize = 32;
/// How long explaining them may take.
const PATIENCE: Duration = Duration::from_secs(1);

impl Gate {
    pub(crate) fn new(parts: Arc<GateParts>, run: Arc<str>) -> Self {
        Self {
            parts,
            run,
            calls: 0,
            deadline: None,
            overlay: Vec::new(),
            sharer: Sharer::new(),
            activity: Activity::default(),
            last_program: String::new(),
            unexplained: Vec::new(),
        }
    }

    /// Runs a native command for the guest.
    pub(crate) async fn exec(&mut self, mut ask: ExecAsk) -> Result<Completed, GuestError> {
        let stdio = Stdio::from(ask.stdin.take());
        match self.command(ask, stdio).await {
            Ok(completed) => Ok(completed),
            Err(NotRun::Guest(error)) => Err(error),
            // Nothing of a guest's command is relayed.
            Err(NotRun::CutOff(_)) => Err(GuestError::CannotStart),
        }
    }

    /// Runs a native command with these streams.
    pub(crate) async fn command(
        &mut self,
        mut ask: ExecAsk,
        stdio: Stdio,
    ) -> Result<Completed, NotRun> {
        self.calls += 1;
        let call = self.calls;
        if !self.overlay.is_empty() {
            ask.env = self.overlay.iter().cloned().chain(ask.env).collect();
        }
        let parts = Arc::clone(&self.parts);
        let (mut request, opened) = resolve(&parts.grants, &parts.place, &ask);
        request.stdin = !matches!(stdio.stdin, Input::Nothing);
        let object = Masked::argv(
            std::iter::once(ask.program.as_str()).chain(ask.args.iter().map(String::as_str)),
        );
        match decide(&parts.grants, request) {
            // The place comes first, so that what is written down as allowed is also run.
            Decision::Allow(authorized) => match parts.quota.begin(Instant::now()) {
                Ok(permit) => {
                    self.record_decision(call, &object, Ok(&authorized.terms().rules))?;
                    let permit = permit.of(&self.sharer);
                    self.act(call, authorized, opened, stdio, permit).await
                }
                Err(code) => {
                    let denial = self.limit(code, &program_of(authorized.request()));
                    Err(self.refuse(call, &object, denial)?.into())
                }
            },
            // Nobody is there to be asked: the denial stands.
            Decision::Ask { denial, .. } | Decision::Deny(denial) => {
                Err(self.refuse(call, &object, *denial)?.into())
            }
        }
    }

    /// Decides on a change that the guest makes to a file itself. Only denials are written down.
    pub(crate) fn change(
        &mut self,
        request: ChangeRequest,
    ) -> Result<Authorized<ChangeRequest>, GuestError> {
        let object = Masked::new(&request.path.display().to_string());
        match decide(&self.parts.grants, request) {
            Decision::Allow(authorized) => Ok(authorized),
            Decision::Ask { denial, .. } | Decision::Deny(denial) => {
                self.calls += 1;
                Err(self.refuse(self.calls, &object, *denial)?)
            }
        }
    }

    /// A change that was not made because the system does not tell where.
    pub(crate) fn unplaced(&mut self, path: &str) {
        let why = format!(
            "cannot tell what `{}` is: this takes Linux 5.6 and a mounted `/proc`",
            path.escape_debug()
        );
        self.activity.failure(why);
    }

    /// What the plugin was granted.
    pub(crate) fn grants(&self) -> Arc<Grants> {
        Arc::clone(&self.parts.grants)
    }

    /// What the configurations of repositories name that the plugin may write.
    pub(crate) fn named_by_git(&self) -> Arc<NamedByGit> {
        Arc::clone(&self.parts.named_by_git)
    }

    async fn act(
        &mut self,
        call: u64,
        authorized: Authorized<ExecRequest>,
        opened: Opened,
        stdio: Stdio,
        permit: Permit,
    ) -> Result<Completed, NotRun> {
        let parts = Arc::clone(&self.parts);
        let terms = authorized.terms().clone();
        let program = program_of(authorized.request());
        let Some(executor) = &parts.executor else {
            let why = "the host was built without a spawn server".to_owned();
            return Err(self.failed(call, why)?.into());
        };
        let (stdio, digests) = digest::of_relayed(stdio, parts.trail.key.as_deref());
        let mut running = Running {
            trail: parts.trail.clone(),
            given_up: Some(self.outcome(call)),
        };
        let run = executor
            .run(authorized, opened, stdio, self.deadline, permit)
            .await;
        running.given_up = None;
        match run {
            Ok(mut completed) => {
                self.record_outcome(call, &completed, &terms.environment.dropped, digests)?;
                if completed.killed_for == Some(Code::LimitMemory) {
                    self.activity.denial(self.over_memory(&program, &terms));
                }
                self.last_program.clone_from(&program);
                for note in &completed.trees {
                    let notice = notice::of_tree(&parts.grants.plugin, &program, note);
                    notice
                        .into_iter()
                        .for_each(|notice| self.activity.notice(notice));
                }
                self.explain_later(&mut completed, &terms, &program);
                self.activity.command(Command {
                    call,
                    program,
                    rules: terms.rules,
                    status: completed.status,
                    duration: completed.duration,
                    dropped: terms.environment.dropped,
                    stragglers: completed.stragglers,
                    confinement: completed.report.to_string(),
                    report: completed.report,
                    not_in_force: terms.not_in_force,
                });
                Ok(completed)
            }
            Err(
                failure @ (ExecFailure::Start(_) | ExecFailure::Server(ServerError::Cell { .. })),
            ) => {
                let denial = Denial::unconfinable(
                    &parts.grants.plugin,
                    &program,
                    terms.confinement,
                    &with_causes(&failure),
                    "see what is missing here, and what adds it: `portcullis doctor`",
                );
                Err(self.not_confined(call, denial)?.into())
            }
            Err(ExecFailure::Relay(error)) => {
                // It ran, and was killed because nobody reads what it says.
                self.append(&Event::Outcome(self.outcome(call)))?;
                Err(NotRun::CutOff(error))
            }
            Err(failure) => {
                let why = format!("`{program}` did not run: {}", with_causes(&failure));
                Err(self.failed(call, why)?.into())
            }
        }
    }

    /// Keeps what a command said when it failed, and tells the operator what its proxy refused.
    fn explain_later(&mut self, completed: &mut Completed, terms: &ExecTerms, program: &str) {
        let whose = Whose::of(&self.parts.grants, terms, program);
        let refused = completed
            .connections
            .iter()
            .filter_map(|asked| whose.connection(asked));
        refused.for_each(|told| self.activity.notice_once(told));
        if let Some(complaint) = completed.complaint.take()
            && self.unexplained.len() < UNEXPLAINED
        {
            self.unexplained.push((whose, complaint));
        }
    }

    /// Tells the operator what confinement kept from the commands that failed. To be called when the guest has
    /// returned, which could take the time of it.
    pub(crate) async fn explain(&mut self) {
        let unexplained = std::mem::take(&mut self.unexplained);
        if unexplained.is_empty() {
            return;
        }
        let look = move || explained::look(unexplained);
        // Where a file system is far away or hangs, nobody waits for it.
        let looked = tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(look)).await;
        if let Ok(Ok(told)) = looked {
            told.into_iter()
                .for_each(|told| self.activity.notice_once(told));
        }
    }

    /// Reports to the operator that output was cut; the adapter decides what the guest gets for it.
    pub(crate) fn output_limit(&mut self, completed: &Completed) -> GuestError {
        let code = completed.killed_for.unwrap_or(Code::LimitOutput);
        let denial = self.limit(code, &self.last_program);
        self.activity.denial(denial);
        GuestError::OutputLimit
    }

    /// What the operator is told of a command that was killed for its memory; the guest has its status.
    fn over_memory(&self, program: &str, terms: &ExecTerms) -> Denial {
        let most = terms.rights.memory.unwrap_or_default();
        Denial {
            notes: vec![format!(
                "it and what it started had more than {most} bytes (`memory` of its rule)"
            )],
            rule: None,
            guest: GuestError::MemoryLimit,
            action: format!("have more memory for `{program}`"),
            ..self.limit(Code::LimitMemory, program)
        }
    }

    fn limit(&self, code: Code, program: &str) -> Denial {
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
                format!(
                    "a stream is longer than {} bytes (`limits.output`)",
                    limits.output
                ),
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

    /// Writes a denial down and gives what the guest learns of it.
    fn refuse(
        &mut self,
        call: u64,
        object: &Masked,
        denial: Denial,
    ) -> Result<GuestError, GuestError> {
        self.record_decision(call, object, Err(&denial))?;
        let guest = denial.guest;
        self.activity.denial(denial);
        Ok(guest)
    }

    fn failed(&mut self, call: u64, why: String) -> Result<GuestError, GuestError> {
        let event = Event::Outcome(audit::Outcome {
            ended: audit::Ended::FailedToStart(Masked::new(&why)),
            ..self.outcome(call)
        });
        self.append(&event)?;
        self.activity.failure(why);
        Ok(GuestError::CannotStart)
    }

    /// A command that was allowed, and cannot be confined as it was allowed: it does not run.
    fn not_confined(&mut self, call: u64, denial: Denial) -> Result<GuestError, GuestError> {
        let why = format!("{}: {}", denial.code, denial.notes.join("; "));
        let event = Event::Outcome(audit::Outcome {
            ended: audit::Ended::FailedToStart(Masked::new(&why)),
            ..self.outcome(call)
        });
        self.append(&event)?;
        let guest = denial.guest;
        self.activity.denial(denial);
        Ok(guest)
    }

    fn record_decision(
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
        let rules = self.parts.grants.exec.iter().flat_map(|exec| &exec.allow);
        rules
            .into_iter()
            .find(|rule| rule.id == *id)
            .map(|rule| rule.origin.to_string())
            .unwrap_or_default()
    }

    fn outcome(&self, call: u64) -> audit::Outcome {
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
        }
    }

    fn record_outcome(
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
            ..self.outcome(call)
        });
        self.append(&event)
    }

    /// No audit line, no effect: a trail that cannot be written closes the gate.
    fn append(&mut self, event: &Event) -> Result<(), GuestError> {
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

/// Why a command has no status.
#[derive(Debug)]
pub(crate) enum NotRun {
    /// It was refused or failed; the activity says why.
    Guest(GuestError),
    /// It was killed, because its streams could not be passed on.
    CutOff(std::io::Error),
}

impl From<GuestError> for NotRun {
    fn from(error: GuestError) -> Self {
        Self::Guest(error)
    }
}

/// A command under way: if its call is dropped, the trail says that it was given up.
struct Running {
    trail: Trail,
    given_up: Option<audit::Outcome>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(outcome) = self.given_up.take() {
            // The command is being killed all the same; nobody is left to be told.
            let _ = self
                .trail
                .sink
                .append(Timestamp::now(), &Event::Outcome(outcome));
        }
    }
}

/// The program for messages: the file if it is known, else the text.
fn program_of(request: &ExecRequest) -> String {
    match &request.found {
        Program::Found(found) => found.path.display().to_string(),
        Program::Malformed | Program::Missing | Program::Unfit { .. } => {
            request.program.to_string()
        }
    }
}

/// An error and what caused it, on one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
