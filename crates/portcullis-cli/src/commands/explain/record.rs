//! Which record of the trail a line is about: one of `run --trace`, of `audit show`, of the trail itself, or of a denial as it is
//! printed.
//!
//! A plugin writes lines too. What is in a line is compared with what is written down, and nothing else is done with it.

use portcullis_audit::{Decision, Entry, Event, Verdict};
use serde_json::Value;

use crate::code;
use crate::commands::audit::{run_of, summary, words};
use crate::render::line;

/// Bytes of a line that anybody copies.
pub(super) const LONGEST: u64 = 64 * 1024;

/// Why a line is about no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// It looks like no line of ours.
    NoLine,
    /// It looks like one, and nothing of the kind was written down.
    NotWritten,
    /// There is a record of that number, which says something else.
    Other(u64),
}

/// The newest record that a line is about.
pub(super) fn find<'a>(entries: &'a [Entry], text: &str) -> Result<&'a Entry, Unknown> {
    let text = text.trim();
    if text.starts_with('{') {
        return of_json(entries, text);
    }
    if let Some((number, shown)) = numbered(text) {
        let found = entries.iter().find(|entry| entry.head.seq == number);
        let found = found.ok_or(Unknown::NotWritten)?;
        return if says(found, shown) {
            Ok(found)
        } else {
            Err(Unknown::Other(number))
        };
    }
    if let Some((code, plugin)) = denial(text) {
        let mut newest = entries.iter().rev();
        let found = newest.find(|entry| match &entry.event {
            Some(Event::Decision(decision)) => is_of(decision, code, plugin, text),
            _ => false,
        });
        return found.ok_or(Unknown::NotWritten);
    }
    let traced = traced(text);
    let shown = traced.unwrap_or(text);
    let found = entries.iter().rev().find(|entry| says(entry, shown));
    let is_ours = traced.is_some() || shown.starts_with("call ") || shown.starts_with("run ");
    found.ok_or(if is_ours {
        Unknown::NotWritten
    } else {
        Unknown::NoLine
    })
}

/// The decision that a record is about, where it is one of what came of it.
pub(super) fn decision<'a>(entries: &'a [Entry], entry: &'a Entry) -> Option<&'a Decision> {
    let event = entry.event.as_ref()?;
    let call = match event {
        Event::Decision(decision) => return Some(decision),
        Event::Asked(event) => event.call,
        Event::Outcome(event) => event.call,
        Event::Done(event) => event.call,
        // Those that were counted came after one that was written down.
        Event::DenialsFolded(folded) => {
            let mut before = entries.iter().rev();
            return before.find_map(|entry| match &entry.event {
                Some(Event::Decision(decision))
                    if decision.run == folded.run && decision.object == folded.object =>
                {
                    Some(decision)
                }
                _ => None,
            });
        }
        _ => return None,
    };
    let run = run_of(event)?;
    entries.iter().find_map(|entry| match &entry.event {
        Some(Event::Decision(decision)) if decision.run == run && decision.call == call => {
            Some(decision)
        }
        _ => None,
    })
}

/// A record of the trail as it stands there. It counts only as it was written.
fn of_json<'a>(entries: &'a [Entry], text: &str) -> Result<&'a Entry, Unknown> {
    let record: Value = serde_json::from_str(text).map_err(|_| Unknown::NoLine)?;
    let number = record.get("seq").and_then(Value::as_u64);
    let number = number.ok_or(Unknown::NoLine)?;
    let found = entries.iter().find(|entry| entry.head.seq == number);
    let found = found.ok_or(Unknown::NotWritten)?;
    if found.json == record {
        Ok(found)
    } else {
        Err(Unknown::Other(number))
    }
}

/// The number, and what follows the time, of a line of `audit show`.
fn numbered(text: &str) -> Option<(u64, &str)> {
    let (number, rest) = text.split_once(' ')?;
    let (time, shown) = rest.trim_start().split_once(' ')?;
    time.parse::<jiff::Timestamp>().ok()?;
    Some((number.parse().ok()?, shown.trim_start()))
}

/// What follows the time of a line of `run --trace`.
fn traced(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("trace ")?.trim_start();
    let (time, rest) = rest.split_once(" ms ")?;
    time.parse::<f64>().ok()?;
    Some(rest.trim_start())
}

/// The code and the plugin of a denial as it is printed.
fn denial(text: &str) -> Option<(&'static str, &str)> {
    let (_, rest) = text.split_once('[')?;
    let (code, rest) = rest.split_once("]: plugin `")?;
    let (code, _) = code::page(code)?;
    let (plugin, _) = rest.split_once('`')?;
    Some((code, plugin))
}

/// Whether a denial that was printed is this one: its text names the program or the path that was asked for.
fn is_of(decision: &Decision, code: &str, plugin: &str, text: &str) -> bool {
    let object = decision.object.as_str();
    let named = match serde_json::from_str::<Vec<String>>(object) {
        Ok(argv) => argv.first().is_some_and(|program| {
            let name = program.rsplit('/').next().unwrap_or(program);
            let all = argv.iter().all(|word| text.contains(word.as_str()));
            // The headline has the program alone.
            text.contains(&format!("{name}`")) && (all || !text.contains('\n'))
        }),
        Err(_) => object.split(' ').all(|word| text.contains(word)),
    };
    decision.verdict == Verdict::Deny
        && decision.code.as_deref() == Some(code)
        && decision.plugin == plugin
        && named
}

fn says(entry: &Entry, shown: &str) -> bool {
    let event = entry.event.as_ref();
    event.is_some_and(|event| line(&words(event)) == shown || line(&summary(event)) == shown)
}
