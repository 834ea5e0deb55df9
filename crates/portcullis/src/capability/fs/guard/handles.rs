//! What an instance holds of files by WASI: each costs the host a descriptor, memory, or both.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::sync::{Arc, Weak};

use rustix::fs::Dir;

use super::room::Room;

/// Files and directories that one instance may have open, besides those it was given. Hosts have about a thousand
/// descriptors for everything.
pub(crate) const OPEN: usize = 128;
/// Streams from and to files. One that was not read keeps 64 KiB.
pub(super) const STREAMS: usize = 256;
/// Names in all directories that are being listed.
pub(super) const LISTED: usize = 131_072;

/// Shared by nobody: each instance has its own.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    /// A file is open as long as anything has it: the guest may have dropped its descriptor and kept a stream.
    open: Vec<Weak<File>>,
    /// Each stream has one of these.
    streams: Arc<()>,
    /// Directories being listed by their place in the table, with the number of names.
    listed: HashMap<u32, usize>,
    /// What is known of the directory that only the plugin has.
    pub(super) room: Room,
}

/// A stream's part of what there may be.
pub(super) type Stream = Arc<()>;

impl Handles {
    /// Whether another file may be opened.
    pub(super) fn has_room(&mut self) -> bool {
        if self.open.len() >= OPEN {
            self.open.retain(|file| file.strong_count() > 0);
        }
        self.open.len() < OPEN
    }

    pub(super) fn opened(&mut self, file: &Arc<File>) {
        self.open.push(Arc::downgrade(file));
    }

    /// Counts another stream for as long as what is returned is kept. `None` if there are too many.
    pub(super) fn stream(&self) -> Option<Stream> {
        (Arc::strong_count(&self.streams) <= STREAMS).then(|| Arc::clone(&self.streams))
    }

    /// Names that another listing may have.
    pub(super) fn names_left(&self) -> usize {
        LISTED.saturating_sub(self.listed.values().sum())
    }

    pub(super) fn listing(&mut self, rep: u32, names: usize) {
        // One without names is kept as well.
        self.listed.insert(rep, names.max(1));
    }

    pub(super) fn listing_is_over(&mut self, rep: u32) {
        self.listed.remove(&rep);
    }
}

/// How many names a directory has; one more than `most` stands for any number above.
///
/// # Errors
/// What the system says.
pub(super) fn names(dir: impl AsFd, most: usize) -> rustix::io::Result<usize> {
    let mut names = 0;
    for entry in Dir::read_from(dir)? {
        entry?;
        if names > most {
            break;
        }
        names += 1;
    }
    Ok(names)
}
