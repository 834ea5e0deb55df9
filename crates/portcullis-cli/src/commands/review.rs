//! `portcullis review`: what installed plugins may do, and what of it they ever did, after the audit trail.

use std::collections::{BTreeMap, BTreeSet};

use portcullis_audit::{self as audit, Event, Verdict};
use portcullis_config::FlagSet;
use portcullis_policy::{Grants, Net};
use portcullis_registry::Record;
use serde_json::{Value, json};

use super::plugin;
use crate::args::SomeArgs;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::render::{Printer, count, line};
use crate::settings::{Environment, Settings};

/// What the trail has of one content of a plugin.
#[derive(Debug, Default)]
struct Used {
    runs: BTreeSet<String>,
    last: Option<String>,
    /// How often something was allowed, by capability and rule.
    allowed: BTreeMap<(String, Option<String>), u64>,
    denied: u64,
}

/// A right, and how often it was used.
struct Right {
    what: String,
    used: u64,
}

pub(super) fn review(args: &SomeArgs, env: Environment, out: Printer) -> Result<Exit> {
    let settings = Settings::load(&args.common, FlagSet::default(), env)?;
    let records = plugin::chosen(&settings, args.name.as_deref())?;
    let mut used: Vec<Used> = records.iter().map(|_| Used::default()).collect();
    if settings.directories.audit.exists() {
        let entries = audit::entries(&settings.directories.audit);
        for entry in entries.map_err(|error| Failure::audit(&error))? {
            let entry = entry.map_err(|error| Failure::audit(&error))?;
            let Some(event) = &entry.event else { continue };
            for (record, used) in records.iter().zip(&mut used) {
                used.count(record, event, || format!("{:.0}", entry.time));
            }
        }
    }
    let mut reviews = Vec::new();
    for (record, used) in records.iter().zip(&used) {
        let entry = settings.policy.plugin(&record.name)?;
        let grants = match &entry.manifest {
            Some((_, manifest)) => manifest.restrict(entry.grants.clone()),
            None => entry.grants.clone(),
        };
        let rights = used.rights(&grants);
        reviews.push(json(record, used, &rights));
        if !args.common.output.json {
            print(record, used, &rights, out)?;
        }
    }
    if args.common.output.json {
        out.json(json!({ "plugins": reviews }))?;
    } else if records.is_empty() {
        out.line("no plugin is installed")?;
    }
    Ok(Exit::OK)
}

impl Used {
    fn count(&mut self, record: &Record, event: &Event, time: impl Fn() -> String) {
        match event {
            // Another content is another plugin.
            Event::RunStarted(start)
                if start.plugin == record.name && start.plugin_digest == record.blake3 =>
            {
                self.runs.insert(start.run.clone());
                self.last = Some(time());
            }
            Event::Decision(decision) if self.runs.contains(&decision.run) => {
                match decision.verdict {
                    Verdict::Allow => {
                        let rule = decision.rule.as_ref().map(|rule| rule.id.clone());
                        *self
                            .allowed
                            .entry((decision.capability.clone(), rule))
                            .or_default() += 1;
                    }
                    Verdict::Deny => self.denied += 1,
                }
            }
            Event::DenialsFolded(folded) if self.runs.contains(&folded.run) => {
                self.denied += folded.count
            }
            _ => {}
        }
    }

    /// How often a capability was used, by one rule of it or by any.
    fn times(&self, capability: &str, rule: Option<&str>) -> u64 {
        let allowed = self.allowed.iter();
        let of = allowed
            .filter(|((of, by), _)| of == capability && (rule.is_none() || by.as_deref() == rule));
        of.map(|(_, times)| times).sum()
    }

    fn rights(&self, grants: &Grants) -> Vec<Right> {
        let mut rights = Vec::new();
        let mut right = |what: String, used| rights.push(Right { what, used });
        if let Some(exec) = &grants.exec {
            for rule in &exec.allow {
                right(
                    format!("commands `{}` (rule `{}`)", rule.program, rule.id),
                    self.times("exec", Some(&rule.id.0)),
                );
            }
            if exec.any_program {
                right("any command".to_owned(), self.times("exec", None));
            }
            if grants.net != Net::None {
                right(
                    "the network, for its commands".to_owned(),
                    self.times("exec", None),
                );
            }
        }
        let whether = [
            ("fs", !grants.fs.is_empty(), "files and directories"),
            ("env", !grants.env.is_empty(), "environment variables"),
            ("http", !grants.http.allow.is_empty(), "requests over HTTP"),
            (
                "net",
                !grants.own_net.is_empty(),
                "lookups and connections of its own",
            ),
            ("kv", grants.kv.is_some(), "state of its own"),
            ("log", grants.log, "lines in your log"),
        ];
        for (capability, _, what) in whether.into_iter().filter(|(_, is, _)| *is) {
            right(what.to_owned(), self.times(capability, None));
        }
        rights
    }
}

fn print(record: &Record, used: &Used, rights: &[Right], out: Printer) -> Result<()> {
    out.line(&line(&plugin::summary(record)))?;
    out.line(&format!("  sha256 {}", record.sha256))?;
    let last = used
        .last
        .as_ref()
        .map(|time| format!(", the last {time}"))
        .unwrap_or_default();
    out.line(&format!(
        "  {}{last}; {}",
        count(used.runs.len() as u64, "run"),
        count(used.denied, "denial")
    ))?;
    for Right { what, used } in rights {
        let times = if *used == 0 {
            "never used".to_owned()
        } else {
            format!("used {}", count(*used, "time"))
        };
        out.line(&line(&format!("  may have {what}: {times}")))?;
    }
    if rights.is_empty() {
        out.line("  is granted nothing")?;
    }
    Ok(())
}

fn json(record: &Record, used: &Used, rights: &[Right]) -> Value {
    let rights: Vec<_> = rights
        .iter()
        .map(|right| json!({ "what": right.what, "used": right.used }))
        .collect();
    json!({
        "plugin": plugin::json(record), "runs": used.runs.len(), "last": used.last,
        "denials": used.denied, "rights": rights,
    })
}
