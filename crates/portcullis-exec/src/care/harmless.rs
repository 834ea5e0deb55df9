//! Protected names that a command may have made after all: those of a repository that it made, as git itself makes
//! them.
//!
//! `git init`, `git clone` and `git worktree add` write a configuration, sample hooks and pointers. Each has one plain
//! form with which nobody's git runs anything. What has another form is not judged, only told apart from these.

use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::FileType;

use super::beneath;
use super::git_file::{self, Entry};
use super::git_values;
use super::staged::is_git_dir;

/// Names in a directory of hooks: git's own templates have about fifteen.
const MAX_HOOKS: usize = 64;
const MAX_POINTER: usize = 4096 + 16;

/// Whether what lies at a path, relative to the directory, is what git makes of itself.
pub(super) fn is_harmless(dir: BorrowedFd<'_>, path: &Path) -> bool {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return false;
    };
    let read = |limit| beneath::read(dir, path, limit).ok();
    if name == ".git" {
        // What lies in it, or where it leads if a command can write there, is looked at by itself.
        let directory =
            beneath::find(dir, path).is_ok_and(|found| found.kind == FileType::Directory);
        let pointer = || read(MAX_POINTER).is_some_and(|pointer| pointer.starts_with(b"gitdir: "));
        return directory || pointer();
    }
    let Ok(git_dir) = beneath::find(dir, above) else {
        return false;
    };
    if !is_git_dir(&git_dir.place) {
        return false;
    }
    let linked = above
        .parent()
        .is_some_and(|above| above.ends_with("worktrees"));
    match name.as_bytes() {
        b"config" => read(git_file::MAX_SIZE).is_some_and(|config| is_plain_config(&config)),
        // As with a `.git`.
        b"worktrees" | b"modules" => {
            beneath::find(dir, path).is_ok_and(|found| found.kind == FileType::Directory)
        }
        b"hooks" => has_only_samples(dir, path),
        b"commondir" => linked && read(MAX_POINTER).is_some_and(|text| text == b"../..\n"),
        // Git looks there to see whether the working tree still exists.
        b"gitdir" => linked && read(MAX_POINTER).is_some_and(|text| text.ends_with(b"/.git\n")),
        _ => false,
    }
}

fn has_only_samples(dir: BorrowedFd<'_>, hooks: &Path) -> bool {
    let Ok((names, true)) = beneath::list(dir, hooks, MAX_HOOKS) else {
        return false;
    };
    names
        .iter()
        .all(|(name, kind)| *kind == FileType::RegularFile && name.as_bytes().ends_with(b".sample"))
}

fn is_plain_config(config: &[u8]) -> bool {
    git_file::entries(config).is_ok_and(|entries| entries.iter().all(is_plain))
}

/// What `git init` and `git clone` write, and what a command may change in a repository that was there.
fn is_plain(entry: &Entry) -> bool {
    let value = entry.value.as_deref();
    let truth = matches!(value, None | Some(b"true" | b"false"));
    match entry.parts() {
        (b"core", None, b"repositoryformatversion") => matches!(value, Some(b"0" | b"1")),
        (b"core", None, key) => {
            let own = [
                "filemode",
                "bare",
                "logallrefupdates",
                "ignorecase",
                "precomposeunicode",
                "symlinks",
            ];
            truth && own.iter().any(|name| name.as_bytes() == key)
        }
        // A clone of a directory. A push there runs its hooks, which a command has not written, or they are not here
        // any more.
        (b"remote", Some(_), b"url") if value.is_some_and(is_plain_path) => true,
        _ => git_values::check(entry).is_ok(),
    }
}

fn is_plain_path(value: &[u8]) -> bool {
    let value = value.strip_prefix(b"file://").unwrap_or(value);
    let clean = |byte: &u8| byte.is_ascii_graphic() && !br#""'`\<>^{|}:"#.contains(byte);
    value.starts_with(b"/") && value.iter().all(clean)
}
