//! What a command, and everything that it started, asked the kernel about by name.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::{OsStr, OsString},
    path::PathBuf,
};

/// Most names that are kept.
const MAX_NAMES: usize = 20_000;
/// Most bytes that they have together.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What a command and everything that it started looked at, as far as it was seen: a hint, never a proof.
///
/// It is what was asked for, whether or not it was there or was refused; and a program that wants to can have something
/// else done than what was read here, because the kernel reads the name after this process has.
///
/// Names are absolute, as the command says them: a relative one is joined to the directory from which it was meant at
/// that moment; `.`, `..` and doubled slashes are taken out by the text alone, so they do not lead through symbolic
/// links. What the kernel opens by itself has no name here: the interpreter of a script, the loader of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Files and directories.
    pub paths: BTreeMap<PathBuf, Touch>,
    /// Programs that were to be executed, and how often; without the command itself.
    pub programs: BTreeMap<PathBuf, u64>,
    /// Whether there were more names than are kept: 20,000, or 4 MiB. Those that came first are here, with all that
    /// was done with them.
    pub truncated: bool,
    /// Calls whose name could not be read.
    pub unseen: u64,
}

/// How often something was done with a file or directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touch {
    /// Opened to be read. A program may list a directory that it opened so.
    pub read: u64,
    /// Opened to be written or made, or changed by its name: made, removed, renamed, linked, cut, given another mode,
    /// owner, time or attribute.
    pub write: u64,
    /// Opened as a directory.
    pub list: u64,
    /// Asked about: what it is, whether it is there, where it leads; entered, or opened with `O_PATH`.
    pub look: u64,
}

/// What was done with a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Deed {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) list: bool,
    pub(crate) look: bool,
    pub(crate) execute: bool,
}

impl Deed {
    pub(crate) const WRITE: Self = Self {
        write: true,
        ..Self::NOTHING
    };
    pub(crate) const LIST: Self = Self {
        list: true,
        ..Self::NOTHING
    };
    pub(crate) const LOOK: Self = Self {
        look: true,
        ..Self::NOTHING
    };
    pub(crate) const EXECUTE: Self = Self {
        execute: true,
        ..Self::NOTHING
    };
    const NOTHING: Self = Self {
        read: false,
        write: false,
        list: false,
        look: false,
        execute: false,
    };
}

/// An [`Observed`] in the making, which takes no more memory than its bounds.
#[derive(Debug, Default)]
pub(crate) struct Record {
    paths: HashMap<OsString, Touch>,
    programs: HashMap<OsString, u64>,
    bytes: usize,
    truncated: bool,
    unseen: u64,
}

impl Record {
    pub(crate) fn add(&mut self, name: &OsStr, deed: Deed) {
        if deed.execute {
            if let Some(count) = self.programs.get_mut(name) {
                *count += 1;
            } else if self.has_room(name) {
                self.programs.insert(name.to_owned(), 1);
            }
            return;
        }
        if !self.paths.contains_key(name) {
            if !self.has_room(name) {
                return;
            }
            self.paths.insert(name.to_owned(), Touch::default());
        }
        if let Some(touch) = self.paths.get_mut(name) {
            touch.read += u64::from(deed.read);
            touch.write += u64::from(deed.write);
            touch.list += u64::from(deed.list);
            touch.look += u64::from(deed.look);
        }
    }

    pub(crate) fn add_unseen(&mut self) {
        self.unseen += 1;
    }

    /// Takes the room for one more name, if there is any.
    fn has_room(&mut self, name: &OsStr) -> bool {
        let bytes = self.bytes + name.len();
        if self.paths.len() + self.programs.len() >= MAX_NAMES || bytes > MAX_BYTES {
            self.truncated = true;
            return false;
        }
        self.bytes = bytes;
        true
    }

    pub(crate) fn finish(self) -> Observed {
        Observed {
            paths: named(self.paths),
            programs: named(self.programs),
            truncated: self.truncated,
            unseen: self.unseen,
        }
    }
}

fn named<T>(names: HashMap<OsString, T>) -> BTreeMap<PathBuf, T> {
    let names = names.into_iter();
    names
        .map(|(name, what)| (PathBuf::from(name), what))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Deed = Deed {
        read: true,
        ..Deed::NOTHING
    };

    #[test]
    fn names_have_bounds_and_what_is_known_still_counts() {
        let mut record = Record::default();
        for number in 0..MAX_NAMES + 5 {
            record.add(OsStr::new(&format!("/{number}")), READ);
        }
        record.add(OsStr::new("/0"), READ);
        record.add(OsStr::new("/0"), Deed::EXECUTE);
        let observed = record.finish();
        assert!(observed.truncated);
        assert_eq!(observed.paths.len(), MAX_NAMES);
        assert_eq!(observed.paths[&PathBuf::from("/0")].read, 2);
        assert!(observed.programs.is_empty());
    }

    #[test]
    fn bytes_have_bounds() {
        let mut record = Record::default();
        let long = "x".repeat(MAX_BYTES / 1000);
        for number in 0..999 {
            record.add(
                OsStr::new(&format!("/{number:03}{long}")[..long.len()]),
                READ,
            );
        }
        assert!(!record.truncated);
        record.add(OsStr::new(&"y".repeat(MAX_BYTES / 100)), Deed::EXECUTE);
        let observed = record.finish();
        assert!(observed.truncated);
        assert_eq!((observed.paths.len(), observed.programs.len()), (999, 0));
    }
}
