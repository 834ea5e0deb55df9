//! Looking below an opened directory without following a single link.
//!
//! What lies there belongs to whoever may write it. So nothing here follows a link, waits for the
//! other end of a FIFO, opens a device, or reads more than it was told to.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use portcullis_policy::FileId;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// Something below a directory, opened only as a place.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) place: OwnedFd,
    pub(super) kind: FileType,
    pub(super) id: FileId,
    /// How many names a file has.
    pub(super) names: u64,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is a directory, a link, a FIFO, a device.
    #[error("it is not a regular file")]
    NotAFile,
    /// It is larger than anything an honest program would have written.
    #[error("it is larger than {0} bytes")]
    TooLarge(usize),
    /// The system said no.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<Errno> for ReadError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// Opens a path whose last component may be a link, which is then what is opened. No other
/// component may be one.
pub(super) fn find(dir: impl AsFd, path: &Path) -> rustix::io::Result<Found> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let place = open(
        dir.as_fd(),
        path,
        OFlags::PATH | OFlags::NOFOLLOW,
        Mode::empty(),
    )?;
    let stat = rustix::fs::fstat(&place)?;
    Ok(Found {
        kind: kind(&stat),
        id: id(&stat),
        names: stat.st_nlink,
        place,
    })
}

/// [`find`], where nothing being there is an answer: no such name, or a file where a directory
/// would have to be.
pub(super) fn find_if_any(dir: impl AsFd, path: &Path) -> rustix::io::Result<Option<Found>> {
    match find(dir, path) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Reads a regular file of at most `limit` bytes.
pub(super) fn read(dir: impl AsFd, path: &Path, limit: usize) -> Result<Vec<u8>, ReadError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match open(dir.as_fd(), path, flags, Mode::empty()) {
        // A link, and a socket or a device without a driver.
        Err(Errno::LOOP | Errno::NXIO) => return Err(ReadError::NotAFile),
        result => result?,
    };
    read_all(&file, limit)
}

/// Reads what was opened from its start, if it is a regular file of at most `limit` bytes.
pub(super) fn read_all(file: impl AsFd, limit: usize) -> Result<Vec<u8>, ReadError> {
    if kind(&rustix::fs::fstat(&file)?) != FileType::RegularFile {
        return Err(ReadError::NotAFile);
    }
    let mut content = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        match rustix::io::pread(&file, &mut chunk[..], content.len() as u64) {
            Ok(0) => return Ok(content),
            Ok(length) => content.extend_from_slice(&chunk[..length]),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if content.len() > limit {
            return Err(ReadError::TooLarge(limit));
        }
    }
}

/// The names in a directory and what they are, sorted, at most `limit` of them, and whether that was
/// all.
pub(super) fn list(
    dir: impl AsFd,
    path: &Path,
    limit: usize,
) -> rustix::io::Result<(Vec<(OsString, FileType)>, bool)> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let dir = open(
        dir.as_fd(),
        path,
        OFlags::RDONLY | OFlags::DIRECTORY,
        Mode::empty(),
    )?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&dir)? {
        let entry = entry?;
        let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
        if name == "." || name == ".." {
            continue;
        }
        if names.len() == limit {
            return Ok((names, false));
        }
        let kind = match entry.file_type() {
            // A file system that does not say.
            FileType::Unknown => {
                find_if_any(&dir, Path::new(&name))?.map_or(FileType::Unknown, |found| found.kind)
            }
            kind => kind,
        };
        names.push((name, kind));
    }
    names.sort_by(|one, other| one.0.cmp(&other.0));
    Ok((names, true))
}

/// Where an opened link leads.
pub(super) fn target(link: &OwnedFd) -> rustix::io::Result<PathBuf> {
    let target = rustix::fs::readlinkat(link, "", Vec::with_capacity(256))?;
    Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
}

/// `openat2` that stays beneath the directory and refuses every link on the way.
pub(super) fn open(
    dir: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    mode: Mode,
) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(dir, path, flags | OFlags::CLOEXEC, mode, resolve) {
            // openat2(2): a rename ran at the same time.
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
}

pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

pub(super) fn id(stat: &Stat) -> FileId {
    FileId {
        dev: stat.st_dev,
        ino: stat.st_ino,
    }
}
