//! A pipe with a name that a tree holds: at its end there is nobody left.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::{CWD, FileType, Mode, OFlags, mknodat, open},
};

use crate::kit::scene::{PATIENCE, Scene};

/// The harness's end.
#[derive(Debug)]
pub(super) struct Fifo {
    reader: File,
}

impl Fifo {
    /// Makes `{rw}/fifo`, which the probe opens for writing.
    pub(super) fn new(scene: &Scene) -> Self {
        let path = PathBuf::from(scene.fill("{rw}/fifo"));
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        scene.user().own(Path::new(&path));
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let reader = File::from(open(&path, flags, Mode::empty()).unwrap());
        Self { reader }
    }

    /// Waits until `count` processes of the tree have written their letter.
    pub(super) fn wait_for_letters(&mut self, count: usize) {
        let mut seen = 0;
        let start = Instant::now();
        while seen < count {
            self.wait(PATIENCE.saturating_sub(start.elapsed()));
            let mut byte = [0; 1];
            // Before the first writer came a read is at the end, too.
            seen += self.reader.read(&mut byte).unwrap_or(0);
            assert!(start.elapsed() < PATIENCE, "only {seen} of {count} came");
        }
    }

    /// Whether nobody holds it any more.
    pub(super) fn is_at_end(&mut self) -> bool {
        let mut bytes = [0; 64];
        loop {
            match self.reader.read(&mut bytes) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Waits for its end; how long that took.
    pub(super) fn wait_for_end(&mut self) -> Duration {
        let start = Instant::now();
        while !self.is_at_end() {
            assert!(
                start.elapsed() < PATIENCE,
                "some process of the tree still holds the pipe"
            );
            self.wait(PATIENCE);
        }
        start.elapsed()
    }

    fn wait(&self, time: Duration) {
        let timeout = Timespec::try_from(time).unwrap();
        let mut ready = [PollFd::new(&self.reader, PollFlags::IN)];
        rustix::event::poll(&mut ready, Some(&timeout)).unwrap();
    }
}
