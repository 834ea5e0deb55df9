//! Platforms without cells: the same interface, whose only answer is that it cannot be had.
//!
//! A [`Helper`] cannot exist here, so nothing that needs one can ever be called.

#[cfg(unix)]
use std::os::fd::{BorrowedFd, OwnedFd};
use std::{convert::Infallible, ffi::CString, io, path::Path};

use crate::{
    Event, HelperError, Observed, Obstacle, Overlay, Plan, Protection, Report, Rlimits, SendError,
    ServerError, Staged, StagingError, StartError,
};

/// Returns at once: there is no spawn server on this platform.
pub fn enter() {}

/// Returns at once: there is no spawn server on this platform.
pub fn exit_if_reentered() {}

/// Refuses: there are no filters on this platform.
///
/// # Errors
/// Always.
pub fn stay_alone() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Does nothing: there are no cgroups on this platform.
///
/// # Errors
/// None.
pub fn enter_leaf_cgroup() -> io::Result<bool> {
    Ok(false)
}

/// Nothing that could be changed: there are no cgroups on this platform.
#[must_use]
pub fn cgroup_obstacle(_protection: Protection) -> Option<Obstacle> {
    None
}

/// Which of the two processes this is.
#[derive(Debug)]
pub enum Staging {
    /// The one that was there before.
    Outside(Outside),
    /// A copy of it, inside.
    Inside(Staged),
}

/// Cannot exist on this platform.
#[derive(Debug)]
pub struct Outside(Infallible);

impl Outside {
    /// Cannot be called.
    ///
    /// # Errors
    /// None.
    pub fn wait(self) -> io::Result<i32> {
        match self.0 {}
    }
}

/// Refuses.
///
/// # Errors
/// Always [`StagingError::Unsupported`].
pub fn enter_staging(_overlays: &[Overlay]) -> Result<Staging, StagingError> {
    Err(StagingError::Unsupported)
}

/// Cannot exist on this platform.
#[derive(Debug)]
pub struct Helper(Infallible);

impl Helper {
    /// Refuses.
    ///
    /// # Errors
    /// Always [`HelperError::Unsupported`].
    pub fn find(_explicit: Option<&Path>) -> Result<Self, HelperError> {
        Err(HelperError::Unsupported)
    }
}

/// Cannot exist on this platform.
#[derive(Debug)]
pub struct SpawnServer(Infallible);

impl SpawnServer {
    /// Refuses.
    ///
    /// # Errors
    /// Always [`StartError::Unsupported`].
    pub fn start(_helper: &Helper, _plan: &Plan) -> Result<Self, StartError> {
        Err(StartError::Unsupported)
    }
}

/// Cannot exist on this platform.
#[derive(Debug)]
pub struct Template(Infallible);

/// Cannot exist on this platform.
#[derive(Debug)]
pub struct Cell(Infallible);

/// Cannot exist on this platform.
#[derive(Debug)]
pub struct Observing(Infallible);

/// Methods of types that have no value: none of them can be called.
macro_rules! impossible {
    ($($(#[$on:meta])? $type:ident: $name:ident($($argument:ty),*) -> $result:ty;)*) => {$(
        impl $type {
            /// Cannot be called.
            #[allow(clippy::missing_errors_doc, clippy::must_use_candidate, reason = "it returns nothing")]
            $(#[$on])?
            pub fn $name(&self, $(_: $argument),*) -> $result {
                match self.0 {}
            }
        }
    )*};
}

impossible! {
    Helper: path() -> &Path;
    Helper: reopen() -> std::io::Result<(std::fs::File, std::path::PathBuf)>;
    SpawnServer: pid() -> u32;
    SpawnServer: has_ended() -> bool;
    SpawnServer: has_cgroups() -> bool;
    SpawnServer: template(&Plan) -> Result<Template, ServerError>;
    Template: request_cell() -> Result<(), ServerError>;
    Template: receive_cell() -> Result<Option<Cell>, ServerError>;
    #[cfg(unix)] Template: socket() -> BorrowedFd<'_>;
    #[cfg(unix)] Cell: socket() -> BorrowedFd<'_>;
    #[cfg(unix)] Cell: pidfd() -> BorrowedFd<'_>;
    #[cfg(unix)] Cell: take_listener() -> Option<OwnedFd>;
    #[cfg(unix)] Cell: take_copies() -> Option<OwnedFd>;
    Cell: take_observing() -> Option<Observing>;
    Observing: finish() -> Observed;
    Cell: pid() -> u32;
    Cell: report() -> Report;
    Cell: start(&CellCommand<'_>) -> Result<(), SendError>;
    Cell: receive() -> Result<Option<Event>, ServerError>;
    Cell: terminate() -> ();
    Cell: kill() -> ();
}

/// The one command of a cell; no cell will ever take it.
#[derive(Clone, Copy, Debug)]
pub struct CellCommand<'a> {
    /// The program.
    #[cfg(unix)]
    pub program: BorrowedFd<'a>,
    /// Name and arguments.
    pub argv: &'a [CString],
    /// The whole environment.
    pub env: &'a [CString],
    /// The working directory.
    #[cfg(unix)]
    pub cwd: BorrowedFd<'a>,
    /// Standard input.
    #[cfg(unix)]
    pub stdin: BorrowedFd<'a>,
    /// Standard output.
    #[cfg(unix)]
    pub stdout: BorrowedFd<'a>,
    /// Standard error.
    #[cfg(unix)]
    pub stderr: BorrowedFd<'a>,
    /// Resource limits.
    pub limits: Rlimits,
    /// Whether what it looks at is to be seen.
    pub observed: bool,
}
