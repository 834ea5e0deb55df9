//! Which names may be changed by committing what a staged run left.
//!
//! The run itself was held to the same names. This is the second look, at what came of all of it together.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use portcullis_policy::{Protect, Standing};

use super::git_config::{self, Commit};
use super::git_file::MAX_SIZE;
use super::staged::{STAGED_NAME, is_git_dir};
use super::{beneath, harmless};

/// One change, as far as its name is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// The path in the root.
    pub path: &'a Path,
    /// Whether something is there now.
    pub was_there: bool,
    /// Whether a regular file is to be there.
    pub is_file: bool,
    /// Whether a directory is to be there, or nothing any more: neither leads anywhere else.
    pub leads_nowhere: bool,
}

/// What becomes of a change by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Becomes {
    /// It may be committed as it is.
    AsItIs,
    /// A git configuration: this content may be committed.
    Config(Vec<u8>),
    /// A git configuration that says what it said before.
    Nothing,
    /// It may not be committed: a clause.
    Refused(String),
}

/// Says what becomes of a change in a writable directory, which is `base` as it is and `upper` as far as it is to be
/// different. `named` are paths in it that its git configurations name; see [`named_by_git`](super::named_by_git).
///
/// Protected are the same names as for commands and guests, in whatever case. Of a git configuration that is there, the
/// rules of [`commit`](super::commit) hold; and what git makes itself, in a repository that is new, is not refused.
///
/// # Authority
/// Ambient: looks with the process's own rights, only below the two directories, and follows no link.
pub fn overlaid(
    base: BorrowedFd<'_>,
    upper: BorrowedFd<'_>,
    protect: &Protect,
    named: &[PathBuf],
    change: Named<'_>,
) -> Becomes {
    let path = change.path;
    let named_here = |name: &&PathBuf| path.starts_with(name) || name.starts_with(path);
    if let Some(name) = named.iter().find(named_here)
        && (path.starts_with(name) || !change.leads_nowhere)
    {
        return Becomes::Refused(
            "a git configuration names it, and git runs or reads what lies there".to_owned(),
        );
    }
    let Some((name, standing)) = bound(base, upper, protect, path) else {
        return Becomes::AsItIs;
    };
    if standing == Standing::Above && change.leads_nowhere {
        return Becomes::AsItIs;
    }
    if change.was_there && change.is_file && is_config(base, path) {
        return config(base, upper, path);
    }
    // The whole of what is protected is new: it is what git makes, or not.
    let top = path
        .ancestors()
        .filter(|above| bound(base, upper, protect, above).is_some_and(|(_, now)| now == standing))
        .last()
        .unwrap_or(path);
    let is_new = matches!(beneath::find_if_any(base, top), Ok(None));
    if is_new && harmless::is_harmless(upper, top) {
        return Becomes::AsItIs;
    }
    Becomes::Refused(format!("`{name}` is protected"))
}

/// The protected name that binds a path: counted from a directory, or from a git directory of whatever name.
fn bound(
    base: BorrowedFd<'_>,
    upper: BorrowedFd<'_>,
    protect: &Protect,
    path: &Path,
) -> Option<(String, Standing)> {
    let is_git = |dir: &Path| {
        let is = |at| beneath::find(at, dir).is_ok_and(|found| is_git_dir(&found.place));
        is(base) || is(upper)
    };
    let in_git_dirs = path.ancestors().skip(1).filter_map(|dir| {
        let inside = path.strip_prefix(dir).ok()?;
        let bound = protect.binds_in_git_dir(inside)?;
        is_git(dir).then_some(bound)
    });
    let all = protect.binds(path).into_iter().chain(in_git_dirs);
    let nearest = all.max_by_key(|bound| bound.standing)?;
    Some((nearest.name.to_owned(), nearest.standing))
}

/// Whether this is the configuration of a repository that is there.
fn is_config(base: BorrowedFd<'_>, path: &Path) -> bool {
    let above = path.parent().unwrap_or(Path::new(""));
    path.file_name().is_some_and(|name| name == STAGED_NAME)
        && beneath::find(base, above).is_ok_and(|found| is_git_dir(&found.place))
}

fn config(base: BorrowedFd<'_>, upper: BorrowedFd<'_>, path: &Path) -> Becomes {
    let read = |dir| beneath::read(dir, path, MAX_SIZE);
    let (before, after) = match (read(base), read(upper)) {
        (Ok(before), Ok(after)) => (before, after),
        (Err(error), _) | (_, Err(error)) => return Becomes::Refused(error.to_string()),
    };
    match git_config::commit(&before, &after) {
        Commit::Unchanged => Becomes::Nothing,
        Commit::Write(edited) => Becomes::Config(edited.content),
        Commit::Refused(refused) => {
            let keys: Vec<_> = refused.keys.iter().map(|key| key.key.as_str()).collect();
            Becomes::Refused(format!(
                "git would run or read what it says: {}",
                keys.join(", ")
            ))
        }
    }
}
