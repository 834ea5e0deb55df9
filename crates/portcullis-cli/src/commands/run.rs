//! `portcullis run`

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use portcullis::{
    Activity, CallError, Diagnostic, GuestStdio, Kind, Observation, Plugin, RegletStatus,
    RegletText, Session,
};
use portcullis_audit::{Head, Sink};
use portcullis_config::FlagSet;
use portcullis_policy::Grants;
use serde_json::{Value, json};

use super::replay::Recording;
use super::{asks, audit, call, observed, plan};
use crate::args::{Common, LearnArgs, RunArgs, StageArgs};
use crate::code;
use crate::consent::{AtTheTerminal, Keeper};
use crate::exit::Exit;
use crate::failure::{Failure, Report, Result, diagnostic};
use crate::learning::{self, Notes};
use crate::questions::{self, Questions};
use crate::render::denials::Denials;
use crate::render::guest::{Channel, GuestOutput};
use crate::render::guest_log::ShownLog;
use crate::render::screen::Screen;
use crate::render::trace::Traced;
use crate::render::{Level, Printer};
use crate::session::{self, Run, Witnesses};
use crate::settings::Environment;
use crate::signals::Signals;
use crate::staging;
use crate::target::Target;

/// How long a call may take to be dropped.
const GRACE: Duration = Duration::from_secs(1);

impl Ask {
    /// What is passed to the plugin.
    fn words(&self) -> Vec<String> {
        match self {
            Self::Args(args) | Self::Command { args, .. } | Self::Start(args) => args.clone(),
            Self::Tool { name, params } => vec![name.clone(), params.clone()],
            Self::Observe { config } => vec![config.clone()],
            Self::Describe | Self::Schema => Vec::new(),
        }
    }
}

/// What the guest gave back.
pub(super) enum Answered {
    /// Text for standard output, or for standard error.
    Text(Result<String, String>),
    /// The exit code of a command of WASI, which has written what it says.
    Code(u8),
    /// The code that a plugin of fledge left with.
    Left(i32),
    /// What a plugin of Reglet observed, or said instead of what it was asked for.
    Observed(Observation),
}

pub(super) type Answer = Result<Answered, CallError>;

/// A call that returned, or stopped by itself.
struct Returned {
    answer: Answer,
    activity: Activity,
    signals: Signals,
}

/// How a call came to its end.
enum Ended {
    Returned(Box<Returned>),
    /// Dropped, with everything it had started.
    Stopped(Exit),
}

/// What is asked of a plugin.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    /// Its `run`, with these arguments.
    Args(Vec<String>),
    /// A command of WASI, with the name that it is called by and these arguments.
    Command { name: String, args: Vec<String> },
    /// The `_start` of a plugin of fledge, which is told these arguments.
    Start(Vec<String>),
    /// A tool of a plugin of clawft.
    Tool { name: String, params: String },
    /// What a plugin of Reglet observes with this configuration.
    Observe { config: String },
    /// What a plugin of Reglet says of itself.
    Describe,
    /// The schema of its configuration.
    Schema,
}

/// A plugin, and what is asked of it.
pub(super) struct Job<'a> {
    pub(super) common: &'a Common,
    pub(super) flags: FlagSet,
    pub(super) dry_run: bool,
    pub(super) trace: bool,
    pub(super) stdin: bool,
    pub(super) record: Option<&'a Path>,
    pub(super) learnt: &'a LearnArgs,
    pub(super) stage: &'a StageArgs,
    pub(super) answers: BTreeMap<String, String>,
    pub(super) selector: &'a str,
    pub(super) ask: Ask,
    /// Whether it ends as other verbs do: 1 for an answer that is no.
    pub(super) is_call: bool,
}

pub(super) async fn run(args: &RunArgs, env: Environment, out: Printer) -> Result<Exit> {
    if args.learn.learn {
        return learning::learn(args, env, out).await;
    }
    let (selector, guest_args) = args.called();
    let job = Job {
        common: &args.common,
        flags: args.flags(),
        dry_run: args.dry_run,
        trace: args.trace,
        stdin: args.stdin,
        record: args.record.as_deref(),
        learnt: &args.learn,
        stage: &args.stage,
        answers: questions::answers(&args.answer)?,
        selector,
        ask: Ask::Args(guest_args.to_vec()),
        is_call: false,
    };
    perform(job, env, out).await
}

pub(super) async fn perform(job: Job<'_>, env: Environment, out: Printer) -> Result<Exit> {
    let mut signals = Signals::install()?;
    let json = job.common.output.json;
    let (mut settings, mut target) = Target::load(job.common, &job.flags, &env, job.selector)?;
    if let Some(state) = &job.learnt.state {
        settings.directories.state.clone_from(state);
    }
    target.stage(job.stage)?;
    // Nothing is written by a dry run: what would be staged is only said.
    let mut would_be_staged = Vec::new();
    if job.dry_run {
        would_be_staged = std::mem::take(&mut target.entry.grants.staged);
    }
    staging::begin_anew(&target.entry.grants, &env)?;
    plan::details(&settings, &target, out);
    out.cut(&target.entry.id, &target.entry.cut);
    asks::warn(&target, out);
    // What is a command has its input wherever it is run.
    let stdin = job.stdin || Kind::of(&target.bytes).is_command();
    let screen = Screen::default();
    let channel = if json {
        Channel::Stderr
    } else {
        Channel::Stdout
    };
    let stdout = GuestOutput::new(channel, &screen);
    let stderr = GuestOutput::new(Channel::Stderr, &screen);
    let typed_for_the_plugin = job.stdin && std::io::stdin().is_terminal();
    let questions = Questions {
        answers: job.answers,
        screen: screen.clone(),
        typed_for_the_plugin,
        data: settings.directories.data.clone(),
        out,
    };
    let consent = AtTheTerminal {
        screen,
        keeper: Some(Keeper::new(&settings, &target, !job.common.no_config)),
        typed_for_the_plugin,
        data: settings.directories.data.clone(),
        out,
    };
    let log = Arc::new(ShownLog::new(&stderr, out));
    let trail = session::open_trail(&settings.directories, settings.policy.audit())?;
    let sink: Arc<dyn Sink> = if job.trace {
        Arc::new(Traced::new(Arc::new(trail.clone()), &stderr, audit::words))
    } else {
        trail.clone()
    };
    let recording = job
        .record
        .map(|path| Recording::create(path, &target.entry.path, &job.common.config));
    let mut recording = recording.transpose()?;
    let notes = job.learnt.observed.as_ref().map(|_| Arc::default());
    let host = session::host(
        &settings,
        sink,
        stdio(stdin, &stdout, &stderr),
        Some(Arc::clone(&log)),
        consent,
        Some(questions),
        Witnesses {
            recorder: recording.as_ref().map(|recording| &recording.recorder),
            notes: notes.clone(),
        },
    )?;
    let source = target.source()?;
    let what = format!("compiling plugin `{}`", target.entry.id);
    let plugin = tokio::select! {
        loaded = out.while_doing(&what, host.load(source)) => loaded?,
        exit = signals.next() => return Ok(exit),
    };
    plan::compiled(&plugin, out);
    for notice in plugin.notices() {
        out.report(Level::Warning, &Report::Plain(notice.clone()));
    }
    if job.dry_run {
        let grants = Grants {
            staged: would_be_staged,
            ..plugin.grants().clone()
        };
        plan::print(&settings, &target, &plugin, &grants, json, out)?;
        return Ok(Exit::OK);
    }
    let ask = call::of_kind(job.ask, plugin.kind(), &target, job.selector)?;
    let args = ask.words();
    if let Some(recording) = &mut recording {
        recording.begin(&args)?;
    }
    let run = Run::start(&settings, trail, plugin.id(), plugin.digest(), &args)?;
    let ended = called(&plugin, &run.id, ask, signals, &stdout).await;
    let noted = match (&notes, &job.learnt.observed) {
        (Some(notes), Some(file)) => observe(notes, file),
        _ => Ok(()),
    };
    let recorded = match (&recording, &ended) {
        (Some(recording), Ended::Returned(_)) => recording.end(out),
        // Without an end it says itself that it is not whole.
        (Some(_), Ended::Stopped(_)) | (None, _) => Ok(()),
    };
    let exit = finish(
        ended,
        run,
        &Ending {
            target: &target,
            plugin: &plugin,
            json,
            is_call: job.is_call,
            is_trial: job.learnt.state.is_some(),
            out,
            stdout,
            stderr,
            log,
        },
    )?;
    noted?;
    recorded.map(|()| exit)
}

fn observe(notes: &Notes, file: &Path) -> Result<()> {
    let written = notes.write(file);
    written.map_err(|error| Failure::unusable("write", file, &error))
}

fn stdio(stdin: bool, stdout: &GuestOutput, stderr: &GuestOutput) -> GuestStdio {
    let (stdout, stderr) = (stdout.clone(), stderr.clone());
    let stdio = GuestStdio::default();
    let stdio = if stdin {
        stdio.stdin(wasmtime_wasi::cli::stdin)
    } else {
        stdio
    };
    stdio
        .stdout(move || stdout.clone())
        .stderr(move || stderr.clone())
}

/// Calls the plugin in a task of its own, so that neither a guest that computes nor one whose output nobody reads
/// keeps us from hearing signals.
async fn called(
    plugin: &Plugin,
    run: &str,
    ask: Ask,
    mut signals: Signals,
    stdout: &GuestOutput,
) -> Ended {
    let session = plugin.session(run);
    let mut task = tokio::spawn(async move {
        let answer = answer(&session, &ask).await;
        (answer, session.take_activity().await)
    });
    let exit = tokio::select! {
        done = &mut task => match done {
            Ok((answer, activity)) => return Ended::Returned(Box::new(Returned { answer, activity, signals })),
            // A panic was printed where it happened.
            Err(_) => return Ended::Stopped(Exit::OURS),
        },
        exit = signals.next() => exit,
        () = stdout.closed() => Exit::BROKEN_PIPE,
    };
    signals.end_at_the_second();
    task.abort();
    // Dropping the call kills what it started; this waits until that is done, but not for a guest whose output nobody
    // reads: the end of this process kills its children as well.
    let _ = tokio::time::timeout(GRACE, task).await;
    Ended::Stopped(exit)
}

/// Asks it.
pub(super) async fn answer(session: &Session, ask: &Ask) -> Answer {
    match ask {
        Ask::Args(args) => session.run(args).await.map(Answered::Text),
        Ask::Command { name, args } => {
            let args = [slice::from_ref(name), args].concat();
            session.command(&args).await.map(Answered::Code)
        }
        Ask::Start(args) => session.start_fledge(args).await.map(Answered::Left),
        Ask::Tool { name, params } => session.execute_tool(name, params).await.map(Answered::Text),
        Ask::Observe { config } => session.observe(config).await.map(Answered::Observed),
        Ask::Describe => session.describe_reglet().await.map(said),
        Ask::Schema => session.config_schema().await.map(said),
    }
}

/// What a plugin of Reglet says, or what it observed instead.
fn said(said: RegletText) -> Answered {
    match said {
        Ok(json) => Answered::Text(Ok(json)),
        Err(observation) => Answered::Observed(observation),
    }
}

/// What is needed to report the end of a run.
struct Ending<'a> {
    target: &'a Target,
    plugin: &'a Plugin,
    json: bool,
    is_call: bool,
    /// Whether nobody is told but by the document.
    is_trial: bool,
    out: Printer,
    stdout: GuestOutput,
    stderr: GuestOutput,
    log: Arc<ShownLog>,
}

fn finish(ended: Ended, run: Run, ending: &Ending<'_>) -> Result<Exit> {
    let Returned {
        answer,
        activity,
        signals,
    } = match ended {
        Ended::Returned(returned) => *returned,
        Ended::Stopped(exit) => {
            run.end(exit, ending.out)?;
            return Ok(exit);
        }
    };
    let exit = match exit_of(&answer, &activity) {
        Exit::OK => Exit::OK,
        _ if ending.is_call => Exit::NEGATIVE,
        exit => exit,
    };
    let id = run.id.clone();
    let head = run.end(exit, ending.out)?;
    signals.end_at_the_first();
    let mut activity = activity;
    ending.target.complete_all(&mut activity.notices);
    let denials = Denials::of(&activity.denials, ending.target);
    if ending.json {
        ending.out.json(document(
            exit, &id, &answer, &activity, &denials, head, ending,
        ))?;
    } else {
        match &answer {
            Ok(Answered::Text(Ok(text))) => ending.stdout.paragraph(text)?,
            Ok(Answered::Text(Err(text))) => ending.stderr.paragraph(text)?,
            Ok(Answered::Observed(observation)) => {
                ending.stdout.paragraph(&observed::words(observation))?;
            }
            Ok(Answered::Code(_) | Answered::Left(0)) => {}
            Ok(Answered::Left(code)) => {
                let plugin = ending.plugin.id();
                ending
                    .out
                    .tell(&format!("plugin `{plugin}` exited with code {code}"));
            }
            Err(error) => {
                if let Some(text) = tool_error(ending, error) {
                    ending.stderr.paragraph(&text)?;
                }
            }
        }
    }
    if !ending.is_trial {
        report(&answer, &activity, &denials, ending.out);
    }
    ending.out.detail(&format!("run `{id}` in the audit trail"));
    Ok(exit)
}

/// What the caller of a tool is told of a call that used up what it may.
fn tool_error(ending: &Ending<'_>, error: &CallError) -> Option<String> {
    let is_tool = ending.plugin.kind() == Kind::ClawftComponent;
    is_tool.then(|| error.tool_error())?
}

pub(super) fn exit_of(answer: &Answer, activity: &Activity) -> Exit {
    match answer {
        Ok(Answered::Text(Ok(_))) => Exit::OK,
        Ok(Answered::Text(Err(_))) if activity.denials.is_empty() => Exit::NEGATIVE,
        Ok(Answered::Text(Err(_))) => Exit::DENIED,
        // A command says more by its code than that it was denied something.
        Ok(Answered::Code(code)) => Exit(*code),
        Ok(Answered::Left(code)) => left(*code),
        Ok(Answered::Observed(observation)) => {
            observed::exit(observation, !activity.denials.is_empty())
        }
        Err(_) => Exit::OURS,
    }
}

/// A code as a process can have it: what is none of those is no success.
fn left(code: i32) -> Exit {
    u8::try_from(code).map_or(Exit::NEGATIVE, Exit)
}

/// What the operator has to know: what was denied, what failed, and what the children were.
fn report(answer: &Answer, activity: &Activity, denials: &Denials, out: Printer) {
    let is_well = match answer {
        Ok(Answered::Text(text)) => text.is_ok(),
        Ok(Answered::Code(code)) => *code == 0,
        Ok(Answered::Left(code)) => *code == 0,
        Ok(Answered::Observed(observation)) => observation.status == RegletStatus::Success,
        Err(_) => false,
    };
    let level = if is_well {
        Level::Warning
    } else {
        Level::Error
    };
    out.denials(level, denials);
    for failure in failures(activity) {
        out.report(level, &Report::Plain(failure));
    }
    for notice in &activity.notices {
        out.report(Level::Warning, &Report::Plain(notice.clone()));
    }
    if let Err(error) = answer {
        out.report(Level::Error, &Report::Plain(error.diagnostic()));
    }
    if activity.not_kept > 0 {
        out.tell(&format!(
            "and {} more, which the audit trail has",
            activity.not_kept
        ));
    }
    plan::children(activity, out);
}

fn failures(activity: &Activity) -> Vec<Diagnostic> {
    let mut failures = activity.failures.clone();
    failures.dedup();
    failures
        .into_iter()
        .map(|why| diagnostic(code::START, why))
        .collect()
}

fn document(
    exit: Exit,
    run: &str,
    answer: &Answer,
    activity: &Activity,
    denials: &Denials,
    head: Option<Head>,
    ending: &Ending<'_>,
) -> Value {
    let (result, error) = match answer {
        Ok(Answered::Text(Ok(text))) => (json!({ "ok": text }), None),
        Ok(Answered::Text(Err(text))) => (json!({ "err": text }), None),
        Ok(Answered::Code(code)) => (json!({ "code": code }), None),
        Ok(Answered::Left(code)) => (json!({ "code": code }), None),
        Ok(Answered::Observed(observation)) => (observed::document(observation), None),
        Err(error) => {
            let told = tool_error(ending, error).map(|text| json!({ "err": text }));
            (told.unwrap_or_default(), Some(error.diagnostic()))
        }
    };
    json!({
        "run": run,
        "plugin": {
            "id": ending.plugin.id(),
            "path": ending.target.entry.path,
            "blake3": ending.plugin.digest(),
            "sha256": ending.target.sha256,
            "compiled": plan::compiled_json(ending.plugin),
        },
        "exit_code": exit.0,
        "result": result,
        "error": error,
        "denials": denials.0,
        "remedy": denials.commands(),
        "failures": failures(activity),
        "notices": activity.notices,
        "not_kept": activity.not_kept,
        "log": ending.log.document(activity.log_dropped),
        "children": plan::children_json(activity),
        "audit": head.map(|head| json!({ "head": head.to_string(), "count": head.seq })),
    })
}
