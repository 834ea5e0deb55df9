use std::io;

use portcullis_confine::{RootError, SendError, ServerError, StartError, Step};

use crate::care::ProtectError;

/// Why an authorized command did not run to an end.
///
/// Never a status: a command that could not be started has none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecFailure {
    /// The program was never executed.
    #[error("cannot start the command: {step} failed: {}", io::Error::from_raw_os_error(*errno))]
    CannotStart {
        /// Where it failed.
        step: Step,
        /// The error number of that step.
        errno: i32,
    },
    /// The command cannot be handed to a cell.
    #[error("cannot start the command")]
    Command(#[source] SendError),
    /// The pipes to the command failed.
    #[error("cannot talk to the command")]
    Pipe(#[source] io::Error),
    /// What the command reads could not be had, or what it wrote could not be passed on. It was killed.
    #[error("cannot pass on what the command reads or writes")]
    Relay(#[source] io::Error),
    /// The opened files are not those that were decided on; nothing was started.
    #[error("the opened files are not those that the decision was about")]
    NotDecided,
    /// A directory or file that was granted cannot be given to a cell; nothing was started.
    #[error("cannot grant it what it was granted")]
    Root(#[source] RootError),
    /// The names in a directory that somebody else executes cannot be kept from it; nothing was started.
    #[error("cannot protect what it may not write")]
    Protect(#[source] ProtectError),
    /// Something else lies at a path than what was looked at; nothing was started.
    #[error("`{}` was replaced while the command was prepared", .0.display())]
    Changed(std::path::PathBuf),
    /// The certificates that commands are to trust cannot be had; nothing was started.
    #[error("cannot use the certificates of `{}`", path.display())]
    Certificates {
        /// The configured file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The directory of its caches cannot be had; nothing was started.
    #[error("cannot use its cache `{}`", path.display())]
    Cache {
        /// The directory.
        path: std::path::PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The proxy to the granted hosts could not be started; nothing was started.
    #[error("cannot start the proxy to the granted hosts")]
    Proxy(#[source] io::Error),
    /// Its time was over before there was a cell for it; nothing was started.
    #[error("its time was over before it could be started")]
    TimeUp,
    /// No spawn server could be started.
    #[error("cannot start the spawn server")]
    Start(#[source] StartError),
    /// The spawn server or the cell failed, and the command with it, if it ran. The next command
    /// starts another server.
    #[error("the command was lost")]
    Server(#[source] ServerError),
    /// The command was killed, but the cell did not confirm within a second that it is gone.
    #[error("the command was killed, but its cell does not say that it is gone")]
    NotReaped,
}
