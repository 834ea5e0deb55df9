//! Lines in which programs say that a file could not be used, and what in them may be its name.

/// Lines that are looked at, from the last one on.
const MAX_LINES: usize = 200;
/// Candidates of one line: each is looked up.
const MAX_CANDIDATES: usize = 16;
/// Bytes of a line, and of a path.
const MAX_LENGTH: usize = 4096;

/// What a program says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// It is not there: so it is with what lies outside of a cell.
    Missing,
    /// It may not be used so.
    Denied,
    /// It may not be changed.
    ReadOnly,
    /// It may not be renamed or removed.
    Busy,
    /// It could not be made.
    NotMade,
}

/// Those of the C library and of languages that have their own: codes in upper case, all else in lower case.
const TEXTS: &[(&str, Error)] = &[
    ("read-only file system", Error::ReadOnly),
    ("readonly database", Error::ReadOnly),
    ("EROFS", Error::ReadOnly),
    ("permission denied", Error::Denied),
    ("operation not permitted", Error::Denied),
    ("accessdeniedexception", Error::Denied),
    ("EACCES", Error::Denied),
    ("EPERM", Error::Denied),
    ("device or resource busy", Error::Busy),
    ("EBUSY", Error::Busy),
    ("no such file or directory", Error::Missing),
    ("nosuchfileexception", Error::Missing),
    ("ENOENT", Error::Missing),
    ("does not exist", Error::Missing),
    ("unable to open", Error::Missing),
    ("not found", Error::Missing),
];

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint<'a> {
    pub(super) error: Error,
    pub(super) candidates: Vec<&'a str>,
}

/// The lines that say it, the first one first.
pub(super) fn complaints(text: &str) -> Vec<Complaint<'_>> {
    let mut complaints: Vec<_> = last_lines(text)
        .filter_map(|line| {
            let error = error(line)?;
            Some(Complaint {
                error,
                candidates: candidates(line),
            })
        })
        .collect();
    complaints.reverse();
    complaints
}

/// The lines that are looked at, the last one first.
pub(super) fn last_lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().rev().take(MAX_LINES);
    lines.filter(|line| line.len() <= MAX_LENGTH)
}

/// Whether a line has a text in it: a code in upper case as a word of its own, any other in whatever case.
pub(super) fn says(line: &str, text: &str) -> bool {
    if text.starts_with(char::is_uppercase) {
        let mut words = line.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        words.any(|word| word == text)
    } else {
        line.to_lowercase().contains(text)
    }
}

fn error(line: &str) -> Option<Error> {
    let (_, error) = TEXTS.iter().find(|(text, _)| says(line, text))?;
    let made = *error == Error::Missing && ["creat", "mkdir"].iter().any(|word| says(line, word));
    Some(if made { Error::NotMade } else { *error })
}

/// What may be a path: what stands between quotation marks, what stands between colons, and words.
fn candidates(line: &str) -> Vec<&str> {
    const MARKS: [(char, char); 5] = [
        ('\'', '\''),
        ('"', '"'),
        ('`', '`'),
        ('`', '\''),
        ('\u{2018}', '\u{2019}'),
    ];
    let quoted = MARKS
        .iter()
        .flat_map(|&(open, close)| between(line, open, close));
    let parts = line.split(": ");
    let words = line.split_whitespace();
    let mut kept = Vec::new();
    for candidate in quoted.chain(parts).chain(words) {
        let candidate =
            candidate.trim_matches(|char: char| char.is_whitespace() || ":,;()'\"`".contains(char));
        let plausible = !candidate.is_empty() && !candidate.contains(char::is_control);
        if plausible && kept.len() < MAX_CANDIDATES && !kept.contains(&candidate) {
            kept.push(candidate);
        }
    }
    // Where there is a path, other words are none.
    if kept.iter().any(|candidate| is_path(candidate)) {
        kept.retain(|candidate| is_path(candidate));
    }
    kept
}

/// Whether a word looks like a path, and not only may be one.
pub(super) fn is_path(word: &str) -> bool {
    word.contains('/') && !word.contains("://")
}

fn between(line: &str, open: char, close: char) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(open)?;
        let (inside, after) = after.split_once(close)?;
        rest = after;
        Some(inside)
    })
}
