//! What a plugin's own manifest asks for and the policy does not give.

use portcullis::Diagnostic;
use portcullis_config::{AskKind, FledgeManifest, Manifest};
use portcullis_policy::{FsAccess, HttpHosts, Remedy};

use super::plan;
use crate::code;
use crate::failure::{Report, diagnostic};
use crate::render::{Level, Printer};
use crate::target::Target;

/// Commands that are shown; a plugin decides how many there are.
const SHOWN: usize = 16;

/// Tells the operator of a foreign plugin what it asks for in vain, and what of its manifest means nothing here.
pub(super) fn warn(target: &Target, out: Printer) {
    let Some(manifest) = target.manifest() else {
        return;
    };
    let missing = manifest.asks_not_granted(&target.entry.grants);
    if let Some(fledge) = &manifest.fledge {
        unused(target, fledge, out);
    }
    if !is_foreign(manifest) || missing.is_empty() {
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
    let is_of_clawft = manifest.clawft.is_some();
    if is_of_clawft
        && missing
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

/// Whether a manifest has another form than ours.
fn is_foreign(manifest: &Manifest) -> bool {
    manifest.clawft.is_some() || manifest.fledge.is_some()
}

/// Says what of fledge's manifest is passed over, and that no hook is ever run.
fn unused(target: &Target, fledge: &FledgeManifest, out: Printer) {
    let id = &target.entry.id;
    let warn = |message: String| {
        out.report(
            Level::Warning,
            &Report::Plain(diagnostic(code::ASKS, message)),
        )
    };
    if !fledge.unknown.is_empty() {
        let keys = plan::quoted(&fledge.unknown[..fledge.unknown.len().min(SHOWN)]);
        warn(format!(
            "the manifest of plugin `{id}` has keys that mean nothing here: {keys}"
        ));
    }
    if !fledge.hooks.is_empty() {
        let hooks = plan::quoted(&fledge.hooks[..fledge.hooks.len().min(SHOWN)]);
        warn(format!(
            "the manifest of plugin `{id}` has hooks, and no hook is ever run: {hooks}"
        ));
    }
    if fledge.capabilities.network {
        warn(format!(
            "plugin `{id}` asks for the network, and WASI preview 1 has none to give: its calls fail"
        ));
    }
}

/// The commands that grant a foreign plugin what it asks for and does not have, each of them one right.
pub(super) fn commands(target: &Target) -> Vec<Vec<String>> {
    let manifest = target.manifest().filter(|manifest| is_foreign(manifest));
    let missing = manifest
        .map(|manifest| manifest.asks_not_granted(&target.entry.grants))
        .unwrap_or_default();
    let of_fledge = manifest.is_some_and(|manifest| manifest.fledge.is_some());
    let rights = missing.iter().filter_map(|ask| match of_fledge {
        true => right_of_fledge(&ask.kind),
        false => right(&ask.kind),
    });
    let id = target.entry.id.as_str();
    rights
        .map(|(verb, object)| {
            let command = ["portcullis", "grant", id, verb].map(str::to_owned);
            let object = Some(object).filter(|object| !object.is_empty());
            let command: Vec<_> = command.into_iter().chain(object).collect();
            target.editing.complete(&command)
        })
        .collect()
}

/// The same of a plugin of fledge, whose manifest names no programs and no facts.
fn right_of_fledge(ask: &AskKind) -> Option<(&'static str, String)> {
    match ask {
        AskKind::Fs {
            access: FsAccess::ReadWrite,
            ..
        } => Some(("data", String::new())),
        AskKind::Fs { .. } => Some(("read", "${project}".to_owned())),
        AskKind::Kv => Some(("kv", String::new())),
        AskKind::Metadata => Some(("metadata", "git_status".to_owned())),
        AskKind::Exec { .. } => Some(("exec", "<program>".to_owned())),
        AskKind::Env { .. }
        | AskKind::Http { .. }
        | AskKind::Net { .. }
        | AskKind::Log
        | AskKind::Prompt => None,
    }
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
        AskKind::Exec { .. }
        | AskKind::Net { .. }
        | AskKind::Kv
        | AskKind::Log
        | AskKind::Prompt
        | AskKind::Metadata => None,
    }
}
