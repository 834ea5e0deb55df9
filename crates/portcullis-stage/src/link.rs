//! Which links may be committed: those that lead to something beneath the root, whatever lies there.

use std::os::fd::BorrowedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::FileType;

use crate::place;

/// Whether a link at `path`, relative to the root, leads beneath the root and over no other link.
///
/// A `..` counts from the link's own directory, which is no link, so it is exact; after a name it would count from
/// wherever that name leads, and is refused.
pub(crate) fn stays(
    base: BorrowedFd<'_>,
    upper: BorrowedFd<'_>,
    path: &Path,
    target: &Path,
) -> bool {
    let mut at: PathBuf = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut named = false;
    let mut parts = target.components().peekable();
    if parts.peek().is_none() {
        return false;
    }
    while let Some(part) = parts.next() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if !named => {
                if !at.pop() {
                    return false;
                }
            }
            Component::Normal(name) => {
                named = true;
                at.push(name);
                // The last one is a link that is judged by itself, or was there before.
                if parts.peek().is_some() && is_link(base, upper, &at) {
                    return false;
                }
            }
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

fn is_link(base: BorrowedFd<'_>, upper: BorrowedFd<'_>, path: &Path) -> bool {
    let at = |dir| match place::look(dir, path) {
        Ok(found) => found.map(|stat| place::kind(&stat) == FileType::Symlink),
        // Over a link, or over what cannot be looked at.
        Err(_) => Some(true),
    };
    at(upper).or_else(|| at(base)).unwrap_or(false)
}
