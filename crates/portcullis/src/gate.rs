//! The gate: one per instance, in front of every effect.
//!
//! Each kind of request is one method with the same steps: resolve, decide, write the decision down, act, write the
//! outcome down. An ABI adapter decodes, asks the gate and encodes; it decides nothing.

mod aside;
mod begun;
mod beside;
mod consent;
mod exhausted;
mod limits;
mod noted;
mod records;
mod used;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_audit::Masked;
use portcullis_exec::{
    CacheOwner, Complaint, Completed, ExecAsk, Executor, Input, Opened, Permit, Place, Quota,
    Sharer, Stdio, resolve,
};
use portcullis_policy::{
    Authorized, ChangeRequest, Code, Confinement, Decision, Denial, ExecRequest, ExecTerms,
    FsAccess, Grants, GuestError, HostEnvironment, Limits, Program, decide,
};

use crate::activity::{Activity, Command};
use crate::capability::Client;
use crate::capability::fs::{NamedByGit, Roots, Total};
use crate::capability::http::Requests;
use crate::capability::prompt::Whom;
use crate::clock::CallClock;
use crate::consent::Asker;
use crate::digest;
use crate::explained::{self, Whose};
use crate::guest_log::GuestLog;
use crate::kept::Kept;
use crate::needs::{EndedCommand, Need, NeededCommand, Told};
use crate::notice;
use crate::rates::Rates;
use crate::record::Tape;
use crate::stdio::GuestStdio;
use crate::trail::Trail;
use begun::{Begun, Ended};
pub(crate) use beside::{Child, Children, Ending, KilledOnDrop, Modes, Over, Way};
pub(crate) use records::Unwritten;
use records::{Failure, Lines};
pub(crate) use used::{Use, UseLines};

/// What a gate needs, shared by all instances of one loaded plugin.
pub(crate) struct GateParts {
    pub(crate) grants: Arc<Grants>,
    pub(crate) place: Arc<Place>,
    pub(crate) executor: Option<Executor>,
    pub(crate) quota: Arc<Quota>,
    pub(crate) rates: Arc<Rates>,
    pub(crate) caches_of: Option<CacheOwner>,
    pub(crate) named_by_git: Arc<NamedByGit>,
    /// Directories that were granted, opened.
    pub(crate) roots: Arc<Roots>,
    /// What it keeps.
    pub(crate) kept: Arc<Kept>,
    pub(crate) trail: Trail,
    /// Where the guest's own output goes, and that of commands which inherit it.
    pub(crate) stdio: GuestStdio,
    /// Where the lines go that the guest writes into the log.
    pub(crate) guest_log: Option<Arc<dyn GuestLog>>,
    pub(crate) asker: Asker,
    /// Whom the guest may ask something.
    pub(crate) prompter: Whom,
    /// What the guest's own requests are sent with.
    pub(crate) http: Arc<Client>,
    /// The environment the host was started with, secrets that only the host uses included. A guest has that of `place`.
    pub(crate) secret_env: HostEnvironment,
    /// What the guest itself may be told of.
    pub(crate) guest_env: HostEnvironment,
    /// The directory that only this plugin of fledge has.
    pub(crate) own_data: Option<PathBuf>,
    /// How commands are confined that the host runs for itself.
    pub(crate) aside: Confinement,
    /// What its instances are recorded to, or played from.
    pub(crate) tape: Option<Tape>,
    /// Who wants to know what it needs.
    pub(crate) needs: Told,
}

impl std::fmt::Debug for GateParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GateParts")
            .field("grants", &self.grants)
            .finish_non_exhaustive()
    }
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
    /// What the guest calls the work that its request belongs to.
    request_id: Option<Masked>,
    /// The program that ran last.
    last_program: String,
    /// What commands said that failed, until the guest has returned.
    unexplained: Vec<(Whose, Complaint)>,
    /// What runs beside the guest.
    pub(crate) children: Children,
    /// Bytes that the guest may still write to files.
    pub(crate) written: Total,
    /// Requests beside the guest.
    pub(crate) requests: Requests,
}

/// Characters of what a guest calls its work that are written down.
const MAX_REQUEST_ID: usize = 128;

/// Failed commands of one call that are explained.
const UNEXPLAINED: usize = 32;
/// How long explaining them may take.
const PATIENCE: Duration = Duration::from_secs(1);

impl Gate {
    pub(crate) fn new(parts: Arc<GateParts>, run: Arc<str>) -> Self {
        Self {
            written: Total::new(&parts.grants.limits),
            grants: Arc::clone(&parts.grants),
            requests: Requests::new(&parts.grants.limits),
            answers: consent::Answers::default(),
            parts,
            run,
            calls: 0,
            clock: CallClock::default(),
            overlay: Vec::new(),
            sharer: Sharer::new(),
            activity: Activity::default(),
            request_id: None,
            last_program: String::new(),
            unexplained: Vec::new(),
            children: Children::default(),
        }
    }

    /// Forgets what only the instance before knew, whose memory is gone. What it did and was refused, the numbers of its
    /// calls and what a person allowed stay; its commands are ended with the next call, if they are not gone by then.
    pub(crate) fn of_next_instance(mut self) -> Self {
        self.overlay.clear();
        self.sharer = Sharer::new();
        self.last_program.clear();
        self
    }

    /// Runs a native command for the guest and waits for it.
    pub(crate) async fn exec(&mut self, mut wish: Wish) -> Result<Completed, Refused> {
        let stdio = Stdio::from(wish.ask.stdin.take());
        match self.command(wish, stdio).await {
            Ok(completed) => Ok(completed),
            Err(NotRun::Guest(refused)) => Err(refused),
            // Nothing of a guest's command is relayed.
            Err(NotRun::CutOff(_)) => Err(GuestError::CannotStart.into()),
        }
    }

    /// Runs a native command with these streams.
    pub(crate) async fn command(&mut self, wish: Wish, stdio: Stdio) -> Result<Completed, NotRun> {
        let streams = Asked {
            stdin: !matches!(stdio.stdin, Input::Nothing),
            inherit_output: false,
        };
        self.make_room().await;
        let noted = self.command_to_note(&wish.ask, &stdio.stdin);
        let admitted = self.admit(wish.ask, streams).await?;
        let deadline = self.until(wish.timeout);
        let Some(executor) = self.parts.executor.clone() else {
            return self.ended(admitted.begun.failed(no_server()));
        };
        let (stdio, digests) = digest::of_relayed(stdio, self.parts.trail.key.as_deref());
        let Admitted {
            mut begun,
            authorized,
            opened,
            permit,
        } = admitted;
        begun.digests = digests;
        let run = executor.run(authorized, opened, stdio, deadline, permit);
        let run = run.await;
        let completed = self.ended(begun.ended(run))?;
        self.note_command(noted, &completed);
        Ok(completed)
    }

    /// What the guest calls the work that its next requests belong to, for the trail. Cut to 128 characters.
    pub(crate) fn work_on(&mut self, request_id: Option<&str>) {
        self.request_id = request_id.map(|id| {
            let end = id.char_indices().nth(MAX_REQUEST_ID);
            Masked::new(&id[..end.map_or(id.len(), |(end, _)| end)])
        });
    }

    /// When a command or request is to end that may take this long.
    pub(crate) fn until(&self, timeout: Option<Duration>) -> Option<Instant> {
        let own = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        [self.clock.end(), own].into_iter().flatten().min()
    }

    /// Resolves and decides, asks if that is the decision, and writes it down.
    async fn admit(&mut self, mut ask: ExecAsk, streams: Asked) -> Result<Admitted, Refused> {
        self.collect();
        self.calls += 1;
        let call = self.calls;
        if !self.overlay.is_empty() {
            ask.env = self.overlay.iter().cloned().chain(ask.env).collect();
        }
        let parts = Arc::clone(&self.parts);
        let (mut request, opened) = resolve(&self.grants, &parts.place, &ask);
        request.stdin = streams.stdin;
        request.inherit_output = streams.inherit_output;
        let object = Masked::argv(
            std::iter::once(ask.program.as_str()).chain(ask.args.iter().map(String::as_str)),
        );
        let decision = decide(&self.grants, request);
        match self.consented(call, &object, decision).await? {
            // The place comes first, so that what is written down as allowed is also run.
            Decision::Allow(authorized) => match parts.quota.begin(Instant::now()) {
                Ok(permit) => {
                    let lines = self.lines(call);
                    let rule = authorized.terms().rules.first();
                    let rule = rule.map(|id| self.rule(id));
                    let written = lines.decision(&object, Ok(rule));
                    self.closed_without(written)?;
                    self.parts
                        .needs
                        .tell(|| Need::Command(NeededCommand::of(call, authorized.request())));
                    Ok(Admitted {
                        begun: Begun::new(lines, &authorized),
                        permit: permit
                            .of(&self.sharer)
                            .with_pauses(self.clock.pauses())
                            .with_caches_of(parts.caches_of.clone()),
                        authorized,
                        opened,
                    })
                }
                Err(code) => {
                    let denial = self.limit(code, &program_of(authorized.request()), None);
                    Err(self.refuse(call, &object, denial)?)
                }
            },
            Decision::Ask { denial, .. } | Decision::Deny(denial) => {
                Err(self.refuse(call, &object, *denial)?)
            }
        }
    }

    fn lines(&self, call: u64) -> Lines {
        Lines {
            parts: Arc::clone(&self.parts),
            run: Arc::clone(&self.run),
            call,
            request_id: self.request_id.clone(),
        }
    }

    /// No audit line, no effect.
    fn closed_without(&mut self, written: Result<(), Unwritten>) -> Result<(), GuestError> {
        written.map_err(|Unwritten(why)| {
            self.activity.failure(why);
            GuestError::CannotStart
        })
    }

    /// Decides on a change that the guest makes to a file itself. Only denials are written down.
    pub(crate) fn change(
        &mut self,
        request: ChangeRequest,
    ) -> Result<Authorized<ChangeRequest>, GuestError> {
        let object = Masked::new(&request.path.display().to_string());
        match decide(&self.parts.grants, request) {
            Decision::Allow(authorized) => {
                self.needs_file(&authorized.request().path, FsAccess::ReadWrite);
                Ok(authorized)
            }
            Decision::Ask { denial, .. } | Decision::Deny(denial) => {
                self.calls += 1;
                let refused = self.refuse(self.calls, &object, *denial);
                Err(refused?.guest)
            }
        }
    }

    /// A change that was not made because the system does not tell where.
    pub(crate) fn unplaced(&mut self, path: &str) {
        let why = format!(
            "cannot tell what `{}` is: this takes Linux 5.6 and a mounted `/proc`",
            Masked::new(path).as_str().escape_debug()
        );
        self.activity.failure(why);
    }

    /// Tells of a file or directory that the guest uses itself.
    pub(crate) fn needs_file(&self, path: &Path, access: FsAccess) {
        self.parts.needs.tell(|| Need::File {
            path: path.to_owned(),
            access,
        });
    }

    pub(crate) fn parts(&self) -> &GateParts {
        &self.parts
    }

    pub(crate) fn rates(&self) -> Arc<Rates> {
        Arc::clone(&self.parts.rates)
    }

    /// The instance's name in the trail.
    pub(crate) fn run_id(&self) -> &str {
        &self.run
    }

    /// The environment the host was started with, for the host's own use.
    pub(crate) fn secret_env(&self) -> HostEnvironment {
        self.parts.secret_env.clone()
    }

    /// The environment that the guest itself may be told of, as far as it may be granted.
    pub(crate) fn host_env(&self) -> HostEnvironment {
        self.parts.guest_env.clone()
    }

    /// The real path of the project directory.
    pub(crate) fn project(&self) -> &Path {
        self.parts.place.project()
    }

    /// How much of the machine the plugin may use.
    pub(crate) fn limits(&self) -> &Limits {
        &self.parts.grants.limits
    }

    /// Granted directories, opened.
    pub(crate) fn roots(&self) -> Arc<Roots> {
        Arc::clone(&self.parts.roots)
    }

    /// What the guest's own requests are sent with.
    pub(crate) fn http_client(&self) -> Arc<Client> {
        Arc::clone(&self.parts.http)
    }

    /// The directory of its own, if it has one.
    pub(crate) fn own_data(&self) -> Option<PathBuf> {
        self.parts.own_data.clone()
    }

    /// The plugin's own state.
    pub(crate) fn kept(&self) -> &Arc<Kept> {
        &self.parts.kept
    }

    /// What the plugin was granted.
    pub(crate) fn grants(&self) -> Arc<Grants> {
        Arc::clone(&self.parts.grants)
    }

    /// What the configurations of repositories name that the plugin may write.
    pub(crate) fn named_by_git(&self) -> Arc<NamedByGit> {
        Arc::clone(&self.parts.named_by_git)
    }

    /// Tells the operator what became of a command. Its outcome is written down, or could not be.
    fn ended(&mut self, ended: Ended) -> Result<Completed, NotRun> {
        let Ended {
            call,
            program,
            terms,
            became,
            written,
        } = ended;
        self.closed_without(written).map_err(Refused::from)?;
        let guest = match became {
            Ok(mut completed) => {
                self.ran(call, program, &terms, &mut completed);
                return Ok(completed);
            }
            Err(Failure::CutOff(error)) => return Err(NotRun::CutOff(error)),
            Err(Failure::Unconfined(denial)) => {
                let guest = denial.guest;
                self.activity.denial(*denial);
                guest
            }
            Err(Failure::TimeUp(why)) => {
                self.activity.failure(why);
                GuestError::TimedOut
            }
            Err(Failure::Other(why)) => {
                self.activity.failure(why);
                GuestError::CannotStart
            }
        };
        Err(NotRun::Guest(guest.into()))
    }

    fn ran(&mut self, call: u64, program: String, terms: &ExecTerms, completed: &mut Completed) {
        self.parts
            .needs
            .tell(|| Need::Ended(EndedCommand::of(call, completed)));
        match completed.killed_for {
            Some(Code::LimitMemory) => {
                let denial = self.over_memory(&program, terms);
                self.activity.denial(denial);
            }
            Some(code) => {
                let denial = self.limit(code, &program, terms.streamed);
                self.activity.denial(denial);
            }
            None => {}
        }
        self.last_program.clone_from(&program);
        for note in &completed.trees {
            let notice = notice::of_tree(&self.parts.grants.plugin, &program, note);
            notice
                .into_iter()
                .for_each(|notice| self.activity.notice(notice));
        }
        self.explain_later(completed, terms, &program);
        self.activity.command(Command {
            call,
            program,
            rules: terms.rules.clone(),
            status: completed.status,
            duration: completed.duration,
            dropped: terms.environment.dropped.clone(),
            stragglers: completed.stragglers,
            confinement: completed.report.to_string(),
            report: completed.report,
            not_in_force: terms.not_in_force.clone(),
        });
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
    ) -> Result<Refused, GuestError> {
        let written = self.lines(call).decision(object, Err(&denial));
        self.denied(written, denial)
    }

    /// Tells the operator of a denial that is written down, and gives what the guest learns of it.
    fn denied(
        &mut self,
        written: Result<(), Unwritten>,
        denial: Denial,
    ) -> Result<Refused, GuestError> {
        self.closed_without(written)?;
        let refused = Refused {
            guest: denial.guest,
            code: Some(denial.code),
        };
        self.note_denial(&denial);
        self.activity.denial(denial);
        Ok(refused)
    }
}

/// A command that a guest wants, and how long it may take at most.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    pub(crate) ask: ExecAsk,
    /// Only less than policy gives.
    pub(crate) timeout: Option<Duration>,
}

impl From<ExecAsk> for Wish {
    fn from(ask: ExecAsk) -> Self {
        Self { ask, timeout: None }
    }
}

/// What policy has to know of the streams that are asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    stdin: bool,
    inherit_output: bool,
}

/// A command that was allowed, and whose decision is written down.
struct Admitted {
    begun: Begun,
    authorized: Authorized<ExecRequest>,
    opened: Opened,
    permit: Permit,
}

/// All that a guest learns of a command that did not run: its kind. Adapters that tell limits apart have the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) guest: GuestError,
    pub(crate) code: Option<Code>,
}

impl From<GuestError> for Refused {
    fn from(guest: GuestError) -> Self {
        Self { guest, code: None }
    }
}

/// Why a command has no status.
#[derive(Debug)]
pub(crate) enum NotRun {
    /// It was refused or failed; the activity says why.
    Guest(Refused),
    /// It was killed, because its streams could not be passed on.
    CutOff(std::io::Error),
}

impl From<Refused> for NotRun {
    fn from(refused: Refused) -> Self {
        Self::Guest(refused)
    }
}

fn no_server() -> Failure {
    Failure::Other("the host was built without a spawn server".to_owned())
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
