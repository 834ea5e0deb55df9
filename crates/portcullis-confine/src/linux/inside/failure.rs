//! A step that failed.

use std::io;

use crate::Step;

/// A step of making a cell or starting its command that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) step: Step,
    pub(super) errno: i32,
}

impl Failure {
    /// Names the step at which an error happened.
    pub(super) fn at<E: Into<io::Error>>(step: Step) -> impl FnOnce(E) -> Self {
        move |error| Self {
            step,
            errno: error.into().raw_os_error().unwrap_or(libc::EIO),
        }
    }
}
