//! Writes a policy file: under a lock, whole or not at all, and never through a link.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{EditError, Edited};

/// Why a policy file is not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file is a link: what is written would not be where it was said to be.
    #[error("`{}` is a link to `{}`; name that file", .path.display(), .target.display())]
    Link {
        /// The file.
        path: PathBuf,
        /// What the link says.
        target: PathBuf,
    },
    /// The change is not made.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The file system refused.
    #[error("failed to {action} `{}`", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads a policy file, changes its text and writes it back, all under one lock, so that two changes at the same time
/// are both kept. A file that is not there is read as empty and made for its owner alone (0600).
///
/// # Errors
/// [`StoreError`]; nothing was written then.
pub fn update(
    path: &Path,
    change: impl FnOnce(&str) -> Result<Edited, EditError>,
) -> Result<Edited, StoreError> {
    let _lock = lock(path)?;
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|source| StoreError::Io {
            action: "read",
            path: path.to_owned(),
            source,
        })?,
    };
    let edited = change(&text)?;
    if edited.changed {
        replace(path, &edited.text)?;
    }
    Ok(edited)
}

/// Writes a whole policy file under the lock. It keeps the mode of the file that it replaces; a new one is for its
/// owner alone (0600).
///
/// # Errors
/// [`StoreError`]; the file then is as it was.
pub fn write(path: &Path, text: &str) -> Result<(), StoreError> {
    let _lock = lock(path)?;
    replace(path, text)
}

/// Waits for the lock file beside the policy. The system lets go of it when the file is closed or the process ends.
fn lock(path: &Path) -> Result<File, StoreError> {
    let lock = beside(path, ".lock");
    refuse_link(&lock)?;
    let open = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&lock);
    let locked = open.and_then(|file| file.lock().map(|()| file));
    locked.map_err(|source| StoreError::Io {
        action: "lock",
        path: lock,
        source,
    })
}

fn refuse_link(path: &Path) -> Result<(), StoreError> {
    match fs::read_link(path) {
        Ok(target) => Err(StoreError::Link {
            path: path.to_owned(),
            target,
        }),
        Err(_) => Ok(()),
    }
}

fn replace(path: &Path, text: &str) -> Result<(), StoreError> {
    refuse_link(path)?;
    let mode = fs::metadata(path).map_or(0o600, |meta| meta.permissions().mode() & 0o777);
    let temporary = beside(path, &format!(".{}.tmp", std::process::id()));
    let written = write_new(&temporary, text, mode).and_then(|()| fs::rename(&temporary, path));
    let written = written.and_then(|()| sync_directory(path));
    written.map_err(|source| {
        // What failed is reported; a temporary file that stays behind is harmless beside that.
        let _ = fs::remove_file(&temporary);
        StoreError::Io {
            action: "write",
            path: path.to_owned(),
            source,
        }
    })
}

/// `create_new`, so that a link planted under this name is not followed.
fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

/// The new name is only kept through a crash when its directory is written too.
fn sync_directory(path: &Path) -> io::Result<()> {
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(ending);
    path.with_file_name(name)
}
