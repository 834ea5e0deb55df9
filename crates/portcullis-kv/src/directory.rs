//! The directory of all stores.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use portcullis_private::{PrivateDir, PrivateError, io_error};
use rustix::fs::{FileType, FlockOperation, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::open;
use crate::{KvError, Store};

/// How the name of a store's file ends.
const DATABASE: &str = ".db";
/// What the database has beside it.
pub(crate) const BESIDE: [&str; 2] = ["-wal", "-shm"];
/// It is never written in the mode that has this; one that is there would be played back.
const FOREIGN: &str = "-journal";

/// A directory of stores that only we may read or write.
#[derive(Debug)]
pub struct Stores {
    directory: PrivateDir,
    /// Those in use: a process has one connection to each, and closes no other descriptor of its file, which would
    /// give up the locks of that connection.
    open: Mutex<HashMap<String, Weak<Store>>>,
}

impl Stores {
    /// Opens the directory, making it (0700) if need be.
    ///
    /// # Errors
    /// Somebody else owns it or has access to it, or it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, KvError> {
        let missing = path.ancestors().take_while(|path| !path.exists()).count();
        PrivateDir::open_or_create(path)?;
        // What is in a directory is lost with its name.
        for made in path.ancestors().take(missing) {
            sync_name(made)?;
        }
        Self::of(path)
    }

    /// Opens the directory; `None` if there is none, and so no store.
    ///
    /// # Errors
    /// As [`Stores::open`].
    pub fn existing(path: &Path) -> Result<Option<Self>, KvError> {
        match path.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            _ => Self::of(path).map(Some),
        }
    }

    fn of(path: &Path) -> Result<Self, KvError> {
        // A link to the directory is refused first; then it is called what it is, since the database follows no link.
        PrivateDir::open(path)?;
        let real = path.canonicalize().map_err(|source| PrivateError::Io {
            action: "find",
            path: path.to_owned(),
            source,
        })?;
        let directory = PrivateDir::open(&real)?;
        let stat = directory
            .examine(".")
            .map_err(|errno| io_error("examine", &real, errno))?;
        let mode = stat.map_or(0, |stat| stat.st_mode & 0o7777);
        if mode & 0o077 != 0 {
            return Err(PrivateError::OpenToOthers { path: real, mode }.into());
        }
        Ok(Self {
            directory,
            open: Mutex::default(),
        })
    }

    /// The store of an owner, made if there is none. All handles of a process are the same one.
    ///
    /// # Errors
    /// The file is damaged or not ours alone, or cannot be opened.
    pub fn store(&self, owner: &str) -> Result<Arc<Store>, KvError> {
        Ok(self
            .find(owner, true)?
            .unwrap_or_else(|| unreachable!("it was made")))
    }

    /// The store of an owner, if there is one.
    ///
    /// # Errors
    /// As [`Stores::store`].
    pub fn existing_store(&self, owner: &str) -> Result<Option<Arc<Store>>, KvError> {
        self.find(owner, false)
    }

    /// Where the store of an owner is, if it has one.
    pub fn path(&self, owner: &str) -> PathBuf {
        self.directory.path().join(name(owner))
    }

    fn find(&self, owner: &str, make: bool) -> Result<Option<Arc<Store>>, KvError> {
        let name = name(owner);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = open.get(&name).and_then(Weak::upgrade) {
            return Ok(Some(store));
        }
        if !self.is_plain(&name)? {
            if !make {
                return Ok(None);
            }
            self.make(&name, owner)?;
        }
        for beside in BESIDE {
            self.is_plain(&format!("{name}{beside}"))?;
        }
        let path = self.directory.path().join(&name);
        let size = self.size(&name)?;
        let logged = self.size(&format!("{name}-wal"))? > 0;
        // The rest of a page would be taken for zeros, unless the log has the whole of it: the power can fail while it
        // is moved into the database.
        if size == 0 || (size % open::PAGE != 0 && !logged) {
            let why = format!("it is cut off at {size} bytes");
            return Err(KvError::damaged(&path, why));
        }
        if self.is_plain(&format!("{name}{FOREIGN}"))? {
            let why = format!("`{name}{FOREIGN}` is beside it, which is never written");
            return Err(KvError::damaged(&path, why));
        }
        let store = Arc::new(Store::new(open::connect(&path, owner)?, path));
        open.retain(|_, store| store.strong_count() > 0);
        open.insert(name, Arc::downgrade(&store));
        Ok(Some(store))
    }

    /// Whether a file is there, which has to be ours. It is not opened: see [`Stores::open`].
    fn is_plain(&self, name: &str) -> Result<bool, KvError> {
        let path = self.directory.path().join(name);
        let stat = self
            .directory
            .examine(name)
            .map_err(|errno| io_error("examine", &path, errno))?;
        let Some(stat) = stat else {
            return Ok(false);
        };
        let (owner, mode) = (stat.st_uid, stat.st_mode & 0o7777);
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink > 1 {
            Err(PrivateError::NotPlain { path }.into())
        } else if owner != rustix::process::geteuid().as_raw() {
            Err(PrivateError::NotOurs { path, owner }.into())
        } else if mode & 0o077 != 0 {
            Err(PrivateError::OpenToOthers { path, mode }.into())
        } else {
            Ok(true)
        }
    }

    /// Bytes of a file; 0 for one that is not there.
    fn size(&self, name: &str) -> Result<i64, KvError> {
        let path = self.directory.path().join(name);
        let stat = self.directory.examine(name);
        let stat = stat.map_err(|errno| io_error("examine", &path, errno))?;
        Ok(stat.map_or(0, |stat| stat.st_size))
    }

    /// Makes a store under another name and then gives it its own, so that what has the name is always whole.
    fn make(&self, name: &str, owner: &str) -> Result<(), KvError> {
        let path = self.directory.path();
        let opened = File::open(path).map_err(|source| PrivateError::Io {
            action: "open directory",
            path: path.to_owned(),
            source,
        })?;
        let failed = |action, errno| KvError::from(io_error(action, &path.join(name), errno));
        // Held until this returns, or until we are gone.
        rustix::io::retry_on_intr(|| rustix::fs::flock(&opened, FlockOperation::LockExclusive))
            .map_err(|errno| failed("lock the directory of", errno))?;
        if self.is_plain(name)? {
            return Ok(());
        }
        let unfinished = format!("new-{name}");
        for left in ["", "-wal", "-shm", FOREIGN].map(|end| format!("{unfinished}{end}")) {
            match self.directory.remove(&left) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(failed("remove what is left of", errno)),
            }
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        drop(self.directory.open_file(&unfinished, flags)?);
        open::create(&path.join(&unfinished), owner)?;
        rustix::fs::renameat_with(&opened, &*unfinished, &opened, name, RenameFlags::NOREPLACE)
            .map_err(|errno| failed("make", errno))?;
        rustix::fs::fsync(&opened).map_err(|errno| failed("sync the directory of", errno))?;
        // Somebody else may just have made it.
        sync_name(path)
    }
}

/// Makes the name of a directory last.
fn sync_name(path: &Path) -> Result<(), KvError> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    match File::open(parent).and_then(|parent| parent.sync_all()) {
        // Somebody else's, who gave us this one in it.
        Err(source) if source.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced.map_err(|source| {
            let (action, path) = ("sync the directory of", path.to_owned());
            PrivateError::Io {
                action,
                path,
                source,
            }
            .into()
        }),
    }
}

/// An owner may be called anything; its file is called by a digest of that.
fn name(owner: &str) -> String {
    format!("{}{DATABASE}", blake3::hash(owner.as_bytes()).to_hex())
}
