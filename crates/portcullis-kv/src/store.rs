use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use rusqlite::{Connection, OptionalExtension as _};

use crate::directory::BESIDE;
use crate::{KvError, MAX_PAGE};

/// The store of one owner. Calls wait for each other, and for other processes up to five seconds.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
    path: PathBuf,
    /// The database, its log and the index of that, as they were opened.
    opened: [Option<FileId>; 3],
}

/// Device and inode.
type FileId = (u64, u64);

/// Keys, in the order of their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The keys.
    pub keys: Vec<String>,
    /// Whether more follow.
    pub more: bool,
}

/// What a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many keys.
    pub keys: u64,
    /// Bytes of all keys and values together.
    pub bytes: u64,
}

impl Store {
    pub(crate) fn new(connection: Connection, path: PathBuf) -> Self {
        Self {
            connection: Mutex::new(connection),
            opened: files(&path),
            path,
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The value of a key, if it has one.
    ///
    /// # Errors
    /// [`KvError`], when the file cannot be read.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KvError> {
        let connection = self.connection();
        self.told(get(&connection, key), &connection)
    }

    /// As [`Store::get`], but gives `None` instead of waiting for another call of this process.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn try_get(&self, key: &str) -> Option<Result<Option<Vec<u8>>, KvError>> {
        let connection = match self.connection.try_lock() {
            Ok(connection) => connection,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(self.told(get(&connection, key), &connection))
    }

    /// Keys that begin with `prefix` and come after `after`, at most [`MAX_PAGE`] and at most `most`.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn list(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<Page, KvError> {
        let connection = self.connection();
        let page = list(&connection, prefix, after, most.min(MAX_PAGE));
        self.told(page, &connection)
    }

    /// What it holds, as it is counted with every change.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn usage(&self) -> Result<Usage, KvError> {
        let connection = self.connection();
        self.told(usage(&connection), &connection)
    }

    /// Looks at every page, and counts what it holds anew.
    ///
    /// # Errors
    /// [`KvError::Damaged`], when something is wrong or the counts are.
    pub fn verify(&self) -> Result<Usage, KvError> {
        let mut connection = self.connection();
        let verified = verify(&mut connection);
        match self.told(verified, &connection)? {
            Ok(usage) => Ok(usage),
            Err(why) => Err(KvError::damaged(&self.path, why)),
        }
    }

    /// Whether its names still lead to the files that were opened.
    pub(crate) fn in_place(&self) -> Result<(), KvError> {
        if files(&self.path) == self.opened {
            return Ok(());
        }
        let path = self.path.clone();
        Err(KvError::Replaced { path })
    }

    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        // A transaction that was left by a panic is rolled back.
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What a failure means. Where damage is suspected, SQLite says what it finds.
    pub(crate) fn told<T>(
        &self,
        result: rusqlite::Result<T>,
        connection: &Connection,
    ) -> Result<T, KvError> {
        result.map_err(|source| match KvError::of(source, "use", &self.path) {
            KvError::Damaged { path, why } => {
                let found = check(connection).ok().flatten();
                let why = found.map_or(why.clone(), |found| format!("{why} ({found})"));
                KvError::Damaged { path, why }
            }
            other => other,
        })
    }
}

fn files(path: &Path) -> [Option<FileId>; 3] {
    ["", BESIDE[0], BESIDE[1]].map(|end| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        let found = Path::new(&name).symlink_metadata().ok()?;
        Some((found.dev(), found.ino()))
    })
}

pub(crate) fn get(connection: &Connection, key: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT value FROM entry WHERE key = ?1")?
        .query_row([key.as_bytes()], |row| row.get(0))
        .optional()
}

fn list(
    connection: &Connection,
    prefix: &str,
    after: Option<&str>,
    most: usize,
) -> rusqlite::Result<Page> {
    let sql = "SELECT key FROM entry WHERE key >= ?1 AND (?2 IS NULL OR key > ?2) ORDER BY key";
    let mut statement = connection.prepare_cached(sql)?;
    // From wherever is further: one bound is enough for the index.
    let from = after.filter(|after| *after > prefix).unwrap_or(prefix);
    let mut rows = statement.query((from.as_bytes(), after.map(str::as_bytes)))?;
    let mut page = Page::default();
    while let Some(row) = rows.next()? {
        let key: Vec<u8> = row.get(0)?;
        if !key.starts_with(prefix.as_bytes()) {
            break;
        }
        if page.keys.len() == most {
            page.more = true;
            break;
        }
        let key = String::from_utf8(key).map_err(|_| rusqlite::Error::InvalidQuery)?;
        page.keys.push(key);
    }
    Ok(page)
}

pub(crate) fn usage(connection: &Connection) -> rusqlite::Result<Usage> {
    connection
        .prepare_cached("SELECT keys, bytes FROM about WHERE one = 1")?
        .query_row([], |row| {
            Ok(Usage {
                keys: row.get(0)?,
                bytes: row.get(1)?,
            })
        })
}

/// What is wrong with the pages, if anything is.
fn check(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((found != "ok").then_some(found))
}

fn verify(connection: &mut Connection) -> rusqlite::Result<Result<Usage, String>> {
    // One view of the file, whatever others write.
    let view = connection.transaction()?;
    let found: String = view.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Ok(Err(found));
    }
    let counted = usage(&view)?;
    let sql = "SELECT count(*), coalesce(sum(length(key) + length(value)), 0) FROM entry";
    let there = view.query_row(sql, [], |row| {
        Ok(Usage {
            keys: row.get(0)?,
            bytes: row.get(1)?,
        })
    })?;
    if there == counted {
        Ok(Ok(there))
    } else {
        Ok(Err(format!("it counts {counted:?} and has {there:?}")))
    }
}
