//! What came of a test beside what was expected.

use std::fs;
use std::path::PathBuf;

use similar::TextDiff;

use crate::render::denials::{Counted, Denials};
use crate::render::{line, shell};
use crate::scripted::{Call, Content, Denied, Seen, Test, Text, matches};

/// What a plugin did.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) exit: u8,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) log: Vec<String>,
    pub(super) denials: Denials,
    /// Calls of stand-ins.
    pub(super) calls: Vec<Call>,
    pub(super) project: PathBuf,
    /// What may explain it.
    pub(super) notes: Vec<String>,
}

/// All that is not as the test expects; with reasons, if there is anything.
pub(super) fn differences(test: &Test, outcome: &Outcome, seen: &Seen) -> Vec<String> {
    let expect = &test.expect;
    let mut found = Vec::new();
    let code = expect.code.unwrap_or(0);
    if outcome.exit != code {
        found.push(format!("it ended with code {}, not {code}", outcome.exit));
    }
    found.extend(
        expect
            .stdout
            .as_ref()
            .and_then(|text| unlike("standard output", text, &outcome.stdout)),
    );
    found.extend(
        expect
            .stderr
            .as_ref()
            .and_then(|text| unlike("standard error", text, &outcome.stderr)),
    );
    found.extend(denials(&expect.denied, &outcome.denials));
    found.extend(commands(test, &outcome.calls));
    found.extend(requests(test, seen));
    found.extend(
        expect
            .log
            .iter()
            .filter(|pattern| !outcome.log.iter().any(|line| matches(pattern, line)))
            .map(|pattern| {
                format!(
                    "nothing like `{pattern}` was logged, but {}",
                    listed(&outcome.log)
                )
            }),
    );
    found.extend(files(test, outcome));
    if !found.is_empty() {
        if expect.stderr.is_none() && !outcome.stderr.is_empty() {
            found.push(format!(
                "standard error was:\n{}",
                indented(&outcome.stderr)
            ));
        }
        found.extend(outcome.notes.iter().map(|note| format!("note: {note}")));
    }
    found
}

fn unlike(what: &str, expected: &Text, found: &str) -> Option<String> {
    match expected {
        Text::Is(expected) => {
            let end = |text: &str| text.strip_suffix('\n').unwrap_or(text).to_owned();
            let (expected, found) = (end(expected), end(found));
            (expected != found).then(|| {
                let diff = TextDiff::from_lines(&expected, &found);
                let diff = diff.unified_diff().context_radius(3).to_string();
                format!("{what} is not as expected:\n{}", indented(&diff))
            })
        }
        Text::Contains { contains } => {
            let missing: Vec<_> = contains
                .iter()
                .filter(|part| !found.contains(*part))
                .collect();
            (!missing.is_empty())
                .then(|| format!("{what} has no {missing:?}:\n{}", indented(found)))
        }
    }
}

fn denials(expected: &[Denied], found: &Denials) -> Vec<String> {
    let fits = |denied: &Denied, counted: &Counted| {
        let object = denied.object.as_ref();
        denied
            .code
            .eq_ignore_ascii_case(counted.denial.code.as_str())
            && object.is_none_or(|pattern| matches(pattern, &counted.denial.object))
    };
    let missing = expected
        .iter()
        .filter(|denied| !found.0.iter().any(|counted| fits(denied, counted)));
    let missing = missing.map(|denied| {
        let about = denied
            .object
            .as_ref()
            .map(|object| format!(" about `{object}`"));
        format!(
            "there was no denial {}{}",
            denied.code,
            about.unwrap_or_default()
        )
    });
    let unexpected = found
        .0
        .iter()
        .filter(|counted| !expected.iter().any(|denied| fits(denied, counted)));
    let unexpected = unexpected.map(|counted| {
        let denial = &counted.denial;
        let remedies = denial
            .remedies
            .iter()
            .filter_map(|remedy| remedy.command.as_deref());
        let allowed: String = remedies
            .map(|command| format!("\n  to allow it: {}", shell(command)))
            .collect();
        format!(
            "it was denied {}: plugin `{}` may not {} (`{}`){allowed}",
            denial.code,
            denial.plugin,
            line(&denial.action),
            line(&denial.object)
        )
    });
    missing.chain(unexpected).collect()
}

fn commands(test: &Test, calls: &[Call]) -> Vec<String> {
    let unscripted = calls
        .iter()
        .filter(|call| call.script.is_none())
        .map(|call| {
            let words: Vec<_> = std::iter::once(&call.program)
                .chain(&call.args)
                .cloned()
                .collect();
            format!(
                "it ran `{}`, for which the test has no script",
                shell(&words)
            )
        });
    let counts = test
        .commands
        .iter()
        .enumerate()
        .filter_map(|(place, script)| {
            let turns = calls
                .iter()
                .filter(|call| call.script == Some(place))
                .count();
            let times = script.times?;
            (turns != times as usize)
                .then(|| format!("it ran `{}` {turns} times, not {times}", shell(&script.run)))
        });
    unscripted.chain(counts).collect()
}

fn requests(test: &Test, seen: &Seen) -> Vec<String> {
    let unscripted = seen.unscripted();
    let unscripted = unscripted.into_iter().map(|asked| {
        format!(
            "it asked for {}, for which the test has no script",
            line(&asked)
        )
    });
    let counts = test.http.iter().enumerate().filter_map(|(place, script)| {
        let (turns, times) = (seen.turns(place), script.times?);
        (turns != times).then(|| format!("it sent `{}` {turns} times, not {times}", script.request))
    });
    unscripted.chain(counts).collect()
}

fn files(test: &Test, outcome: &Outcome) -> Vec<String> {
    let files = test.expect.files.iter().filter_map(|(path, expected)| {
        let whole = outcome.project.join(path);
        let name = format!("file `{}`", path.display());
        match (expected, fs::read(&whole)) {
            (Content::Missing(_), Err(_)) if !whole.exists() => None,
            (Content::Missing(_), _) => Some(format!("{name} is there")),
            (Content::Is(_), Err(error)) => Some(format!("{name} cannot be read: {error}")),
            (Content::Is(text), Ok(found)) => unlike(&name, text, &String::from_utf8_lossy(&found)),
        }
    });
    files.collect()
}

fn listed(lines: &[String]) -> String {
    match lines {
        [] => "nothing".to_owned(),
        lines => format!("\n{}", indented(&lines.join("\n"))),
    }
}

/// What a plugin wrote, with nothing in it that moves a cursor.
fn indented(text: &str) -> String {
    let lines = text.lines().map(|text| format!("    {}", line(text)));
    lines.collect::<Vec<_>>().join("\n")
}
