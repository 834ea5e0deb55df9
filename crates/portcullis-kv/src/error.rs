use std::path::{Path, PathBuf};

use portcullis_private::PrivateError;
use rusqlite::{ErrorCode, ffi};

/// Why a store cannot be used, or not like this.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KvError {
    /// The key is longer than keys may be.
    #[error("the key has {bytes} bytes, more than {max}")]
    KeyTooLong {
        /// Its bytes.
        bytes: u64,
        /// The most it may have.
        max: u64,
    },
    /// The value is longer than values may be.
    #[error("the value has {bytes} bytes, more than {max}")]
    ValueTooLong {
        /// Its bytes.
        bytes: u64,
        /// The most it may have.
        max: u64,
    },
    /// The store would hold more keys than it may.
    #[error("the state would have more than {max} keys")]
    TooManyKeys {
        /// The most there may be.
        max: u64,
    },
    /// The store would hold more bytes than it may.
    #[error("the state would have {bytes} bytes, more than {max}")]
    TooManyBytes {
        /// All it would have.
        bytes: u64,
        /// The most there may be.
        max: u64,
    },
    /// What is to be counted up is no number, or would be none.
    #[error("the value is not a whole number of 64 bits, or would not be one")]
    NotANumber,
    /// Others write to it all the time.
    #[error("`{path}` is in use by others for too long")]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("no space is left for `{path}`")]
    NoSpace {
        /// The file.
        path: PathBuf,
    },
    /// The file is not as this crate leaves it. It is left as it is.
    #[error(
        "`{path}` is damaged or not ours: {why}; it is left as it is (move it away, and the plugin begins anew)"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file, or one of those beside it, is not the one that was opened: what is written now, nobody would find.
    #[error(
        "`{path}` was moved, removed or replaced while it was in use; put it back, or start again"
    )]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// A change is not acknowledged where it cannot be made durable.
    #[error(
        "`{path}` is on a file system without a write-ahead log (`{mode}`); choose another data directory"
    )]
    NoLog {
        /// The file.
        path: PathBuf,
        /// What it has instead.
        mode: String,
    },
    /// The directory, or a file in it, is not ours alone.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// The database failed.
    #[error("failed to {action} `{path}`")]
    Database {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: rusqlite::Error,
    },
}

impl KvError {
    pub(crate) fn damaged(path: &Path, why: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            why: why.into(),
        }
    }

    /// What a failure of the database means.
    pub(crate) fn of(source: rusqlite::Error, action: &'static str, path: &Path) -> Self {
        let path = path.to_owned();
        // The index of the log could not be made longer.
        let extended = source.sqlite_error().map(|error| error.extended_code);
        if extended == Some(ffi::SQLITE_IOERR_SHMSIZE) {
            return Self::NoSpace { path };
        }
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            Some(ErrorCode::DiskFull) => Self::NoSpace { path },
            Some(
                ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::Unknown
                | ErrorCode::TooBig
                | ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch,
            ) => Self::damaged(&path, source.to_string()),
            Some(_) => Self::Database {
                action,
                path,
                source,
            },
            // Rows that are not there or of another type than was ever written.
            None => Self::damaged(&path, source.to_string()),
        }
    }
}
