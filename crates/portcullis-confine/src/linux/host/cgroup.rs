//! A cgroup for each cell, where a part of the tree is ours ([`delegation`]): limits that the kernel keeps exactly.
//!
//! ```text
//! delegated group ─┬─ the host's own group, which is not made here
//!                  └─ portcullis-cells-PID-N ─┬─ server, where the host is root
//!                                             └─ cell-N: init, command and all that it starts
//! ```
//!
//! A group is made when its cell is asked for and removed when the cell is gone. Its init is born in it, so that nothing
//! of a cell was ever outside. The group of a server is locked by the host's process: one that nobody has locked was
//! left by a host that was killed, and is removed when the next server starts.

#[cfg(test)]
mod tests;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::{AtFlags, Dir, FlockOperation, Gid, Mode, Uid},
    io::Errno,
};

use super::delegation::{self, Hindrance, Ours, open_dir, read_at, remove_at, write_at};
use crate::{Access, Event, Plan, Protection, Usage, linux::inside::OUTSIDE};

/// What the groups of servers are called, before a process and a number.
const PREFIX: &str = "portcullis-cells-";
const SERVER: &str = "server";
const MODE: Mode = Mode::from_raw_mode(0o755);

/// Names that are tried: those taken are of hosts in other pid namespaces, or were left.
const ATTEMPTS: usize = 100;

/// What the init and the process that waits for the command have themselves, and some room: it is not the command's.
const OWN_BYTES: u64 = 4 << 20;
/// The init is a process, too.
const OWN_PROCESSES: u64 = 1;

/// The kernel takes no larger number than there can be processes (`PID_MAX_LIMIT`).
const MOST_PROCESSES: u64 = 4 << 20;

/// How long processes may take to be gone that were killed.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// The controller that keeps a limit.
fn controller(limit: Protection) -> &'static str {
    match limit {
        Protection::MemoryCgroup => "memory",
        _ => "pids",
    }
}

/// The groups of one server's cells.
#[derive(Debug)]
pub(super) struct Groups {
    above: Ours,
    name: String,
    /// Locked as long as this lives.
    dir: OwnedFd,
    /// What can be limited.
    limits: Vec<Protection>,
    in_use: AtomicBool,
    next: AtomicU64,
    /// Groups whose processes may not have ended yet.
    left: Mutex<Vec<String>>,
}

impl Groups {
    /// Makes a group for the cells of a server, if a part of the tree is ours.
    pub(super) fn open() -> Result<Self, Hindrance> {
        let above = delegation::find()?;
        let path = above.path.clone();
        let refused = |error| refused(&path, error);
        let found = read_at(&above.dir, "cgroup.controllers").map_err(refused)?;
        let limits: Vec<_> = [Protection::MemoryCgroup, Protection::ProcessesCgroup]
            .into_iter()
            .filter(|&limit| {
                found
                    .split_whitespace()
                    .any(|name| name == controller(limit))
            })
            .collect();
        if limits.is_empty() {
            return Err(Hindrance::NoController(path.clone()));
        }
        enable(&above.dir, &limits).map_err(refused)?;
        Self::make_in(above, limits).map_err(refused)
    }

    fn make_in(above: Ours, limits: Vec<Protection>) -> io::Result<Self> {
        sweep(&above.dir)?;
        let (name, dir) = make_locked(&above.dir)?;
        // From here on what was made is removed again.
        let groups = Self {
            above,
            name,
            dir,
            limits,
            in_use: AtomicBool::new(true),
            next: AtomicU64::new(0),
            left: Mutex::default(),
        };
        enable(&groups.dir, &groups.limits)?;
        if rustix::process::geteuid().is_root() {
            hand_on(&groups.dir)?;
            rustix::fs::mkdirat(&groups.dir, SERVER, MODE)?;
        }
        Ok(groups)
    }

    /// Whether a limit is kept by groups made here.
    pub(super) fn limits(&self, limit: Protection) -> bool {
        self.limits.contains(&limit)
    }

    /// The delegated group.
    pub(super) fn path(&self) -> &Path {
        &self.above.path
    }

    /// Takes a server in whose cells are made by somebody who is not us: whoever puts a process into a group must be
    /// allowed to do so in the one above both, and above this one is nothing of ours to allow.
    pub(super) fn take_in(&self, server: u32) -> io::Result<()> {
        if rustix::process::geteuid().is_root() {
            let procs = format!("{SERVER}/cgroup.procs");
            write_at(&self.dir, &procs, &server.to_string())?;
        }
        Ok(())
    }

    pub(super) fn is_in_use(&self) -> bool {
        self.in_use.load(Ordering::Acquire)
    }

    /// Makes no more groups.
    pub(super) fn give_up(&self) {
        self.in_use.store(false, Ordering::Release);
    }

    /// What has to be limited for cells of a plan; `None` if nothing is, or if they could write the limits.
    pub(super) fn limited(self: &Arc<Self>, plan: &Plan) -> Option<Limited> {
        let kept = |limit, wanted: Option<u64>| wanted.filter(|_| self.limits(limit));
        let limited = Limited {
            memory: kept(Protection::MemoryCgroup, plan.memory),
            processes: kept(Protection::ProcessesCgroup, plan.processes),
            groups: self.clone(),
        };
        let none = limited.memory.is_none() && limited.processes.is_none();
        (!none && !self.is_reached_by(plan)).then_some(limited)
    }

    fn is_reached_by(&self, plan: &Plan) -> bool {
        plan.roots().iter().any(|root| {
            let writes = matches!(root.access(), Access::Write | Access::WriteExec);
            let reached = self.above.path.starts_with(root.path());
            writes && (reached || delegation::is_cgroup(root.file()))
        })
    }

    fn left(&self) -> MutexGuard<'_, Vec<String>> {
        // No code panics while it holds the lock half way through a change.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes groups whose cells are gone by now.
    fn clear(&self) {
        self.left()
            .retain(|name| remove_at(&self.dir, name) == Err(Errno::BUSY));
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        // The server and all its cells have ended, or are just doing it; what is left all the same is removed by the
        // next server.
        let _: io::Result<()> = kill(&self.dir, END_TIMEOUT);
        let _: io::Result<()> = remove(&self.above.dir, &self.name, &self.dir);
    }
}

/// The limits of one plan's cells.
#[derive(Debug)]
pub(super) struct Limited {
    groups: Arc<Groups>,
    memory: Option<u64>,
    processes: Option<u64>,
}

impl Limited {
    /// Makes the group of one cell; `None` if that is not possible now: its limits are kept as they are where there are
    /// no groups, and its report says so.
    pub(super) fn make(&self) -> Option<Group> {
        let Self { groups, .. } = self;
        if !groups.is_in_use() {
            return None;
        }
        groups.clear();
        let name = format!("cell-{}", groups.next.fetch_add(1, Ordering::Relaxed));
        rustix::fs::mkdirat(&groups.dir, &*name, MODE).ok()?;
        let Ok(dir) = open_dir(&groups.dir, &*name) else {
            groups.left().push(name);
            return None;
        };
        let group = Group {
            groups: groups.clone(),
            name,
            dir,
            memory: self.memory,
            processes: self.processes,
        };
        group.set_limits().is_ok().then_some(group)
    }
}

/// The group of one cell. Removed when it is dropped, as soon as nothing lives in it any more.
#[derive(Debug)]
pub(super) struct Group {
    groups: Arc<Groups>,
    name: String,
    dir: OwnedFd,
    memory: Option<u64>,
    processes: Option<u64>,
}

impl Group {
    fn set_limits(&self) -> io::Result<()> {
        if let Some(most) = self.memory {
            // The page size rounds it down.
            self.set("memory.max", most.saturating_add(OWN_BYTES))?;
            self.set("memory.swap.max", 0)?;
            write_at(&self.dir, "memory.oom.group", "1")?;
            if read_at(&self.dir, "memory.oom.group")?.trim() != "1" {
                return Err(Errno::NOTSUP.into());
            }
        }
        if let Some(most) = self.processes {
            self.set(
                "pids.max",
                most.saturating_add(OWN_PROCESSES).min(MOST_PROCESSES),
            )?;
        }
        if rustix::process::geteuid().is_root() {
            hand_on(&self.dir)?;
        }
        Ok(())
    }

    /// Sets a limit, and asks the kernel whether it holds.
    fn set(&self, name: &str, most: u64) -> io::Result<()> {
        write_at(&self.dir, name, &most.to_string())?;
        let holds = read_at(&self.dir, name)?.trim().parse::<u64>();
        if holds.is_ok_and(|holds| holds <= most) {
            Ok(())
        } else {
            Err(Errno::NOTSUP.into())
        }
    }

    /// The directory, for whoever makes a process in it.
    pub(super) fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// Whether a process is in it, as the kernel says.
    pub(super) fn holds(&self, pid: u32) -> bool {
        let procs = read_at(&self.dir, "cgroup.procs").unwrap_or_default();
        procs.lines().any(|line| line.parse() == Ok(pid))
    }

    /// What it limits.
    pub(super) fn in_force(&self) -> impl Iterator<Item = Protection> {
        let memory = self.memory.map(|_| Protection::MemoryCgroup);
        let processes = self.processes.map(|_| Protection::ProcessesCgroup);
        memory.into_iter().chain(processes)
    }

    /// Whether its limit is at most this.
    pub(super) fn keeps_memory(&self, most: u64) -> bool {
        self.memory.is_some_and(|kept| kept <= most)
    }

    /// Whether its limit is at most this.
    pub(super) fn keeps_processes(&self, most: u64) -> bool {
        self.processes.is_some_and(|kept| kept <= most)
    }

    /// What the kernel killed because of the memory limit, when nothing of it is left; `None` if it killed nothing.
    /// Waits for processes that are ending.
    pub(super) fn over_memory(&self) -> Option<Event> {
        let killed = killed_for_memory(&read_at(&self.dir, "memory.events").ok()?)?;
        kill(&self.dir, END_TIMEOUT).ok()?;
        let time = read_at(&self.dir, "cpu.stat").unwrap_or_default();
        let micros = |name| Duration::from_micros(field(&time, name).unwrap_or_default());
        // Since Linux 5.19; it has had all that it could have.
        let peak = read_at(&self.dir, "memory.peak").ok();
        let peak = peak.and_then(|peak| peak.trim().parse().ok());
        Some(Event::OverMemory {
            // One is the init. Those that ended with its namespace the kernel does not count.
            processes: u32::try_from(killed - 1).unwrap_or(u32::MAX).max(1),
            usage: Usage {
                user: micros("user_usec"),
                system: micros("system_usec"),
                max_rss_bytes: peak.or(self.memory).unwrap_or_default(),
            },
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What was in it is killed by whoever drops the cell, and takes its time to end.
        self.groups.left().push(std::mem::take(&mut self.name));
    }
}

fn refused(path: &Path, error: io::Error) -> Hindrance {
    match Errno::from_io_error(&error) {
        Some(Errno::BUSY) => Hindrance::Occupied(path.to_owned()),
        _ => Hindrance::Refused(path.to_owned(), error),
    }
}

/// Has the groups below one keep these limits, beside what they keep already.
fn enable(dir: &OwnedFd, limits: &[Protection]) -> io::Result<()> {
    let enabled = read_at(dir, "cgroup.subtree_control")?;
    let is_enabled = |name: &str| enabled.split_whitespace().any(|enabled| enabled == name);
    let names = limits.iter().map(|&limit| controller(limit));
    for name in names.filter(|&name| !is_enabled(name)) {
        write_at(dir, "cgroup.subtree_control", &format!("+{name}"))?;
    }
    Ok(())
}

/// Lets the user that root's commands are put processes into a group, and nothing else.
fn hand_on(dir: &OwnedFd) -> io::Result<()> {
    let (user, group) = (Uid::from_raw(OUTSIDE), Gid::from_raw(OUTSIDE));
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(dir, "cgroup.procs", Some(user), Some(group), flags)?;
    Ok(())
}

/// Makes a group that is ours as long as its descriptor is open.
fn make_locked(above: &OwnedFd) -> io::Result<(String, OwnedFd)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    for _ in 0..ATTEMPTS {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        match rustix::fs::mkdirat(above, &*name, MODE) {
            Err(Errno::EXIST) => continue,
            made => made?,
        }
        // Before it is locked another host may take it for one that was left.
        let locked = open_dir(above, &*name).ok().filter(|dir| {
            let there = rustix::fs::statat(above, &*name, AtFlags::SYMLINK_NOFOLLOW);
            lock(dir)
                && there.is_ok_and(|there| {
                    rustix::fs::fstat(dir).is_ok_and(|ours| ours.st_ino == there.st_ino)
                })
        });
        if let Some(dir) = locked {
            return Ok((name, dir));
        }
    }
    Err(Errno::EXIST.into())
}

fn lock(dir: &OwnedFd) -> bool {
    rustix::fs::flock(dir, FlockOperation::NonBlockingLockExclusive).is_ok()
}

/// Removes what hosts have left that were killed.
fn sweep(above: &OwnedFd) -> io::Result<()> {
    for name in below(above)? {
        if !name.starts_with(PREFIX) {
            continue;
        }
        let Ok(dir) = open_dir(above, &*name) else {
            continue;
        };
        if lock(&dir) {
            // Nothing lives there that its leash has not ended already. What cannot be removed now is the next one's.
            let _: io::Result<()> = kill(&dir, Duration::ZERO);
            let _: io::Result<()> = remove(above, &name, &dir);
        }
    }
    Ok(())
}

/// The groups below one.
fn below(dir: &OwnedFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_str().unwrap_or_default();
        if entry.file_type().is_dir() && !matches!(name, "." | ".." | "") {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Removes a group of a server and those of its cells, which nothing lives in any more.
fn remove(above: &OwnedFd, name: &str, dir: &OwnedFd) -> io::Result<()> {
    for cell in below(dir)? {
        // If it is in use, so is the one above.
        let _: rustix::io::Result<()> = remove_at(dir, &cell);
    }
    Ok(remove_at(above, name)?)
}

/// Kills everything in a group and below, and waits for its end.
fn kill(dir: &OwnedFd, time: Duration) -> io::Result<()> {
    write_at(dir, "cgroup.kill", "1")?;
    let until = Instant::now() + time;
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let events = rustix::fs::openat(dir, "cgroup.events", flags, Mode::empty())?;
    loop {
        let mut text = [0; 128];
        let length = rustix::io::pread(&events, &mut text, 0)?;
        let text = String::from_utf8_lossy(&text[..length]).into_owned();
        if field(&text, "populated") == Some(0) {
            return Ok(());
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Errno::TIMEDOUT.into());
        }
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        // The kernel tells a change since the last look.
        let mut changed = [PollFd::new(&events, PollFlags::PRI)];
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut changed, Some(&left)))?;
    }
}

/// How many processes were killed because of the limit of a group, in the text of its `memory.events`.
fn killed_for_memory(events: &str) -> Option<u64> {
    // That somebody above ran out of memory is not this limit.
    field(events, "oom").filter(|&times| times > 0)?;
    field(events, "oom_kill").filter(|&killed| killed > 0)
}

/// The number behind a name in a file of one pair a line.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (found, number) = line.split_once(' ')?;
        (found == name).then(|| number.parse().ok())?
    })
}
