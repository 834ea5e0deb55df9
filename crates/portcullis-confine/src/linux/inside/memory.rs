//! How much memory a tree has, looked at by its init: the limit for machines on which no cgroup is ours.
//!
//! What counts is what the tree cannot give back: memory that it has written to, in the processor's sense or on a
//! swap device, and what is memory even if nobody maps it: what lies in the scratch directories, and System V segments.
//! Pages of files do not count.
//!
//! Source: `/proc/PID/status`, `/proc/sysvipc/shm`, proc(5).

use std::{
    fs,
    time::{Duration, Instant},
};

use rustix::{event::Timespec, process::Pid};

use super::tree::{self, Tree};

/// From one look to the next. A look costs some microseconds for each process.
const EVERY: Duration = Duration::from_millis(20);

/// Fields of `/proc/PID/status` that count, in kibibytes: what is one process's own, and what it shares.
const OWN: [&str; 2] = ["RssAnon:", "VmSwap:"];
const SHARED: &str = "RssShmem:";

/// The limit of one tree.
pub(super) struct Watch {
    most: u64,
    tree: Tree,
    has_scratch: bool,
    due: Instant,
}

impl Watch {
    /// Lets a tree have so many bytes. `has_scratch`: whether `/tmp` is the cell's own.
    pub(super) fn new(most: u64, tree: Tree, has_scratch: bool) -> Self {
        Self {
            most,
            tree,
            has_scratch,
            due: Instant::now() + EVERY,
        }
    }

    /// How long until the next look.
    pub(super) fn due_in(&self) -> Timespec {
        let left = self.due.saturating_duration_since(Instant::now());
        Timespec {
            tv_sec: 0,
            // Less than a second, whatever the clock does.
            tv_nsec: left.min(EVERY).subsec_nanos().into(),
        }
    }

    /// Looks, if it is time to, and says whether the tree has too much.
    pub(super) fn is_over(&mut self) -> bool {
        if Instant::now() < self.due {
            return false;
        }
        let over = self.bytes() > self.most;
        // From the end of this look: a tree of many processes must not keep us busy.
        self.due = Instant::now() + EVERY;
        over
    }

    fn bytes(&self) -> u64 {
        let (scratch, segments) = if self.has_scratch {
            (scratch_bytes(), segment_bytes())
        } else {
            (0, 0)
        };
        let processes = match self.tree {
            Tree::Namespace => namespace(),
            Tree::Domain | Tree::Subreaper => tree::descendants(),
        };
        // One that has ended meanwhile has none.
        let found = processes.into_iter().filter_map(process_bytes);
        let Bytes { own, shared } = found.fold(Bytes::default(), Bytes::and);
        // A segment that is mapped is among what is shared.
        scratch
            .saturating_add(own)
            .saturating_add(shared.max(segments))
    }
}

/// Memory of a process, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bytes {
    own: u64,
    shared: u64,
}

impl Bytes {
    fn and(self, other: Self) -> Self {
        Self {
            own: self.own.saturating_add(other.own),
            shared: self.shared.saturating_add(other.shared),
        }
    }
}

/// Whether the init can see what it has to see: its own memory is some.
pub(super) fn can_watch() -> bool {
    process_bytes(rustix::process::getpid()).is_some_and(|bytes| bytes.own > 0)
}

/// All processes of this namespace but its first.
fn namespace() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter(|pid| !pid.is_init()).collect()
}

fn process_bytes(pid: Pid) -> Option<Bytes> {
    let status = fs::read(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    Some(counted(&String::from_utf8_lossy(&status)))
}

/// The bytes in the text of a `status` file. The first line is the program's own to choose.
fn counted(status: &str) -> Bytes {
    let sum = |fields: &[&str]| {
        let lines = status.lines().skip(1);
        let kibibytes = lines.filter_map(|line| {
            let value = fields.iter().find_map(|field| line.strip_prefix(field))?;
            value.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        });
        kibibytes.fold(0, u64::saturating_add).saturating_mul(1024)
    };
    Bytes {
        own: sum(&OWN),
        shared: sum(&[SHARED]),
    }
}

/// What lies in the scratch directories, which are parts of one file system.
fn scratch_bytes() -> u64 {
    rustix::fs::statvfs("/tmp").map_or(0, |stat| {
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        used.saturating_mul(stat.f_frsize)
    })
}

/// What is in memory or swapped out of the System V segments of the cell.
fn segment_bytes() -> u64 {
    let table = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    counted_segments(&table)
}

/// The last two columns of each line but the first, which has their names.
fn counted_segments(table: &str) -> u64 {
    let numbers = table
        .lines()
        .skip(1)
        .flat_map(|line| line.split_whitespace().rev().take(2));
    let bytes = numbers.filter_map(|number| number.parse::<u64>().ok());
    bytes.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_to_counts() {
        let status = "Name:\tRssAnon:\t 7 kB\nVmRSS:\t    900 kB\nRssAnon:\t     100 kB\nRssFile:\t     700 kB\n\
            RssShmem:\t      20 kB\nVmSwap:\t       3 kB\n";
        let expected = Bytes {
            own: 103 * 1024,
            shared: 20 * 1024,
        };
        assert_eq!(counted(status), expected);
        assert_eq!(counted("Name:\tkthreadd\nState:\tS\n"), Bytes::default());
    }

    #[test]
    fn segments_count_whether_or_not_they_are_attached() {
        let table = "       key      shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime rss swap\n\
            1 0 600 8192 9 9 0 1 1 1 1 0 0 0 8192 4096\n 2 1 600 4096 9 9 1 1 1 1 1 0 0 0 100 0\n";
        assert_eq!(counted_segments(table), 12_388);
        assert_eq!(counted_segments(""), 0);
    }

    #[test]
    fn this_process_has_some() {
        let before = process_bytes(rustix::process::getpid()).unwrap().own;
        let block = vec![1_u8; 64 << 20];
        let after = process_bytes(rustix::process::getpid()).unwrap().own;
        assert!(after > before + (32 << 20), "{before} {after}");
        assert!(can_watch() && block[7] == 1);
    }
}
