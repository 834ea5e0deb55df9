//! Files and directories of the host: whole files and single names, in the shape of [`std::fs`].
//!
//! A path is absolute, or relative to the project directory, or begins with the name that the operator gave a directory. It may not
//! leave the directory that was granted, not even to come back. What lies outside is [`Denied`](crate::ErrorKind::Denied), whether it is
//! there or not. Built for `wasm32-wasip2`, a plugin has the granted directories by `std::fs` besides, for parts of files.
//!
//! ```
//! use portcullis::fs;
//! use portcullis::testing::Host;
//!
//! let host = Host::new().file("notes/one.txt", "first");
//! host.run(|| {
//!     fs::write("notes/two.txt", "second")?;
//!     let names: Vec<_> = fs::read_dir("notes")?.map(|entry| entry.file_name().to_owned()).collect();
//!     assert_eq!(names, ["one.txt", "two.txt"]);
//!     assert_eq!(fs::read_to_string("notes/one.txt")?, "first");
//!     # Ok::<_, portcullis::Error>(())
//! })?;
//! # Ok::<_, portcullis::Error>(())
//! ```
//!
//! Grant: `fs`. Every function may be called some number of times a minute, and is an error of the kind
//! [`Limit`](crate::ErrorKind::Limit) beyond that.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::{Error, ErrorKind, Result, host};

/// What something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileType(pub(crate) Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    File,
    Directory,
    Link,
    #[cfg_attr(
        not(target_family = "wasm"),
        expect(dead_code, reason = "a scripted host has none")
    )]
    Other,
}

impl FileType {
    /// Whether it is a regular file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.0 == Kind::File
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.0 == Kind::Directory
    }

    /// Whether it is a symbolic link.
    #[must_use]
    pub fn is_symlink(&self) -> bool {
        self.0 == Kind::Link
    }
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    pub(crate) name: String,
    pub(crate) kind: FileType,
}

impl DirEntry {
    /// The name alone.
    #[must_use]
    pub fn file_name(&self) -> &str {
        &self.name
    }

    /// What has the name; a link is not followed.
    #[must_use]
    pub fn file_type(&self) -> FileType {
        self.kind
    }
}

/// The names in a directory, sorted.
#[derive(Clone, Debug)]
pub struct ReadDir(std::vec::IntoIter<DirEntry>);

impl Iterator for ReadDir {
    type Item = DirEntry;

    fn next(&mut self) -> Option<DirEntry> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for ReadDir {}

/// What is known of a file or directory from outside.
#[derive(Clone, Copy, Debug)]
pub struct Metadata {
    pub(crate) kind: FileType,
    pub(crate) size: u64,
    /// Nanoseconds since 1970.
    pub(crate) modified: u64,
}

#[expect(clippy::len_without_is_empty, reason = "as in std")]
impl Metadata {
    /// What it is.
    #[must_use]
    pub fn file_type(&self) -> FileType {
        self.kind
    }

    /// Whether it is a regular file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.kind.is_file()
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.kind.is_dir()
    }

    /// Bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.size
    }

    /// When it was changed; 1970 for what is older.
    #[must_use]
    pub fn modified(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.modified)
    }
}

/// The whole content of a regular file.
///
/// # Errors
/// [`Denied`](ErrorKind::Denied), [`NotFound`](ErrorKind::NotFound), [`NotAFile`](ErrorKind::NotAFile), and
/// [`TooLarge`](ErrorKind::TooLarge) beyond 8 MiB, unless policy says otherwise.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    asked("read", path.as_ref(), host::fs_read)
}

/// As [`read`], for text.
///
/// # Errors
/// As [`read`]; [`Invalid`](ErrorKind::Invalid) for what is not UTF-8.
pub fn read_to_string(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    String::from_utf8(read(path)?).map_err(|_| {
        let why = format!("cannot read `{}`: it is not UTF-8", path.display());
        Error::new(ErrorKind::Invalid, why)
    })
}

/// Puts a file with this content in place, whether there is one or not: all of it, or nothing is changed.
///
/// # Errors
/// [`Denied`](ErrorKind::Denied), [`NotFound`](ErrorKind::NotFound) without its directory, [`NotAFile`](ErrorKind::NotAFile),
/// [`TooLarge`](ErrorKind::TooLarge) beyond 4 MiB, unless policy says otherwise.
pub fn write(path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Result<()> {
    asked("write", path.as_ref(), |path| {
        host::fs_write(path, content.as_ref())
    })
}

/// The names in a directory, sorted, without those that are not UTF-8.
///
/// # Errors
/// [`Denied`](ErrorKind::Denied), [`NotFound`](ErrorKind::NotFound), [`NotADirectory`](ErrorKind::NotADirectory), and
/// [`TooLarge`](ErrorKind::TooLarge) beyond 65,536 names.
pub fn read_dir(path: impl AsRef<Path>) -> Result<ReadDir> {
    let entries = asked("list", path.as_ref(), host::fs_entries)?;
    Ok(ReadDir(entries.into_iter()))
}

/// What something is; links are followed.
///
/// # Errors
/// [`Denied`](ErrorKind::Denied), [`NotFound`](ErrorKind::NotFound).
pub fn metadata(path: impl AsRef<Path>) -> Result<Metadata> {
    asked("look at", path.as_ref(), host::fs_stat)
}

/// Makes a directory in one that is there.
///
/// # Errors
/// [`Denied`](ErrorKind::Denied), [`NotFound`](ErrorKind::NotFound), [`AlreadyExists`](ErrorKind::AlreadyExists).
pub fn create_dir(path: impl AsRef<Path>) -> Result<()> {
    asked("make directory", path.as_ref(), host::fs_make_directory)
}

/// Removes a file, a link itself, or an empty directory.
///
/// # Errors
/// [`Denied`](ErrorKind::Denied), [`NotFound`](ErrorKind::NotFound), [`NotEmpty`](ErrorKind::NotEmpty).
pub fn remove(path: impl AsRef<Path>) -> Result<()> {
    asked("remove", path.as_ref(), host::fs_remove)
}

/// Gives a file, a link itself or a directory another name, in place of what has it.
///
/// # Errors
/// As [`remove`]. Both have to be granted to be changed, and lie on one file system.
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    let to = to.as_ref().to_string_lossy();
    asked("rename", from.as_ref(), |from| host::fs_rename(from, &to))
}

/// Asks the host something of a path.
fn asked<T>(what: &str, path: &Path, ask: impl FnOnce(&str) -> Result<T, ErrorKind>) -> Result<T> {
    let path = path.to_string_lossy();
    ask(&path).map_err(|kind| Error::of(format_args!("cannot {what} `{path}`"), kind))
}
