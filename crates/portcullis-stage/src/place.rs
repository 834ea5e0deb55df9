//! Opening beneath a directory, without a link, a magic link or another file system on the way.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::{Errno, Result};
use serde::{Deserialize, Serialize};

/// What was found at a place: enough to tell whether it is still the same and unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ident {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    mode: u32,
    size: i64,
    modified: (i64, i64),
}

impl Ident {
    pub(crate) fn of(stat: &Stat) -> Self {
        let is_directory = kind(stat) == FileType::Directory;
        Self {
            dev: stat.st_dev,
            ino: stat.st_ino,
            // Both say what is in a directory, which is looked at by itself.
            size: if is_directory { 0 } else { stat.st_size },
            modified: if is_directory {
                (0, 0)
            } else {
                (
                    stat.st_mtime,
                    i64::try_from(stat.st_mtime_nsec).unwrap_or_default(),
                )
            },
            mode: stat.st_mode,
        }
    }

    /// Whether it is the same object, whatever became of it.
    pub(crate) fn is(&self, stat: &Stat) -> bool {
        (self.dev, self.ino) == (stat.st_dev, stat.st_ino)
    }
}

/// `openat2` that stays beneath the directory.
pub(crate) fn open(dir: impl AsFd, path: &Path, flags: OFlags) -> Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    loop {
        let opened = rustix::fs::openat2(
            dir.as_fd(),
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        );
        match opened {
            // openat2(2): a rename ran at the same time.
            Err(Errno::AGAIN | Errno::INTR) => {}
            opened => return opened,
        }
    }
}

/// Opens as a place what a path leads to, itself if it is a link.
pub(crate) fn find(dir: impl AsFd, path: &Path) -> Result<(OwnedFd, Stat)> {
    let place = open(dir, path, OFlags::PATH | OFlags::NOFOLLOW)?;
    let stat = rustix::fs::fstat(&place)?;
    Ok((place, stat))
}

/// What lies at a path; `None` if nothing does.
pub(crate) fn look(dir: impl AsFd, path: &Path) -> Result<Option<Stat>> {
    match find(dir, path) {
        Ok((_, stat)) => Ok(Some(stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The directory that a path's last name is in, and that name.
pub(crate) fn parent(dir: impl AsFd, path: &Path) -> Result<(OwnedFd, &OsStr)> {
    let name = path.file_name().ok_or(Errno::INVAL)?;
    let above = path.parent().unwrap_or(Path::new(""));
    let place = open(dir, above, OFlags::PATH | OFlags::DIRECTORY)?;
    Ok((place, name))
}

/// What lies under a name in an opened directory; `None` if nothing does.
pub(crate) fn in_directory(dir: impl AsFd, name: impl AsRef<OsStr>) -> Result<Option<Stat>> {
    match rustix::fs::statat(dir, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The names in a directory, sorted.
pub(crate) fn names(dir: impl AsFd, path: &Path) -> Result<Vec<OsString>> {
    let dir = open(dir, path, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::new(dir)? {
        let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Where a link leads.
pub(crate) fn target(link: &OwnedFd) -> Result<PathBuf> {
    let target = rustix::fs::readlinkat(link, "", Vec::with_capacity(256))?;
    Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
}

/// Sets the mode of what was opened as a place, which is no link.
pub(crate) fn set_mode(place: &OwnedFd, mode: u32) -> Result<()> {
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    rustix::fs::chmod(path, Mode::from_raw_mode(mode))
}

pub(crate) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// The permission bits, and nothing beyond them.
pub(crate) fn permissions(stat: &Stat) -> u32 {
    stat.st_mode & 0o777
}

/// Set-id and sticky bits.
pub(crate) fn special_bits(stat: &Stat) -> u32 {
    stat.st_mode & 0o7000
}
