//! Platforms without cells: the same interface, whose only answer is that it cannot be had.
//!
//! A [`Helper`] cannot exist here, so nothing that needs one can ever be called.

#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::{convert::Infallible, ffi::CString, path::Path};

use crate::{Event, HelperError, Plan, Report, Rlimits, SendError, ServerError, StartError};

/// Returns at once: there is no spawn server on this platform.
pub fn enter() {}

/// Returns at once: there is no spawn server on this platform.
pub fn exit_if_reentered() {}

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

    /// Cannot be called.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self.0 {}
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
    pub fn start(_helper: &Helper) -> Result<Self, StartError> {
        Err(StartError::Unsupported)
    }

    /// Cannot be called.
    #[cfg(unix)]
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }

    /// Cannot be called.
    #[must_use]
    pub fn pid(&self) -> u32 {
        match self.0 {}
    }

    /// Cannot be called.
    ///
    /// # Errors
    /// None.
    pub fn request_cell(&self, _plan: &Plan) -> Result<(), ServerError> {
        match self.0 {}
    }

    /// Cannot be called.
    ///
    /// # Errors
    /// None.
    pub fn receive_cell(&self) -> Result<Option<Cell>, ServerError> {
        match self.0 {}
    }
}

/// Cannot exist on this platform.
#[derive(Debug)]
pub struct Cell(Infallible);

impl Cell {
    /// Cannot be called.
    #[cfg(unix)]
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }

    /// Cannot be called.
    #[cfg(unix)]
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }

    /// Cannot be called.
    #[must_use]
    pub fn pid(&self) -> u32 {
        match self.0 {}
    }

    /// Cannot be called.
    #[must_use]
    pub fn report(&self) -> Report {
        match self.0 {}
    }

    /// Cannot be called.
    ///
    /// # Errors
    /// None.
    pub fn start(&self, _command: &CellCommand<'_>) -> Result<(), SendError> {
        match self.0 {}
    }

    /// Cannot be called.
    ///
    /// # Errors
    /// None.
    pub fn receive(&self) -> Result<Option<Event>, ServerError> {
        match self.0 {}
    }

    /// Cannot be called.
    pub fn terminate(&self) {
        match self.0 {}
    }

    /// Cannot be called.
    pub fn kill(&self) {
        match self.0 {}
    }
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
}
