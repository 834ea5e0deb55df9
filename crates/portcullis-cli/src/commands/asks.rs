//! What a plugin's own manifest asks for and the policy does not give.

use portcullis::Diagnostic;
use portcullis_config::AskKind;
use portcullis_policy::{FsAccess, HttpHosts, Remedy};

use crate::code;
use crate::failure::{Report, diagnostic};
use crate::render::{Level, Printer};
use crate::target::Target;

/// Commands that are shown; a plugin decides how many there are.
const SHOWN: usize = 16;

/// Tells the operator of a plugin of clawft what it asks for in vain.
pub(super) fn warn(target: &Target, out: Printer) {
    let Some(manifest) = target.manifest() else {
        return;
    };
    let missing = manifest.asks_not_granted(&target.entry.grants);
    if manifest.clawft.is_none() || missing.is_empty() {
        return;
    }
    let report = diagnostic(
        code::ASKS,
        format!(
            "plugin `{}` asks for what the policy does not give it, and runs without",
            target.entry.id
        ),
    );
    let mut commands = commands(target);
    let more = commands.len().saturating_sub(SHOWN);
    commands.truncate(SHOWN);
    let mut report = commands.into_iter().fold(report, with_command);
    if missing
        .iter()
        .any(|ask| matches!(ask.kind, AskKind::Exec { .. }))
    {
        let note = "`shell` asks for commands, which no plugin of clawft is ever given";
        report.notes.push(note.to_owned());
    }
    if more > 0 {
        report.notes.push(format!("and for {more} things more"));
    }
    out.report(Level::Warning, &Report::Plain(report));
}

fn with_command(mut report: Diagnostic, command: Vec<String>) -> Diagnostic {
    report.helps.push(Remedy {
        text: "to give it exactly this".to_owned(),
        command: Some(command),
    });
    report
}

/// The commands that grant a plugin of clawft what it asks for and does not have, each of them one right.
pub(super) fn commands(target: &Target) -> Vec<Vec<String>> {
    let manifest = target
        .manifest()
        .filter(|manifest| manifest.clawft.is_some());
    let missing = manifest
        .map(|manifest| manifest.asks_not_granted(&target.entry.grants))
        .unwrap_or_default();
    let rights = missing.iter().filter_map(|ask| right(&ask.kind));
    let id = target.entry.id.as_str();
    rights
        .map(|(verb, object)| {
            let command = ["portcullis", "grant", id, verb, &object].map(str::to_owned);
            target.editing.complete(&command)
        })
        .collect()
}

/// What `grant` calls a right, and its object.
fn right(ask: &AskKind) -> Option<(&'static str, String)> {
    match ask {
        AskKind::Fs { path, access } => {
            let verb = match access {
                FsAccess::Read => "read",
                FsAccess::ReadWrite => "write",
            };
            Some((verb, path.clone()?))
        }
        AskKind::Env { name } => Some(("env", name.clone()?)),
        AskKind::Http { host } => {
            let host = host.clone()?;
            // A policy names addresses outside the public network with their port, which nobody asks for.
            let needs_port = HttpHosts::parse(&host).is_err();
            let host = if needs_port {
                format!("{host}:80")
            } else {
                host
            };
            HttpHosts::parse(&host).is_ok().then_some(("http", host))
        }
        // No function of the host runs commands for such a plugin, and none of the others is asked for by it.
        AskKind::Exec { .. } | AskKind::Kv | AskKind::Log | AskKind::Prompt | AskKind::Metadata => {
            None
        }
    }
}
