//! The gate: one per instance, in front of every effect.
//!
//! Each kind of request is one method with the same steps: resolve, decide, write the decision down, act, write the
//! outcome down. An ABI adapter decodes, asks the gate and encodes; it decides nothing.

mod consent;
mod limits;
mod records;

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_audit::{self as audit, Event, Masked};
use portcullis_exec::{
    Complaint, Completed, ExecAsk, ExecFailure, Executor, Input, Opened, Permit, Place, Quota,
    ServerError, Sharer, Stdio, resolve,
};
use portcullis_policy::{
    Authorized, ChangeRequest, Code, Decision, Denial, ExecRequest, ExecTerms, Grants, GuestError,
    Program, decide,
};

use crate::activity::{Activity, Command};
use crate::capability::fs_guard::NamedByGit;
use crate::clock::CallClock;
use crate::consent::Asker;
use crate::digest::{self};
use crate::explained::{self, Whose};
use crate::notice;
use crate::trail::{Running, Trail};

/// What a gate needs, shared by all instances of one loaded plugin.
#[derive(Debug)]
pub(crate) struct GateParts {
    pub(crate) grants: Arc<Grants>,
    pub(crate) place: Arc<Place>,
    pub(crate) executor: Option<Executor>,
    pub(crate) quota: Arc<Quota>,
    pub(crate) named_by_git: Arc<NamedByGit>,
    pub(crate) trail: Trail,
    pub(crate) asker: Asker,
}

/// The only door between a guest and the host.
#[derive(Debug)]
pub(crate) struct Gate {
    parts: Arc<GateParts>,
    run: Arc<str>,
    calls: u64,
    /// When the guest's call is over, and every command with it.
    pub(crate) clock: CallClock,
    /// What it was granted, and what a person allowed it since.
    grants: Arc<Grants>,
    answers: consent::Answers,
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
            grants: Arc::clone(&parts.grants),
            answers: consent::Answers::default(),
            parts,
            run,
            calls: 0,
            clock: CallClock::default(),
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
        let (mut request, opened) = resolve(&self.grants, &parts.place, &ask);
        request.stdin = !matches!(stdio.stdin, Input::Nothing);
        let object = Masked::argv(
            std::iter::once(ask.program.as_str()).chain(ask.args.iter().map(String::as_str)),
        );
        let decision = decide(&self.grants, request);
        match self.consented(call, &object, decision).await? {
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
            .run(authorized, opened, stdio, self.clock.end(), permit)
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
