//! What of a staged `.git/config` may become the real one.
//!
//! git writes its configuration where it keeps what it executes: `core.fsmonitor`, `alias.*`,
//! filters, `core.sshCommand`. So a command gets a copy, and of what it did to the copy only
//! upstreams and remotes are carried over. **No byte of the copy is**: the few values that pass are
//! written by us into the text that was there before, and the result is read once more and compared.

use std::ops::Range;

use super::git_file::{self, ConfigFile, Entry};
use super::git_values::{self, Unfit};

/// How many refused keys are named; the rest is counted.
const NAMED: usize = 32;

/// What is to be done with a staged configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// It says what the real one says.
    Unchanged,
    /// Everything it changed may be changed.
    Write(Edited),
    /// Nothing of it is carried over.
    Refused(Refused),
}

/// A configuration in which only upstreams and remotes differ from the old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The file to write: the old text with our edits.
    pub content: Vec<u8>,
    /// What is different, in the order of the file, removals first.
    pub changes: Vec<Change>,
}

/// One variable that is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The full key. Remotes and branches have names that git allows: no control characters.
    pub key: String,
    /// The value that was added or removed.
    pub value: String,
    /// Whether it was added.
    pub added: bool,
    /// Whether it sends somewhere else what had a place before: another url for a remote that was
    /// there, another upstream for a branch that had one. The user's next `git push` or `git pull`
    /// follows it, so it is worth a question.
    pub redirects: bool,
}

/// Why nothing is carried over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The first 32 variables that stand in the way, escaped for a terminal.
    pub keys: Vec<RefusedKey>,
    /// How many more there are.
    pub more: usize,
}

/// A variable that may not be changed so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedKey {
    /// The full key, escaped; empty where the file as a whole is refused.
    pub key: String,
    /// What is wrong.
    pub why: Unfit,
}

/// Decides what becomes of the copy that a command may have changed. Pure.
///
/// Allowed to differ are `branch.<name>.{remote,merge,rebase}` and
/// `remote.<name>.{url,pushurl,fetch}`. A new value must be harmless: a url is `https://`, `ssh://`
/// or `user@host:path`; a fetch writes only below the remote's own `refs/remotes/`; an upstream is a
/// remote by name, not a url. Paths are not urls here: a push runs the hooks of the repository it
/// leads to, which the command may have written. Everything else has to be there as before, in the
/// same order.
///
/// # Shapes and units
/// Both files whole; either over a mebibyte is refused.
pub fn commit(base: &[u8], staged: &[u8]) -> Commit {
    if base == staged {
        return Commit::Unchanged;
    }
    let (old, new) = match (git_file::parse(base), git_file::parse(staged)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(error), _) => return whole(Unfit::Base(error)),
        (_, Err(error)) => return whole(Unfit::Staged(error)),
    };
    let mut refused = fixed_parts(&old, &new);
    let (removed, added) = differences(&old, &new);
    for entry in &added {
        if let Err(why) = git_values::check(entry) {
            refused.push(RefusedKey {
                key: escaped(&entry.key),
                why,
            });
        }
    }
    if !refused.is_empty() {
        let more = refused.len().saturating_sub(NAMED);
        refused.truncate(NAMED);
        return Commit::Refused(Refused {
            keys: refused,
            more,
        });
    }
    if removed.is_empty() && added.is_empty() {
        // Comments, spaces, order.
        return Commit::Unchanged;
    }
    let content = edit(base, &old, &removed, &added);
    if !says(&content, &old, &removed, &added) {
        return whole(Unfit::Unfaithful);
    }
    let changes = changes(&old, &removed, &added);
    Commit::Write(Edited { content, changes })
}

fn whole(why: Unfit) -> Commit {
    Commit::Refused(Refused {
        keys: vec![RefusedKey {
            key: String::new(),
            why,
        }],
        more: 0,
    })
}

/// Whether a difference in this variable may be carried over at all.
fn is_open(entry: &Entry) -> bool {
    match entry.parts() {
        (b"branch", Some(_), key) => matches!(key, b"remote" | b"merge" | b"rebase"),
        (b"remote", Some(_), key) => matches!(key, b"url" | b"pushurl" | b"fetch"),
        _ => false,
    }
}

fn same(one: &Entry, other: &Entry) -> bool {
    one.key == other.key && one.value == other.value
}

/// Names every variable outside the open ones that is not as it was. They are compared as
/// sequences, since in git the last one wins and an include counts where it stands.
fn fixed_parts(old: &ConfigFile, new: &ConfigFile) -> Vec<RefusedKey> {
    let old: Vec<&Entry> = old.entries.iter().filter(|entry| !is_open(entry)).collect();
    let new: Vec<&Entry> = new.entries.iter().filter(|entry| !is_open(entry)).collect();
    if old.len() == new.len() && old.iter().zip(&new).all(|(one, other)| same(one, other)) {
        return Vec::new();
    }
    let name = |entries: Vec<&Entry>, why: Unfit| {
        let mut keys: Vec<String> = entries.iter().map(|entry| escaped(&entry.key)).collect();
        keys.dedup();
        keys.into_iter()
            .map(move |key| RefusedKey {
                key,
                why: why.clone(),
            })
            .collect::<Vec<_>>()
    };
    let mut refused = name(without(&new, &old), Unfit::NotOpen);
    refused.extend(name(without(&old, &new), Unfit::Removed));
    if refused.is_empty() {
        refused = name(new, Unfit::Reordered);
    }
    refused
}

/// What of the first is not in the second, each occurrence counted.
fn without<'a>(from: &[&'a Entry], minus: &[&Entry]) -> Vec<&'a Entry> {
    let ident = |entry: &Entry| (entry.key.clone(), entry.value.clone());
    let mut left = std::collections::HashMap::<_, usize>::new();
    for entry in minus {
        *left.entry(ident(entry)).or_default() += 1;
    }
    let is_new = |entry: &&&Entry| match left.get_mut(&ident(entry)) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    from.iter().filter(is_new).copied().collect()
}

/// The open variables that are only in the old file, and those only in the new one.
fn differences<'a>(old: &'a ConfigFile, new: &'a ConfigFile) -> (Vec<&'a Entry>, Vec<&'a Entry>) {
    let old: Vec<&Entry> = old.entries.iter().filter(|entry| is_open(entry)).collect();
    let new: Vec<&Entry> = new.entries.iter().filter(|entry| is_open(entry)).collect();
    (without(&old, &new), without(&new, &old))
}

fn changes(old: &ConfigFile, removed: &[&Entry], added: &[&Entry]) -> Vec<Change> {
    let had = |prefix: &[u8], keys: &[&[u8]]| {
        old.entries.iter().any(|entry| {
            entry
                .key
                .strip_prefix(prefix)
                .is_some_and(|key| keys.contains(&key))
        })
    };
    let redirects = |entry: &Entry| {
        let prefix = prefix(entry);
        match entry.parts() {
            (b"remote", _, b"url" | b"pushurl") => had(prefix, &[b"url", b"pushurl"]),
            (b"branch", _, b"remote" | b"merge") => had(prefix, &[b"remote", b"merge"]),
            _ => false,
        }
    };
    let change = |entry: &&Entry, added: bool| Change {
        key: escaped(&entry.key),
        value: escaped(entry.value.as_deref().unwrap_or_default()),
        added,
        redirects: added && redirects(entry),
    };
    let removed = removed.iter().map(|entry| change(entry, false));
    removed
        .chain(added.iter().map(|entry| change(entry, true)))
        .collect()
}

/// The key without its last part, as a section's prefix.
fn prefix(entry: &Entry) -> &[u8] {
    let (_, _, key) = entry.parts();
    &entry.key[..entry.key.len() - key.len()]
}

/// The old text without the removed entries, and with lines for the added ones: behind what their
/// section has, else in a new section at the end.
fn edit(base: &[u8], old: &ConfigFile, removed: &[&Entry], added: &[&Entry]) -> Vec<u8> {
    let mut cuts: Vec<Range<usize>> = removed
        .iter()
        .map(|entry| line(base, &entry.span))
        .collect();
    let mut inserts: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut grown = Vec::new();
    let mut prefixes: Vec<&[u8]> = Vec::new();
    for entry in added {
        if !prefixes.contains(&prefix(entry)) {
            prefixes.push(prefix(entry));
        }
    }
    for prefix in prefixes {
        let lines = lines(added, prefix);
        let section = old
            .sections
            .iter()
            .rposition(|section| section.prefix == prefix);
        if let Some(at) = section {
            grown.push(at);
            let section = &old.sections[at];
            let text = base[section.header.end..section.end].trim_ascii_end();
            inserts.push((section.header.end + text.len(), lines));
        } else {
            let newline: &[u8] = if base.is_empty() || base.ends_with(b"\n") {
                b""
            } else {
                b"\n"
            };
            let text = [newline, &header(prefix), &lines, b"\n"].concat();
            inserts.push((base.len(), text));
        }
    }
    cuts.extend(emptied(base, old, &cuts, &grown));
    splice(base, cuts, inserts)
}

/// One line for each of these entries that belongs to the section, each begun by a newline.
fn lines(added: &[&Entry], section: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for entry in added.iter().filter(|entry| prefix(entry) == section) {
        let (_, _, key) = entry.parts();
        let value = git_file::quoted(entry.value.as_deref().unwrap_or_default());
        text.extend([b"\n\t", key, b" = ", &value].concat());
    }
    text
}

/// `[section "subsection"]`.
fn header(prefix: &[u8]) -> Vec<u8> {
    match git_file::split(prefix) {
        (section, Some(sub), _) => [b"[", section, b" ", &git_file::quoted(sub), b"]"].concat(),
        (section, None, _) => [b"[", section, b"]"].concat(),
    }
}

/// An entry with what stands before it on its line and the newline before that, if it is the first
/// on its line.
fn line(base: &[u8], span: &Range<usize>) -> Range<usize> {
    let before = &base[..span.start];
    let indent = before
        .iter()
        .rev()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    let before = &before[..before.len() - indent];
    match before.strip_suffix(b"\n") {
        Some(before) => before.strip_suffix(b"\r").unwrap_or(before).len()..span.end,
        None => span.clone(),
    }
}

/// The sections of which only the header is left, as git itself takes them away.
fn emptied(
    base: &[u8],
    old: &ConfigFile,
    cuts: &[Range<usize>],
    grown: &[usize],
) -> Vec<Range<usize>> {
    let is_empty = |(index, section): &(usize, &git_file::Section)| {
        let body = section.header.end..section.end;
        let mut cut = cuts
            .iter()
            .filter(|cut| body.contains(&cut.start))
            .peekable();
        let left = |at: &usize| !base[*at].is_ascii_whitespace();
        !grown.contains(index)
            && cut.peek().is_some()
            && !body
                .clone()
                .filter(left)
                .any(|at| !cuts.iter().any(|cut| cut.contains(&at)))
    };
    let sections = old.sections.iter().enumerate().filter(is_empty);
    sections
        .map(|(_, section)| section.header.start..section.end)
        .collect()
}

/// The text without the cuts and with the inserts, which never lie inside a cut but at its end.
fn splice(base: &[u8], mut cuts: Vec<Range<usize>>, inserts: Vec<(usize, Vec<u8>)>) -> Vec<u8> {
    cuts.sort_by_key(|cut| (cut.start, cut.end));
    let mut pieces: Vec<(usize, Range<usize>, Vec<u8>)> = cuts
        .into_iter()
        .map(|cut| (cut.start, cut, Vec::new()))
        .collect();
    pieces.extend(inserts.into_iter().map(|(at, text)| (at, at..at, text)));
    pieces.sort_by_key(|(at, ..)| *at);
    let (mut content, mut done) = (Vec::new(), 0);
    for (at, range, text) in pieces {
        content.extend(&base[done..at.max(done)]);
        content.extend(text);
        done = done.max(range.end);
    }
    content.extend(&base[done..]);
    content
}

/// Whether this text is the old file with exactly these differences, read anew.
fn says(content: &[u8], old: &ConfigFile, removed: &[&Entry], added: &[&Entry]) -> bool {
    let Ok(new) = git_file::parse(content) else {
        return false;
    };
    let equal = |one: &[&Entry], other: &[&Entry]| {
        without(one, other).is_empty() && without(other, one).is_empty()
    };
    let (gone, come) = differences(old, &new);
    fixed_parts(old, &new).is_empty() && equal(&gone, removed) && equal(&come, added)
}

/// For a terminal and a log: without control characters, at most 200 characters.
pub(super) fn escaped(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect()
}
