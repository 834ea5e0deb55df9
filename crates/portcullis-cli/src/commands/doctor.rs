//! `portcullis doctor`: tries everything that a run needs, on this machine.

mod confinement;

use confinement::Confinements;
use portcullis::{Compilation, Diagnostic, Host, Source, Status};
use portcullis_audit::Evidence;
use portcullis_policy::{Confinement, ExecGrant, Grants, Mode, PluginId, ProgramRule};
use serde::Serialize;
use serde_json::json;

use crate::args::DoctorArgs;
use crate::exit::Exit;
use crate::failure::{Report, Result};
use crate::render::{Printer, line};
use crate::session;
use crate::settings::{self, Directories, Environment, Settings};
use portcullis_config::{AuditForwards, FlagSet};

/// A plugin that calls `true`: `doctor.wat`, assembled.
const PLUGIN: &[u8] = include_bytes!("doctor.wasm");

/// One thing that was tried.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    /// What was found.
    found: String,
    /// More of it, a line each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<String>,
    /// What to do, when it is not well.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Check {
    fn new(name: &'static str, result: std::result::Result<String, String>, fix: &str) -> Self {
        let ok = result.is_ok();
        Self {
            name,
            ok,
            found: result.unwrap_or_else(|why| why),
            details: Vec::new(),
            fix: (!ok).then(|| fix.to_owned()),
        }
    }
}

pub(super) async fn doctor(args: &DoctorArgs, env: Environment, out: Printer) -> Result<Exit> {
    let (_, directories) = settings::places(&args.common, &env)?;
    let confinement = Confinements::try_all(&env).await;
    let commands = commands(&env, confinement.strongest()).await;
    let settings = Settings::load(&args.common, FlagSet::default(), env);
    let checks = vec![
        kernel(),
        confinement.check(),
        commands,
        data(&directories),
        audit(&directories),
        cache(&directories),
        network(&settings),
        policy(&settings),
    ];
    let well = checks.iter().all(|check| check.ok);
    if args.common.output.json {
        out.json(json!({ "ok": well, "checks": checks, "confinement": confinement.json() }))?;
    } else {
        for check in &checks {
            let word = if check.ok { "ok " } else { "fix" };
            out.line(&line(&format!("{word}  {}: {}", check.name, check.found)))?;
            for detail in check.details.iter().chain(&check.fix) {
                out.line(&line(&format!("     {detail}")))?;
            }
        }
    }
    Ok(if well { Exit::OK } else { Exit::UNAVAILABLE })
}

fn kernel() -> Check {
    let release =
        std::fs::read_to_string("/proc/sys/kernel/osrelease").map_err(|error| error.to_string());
    let result = release.and_then(|release| {
        let mut numbers = release
            .split(|c: char| !c.is_ascii_digit())
            .map_while(|part| part.parse::<u32>().ok());
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let text = format!("Linux {}", release.trim());
        if version >= (5, 6) {
            Ok(text)
        } else {
            Err(text)
        }
    });
    Check::new(
        "kernel",
        result,
        "run on Linux 5.6 or newer: older ones cannot open files beneath a directory safely",
    )
}

/// Has a real plugin call a real command, through the spawn server and a cell of the strongest tier.
async fn commands(env: &Environment, tier: Option<Confinement>) -> Check {
    let result = match tier {
        Some(tier) => run_true(env, tier).await,
        None => Err("no command can be started in any tier".to_owned()),
    };
    Check::new("commands", result, "see what is said of the confinement")
}

/// The right to run `true`, and nothing else.
fn only_true(mode: Mode, confinement: Confinement) -> std::result::Result<Grants, String> {
    let id = PluginId::new("doctor").map_err(|error| error.to_string())?;
    let mut rule = ProgramRule::any_arguments("true");
    if confinement != Confinement::Limits {
        // Far more than it needs: what is asked is how a limit would be kept.
        rule.narrowing.memory = Some(1 << 30);
    }
    let exec = ExecGrant {
        allow: vec![rule],
        confinement,
        ..ExecGrant::default()
    };
    Ok(Grants {
        mode,
        exec: Some(exec),
        ..Grants::none(id)
    })
}

async fn run_true(
    env: &Environment,
    confinement: Confinement,
) -> std::result::Result<String, String> {
    let grants = only_true(Mode::Dev, confinement)?;
    // A directory that is there everywhere and never a home.
    let host = Host::builder()
        .project("/usr")
        .host_env(env.host())
        .compilation(Compilation::Confined(confinement))
        .build()
        .map_err(|error| chain(&error))?;
    let source = Source {
        bytes: PLUGIN.to_vec(),
        grants,
    };
    let plugin = host
        .load(source)
        .await
        .map_err(|error| said(&error.diagnostic()))?;
    let mut instance = plugin
        .instantiate("doctor")
        .await
        .map_err(|error| said(&error.diagnostic()))?;
    let answer = instance
        .run(&[])
        .await
        .map_err(|error| said(&error.diagnostic()))?;
    let activity = instance.activity();
    if let Some(denial) = activity.denials.first() {
        return Err(said(&Diagnostic::from(denial)));
    }
    match (answer, activity.commands.as_slice()) {
        (Ok(_), [command]) if command.status == Status::Exited(0) => Ok(format!(
            "a plugin ran `{}` in {} µs ({})",
            command.program,
            command.duration.as_micros(),
            command.report.tier().name()
        )),
        (Ok(_), commands) => Err(format!(
            "`true` did not end with 0: {:?}",
            commands
                .iter()
                .map(|command| command.status)
                .collect::<Vec<_>>()
        )),
        (Err(error), _) => Err(activity.failures.first().cloned().unwrap_or(error)),
    }
}

fn said(report: &Diagnostic) -> String {
    [report.message.clone()]
        .into_iter()
        .chain(report.notes.clone())
        .collect::<Vec<_>>()
        .join(": ")
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn data(directories: &Directories) -> Check {
    let result = portcullis_audit::DigestKey::open_or_create(&directories.data);
    let result = result
        .map(|_| format!("`{}`", directories.data.display()))
        .map_err(|error| chain(&error));
    Check::new("data directory", result, "make it yours alone: `chmod 700`")
}

fn audit(directories: &Directories) -> Check {
    let result = session::open_trail(directories, &AuditForwards::default())
        .map_err(|failure| first(&failure.reports))
        .and_then(|_| {
            let evidence = Evidence {
                kept_in: Some(directories.data.clone()),
                head: None,
            };
            let found = portcullis_audit::verify(&directories.audit, &evidence)
                .map_err(|error| chain(&error))?;
            match found.findings.first() {
                Some(finding) if found.records > 0 && !found.is_intact() => {
                    Err(finding.to_string())
                }
                _ => Ok(format!(
                    "`{}`, {} records",
                    directories.audit.display(),
                    found.records
                )),
            }
        });
    Check::new(
        "audit trail",
        result,
        "make it yours alone (`chmod 700`); `portcullis audit verify` says what was changed",
    )
}

fn cache(directories: &Directories) -> Check {
    let result = session::open_cache(directories)
        .map_err(|failure| first(&failure.reports))
        .and_then(|cache| {
            let stats = cache.stats().map_err(|error| chain(&error))?;
            Ok(format!(
                "`{}`, {} entries, {} bytes",
                directories.cache.display(),
                stats.entries,
                stats.bytes
            ))
        });
    Check::new(
        "code cache",
        result,
        "make it yours alone: `chmod 700`; or remove it",
    )
}

/// How commands that were granted hosts reach them.
fn network(settings: &Result<Settings>) -> Check {
    let network = settings
        .as_ref()
        .ok()
        .map(|settings| settings.policy.network());
    let proxy = network.and_then(|network| network.upstream_proxy.as_ref());
    let ca_file = network.and_then(|network| network.ca_file.as_ref());
    let way = match proxy {
        Some(proxy) => format!("through `{proxy}`, which checks addresses in place of Portcullis"),
        None => "directly".to_owned(),
    };
    let trust = match ca_file {
        Some(file) => portcullis::certificates(file)
            .map(|count| {
                let file = file.display();
                format!("with the {count} certificates of `{file}` in place of the system's")
            })
            .map_err(|error| {
                let file = file.display();
                format!("no command can be started with the certificates of `{file}`: {error}")
            }),
        None => Ok("with the certificates of the system".to_owned()),
    };
    Check::new(
        "network",
        trust.map(|trust| format!("{way}, {trust}")),
        "name a file of certificates in PEM in `network.ca_file`, or leave it out",
    )
}

fn policy(settings: &Result<Settings>) -> Check {
    let result = settings
        .as_ref()
        .map(|settings| match settings.files.as_slice() {
            [] => "no policy file: nothing is granted".to_owned(),
            files => files
                .iter()
                .map(|file| format!("`{}`", file.path.display()))
                .collect::<Vec<_>>()
                .join(", "),
        })
        .map_err(|failure| first(&failure.reports));
    Check::new("policy", result, "`portcullis check` shows every mistake")
}

fn first(reports: &[Report]) -> String {
    match reports.first() {
        Some(Report::Plain(report)) => said(report),
        Some(Report::File(error)) => error.message.clone(),
        None => String::new(),
    }
}
