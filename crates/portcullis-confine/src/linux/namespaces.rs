//! What turns a copy of the server into a cell: leash, user map, mounts, `/proc`, and the read-back.

use std::{fs, io, os::fd::OwnedFd};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::StatVfsMountFlags,
    mount::{MountFlags, MountPropagationFlags},
    process::{DumpableBehavior, Gid, Pid, Signal, Uid},
    thread::CapabilitySet,
};

use super::turns::{self, Turns};
use crate::{Report, Step, plan::Findings};

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

/// The `CLONE_NEW*` flags to try first: root needs no user namespace to make the others.
pub(super) fn first_choice() -> i32 {
    let flags = libc::CLONE_NEWPID | libc::CLONE_NEWNS;
    if rustix::process::geteuid().is_root() {
        flags
    } else {
        flags | libc::CLONE_NEWUSER
    }
}

/// What the server knows about itself, so that a cell can tell that it is somewhere else.
pub(super) struct Origin {
    server: OwnedFd,
    inodes: Inodes,
    /// Who the server is. In a user namespace that maps nobody yet, everybody is the overflow user.
    user: Uid,
    group: Gid,
    /// The host's turns on the processor, which the server has shortened for itself and its copies.
    pub(super) turns: Option<Turns>,
}

impl Origin {
    /// Reads it in the server, whose turns on the processor become short.
    pub(super) fn read(server: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            server,
            inodes: Inodes::read()?,
            user: rustix::process::geteuid(),
            group: rustix::process::getegid(),
            turns: turns::shorten(),
        })
    }
}

/// Which namespaces a process is in.
struct Inodes {
    pid: u64,
    mount: u64,
    user: u64,
}

impl Inodes {
    fn read() -> rustix::io::Result<Self> {
        let inode = |path: &str| rustix::fs::stat(path).map(|stat| stat.st_ino);
        Ok(Self {
            pid: inode("/proc/self/ns/pid")?,
            mount: inode("/proc/self/ns/mnt")?,
            user: inode("/proc/self/ns/user")?,
        })
    }
}

/// Sets this process up as the init of a cell and reads back what came of it.
pub(super) fn set_up(origin: &Origin, namespaces: i32) -> Result<(), Failure> {
    hang_on(origin)?;
    // The command's session: without a terminal, and not led by the command, so it can get none. Made
    // here because the kernel takes its time over a session's scheduling group.
    rustix::process::setsid().map_err(Failure::at(Step::Session))?;
    if namespaces & libc::CLONE_NEWUSER != 0 {
        map_user(origin).map_err(Failure::at(Step::UserMap))?;
    }
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(Failure::at(Step::Hide))?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(Failure::at(Step::PrivateMounts))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", "/proc", "proc", flags, None)
        .map_err(Failure::at(Step::MountProc))?;
    keep_from_command().map_err(Failure::at(Step::Hide))
}

/// Takes from the command of root what undoes its cell: with the first it could unmount its `/proc` and find the
/// host's processes below, with the second stop or take over the init. The init itself keeps both.
fn keep_from_command() -> rustix::io::Result<()> {
    for capability in [CapabilitySet::SYS_ADMIN, CapabilitySet::SYS_PTRACE] {
        rustix::thread::remove_capability_from_bounding_set(capability)?;
    }
    Ok(())
}

/// Ties this process to the server: it is killed when the server ends.
fn hang_on(origin: &Origin) -> Result<(), Failure> {
    let at_leash = Failure::at::<rustix::io::Errno>;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(at_leash(Step::Leash))?;
    // The server may have ended before that; its number here is 0 either way, its descriptor tells.
    let mut server = [PollFd::new(&origin.server, PollFlags::IN)];
    match rustix::event::poll(
        &mut server,
        Some(&Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }),
    ) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Failure {
            step: Step::Leash,
            errno: libc::ESRCH,
        }),
        Err(error) => Err(at_leash(Step::Leash)(error)),
    }
}

/// Maps user and group to themselves, so that programs see the ids they are used to.
fn map_user(origin: &Origin) -> io::Result<()> {
    let (user, group) = (origin.user, origin.group);
    // The files under /proc/self of a process that cannot be dumped belong to root. Nothing hostile
    // can see this process yet: its namespace holds nobody else.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{0} {0} 1", user.as_raw()))?;
    fs::write("/proc/self/gid_map", format!("{0} {0} 1", group.as_raw()))
}

/// Asks the kernel what is in force in this cell.
pub(super) fn read_back(origin: &Origin) -> io::Result<Report> {
    let inodes = Inodes::read()?;
    let is_init = rustix::process::getpid() == Pid::INIT;
    let proc_flags = rustix::fs::statvfs("/proc")?.f_flag;
    let wanted = StatVfsMountFlags::NOSUID | StatVfsMountFlags::NODEV | StatVfsMountFlags::NOEXEC;
    let dumpable = rustix::process::dumpable_behavior()?;
    Ok(Report::new(Findings {
        pid_namespace: is_init && inodes.pid != origin.inodes.pid,
        mount_namespace: inodes.mount != origin.inodes.mount,
        user_namespace: inodes.user != origin.inodes.user,
        own_proc: fs::read_link("/proc/self")?.as_os_str() == "1" && proc_flags.contains(wanted),
        no_new_privs: rustix::thread::no_new_privs()?,
        hidden_init: dumpable == DumpableBehavior::NotDumpable,
    }))
}
