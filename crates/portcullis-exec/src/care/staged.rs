//! The files around a staged configuration: taking the copy, reading it back, writing the real one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::beneath::{self, ReadError};
use super::git_config::Edited;
use super::git_file::MAX_SIZE;

/// The name of the copy in the command's scratch directory.
pub const STAGED_NAME: &str = "config";
const CONFIG: &str = "config";
const LOCK: &str = "config.lock";

/// Why the real configuration was not written. Nothing is changed but in the last case, in which
/// `config.lock` has the whole new text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// Another program is changing it, or left its lock behind.
    #[error("`config.lock` is there: another program is changing the repository's configuration")]
    Locked,
    /// It is not what it was when the command started.
    #[error("the repository's configuration changed while the command ran")]
    Conflict,
    /// Other names lead to the same file, which would change with it.
    #[error("the repository's configuration has more than one name")]
    Linked,
    /// It is not a plain file of plain size.
    #[error("the repository's configuration cannot be read: {0}")]
    Read(#[from] ReadError),
    /// The lock could not be made or written.
    #[error("failed to write the repository's configuration: {0}")]
    Write(#[source] io::Error),
    /// The lock has the new text, the configuration perhaps a part of it.
    #[error(
        "failed while writing the repository's configuration; `config.lock` has what it should be: {0}"
    )]
    Torn(#[source] io::Error),
}

/// Reads a repository's configuration, to be copied for a command and to be compared with later.
///
/// # Errors
/// [`ReadError`] if it is not there, a link, no regular file, or over a mebibyte.
pub fn read_config(git_dir: impl AsFd) -> Result<Vec<u8>, ReadError> {
    beneath::read(git_dir, Path::new(CONFIG), MAX_SIZE)
}

/// Reads what a command made of its copy, once all its processes are dead.
///
/// # Errors
/// [`ReadError`] for anything but a regular file of at most a mebibyte: a command may have put a
/// link there, a FIFO, or nothing.
pub fn read_staged(scratch: impl AsFd) -> Result<Vec<u8>, ReadError> {
    beneath::read(scratch, Path::new(STAGED_NAME), MAX_SIZE)
}

/// Writes an accepted configuration, if the real one still is `base`.
///
/// Under git's own lock, so that no git writes at the same time. The file is **not** replaced by a
/// rename, as git does it: a rename over a name detaches every mount on that name in every other
/// namespace (`rename(2)` is refused only where the mount point is), so another running cell would
/// find its protected `.git/config` writable. The text is written into the file that is there: one
/// write, padded with newlines where the new text is shorter, so that who reads meanwhile sees a
/// whole configuration. The lock has the new text from before until after, for a crash between.
///
/// # Errors
/// [`ApplyError`]; the lock is taken away again except after [`ApplyError::Torn`].
pub fn apply(git_dir: impl AsFd, base: &[u8], edited: &Edited) -> Result<(), ApplyError> {
    let git_dir = git_dir.as_fd();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    let lock = match beneath::open(git_dir, Path::new(LOCK), flags, Mode::from(0o600)) {
        Ok(lock) => lock,
        Err(Errno::EXIST) => return Err(ApplyError::Locked),
        Err(errno) => return Err(ApplyError::Write(errno.into())),
    };
    let written = write_locked(git_dir, base, &edited.content, &lock);
    if !matches!(written, Err(ApplyError::Torn(_))) {
        // A lock that stays makes git say so; there is nothing else that we could do about it.
        let _ = rustix::fs::unlinkat(git_dir, LOCK, AtFlags::empty());
    }
    written
}

fn write_locked(
    git_dir: impl AsFd,
    base: &[u8],
    content: &[u8],
    lock: &OwnedFd,
) -> Result<(), ApplyError> {
    let config = open_config(git_dir)?;
    if beneath::read_all(&config, MAX_SIZE)? != base {
        return Err(ApplyError::Conflict);
    }
    let stat = rustix::fs::fstat(&config).map_err(|errno| ApplyError::Write(errno.into()))?;
    if stat.st_nlink != 1 {
        return Err(ApplyError::Linked);
    }
    write_at_start(lock, content)
        .and_then(|()| rustix::fs::fsync(lock))
        .map_err(|errno| ApplyError::Write(errno.into()))?;
    let mut padded = content.to_vec();
    padded.resize(content.len().max(base.len()), b'\n');
    write_at_start(&config, &padded)
        .and_then(|()| rustix::fs::ftruncate(&config, content.len() as u64))
        .and_then(|()| rustix::fs::fsync(&config))
        .map_err(|errno| ApplyError::Torn(errno.into()))
}

fn open_config(git_dir: impl AsFd) -> Result<OwnedFd, ApplyError> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    match beneath::open(git_dir.as_fd(), Path::new(CONFIG), flags, Mode::empty()) {
        Ok(config) => Ok(config),
        Err(Errno::LOOP | Errno::NXIO | Errno::ISDIR) => Err(ReadError::NotAFile.into()),
        Err(errno) => Err(ReadError::from(errno).into()),
    }
}

pub(super) fn write_at_start(file: &OwnedFd, content: &[u8]) -> rustix::io::Result<()> {
    let mut done = 0;
    while done < content.len() {
        match rustix::io::pwrite(file, &content[done..], done as u64) {
            Ok(length) => done += length,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Whether git keeps its things there: what makes a directory one for git, and a working tree's own
/// part of one.
pub(super) fn is_git_dir(dir: impl AsFd) -> bool {
    let dir = dir.as_fd();
    let is = |name: &str, kinds: &[FileType]| {
        beneath::find(dir, Path::new(name)).is_ok_and(|found| kinds.contains(&found.kind))
    };
    // An old HEAD is a link to a reference.
    is("HEAD", &[FileType::RegularFile, FileType::Symlink])
        && (is("commondir", &[FileType::RegularFile])
            || is("objects", &[FileType::Directory, FileType::Symlink])
                && is("refs", &[FileType::Directory, FileType::Symlink]))
}
