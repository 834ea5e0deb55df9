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
pub(crate) struct Roots(Mutex<HashMap<PathBuf, Arc<File>>>);

impl Roots {
    /// The directory of a grant, or that which a granted file lies in, as a place.
    ///
    /// # Errors
    /// [`Errno::NOENT`] when it is not there any more, or something else has come in its place; else what the system says.
    pub(super) fn open(&self, grant: &FsGrant) -> Result<Arc<File>> {
        let path = match grant.kind {
            FsKind::Directory | FsKind::Repository => grant.host.as_path(),
            FsKind::File => grant.host.parent().ok_or(Errno::NOENT)?,
        };
        // Not while it is locked: a file system that hangs is no other directory's concern.
        let kept = self.kept().get(path).cloned();
        if let Some(root) = kept
            && real_path(&root).is_ok_and(|real| real == path)
        {
            return Ok(root);
        }
        let root = Arc::new(real_directory(path)?);
        self.kept().insert(path.to_owned(), Arc::clone(&root));
        Ok(root)
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<PathBuf, Arc<File>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
