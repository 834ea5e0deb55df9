//! Walking and making directories beneath an opened root, never through a link.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};

const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);

/// Opens what lies at an absolute path, counted from `root`, as a place. Links are not followed, mounts are.
pub(super) fn open(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let relative = path.strip_prefix("/").unwrap_or(path);
    let relative = if relative.as_os_str().is_empty() {
        Path::new(".")
    } else {
        relative
    };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(root, relative, flags, Mode::empty(), resolve)?)
}

/// Makes a directory and all that are missing above it, and opens it.
pub(super) fn make(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    match open(root, path) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => {}
        done => return done,
    }
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::INVAL.into());
    };
    let above = make(root, above)?;
    rustix::fs::mkdirat(&above, name.as_bytes(), DIRECTORY_MODE)?;
    open(root, path)
}

/// Makes an empty file, and the directories that are missing above it, and opens it.
pub(super) fn make_file(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    match open(root, path) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => {}
        done => return done,
    }
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::INVAL.into());
    };
    let above = make(root, above)?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    rustix::fs::openat(&above, name.as_bytes(), flags, Mode::from_raw_mode(0o644))?;
    open(root, path)
}

/// Whether both are the same file.
pub(super) fn same(one: impl AsFd, other: impl AsFd) -> io::Result<bool> {
    let id = |stat: Stat| (stat.st_dev, stat.st_ino);
    Ok(id(rustix::fs::fstat(one)?) == id(rustix::fs::fstat(other)?))
}

/// Whether it is a directory.
pub(super) fn is_directory(fd: impl AsFd) -> io::Result<bool> {
    let stat = rustix::fs::fstat(fd)?;
    Ok(rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())
}

/// What a link in the root says; `None` for anything else that is there.
pub(super) fn link(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match rustix::fs::readlinkat(rustix::fs::CWD, path, Vec::new()) {
        Ok(target) => Ok(Some(target.into_bytes())),
        Err(Errno::INVAL) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
