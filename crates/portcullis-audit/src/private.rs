//! A directory that only we may write, and files in it that are opened without following links.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

/// Why a directory of ours, or a file in it, cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
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

/// An open directory of ours. Files are opened relative to it, so it cannot be exchanged meanwhile.
#[derive(Debug)]
pub(crate) struct PrivateDir {
    fd: OwnedFd,
    path: PathBuf,
}

impl PrivateDir {
    /// Opens the directory, making it (0700) and its missing parents if need be.
    pub(crate) fn open_or_create(path: &Path) -> Result<Self, StoreError> {
        let mut builder = std::fs::DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|source| StoreError::Io {
                action: "make directory",
                path: path.to_owned(),
                source,
            })?;
        Self::open(path)
    }

    /// Opens the directory if it is ours and nobody else may write to it.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::LOOP | Errno::NOTDIR => StoreError::NotPlain {
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

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a file of ours in the directory; `None` if there is none of that name.
    pub(crate) fn open_file(
        &self,
        name: &str,
        flags: OFlags,
    ) -> Result<Option<OwnedFd>, StoreError> {
        let path = self.path.join(name);
        // Without `NONBLOCK`, a pipe of this name would hold the call up before it is refused.
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = match rustix::fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(StoreError::NotPlain { path }),
            Err(errno) => return Err(io_error("open", &path, errno)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(|e| io_error("examine", &path, e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink > 1 {
            return Err(StoreError::NotPlain { path });
        }
        owned_by_us(&stat, &path, 0o077)?;
        Ok(Some(fd))
    }

    /// Opens a file of ours in the directory, making it (0600) if need be.
    pub(crate) fn open_or_create_file(&self, name: &str) -> Result<OwnedFd, StoreError> {
        self.open_file(name, OFlags::RDWR | OFlags::CREATE)?
            .ok_or_else(|| io_error("make", &self.path.join(name), Errno::NOENT))
    }

    /// Removes a file of the directory.
    pub(crate) fn remove(&self, name: &str) -> rustix::io::Result<()> {
        rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())
    }

    /// The names in the directory that are UTF-8.
    pub(crate) fn names(&self) -> Result<Vec<String>, StoreError> {
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
    pub(crate) fn key(&self, name: &str) -> Result<[u8; 32], StoreError> {
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
            _ => Err(StoreError::NotAKey { path }),
        }
    }

    /// Writes a key under a temporary name, then renames it: no reader ever sees half of one, and
    /// the first of several makers wins.
    fn make_key(&self, name: &str) -> Result<(), StoreError> {
        let mut random = [0; 40];
        getrandom::fill(&mut random).map_err(|error| StoreError::Io {
            action: "draw random bytes for",
            path: self.path.join(name),
            source: io::Error::other(error.to_string()),
        })?;
        let (key, salt) = random.split_at(32);
        let temporary = format!(".{name}.{}", hex::encode(salt));
        let path = self.path.join(&temporary);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, &*temporary, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|e| io_error("make", &path, e))?;
        let named = write_all_at(&fd, key, 0)
            .and_then(|()| rustix::fs::fsync(&fd))
            .and_then(|()| {
                let (dir, flags) = (&self.fd, RenameFlags::NOREPLACE);
                rustix::fs::renameat_with(dir, &*temporary, dir, name, flags)
            });
        let Err(errno) = named else { return Ok(()) };
        let removed = self.remove(&temporary);
        match errno {
            Errno::EXIST => removed.map_err(|e| io_error("remove", &path, e)),
            errno => Err(io_error("make", &self.path.join(name), errno)),
        }
    }
}

fn owned_by_us(stat: &Stat, path: &Path, forbidden: u32) -> Result<(), StoreError> {
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(StoreError::NotOurs {
            path: path.to_owned(),
            owner: stat.st_uid,
        });
    }
    if stat.st_mode & forbidden != 0 {
        return Err(StoreError::OpenToOthers {
            path: path.to_owned(),
            mode: stat.st_mode & 0o7777,
        });
    }
    Ok(())
}

/// Writes all bytes at an offset, or fails; what was written before a failure stays.
pub(crate) fn write_all_at(
    fd: &OwnedFd,
    mut bytes: &[u8],
    mut offset: u64,
) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(fd, bytes, offset) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Reads the bytes from `offset` to `end`, or fewer if the file is shorter.
pub(crate) fn read_range(fd: &OwnedFd, offset: u64, end: u64) -> rustix::io::Result<Vec<u8>> {
    let wanted = usize::try_from(end.saturating_sub(offset)).map_err(|_| Errno::FBIG)?;
    let mut bytes = vec![0; wanted];
    let mut filled = 0;
    while filled < wanted {
        match rustix::io::pread(fd, &mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

pub(crate) fn io_error(action: &'static str, path: &Path, errno: Errno) -> StoreError {
    StoreError::Io {
        action,
        path: path.to_owned(),
        source: errno.into(),
    }
}
