//! How a database is made and opened: trusted with nothing, and looked at before it is used.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use crate::{KvError, MAX_VALUE};

/// Says in the file's head whose format it is: `PKV1`.
const APPLICATION: i32 = 0x504b_5631;
const VERSION: i32 = 1;

/// All that a database of ours has, in the order it is made.
const SCHEMA: [(&str, &str); 2] = [
    (
        "about",
        "CREATE TABLE about (one INTEGER PRIMARY KEY CHECK (one = 1), owner TEXT NOT NULL, keys INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT",
    ),
    (
        "entry",
        "CREATE TABLE entry (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL) STRICT",
    ),
];
/// What SQLite makes itself for the key.
const INDEX: &str = "sqlite_autoindex_entry_1";

/// Bytes of a page.
pub(crate) const PAGE: i64 = 4096;
/// How often it is looked whether others are done, and after how long again. SQLite itself looks ten times a second at
/// last, which between processes that write all the time finds nobody's turn.
const LOOKS: i32 = 5000;
const PAUSE: Duration = Duration::from_millis(1);
/// Pages of the log before they are moved into the database.
const CHECKPOINT: u32 = 256;
/// Bytes that the log keeps when it is begun again.
const LOG: u32 = 1024 * 1024;
/// KiB of pages kept in memory.
const CACHE: i32 = 512;

/// Fills an empty file.
pub(crate) fn create(path: &Path, owner: &str) -> Result<(), KvError> {
    let failed = |source| KvError::of(source, "make", path);
    let mut connection = connection(path)?;
    harden(&connection).map_err(failed)?;
    connection
        .pragma_update(None, "page_size", PAGE)
        .map_err(failed)?;
    logged(&connection, path)?;
    let fill = |connection: &mut Connection| {
        let transaction = connection.transaction()?;
        for (_, sql) in SCHEMA {
            transaction.execute_batch(sql)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.execute("INSERT INTO about VALUES (1, ?1, 0, 0)", [owner])?;
        transaction.commit()?;
        // It gets its name without its log. To close it would move that too, but not say where there is no room.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    };
    fill(&mut connection).map_err(failed)?;
    connection.close().map_err(|(_, source)| failed(source))
}

/// Opens the database of an owner.
pub(crate) fn connect(path: &Path, owner: &str) -> Result<Connection, KvError> {
    let failed = |source| KvError::of(source, "open", path);
    let connection = connection(path)?;
    harden(&connection).map_err(failed)?;
    known(&connection, path, owner)?;
    logged(&connection, path)?;
    Ok(connection)
}

fn connection(path: &Path) -> Result<Connection, KvError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    Connection::open_with_flags(path, flags)
        .and_then(|connection| {
            connection.busy_handler(Some(|looked| {
                std::thread::sleep(PAUSE);
                looked < LOOKS
            }))?;
            Ok(connection)
        })
        .map_err(|source| KvError::of(source, "open", path))
}

/// Nothing that a file says is executed, and nothing in it is longer than it can be.
fn harden(connection: &Connection) -> rusqlite::Result<()> {
    for (setting, on) in [
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    ] {
        connection.set_db_config(setting, on)?;
    }
    let length = i32::try_from(MAX_VALUE + 64 * 1024).unwrap_or(i32::MAX);
    for (limit, most) in [
        (Limit::SQLITE_LIMIT_LENGTH, length),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, 4096),
        (Limit::SQLITE_LIMIT_COLUMN, 16),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 32),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 4),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 8),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, most)?;
    }
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -CACHE)
}

/// Changes go to a log that is synced before each is acknowledged.
fn logged(connection: &Connection, path: &Path) -> Result<(), KvError> {
    let failed = |source| KvError::of(source, "open", path);
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(failed)?;
    if mode != "wal" {
        let path = path.to_owned();
        return Err(KvError::NoLog { path, mode });
    }
    let set = || {
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT)?;
        connection.pragma_update(None, "journal_size_limit", LOG)
    };
    set().map_err(failed)
}

/// Whether it is a database as we make them, and that of this owner.
fn known(connection: &Connection, path: &Path, owner: &str) -> Result<(), KvError> {
    let failed = |source| KvError::of(source, "read", path);
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let application = number("application_id").map_err(failed)?;
    let version = number("user_version").map_err(failed)?;
    if (application, version) != (APPLICATION, VERSION) {
        return Err(KvError::damaged(path, "it is another kind of database"));
    }
    let mut expected: Vec<(String, Option<String>)> = SCHEMA
        .iter()
        .map(|&(name, sql)| (name.to_owned(), Some(sql.to_owned())))
        .collect();
    expected.push((INDEX.to_owned(), None));
    expected.sort();
    let found = || {
        let mut statement =
            connection.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name LIMIT 16")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<Vec<(String, Option<String>)>>>()
    };
    if found().map_err(failed)? != expected {
        return Err(KvError::damaged(path, "its tables are not ours"));
    }
    let written: Option<String> = connection
        .query_row("SELECT owner FROM about WHERE one = 1", [], |row| {
            row.get(0)
        })
        .optional()
        .map_err(failed)?;
    if written.as_deref() != Some(owner) {
        return Err(KvError::damaged(path, "it is the state of somebody else"));
    }
    Ok(())
}
