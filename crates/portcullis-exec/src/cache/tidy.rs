//! How much a directory holds, and emptying it, whatever commands have made of it: names of any kind, directories that
//! cannot be read, and more of them in one another than a path can name.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

/// Directories in one another that are looked into; more are too many.
const MAX_DEPTH: usize = 128;
const DIRECTORY: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// What a directory holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// On the disk.
    pub(super) bytes: u64,
    pub(super) files: u64,
}

impl Size {
    const UNKNOWN: Self = Self {
        bytes: u64::MAX,
        files: u64::MAX,
    };
}

/// Makes a directory of ours, if it is not there.
pub(super) fn directory(at: &Path, name: &str) -> io::Result<()> {
    match rustix::fs::mkdir(at.join(name), Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    open(at, name).map(drop)
}

/// Opens a directory of ours, whatever has become of its mode.
pub(super) fn open(at: &Path, name: &str) -> io::Result<OwnedFd> {
    let at = rustix::fs::open(at, DIRECTORY, Mode::empty())?;
    let name = CString::new(name)?;
    open_at(at.as_fd(), &name)
}

fn open_at(at: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let place = rustix::fs::openat(at, name, OFlags::PATH | DIRECTORY, Mode::empty())?;
    if rustix::fs::fstat(&place)?.st_mode & 0o700 != 0o700 {
        // By its descriptor: a name could lead elsewhere by now.
        let link = format!("/proc/self/fd/{}", place.as_raw_fd());
        rustix::fs::chmodat(CWD, link, Mode::RWXU, AtFlags::empty())?;
    }
    let here = rustix::fs::openat(&place, c".", OFlags::RDONLY | DIRECTORY, Mode::empty())?;
    Ok(here)
}

/// How much a directory holds; counting stops where it is more than this.
pub(super) fn measure(top: OwnedFd, bytes: u64, files: u64) -> Size {
    count(top, bytes, files).unwrap_or(Size::UNKNOWN)
}

fn count(top: OwnedFd, bytes: u64, files: u64) -> io::Result<Size> {
    let mut size = Size::default();
    let mut open = vec![Dir::new(top)?];
    while let Some(dir) = open.last_mut() {
        let Some(entry) = dir.read() else {
            open.pop();
            continue;
        };
        let entry = entry?;
        let name = entry.file_name();
        let Some(stat) = examine(dir.fd()?, name)? else {
            continue;
        };
        size.files += 1;
        // In units of 512 bytes, whatever the file system's own are.
        size.bytes += u64::try_from(stat.st_blocks).unwrap_or_default() * 512;
        if size.bytes > bytes || size.files > files {
            break;
        }
        if is_directory(&stat) {
            let inner = open_at(dir.fd()?, name)?;
            if open.len() == MAX_DEPTH {
                return Ok(Size::UNKNOWN);
            }
            open.push(Dir::new(inner)?);
        }
    }
    Ok(size)
}

/// What lies under a name; `None` for what is gone, and for the directory itself and the one above it.
fn examine(at: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<Stat>> {
    if matches!(name.to_bytes(), b"." | b"..") {
        return Ok(None);
    }
    match rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_dir()
}

/// Removes everything in a directory.
///
/// What lies in an inner directory is moved up before that is removed, so that depth costs nothing.
pub(super) fn empty(top: BorrowedFd<'_>) -> io::Result<()> {
    let mut moved = 0_u64;
    loop {
        let left = without_files(top)?;
        if left.is_empty() {
            return Ok(());
        }
        for name in left {
            let inner = open_at(top, &name)?;
            for name in without_files(inner.as_fd())? {
                // It has to be writable to be moved.
                drop(open_at(inner.as_fd(), &name)?);
                move_up(inner.as_fd(), &name, top, &mut moved)?;
            }
            rustix::fs::unlinkat(top, &name, AtFlags::REMOVEDIR)?;
        }
    }
}

/// Removes what is no directory; gives the names of what is left.
fn without_files(at: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(at)? {
        names.push(entry?.file_name().to_owned());
    }
    let mut left = Vec::new();
    for name in names {
        match examine(at, &name)? {
            Some(stat) if is_directory(&stat) => left.push(name),
            Some(_) => rustix::fs::unlinkat(at, &name, AtFlags::empty())?,
            None => {}
        }
    }
    Ok(left)
}

fn move_up(
    from: BorrowedFd<'_>,
    name: &CStr,
    to: BorrowedFd<'_>,
    moved: &mut u64,
) -> io::Result<()> {
    loop {
        *moved += 1;
        let new = format!(".moved-{moved}");
        match rustix::fs::renameat_with(from, name, to, new, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const ALL: u64 = u64::MAX;

    fn size(at: &Path) -> Size {
        measure(open(at, "files").unwrap(), ALL, ALL)
    }

    /// Directories in one another, deeper than a path can say.
    fn deep(at: &Path, depth: usize) {
        let mut here = rustix::fs::open(at, DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..depth {
            rustix::fs::mkdirat(&here, "a-name-of-some-length", Mode::RWXU).unwrap();
            here = rustix::fs::openat(&here, "a-name-of-some-length", DIRECTORY, Mode::empty())
                .unwrap();
        }
    }

    #[test]
    fn what_is_there_is_counted_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let files = dir.path().join("files");
        directory(dir.path(), "files").unwrap();
        assert_eq!(size(dir.path()), Size::default());
        fs::create_dir_all(files.join("a/b")).unwrap();
        fs::write(files.join("a/b/file"), vec![1; 100_000]).unwrap();
        fs::write(dir.path().join("outside"), "kept").unwrap();
        fs::hard_link(dir.path().join("outside"), files.join("second")).unwrap();
        symlink(dir.path(), files.join("a/up")).unwrap();
        let whole = size(dir.path());
        assert_eq!(whole.files, 5);
        assert!(whole.bytes >= 100_000, "{whole:?}");
        let some = measure(open(dir.path(), "files").unwrap(), 50_000, ALL);
        assert!(some.bytes > 50_000);
        let few = measure(open(dir.path(), "files").unwrap(), ALL, 2);
        assert_eq!(few.files, 3);
        empty(open(dir.path(), "files").unwrap().as_fd()).unwrap();
        assert_eq!(fs::read_dir(&files).unwrap().count(), 0);
        assert_eq!(
            fs::read_to_string(dir.path().join("outside")).unwrap(),
            "kept"
        );
    }

    #[test]
    fn no_mode_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let files = dir.path().join("files");
        fs::create_dir_all(files.join("a/b")).unwrap();
        fs::write(files.join("a/b/file"), "x").unwrap();
        for path in ["a/b", "a", ""] {
            fs::set_permissions(files.join(path), fs::Permissions::from_mode(0o000)).unwrap();
        }
        assert_eq!(size(dir.path()).files, 3);
        for path in ["", "a", "a/b"] {
            fs::set_permissions(files.join(path), fs::Permissions::from_mode(0o500)).unwrap();
        }
        empty(open(dir.path(), "files").unwrap().as_fd()).unwrap();
        assert_eq!(fs::read_dir(&files).unwrap().count(), 0);
    }

    #[test]
    fn no_depth_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        directory(dir.path(), "files").unwrap();
        let files = dir.path().join("files");
        fs::create_dir(files.join(".moved-1")).unwrap();
        deep(&files, 100);
        assert_eq!(size(dir.path()).files, 101);
        deep(&files.join(".moved-1"), 400);
        assert_eq!(size(dir.path()), Size::UNKNOWN);
        empty(open(dir.path(), "files").unwrap().as_fd()).unwrap();
        assert_eq!(fs::read_dir(&files).unwrap().count(), 0);
    }
}
