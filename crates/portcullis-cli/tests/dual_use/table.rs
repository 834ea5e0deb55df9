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

/// A program's row: its category, and its powers by mode.
type Row = (String, BTreeMap<Mode, Powers>);

const INTRODUCTION: &str = "\
# What a program that is allowed by name can do

Written by `cargo test -p portcullis-cli --test dual_use -- --table`; the same tests hold each measurement against it.

Each program below is allowed to a plugin, which makes it run code of its own: by an option, a hook, a configuration
file or the program's own language, as its manual says. The code then tries nine powers. What it gained is read from
the world outside, not from what it reports.

- **A** a list of allowed names and no wall (`confinement = \"limits\"`)
- **B** Landlock alone (`confinement = \"landlock\"`)
- **C** the default (`confinement = \"full\"`)
- **D** the default, and the program may start no other

Two powers are the plugin's to have in C: what it runs, it runs inside the cell. The other seven reach outside.

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
            Err("`docs/dual-use.md` is out of date; `--table` writes it anew".into())
        }),
        Trial::test("table::is_broad", move || Ok(broad_enough(&broad)?)),
    ]
}

/// Sixty pagers would prove nothing: at least five of each kind that matters.
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
    let count = |kind: &str| {
        entries
            .iter()
            .filter(|entry| entry.category == kind)
            .count()
    };
    let thin: Vec<_> = KINDS.into_iter().filter(|kind| count(kind) < 5).collect();
    if entries.len() < 60 || !thin.is_empty() {
        return Err(format!(
            "{} programs; fewer than five of: {thin:?}",
            entries.len()
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
    rows(&text).remove(program)?.1.remove(&mode)
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
        row.1.insert(*mode, powers.clone());
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
        let [program, category, powers @ ..] = &cells[..] else {
            return None;
        };
        let powers = Mode::ALL
            .into_iter()
            .zip(powers)
            .filter(|(_, text)| *text != "?")
            .map(|(mode, text)| (mode, from_letters(text)));
        Some((program.clone(), (category.clone(), powers.collect())))
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
    text.push_str("\n| program | category | A | B | C | D |\n|---|---|---|---|---|---|\n");
    for entry in entries {
        write!(text, "| `{}` | {} |", entry.name, entry.category).unwrap();
        for mode in Mode::ALL {
            let powers = rows
                .get(&entry.name)
                .and_then(|(_, powers)| powers.get(&mode));
            write!(
                text,
                " {} |",
                powers.map_or_else(|| "?".to_owned(), letters)
            )
            .unwrap();
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
                .filter_map(|entry| rows.get(&entry.name)?.1.get(&mode))
                .filter(|powers| powers.contains(&power));
            write!(text, " {} |", gained.count()).unwrap();
        }
        text.push('\n');
    }
}
