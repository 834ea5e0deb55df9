use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use crate::place::Ident;

/// What a staged run changed, as it is shown and agreed to. Sorted by root and path.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    /// What would be committed.
    pub changes: Vec<Change>,
    /// What never is. With any of these nothing is committed.
    pub refused: Vec<Refusal>,
    /// What somebody else changed since the stage began. With any of these nothing is committed.
    pub conflicts: Vec<Conflict>,
}

impl Difference {
    /// Whether nothing was changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.refused.is_empty() && self.conflicts.is_empty()
    }

    /// A digest of all that would be committed: paths, kinds, modes and contents.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for change in &self.changes {
            let path = change.path.as_os_str().as_encoded_bytes();
            hasher.update(&(change.root as u64).to_le_bytes());
            hasher.update(&(path.len() as u64).to_le_bytes());
            hasher.update(path);
            match &change.after {
                None => hasher.update(b"-"),
                Some(After::File { mode, digest, .. }) => hasher
                    .update(b"f")
                    .update(&mode.to_le_bytes())
                    .update(digest),
                Some(After::Directory { mode }) => hasher.update(b"d").update(&mode.to_le_bytes()),
                Some(After::Mode { mode }) => hasher.update(b"m").update(&mode.to_le_bytes()),
                Some(After::Link { target }) => {
                    let target = target.as_os_str().as_encoded_bytes();
                    hasher
                        .update(b"l")
                        .update(&(target.len() as u64).to_le_bytes())
                        .update(target)
                }
            };
        }
        *hasher.finalize().as_bytes()
    }

    /// Whether all of it can be committed.
    #[must_use]
    pub fn is_fit(&self) -> bool {
        self.refused.is_empty() && self.conflicts.is_empty()
    }
}

/// One thing that is different.
#[derive(Clone, Debug)]
pub struct Change {
    /// The number of the root.
    pub root: usize,
    /// The path in the root.
    pub path: PathBuf,
    /// What is there; `None` for what is new.
    pub before: Option<Before>,
    /// What is to be there; `None` for what is removed.
    pub after: Option<After>,
}

/// What is there before a commit.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    /// What it is.
    pub object: Object,
    /// Its size in bytes, if it is a file.
    pub size: u64,
    /// Its permission bits.
    pub mode: u32,
    pub(crate) ident: Ident,
}

/// What is there after a commit.
#[derive(Clone, Debug)]
pub enum After {
    /// A file with these bytes.
    File {
        /// Its size in bytes.
        size: u64,
        /// Its permission bits.
        mode: u32,
        /// The BLAKE3 of its content.
        digest: [u8; 32],
        /// The content itself, where it is not that which the run left.
        instead: Option<Vec<u8>>,
    },
    /// A directory.
    Directory {
        /// Its permission bits.
        mode: u32,
    },
    /// A link.
    Link {
        /// Where it leads, as it is written.
        target: PathBuf,
    },
    /// The same as before, with other permission bits.
    Mode {
        /// These.
        mode: u32,
    },
}

/// What something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, a socket or a FIFO.
    Other,
}

impl Object {
    pub(crate) fn of(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Link,
            _ => Self::Other,
        }
    }
}

/// Something that is never committed.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The number of the root.
    pub root: usize,
    /// The path in the root.
    pub path: PathBuf,
    /// Why.
    pub why: Why,
}

/// Why something is never committed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// It is a device, a socket or a FIFO.
    Special,
    /// It has a set-id or sticky bit that was not there.
    SpecialBits,
    /// It has extended attributes or an access list that were not there.
    Attributes,
    /// It is a link that does not lead beneath the root, or over another link.
    LeadsOut(PathBuf),
    /// Its name is one of ours.
    OurName,
    /// What is there belongs to another user, to whom the new file would not.
    OtherOwner,
    /// Another file system is mounted there, or it cannot be looked at.
    Unreadable(String),
    /// The mode of the root itself was changed.
    RootMode,
    /// Its name may not be changed.
    Name(String),
}

/// Something that somebody else changed meanwhile.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// The number of the root.
    pub root: usize,
    /// The path in the root.
    pub path: PathBuf,
    /// What became of it, as a clause.
    pub what: &'static str,
}

/// What becomes of a change by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is committed as it is.
    AsItIs,
    /// A file is committed with this content instead.
    Instead(Vec<u8>),
    /// It is no change that matters, and is left out.
    Nothing,
    /// It is refused, for this reason: a clause.
    Refused(String),
}

/// Says what becomes of changes by their names.
pub trait Judge {
    /// What becomes of one. `base` is the root as it is, `upper` what the run has left of it: only what is different.
    fn judge(&self, root: &crate::Root, upper: &std::os::fd::OwnedFd, change: &Change) -> Verdict;
}

/// Every name may be changed.
impl Judge for () {
    fn judge(&self, _: &crate::Root, _: &std::os::fd::OwnedFd, _: &Change) -> Verdict {
        Verdict::AsItIs
    }
}

impl Change {
    /// The path with that of its root.
    #[must_use]
    pub fn absolute(&self, root: &Path) -> PathBuf {
        root.join(&self.path)
    }
}
