//! Why a guest does not get a file. Foreign worlds tell their guests more of it than ours does.

use portcullis_policy::{Code, GuestError};
use rustix::io::Errno;

use crate::gate::Refused;

/// Why a call about a file has no other answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FsFailure {
    /// No file or directory was granted at all.
    NotGranted,
    /// The path lies outside of what was granted.
    Outside,
    /// The path leads through a link out of what was granted.
    LinkOutside,
    /// It was granted to be read only.
    ReadOnly,
    /// Others execute what lies there.
    Protected,
    /// No path at all: empty, too long, or with a NUL.
    Invalid,
    /// In what was granted there is no such file or directory.
    NotFound,
    /// It is there already.
    Exists,
    /// The directory has something in it.
    NotEmpty,
    /// It is no regular file: a directory, a pipe, a device, a socket.
    NotRegular,
    /// It is no directory.
    NotDirectory,
    /// The content is longer than may be read or written at once; `bytes` is what is known of its length.
    TooLarge { bytes: u64, max: u64 },
    /// Called too often within a minute.
    Rate,
    /// The instance wrote in all what it may.
    Total { max: u64 },
    /// What the system said.
    Io(String),
    /// The trail cannot be written.
    Closed,
}

impl FsFailure {
    /// What is said to the operator, as a clause.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::NotGranted => "no file or directory was granted".to_owned(),
            Self::Outside => "it lies outside of what was granted".to_owned(),
            Self::LinkOutside => "a link on the path leads out of what was granted".to_owned(),
            Self::ReadOnly => "it was granted to be read only".to_owned(),
            Self::Protected => "it is protected".to_owned(),
            Self::Invalid => "it is no path".to_owned(),
            Self::NotFound => "it is not there".to_owned(),
            Self::Exists => "it is there already".to_owned(),
            Self::NotEmpty => "the directory is not empty".to_owned(),
            Self::NotRegular => "it is no regular file".to_owned(),
            Self::NotDirectory => "it is no directory".to_owned(),
            Self::TooLarge { bytes, max } => format!("it has {bytes} bytes, more than {max}"),
            Self::Rate => "it was called too often within a minute".to_owned(),
            Self::Total { max } => format!("{max} bytes in all were written"),
            Self::Io(why) => why.clone(),
            Self::Closed => "the audit trail cannot be written".to_owned(),
        }
    }
}

impl From<Refused> for FsFailure {
    fn from(refused: Refused) -> Self {
        match (refused.code, refused.guest) {
            (Some(Code::FsProtected), _) => Self::Protected,
            (Some(Code::LimitCalls), _) => Self::Rate,
            (_, GuestError::Denied) => Self::Outside,
            (
                _,
                GuestError::NotFound
                | GuestError::Invalid
                | GuestError::Limit
                | GuestError::OutputLimit
                | GuestError::MemoryLimit
                | GuestError::TimedOut
                | GuestError::CannotStart,
            ) => Self::Closed,
        }
    }
}

impl From<GuestError> for FsFailure {
    fn from(error: GuestError) -> Self {
        Refused::from(error).into()
    }
}

impl From<Errno> for FsFailure {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT => Self::NotFound,
            Errno::NOTDIR => Self::NotDirectory,
            Errno::ISDIR => Self::NotRegular,
            Errno::EXIST => Self::Exists,
            Errno::NOTEMPTY => Self::NotEmpty,
            Errno::XDEV | Errno::LOOP => Self::LinkOutside,
            Errno::INVAL | Errno::ILSEQ | Errno::NAMETOOLONG => Self::Invalid,
            // Which a guest cannot do anything about.
            Errno::NOSYS => Self::Io("this takes Linux 5.6 and a mounted `/proc`".to_owned()),
            errno => Self::Io(std::io::Error::from(errno).to_string()),
        }
    }
}
