//! The table at the end of `docs/clawft.md`: each row of clawft's catalogue and each weak spot, and the tests that show it. It is
//! written from the names of the tests, `t01_…` and `weak_01_…`.

use crate::shell;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The page, and the line of it below which nobody else writes.
const PAGE: &str = "docs/clawft.md";
const BELOW: &str = "<!-- written by `cargo xtask clawft` -->\n";

/// One of the two lists: how its tests are called, how its rows are, and how many there are.
struct List {
    prefix: &'static str,
    shown: &'static str,
    rows: usize,
    title: &'static str,
    /// Rows that no test shows, and why.
    others: &'static [(usize, &'static str)],
}

const LISTS: [List; 2] = [
    List {
        prefix: "t",
        shown: "T",
        rows: 45,
        title: "Rows of clawft's catalogue",
        others: &[],
    },
    List {
        prefix: "weak_",
        shown: "",
        rows: 37,
        title: "Places where earlier hosts kept less than they promised",
        others: &[
            (34, "signatures: with installation"),
            (36, "skills that agents make: with installation"),
            (
                37,
                "no function of such a plugin starts a command; commands of others run [confined or not at all](confinement.md)",
            ),
        ],
    },
];

/// A test: what it shows, and the file that has it.
type Test = (String, PathBuf);

/// Writes the table.
///
/// # Errors
/// As for [`check`], but for a table that is out of date.
pub(crate) fn write() -> Result<()> {
    let path = shell::root().join(PAGE);
    fs::write(path, page(&fs::read_to_string(shell::root().join(PAGE))?)?)?;
    Ok(())
}

/// Whether the table is what the names of the tests say.
///
/// # Errors
/// It is not; a row is shown by no test and is not said to be shown elsewhere, or is said to be and is shown.
pub(crate) fn check() -> Result<()> {
    let text = fs::read_to_string(shell::root().join(PAGE))?;
    if page(&text)? != text {
        bail!("the table of `{PAGE}` is out of date: cargo xtask clawft");
    }
    Ok(())
}

/// The page as it should be.
fn page(text: &str) -> Result<String> {
    let tests = tests(&shell::root().join("crates"))?;
    let (own, _) = text
        .split_once(BELOW)
        .with_context(|| format!("`{PAGE}` has no line `{}`", BELOW.trim()))?;
    let mut page = format!("{own}{BELOW}");
    for list in &LISTS {
        page.push_str(&table(list, &tests)?);
    }
    Ok(page)
}

fn table(list: &List, tests: &[Test]) -> Result<String> {
    let mut shown: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (name, file) in tests {
        let Some((row, what)) = row(list, name) else {
            continue;
        };
        if row == 0 || row > list.rows {
            bail!("there is no row for the test `{name}`");
        }
        let link = file.display();
        let place = file.file_name().unwrap_or_default().display();
        let line = format!("{what} | [`{place}`](../crates/{link})");
        shown.entry(row).or_default().push(line);
    }
    for (row, why) in list.others {
        let lines = shown.entry(*row).or_default();
        if !lines.is_empty() {
            bail!(
                "{}{row:02} is shown by a test and listed as: {why}",
                list.prefix
            );
        }
        lines.push(format!("*{why}* |"));
    }
    let mut text = format!(
        "\n## {}\n\n| | what is shown | by a test in |\n|---|---|---|\n",
        list.title
    );
    for row in 1..=list.rows {
        let lines = shown.get(&row);
        let lines = lines.with_context(|| format!("no test shows {}{row:02}", list.prefix))?;
        for line in lines {
            let _infallible = writeln!(text, "| {}{row:02} | {line} |", list.shown);
        }
    }
    Ok(text)
}

/// The number in the name of a test, and the rest of the name in words.
fn row(list: &List, name: &str) -> Option<(usize, String)> {
    let (number, what) = name.strip_prefix(list.prefix)?.split_once('_')?;
    let number = number.parse().ok().filter(|_| number.len() == 2)?;
    Some((number, what.replace('_', " ")))
}

/// All functions below a directory that are called like tests of a row, in the order of files and of names.
fn tests(directory: &Path) -> Result<Vec<Test>> {
    let mut found = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        if next.is_dir() {
            for entry in fs::read_dir(&next)? {
                left.push(entry?.path());
            }
        } else if next.extension().is_some_and(|end| end == "rs") {
            let file = next.strip_prefix(directory)?.to_owned();
            let text = fs::read_to_string(&next)?;
            let names = functions(&text).filter(|name| {
                let mut lists = LISTS.iter();
                lists.any(|list| row(list, name).is_some())
            });
            found.extend(names.map(|name| (name.to_owned(), file.clone())));
        }
    }
    found.sort();
    Ok(found)
}

/// The names of the functions of a file that take nothing. One that is in no list of tests is a warning of the compiler.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("fn ")?.split_once("()"))
        .map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: List = List {
        prefix: "t",
        shown: "T",
        rows: 2,
        title: "Rows",
        others: &[(2, "later")],
    };

    fn test(name: &str) -> Test {
        (name.to_owned(), "a/tests/x.rs".into())
    }

    #[test]
    fn a_table_has_each_row_with_its_tests() {
        let tests = [
            "t01_a_thing_holds",
            "t01_another",
            "the_rest",
            "t1_x",
            "to_y",
        ]
        .map(test);
        assert_eq!(
            table(&LIST, &tests).unwrap(),
            "\n## Rows\n\n| | what is shown | by a test in |\n|---|---|---|\n\
             | T01 | a thing holds | [`x.rs`](../crates/a/tests/x.rs) |\n\
             | T01 | another | [`x.rs`](../crates/a/tests/x.rs) |\n\
             | T02 | *later* | |\n"
        );
    }

    #[test]
    fn a_row_without_a_test_and_a_test_without_a_row_are_errors() {
        let why = |names: &[&str]| {
            let tests: Vec<_> = names.iter().map(|name| test(name)).collect();
            table(&LIST, &tests).unwrap_err().to_string()
        };
        assert_eq!(why(&[]), "no test shows t01");
        assert_eq!(why(&["t03_x"]), "there is no row for the test `t03_x`");
        assert_eq!(
            why(&["t02_x"]),
            "t02 is shown by a test and listed as: later"
        );
    }

    #[test]
    fn functions_are_found_wherever_they_stand() {
        let text = "fn one() {\n    fn two() {}\n}\nasync fn three() {}\nfn four(x: u8) {}\n// fn five()\n";
        assert_eq!(functions(text).collect::<Vec<_>>(), ["one", "two"]);
    }
}
