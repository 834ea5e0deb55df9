use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_kv::{MAX_PAGE, Store, Stores};
use portcullis_private::PrivateDir;

use crate::content::{Contents, no_space, sync};
use crate::{Record, RegistryError, Writer};

/// Whose the rows are, in their file.
const OWNER: &str = "installed plugins";
/// The file that a writer holds locked.
const LOCK: &str = "lock";

/// The installed plugins of one data directory.
#[derive(Debug)]
pub struct Registry {
    dir: PrivateDir,
    rows: Arc<Store>,
    contents: Contents,
}

impl Registry {
    /// Opens the registry in a directory of its own, making it (0700) if need be.
    ///
    /// # Errors
    /// Somebody else owns it or has access to it, or it cannot be made.
    pub fn open(path: &Path) -> Result<Self, RegistryError> {
        let missing = path.ancestors().take_while(|path| !path.exists()).count();
        PrivateDir::open_or_create(path).map_err(no_space)?;
        for made in path.ancestors().take(missing) {
            sync(made.parent().unwrap_or(Path::new("/")))?;
        }
        let dir = PrivateDir::open(&real(path)?)?;
        let rows = Stores::open(&dir.path().join("rows"))?.store(OWNER)?;
        Ok(Self::with(dir, rows))
    }

    /// Opens the registry; `None` if there is none, and so nothing is installed. Nothing is made.
    ///
    /// # Errors
    /// As [`Registry::open`].
    pub fn existing(path: &Path) -> Result<Option<Self>, RegistryError> {
        if !path.join("rows").exists() {
            return Ok(None);
        }
        let dir = PrivateDir::open(&real(path)?)?;
        let rows = match Stores::existing(&dir.path().join("rows"))? {
            Some(stores) => stores.existing_store(OWNER)?,
            None => None,
        };
        Ok(rows.map(|rows| Self::with(dir, rows)))
    }

    fn with(dir: PrivateDir, rows: Arc<Store>) -> Self {
        let contents = Contents::of(dir.path());
        Self {
            dir,
            rows,
            contents,
        }
    }

    /// All that is installed, by name.
    ///
    /// # Errors
    /// A row cannot be read.
    pub fn list(&self) -> Result<Vec<Record>, RegistryError> {
        let (mut records, mut after, mut more) = (Vec::new(), None::<String>, true);
        while more {
            let page = self.rows.list("", after.as_deref(), MAX_PAGE)?;
            for name in &page.keys {
                // One that was removed meanwhile is not there.
                records.extend(self.get(name)?);
            }
            more = page.more;
            after = page.keys.last().cloned();
        }
        Ok(records)
    }

    /// What is installed under a name.
    ///
    /// # Errors
    /// The row cannot be read.
    pub fn get(&self, name: &str) -> Result<Option<Record>, RegistryError> {
        let row = self.rows.get(name)?;
        row.map(|bytes| Record::of_bytes(name, &bytes)).transpose()
    }

    /// Where the component of a record is kept.
    pub fn component(&self, record: &Record) -> PathBuf {
        component_path(self.dir.path(), &record.sha256)
    }

    /// Whether the component of a record is there, and is what was installed.
    ///
    /// # Errors
    /// [`RegistryError::Gone`], [`RegistryError::Tampered`], or it is not ours alone.
    pub fn verify(&self, record: &Record) -> Result<(), RegistryError> {
        let name = record.name.clone();
        match self.contents.found(&record.sha256)? {
            None => Err(RegistryError::Gone {
                name,
                path: self.component(record),
            }),
            Some(found) if found != record.sha256 => Err(RegistryError::Tampered {
                name,
                expected: record.sha256.clone(),
                found,
            }),
            Some(_) => Ok(()),
        }
    }

    /// Looks at every page of the rows.
    ///
    /// # Errors
    /// Something is wrong with them.
    pub fn verify_rows(&self) -> Result<(), RegistryError> {
        Ok(self.rows.verify().map(drop)?)
    }

    /// Waits until no other writer is at work, and throws away what interrupted ones left.
    ///
    /// # Errors
    /// The lock cannot be taken, or what was left cannot be thrown away.
    pub fn write(&self) -> Result<Writer<'_>, RegistryError> {
        let lock = self.dir.open_or_create_file(LOCK).map_err(no_space)?;
        let lock = File::from(lock);
        lock.lock()
            .map_err(RegistryError::io("lock", self.dir.path().join(LOCK)))?;
        let writer = Writer::new(self, lock);
        writer.sweep()?;
        Ok(writer)
    }

    pub(crate) fn rows(&self) -> &Store {
        &self.rows
    }

    pub(crate) fn contents(&self) -> &Contents {
        &self.contents
    }

    pub(crate) fn digests(&self) -> Result<BTreeSet<String>, RegistryError> {
        let records = self.list()?.into_iter();
        Ok(records.map(|record| record.sha256).collect())
    }
}

/// Where a component of this SHA-256 is kept, or would be, in the registry of a directory.
pub fn component_path(registry: &Path, sha256: &str) -> PathBuf {
    Contents::of(registry).path(sha256)
}

fn real(path: &Path) -> Result<PathBuf, RegistryError> {
    // A link to the directory is refused first.
    PrivateDir::open(path)?;
    path.canonicalize().map_err(RegistryError::io("find", path))
}
