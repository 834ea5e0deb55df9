//! Where a change takes place: an opened directory, and one name in it.
//!
//! A path is walked once. What is decided on is the real path of the directory that was opened, and what is done is done
//! in that very directory, with the last name alone and without following it: nobody can put another directory between
//! the two.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use portcullis_policy::{ChangeRequest, FsAct, Protect};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, Result};

/// Links followed in place of a last name, as the kernel follows.
const MAX_LINKS: usize = 40;
/// Attempts to walk a path while directories on it are being renamed.
const MAX_ATTEMPTS: usize = 64;

/// A name in an opened directory.
#[derive(Debug)]
pub(super) struct Spot {
    pub(super) parent: File,
    /// One component, or `.`.
    pub(super) name: String,
    /// What has the name, if anything.
    pub(super) kind: Option<FileType>,
    /// Whether the guest's path ended in a slash: it means a directory.
    pub(super) must_be_directory: bool,
    /// The real path of `parent`.
    real: PathBuf,
}

impl Spot {
    /// Walks a path beneath a directory; `follow`: whether a link in the last place stands for what it leads to.
    ///
    /// # Errors
    /// [`Errno::XDEV`] for a path that leads out, [`Errno::NOSYS`] where that cannot be told, else what the system says.
    pub(super) fn find(dir: &File, path: &str, follow: bool) -> Result<Self> {
        let mut path = path.to_owned();
        for _ in 0..=MAX_LINKS {
            let (above, name, must_be_directory) = split(&path)?;
            let parent = walk(dir, above)?;
            let real = real_path(&parent)?;
            let kind = match rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => Some(FileType::from_raw_mode(stat.st_mode)),
                Err(Errno::NOENT) => None,
                Err(errno) => return Err(errno),
            };
            let target = match kind {
                Some(FileType::Symlink) if follow || must_be_directory => link(&parent, name)?,
                _ => None,
            };
            let Some(target) = target else {
                return Ok(Self {
                    name: name.to_owned(),
                    parent: File::from(parent),
                    kind,
                    must_be_directory,
                    real,
                });
            };
            let from = real
                .strip_prefix(real_path(dir)?)
                .map_err(|_| Errno::XDEV)?;
            let from = from.to_str().ok_or(Errno::ILSEQ)?;
            let slash = if must_be_directory { "/" } else { "" };
            path = match (from, target.starts_with('/')) {
                (_, true) => return Err(Errno::XDEV),
                ("", false) => format!("{target}{slash}"),
                (_, false) => format!("{from}/{target}{slash}"),
            };
        }
        Err(Errno::LOOP)
    }

    /// Where something lies that was opened before.
    ///
    /// # Errors
    /// [`Errno::NOENT`] if it was removed.
    pub(super) fn of(opened: &File) -> Result<Self> {
        let real = real_path(opened)?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(opened)?.st_mode);
        let (above, name) = match (real.parent(), real.file_name()) {
            (Some(above), Some(name)) if kind != FileType::Directory => (
                above.to_owned(),
                name.to_str().ok_or(Errno::ILSEQ)?.to_owned(),
            ),
            _ => (real, ".".to_owned()),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            parent: File::from(rustix::fs::open(&above, flags, Mode::empty())?),
            name,
            kind: Some(kind),
            must_be_directory: kind == FileType::Directory,
            real: above,
        })
    }

    /// The real path of what has the name, or would have it.
    pub(super) fn path(&self) -> PathBuf {
        if self.name == "." {
            self.real.clone()
        } else {
            self.real.join(&self.name)
        }
    }

    /// What is to be decided on.
    pub(super) fn request(&self, act: FsAct, protect: &Protect) -> ChangeRequest {
        let path = self.path();
        let completed = act.creates() && self.kind.is_none() && self.completes_git_dir();
        let completes = if completed {
            self.beside(protect)
        } else {
            Vec::new()
        };
        let git_dirs = self.git_dirs(&path, completed, protect);
        ChangeRequest {
            act,
            path,
            git_dirs,
            completes,
            kept: Vec::new(),
            own: false,
        }
    }

    /// The directories above that are git's, as far as a name in them is protected.
    fn git_dirs(&self, path: &Path, completed: bool, protect: &Protect) -> Vec<PathBuf> {
        let mut above = String::from(".");
        let mut found = Vec::new();
        for dir in self.real.ancestors() {
            let inside = path.strip_prefix(dir).unwrap_or(path);
            if protect.binds_in_git_dir(inside).is_some()
                && (completed && dir == self.real || self.is_git_dir(&above))
            {
                found.push(dir.to_owned());
            }
            above.push_str("/..");
        }
        found
    }

    fn has(&self, name: &str) -> bool {
        // What cannot be looked at counts as there.
        let looked = rustix::fs::statat(&self.parent, name, AtFlags::SYMLINK_NOFOLLOW);
        !matches!(looked, Err(Errno::NOENT | Errno::NOTDIR))
    }

    /// Whether git takes this directory, relative to the parent, for its own.
    fn is_git_dir(&self, dir: &str) -> bool {
        let has = |name: &str| self.has(&format!("{dir}/{name}"));
        is_git_dir(has)
    }

    /// Whether the parent becomes a git directory once it has the name.
    fn completes_git_dir(&self) -> bool {
        let has = |name: &str| name.eq_ignore_ascii_case(&self.name) || self.has(name);
        !self.is_git_dir(".") && is_git_dir(has)
    }

    /// What lies beside the name and is protected in a git directory.
    fn beside(&self, protect: &Protect) -> Vec<String> {
        let mut beside: Vec<_> = protect
            .first_in_git_dir()
            .map(|(_, first)| first.to_owned())
            .filter(|first| !first.eq_ignore_ascii_case(&self.name) && self.has(first))
            .collect();
        beside.sort_unstable();
        beside.dedup();
        beside
    }
}

/// As git tells it (`is_git_directory`), by what is there alone.
fn is_git_dir(has: impl Fn(&str) -> bool) -> bool {
    has("HEAD") && (has("commondir") || has("objects") && has("refs"))
}

/// The path of the directory, the name in it, and whether only a directory is meant.
fn split(path: &str) -> Result<(&str, &str, bool)> {
    if path.is_empty() {
        return Err(Errno::NOENT);
    }
    if path.starts_with('/') {
        return Err(Errno::XDEV);
    }
    let trimmed = path.trim_end_matches('/');
    let (above, name) = trimmed.rsplit_once('/').unwrap_or((".", trimmed));
    Ok(match name {
        "." | ".." => (trimmed, ".", true),
        _ => (above, name, trimmed.len() < path.len()),
    })
}

/// Opens a directory beneath another, as a place. Links are followed as long as they stay beneath it.
fn walk(dir: &File, path: &str) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut attempts = 0;
    loop {
        match rustix::fs::openat2(dir, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) if attempts < MAX_ATTEMPTS => attempts += 1,
            result => return result,
        }
    }
}

/// Where a link leads; `None` if it is none any more.
fn link(parent: &OwnedFd, name: &str) -> Result<Option<String>> {
    match rustix::fs::readlinkat(parent, name, Vec::with_capacity(256)) {
        Ok(target) => target.into_string().map(Some).map_err(|_| Errno::ILSEQ),
        Err(Errno::INVAL) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The path that the kernel has for something opened.
///
/// # Errors
/// [`Errno::NOENT`] if it was removed, [`Errno::NOSYS`] without a `/proc`.
pub(super) fn real_path(opened: impl AsFd) -> Result<PathBuf> {
    let opened = opened.as_fd();
    let path = name(opened)?;
    // A path is only marked as deleted, and a name may end in the mark.
    if rustix::fs::fstat(opened)?.st_nlink == 0 {
        return Err(Errno::NOENT);
    }
    Ok(path)
}

/// As [`real_path`], with a mark for what was removed.
pub(super) fn name(opened: impl AsFd) -> Result<PathBuf> {
    let entry = format!("/proc/self/fd/{}", opened.as_fd().as_raw_fd());
    let path = rustix::fs::readlinkat(CWD, entry, Vec::with_capacity(256));
    let path = path.map_err(|errno| match errno {
        // Deeper than a path can say.
        Errno::NAMETOOLONG => errno,
        _ => Errno::NOSYS,
    })?;
    Ok(PathBuf::from(OsString::from_vec(path.into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(dir: &Path, path: &str, follow: bool) -> Result<PathBuf> {
        let spot = Spot::find(&File::open(dir).unwrap(), path, follow)?;
        Ok(spot.request(FsAct::Write, &Protect::default()).path)
    }

    fn tree() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("in/a/b")).unwrap();
        std::fs::write(base.join("secret"), "").unwrap();
        for (name, target) in [
            ("in/dir", "a/b"),
            ("in/a/up", "../a/b/x"),
            ("in/chain", "a/up"),
            ("in/out", "../secret"),
            ("in/abs", "/etc/passwd"),
            ("in/loop", "loop"),
        ] {
            std::os::unix::fs::symlink(target, base.join(name)).unwrap();
        }
        let inside = base.join("in");
        (dir, inside)
    }

    #[test]
    fn a_path_leads_to_the_real_directory_and_one_name() {
        let (_dir, base) = tree();
        let real = |path, follow| find(&base, path, follow).unwrap();
        assert_eq!(real("new", true), base.join("new"));
        assert_eq!(real("dir/new", false), base.join("a/b/new"));
        assert_eq!(real("a/../dir/../new/", true), base.join("a/new"));
        assert_eq!(
            real("chain", true),
            base.join("a/b/x"),
            "two links, then nothing"
        );
        assert_eq!(real("chain", false), base.join("chain"));
        assert_eq!(real("dir/", false), base.join("a/b"), "a slash follows");
        assert_eq!(real(".", true), base);
        assert_eq!(real("a/..", true), base);
    }

    #[test]
    fn a_path_that_leads_out_is_refused() {
        let (_dir, base) = tree();
        for path in ["../secret", "out", "abs", "/etc/passwd", "a/../../secret"] {
            assert_eq!(find(&base, path, true), Err(Errno::XDEV), "{path}");
        }
        assert_eq!(find(&base, "loop", true), Err(Errno::LOOP));
        assert_eq!(find(&base, "gone/x", true), Err(Errno::NOENT));
        assert_eq!(find(&base, "", true), Err(Errno::NOENT));
        assert_eq!(
            find(&base, "out", false),
            Ok(base.join("out")),
            "the link itself"
        );
    }

    #[test]
    fn a_directory_that_was_removed_has_no_path() {
        let (_dir, base) = tree();
        let open = File::open(base.join("a/b")).unwrap();
        assert_eq!(real_path(&open), Ok(base.join("a/b")));
        std::fs::remove_dir(base.join("a/b")).unwrap();
        assert_eq!(real_path(&open), Err(Errno::NOENT));
    }

    #[test]
    fn what_lies_deeper_than_a_path_can_say_is_out_of_reach() {
        let (_dir, base) = tree();
        let name = "d".repeat(200);
        let mut deep = File::open(&base).unwrap();
        for _ in 0..30 {
            rustix::fs::mkdirat(&deep, &name, Mode::RWXU).unwrap();
            deep = File::from(walk(&deep, &name).unwrap());
        }
        assert_eq!(
            Spot::find(&deep, "x", true).unwrap_err(),
            Errno::NAMETOOLONG
        );
    }

    #[test]
    fn git_directories_are_known_by_what_they_have() {
        let (_dir, base) = tree();
        let bare = base.join("a/x.git");
        let request = |path: &str| {
            let spot = Spot::find(&File::open(&base).unwrap(), path, true).unwrap();
            spot.request(FsAct::Write, &Protect::default())
        };
        std::fs::create_dir_all(bare.join("objects")).unwrap();
        std::fs::create_dir_all(bare.join("hooks")).unwrap();
        std::fs::write(bare.join("HEAD"), "").unwrap();
        assert!(request("a/x.git/hooks/x").git_dirs.is_empty(), "no `refs`");
        assert_eq!(request("a/x.git/refs").completes, ["hooks"]);
        let itself = request("a/x.git/commondir").git_dirs;
        assert_eq!(itself, [&*bare], "it completes one, and counts itself");
        std::fs::create_dir_all(bare.join("refs")).unwrap();
        assert_eq!(request("a/x.git/hooks/x").git_dirs, [&*bare]);
        assert_eq!(request("a/x.git/config").git_dirs, [bare]);
        assert!(request("a/x.git/description").git_dirs.is_empty());
        assert!(
            request("a/x.git/HEAD").completes.is_empty(),
            "it is one already"
        );
    }
}
