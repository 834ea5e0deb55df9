//! Trees of processes, and how a test knows that they are gone.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use tokio::io::unix::AsyncFd;

use crate::fixture::PATIENCE;

/// A FIFO whose writing end every process of a tree holds: its end of file is the end of the tree.
///
/// A command is given no descriptors, so that its processes open the FIFO by its path.
pub(crate) struct Witness {
    path: PathBuf,
    reader: File,
}

impl Witness {
    pub(crate) fn new(dir: &Path) -> Self {
        Self::named(dir, "witness")
    }

    pub(crate) fn named(dir: &Path, name: &str) -> Self {
        let path = dir.join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::from_raw_mode(0o600)).unwrap();
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let reader = rustix::fs::open(&path, flags, Mode::empty()).unwrap();
        Self {
            path,
            reader: reader.into(),
        }
    }

    /// The shell command that makes a process, and all that it starts, hold the FIFO as `9`.
    pub(crate) fn hold(&self) -> String {
        format!("exec 9>'{}'\n", self.path.display())
    }

    /// Waits until the tree has written `count` lines, each from a process that holds the FIFO.
    pub(crate) async fn lines(&self, count: usize) {
        let copy = self.reader.try_clone().unwrap();
        // Safe or not by its signature, the descriptor lives as long as the value.
        #[expect(deprecated, reason = "its successor is unsafe")]
        let reader = AsyncFd::with_interest(copy, tokio::io::Interest::READABLE).unwrap();
        let mut seen = 0;
        let waited = tokio::time::timeout(PATIENCE, async {
            while seen < count {
                let mut ready = reader.readable().await.unwrap();
                let mut byte = [0; 1];
                match reader.get_ref().read(&mut byte) {
                    Ok(read) => {
                        assert_eq!(read, 1, "the tree ended after {seen} of {count} lines");
                        seen += usize::from(byte == *b"\n");
                    }
                    Err(_) => ready.clear_ready(),
                }
            }
        });
        waited
            .await
            .unwrap_or_else(|_| panic!("only {seen} of {count} lines came"));
    }

    /// Whether every holder is gone now.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.ends_within(Duration::ZERO)
    }

    /// Whether every holder is gone before `time` has passed.
    pub(crate) fn ends_within(&mut self, time: Duration) -> bool {
        let start = Instant::now();
        let mut bytes = [0; 4096];
        loop {
            let left = Timespec::try_from(time.saturating_sub(start.elapsed())).unwrap();
            let mut ready = [PollFd::new(&self.reader, PollFlags::IN)];
            let count = rustix::io::retry_on_intr(|| rustix::event::poll(&mut ready, Some(&left)));
            if count.unwrap() == 0 {
                return false;
            }
            if self.reader.read(&mut bytes).unwrap() == 0 {
                return true;
            }
        }
    }

    /// As [`Self::ends_within`], while others go on.
    pub(crate) async fn has_ended_within(&self, time: Duration) -> bool {
        let copy = self.reader.try_clone().unwrap();
        // As above.
        #[expect(deprecated, reason = "its successor is unsafe")]
        let reader = AsyncFd::with_interest(copy, tokio::io::Interest::READABLE).unwrap();
        let ended = tokio::time::timeout(time, async {
            loop {
                let mut ready = reader.readable().await.unwrap();
                let mut bytes = [0; 4096];
                match reader.get_ref().read(&mut bytes) {
                    Ok(0) => return,
                    Ok(_) => {}
                    Err(_) => ready.clear_ready(),
                }
            }
        });
        ended.await.is_ok()
    }

    /// A shell script whose processes fork, leave the session, hold standard output and ignore
    /// SIGTERM; each writes a line to the witness once it is as it should be, and stays for ever.
    pub(crate) fn stubborn_tree(&self) -> String {
        let hold = self.hold();
        format!(
            "{hold}trap '' TERM
             echo partial
             for i in 1 2 3; do
                 setsid sh -c '(echo >&9; exec sleep 1000) & echo >&9; sleep 1000; wait' &
             done
             echo >&9
             wait"
        )
    }
}

/// The lines of [`Witness::stubborn_tree`].
pub(crate) const STUBBORN_LINES: usize = 7;
