//! Asking the kernel what is in force in a cell, by looking and by trying.

use std::{fs, io, path::Path};

use rustix::{
    fs::{Mode, OFlags, StatVfsMountFlags},
    process::{DumpableBehavior, Pid},
};

use super::{landlock, memory, seccomp};
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
    pub(super) fn read() -> rustix::io::Result<Self> {
        let mut inodes = [0; 6];
        for (inode, (name, _)) in inodes.iter_mut().zip(NAMESPACES) {
            *inode = rustix::fs::stat(format!("/proc/self/ns/{name}"))?.st_ino;
        }
        Ok(Self(inodes))
    }
}

/// Asks the kernel what is in force in this cell; `host` are the namespaces of the server.
pub(super) fn report(plan: &Plan, host: Namespaces, landlock_abi: u8) -> io::Result<Report> {
    let mut found = Vec::new();
    let mut note = |held: bool, protection| found.extend(held.then_some(protection));
    let here = Namespaces::read()?;
    for ((inode, outside), (_, protection)) in here.0.iter().zip(host.0).zip(NAMESPACES) {
        note(*inode != outside, protection);
    }
    let status = Status::read()?;
    note(own_proc()?, Protection::OwnProc);
    note(own_root()?, Protection::OwnRoot);
    note(rustix::thread::no_new_privs()?, Protection::NoNewPrivs);
    note(status.no_capabilities(plan), Protection::NoCapabilities);
    note(unprivileged()?, Protection::Unprivileged);
    note(status.filtered() && seccomp::refuses(), Protection::Seccomp);
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
fn unprivileged() -> io::Result<bool> {
    let map = fs::read_to_string("/proc/self/uid_map")?;
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

/// `/proc/self/status`.
struct Status(String);

impl Status {
    fn read() -> io::Result<Self> {
        fs::read_to_string("/proc/self/status").map(Self)
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.lines();
        lines
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    }

    fn no_capabilities(&self, plan: &Plan) -> bool {
        // Emptying the bounding set takes a capability; where there is none, `no_new_privs` does the same.
        let bounding = plan.tier.has_own_root().then_some("CapBnd");
        ["CapInh", "CapPrm", "CapEff", "CapAmb"]
            .into_iter()
            .chain(bounding)
            .all(|set| {
                self.field(set)
                    .is_some_and(|bits| bits.bytes().all(|digit| digit == b'0'))
            })
    }

    fn filtered(&self) -> bool {
        self.field("Seccomp") == Some("2")
    }
}
