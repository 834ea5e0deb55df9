//! Named points at which a cell stops, for tests that kill something exactly there.

/// A point at which a cell writes one byte to the test's socket, then waits until it can read one or
/// the socket ends.
///
/// Only with the cargo feature `test-points`, which no release build may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum TestPoint {
    /// In the init, when the request has been checked.
    BeforeClone = 1,
    /// In the command's process, before it does anything.
    BetweenCloneAndExec = 2,
}

impl TestPoint {
    pub(super) fn flags(self) -> u32 {
        self as u32
    }

    pub(super) fn from_flags(flags: u32) -> Option<Self> {
        [Self::BeforeClone, Self::BetweenCloneAndExec]
            .into_iter()
            .find(|p| p.flags() == flags)
    }
}
