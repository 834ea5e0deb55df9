//! All processes of a command, and how they are killed.

use std::{fs, os::fd::AsFd};

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};

use crate::linux::process;

/// What holds the processes of a command together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    /// A pid namespace, of which the init is the first process.
    Namespace,
    /// A Landlock domain out of which no signal goes: all that the init can signal is its own. Orphans are handed to it.
    Domain,
    /// The init alone, to which orphans are handed; there are others of the user around. Only in tests that leave
    /// layers out.
    Subreaper,
}

impl Tree {
    /// Kills and reaps every process of the tree; says how many of them were still alive.
    ///
    /// Without a child there is nobody left at all: who descends from the init is handed to it when its own parent
    /// ends.
    pub(super) fn kill(self) -> u32 {
        // Those that have ended by themselves do not count.
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return 0,
            }
        }
        match self {
            Self::Namespace | Self::Domain => {
                // Once is enough: the kernel lets nobody fork between being chosen and being killed.
                process::kill_all();
                reap_all()
            }
            Self::Subreaper => kill_by_walking(),
        }
    }
}

fn reap_all() -> u32 {
    let mut killed = 0;
    while let Ok(Some((_, status))) = rustix::process::wait(WaitOptions::empty()) {
        killed += u32::from(was_killed(status));
    }
    killed
}

fn was_killed(status: WaitStatus) -> bool {
    status.terminating_signal() == Some(libc::SIGKILL)
}

/// Kills who descends from this process, as often as it takes: who forks meanwhile is found the next time, since its
/// parent is dead by then and it is a child of ours.
fn kill_by_walking() -> u32 {
    let mut killed = 0;
    loop {
        for pid in descendants() {
            // The number could go to another process before the signal; the descriptor could not.
            if let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty())
                && parent(pid).is_some_and(is_ours)
            {
                let _: rustix::io::Result<()> =
                    rustix::process::pidfd_send_signal(pidfd.as_fd(), Signal::KILL);
            }
        }
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((_, status))) => killed += u32::from(was_killed(status)),
                Ok(None) => break,
                Err(_) => return killed,
            }
        }
        std::thread::yield_now();
    }
}

/// Whether a process is this one or descends from it.
fn is_ours(mut pid: Pid) -> bool {
    let own = rustix::process::getpid();
    for _ in 0..MAX_DEPTH {
        if pid == own {
            return true;
        }
        match parent(pid) {
            Some(above) => pid = above,
            None => return false,
        }
    }
    false
}

/// Deeper trees are walked again when their upper part is gone.
const MAX_DEPTH: usize = 10_000;

/// All processes of [`Tree::Subreaper`] but this one.
pub(super) fn descendants() -> Vec<Pid> {
    let own = rustix::process::getpid();
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = numbers.filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        Pid::from_raw(number)
    });
    pids.filter(|&pid| pid != own && is_ours(pid)).collect()
}

/// The fourth field of `/proc/PID/stat`, behind the name, which may hold anything.
fn parent(pid: Pid) -> Option<Pid> {
    let stat = fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let behind = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(behind + 1..)?).ok()?;
    Pid::from_raw(rest.split_whitespace().nth(1)?.parse().ok()?)
}
