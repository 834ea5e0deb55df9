//! In words: what a plugin may do, and what its children were.

use std::collections::BTreeSet;
use std::path::Path;

use portcullis::{Activity, Compilation, Plugin, Protection, Report, Status, Tier};
use portcullis_policy::{
    Commit, Confinement, ConnectRule, ExecGrant, FsAccess, FsKind, Grants, HttpHosts, HttpRule,
    Limits, Mode, ProgramRule,
};
use serde_json::{Value, json};

use super::children;
use crate::failure::Result;
use crate::render::{Printer, line};
use crate::settings::Settings;
use crate::target::Target;

/// Where policy and plugin come from.
pub(super) fn details(settings: &Settings, target: &Target, out: Printer) {
    for file in &settings.files {
        out.detail(&line(&format!(
            "policy `{}` ({})",
            file.path.display(),
            file.role.describe()
        )));
    }
    out.detail(&line(&format!(
        "plugin `{}` from `{}`",
        target.entry.id,
        target.entry.path.display()
    )));
}

/// Says how a plugin was compiled, if it was and less than fully confined.
pub(super) fn compiled(plugin: &Plugin, out: Printer) {
    let Some(compilation) = plugin.compilation() else {
        return;
    };
    let name = compilation.name();
    match compilation {
        Compilation::Confined(Confinement::Full) => out.detail("compiled: confined (full)"),
        Compilation::Confined(Confinement::Namespaces | Confinement::Landlock) => {
            out.tell(&format!("compiled: confined ({name})"));
        }
        Compilation::Confined(Confinement::Limits) | Compilation::InProcess => {
            out.tell(&format!("compiled: not confined ({name})"));
        }
    }
}

/// The same as data; null for a plugin that was taken from the cache.
pub(super) fn compiled_json(plugin: &Plugin) -> Value {
    json!(plugin.compilation().map(Compilation::name))
}

/// What `run --dry-run` prints.
pub(super) fn print(
    settings: &Settings,
    target: &Target,
    plugin: &Plugin,
    grants: &Grants,
    json: bool,
    out: Printer,
) -> Result<()> {
    if json {
        let files: Vec<_> = settings
            .files
            .iter()
            .map(|file| json!({ "path": file.path, "role": file.role.describe() }))
            .collect();
        out.json(json!({
            "plugin": {
                "id": plugin.id(),
                "path": target.entry.path,
                "blake3": plugin.digest(),
                "sha256": target.sha256,
                "compiled": compiled_json(plugin),
            },
            "project": settings.project,
            "policy_files": files,
            "grants": grants_json(grants),
            "plan": words(grants, settings.ca_file()),
            "children": children::plan_json(grants, settings.ca_file()),
        }))?;
        return Ok(());
    }
    out.line(&line(&format!(
        "plugin `{}` from `{}`",
        plugin.id(),
        target.entry.path.display()
    )))?;
    for file in &settings.files {
        out.line(&line(&format!(
            "policy `{}` ({})",
            file.path.display(),
            file.role.describe()
        )))?;
    }
    for word in words(grants, settings.ca_file()) {
        out.line(&line(&word))?;
    }
    Ok(())
}

/// The rights of a plugin, a sentence each; `ca_file` is what its commands trust.
pub(super) fn words(grants: &Grants, ca_file: Option<&Path>) -> Vec<String> {
    let mut words = Vec::new();
    match &grants.exec {
        None => words.push("may run no command".to_owned()),
        Some(exec) => commands(exec, &mut words),
    }
    let code = grants.reglet.iter().flat_map(|reglet| &reglet.inline_code);
    words.extend(code.map(|program| format!("may give `{program}` code in its arguments")));
    for grant in &grants.fs {
        let what = match grant.access {
            FsAccess::Read => "read",
            FsAccess::ReadWrite => "read and write",
        };
        let host = grant.host.display();
        words.push(match grant.kind {
            FsKind::Directory | FsKind::Repository => format!(
                "may {what} `{host}` as `{}` ({})",
                grant.guest, grant.origin
            ),
            FsKind::File => format!(
                "it and its commands may {what} the file `{host}` ({})",
                grant.origin
            ),
        });
    }
    let mut kinds = grants.fs.iter().map(|grant| grant.kind);
    if !kinds.any(|kind| kind.is_directory()) {
        words.push("may open no directory".to_owned());
    }
    words.extend(staged(grants));
    match grants.env.as_slice() {
        [] => words.push("may read no environment variable".to_owned()),
        names => words.push(format!(
            "may read the environment variables {}",
            quoted(names)
        )),
    }
    for (name, _) in &grants.given_env {
        words.push(format!(
            "is told a value of `{name}` that is not yours (--env)"
        ));
    }
    if grants.log {
        words.push("may write lines into your log".to_owned());
    }
    if let Some(clock) = grants.clock {
        words.push(format!(
            "is told a fixed time of day, {} s after the Unix epoch",
            clock.as_secs()
        ));
    }
    if let Some(seed) = grants.random {
        words.push(format!(
            "its random numbers are no secret: they begin at {seed} in every run"
        ));
    }
    for rule in &grants.http.allow {
        words.push(requests(rule));
    }
    for secret in &grants.http.secrets {
        words.push(format!(
            "has `{}` added to its requests to `{}`, from {}: it never sees it ({})",
            secret.header, secret.to, secret.source, secret.origin
        ));
    }
    for rule in &grants.own_net.connect {
        words.push(connections(rule));
    }
    for rule in &grants.own_net.lookup {
        let names = match rule.names.is_any() {
            true => "any name".to_owned(),
            false => format!("`{}`", rule.names),
        };
        words.push(format!("may look up {names} in DNS ({})", rule.origin));
    }
    if let Some(kv) = &grants.kv {
        words.push(format!(
            "may keep state: {} keys, values of {} bytes, {} bytes in all ({})",
            kv.size.keys, kv.size.value, kv.size.bytes, kv.origin
        ));
    }
    if let Some(data) = &grants.data {
        words.push(format!("may have a directory of its own ({})", data.origin));
    }
    if !grants.metadata.is_empty() {
        let facts: Vec<_> = grants.metadata.iter().map(|key| key.name()).collect();
        words.push(format!("may be told {} of the project", quoted(&facts)));
    }
    words.push(limits(&grants.limits));
    if let Some(exec) = &grants.exec {
        words.push(format!(
            "mode {}, confinement {}",
            mode(grants.mode),
            exec.confinement.name()
        ));
    }
    words.extend(children::plan_lines(grants, ca_file));
    words
}

/// Where what is written is staged, and what becomes of it.
pub(super) fn staged(grants: &Grants) -> Option<String> {
    let [_, ..] = grants.staged.as_slice() else {
        return None;
    };
    let paths: Vec<_> = grants
        .staged
        .iter()
        .map(|path| path.to_string_lossy())
        .collect();
    let becomes = match grants.commit {
        Commit::Ask => "shown, and committed if you agree",
        Commit::Always => "shown and committed",
        Commit::Never => "shown and thrown away",
    };
    Some(format!(
        "what is written in {} is staged: {becomes}",
        quoted(&paths)
    ))
}

/// The same as data; null where nothing is staged.
pub(super) fn staged_json(grants: &Grants) -> Value {
    match grants.staged.as_slice() {
        [] => Value::Null,
        paths => json!({ "directories": paths, "commit": grants.commit.as_str() }),
    }
}

fn commands(exec: &ExecGrant, words: &mut Vec<String>) {
    if exec.any_program {
        words.push(format!("may run any program ({})", exec.origin));
    }
    let lists = [("may run", &exec.allow), ("may never run", &exec.deny)];
    for (verb, rules) in lists {
        let rules = rules.iter();
        words.extend(rules.map(|rule| rule_words(verb, rule, exec.confinement)));
    }
    if !exec.any_program && exec.allow.is_empty() {
        words.push("may run no command".to_owned());
    }
    if exec.inherit_env {
        words.push("commands inherit the host's environment, without secrets".to_owned());
    }
    if exec.inherit_output {
        words.push("commands may write where the plugin's own output goes".to_owned());
    }
    if !exec.pass_env.is_empty() {
        words.push(format!("commands are given {}", quoted(&exec.pass_env)));
    }
}

fn rule_words(verb: &str, rule: &ProgramRule, confinement: Confinement) -> String {
    let arguments = match (&rule.arguments.sub, rule.arguments.is_any()) {
        (_, true) => " with any arguments".to_owned(),
        (Some(sub), false) => format!(" {}, with the arguments of the rule", quoted(sub)),
        (None, false) => " with the arguments of the rule".to_owned(),
    };
    let tier = rule.narrowing.confinement.unwrap_or(confinement);
    let kernel = match rule.narrowing.not_in_force(tier).as_slice() {
        [] => String::new(),
        keys => format!("; not in force: {}", quoted(keys)),
    };
    format!(
        "{verb} `{}`{arguments} (rule `{}`, {}){kernel}",
        rule.program, rule.id, rule.origin
    )
}

/// One rule about the guest's own requests.
fn requests(rule: &HttpRule) -> String {
    let mut which = String::new();
    for (what, list) in [
        ("by", &rule.schemes),
        ("with", &rule.methods),
        ("for", &rule.paths),
    ] {
        if !list.is_empty() {
            which.push_str(&format!(" {what} {}", quoted(list)));
        }
    }
    let inside: Vec<_> = rule
        .hosts
        .addresses()
        .iter()
        .map(ToString::to_string)
        .collect();
    if !inside.is_empty() {
        which.push_str(&format!(", also at {}", quoted(&inside)));
    }
    let hosts = match &rule.hosts {
        HttpHosts::Any => "any host of the public network".to_owned(),
        hosts @ HttpHosts::Listed(_) => format!("`{hosts}`"),
    };
    format!("may send HTTP requests to {hosts}{which} ({})", rule.origin)
}

/// One rule about the guest's own connections.
fn connections(rule: &ConnectRule) -> String {
    let inside = rule.places.addresses().iter();
    let inside: Vec<_> = inside.map(ToString::to_string).collect();
    let also = match inside.is_empty() {
        true => String::new(),
        false => format!(", also at {}", quoted(&inside)),
    };
    let hosts = match rule.places.is_any_host() {
        true => ", which is any host of the public network",
        false => "",
    };
    format!(
        "may connect to `{}`{hosts}{also} ({})",
        rule.places, rule.origin
    )
}

fn limits(limits: &Limits) -> String {
    let fuel: String = limits
        .fuel
        .iter()
        .map(|fuel| format!(", {fuel} instructions a call"))
        .collect();
    format!(
        "limits: {} ms a call, {} ms and {} bytes a stream for a command, {} commands at once, {} a minute, {} bytes of memory{fuel}",
        limits.call.as_millis(),
        limits.timeout.as_millis(),
        limits.output,
        limits.children,
        limits.spawns_per_minute,
        limits.memory,
    )
}

const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Production => "production",
        Mode::Dev => "dev",
    }
}

pub(super) fn quoted<T: AsRef<str>>(words: &[T]) -> String {
    words
        .iter()
        .map(|word| format!("`{}`", word.as_ref()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The grants as data.
pub(super) fn grants_json(grants: &Grants) -> Value {
    let rule = |rule: &ProgramRule, confinement: Confinement| {
        let tier = rule.narrowing.confinement.unwrap_or(confinement);
        json!({
            "id": rule.id,
            "origin": rule.origin,
            "program": rule.program.to_string(),
            "any_arguments": rule.arguments.is_any(),
            "confinement": tier,
            "not_in_force": rule.narrowing.not_in_force(tier),
        })
    };
    let exec = grants.exec.as_ref().map(|exec| {
        let rule = |one: &ProgramRule| rule(one, exec.confinement);
        json!({
            "any_program": exec.any_program,
            "allow": exec.allow.iter().map(rule).collect::<Vec<_>>(),
            "deny": exec.deny.iter().map(rule).collect::<Vec<_>>(),
            "path": exec.search_path,
            "inherit_env": exec.inherit_env,
            "inherit_output": exec.inherit_output,
            "pass_env": exec.pass_env,
            "confinement": exec.confinement,
            "system": exec.system,
            "write_exec": exec.write_exec,
            "share": exec.share,
            "cache": exec.cache,
            "protect": grants.protect,
            "origin": exec.origin,
        })
    });
    let fs: Vec<_> = grants
        .fs
        .iter()
        .map(|grant| json!({ "host": grant.host, "kind": grant.kind, "guest": grant.guest, "access": grant.access, "origin": grant.origin }))
        .collect();
    json!({ "mode": grants.mode, "exec": exec, "fs": fs, "staged": staged_json(grants), "protect": grants.protect, "net": grants.net, "env": grants.env, "http": grants.http.allow, "http_secrets": grants.http.secrets, "connect": grants.own_net.connect, "lookup": grants.own_net.lookup, "log": grants.log, "clock": grants.clock, "random": grants.random, "kv": grants.kv.as_ref().map(|kv| kv.size), "data": grants.data.is_some(), "metadata": grants.metadata, "fledge": grants.fledge, "inline_code": grants.reglet.as_ref().map(|reglet| &reglet.inline_code), "late": grants.late, "limits": grants.limits })
}

/// Says once for each tier what the kernel enforced on the children, then what was left out of their environment, and
/// which keys were wishes.
pub(super) fn children(activity: &Activity, out: Printer) {
    if activity.commands.is_empty() {
        return;
    }
    let tiers = tiers(activity);
    for tier in &tiers {
        let mut text = children::in_force("children", tier.name());
        if tiers.len() > 1 {
            text.push_str(&format!(": {}", quoted(&programs(activity, *tier))));
        }
        out.tell(&line(&text));
    }
    let (dropped, not_in_force) = summary(activity);
    if !dropped.is_empty() {
        out.tell(&format!(
            "  note: left out of their environment: {}",
            line(&quoted(&dropped))
        ));
    }
    if !not_in_force.is_empty() {
        out.tell(&format!(
            "  note: keys of their rules that were not in force: {}",
            quoted(&not_in_force)
        ));
    }
    for command in &activity.commands {
        let status = line(&status(command.status));
        let program = line(&command.program);
        out.detail(&format!(
            "  command {}: `{program}`, {status}, {} ms, {}",
            command.call,
            command.duration.as_millis(),
            told(command.report)
        ));
    }
}

/// The tiers that were in force, the strongest first.
fn tiers(activity: &Activity) -> Vec<Tier> {
    [Tier::Full, Tier::Namespaces, Tier::Landlock, Tier::Limits]
        .into_iter()
        .filter(|tier| {
            let mut commands = activity.commands.iter();
            commands.any(|command| command.report.tier() == *tier)
        })
        .collect()
}

/// The programs that ran in a tier, each once.
fn programs(activity: &Activity, tier: Tier) -> Vec<&str> {
    let commands = activity.commands.iter();
    let of_it = commands.filter(|command| command.report.tier() == tier);
    let names: BTreeSet<_> = of_it.map(|command| command.program.as_str()).collect();
    names.into_iter().collect()
}

/// Phrases of the protections that were in force, and of those that were not.
fn protections(report: Report) -> [Vec<&'static str>; 2] {
    let in_force = report.in_force().map(Protection::text);
    let missing = report.not_in_force().map(Protection::text);
    [in_force.collect(), missing.collect()]
}

/// A report in one line.
fn told(report: Report) -> String {
    let [in_force, missing] = protections(report).map(|list| list.join(", "));
    let tier = report.tier().name();
    match missing.as_str() {
        "" => format!("{tier}; in force: {in_force}"),
        _ => format!("{tier}; in force: {in_force}; missing: {missing}"),
    }
}

fn summary(activity: &Activity) -> (Vec<&str>, Vec<&'static str>) {
    let commands = &activity.commands;
    let dropped: BTreeSet<_> = commands
        .iter()
        .flat_map(|command| &command.dropped)
        .map(|dropped| dropped.name.as_str())
        .collect();
    let keys: BTreeSet<_> = commands
        .iter()
        .flat_map(|command| command.not_in_force.iter().copied())
        .collect();
    (dropped.into_iter().collect(), keys.into_iter().collect())
}

fn status(status: Status) -> String {
    match status {
        Status::Exited(code) => format!("exit code {code}"),
        Status::Signalled(signal) => format!("killed by signal {signal}"),
        Status::TimedOut => "stopped at its deadline".to_owned(),
    }
}

/// As [`children`], as data; null when there were none.
pub(super) fn children_json(activity: &Activity) -> Value {
    if activity.commands.is_empty() {
        return Value::Null;
    }
    let (dropped, not_in_force) = summary(activity);
    let commands: Vec<_> = activity
        .commands
        .iter()
        .map(|command| {
            let [in_force, missing] = protections(command.report);
            json!({
                "call": command.call,
                "program": command.program,
                "rules": command.rules,
                "status": status_json(command.status),
                "duration_us": u64::try_from(command.duration.as_micros()).unwrap_or(u64::MAX),
                "dropped": command.dropped,
                "stragglers": command.stragglers,
                "confinement": command.report.tier().name(),
                "landlock_abi": command.report.landlock_abi(),
                "in_force": in_force,
                "missing": missing,
                "not_in_force": command.not_in_force,
            })
        })
        .collect();
    let tiers: Vec<_> = tiers(activity).into_iter().map(Tier::name).collect();
    json!({ "confinement": tiers, "dropped": dropped, "not_in_force": not_in_force, "commands": commands })
}

pub(super) fn status_json(status: Status) -> Value {
    match status {
        Status::Exited(code) => json!({ "exited": code }),
        Status::Signalled(signal) => json!({ "signalled": signal }),
        Status::TimedOut => json!("timed-out"),
    }
}
