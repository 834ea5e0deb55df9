//! Named points at which a process of ours stops, for tests that kill something exactly there.

use std::{
    hash::{Hash, Hasher},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use crate::Plan;

/// A point at which a process writes one byte to the test's socket, then waits until it can read one or
/// the socket ends.
///
/// Only with the cargo feature `test-points`, which no release build may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum TestPoint {
    /// In the process that waits for its command, when the request has been checked.
    BeforeClone = 1,
    /// In the same process, before it does anything of what was asked.
    BetweenCloneAndExec = 2,
    /// In the spawn server, before it clones a template.
    BeforeTemplate = 3,
    /// In a template, before it does anything: nothing ties it to its server yet.
    InTemplate = 4,
    /// In a template, before it clones the init of a cell.
    BeforeCell = 5,
    /// In the init of a cell, before it does anything: nothing ties it to its template yet.
    InCell = 6,
}

impl TestPoint {
    const ALL: [Self; 6] = [
        Self::BeforeClone,
        Self::BetweenCloneAndExec,
        Self::BeforeTemplate,
        Self::InTemplate,
        Self::BeforeCell,
        Self::InCell,
    ];

    pub(super) fn flags(self) -> u32 {
        self as u32
    }

    pub(crate) fn from_flags(flags: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.flags() == flags)
    }
}

/// Where the making of a template or a cell stops.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    point: TestPoint,
    announce: Arc<OwnedFd>,
}

impl Stop {
    pub(crate) fn new(point: TestPoint, announce: OwnedFd) -> Self {
        let announce = Arc::new(announce);
        Self { point, announce }
    }

    /// What stands for it in a message, and the descriptor that goes with it.
    pub(crate) fn parts(&self) -> (u32, BorrowedFd<'_>) {
        (self.point.flags(), self.announce.as_fd())
    }
}

impl PartialEq for Stop {
    fn eq(&self, other: &Self) -> bool {
        self.point == other.point && Arc::ptr_eq(&self.announce, &other.announce)
    }
}

impl Eq for Stop {}

impl Hash for Stop {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.point.hash(state);
    }
}

impl Plan {
    /// Stops the making of a template or a cell of this plan at `point`, announced on the socket `announce`.
    #[must_use]
    pub fn stopping_at(mut self, point: TestPoint, announce: OwnedFd) -> Self {
        self.stop = Some(Stop::new(point, announce));
        self
    }

    /// Stops here, if this is the point.
    pub(super) fn stop_at(&self, here: TestPoint) {
        if let Some(Stop { point, announce }) = &self.stop
            && *point == here
        {
            let mut byte = [b'.'];
            // Whoever waited for it may be gone: that is the point.
            let _: rustix::io::Result<usize> = rustix::io::write(announce, &byte);
            let _: rustix::io::Result<usize> = rustix::io::read(announce, &mut byte);
        }
    }
}
