//! Tying a process to the one that made it.

use std::os::fd::OwnedFd;

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    process::Signal,
};

use super::failure::Failure;
use crate::Step;

/// Ties this process to its maker, given by its pidfd: it is killed when that one ends.
///
/// To be called again after a change of user, which unties it.
pub(super) fn hang_on(maker: &OwnedFd) -> Result<(), Failure> {
    be_told(maker, Signal::KILL)
}

/// Has this process sent a signal when its maker, given by its pidfd, ends.
pub(super) fn be_told(maker: &OwnedFd, signal: Signal) -> Result<(), Failure> {
    rustix::process::set_parent_process_death_signal(Some(signal))
        .map_err(Failure::at(Step::Leash))?;
    // It may have ended before that. Its number in another namespace is 0 either way, its descriptor tells.
    let mut ended = [PollFd::new(maker, PollFlags::IN)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    match rustix::event::poll(&mut ended, Some(&now)) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Failure {
            step: Step::Leash,
            errno: libc::ESRCH,
        }),
        Err(error) => Err(Failure::at(Step::Leash)(error)),
    }
}
