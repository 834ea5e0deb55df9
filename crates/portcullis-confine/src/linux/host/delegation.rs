//! Whether a part of the cgroup tree (version 2) is ours, and which.
//!
//! A cgroup has one manager, and most are somebody else's, whatever the permissions say: root may write all of them.
//! So one is ours only where it is marked as handed on, which systemd does for `Delegate=`, and which anybody else can
//! do with `setfattr`. The kernel keeps limits only for groups below one that has no processes itself: the marked one
//! has to be the parent of the one that this process is in.
//!
//! Source: cgroups(7), the kernel's `cgroup-v2.rst`, systemd's `CGROUP_DELEGATION.md`.

use std::{
    ffi::OsString,
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, Mode, OFlags},
    io::Errno,
};

use super::cgroup::Groups;
use crate::{Hinders, Obstacle, Protection};

/// Extended attributes that say `1` on a group that was handed on; the first is only root's to read.
const MARKS: [&str; 2] = ["trusted.delegate", "user.delegate"];

/// The group that [`enter_leaf_cgroup`] makes.
const LEAF: &str = "portcullis";

/// Where systemd itself runs. The group above is handed on to it, not to what it starts.
const MANAGER: &str = "init.scope";

/// Why no cell gets a cgroup.
#[derive(Debug)]
pub(super) enum Hindrance {
    /// No version 2, or not where this process can see its own group.
    NoTree,
    /// The group is somebody else's.
    NotOurs(PathBuf),
    /// This process is in the marked group itself.
    Inside(PathBuf),
    /// Others are.
    Occupied(PathBuf),
    /// Neither memory nor processes are limited there.
    NoController(PathBuf),
    /// The kernel refused.
    Refused(PathBuf, io::Error),
}

/// A group that is ours to make groups in.
#[derive(Debug)]
pub(super) struct Ours {
    pub(super) dir: OwnedFd,
    pub(super) path: PathBuf,
}

/// Finds the part of the tree that is ours; changes nothing.
pub(super) fn find() -> Result<Ours, Hindrance> {
    let own = own_group().ok_or(Hindrance::NoTree)?;
    if is_marked(&own.dir) {
        return Err(Hindrance::Inside(own.path));
    }
    let above = own.path.parent().filter(|_| !own.path.ends_with(MANAGER));
    let above = above.and_then(open).filter(|above| is_marked(&above.dir));
    above.ok_or(Hindrance::NotOurs(own.path))
}

/// Moves this process into a group below its own, where the own one is handed on to it and holds nothing else, so that
/// its commands can have groups with limits; `false` if there is nothing to do or it is not alone.
///
/// For programs that are started as `systemd-run --user --scope -p Delegate=yes PROGRAM`, before they start others.
/// Nothing in this crate does it unasked.
///
/// # Errors
/// The operating system's.
pub fn enter_leaf_cgroup() -> io::Result<bool> {
    let Some(own) = own_group().filter(|own| is_marked(&own.dir)) else {
        return Ok(false);
    };
    let pid = std::process::id().to_string();
    if read_at(&own.dir, "cgroup.procs")?.lines().ne([&*pid]) {
        return Ok(false);
    }
    match rustix::fs::mkdirat(&own.dir, LEAF, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    write_at(&own.dir, &format!("{LEAF}/cgroup.procs"), &pid)?;
    Ok(true)
}

/// What keeps cells of this process from having a cgroup that limits what `protection` names,
/// [`Protection::MemoryCgroup`] or [`Protection::ProcessesCgroup`]; found out by making one. `None` if nothing does.
///
/// # Authority
/// Ambient: makes and removes a group in the part of the tree that was handed on to this process.
#[must_use]
pub fn cgroup_obstacle(protection: Protection) -> Option<Obstacle> {
    let hindrance = match Groups::open() {
        Ok(groups) if groups.limits(protection) => return None,
        Ok(groups) => Hindrance::NoController(groups.path().to_owned()),
        Err(hindrance) => hindrance,
    };
    let (what, fix) = hindrance.told();
    Some(Obstacle {
        hinders: Hinders::Cgroups,
        what,
        fix,
    })
}

impl Hindrance {
    /// What was found and what to do about it.
    fn told(&self) -> (String, String) {
        let start = "start it alone in one that is: `systemd-run --user --scope -p Delegate=yes portcullis …`, or for a \
            service `Delegate=yes` and `DelegateSubgroup=host`"
            .to_owned();
        match self {
            Self::NoTree => (
                "no cgroup tree of version 2 has this process in it".to_owned(),
                "mount one at `/sys/fs/cgroup`: `systemd.unified_cgroup_hierarchy=1` on the boot line, or in a \
                 container a cgroup namespace of its own"
                    .to_owned(),
            ),
            Self::NotOurs(path) => (
                format!("this process's cgroup `{}` is not delegated to it", path.display()),
                start,
            ),
            Self::Inside(path) | Self::Occupied(path) => (
                format!(
                    "the delegated cgroup `{}` has processes itself, so that the kernel limits nothing below it",
                    path.display()
                ),
                start,
            ),
            Self::NoController(path) => (
                format!(
                    "the delegated cgroup `{}` has no controller for it",
                    path.display()
                ),
                "delegate `memory` and `pids`: `Delegate=yes`, and on systems with both versions of cgroups \
                 `systemd.unified_cgroup_hierarchy=1` on the boot line"
                    .to_owned(),
            ),
            Self::Refused(path, error) => (
                format!(
                    "no group can be made in the delegated cgroup `{}`: {error}",
                    path.display()
                ),
                "make it writable for the user of Portcullis, and mount its file system so".to_owned(),
            ),
        }
    }
}

/// The group of this process.
pub(super) fn own_group() -> Option<Ours> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = unified(&groups)?;
    let mounts = fs::read("/proc/self/mountinfo").ok()?;
    let own = open(&place(&String::from_utf8_lossy(&mounts), group)?)?;
    // Namespaces and mounts may be from different places; only what lists this process is its group.
    let pid = std::process::id().to_string();
    let listed = read_at(&own.dir, "cgroup.procs").ok()?;
    listed.lines().any(|line| line == pid).then_some(own)
}

/// The line for version 2 of `/proc/PID/cgroup`.
fn unified(groups: &str) -> Option<&Path> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let group = Path::new(group);
    // One outside of the namespace begins with `/..`.
    let plain = group
        .components()
        .all(|part| part != std::path::Component::ParentDir);
    (group.is_absolute() && plain).then_some(group)
}

/// Where a group is mounted, as `/proc/PID/mountinfo` says.
fn place(mounts: &str, group: &Path) -> Option<PathBuf> {
    // A later mount hides what lay there before.
    mounts.lines().rev().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (unescaped(fields.next()?), unescaped(fields.next()?));
        let rest = group.strip_prefix(root).ok()?;
        file_system
            .starts_with("cgroup2 ")
            .then(|| point.components().chain(rest.components()).collect())
    })
}

/// A path in which some characters are written as octal numbers.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let number = tail.first_chunk::<3>().filter(|_| first == b'\\');
        let number = number.and_then(|digits| std::str::from_utf8(digits).ok());
        let number = number.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(number.unwrap_or(first));
        rest = if number.is_some() { &tail[3..] } else { tail };
    }
    OsString::from_vec(bytes).into()
}

/// Opens a directory, if it is one of a cgroup tree of version 2.
fn open(path: &Path) -> Option<Ours> {
    let dir = open_dir(rustix::fs::CWD, path).ok()?;
    is_cgroup(&dir).then(|| Ours {
        dir,
        path: path.to_owned(),
    })
}

/// Whether it is of a cgroup tree of version 2.
pub(super) fn is_cgroup(file: impl AsFd) -> bool {
    rustix::fs::fstatfs(file).is_ok_and(|stat| stat.f_type == CGROUP2)
}

/// `CGROUP2_SUPER_MAGIC`.
const CGROUP2: rustix::fs::FsWord = 0x6367_7270;

fn is_marked(dir: &OwnedFd) -> bool {
    MARKS.iter().any(|&mark| {
        let mut value = [0; 2];
        rustix::fs::fgetxattr(dir, mark, &mut value) == Ok(1) && value[0] == b'1'
    })
}

pub(super) fn open_dir(at: impl AsFd, path: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, path, flags, Mode::empty())
}

pub(super) fn read_at(dir: &OwnedFd, name: &str) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    io::read_to_string(fs::File::from(file))
}

pub(super) fn write_at(dir: &OwnedFd, name: &str, text: &str) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    // The kernel takes each write as one.
    rustix::io::write(&file, text.as_bytes())?;
    Ok(())
}

pub(super) fn remove_at(dir: &OwnedFd, name: &str) -> rustix::io::Result<()> {
    rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_version_2() {
        let of = |text| unified(text).map(|path| path.to_str().unwrap());
        assert_eq!(of("9:name=systemd:/\n4:memory:/x\n0::/\n"), Some("/"));
        assert_eq!(
            of("0::/user.slice/a b.scope\n"),
            Some("/user.slice/a b.scope")
        );
        assert_eq!(of("4:memory:/x\n"), None, "version 1 alone");
        assert_eq!(
            of("0::/../other.scope\n"),
            None,
            "outside of the cgroup namespace"
        );
        assert_eq!(of(""), None);
    }

    #[test]
    fn a_group_is_found_where_its_tree_is_mounted() {
        const V1: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        const HYBRID: &str =
            "41 31 0:38 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n";
        const UNIFIED: &str =
            "30 23 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate\n";
        const BOUND: &str =
            "30 23 0:26 /a.slice/b\\040c /mnt/with\\134slash rw - cgroup2 cgroup2 rw\n";
        let cases = [
            (V1, "/a", None),
            ("", "/a", None),
            (HYBRID, "/", Some("/sys/fs/cgroup/unified")),
            (UNIFIED, "/a/b", Some("/sys/fs/cgroup/a/b")),
            (BOUND, "/a.slice/b c/d", Some("/mnt/with\\slash/d")),
            (BOUND, "/a.slice/b", None),
            (BOUND, "/", None),
        ];
        for (mounts, group, expected) in cases {
            let found = place(&format!("{V1}{mounts}"), Path::new(group));
            assert_eq!(
                found.as_deref(),
                expected.map(Path::new),
                "{mounts} {group}"
            );
        }
        let twice = format!("{HYBRID}{UNIFIED}");
        let found = place(&twice, Path::new("/a")).unwrap();
        assert_eq!(found, Path::new("/sys/fs/cgroup/a"), "the last one counts");
    }

    #[test]
    fn only_what_is_marked_is_ours() {
        // A directory that lists this process but is no cgroup.
        let dir = tempfile::tempdir().unwrap();
        assert!(open(dir.path()).is_none());
        let dir = open_dir(rustix::fs::CWD, dir.path()).unwrap();
        assert!(!is_marked(&dir));
        let mark = |value: &[u8]| {
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::fsetxattr(&dir, "user.delegate", value, flags)
        };
        if let Err(errno) = mark(b"0") {
            println!("SKIP cgroup marks: no extended attributes here: {errno}");
            return;
        }
        assert!(!is_marked(&dir));
        mark(b"1").unwrap();
        assert!(is_marked(&dir));
        mark(b"11").unwrap();
        assert!(!is_marked(&dir));
    }

    #[test]
    fn every_hindrance_says_what_to_do() {
        let path = || PathBuf::from("/sys/fs/cgroup/a.scope");
        let all = [
            Hindrance::NoTree,
            Hindrance::NotOurs(path()),
            Hindrance::Inside(path()),
            Hindrance::Occupied(path()),
            Hindrance::NoController(path()),
            Hindrance::Refused(path(), io::ErrorKind::PermissionDenied.into()),
        ];
        for hindrance in all {
            let (what, fix) = hindrance.told();
            let named =
                matches!(hindrance, Hindrance::NoTree) || what.contains("`/sys/fs/cgroup/a.scope`");
            assert!(
                named && !fix.is_empty() && !fix.ends_with('.'),
                "{what}: {fix}"
            );
        }
    }
}
