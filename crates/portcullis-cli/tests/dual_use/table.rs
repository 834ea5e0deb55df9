//! `docs/dual-use.md`: written from what was measured, and read back to hold a measurement against it.

use crate::case::Measured;
use crate::entry::Entry;
use crate::mode::Mode;
use crate::power::{Power, Powers, from_letters, letters};
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

/// A program's powers, by mode.
type Row = BTreeMap<Mode, Powers>;

/// What writes the table anew.
pub(crate) const WRITE: &str = "PORTCULLIS_TABLE=write";

const INTRODUCTION: &str = "\
# What a program that is allowed by name can do

Written by `PORTCULLIS_TABLE=write cargo test -p portcullis-cli --test dual_use`; without the variable the same tests hold
each measurement against this file.

Each program below is allowed to a plugin by its name, and made to run code of its caller's choice: by an option, a hook,
a configuration file or its own language, as its manual says. The code then tries nine powers. What it gained is read
from the world outside, never from what it reports: a file that changed, a connection that arrived, a process that died.

- **A** a list of allowed names and nothing else: the program runs as its user would run it
- **B** Portcullis without namespaces (`confinement = \"landlock\"`)
- **C** Portcullis as it is by default (`confinement = \"full\"`)
- **D** the default, and the rule lets the program start no other (`exec = []`)

B, C and D are a plugin's call through the shipped command, with one directory granted to write and no network. In B and C
the directory of the payload is granted as a toolchain (`exec.system`), so that the compiled payload runs and is stopped by
what it tries, not by where it lies.

In C a program runs code and starts others: inside the cell, which is what it was allowed to. That it ran there and nowhere
else is seen in the other seven powers, since the same code gains them all in A. In D it runs what it reads in its own
language, and nothing else. Landlock has no right for the modes of files, so B does not keep them.

A dash: the program did not get as far as the payload. In B it mostly misses a `/tmp`; in C it wants to trace another
process, or a socket that is not there; in D it has no language of its own.

";

fn path() -> PathBuf {
    portcullis_testkit::repository().join("docs/dual-use.md")
}

/// The tests of the table itself.
pub(crate) fn trials(entries: &[Entry]) -> Vec<Trial> {
    let entries = entries.to_vec();
    let broad = entries.clone();
    vec![
        Trial::test("table::is_what_its_rows_say", move || {
            let text = fs::read_to_string(path())?;
            if render(&entries, &rows(&text), &measured_on(&text)) == text {
                return Ok(());
            }
            Err(format!("`docs/dual-use.md` is out of date; `{WRITE}` writes it anew").into())
        }),
        Trial::test("table::is_broad", move || Ok(broad_enough(&broad)?)),
    ]
}

/// Sixty pagers would prove nothing: at least five of each kind that matters, whatever else is not installed, and both
/// sorts of payload.
fn broad_enough(entries: &[Entry]) -> Result<(), String> {
    const KINDS: [&str; 9] = [
        "archivers",
        "build tools",
        "debuggers",
        "editors",
        "interpreters",
        "network clients",
        "package managers",
        "shells",
        "version control",
    ];
    let always: Vec<_> = entries.iter().filter(|entry| !entry.heavy).collect();
    let count = |kind: &str| {
        let of_kind = always.iter().filter(|entry| entry.category == kind);
        of_kind.count()
    };
    let thin: Vec<_> = KINDS.into_iter().filter(|kind| count(kind) < 5).collect();
    let own = always.iter().filter(|entry| entry.own.is_some()).count();
    if always.len() < 60 || !thin.is_empty() || own < 20 {
        return Err(format!(
            "{} programs that are always tried, {own} in their own language; fewer than five of: {thin:?}",
            always.len()
        ));
    }
    Ok(())
}

/// Whether the machine that measured the committed table had the same wall in this mode. Landlock grows with the
/// kernel, so its column holds for one version only; the other columns hold everywhere.
pub(crate) fn comparable(mode: Mode) -> bool {
    mode != Mode::Landlock || fs::read_to_string(path()).is_ok_and(|text| text.contains(&kernel()))
}

/// The kernel's version to the minor number, in the words of the table.
fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version: Vec<_> = release.split('.').take(2).collect();
    format!("Measured on Linux {}", version.join("."))
}

/// The line of a table that says where it was measured.
fn measured_on(text: &str) -> String {
    let line = text.lines().find(|line| line.starts_with("Measured on "));
    line.and_then(|line| line.split(':').next())
        .unwrap_or_default()
        .to_owned()
}

/// A program's powers in a mode as they were committed.
pub(crate) fn committed(program: &str, mode: Mode) -> Option<Powers> {
    let text = fs::read_to_string(path()).ok()?;
    rows(&text).remove(program)?.remove(&mode)
}

/// Writes the table. What was not measured keeps its committed value.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write(entries: &[Entry], measured: &Measured) -> Result<(), Box<dyn Error>> {
    let old = fs::read_to_string(path()).unwrap_or_default();
    let mut rows = rows(&old);
    for ((program, mode), powers) in &*measured.lock().unwrap() {
        let row = rows.entry(program.clone()).or_default();
        row.insert(*mode, powers.clone());
    }
    Ok(fs::write(path(), render(entries, &rows, &kernel()))?)
}

/// Reads the rows of a table.
fn rows(text: &str) -> BTreeMap<String, Row> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().trim_matches('`').to_owned())
            .collect()
    };
    let row = |line: &str| {
        let cells = cells(line);
        let [program, _category, _payloads, powers @ ..] = &cells[..] else {
            return None;
        };
        let powers = Mode::ALL
            .into_iter()
            .zip(powers)
            .filter(|(_, text)| *text != "?")
            .map(|(mode, text)| (mode, from_letters(text)));
        Some((program.clone(), powers.collect()))
    };
    let table = text.split("\n| program |").nth(1).unwrap_or_default();
    table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .filter_map(row)
        .collect()
}

fn render(entries: &[Entry], rows: &BTreeMap<String, Row>, kernel: &str) -> String {
    let mut text = INTRODUCTION.to_owned();
    writeln!(text, "{kernel}: {} programs.\n", entries.len()).unwrap();
    summary(&mut text, entries, rows);
    kinds(&mut text, entries);
    text.push_str(
        "\n| program | category | payloads | A | B | C | D |\n|---|---|---|---|---|---|---|\n",
    );
    for entry in entries {
        let own = if entry.own.is_some() { ", own" } else { "" };
        write!(
            text,
            "| `{}` | {} | native{own} |",
            entry.name, entry.category
        )
        .unwrap();
        for mode in Mode::ALL {
            let powers = rows.get(&entry.name).and_then(|powers| powers.get(&mode));
            let cell = powers.map_or_else(|| "?".to_owned(), letters);
            write!(text, " {cell} |").unwrap();
        }
        text.push('\n');
    }
    text
}

/// How many programs gained each power in each mode.
fn summary(text: &mut String, entries: &[Entry], rows: &BTreeMap<String, Row>) {
    text.push_str("| power | letter | A | B | C | D |\n|---|---|---|---|---|---|\n");
    for power in Power::ALL {
        write!(text, "| {} | {} |", power.describe(), power.letter()).unwrap();
        for mode in Mode::ALL {
            let gained = entries
                .iter()
                .filter_map(|entry| rows.get(&entry.name)?.get(&mode))
                .filter(|powers| powers.contains(&power));
            write!(text, " {} |", gained.count()).unwrap();
        }
        text.push('\n');
    }
}

/// How many programs there are of each kind, and which are not installed for every run.
fn kinds(text: &mut String, entries: &[Entry]) {
    let mut counts = BTreeMap::new();
    for entry in entries {
        *counts.entry(&*entry.category).or_insert(0) += 1;
    }
    let counts: Vec<_> = counts
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    writeln!(text, "\nBy kind: {}.", counts.join(", ")).unwrap();
    let heavy = entries.iter().filter(|entry| entry.heavy);
    let heavy: Vec<_> = heavy.map(|entry| format!("`{}`", entry.name)).collect();
    writeln!(
        text,
        "\nContinuous integration installs and tries all but those with large packages: {}.",
        heavy.join(", ")
    )
    .unwrap();
}

/// Whether the table is to be written instead of compared.
pub(crate) fn is_asked_to_write() -> bool {
    std::env::var("PORTCULLIS_TABLE").is_ok_and(|value| value == "write")
}
