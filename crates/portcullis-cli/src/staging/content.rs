//! What is in the files of a difference: a unified diff for a terminal, bounded, of text that others chose.

use std::time::Duration;

use portcullis::Overlay;
use portcullis::stage::{After, Change, Content, Difference, Object, Stage};
use similar::{ChangeTag, TextDiff};

use crate::consent::wrapped;
use crate::render::count;

/// Bytes of a file that are compared.
const MOST_BYTES: u64 = 256 * 1024;
/// Rows of the terminal that one file takes.
const MOST_ROWS: usize = 400;
/// Rows that all of them take.
const MOST_IN_ALL: usize = 4000;
/// How long is looked for the shortest difference of a file.
const PATIENCE: Duration = Duration::from_millis(500);
/// Lines that are the same before and after what is different.
const CONTEXT: usize = 3;

/// Whether a change has anything to look at.
pub(super) fn is_of_file(change: &Change) -> bool {
    let was_file = change
        .before
        .is_some_and(|before| before.object == Object::File);
    match &change.after {
        Some(After::File { .. }) => true,
        Some(After::Mode { .. }) => false,
        Some(After::Directory { .. } | After::Link { .. }) | None => was_file,
    }
}

/// The rows for all files of a difference, escaped. What is left out is counted.
pub(super) fn rows(stage: &Stage, difference: &Difference) -> Vec<String> {
    let files: Vec<_> = difference
        .changes
        .iter()
        .filter(|change| is_of_file(change))
        .collect();
    let mut all = Vec::new();
    for (number, change) in files.iter().enumerate() {
        if all.len() >= MOST_IN_ALL {
            let rest = count((files.len() - number) as u64, "more file");
            all.push(format!("… {rest} not shown"));
            break;
        }
        all.extend(of_file(stage, change));
    }
    all
}

fn of_file(stage: &Stage, change: &Change) -> Vec<String> {
    let root = stage.roots().get(change.root);
    let path = root.map_or_else(|| change.path.clone(), |root| change.absolute(&root.path));
    let mut rows = wrapped(&format!("--- {}", path.display()));
    let (before, after) = match stage.content(Overlay::UPPER, change, MOST_BYTES) {
        Ok(both) => both,
        Err(error) => {
            rows.extend(wrapped(&format!("cannot be shown: {error}")));
            return rows;
        }
    };
    let (Some(before), Some(after)) = (text(&before), text(&after)) else {
        rows.push(format!("{} become {}", says(&before), says(&after)));
        return rows;
    };
    let mut shown = unified(before, after);
    let rest = shown.len().saturating_sub(MOST_ROWS);
    shown.truncate(MOST_ROWS);
    rows.extend(shown);
    if rest > 0 {
        rows.push(format!("… {} of this file", count(rest as u64, "more row")));
    }
    rows
}

/// What is compared line by line; no file has no lines.
fn text(content: &Content) -> Option<&str> {
    match content {
        Content::NoFile => Some(""),
        Content::Bytes(bytes) if bytes.contains(&0) => None,
        Content::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
        Content::TooLong => None,
    }
}

/// What is said of a file that is not compared.
fn says(content: &Content) -> String {
    match content {
        Content::NoFile => "no file".to_owned(),
        Content::Bytes(bytes) => match text(content) {
            Some(_) => format!("{} bytes of text", bytes.len()),
            None => format!("{} bytes that are no text", bytes.len()),
        },
        Content::TooLong => format!("more than {MOST_BYTES} bytes"),
    }
}

fn unified(before: &str, after: &str) -> Vec<String> {
    let diff = TextDiff::configure()
        .timeout(PATIENCE)
        .diff_lines(before, after);
    let mut rows = Vec::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        rows.push(hunk.header().to_string());
        for change in hunk.iter_changes() {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            // Only what ends a line everywhere goes unsaid.
            let line = change.value();
            let line = line.strip_suffix('\n').unwrap_or(line);
            rows.extend(wrapped(&format!("{sign}{line}")));
            if !change.value().ends_with('\n') {
                rows.push("\\ no newline at its end".to_owned());
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_escaped_and_nothing_of_it_is_hidden() {
        let rows = unified(
            "a\nb\n",
            "a\nb\r\n\u{1b}[2J\u{202e}c\tportcullis: commit it?",
        );
        let expected = [
            "@@ -1,2 +1,3 @@",
            " a",
            "-b",
            "+b\\u{d}",
            "+\\u{1b}[2J\\u{202e}c\\tportcullis: commit it?",
            "\\ no newline at its end",
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn two_texts_with_nothing_in_common_end() {
        let text = |word: &str| -> String {
            (0..60_000)
                .map(|n| format!("{word}{}\n", n % 7919))
                .collect()
        };
        let begun = std::time::Instant::now();
        let rows = unified(&text("a"), &text("b"));
        assert!(rows.len() >= 120_000, "{}", rows.len());
        assert!(begun.elapsed().as_secs() < 30);
    }
}
