//! Directories that only we may write, and files in them that are opened without following links.
//!
//! The audit trail, the cache of compiled code and the keys of an installation are kept in them.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

/// Why a directory of ours, or a file in it, cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivateError {
    /// Somebody else owns it.
    #[error("`{path}` belongs to user {owner}, not to us")]
    NotOurs {
        /// The directory or file.
        path: PathBuf,
        /// The user id of the owner.
        owner: u32,
    },
    /// Its mode lets others write, or, for a file, read.
    #[error("`{path}` has mode {mode:04o}: others have access to it")]
    OpenToOthers {
        /// The directory or file.
        path: PathBuf,
        /// The permission bits.
        mode: u32,
    },
    /// It is not a plain file (or not a directory): a link, a device, a second name of another file.
    #[error("`{path}` is not a plain file or directory of its own")]
    NotPlain {
        /// The directory or file.
        path: PathBuf,
    },
    /// A key file that does not hold 32 bytes.
    #[error("`{path}` is not a key: expected 32 bytes")]
    NotAKey {
        /// The key file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("failed to {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// How temporary names begin. They count as entries when space is made, so that none stays for ever.
pub const TEMPORARY: &str = ".tmp-";

/// An open directory of ours. Files are opened relative to it, so it cannot be exchanged meanwhile.
#[derive(Debug)]
pub struct PrivateDir {
    fd: OwnedFd,
    path: PathBuf,
}

impl PrivateDir {
    /// Opens the directory, making it (0700) and its missing parents if need be.
    pub fn open_or_create(path: &Path) -> Result<Self, PrivateError> {
        let mut builder = std::fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| PrivateError::Io {
                action: "make directory",
                path: path.to_owned(),
                source,
            })?;
        Self::open(path)
    }

    /// Opens the directory if it is ours and nobody else may write to it.
    pub fn open(path: &Path) -> Result<Self, PrivateError> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::LOOP | Errno::NOTDIR => PrivateError::NotPlain {
                path: path.to_owned(),
            },
            _ => io_error("open directory", path, errno),
        })?;
        let stat = rustix::fs::fstat(&fd).map_err(|e| io_error("examine", path, e))?;
        owned_by_us(&stat, path, 0o022)?;
        Ok(PrivateDir {
            fd,
            path: path.to_owned(),
        })
    }

    /// The directory's path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file of ours in the directory; `None` if there is none of that name.
    pub fn open_file(&self, name: &str, flags: OFlags) -> Result<Option<OwnedFd>, PrivateError> {
        let path = self.path.join(name);
        // Without `NONBLOCK`, a pipe of this name would hold the call up before it is refused.
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = match rustix::fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(PrivateError::NotPlain { path }),
            Err(errno) => return Err(io_error("open", &path, errno)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(|e| io_error("examine", &path, e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink > 1 {
            return Err(PrivateError::NotPlain { path });
        }
        owned_by_us(&stat, &path, 0o077)?;
        Ok(Some(fd))
    }

    /// Opens a file of ours in the directory, making it (0600) if need be.
    ///
    /// # Errors
    /// [`PrivateError`] when it cannot be opened or is not ours.
    pub fn open_or_create_file(&self, name: &str) -> Result<OwnedFd, PrivateError> {
        self.open_file(name, OFlags::RDWR | OFlags::CREATE)?
            .ok_or_else(|| io_error("make", &self.path.join(name), Errno::NOENT))
    }

    /// What the system knows of a file, if it is there; of a link itself, not of what it leads to.
    pub fn examine(&self, name: &str) -> rustix::io::Result<Option<Stat>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Removes a file of the directory.
    pub fn remove(&self, name: &str) -> rustix::io::Result<()> {
        rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())
    }

    /// The names in the directory that are UTF-8.
    pub fn names(&self) -> Result<Vec<String>, PrivateError> {
        let failed = |e| io_error("list", &self.path, e);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd).map_err(failed)? {
            if let Ok(name) = entry.map_err(failed)?.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Reads a 32-byte key, made at random by whoever comes first.
    pub fn key(&self, name: &str) -> Result<[u8; 32], PrivateError> {
        let path = self.path.join(name);
        let fd = match self.open_file(name, OFlags::RDONLY)? {
            Some(fd) => fd,
            None => {
                self.make_key(name)?;
                let made = self.open_file(name, OFlags::RDONLY)?;
                made.ok_or_else(|| io_error("open", &path, Errno::NOENT))?
            }
        };
        let mut bytes = [0; 33];
        let count =
            rustix::io::pread(&fd, &mut bytes, 0).map_err(|e| io_error("read", &path, e))?;
        match bytes.split_first_chunk::<32>() {
            Some((key, _)) if count == key.len() => Ok(*key),
            _ => Err(PrivateError::NotAKey { path }),
        }
    }

    /// Writes a key under a temporary name, then renames it: no reader ever sees half of one, and
    /// the first of several makers wins.
    fn make_key(&self, name: &str) -> Result<(), PrivateError> {
        let path = self.path.join(name);
        let failed = |e| io_error("make", &path, e);
        let key: [u8; 32] = self.random(name)?;
        self.write_as(name, RenameFlags::NOREPLACE, |fd| {
            write_all(fd, &key)?;
            rustix::fs::fsync(fd)
        })?
        .or_else(|errno| {
            if errno == Errno::EXIST {
                Ok(())
            } else {
                Err(failed(errno))
            }
        })
    }

    /// Has a file written under a temporary name (0600), then gives it its own. When that fails, nothing is
    /// left of it. The inner result is that of writing and renaming.
    pub fn write_as(
        &self,
        name: &str,
        rename: RenameFlags,
        write: impl FnOnce(&OwnedFd) -> rustix::io::Result<()>,
    ) -> Result<rustix::io::Result<()>, PrivateError> {
        let salt: [u8; 16] = self.random(name)?;
        let temporary = format!("{TEMPORARY}{}", hex::encode(salt));
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, &*temporary, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| io_error("make", &self.path.join(&temporary), e))?;
        let written = write(&fd).and_then(|()| {
            rustix::fs::renameat_with(&self.fd, &*temporary, &self.fd, name, rename)
        });
        if written.is_err() {
            self.remove(&temporary)
                .map_err(|e| io_error("remove", &self.path.join(&temporary), e))?;
        }
        Ok(written)
    }

    fn random<const N: usize>(&self, name: &str) -> Result<[u8; N], PrivateError> {
        let mut random = [0; N];
        getrandom::fill(&mut random).map_err(|error| PrivateError::Io {
            action: "draw random bytes for",
            path: self.path.join(name),
            source: io::Error::other(error.to_string()),
        })?;
        Ok(random)
    }
}

fn owned_by_us(stat: &Stat, path: &Path, forbidden: u32) -> Result<(), PrivateError> {
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(PrivateError::NotOurs {
            path: path.to_owned(),
            owner: stat.st_uid,
        });
    }
    if stat.st_mode & forbidden != 0 {
        return Err(PrivateError::OpenToOthers {
            path: path.to_owned(),
            mode: stat.st_mode & 0o7777,
        });
    }
    Ok(())
}

/// Writes all bytes at the current offset, or fails.
pub fn write_all(fd: &OwnedFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        let count = rustix::io::retry_on_intr(|| rustix::io::write(fd, bytes))?;
        bytes = bytes
            .get(count..)
            .filter(|_| count > 0)
            .ok_or(Errno::NOSPC)?;
    }
    Ok(())
}

/// Writes all bytes at an offset, or fails.
pub fn write_all_at(fd: &OwnedFd, mut bytes: &[u8], mut offset: u64) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        let count = rustix::io::retry_on_intr(|| rustix::io::pwrite(fd, bytes, offset))?;
        bytes = bytes
            .get(count..)
            .filter(|_| count > 0)
            .ok_or(Errno::NOSPC)?;
        offset += count as u64;
    }
    Ok(())
}

/// Reads at an offset until the buffer is full or the file ends; gives the count.
pub fn read_some(fd: &OwnedFd, buffer: &mut [u8], offset: u64) -> rustix::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        let rest = &mut buffer[filled..];
        match rustix::io::retry_on_intr(|| {
            rustix::io::pread(fd, &mut *rest, offset + filled as u64)
        })? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// Reads the bytes from `offset` to `end`, or fewer if the file is shorter.
///
/// # Errors
/// That of pread(2), or `EFBIG` for more than fits in memory.
pub fn read_range(fd: &OwnedFd, offset: u64, end: u64) -> rustix::io::Result<Vec<u8>> {
    let wanted = usize::try_from(end.saturating_sub(offset)).map_err(|_| Errno::FBIG)?;
    let mut bytes = vec![0; wanted];
    let filled = read_some(fd, &mut bytes, offset)?;
    bytes.truncate(filled);
    Ok(bytes)
}

/// An error of the system as a [`PrivateError`].
pub fn io_error(action: &'static str, path: &Path, errno: Errno) -> PrivateError {
    PrivateError::Io {
        action,
        path: path.to_owned(),
        source: errno.into(),
    }
}
