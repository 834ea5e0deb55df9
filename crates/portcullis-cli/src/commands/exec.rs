//! `portcullis exec`: a native command without a plugin, behind the same gate and the same wall.

mod asked;

use std::io;
use std::time::Duration;

use portcullis::{
    Activity, Diagnostic, Ending, GuestStdio, Host, Input, LoadError, Native, Output, Ran, Status,
    Stdio, Tier,
};
use portcullis_audit::Head;
use portcullis_policy::{Code, Decision, Denial};
use serde_json::{Value, json};

pub(super) use asked::Asked;

use super::{children, plan};
use crate::args::ExecArgs;
use crate::code;
use crate::consent::AtTheTerminal;
use crate::exit::Exit;
use crate::failure::{Failure, Report, Result, Say, above_ceiling, diagnostic, system};
use crate::render::denials::Denials;
use crate::render::guest::{Channel, GuestOutput};
use crate::render::relayed::Relayed;
use crate::render::screen::Screen;
use crate::render::{Level, Printer, line, shell};
use crate::session::{self, Run, Witnesses};
use crate::settings::{Environment, Settings};
use crate::signals::Signals;
use crate::staging;

/// How long a command may take to be dropped.
const GRACE: Duration = Duration::from_secs(1);

/// What helps where a script cannot be told from what somebody else wrote meanwhile.
const SCRIPT: &str = "name its interpreter, such as `sh`, and grant the script: `--read`";

pub(super) async fn exec(args: &ExecArgs, env: Environment, out: Printer) -> Result<Exit> {
    let settings = Settings::load_apart(&args.common(), args.flags(), env)?;
    let asked = Asked::of(args, &settings)?;
    if !args.dry_run {
        staging::begin_anew(&asked.grants, &settings.env)?;
    }
    let stdin = if args.no_stdin {
        Input::Nothing
    } else {
        Input::Relay(Box::new(tokio::io::stdin()))
    };
    if args.dry_run {
        tell_cuts(&asked, out);
        return dry_run(&settings, &asked, args.output.json, out);
    }
    perform(&settings, asked, stdin, args.output.json, out).await
}

fn tell_cuts(asked: &Asked, out: Printer) {
    for cut in &asked.cut {
        let report = without_plugin(above_ceiling(&asked.grants.plugin, cut));
        out.report(Level::Warning, &Report::Plain(report));
    }
}

/// Runs a command in a cell, and reports it.
pub(super) async fn perform(
    settings: &Settings,
    asked: Asked,
    stdin: Input,
    json: bool,
    out: Printer,
) -> Result<Exit> {
    let signals = Signals::install()?;
    tell_cuts(&asked, out);
    let trail = session::open_trail(&settings.directories, settings.policy.audit())?;
    let screen = Screen::default();
    let consent = AtTheTerminal {
        screen: screen.clone(),
        keeper: None,
        typed_for_the_plugin: false,
        data: settings.directories.data.clone(),
        out,
    };
    let host = session::host(
        settings,
        trail.clone(),
        GuestStdio::default(),
        None,
        consent,
        None,
        Witnesses::default(),
    )?;
    // No component of a plugin is run, so there is no digest of one.
    let words = [std::slice::from_ref(&asked.ask.program), &asked.ask.args].concat();
    let run = Run::start(settings, trail, &asked.grants.plugin, "", &words)?;
    let native = Native {
        grants: asked.grants,
        ask: asked.ask,
        stdio: stdio(stdin, json, &screen),
    };
    match call(host, &run.id, native, signals).await {
        Ended::Ran(ran) => finish(*ran, run, asked.help, json, out),
        Ended::Refused(error) => {
            run.end(Exit::OURS, out)?;
            Err(refused(*error))
        }
        Ended::Stopped(exit) => {
            run.end(exit, out)?;
            Ok(exit)
        }
    }
}

/// Pipes of its own, whose other ends are ours: what we were given may be more than it is used for.
fn stdio(stdin: Input, json: bool, screen: &Screen) -> Stdio {
    let output = |channel| Output::Relay(Box::new(Relayed::new(GuestOutput::new(channel, screen))));
    Stdio {
        stdin,
        stdout: output(if json {
            Channel::Stderr
        } else {
            Channel::Stdout
        }),
        stderr: output(Channel::Stderr),
    }
}

fn dry_run(settings: &Settings, asked: &Asked, json: bool, out: Printer) -> Result<Exit> {
    let host = session::builder(settings).build()?;
    let decision = host.explain(&asked.grants, &asked.ask).map_err(|error| {
        Failure::unusable("open the working directory", &settings.project, &error)
    })?;
    let terms = match &decision {
        Decision::Allow(authorized) => authorized.terms(),
        Decision::Ask { denial, .. } | Decision::Deny(denial) => {
            let denials = told(std::slice::from_ref(&**denial), asked.help);
            if json {
                out.json(json!({ "allowed": false, "denials": denials.0 }))?;
            }
            report_denials(&denials, out);
            return Ok(Exit::DENIED);
        }
    };
    if json {
        out.json(json!({ "allowed": true, "rules": terms.rules, "staged": plan::staged_json(&asked.grants), "children": children::json(&terms.rights, terms.confinement, settings.ca_file()) }))?;
        return Ok(Exit::OK);
    }
    if let Some(text) = plan::staged(&asked.grants) {
        out.line(&line(&text))?;
    }
    let (rights, tier) = (&terms.rights, terms.confinement);
    for text in children::lines("command", rights, tier, settings.ca_file()) {
        out.line(&line(&text))?;
    }
    Ok(Exit::OK)
}

/// Why nothing was run.
fn refused(error: LoadError) -> Failure {
    let mut failure = Failure::from(error);
    for report in &mut failure.reports {
        if let Report::Plain(plain) = report {
            *plain = without_plugin(plain.clone());
        }
    }
    failure
}

/// What the library says of a plugin, without the plugin that there is not.
fn without_plugin(mut report: Diagnostic) -> Diagnostic {
    let spellings = [
        ("cannot load plugin `exec`: ", "cannot run the command: "),
        ("plugin `exec` may not ", "`portcullis exec` may not "),
        ("plugin `exec`: ", ""),
    ];
    for (of_plugin, of_command) in spellings {
        report.message = report.message.replace(of_plugin, of_command);
    }
    report
}

/// How the command came to its end, or did not begin.
enum Ended {
    Ran(Box<Ran>),
    Refused(Box<LoadError>),
    /// Dropped, with everything it had started.
    Stopped(Exit),
}

/// Runs the command in a task of its own, so that signals are heard whatever it does.
async fn call(host: Host, run: &str, native: Native, mut signals: Signals) -> Ended {
    let run = run.to_owned();
    let mut task = tokio::spawn(async move { host.exec(&run, native).await });
    let exit = tokio::select! {
        done = &mut task => {
            signals.end_at_the_first();
            return match done {
                Ok(Ok(ran)) => Ended::Ran(Box::new(ran)),
                Ok(Err(error)) => Ended::Refused(Box::new(error)),
                // A panic was printed where it happened.
                Err(_) => Ended::Stopped(Exit::OURS),
            };
        }
        exit = signals.next() => exit,
    };
    signals.end_at_the_second();
    task.abort();
    // Dropping the command kills it; the end of this process does as well.
    let _ = tokio::time::timeout(GRACE, task).await;
    Ended::Stopped(exit)
}

fn finish(
    ran: Ran,
    run: Run,
    help: Option<&'static str>,
    json: bool,
    out: Printer,
) -> Result<Exit> {
    let Ran {
        ending,
        mut activity,
    } = ran;
    activity.notices.iter_mut().for_each(as_flags);
    let exit = exit_of(&ending, &activity);
    let id = run.id.clone();
    let head = run.end(exit, out)?;
    let denials = told(&activity.denials, help);
    if json {
        out.json(document(exit, &id, &ending, &activity, &denials, head))?;
    }
    report_denials(&denials, out);
    for failure in failures(&ending, &activity) {
        out.report(Level::Error, &Report::Plain(failure));
    }
    for notice in &activity.notices {
        out.report(
            Level::Warning,
            &Report::Plain(without_plugin(notice.clone())),
        );
    }
    let weak = |command: &portcullis::Command| {
        command.report.tier() == Tier::Limits || !command.not_in_force.is_empty()
    };
    if out.verbose || activity.commands.iter().any(weak) {
        plan::children(&activity, out);
    }
    out.detail(&format!("run `{id}` in the audit trail"));
    Ok(exit)
}

fn exit_of(ending: &Ending, activity: &Activity) -> Exit {
    match ending {
        Ending::Ended(Status::Exited(code)) => Exit(*code),
        Ending::Ended(Status::Signalled(signal)) => {
            Exit::signal(u8::try_from(*signal).unwrap_or_default())
        }
        Ending::Ended(Status::TimedOut) => Exit::TIMED_OUT,
        Ending::CutOff(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::BROKEN_PIPE,
        Ending::CutOff(_) => Exit::OURS,
        Ending::NotRun => match activity.denials.first() {
            Some(denial) if denial.code == Code::ExecNotFound => Exit::NOT_FOUND,
            Some(_) => Exit::DENIED,
            None => Exit::OURS,
        },
    }
}

/// Denials with what helps somebody who types a command.
fn told(denials: &[Denial], listed: Option<&str>) -> Denials {
    Denials::of_a_command(denials, |denial| match denial.code {
        Code::ExecNoRule | Code::ExecArguments => listed,
        Code::ExecUnfit if denial.notes.iter().any(|note| note.contains("script")) => Some(SCRIPT),
        _ => None,
    })
}

fn report_denials(denials: &Denials, out: Printer) {
    for counted in &denials.0 {
        let report = without_plugin(Diagnostic::from(&counted.denial));
        out.report(Level::Error, &Report::Plain(report));
    }
}

/// There is no plugin to grant anything to: what it lacked is a flag of the next call.
fn as_flags(notice: &mut Diagnostic) {
    for help in &mut notice.helps {
        let Some(command) = help.command.take() else {
            continue;
        };
        if let [_, verb, _, right, object] = &command[..]
            && verb == "grant"
        {
            help.text = format!(
                "{}, add: {}",
                help.text,
                shell(&[format!("--{right}"), object.clone()])
            );
        }
    }
}

/// What went wrong on our side.
fn failures(ending: &Ending, activity: &Activity) -> Vec<Diagnostic> {
    let cut_off = match ending {
        // Who goes away while a command talks does not want to know.
        Ending::CutOff(error) if error.kind() != io::ErrorKind::BrokenPipe => Some(
            diagnostic(
                code::OUTPUT,
                "cannot pass on what the command reads or writes",
            )
            .note(system(error)),
        ),
        Ending::CutOff(_) | Ending::Ended(_) | Ending::NotRun => None,
    };
    let failures = activity.failures.iter();
    failures
        .map(|why| diagnostic(code::START, why.as_str()))
        .chain(cut_off)
        .collect()
}

fn document(
    exit: Exit,
    run: &str,
    ending: &Ending,
    activity: &Activity,
    denials: &Denials,
    head: Option<Head>,
) -> Value {
    let status = match ending {
        Ending::Ended(status) => plan::status_json(*status),
        Ending::NotRun | Ending::CutOff(_) => Value::Null,
    };
    json!({
        "run": run,
        "exit_code": exit.0,
        "status": status,
        "denials": denials.0,
        "failures": failures(ending, activity),
        "notices": activity.notices.iter().cloned().map(without_plugin).collect::<Vec<_>>(),
        "children": plan::children_json(activity),
        "audit": head.map(|head| json!({ "head": head.to_string(), "count": head.seq })),
    })
}
