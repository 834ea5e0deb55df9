//! Components by their content: written once, and never changed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use portcullis_private::{PrivateDir, PrivateError, write_all};
use rustix::fs::{OFlags, RenameFlags};
use sha2::{Digest, Sha256};

use crate::RegistryError;
use crate::record::is_digest;

/// The component, in the directory that its SHA-256 names.
const COMPONENT: &str = "plugin.wasm";
/// Bytes that are read of a component: more than any plugin may have.
const MAX_READ: u64 = 256 * 1024 * 1024;

/// The directory of all contents.
#[derive(Debug)]
pub(crate) struct Contents {
    dir: PathBuf,
}

impl Contents {
    pub(crate) fn of(registry: &Path) -> Self {
        Self {
            dir: registry.join("sha256"),
        }
    }

    pub(crate) fn path(&self, sha256: &str) -> PathBuf {
        self.dir.join(sha256).join(COMPONENT)
    }

    /// The SHA-256 of what is there under a digest; `None` if nothing is.
    pub(crate) fn found(&self, sha256: &str) -> Result<Option<String>, RegistryError> {
        let dir = self.dir.join(sha256);
        if !dir.exists() {
            return Ok(None);
        }
        let Some(fd) = PrivateDir::open(&dir)?.open_file(COMPONENT, OFlags::RDONLY)? else {
            return Ok(None);
        };
        let mut hasher = Sha256::new();
        let mut file = File::from(fd).take(MAX_READ);
        io::copy(&mut file, &mut hasher).map_err(RegistryError::io("read", self.path(sha256)))?;
        Ok(Some(hex::encode(hasher.finalize())))
    }

    /// Keeps a component. When this returns it is on disk, under its name. What is there already and is the same stays.
    pub(crate) fn keep(&self, sha256: &str, bytes: &[u8]) -> Result<(), RegistryError> {
        if self.found(sha256)?.as_deref() == Some(sha256) {
            return Ok(());
        }
        let all = PrivateDir::open_or_create(&self.dir)?;
        let dir = PrivateDir::open_or_create(&self.dir.join(sha256))?;
        let written = dir.write_as(COMPONENT, RenameFlags::empty(), |fd| {
            write_all(fd, bytes)?;
            rustix::fs::fsync(fd)
        });
        let path = self.path(sha256);
        written
            .map_err(no_space)?
            .map_err(|errno| RegistryError::io("write", &path)(errno.into()))?;
        for dir in [dir.path(), all.path()] {
            sync(dir)?;
        }
        Ok(())
    }

    /// Throws away everything that is not among these digests, and whatever was never finished.
    pub(crate) fn sweep(&self, kept: &BTreeSet<String>) -> Result<(), RegistryError> {
        if !self.dir.exists() {
            return Ok(());
        }
        for name in PrivateDir::open(&self.dir)?.names()? {
            // What is called otherwise is not ours.
            if !is_digest(&name) {
                continue;
            }
            let path = self.dir.join(&name);
            let dir = PrivateDir::open(&path)?;
            for file in dir.names()? {
                let is_kept = kept.contains(&name) && file == COMPONENT;
                if !is_kept && file != "." && file != ".." {
                    dir.remove(&file).map_err(|errno| {
                        RegistryError::io("remove", path.join(&file))(errno.into())
                    })?;
                }
            }
            if !kept.contains(&name) {
                fs::remove_dir(&path).map_err(RegistryError::io("remove", &path))?;
            }
        }
        Ok(())
    }
}

/// Makes the names in a directory last.
pub(crate) fn sync(dir: &Path) -> Result<(), RegistryError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(RegistryError::io("sync", dir))
}

/// A full disk is told from other failures.
pub(crate) fn no_space(error: PrivateError) -> RegistryError {
    match error {
        PrivateError::Io {
            action,
            path,
            source,
        } => RegistryError::io(action, path)(source),
        error => error.into(),
    }
}
