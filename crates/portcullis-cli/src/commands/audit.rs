//! `portcullis audit`

mod clawft;
mod report;

use std::path::Path;

use portcullis_audit::{
    self as audit, Answer, Decision, Effect, Ended, Entry, Event, Evidence, Head, Outcome,
    PluginChanged, Verdict,
};
use serde_json::json;

use crate::args::{AuditVerb, Common, View};
use crate::code;
use crate::exit::Exit;
use crate::failure::{Failure, Result, diagnostic};
use crate::render::{Printer, count, line};
use crate::settings::{self, Directories, Environment};

pub(super) fn audit(verb: &AuditVerb, env: Environment, out: Printer) -> Result<Exit> {
    let environment = &env;
    match verb {
        AuditVerb::Report(args) => report::report(args, env, out),
        AuditVerb::Show { common, run, view } => {
            let entries = entries(&places(common, environment)?.audit, run.as_deref())?;
            match view {
                Some(View::Clawft) => {
                    for text in clawft::lines(&entries) {
                        out.line(&line(&text))?;
                    }
                    Ok(Exit::OK)
                }
                None => print(&entries, common.output.json, out),
            }
        }
        AuditVerb::Tail { common, lines } => {
            let dir = places(common, environment)?.audit;
            let entries = if dir.exists() {
                audit::tail(&dir, *lines).map_err(|error| Failure::audit(&error))?
            } else {
                Vec::new()
            };
            print(&entries, common.output.json, out)
        }
        AuditVerb::Verify { common, head } => verify(
            &places(common, environment)?,
            head.as_deref(),
            common.output.json,
            out,
        ),
        AuditVerb::Explain { common, seq } => explain(
            &places(common, environment)?.audit,
            *seq,
            common.output.json,
            out,
        ),
    }
}

fn places(common: &Common, env: &Environment) -> Result<Directories> {
    Ok(settings::places(common, env)?.1)
}

pub(super) fn entries(dir: &Path, run: Option<&str>) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    if dir.exists() {
        for entry in audit::entries(dir).map_err(|error| Failure::audit(&error))? {
            let entry = entry.map_err(|error| Failure::audit(&error))?;
            if run.is_none() || entry.event.as_ref().and_then(run_of) == run {
                entries.push(entry);
            }
        }
    }
    if run.is_some() && entries.is_empty() {
        let message = format!("the trail has no run `{}`", run.unwrap_or_default());
        return Err(Failure {
            exit: Exit::NEGATIVE,
            ..Failure::usage(diagnostic(code::ARGUMENT, message))
        });
    }
    Ok(entries)
}

fn print(entries: &[Entry], json: bool, out: Printer) -> Result<Exit> {
    if json {
        let records: Vec<_> = entries.iter().map(|entry| &entry.json).collect();
        out.json(json!({ "records": records }))?;
        return Ok(Exit::OK);
    }
    for entry in entries {
        let summary = entry
            .event
            .as_ref()
            .map_or_else(|| "a record of a later version".to_owned(), summary);
        out.line(&line(&format!(
            "{:>5}  {:.0}  {summary}",
            entry.head.seq, entry.time
        )))?;
    }
    Ok(Exit::OK)
}

pub(super) fn run_of(event: &Event) -> Option<&str> {
    match event {
        Event::RunStarted(event) => Some(&event.run),
        Event::RunEnded(event) => Some(&event.run),
        Event::Asked(event) => Some(&event.run),
        Event::Decision(event) => Some(&event.run),
        Event::Outcome(event) => Some(&event.run),
        Event::Done(event) => Some(&event.run),
        Event::DenialsFolded(event) => Some(&event.run),
        Event::Exhausted(event) => Some(&event.run),
        _ => None,
    }
}

/// One record in one line.
pub(super) fn summary(event: &Event) -> String {
    let words = words(event);
    match run_of(event) {
        Some(run) => format!("run {run} {words}"),
        None => words,
    }
}

/// The same without the run that it belongs to.
pub(super) fn words(event: &Event) -> String {
    match event {
        Event::Opened(_) => "a file of the trail begins".to_owned(),
        Event::RunStarted(event) => {
            format!("of `{}` begins with {}", event.plugin, event.args.as_str())
        }
        Event::RunEnded(event) => {
            format!(
                "ends with code {} after {} µs",
                event.exit_code, event.duration_us
            )
        }
        Event::Asked(event) => format!(
            "call {}: asked for {} {}: {}",
            event.call,
            event.capability,
            event.object.as_str(),
            answer(event.answer)
        ),
        Event::TrustChanged(event) => match &event.sha256 {
            Some(sha256) => format!("policy `{}` is trusted with sha256 {sha256}", event.file),
            None => format!("policy `{}` is no longer trusted", event.file),
        },
        Event::PluginChanged(event) => plugin(event),
        Event::Committing(event) => format!(
            "{} changes of `{}` are committed to {}{}",
            event.changes,
            event.plugin,
            event.roots.join(", "),
            if event.agreed {
                ", as somebody agreed"
            } else {
                ""
            }
        ),
        Event::Decision(event) => decision(event),
        Event::Outcome(event) => {
            format!(
                "call {}: {} after {} µs",
                event.call,
                ended(&event.ended),
                event.duration_us
            )
        }
        Event::Done(event) => format!("call {}: {}", event.call, effect(&event.effect)),
        Event::DenialsFolded(event) => format!(
            "calls {} to {}: denied {} {} {} more times",
            event.first_call,
            event.last_call,
            event.capability,
            event.object.as_str(),
            event.count
        ),
        Event::Exhausted(event) => format!(
            "call {}: `{}` of `{}` was ended: resource={} used={} limit={}",
            event.call, event.export, event.plugin, event.resource, event.used, event.limit
        ),
        _ => "a record of a later version".to_owned(),
    }
}

fn plugin(event: &PluginChanged) -> String {
    let PluginChanged {
        plugin,
        source,
        tier,
        ..
    } = event;
    match (&event.from, &event.to) {
        (None, Some(to)) => {
            format!("plugin `{plugin}` is installed from `{source}` ({tier}) with sha256 {to}")
        }
        (Some(from), Some(to)) => {
            format!(
                "plugin `{plugin}` is updated from `{source}` ({tier}): sha256 {from} becomes {to}"
            )
        }
        (_, None) => format!("plugin `{plugin}` is removed"),
    }
}

fn answer(answer: Answer) -> &'static str {
    match answer {
        Answer::Once => "allowed once",
        Answer::Run => "allowed for the run",
        Answer::Always => "allowed always",
        Answer::No => "not allowed",
        _ => "an answer of a later version",
    }
}

fn decision(event: &Decision) -> String {
    let verdict = match event.verdict {
        Verdict::Allow => "allowed".to_owned(),
        Verdict::Deny => format!("denied [{}]", event.code.as_deref().unwrap_or("no code")),
    };
    let rule = event
        .rule
        .as_ref()
        .map(|rule| format!(" by rule `{}` ({})", rule.id, rule.origin))
        .unwrap_or_default();
    let request = event
        .request_id
        .as_ref()
        .map(|id| format!(" for `{}`", id.as_str()))
        .unwrap_or_default();
    format!(
        "call {}: {verdict} {} {}{rule}{request}",
        event.call,
        event.capability,
        event.object.as_str()
    )
}

fn ended(ended: &Ended) -> String {
    match ended {
        Ended::Exited(code) => format!("exit code {code}"),
        Ended::Signaled(signal) => format!("killed by signal {signal}"),
        Ended::TimedOut => "stopped at its deadline".to_owned(),
        Ended::LimitReached(limit) => format!("stopped at the limit `{limit}`"),
        Ended::FailedToStart(why) => format!("not started: {}", why.as_str()),
        Ended::Cancelled => "killed with its call".to_owned(),
        _ => "ended in a way of a later version".to_owned(),
    }
}

fn verify(directories: &Directories, head: Option<&str>, json: bool, out: Printer) -> Result<Exit> {
    let head = head
        .map(str::parse::<Head>)
        .transpose()
        .map_err(|error| Failure::usage(diagnostic(code::ARGUMENT, error.to_string())))?;
    if !directories.audit.exists() && head.is_none() && !directories.data.exists() {
        out.line("there is no trail yet")?;
        return Ok(Exit::OK);
    }
    let evidence = Evidence {
        kept_in: Some(directories.data.clone()),
        head,
    };
    let found =
        audit::verify(&directories.audit, &evidence).map_err(|error| Failure::audit(&error))?;
    let intact = found.is_intact();
    if json {
        let head = found.head.to_string();
        let findings: Vec<_> = found
            .findings
            .iter()
            .map(|finding| json!({ "text": finding.to_string(), "is": finding }))
            .collect();
        out.json(json!({
            "intact": intact, "records": found.records, "files": found.files, "head": head, "findings": findings,
        }))?;
    } else {
        for finding in &found.findings {
            out.line(&line(&finding.to_string()))?;
        }
        let word = if intact { "intact" } else { "not intact" };
        let (records, files) = (
            count(found.records, "record"),
            count(found.files as u64, "file"),
        );
        out.line(&format!(
            "{word}: {records} in {files}, head {}",
            found.head
        ))?;
    }
    Ok(if intact { Exit::OK } else { Exit::NEGATIVE })
}

fn explain(dir: &Path, seq: u64, json: bool, out: Printer) -> Result<Exit> {
    let missing = || Failure {
        exit: Exit::NEGATIVE,
        ..Failure::usage(diagnostic(
            code::ARGUMENT,
            format!("the trail has no record {seq}"),
        ))
    };
    let found = if dir.exists() {
        audit::find(dir, seq).map_err(|error| Failure::audit(&error))?
    } else {
        None
    };
    let entry = found.ok_or_else(missing)?;
    if json {
        out.json(json!({ "record": entry.json }))?;
        return Ok(Exit::OK);
    }
    show(&entry, out)?;
    if let Some(Event::Decision(Decision {
        code: Some(code), ..
    })) = &entry.event
        && let Some((_, page)) = code::page(code)
    {
        out.line("")?;
        super::explain::page(page, out)?;
    }
    Ok(Exit::OK)
}

/// Prints all that a record says.
pub(super) fn show(entry: &Entry, out: Printer) -> Result<()> {
    out.line(&format!("record {} of {:.0}", entry.head.seq, entry.time))?;
    out.line(&format!("  hash: {}", entry.head.hash))?;
    for (name, value) in entry.event.as_ref().map(facts).unwrap_or_default() {
        out.line(&line(&format!("  {name}: {value}")))?;
    }
    Ok(())
}

/// All that a record says, a line each.
fn facts(event: &Event) -> Vec<(&'static str, String)> {
    let mut facts = vec![("what", summary(event))];
    match event {
        Event::RunStarted(event) => {
            facts.push(("digest", event.plugin_digest.clone()));
            facts.extend(
                event
                    .policy_files
                    .iter()
                    .map(|file| ("policy", file.clone())),
            );
        }
        Event::Decision(event) => {
            facts.push(("plugin", event.plugin.clone()));
            facts.extend(
                event
                    .reason
                    .as_ref()
                    .map(|reason| ("because", reason.as_str().to_owned())),
            );
            let effects = event.effect.iter();
            facts.extend(effects.map(|done| ("came of it", effect(done))));
        }
        Event::Outcome(event) => outcome_facts(event, &mut facts),
        _ => {}
    }
    facts
}

fn outcome_facts(event: &Outcome, facts: &mut Vec<(&'static str, String)>) {
    let stream = |bytes: u64, digest: &Option<audit::KeyedDigest>| match digest {
        Some(digest) => format!("{bytes} bytes, keyed digest {digest}"),
        None => format!("{bytes} bytes"),
    };
    facts.push(("stdout", stream(event.stdout_bytes, &event.stdout_digest)));
    facts.push(("stderr", stream(event.stderr_bytes, &event.stderr_digest)));
    facts.push(("confinement", event.confinement.clone()));
    if !event.env_dropped.is_empty() {
        facts.push(("left out of its environment", event.env_dropped.join(", ")));
    }
    for connection in &event.connections {
        facts.push(("network", connected(connection)));
    }
    if event.stragglers_killed > 0 {
        facts.push((
            "processes killed at its end",
            event.stragglers_killed.to_string(),
        ));
    }
}

/// What came of a request of the guest itself.
fn effect(effect: &Effect) -> String {
    let failed = effect.failed.iter();
    let failed: String = failed
        .map(|why| format!("failed ({}), ", why.as_str()))
        .collect();
    let status = effect.http_status.iter();
    let status: String = status.map(|status| format!("status {status}, ")).collect();
    let (bytes_in, bytes_out) = (effect.bytes_in, effect.bytes_out);
    let secrets = match effect.secrets.as_slice() {
        [] => String::new(),
        names => format!("with {}, ", names.join(", ")),
    };
    format!(
        "{failed}{status}{secrets}{bytes_in} bytes in, {bytes_out} out after {} µs",
        effect.duration_us
    )
}

/// One host that a command asked its proxy for.
fn connected(connection: &audit::Connection) -> String {
    let (up, down) = (connection.bytes_up, connection.bytes_down);
    let at = connection.address.iter();
    let at: String = at.map(|address| format!(" at {address}")).collect();
    let times = if connection.count > 1 {
        format!(", {} times", connection.count)
    } else {
        String::new()
    };
    format!(
        "{}{at}{times}, {up} bytes up, {down} down",
        connection.why.as_str()
    )
}
