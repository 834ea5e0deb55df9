//! What commands trust, where the system keeps what it does.
//!
//! The certificates are written into a file system in memory, which then lies on each place of the system's that there
//! is. So a program finds them whether it goes by a variable, by the place it was built with, or by the names that
//! OpenSSL looks for; and nowhere does it find the system's.

use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::FileExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use super::{
    directory, layout,
    mounts::{self, READ_ONLY_DATA},
};
use crate::Certificates;

/// The bundle, under the name that most systems have for it.
const BUNDLE: &str = "ca-certificates.crt";
/// Other names of it, in directories that systems keep certificates in.
const BUNDLES: [&str; 2] = ["ca-bundle.crt", "ca-bundle.trust.crt"];
/// The key store for Java.
const STORE: &str = "java/cacerts";
/// Another name of it, which Adoptium's packages link to.
const ADOPTIUM: &str = "adoptium";

/// Certificates in their places, where until [`Placed::seal`] more can be put beside them.
pub(super) struct Placed(Vec<OwnedFd>);

impl Placed {
    /// Makes them read-only, when every root is in its place: one that was granted may lie among them.
    pub(super) fn seal(self) -> io::Result<()> {
        let mut trees = self.0.iter();
        trees.try_for_each(|tree| mounts::restrict(tree.as_fd(), READ_ONLY_DATA, false))
    }
}

/// Puts the certificates in their places.
pub(super) fn put(root: BorrowedFd<'_>, certificates: &Certificates) -> io::Result<Placed> {
    let tree = written(certificates)?;
    let place = Path::new(Certificates::PLACE);
    mounts::put(tree.as_fd(), directory::make(root, place)?.as_fd())?;
    let mut placed = vec![tree];
    // A file of a tree that nobody has mounted cannot be cloned before Linux 6.15.
    let whole = directory::open(root, place)?;
    let bundle = directory::open(root, &place.join(BUNDLE))?;
    let store = directory::open(root, &place.join(STORE))?;
    let mut cover = |path: &Path, by: &OwnedFd| {
        placed.extend(cover(root, path, by.as_fd())?);
        io::Result::Ok(())
    };
    for path in layout::CERTIFICATE_DIRECTORIES {
        cover(path.as_ref(), &whole)?;
    }
    for path in layout::CERTIFICATE_BUNDLES {
        cover(path.as_ref(), &bundle)?;
    }
    let stores = layout::CERTIFICATE_STORES.map(PathBuf::from);
    for path in stores.into_iter().chain(java_stores(root)?) {
        cover(&path, &store)?;
    }
    Ok(Placed(placed))
}

/// A file system in memory with everything in it.
fn written(certificates: &Certificates) -> io::Result<OwnedFd> {
    let bytes = 2 * Certificates::MAX_BYTES as u64 + (1 << 20);
    let files = Certificates::MAX_SUBJECTS as u64 + 20;
    let tree = mounts::tmpfs(bytes, files, "0755")?;
    let at = tree.as_fd();
    write(at, BUNDLE, certificates.bundle())?;
    for name in BUNDLES {
        rustix::fs::symlinkat(BUNDLE, at, name)?;
    }
    rustix::fs::mkdirat(at, "java", Mode::from_raw_mode(0o755))?;
    write(at, STORE, certificates.store())?;
    rustix::fs::symlinkat("java", at, ADOPTIUM)?;
    for subject in certificates.subjects() {
        // OpenSSL takes all certificates of the file that it finds under the hash of one.
        rustix::fs::symlinkat(BUNDLE, at, format!("{subject:08x}.0"))?;
    }
    Ok(tree)
}

fn write(at: BorrowedFd<'_>, name: &str, from: &File) -> io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(at, name, flags, Mode::from_raw_mode(0o444))?;
    let mut bytes = vec![0; Certificates::MAX_BYTES];
    // At its place, because others that have the file have its offset too.
    let mut length = 0;
    loop {
        match from.read_at(&mut bytes[length..], length as u64)? {
            0 => break,
            count => length += count,
        }
    }
    File::from(file).write_all(&bytes[..length])
}

/// Lays a tree on a place, or on what it leads to, if that is there and is of the same kind.
fn cover(root: BorrowedFd<'_>, path: &Path, by: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    let relative = path.strip_prefix("/").unwrap_or(path);
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let target = match rustix::fs::openat2(root, relative, flags, Mode::empty(), resolve) {
        Ok(target) => target,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let kind = |fd: BorrowedFd<'_>| {
        let stat = rustix::fs::fstat(fd)?;
        io::Result::Ok(FileType::from_raw_mode(stat.st_mode))
    };
    if kind(target.as_fd())? != kind(by)? || directory::same(&target, by)? {
        return Ok(None);
    }
    let tree = mounts::clone_tree(by)?;
    mounts::put(tree.as_fd(), target.as_fd())?;
    Ok(Some(tree))
}

/// The stores of the system's Javas.
fn java_stores(root: BorrowedFd<'_>) -> io::Result<Vec<PathBuf>> {
    let relative = layout::JAVAS.trim_start_matches('/');
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let javas = match rustix::fs::openat(root, relative, flags, Mode::empty()) {
        Ok(javas) => javas,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut stores = Vec::new();
    for entry in rustix::fs::Dir::new(javas)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if !matches!(name, "." | "..") {
            let java = Path::new(layout::JAVAS).join(name);
            stores.extend(layout::JAVA_STORES.map(|store| java.join(store)));
        }
    }
    Ok(stores)
}
