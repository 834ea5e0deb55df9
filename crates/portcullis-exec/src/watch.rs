//! Waiting for descriptors in Tokio.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers a descriptor with the runtime. It must never block; it is closed with the value.
///
/// `AsFd` says what the runtime needs to know: the descriptor is open as long as the value lives.
#[expect(
    deprecated,
    reason = "the function that replaces it is unsafe, for values without `AsFd`"
)]
pub(crate) fn watch<T: AsFd + AsRawFd>(value: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(value, interest)
}
