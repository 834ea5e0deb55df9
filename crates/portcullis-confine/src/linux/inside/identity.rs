//! Who a command is.
//!
//! A user's command is that user, mapped to itself. A command of root is nobody: a user of its own outside, who owns
//! nothing, and `nobody` inside. What root was granted is mounted so that root's files belong to it there
//! (`mount_setattr(2)`, `MOUNT_ATTR_IDMAP`, Linux 5.12), and what it writes belongs to root.

use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{Mode, OFlags},
    process::{DumpableBehavior, Gid, Pid, Signal, Uid, WaitOptions},
};

use super::{failure::Failure, template};
use crate::{
    Plan, Step, Tier,
    linux::process::{self, Side},
};

/// The user and group that root's commands are outside. Above what systemd, containers and subordinate ids use.
pub(in crate::linux) const OUTSIDE: u32 = 2_000_000_000;
/// What they are inside: a user that every system's `/etc/passwd` has.
const INSIDE: u32 = 65534;

/// Who the commands of a plan are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// The host's user; in a user namespace mapped to itself.
    Own { user: Uid, group: Gid },
    /// Nobody, because the host is root.
    Mapped,
}

impl Identity {
    /// Who the commands of `plan` are when this process makes them.
    pub(super) fn of(plan: &Plan) -> Result<Self, Failure> {
        let user = rustix::process::geteuid();
        let own = Self::Own {
            user,
            group: rustix::process::getegid(),
        };
        if plan.tier.has_own_root() && template::namespaces(plan) == 0 {
            // Only in tests that leave out what a user namespace is needed for.
            return Ok(own);
        }
        match plan.tier {
            Tier::Full | Tier::Namespaces if user.is_root() => Ok(Self::Mapped),
            // Without a user namespace root's commands would be root.
            Tier::Landlock if user.is_root() => Err(Failure {
                step: Step::Unprivileged,
                errno: libc::EPERM,
            }),
            Tier::Full | Tier::Namespaces | Tier::Landlock | Tier::Limits => Ok(own),
        }
    }

    /// Becomes it, in a new user namespace. `mapped` is at its end when the maker has written the map.
    pub(super) fn enter(self, mapped: Option<OwnedFd>) -> Result<(), Failure> {
        match (self, mapped) {
            (Self::Own { user, group }, _) => {
                map_own(user, group).map_err(Failure::at(Step::UserMap))?;
            }
            (Self::Mapped, Some(mapped)) => {
                let mut byte = [0];
                let read =
                    rustix::io::read(mapped, &mut byte).map_err(Failure::at(Step::UserMap))?;
                if read != 1 {
                    return Err(Failure {
                        step: Step::UserMap,
                        errno: libc::EPERM,
                    });
                }
                become_nobody().map_err(Failure::at(Step::UserMap))?;
            }
            (Self::Mapped, None) => {
                return Err(Failure {
                    step: Step::UserMap,
                    errno: libc::EINVAL,
                });
            }
        }
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .map_err(Failure::at(Step::Hide))
    }
}

/// Maps user and group to themselves, so that programs see the ids they are used to.
pub(in crate::linux) fn map_own(user: Uid, group: Gid) -> io::Result<()> {
    // The files under /proc/self of a process that cannot be dumped belong to root. Nothing hostile
    // can see this process yet: its namespace holds nobody else.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{0} {0} 1", user.as_raw()))?;
    fs::write("/proc/self/gid_map", format!("{0} {0} 1", group.as_raw()))
}

fn become_nobody() -> io::Result<()> {
    let (user, group) = (Uid::from_raw(INSIDE), Gid::from_raw(INSIDE));
    // Root's other groups would open what their members may read.
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(group, group, group)?;
    rustix::thread::set_thread_res_uid(user, user, user)?;
    Ok(())
}

/// Maps the user namespace of a process that waits for it in [`Identity::enter`].
pub(super) fn map_nobody(process: u32) -> io::Result<()> {
    write_maps(process, &format!("{INSIDE} {OUTSIDE} 1"))
}

fn write_maps(process: u32, map: &str) -> io::Result<()> {
    fs::write(format!("/proc/{process}/uid_map"), map)?;
    fs::write(format!("/proc/{process}/gid_map"), map)
}

/// The namespace by which mounts are shown to root's commands: root's files belong to them, all others to whom they
/// do.
pub(super) fn owners() -> io::Result<OwnedFd> {
    let (wait, go) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    match process::fork_into(libc::CLONE_NEWUSER, None)? {
        Side::Child => {
            drop(go);
            // Only its namespace is wanted; it ends with the pipe.
            let _: rustix::io::Result<usize> = rustix::io::read(wait, &mut [0]);
            process::exit(0)
        }
        Side::Parent { pid, pidfd } => {
            let map = format!("0 {OUTSIDE} 1\n1 1 {}", OUTSIDE - 1);
            let opened = write_maps(pid, &map).and_then(|()| {
                let path = format!("/proc/{pid}/ns/user");
                Ok(rustix::fs::open(
                    path,
                    OFlags::RDONLY | OFlags::CLOEXEC,
                    Mode::empty(),
                )?)
            });
            let _: rustix::io::Result<()> =
                rustix::process::pidfd_send_signal(pidfd.as_fd(), Signal::KILL);
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _: rustix::io::Result<_> =
                    rustix::process::waitpid(Some(pid), WaitOptions::empty());
            }
            opened
        }
    }
}
