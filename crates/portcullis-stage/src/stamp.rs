//! When a stage began, by the clock of the file system that it is about.
//!
//! Times of files are those of a coarse clock, often a tick of some milliseconds behind. So the moment is the change time
//! of a file made in that file system, and it is waited for until that clock has moved: what was changed before is older,
//! and what is changed afterwards is not.
//!
//! A clock that is set back would make what changes afterwards look older. That is noticed by the distance between the
//! clock that can be set and the one that cannot.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::{Errno, Result};
use rustix::time::ClockId;

/// How often a file's time is looked at until it has moved on.
const TICK: Duration = Duration::from_millis(1);
/// How long that is tried: file systems whose times have whole seconds, and none that have less.
const PATIENCE: u32 = 2500;
/// How far back a clock may have gone: the two are not read at the same time.
const TOLERANCE: i128 = 1_000_000;

/// The moment at which a stage began in one file system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    changed: (i64, i64),
    distance: i128,
}

impl Stamp {
    /// Now, in the file system of an opened directory, in which a file without a name is made for a moment.
    pub(crate) fn now(dir: impl AsFd) -> Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(dir, ".", flags, Mode::RUSR | Mode::WUSR)?;
        let first = changed(&rustix::fs::fstat(&file)?);
        for _ in 0..PATIENCE {
            std::thread::sleep(TICK);
            rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR)?;
            let now = changed(&rustix::fs::fstat(&file)?);
            if now > first {
                return Ok(Self {
                    changed: now,
                    distance: distance(),
                });
            }
        }
        Err(Errno::TIME)
    }

    /// For what is only taken back.
    pub(crate) fn never() -> Self {
        Self {
            changed: (i64::MIN, 0),
            distance: i128::MIN / 2,
        }
    }

    /// Whether this was changed before.
    pub(crate) fn is_after(&self, stat: &Stat) -> bool {
        changed(stat) < self.changed
    }

    /// Whether the clock was set back since, so that nothing can be said.
    pub(crate) fn is_void(&self) -> bool {
        distance() < self.distance - TOLERANCE
    }
}

fn changed(stat: &Stat) -> (i64, i64) {
    (
        stat.st_ctime,
        i64::try_from(stat.st_ctime_nsec).unwrap_or_default(),
    )
}

/// Nanoseconds that the clock which can be set is ahead of the one which cannot.
fn distance() -> i128 {
    let read = |clock| {
        let time = rustix::time::clock_gettime(clock);
        i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
    };
    read(ClockId::Realtime) - read(ClockId::Monotonic)
}
