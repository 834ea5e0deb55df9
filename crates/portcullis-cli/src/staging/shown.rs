//! A difference as people and programs read it.

use std::collections::BTreeMap;

use portcullis::stage::{After, Change, Difference, Object, Stage, Why};
use serde_json::{Value, json};

use crate::render::{count, escape};

/// Lines that are printed of each list. The rest is counted.
const MOST: usize = 200;
/// Lines of each list in a document.
const MOST_JSON: usize = 10_000;

/// What is printed of a difference.
pub(super) struct List {
    pub(super) lines: Vec<String>,
    /// How many changes are not among the lines.
    pub(super) left_out: usize,
}

/// The list, with a head for each root.
pub(super) fn lines(stage: &Stage, difference: &Difference) -> List {
    listed(stage, difference, MOST)
}

/// All of it.
pub(super) fn all(stage: &Stage, difference: &Difference) -> List {
    listed(stage, difference, usize::MAX)
}

fn listed(stage: &Stage, difference: &Difference, most: usize) -> List {
    let mut lines = Vec::new();
    let mut left_out = 0;
    for (number, root) in stage.roots().iter().enumerate() {
        let changes: Vec<_> = of_root(&difference.changes, number, |change| change.root).collect();
        if !changes.is_empty() {
            let path = escape(&root.path.display().to_string());
            lines.push(format!("changes in `{path}`:"));
        }
        lines.extend(changes.iter().take(most).map(|change| line(change)));
        if changes.len() > most {
            let rest = &changes[most..];
            left_out += rest.len();
            lines.push(format!("  … {} more: {}", rest.len(), kinds(rest)));
        }
    }
    let path = |number: usize, path: &std::path::Path| {
        let root = stage.roots().get(number).map(|root| root.path.join(path));
        escape(&root.unwrap_or_default().display().to_string())
    };
    let refused = difference.refused.iter();
    let refused = refused.map(|refusal| {
        let why = why(&refusal.why);
        format!("  `{}`: {why}", path(refusal.root, &refusal.path))
    });
    let conflicts = difference.conflicts.iter();
    let conflicts = conflicts.map(|conflict| {
        format!(
            "  `{}` {}",
            path(conflict.root, &conflict.path),
            conflict.what
        )
    });
    for (head, all) in [
        ("never committed:", refused.collect::<Vec<_>>()),
        (
            "changed by somebody else since the run began:",
            conflicts.collect(),
        ),
    ] {
        if all.is_empty() {
            continue;
        }
        lines.push(head.to_owned());
        let rest = all.len().saturating_sub(most);
        lines.extend(all.into_iter().take(most));
        if rest > 0 {
            lines.push(format!("  … {rest} more"));
        }
    }
    List { lines, left_out }
}

fn of_root<T>(all: &[T], number: usize, root: impl Fn(&T) -> usize) -> impl Iterator<Item = &T> {
    all.iter().filter(move |item| root(item) == number)
}

fn line(change: &Change) -> String {
    let path = escape(&change.path.display().to_string());
    let was = change.before.map(|before| match before.object {
        Object::File => format!("{} bytes", before.size),
        object => name(object).to_owned(),
    });
    match (&change.after, was) {
        (None, was) => format!("  - {path}  ({})", was.unwrap_or_default()),
        (Some(after), None) => format!("  + {path}  ({})", is(after)),
        (Some(After::Mode { mode }), Some(_)) => {
            let before = change.before.map_or(0, |before| before.mode);
            format!("  ~ {path}  (mode {before:04o} becomes {mode:04o})")
        }
        (Some(after), Some(was)) => format!("  ~ {path}  ({}; was {was})", is(after)),
    }
}

fn is(after: &After) -> String {
    match after {
        After::File { size, mode, .. } => format!("{size} bytes, mode {mode:04o}"),
        After::Directory { mode } => format!("directory, mode {mode:04o}"),
        After::Link { target } => {
            format!("link to `{}`", escape(&target.display().to_string()))
        }
        After::Mode { mode } => format!("mode {mode:04o}"),
    }
}

const fn name(object: Object) -> &'static str {
    match object {
        Object::File => "file",
        Object::Directory => "directory",
        Object::Link => "link",
        Object::Other => "device, socket or FIFO",
    }
}

const fn kind(change: &Change) -> &'static str {
    match (&change.before, &change.after) {
        (None, _) => "added",
        (_, None) => "removed",
        (_, Some(After::Mode { .. })) => "mode",
        (Some(_), Some(_)) => "changed",
    }
}

fn kinds(changes: &[&Change]) -> String {
    let mut numbers = BTreeMap::new();
    for change in changes {
        *numbers.entry(kind(change)).or_insert(0_usize) += 1;
    }
    let words = numbers
        .iter()
        .map(|(kind, number)| format!("{number} {kind}"));
    words.collect::<Vec<_>>().join(", ")
}

fn why(why: &Why) -> String {
    match why {
        Why::Special => "a device, a socket or a FIFO".to_owned(),
        Why::SpecialBits => "it has a set-id or sticky bit".to_owned(),
        Why::Attributes => "it has extended attributes, or an access list".to_owned(),
        Why::LeadsOut(target) => format!(
            "a link to `{}`, which does not lead beneath the directory by itself",
            escape(&target.display().to_string())
        ),
        Why::OurName => "its name is one that Portcullis uses".to_owned(),
        Why::OtherOwner => "it belongs to another user".to_owned(),
        Why::Unreadable(why) => format!("it cannot be looked at: {}", escape(why)),
        Why::RootMode => "the mode of the directory itself was changed".to_owned(),
        Why::Name(why) => escape(why),
        _ => "it is not known what it is".to_owned(),
    }
}

/// The same for programs, and what is left out counted.
pub(super) fn json(stage: &Stage, difference: &Difference) -> Value {
    let path = |number: usize, path: &std::path::Path| {
        let root = stage.roots().get(number).map(|root| root.path.join(path));
        root.unwrap_or_default().display().to_string()
    };
    let changes = difference.changes.iter().take(MOST_JSON).map(|change| {
        let (size, mode, digest, target) = match &change.after {
            Some(After::File {
                size, mode, digest, ..
            }) => (Some(*size), Some(*mode), Some(hex::encode(digest)), None),
            Some(After::Directory { mode } | After::Mode { mode }) => {
                (None, Some(*mode), None, None)
            }
            Some(After::Link { target }) => (None, None, None, Some(target.display().to_string())),
            None => (None, None, None, None),
        };
        json!({
            "path": path(change.root, &change.path),
            "kind": kind(change),
            "size": size,
            "mode": mode.map(|mode| format!("{mode:04o}")),
            "blake3": digest,
            "target": target,
        })
    });
    let refused = difference.refused.iter().take(MOST_JSON);
    let refused = refused.map(
        |refusal| json!({ "path": path(refusal.root, &refusal.path), "why": why(&refusal.why) }),
    );
    let conflicts = difference.conflicts.iter().take(MOST_JSON);
    let conflicts = conflicts.map(
        |conflict| json!({ "path": path(conflict.root, &conflict.path), "why": conflict.what }),
    );
    json!({
        "total": difference.changes.len(),
        "list": changes.collect::<Vec<_>>(),
        "refused": refused.collect::<Vec<_>>(),
        "conflicts": conflicts.collect::<Vec<_>>(),
    })
}

/// What is asked about.
pub(super) fn summary(difference: &Difference, list: &List) -> String {
    let all = count(difference.changes.len() as u64, "change");
    match list.left_out {
        0 => format!("{all}, as above"),
        left_out => format!("{all}, of which {left_out} are not shown above"),
    }
}
