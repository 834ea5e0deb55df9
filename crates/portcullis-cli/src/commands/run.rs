//! `portcullis run`

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use portcullis::{Activity, CallError, Diagnostic, GuestStdio, Plugin};
use portcullis_audit::Head;
use serde_json::{Value, json};

use super::plan;
use crate::args::RunArgs;
use crate::code;
use crate::consent::{AtTheTerminal, Keeper};
use crate::exit::Exit;
use crate::failure::{Report, Result, diagnostic};
use crate::render::denials::Denials;
use crate::render::guest::{Channel, GuestOutput};
use crate::render::guest_log::ShownLog;
use crate::render::screen::Screen;
use crate::render::{Level, Printer};
use crate::session::{self, Run};
use crate::settings::{Environment, Settings};
use crate::signals::Signals;
use crate::target::Target;

/// How long a call may take to be dropped.
const GRACE: Duration = Duration::from_secs(1);

/// What the guest gave back: text for standard output, or for standard error.
type Answer = Result<Result<String, String>, CallError>;

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

pub(super) async fn run(args: &RunArgs, env: Environment, out: Printer) -> Result<Exit> {
    let mut signals = Signals::install()?;
    let json = args.common.output.json;
    let settings = Settings::load(&args.common, args.permissions.flags(), env)?;
    let (selector, guest_args) = args
        .plugin
        .split_first()
        .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let mut target = Target::find(&settings, selector)?;
    plan::details(&settings, &target, out);
    out.cut(&target.entry.id, &target.entry.cut);
    let screen = Screen::default();
    let channel = if json {
        Channel::Stderr
    } else {
        Channel::Stdout
    };
    let stdout = GuestOutput::new(channel, &screen);
    let stderr = GuestOutput::new(Channel::Stderr, &screen);
    let consent = AtTheTerminal {
        screen,
        keeper: Some(Keeper::new(&settings, &target, !args.common.no_config)),
        typed_for_the_plugin: args.stdin && std::io::stdin().is_terminal(),
        data: settings.directories.data.clone(),
        out,
    };
    let log = Arc::new(ShownLog::new(&stderr, out));
    let trail = session::open_trail(&settings.directories, settings.policy.audit())?;
    let host = session::host(
        &settings,
        trail.clone(),
        stdio(args.stdin, &stdout, &stderr),
        Some(Arc::clone(&log)),
        consent,
    )?;
    let source = target.source()?;
    let what = format!("compiling plugin `{}`", target.entry.id);
    let plugin = tokio::select! {
        loaded = out.while_doing(&what, host.load(source)) => loaded?,
        exit = signals.next() => return Ok(exit),
    };
    plan::compiled(&plugin, out);
    if args.dry_run {
        plan::print(&settings, &target, &plugin, json, out)?;
        return Ok(Exit::OK);
    }
    let run = Run::start(&settings, trail, plugin.id(), plugin.digest(), guest_args)?;
    let ended = call(&plugin, &run.id, guest_args, signals, &stdout).await;
    finish(
        ended,
        run,
        &Ending {
            target: &target,
            plugin: &plugin,
            json,
            out,
            stdout,
            stderr,
            log,
        },
    )
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
async fn call(
    plugin: &Plugin,
    run: &str,
    args: &[String],
    mut signals: Signals,
    stdout: &GuestOutput,
) -> Ended {
    let (plugin, run, args) = (plugin.clone(), run.to_owned(), args.to_vec());
    let mut task = tokio::spawn(async move {
        match plugin.instantiate(run).await {
            Ok(mut instance) => {
                let answer = instance.run(&args).await;
                (answer, instance.activity().clone())
            }
            Err(error) => (Err(error), Activity::default()),
        }
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

/// What is needed to report the end of a run.
struct Ending<'a> {
    target: &'a Target,
    plugin: &'a Plugin,
    json: bool,
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
    let exit = exit_of(&answer, &activity);
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
            Ok(Ok(text)) => ending.stdout.paragraph(text)?,
            Ok(Err(text)) => ending.stderr.paragraph(text)?,
            Err(_) => {}
        }
    }
    report(&answer, &activity, &denials, ending.out);
    ending.out.detail(&format!("run `{id}` in the audit trail"));
    Ok(exit)
}

fn exit_of(answer: &Answer, activity: &Activity) -> Exit {
    match answer {
        Ok(Ok(_)) => Exit::OK,
        Ok(Err(_)) if activity.denials.is_empty() => Exit::NEGATIVE,
        Ok(Err(_)) => Exit::DENIED,
        Err(_) => Exit::OURS,
    }
}

/// What the operator has to know: what was denied, what failed, and what the children were.
fn report(answer: &Answer, activity: &Activity, denials: &Denials, out: Printer) {
    let level = if matches!(answer, Ok(Ok(_))) {
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
        Ok(Ok(text)) => (json!({ "ok": text }), None),
        Ok(Err(text)) => (json!({ "err": text }), None),
        Err(error) => (Value::Null, Some(error.diagnostic())),
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
