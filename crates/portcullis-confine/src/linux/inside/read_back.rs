//! Asking the kernel what is in force in a cell, by looking and by trying.
//!
//! A template looks at what its cells inherit and cannot undo; everything else each cell finds out for itself.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Mode, OFlags, StatVfsMountFlags},
    process::{DumpableBehavior, Pid},
    thread::SecureComputingMode,
};

use super::{capabilities, landlock, memory, seccomp};
use crate::{Plan, Protection, Report};

/// Which namespaces a process is in.
#[derive(Clone, Copy)]
pub(super) struct Namespaces([u64; 6]);

/// The names in `/proc/self/ns`, and what an own one of each is called.
const NAMESPACES: [(&str, Protection); 6] = [
    ("pid", Protection::PidNamespace),
    ("mnt", Protection::MountNamespace),
    ("user", Protection::UserNamespace),
    ("ipc", Protection::IpcNamespace),
    ("uts", Protection::UtsNamespace),
    ("net", Protection::NetNamespace),
];

impl Namespaces {
    /// Those of this process, which has its `/proc` where every system has it.
    pub(super) fn read() -> rustix::io::Result<Self> {
        Self::read_in("/proc".into())
    }

    fn read_in(proc: PathBuf) -> rustix::io::Result<Self> {
        let directory = proc.join("self/ns");
        let mut inodes = [0; 6];
        for (inode, (name, _)) in inodes.iter_mut().zip(NAMESPACES) {
            *inode = rustix::fs::stat(directory.join(name))?.st_ino;
        }
        Ok(Self(inodes))
    }

    /// Those of them that are not the host's.
    fn own(self, host: Self) -> impl Iterator<Item = Protection> {
        let pairs = self.0.into_iter().zip(host.0).zip(NAMESPACES);
        pairs.filter_map(|((here, outside), (_, protection))| {
            (here != outside).then_some(protection)
        })
    }
}

/// What holds in a template, and so in the next copy of it, which is in the same namespaces (but for processes) and
/// maps its user by the same map.
pub(super) struct Inherited(Vec<Protection>);

impl Inherited {
    /// To be read in the namespaces of the next copy, where the host's `/proc` is at `proc`.
    pub(super) fn read(host: Namespaces, proc: PathBuf) -> io::Result<Self> {
        let unprivileged = unprivileged(&proc)?.then_some(Protection::Unprivileged);
        let own = Namespaces::read_in(proc)?.own(host);
        Ok(Self(own.chain(unprivileged).collect()))
    }
}

/// Asks the kernel what is in force in this cell; `host` are the namespaces of the server.
pub(super) fn report(
    plan: &Plan,
    host: Namespaces,
    inherited: Option<Inherited>,
    landlock_abi: u8,
) -> io::Result<Report> {
    let mut found = match inherited {
        Some(Inherited(mut found)) => {
            // The first process of its namespace; the server, of which it is a copy of a copy, is the first of none.
            let first = rustix::process::getpid() == Pid::INIT;
            found.extend(first.then_some(Protection::PidNamespace));
            found
        }
        None => {
            let unprivileged = unprivileged(Path::new("/proc"))?;
            let unprivileged = unprivileged.then_some(Protection::Unprivileged);
            Namespaces::read()?.own(host).chain(unprivileged).collect()
        }
    };
    let mut note = |held: bool, protection| found.extend(held.then_some(protection));
    note(own_proc()?, Protection::OwnProc);
    note(own_root()?, Protection::OwnRoot);
    note(rustix::thread::no_new_privs()?, Protection::NoNewPrivs);
    let bounding = plan.tier.has_own_root();
    note(capabilities::none(bounding)?, Protection::NoCapabilities);
    note(filtered()? && seccomp::refuses(), Protection::Seccomp);
    note(
        plan.tier.has_landlock() && landlock::refuses(plan),
        Protection::Landlock,
    );
    let dumpable = rustix::process::dumpable_behavior()?;
    note(
        dumpable == DumpableBehavior::NotDumpable,
        Protection::HiddenInit,
    );
    note(memory::can_watch(), Protection::MemoryWatch);
    Ok(Report::new(plan.tier, landlock_abi, found))
}

/// Whether `/proc` is the one of this namespace, of which the init is the first process.
fn own_proc() -> io::Result<bool> {
    let flags = rustix::fs::statvfs("/proc")?.f_flag;
    let wanted = StatVfsMountFlags::NOSUID | StatVfsMountFlags::NODEV | StatVfsMountFlags::NOEXEC;
    let is_init = rustix::process::getpid() == Pid::INIT;
    Ok(is_init && fs::read_link("/proc/self")? == Path::new("1") && flags.contains(wanted))
}

/// Whether the root cannot be written, nor the system in it; the second is tried, unless it is the host's.
fn own_root() -> io::Result<bool> {
    let root = rustix::fs::statvfs("/")?.f_flag;
    let here = rustix::fs::statfs("/")?.f_type;
    let in_memory = u64::try_from(here).is_ok_and(|kind| kind == TMPFS);
    if !in_memory || !root.contains(StatVfsMountFlags::RDONLY) {
        return Ok(false);
    }
    let tried = rustix::fs::open(
        "/usr/.portcullis",
        OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC,
        Mode::RUSR,
    );
    Ok(tried.is_err())
}

/// `TMPFS_MAGIC`.
const TMPFS: u64 = 0x0102_1994;

/// Whether this process is somebody else than root outside.
fn unprivileged(proc: &Path) -> io::Result<bool> {
    let map = fs::read_to_string(proc.join("self/uid_map"))?;
    let own = rustix::process::geteuid().as_raw();
    let outside = map.lines().find_map(|line| {
        let mut numbers = line
            .split_whitespace()
            .map_while(|number| number.parse::<u32>().ok());
        let (first, outside, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
        let offset = own.checked_sub(first).filter(|&offset| offset < count)?;
        outside.checked_add(offset)
    });
    Ok(outside.is_some_and(|outside| outside != 0))
}

/// Whether the kernel says that there is a filter.
fn filtered() -> io::Result<bool> {
    Ok(rustix::thread::secure_computing_mode()? == SecureComputingMode::Filter)
}
