//! `portcullis trust`: a policy found in a working tree counts as one's own, as it is now and no longer.

use std::path::{Path, PathBuf};

use portcullis_audit::{Event, TrustChanged};
use portcullis_config::{AuditForwards, FlagSet};
use serde_json::json;
use similar::TextDiff;

use super::plan;
use crate::args::{Common, TrustArgs, TrustVerb};
use crate::code;
use crate::consent::{self, Terminal, wrapped};
use crate::exit::Exit;
use crate::failure::{Failure, Result, Say, diagnostic};
use crate::render::{Printer, count, line};
use crate::session;
use crate::settings::trusted::{Named, Record, Store};
use crate::settings::{self, Directories, Environment, Settings};
use crate::signals::Signals;

/// Lines around a difference that are shown with it.
const AROUND: usize = 3;

pub(super) async fn trust(args: &TrustArgs, env: Environment, out: Printer) -> Result<Exit> {
    match &args.verb {
        None => ask(&args.common, env, out).await,
        Some(TrustVerb::Show { common }) => show(common, env, out),
        Some(TrustVerb::List { common }) => list(common, &env, out),
        Some(TrustVerb::Revoke { common, file }) => revoke(common, file.as_deref(), &env, out),
    }
}

/// The policy of the tree as it would count if it were trusted.
struct Offer {
    settings: Settings,
    path: PathBuf,
    now: Record,
    before: Option<Record>,
}

impl Offer {
    fn find(common: &Common, env: Environment) -> Result<Self> {
        let (settings, at) = Settings::believing(common, FlagSet::default(), env)?;
        if let Some(origin) = settings.policy.forbids_trust() {
            let report = diagnostic(
                code::TRUST,
                "no policy of a working tree can be trusted here",
            );
            let note = format!("the ceiling has `trust = false` ({origin})");
            return Err(Failure::usage(report.note(note)));
        }
        let file = &settings.files[at];
        let path = settings::real(&file.path);
        let now = settings.record(at)?;
        let before = Store::read(&settings.directories.data)?.files.remove(&path);
        Ok(Self {
            settings,
            path,
            now,
            before,
        })
    }

    fn is_trusted(&self) -> bool {
        self.before.as_ref() == Some(&self.now)
    }

    /// What it would give, a line each; what is different first.
    fn lines(&self) -> Result<Vec<String>> {
        let mut lines = vec![format!("the policy `{}`", self.path.display())];
        match self.before.as_ref().filter(|_| !self.is_trusted()) {
            Some(before) => {
                lines.push("was trusted, and is different now:".to_owned());
                lines.extend(difference(before, &self.now));
            }
            None => {
                lines.push("says:".to_owned());
                lines.extend(self.now.text.lines().map(|line| format!("  | {line}")));
            }
        }
        lines.push("would give, together with your own:".to_owned());
        let network = self.settings.policy.network();
        let ca_file = network.ca_file.as_deref();
        for (id, named) in &self.now.plugins {
            let content = match &named.sha256 {
                Some(sha256) => format!("sha256 {sha256}"),
                None => "not there yet".to_owned(),
            };
            lines.push(format!(
                "plugin `{id}` from `{}` ({content})",
                named.path.display()
            ));
            let entry = self.settings.policy.plugin(id)?;
            let words = plan::words(&entry.grants, ca_file).into_iter();
            lines.extend(words.map(|word| format!("  {word}")));
        }
        let verb = self.settings.policy.verb()?;
        if verb.origin.is_some() {
            lines.push("`portcullis exec`".to_owned());
            let words = plan::words(&verb.grants, ca_file).into_iter();
            lines.extend(words.map(|word| format!("  {word}")));
        }
        if let Some(proxy) = &network.upstream_proxy {
            lines.push(format!(
                "the proxy `{proxy}`, which sees what commands send to hosts"
            ));
        }
        if let Some(file) = &network.ca_file {
            lines.push(format!(
                "the certificates of `{}`, which commands trust",
                file.display()
            ));
        }
        let audit = self.settings.policy.audit();
        let syslog = audit
            .syslog
            .iter()
            .map(|(socket, _)| socket.display().to_string());
        let otlp = audit.otlp.iter().map(|(endpoint, _)| endpoint.clone());
        lines.extend(
            syslog
                .chain(otlp)
                .map(|to| format!("the trail is passed on to `{to}`")),
        );
        Ok(lines.iter().flat_map(|text| wrapped(text)).collect())
    }
}

/// What is different between two states of a policy.
fn difference(before: &Record, now: &Record) -> Vec<String> {
    let mut lines = Vec::new();
    if before.text != now.text {
        let diff = TextDiff::from_lines(&before.text, &now.text);
        let unified = diff.unified_diff().context_radius(AROUND).to_string();
        lines.extend(unified.lines().map(|line| format!("  {line}")));
    }
    let of = |named: Option<&Named>| match named {
        Some(Named {
            path,
            sha256: Some(sha256),
        }) => format!("`{}` with sha256 {sha256}", path.display()),
        Some(Named { path, sha256: None }) => format!("`{}`, which was not there", path.display()),
        None => "not named".to_owned(),
    };
    let mut ids: Vec<_> = before.plugins.keys().chain(now.plugins.keys()).collect();
    ids.sort();
    ids.dedup();
    for id in ids {
        let (was, is) = (before.plugins.get(id), now.plugins.get(id));
        if was != is {
            lines.push(format!("  plugin `{id}` was {}", of(was)));
            lines.push(format!("  plugin `{id}` is {}", of(is)));
        }
    }
    lines
}

async fn ask(common: &Common, env: Environment, out: Printer) -> Result<Exit> {
    let mut signals = Signals::install()?;
    let offer = Offer::find(common, env)?;
    if offer.is_trusted() {
        out.line(&line(&format!(
            "trusted already: `{}`",
            offer.path.display()
        )))?;
        return Ok(Exit::OK);
    }
    let lines = offer.lines()?;
    let data = &offer.settings.directories.data;
    let refuse = |why: String| Failure {
        exit: Exit::NEGATIVE,
        ..Failure::usage(
            diagnostic(
                code::TRUST,
                format!("`{}` is not trusted", offer.path.display()),
            )
            .note(why)
            .help("look at what it would give: portcullis trust show"),
        )
    };
    let answer = {
        let _turn = consent::turn(data, out).await.map_err(refuse)?;
        let mut terminal = Terminal::open().map_err(refuse)?;
        let text = format!(
            "{}\n\nportcullis: trust this policy? That is {} above, and holds until it or a plugin changes.\n",
            lines.join("\n"),
            count(lines.len() as u64, "line"),
        );
        tokio::select! {
            answer = terminal.ask(&text, "Trust it? [yes/N] ") => answer,
            exit = signals.next() => return Ok(exit),
        }
    };
    if answer.as_deref() != Some("yes") {
        return Err(refuse("you were asked, and did not type `yes`".to_owned()));
    }
    let Offer {
        settings,
        path,
        now,
        ..
    } = &offer;
    write_down(
        &settings.directories,
        settings.policy.audit(),
        path,
        Some(now),
        out,
    )?;
    Store::update(data, |store| {
        store.files.insert(offer.path.clone(), offer.now.clone());
    })?;
    out.line(&line(&format!(
        "trusted as it is now: `{}`",
        offer.path.display()
    )))?;
    Ok(Exit::OK)
}

fn show(common: &Common, env: Environment, out: Printer) -> Result<Exit> {
    let offer = Offer::find(common, env)?;
    let lines = offer.lines()?;
    if common.output.json {
        out.json(json!({
            "file": offer.path, "sha256": offer.now.sha256, "plugins": offer.now.plugins,
            "trusted": offer.is_trusted(), "was_trusted": offer.before.is_some(), "gives": lines,
        }))?;
    } else {
        for line in lines {
            out.line(&line)?;
        }
        let standing = if offer.is_trusted() {
            "it is trusted"
        } else {
            "it is not trusted: it only takes away"
        };
        out.line(standing)?;
    }
    Ok(if offer.is_trusted() {
        Exit::OK
    } else {
        Exit::NEGATIVE
    })
}

fn list(common: &Common, env: &Environment, out: Printer) -> Result<Exit> {
    let (_, directories) = settings::places(common, env)?;
    let store = Store::read(&directories.data)?;
    if common.output.json {
        let files = store.files.iter().map(|(path, record)| {
            json!({ "file": path, "sha256": record.sha256, "plugins": record.plugins })
        });
        out.json(json!({ "trusted": files.collect::<Vec<_>>() }))?;
        return Ok(Exit::OK);
    }
    for (path, record) in &store.files {
        let plugins = count(record.plugins.len() as u64, "plugin");
        let text = format!("{} (sha256 {}, {plugins})", path.display(), record.sha256);
        out.line(&line(&text))?;
    }
    if store.files.is_empty() {
        out.line("no policy of a working tree is trusted")?;
    }
    Ok(Exit::OK)
}

fn revoke(common: &Common, file: Option<&Path>, env: &Environment, out: Printer) -> Result<Exit> {
    let (project, directories) = settings::places(common, env)?;
    let path = match file {
        Some(file) => settings::real(&env.cwd.join(file)),
        None => settings::real(&settings::found(&project, &directories, env)?),
    };
    let removed = Store::update(&directories.data, |store| {
        store.files.remove(&path).is_some()
    })?;
    if removed {
        write_down(&directories, &AuditForwards::default(), &path, None, out)?;
    }
    let told = if removed {
        "no longer trusted"
    } else {
        "nothing to change: not trusted"
    };
    out.line(&line(&format!("{told}: `{}`", path.display())))?;
    Ok(Exit::OK)
}

/// Nothing is trusted that is not written down.
fn write_down(
    directories: &Directories,
    forwards: &AuditForwards,
    path: &Path,
    record: Option<&Record>,
    out: Printer,
) -> Result<()> {
    let event = Event::TrustChanged(TrustChanged {
        file: path.display().to_string(),
        sha256: record.map(|record| record.sha256.clone()),
        plugins: record
            .iter()
            .flat_map(|record| &record.plugins)
            .map(|(id, named)| (id.clone(), named.sha256.clone().unwrap_or_default()))
            .collect(),
    });
    session::write_down(directories, forwards, &event, out)
}
