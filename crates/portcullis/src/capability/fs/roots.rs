//! Granted directories, opened: what a guest's path is walked beneath.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_policy::{FsGrant, FsKind};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::{Errno, Result};

use super::spot::real_path;

/// Shared by the instances of a plugin.
#[derive(Debug, Default)]
pub(crate) struct Roots(Mutex<HashMap<PathBuf, Root>>);

#[derive(Clone, Debug)]
struct Root {
    directory: Arc<File>,
    /// Its device, if the file system on it waits for nobody but a disk.
    local: Option<u64>,
}

impl Roots {
    /// The directory of a grant, or that which a granted file lies in, as a place.
    ///
    /// # Errors
    /// [`Errno::NOENT`] when it is not there any more, or something else has come in its place; else what the system says.
    pub(super) fn open(&self, grant: &FsGrant) -> Result<Arc<File>> {
        let path = place(grant).ok_or(Errno::NOENT)?;
        // Not while it is locked: a file system that hangs is no other directory's concern.
        let kept = self.kept().get(path).cloned();
        if let Some(Root { directory, .. }) = kept
            && real_path(&directory).is_ok_and(|real| real == path)
        {
            return Ok(directory);
        }
        let directory = Arc::new(real_directory(path)?);
        let root = Root {
            local: local_device(&directory),
            directory: Arc::clone(&directory),
        };
        self.kept().insert(path.to_owned(), root);
        Ok(directory)
    }

    /// A directory that was opened before and its device, if what lies there on the same device is read without asking
    /// anybody else. Whether it is still in its place, nobody has looked.
    pub(super) fn local(&self, grant: &FsGrant) -> Option<(Arc<File>, u64)> {
        let kept = self.kept();
        let root = kept.get(place(grant)?)?;
        Some((Arc::clone(&root.directory), root.local?))
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<PathBuf, Root>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The directory that a grant's paths are relative to; `None` for a file that lies in none.
pub(super) fn place(grant: &FsGrant) -> Option<&Path> {
    match grant.kind {
        FsKind::Directory | FsKind::Repository => Some(&grant.host),
        FsKind::File => grant.host.parent(),
    }
}

/// File systems on disks and in memory, by what `statfs` says (`linux/magic.h`). All others may wait for a server, or for
/// another process that the guest may have started.
const LOCAL: [u32; 5] = [
    0x0000_ef53, // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0xf2f5_2010, // f2fs
    0x0102_1994, // tmpfs
];

fn local_device(directory: &File) -> Option<u64> {
    let kind = rustix::fs::fstatfs(directory).ok()?.f_type;
    LOCAL
        .iter()
        .any(|local| i64::from(*local) == kind)
        .then_some(rustix::fs::fstat(directory).ok()?.st_dev)
}

/// Opens a granted directory as a place.
///
/// # Errors
/// [`Errno::NOENT`] when something else has come in its place; else what the system says.
pub(crate) fn real_directory(path: &Path) -> Result<File> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    // A link in its place, or above it, would grant what nobody wrote.
    if real_path(&root)? != path {
        return Err(Errno::NOENT);
    }
    Ok(File::from(root))
}
