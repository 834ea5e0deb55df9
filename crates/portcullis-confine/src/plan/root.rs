//! One directory or file that a command may use, opened once: what was looked at is what is mounted.

use std::{
    fs::File,
    hash::{Hash, Hasher},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a command may do with a root and everything below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Access {
    /// Read.
    Read,
    /// Read and execute, as `/usr` is.
    Program,
    /// Read and write; nothing there can be executed.
    Write,
    /// Read, write and execute.
    WriteExec,
    /// Nothing: an empty directory or file lies there instead.
    Masked,
    /// Read and write, of a copy in the cell alone: a link to it lies on the file's name, and the host fills it and
    /// reads what became of it ([`Cell::take_copies`](crate::Cell::take_copies)). For a regular file inside another
    /// root, of a plan whose cells share nothing.
    Copied,
}

impl Access {
    /// Every access, in the order of their codes.
    pub(crate) const ALL: [Self; 6] = [
        Self::Read,
        Self::Program,
        Self::Write,
        Self::WriteExec,
        Self::Masked,
        Self::Copied,
    ];
}

/// A directory or file at its own real path.
#[derive(Clone, Debug)]
pub struct Root {
    path: PathBuf,
    access: Access,
    opened: Arc<File>,
    id: (u64, u64),
    link: bool,
    directory: bool,
}

/// Why a root cannot be granted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootError {
    /// It cannot be opened.
    #[error("cannot open `{}`", path.display())]
    Open {
        /// The path that was given.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A path that is not the real one would mean two places.
    #[error("`{}` is not a real path: it leads to `{}`", path.display(), real.display())]
    NotReal {
        /// The path that was given.
        path: PathBuf,
        /// Where it leads.
        real: PathBuf,
    },
    /// The whole system cannot be granted, nor what cells make themselves.
    #[error("`{}` cannot be granted to a command", path.display())]
    Reserved {
        /// The path that was given.
        path: PathBuf,
    },
}

/// What a cell makes itself; a root there would undo it.
const RESERVED: [&str; 3] = ["/proc", "/dev", "/.cell"];

impl Root {
    /// Opens a directory or file at its real path.
    ///
    /// # Errors
    /// [`RootError`]: it is not there, the path has a link in it, or it is `/`, or is or lies in `/proc` or `/dev`.
    #[cfg(target_os = "linux")]
    pub fn open(path: &Path, access: Access) -> Result<Self, RootError> {
        let root = Self::open_any(path, access)?;
        if root.link {
            return Err(RootError::Open {
                path: path.into(),
                source: io::Error::from_raw_os_error(libc::ELOOP),
            });
        }
        Ok(root)
    }

    #[cfg(target_os = "linux")]
    fn open_any(path: &Path, access: Access) -> Result<Self, RootError> {
        use std::os::fd::AsRawFd;

        use rustix::fs::{Mode, OFlags};

        let failed = |error: rustix::io::Errno| RootError::Open {
            path: path.into(),
            source: error.into(),
        };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
        let link = format!("/proc/self/fd/{}", opened.as_raw_fd());
        let real = std::fs::read_link(link).map_err(|source| RootError::Open {
            path: path.into(),
            source,
        })?;
        if real != path {
            return Err(RootError::NotReal {
                path: path.into(),
                real,
            });
        }
        Self::new(path, access, opened.into())
    }

    /// A root that was opened before, with `O_PATH` or for reading. `path` must be its real path, which is not checked
    /// before the cell is made.
    ///
    /// # Errors
    /// [`RootError::Reserved`], or [`RootError::Open`] for a descriptor that cannot be looked at.
    #[cfg(target_os = "linux")]
    pub fn new(path: &Path, access: Access, opened: File) -> Result<Self, RootError> {
        use std::os::unix::fs::MetadataExt;

        let reserved = RESERVED.iter().any(|place| path.starts_with(place));
        if reserved || path.parent().is_none() || !path.is_absolute() {
            return Err(RootError::Reserved { path: path.into() });
        }
        let meta = opened.metadata().map_err(|source| RootError::Open {
            path: path.into(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            access,
            id: (meta.dev(), meta.ino()),
            link: meta.is_symlink(),
            directory: meta.is_dir(),
            opened: Arc::new(opened),
        })
    }

    /// Opens a symbolic link itself, inside another root: it is mounted on itself, so that it cannot be replaced.
    ///
    /// # Errors
    /// As [`Root::open`].
    #[cfg(target_os = "linux")]
    pub fn open_link(path: &Path) -> Result<Self, RootError> {
        let root = Self::open_any(path, Access::Read)?;
        if root.link {
            Ok(root)
        } else {
            Err(RootError::Open {
                path: path.into(),
                source: io::ErrorKind::InvalidInput.into(),
            })
        }
    }

    /// Whether the same file still lies at the path.
    #[must_use]
    #[cfg(target_os = "linux")]
    pub fn is_current(&self) -> bool {
        let now = rustix::fs::lstat(&self.path);
        now.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.id)
    }

    /// Device and inode of what was opened.
    #[must_use]
    pub fn id(&self) -> (u64, u64) {
        self.id
    }

    pub(crate) fn is_link(&self) -> bool {
        self.link
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.directory
    }

    /// The real path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What may be done there.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// The opened directory or file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.opened
    }
}

impl PartialEq for Root {
    fn eq(&self, other: &Self) -> bool {
        (&self.path, self.access, self.id) == (&other.path, other.access, other.id)
    }
}

impl Eq for Root {}

impl Hash for Root {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.path, self.access, self.id).hash(state);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_real_paths_outside_of_what_a_cell_makes() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        std::os::unix::fs::symlink(&dir, dir.join("link")).unwrap();
        std::fs::create_dir(dir.join("sub")).unwrap();
        assert!(Root::open(&dir.join("sub"), Access::Read).is_ok());
        for unreal in ["link", "link/sub", "sub/../sub"] {
            let path = PathBuf::from(format!("{}/{unreal}", dir.display()));
            assert!(Root::open(&path, Access::Read).is_err(), "{unreal}");
        }
        for reserved in ["/", "/proc", "/dev", "/proc/self", "/dev/null"] {
            let opened = Root::open(Path::new(reserved), Access::Read);
            assert!(
                matches!(
                    opened,
                    Err(RootError::Reserved { .. } | RootError::NotReal { .. })
                ),
                "{reserved}"
            );
        }
        assert!(matches!(
            Root::open(&dir.join("missing"), Access::Read),
            Err(RootError::Open { .. })
        ));
    }

    #[test]
    fn a_replaced_directory_is_another_root() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("root");
        std::fs::create_dir(&path).unwrap();
        let before = Root::open(&path, Access::Read).unwrap();
        std::fs::rename(&path, path.with_file_name("old")).unwrap();
        std::fs::create_dir(&path).unwrap();
        let after = Root::open(&path, Access::Read).unwrap();
        assert_ne!(before, after);
        assert_ne!(after, Root::open(&path, Access::Write).unwrap());
        assert_eq!(after, Root::open(&path, Access::Read).unwrap());
    }
}
