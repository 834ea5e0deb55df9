//! `portcullis review`: what installed plugins may do, and what of it they did in all runs or the last ones, after the audit
//! trail.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;

use portcullis_audit::{self as audit, Event, Timestamp, Verdict};
use portcullis_config::FlagSet;
use portcullis_policy::{Grants, Net};
use portcullis_registry::Record;
use serde_json::{Value, json};

use super::plugin;
use crate::args::ReviewArgs;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::render::{Printer, count, line, shell};
use crate::settings::{Environment, Settings};

/// What the trail has of one content of a plugin: its runs that count, the last one last.
#[derive(Debug, Default)]
struct Used {
    runs: VecDeque<Run>,
}

/// What one run did.
#[derive(Debug)]
struct Run {
    id: String,
    began: Timestamp,
    /// How often something was allowed, by capability and rule.
    allowed: BTreeMap<(String, Option<String>), u64>,
    /// How often each variable was told.
    variables: BTreeMap<String, u64>,
    denied: u64,
}

/// A right, and how often it was used.
struct Right {
    what: String,
    /// `None` where the trail does not tell: it has no line of what a command reads and writes.
    used: Option<u64>,
    /// What `portcullis revoke` calls it, if that is one thing.
    revoke: Option<Vec<String>>,
}

pub(super) fn review(args: &ReviewArgs, env: Environment, out: Printer) -> Result<Exit> {
    let settings = Settings::load(&args.some.common, FlagSet::default(), env)?;
    let records = plugin::chosen(&settings, args.some.name.as_deref())?;
    let mut used: Vec<_> = records.iter().map(|_| Used::default()).collect();
    if settings.directories.audit.exists() {
        let entries = audit::entries(&settings.directories.audit);
        for entry in entries.map_err(|error| Failure::audit(&error))? {
            let entry = entry.map_err(|error| Failure::audit(&error))?;
            let Some(event) = &entry.event else { continue };
            for (record, used) in records.iter().zip(&mut used) {
                used.count(record, args.runs, entry.time, event);
            }
        }
    }
    let json = args.some.common.output.json;
    let mut reviews = Vec::new();
    for (record, used) in records.iter().zip(&used) {
        let entry = settings.policy.plugin(&record.name)?;
        let grants = match &entry.manifest {
            Some((_, manifest)) => manifest.restrict(entry.grants.clone()),
            None => entry.grants.clone(),
        };
        let mut rights = used.rights(&grants);
        if args.unused {
            rights.retain(|right| right.used.is_none_or(|times| times == 0));
        }
        reviews.push(document(record, used, &rights));
        if !json {
            print(record, used, &rights, args.unused, out)?;
        }
    }
    if json {
        out.json(json!({ "plugins": reviews }))?;
    } else if records.is_empty() {
        out.line("no plugin is installed")?;
    }
    Ok(Exit::OK)
}

impl Used {
    /// Counts an event, if it is of a run of this plugin; of its runs the last `most` are kept.
    fn count(
        &mut self,
        record: &Record,
        most: Option<NonZeroUsize>,
        time: Timestamp,
        event: &Event,
    ) {
        match event {
            // Another content is another plugin.
            Event::RunStarted(start)
                if start.plugin == record.name && start.plugin_digest == record.blake3 =>
            {
                self.runs.push_back(Run {
                    id: start.run.clone(),
                    began: time,
                    allowed: BTreeMap::new(),
                    variables: BTreeMap::new(),
                    denied: 0,
                });
                if most.is_some_and(|most| self.runs.len() > most.get()) {
                    self.runs.pop_front();
                }
            }
            Event::Decision(decision) => {
                let Some(run) = self.run(&decision.run) else {
                    return;
                };
                match decision.verdict {
                    Verdict::Allow => {
                        if decision.capability == "env" {
                            let name = decision.object.as_str().to_owned();
                            *run.variables.entry(name).or_default() += 1;
                        }
                        let rule = decision.rule.as_ref().map(|rule| rule.id.clone());
                        let by = (decision.capability.clone(), rule);
                        *run.allowed.entry(by).or_default() += 1;
                    }
                    Verdict::Deny => run.denied += 1,
                }
            }
            Event::DenialsFolded(folded) => {
                if let Some(run) = self.run(&folded.run) {
                    run.denied += folded.count;
                }
            }
            _ => {}
        }
    }

    /// A run that counts. What is written is nearly always of the last.
    fn run(&mut self, id: &str) -> Option<&mut Run> {
        self.runs.iter_mut().rev().find(|run| run.id == id)
    }

    fn denied(&self) -> u64 {
        self.runs.iter().map(|run| run.denied).sum()
    }

    /// When the last run began.
    fn last(&self) -> Option<String> {
        let last = self.runs.back()?;
        Some(format!("{:.0}", last.began))
    }

    /// How often a capability was used, by one rule of it or by any.
    fn times(&self, capability: &str, rule: Option<&str>) -> u64 {
        let allowed = self.runs.iter().flat_map(|run| &run.allowed);
        let of = allowed
            .filter(|((of, by), _)| of == capability && (rule.is_none() || by.as_deref() == rule));
        of.map(|(_, times)| times).sum()
    }

    /// How often a variable was told whose name one granted name stands for.
    fn told(&self, granted: &str) -> u64 {
        let told = self.runs.iter().flat_map(|run| &run.variables);
        let of = told.filter(|(name, _)| match granted.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => *name == granted,
        });
        of.map(|(_, times)| times).sum()
    }

    fn rights(&self, grants: &Grants) -> Vec<Right> {
        let mut rights = Vec::new();
        let mut right = |what: String, used: Option<u64>, revoke: &[&str]| {
            let revoke = revoke.iter().map(|&word| word.to_owned());
            let revoke = Some(revoke.collect::<Vec<_>>()).filter(|words| !words.is_empty());
            rights.push(Right { what, used, revoke });
        };
        let commands = grants.exec.is_some().then(|| self.times("exec", None));
        if let Some(exec) = &grants.exec {
            for rule in &exec.allow {
                let what = format!("commands `{}` (rule `{}`)", rule.program, rule.id);
                let used = self.times("exec", Some(&rule.id.0));
                right(what, Some(used), &["exec", &rule.program.to_string()]);
            }
            if exec.any_program {
                right("any command".to_owned(), commands, &[]);
            }
            if grants.net != Net::None {
                let what = "the network, for its commands".to_owned();
                right(what, commands.filter(|times| *times == 0), &[]);
            }
        }
        for name in &grants.env {
            let what = format!("the variable `{name}`");
            right(what, Some(self.told(name)), &["env", name]);
        }
        if !grants.fs.is_empty() {
            let own = self.times("fs", None);
            // What its commands read is in no trail.
            let used = Some(own).filter(|own| *own > 0 || commands.unwrap_or_default() == 0);
            right("files and directories".to_owned(), used, &[]);
        }
        let whether: [(_, _, _, &[&str]); 4] = [
            (
                "http",
                !grants.http.allow.is_empty(),
                "requests over HTTP",
                &[],
            ),
            (
                "net",
                !grants.own_net.is_empty(),
                "lookups and connections of its own",
                &[],
            ),
            ("kv", grants.kv.is_some(), "state of its own", &["kv"]),
            ("log", grants.log, "lines in your log", &["log"]),
        ];
        for (capability, _, what, revoke) in whether.into_iter().filter(|(_, is, ..)| *is) {
            right(what.to_owned(), Some(self.times(capability, None)), revoke);
        }
        rights
    }
}

/// The command that takes a right away.
fn remedy(record: &Record, right: &Right) -> Option<String> {
    let words = ["portcullis", "revoke", &record.name].map(str::to_owned);
    let words: Vec<_> = words.into_iter().chain(right.revoke.clone()?).collect();
    Some(shell(&words))
}

fn print(record: &Record, used: &Used, rights: &[Right], unused: bool, out: Printer) -> Result<()> {
    out.line(&line(&plugin::summary(record)))?;
    out.line(&format!("  sha256 {}", record.sha256))?;
    let last = used.last().map(|time| format!(", the last {time}"));
    let last = last.unwrap_or_default();
    out.line(&format!(
        "  {}{last}; {}",
        count(used.runs.len() as u64, "run"),
        count(used.denied(), "denial")
    ))?;
    for right in rights {
        let times = match right.used {
            Some(0) => "never used".to_owned(),
            Some(times) => format!("used {}", count(times, "time")),
            None => "not known, since the trail has nothing of what a command reads, writes or reaches by it".to_owned(),
        };
        out.line(&line(&format!("  may have {}: {times}", right.what)))?;
        if let (true, Some(remedy)) = (unused, remedy(record, right)) {
            out.line(&line(&format!("    to take it away: {remedy}")))?;
        }
    }
    if rights.is_empty() {
        out.line(if unused {
            "  used all that it is granted"
        } else {
            "  is granted nothing"
        })?;
    }
    Ok(())
}

fn document(record: &Record, used: &Used, rights: &[Right]) -> Value {
    let rights: Vec<_> = rights
        .iter()
        .map(|right| {
            json!({ "what": right.what, "used": right.used, "revoke": remedy(record, right) })
        })
        .collect();
    json!({
        "plugin": plugin::json(record), "runs": used.runs.len(), "last": used.last(),
        "denials": used.denied(), "rights": rights,
    })
}
