//! What went wrong, as a kind and as a sentence.

use std::fmt;
use std::io;

use crate::process::Output;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something was not done.
///
/// It is displayed as what was asked and why it was not done, on one line, for a person to read:
/// ``cannot run `git`: denied: policy does not allow it``. A program asks for its [`kind`](Self::kind).
///
/// A text becomes an error of the kind [`Other`](ErrorKind::Other) by `?` and `into`, and an [`io::Error`] one that has the kind it
/// was made from.
///
/// ```
/// use portcullis::{Error, ErrorKind};
///
/// fn number(text: &str) -> Result<u32, Error> {
///     text.parse().map_err(|_| format!("`{text}` is no number").into())
/// }
///
/// let error = number("x").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Other);
/// assert_eq!(error.to_string(), "`x` is no number");
/// ```
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    output: Option<Output>,
}

/// The kinds of [`Error`]. A plugin learns no more; the operator's report and audit trail say why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operator did not grant it.
    Denied,
    /// It was granted, and is not there. What was not granted is [`Denied`](Self::Denied), there or not.
    NotFound,
    /// Its time was over.
    TimedOut,
    /// A limit of the plugin is reached: commands at once, calls within a minute, bytes in all.
    Limit,
    /// What was asked has no meaning: an empty name, a NUL, a URL that is none.
    Invalid,
    /// The host or the system could not do it.
    Io,
    /// It is there already.
    AlreadyExists,
    /// A directory has something in it.
    NotEmpty,
    /// It is no regular file.
    NotAFile,
    /// It is no directory.
    NotADirectory,
    /// It is longer than may be read, written, sent or kept at once.
    TooLarge,
    /// There is no room for more keys or bytes.
    Full,
    /// Nobody answered, and there is no default.
    Nobody,
    /// This host has no such thing: one of fledge, which has less.
    Unsupported,
    /// A command ran and did not succeed; the error has its [`output`](Error::output).
    Failed,
    /// Something that the plugin itself says.
    Other,
}

impl Error {
    /// An error of the plugin's own, of whatever kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Inner {
            kind,
            message,
            output: None,
        }))
    }

    /// What the host said when something was asked of it.
    pub(crate) fn of(asked: impl fmt::Display, kind: ErrorKind) -> Self {
        Self::new(kind, format!("{asked}: {kind}"))
    }

    /// A command that did not succeed.
    pub(crate) fn failed(message: String, output: Output) -> Self {
        Self(Box::new(Inner {
            kind: ErrorKind::Failed,
            message,
            output: Some(output),
        }))
    }

    /// What kind it is of.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Status and output of the command, where a command that ran did not succeed.
    #[must_use]
    pub fn output(&self) -> Option<&Output> {
        self.0.output.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denied => "denied: the operator's policy does not allow it",
            Self::NotFound => "not found",
            Self::TimedOut => "timed out",
            Self::Limit => "a limit of the plugin is reached",
            Self::Invalid => "invalid request",
            Self::Io => "the host could not do it",
            Self::AlreadyExists => "already exists",
            Self::NotEmpty => "directory not empty",
            Self::NotAFile => "not a regular file",
            Self::NotADirectory => "not a directory",
            Self::TooLarge => "too large",
            Self::Full => "no room left",
            Self::Nobody => "nobody answered, and there is no default",
            Self::Unsupported => "this host has no such thing",
            Self::Failed => "failed",
            Self::Other => "something else",
        })
    }
}

impl std::error::Error for Error {}

impl From<ErrorKind> for io::ErrorKind {
    /// The kind of `std` that means the same, or [`io::ErrorKind::Other`].
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Denied => Self::PermissionDenied,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::TimedOut => Self::TimedOut,
            ErrorKind::Limit => Self::ResourceBusy,
            ErrorKind::Invalid | ErrorKind::NotAFile => Self::InvalidInput,
            ErrorKind::AlreadyExists => Self::AlreadyExists,
            ErrorKind::NotEmpty => Self::DirectoryNotEmpty,
            ErrorKind::NotADirectory => Self::NotADirectory,
            ErrorKind::TooLarge => Self::FileTooLarge,
            ErrorKind::Full => Self::StorageFull,
            ErrorKind::Unsupported => Self::Unsupported,
            ErrorKind::Io | ErrorKind::Nobody | ErrorKind::Failed | ErrorKind::Other => Self::Other,
        }
    }
}

impl From<io::ErrorKind> for ErrorKind {
    /// The kind that means the same, or [`Io`](Self::Io).
    fn from(kind: io::ErrorKind) -> Self {
        match kind {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Denied,
            io::ErrorKind::NotFound => Self::NotFound,
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::ResourceBusy => Self::Limit,
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => Self::Invalid,
            io::ErrorKind::AlreadyExists => Self::AlreadyExists,
            io::ErrorKind::DirectoryNotEmpty => Self::NotEmpty,
            io::ErrorKind::IsADirectory => Self::NotAFile,
            io::ErrorKind::NotADirectory => Self::NotADirectory,
            io::ErrorKind::FileTooLarge => Self::TooLarge,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            io::ErrorKind::Unsupported => Self::Unsupported,
            _ => Self::Io,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind().into(), error)
    }
}

impl From<io::Error> for Error {
    /// The error that it was made of, if it was one of these.
    fn from(error: io::Error) -> Self {
        let kind = error.kind().into();
        error
            .downcast()
            .unwrap_or_else(|error| Self::new(kind, error.to_string()))
    }
}

impl From<String> for Error {
    fn from(message: String) -> Self {
        Self::new(ErrorKind::Other, message)
    }
}

impl From<&str> for Error {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

impl From<std::string::FromUtf8Error> for Error {
    fn from(error: std::string::FromUtf8Error) -> Self {
        Self::new(ErrorKind::Invalid, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_goes_through_io_and_comes_back_as_it_was() {
        let error = Error::of("cannot run `git`", ErrorKind::Denied);
        let through = io::Error::from(error);
        assert_eq!(through.kind(), io::ErrorKind::PermissionDenied);
        let back = Error::from(through);
        assert_eq!(back.kind(), ErrorKind::Denied);
        assert_eq!(
            back.to_string(),
            "cannot run `git`: denied: the operator's policy does not allow it"
        );
    }

    #[test]
    fn an_error_of_io_has_the_kind_that_means_the_same() {
        for (theirs, ours) in [
            (io::ErrorKind::NotFound, ErrorKind::NotFound),
            (io::ErrorKind::InvalidData, ErrorKind::Invalid),
            (io::ErrorKind::BrokenPipe, ErrorKind::Io),
        ] {
            assert_eq!(Error::from(io::Error::from(theirs)).kind(), ours);
        }
    }
}
