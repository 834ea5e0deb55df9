//! Opening things without ever blocking on them, and asking the opened thing what it is.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use portcullis_policy::FileId;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// Opens a path only as a place: no content, no waiting for the other end of a FIFO, no device.
///
/// Magic links (`/proc/PID/exe`, `/proc/self/fd/N`) lead to things that have no path and belong to
/// this process; they are not followed.
pub(super) fn place(dir: impl AsFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    open(dir, path, OFlags::PATH)
}

/// Opens a directory.
///
/// As a place only: entering it needs the right to search it, which is checked when that happens,
/// and not the right to list it.
pub(crate) fn directory(dir: impl AsFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    open(dir, path, OFlags::PATH | OFlags::DIRECTORY)
}

fn open(dir: impl AsFd, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    loop {
        let flags = flags | OFlags::CLOEXEC;
        match rustix::fs::openat2(
            &dir,
            path,
            flags,
            Mode::empty(),
            ResolveFlags::NO_MAGICLINKS,
        ) {
            // openat2(2): a rename ran at the same time.
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Opens the content of what [`place`] opened. The same file, whatever its path leads to by now.
///
/// For regular files only: the type has been checked.
pub(super) fn content(place: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::open(by_descriptor(place), flags, Mode::empty())
}

/// A path that leads to exactly the opened file.
pub(super) fn by_descriptor(file: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// The path without links of an opened file, as the kernel knows it.
pub(crate) fn real_path(file: &OwnedFd) -> io::Result<PathBuf> {
    let path = rustix::fs::readlink(by_descriptor(file), Vec::with_capacity(256))?;
    let path = PathBuf::from(OsString::from_vec(path.into_bytes()));
    // The kernel writes ` (deleted)` behind the name of what has none any more.
    let stat = rustix::fs::fstat(file)?;
    if stat.st_nlink == 0 || !path.is_absolute() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(path)
}

pub(crate) fn file_id(stat: &Stat) -> FileId {
    FileId {
        dev: stat.st_dev,
        ino: stat.st_ino,
    }
}

pub(super) fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Whether only root can change the file or directory. A sticky directory counts as changeable:
/// whoever may write it may put new names there.
pub(super) fn is_roots_alone(stat: &Stat) -> bool {
    stat.st_uid == 0 && !writable_by_others(stat)
}

/// Whether a file or directory of the system belongs to nobody who is known here, and only its owner can change it. In a
/// namespace in which root has no number, such as a staging namespace, that is how root's files look; those of any other user
/// look the same, so it says nothing of files that do not lie among the system's.
pub(super) fn is_nobodys(stat: &Stat) -> bool {
    static ROOT_IS_UNKNOWN: LazyLock<bool> = LazyLock::new(|| {
        std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !maps_root(&map))
    });
    stat.st_uid == OVERFLOW && *ROOT_IS_UNKNOWN && !writable_by_others(stat)
}

/// The user that stands for all without a number here (`/proc/sys/kernel/overflowuid`), as it is by default: where it is
/// another one, nothing is taken for root's.
const OVERFLOW: u32 = 65_534;

/// Whether a map of users (user_namespaces(7)) has a number for root.
fn maps_root(map: &str) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
        matches!((first, count), (Some(Ok(0)), Some(Ok(1..))))
    })
}

/// Whether anybody but the owner may write. With an ACL the group bits hold its mask, so that an
/// entry for another user or group shows here too.
pub(super) fn writable_by_others(stat: &Stat) -> bool {
    Mode::from_raw_mode(stat.st_mode).intersects(Mode::WGRP | Mode::WOTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_where_it_has_a_number() {
        assert!(maps_root("         0          0 4294967295\n"));
        assert!(maps_root(
            "      1000       1000          1\n         0     100000      65536\n"
        ));
        assert!(!maps_root("     61234      61234          1\n"));
        assert!(!maps_root(""));
        assert!(!maps_root("0 0 0"));
    }
}
