use std::io;
use std::path::PathBuf;

use portcullis_private::PrivateError;
use rustix::io::Errno;

/// Why a stage cannot begin, or what it changed cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StageError {
    /// Our own directory cannot be used.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// The system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// What is kept of a stage is damaged, or of another version of Portcullis.
    #[error("`{}` cannot be understood, and nothing is done with it", .0.display())]
    NotOurs(PathBuf),
    /// An earlier commit was cut off, and could not be taken back.
    #[error(transparent)]
    Unrecovered(#[from] Unrecovered),
}

/// A commit that was cut off and could not be taken back: what it touched was changed by somebody else since.
#[derive(Debug, thiserror::Error)]
#[error("a commit to `{}` was cut off and cannot be taken back: {why}", root.display())]
pub struct Unrecovered {
    /// The directory.
    pub root: PathBuf,
    /// What stands in the way.
    pub why: String,
    /// Where what was there before is kept.
    pub kept: PathBuf,
    /// Where the journal is.
    pub journal: PathBuf,
}

/// Why nothing was committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// There is something that is never committed, or that changed meanwhile.
    #[error("it has changes that cannot be committed")]
    Unfit,
    /// What is to be replaced or removed, or the place for something new, changed since.
    #[error("`{}` was changed meanwhile", .0.display())]
    Conflict(PathBuf),
    /// A file is not what was shown.
    #[error("`{}` is not what was shown", .0.display())]
    NotShown(PathBuf),
    /// The system refused; everything is as it was.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// It failed, and could not be taken back.
    #[error(transparent)]
    Torn(#[from] Unrecovered),
}

pub(crate) fn stage_io(
    action: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(Errno) -> StageError {
    let path = path.into();
    move |errno| StageError::Io {
        action,
        path,
        source: errno.into(),
    }
}

pub(crate) fn commit_io<E: Into<io::Error>>(
    action: &'static str,
    path: impl Into<PathBuf>,
) -> impl FnOnce(E) -> CommitError {
    let path = path.into();
    move |error| CommitError::Io {
        action,
        path,
        source: error.into(),
    }
}
