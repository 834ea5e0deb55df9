//! What is in a file before and after a commit, for whoever wants to look at it before agreeing.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use crate::commit;
use crate::difference::{After, Change, Object};
use crate::error::{CommitError, commit_io};
use crate::place::{self, Ident};
use crate::stages::{self, Stage};

/// What is in a file on one side of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// No file is there.
    NoFile,
    /// These bytes.
    Bytes(Vec<u8>),
    /// More than was to be read.
    TooLong,
}

impl Stage {
    /// What is in the file before a change and after it, up to so many bytes. What comes after is what would be committed: it
    /// has the digest that was taken when the change was found.
    ///
    /// # Errors
    /// [`CommitError::NotShown`] or [`CommitError::Conflict`] if it is not what was found, [`CommitError::Io`].
    pub fn content(
        &self,
        upper: &str,
        change: &Change,
        most: u64,
    ) -> Result<(Content, Content), CommitError> {
        let Some(root) = self.roots().get(change.root) else {
            return Err(CommitError::Unfit);
        };
        let path = change.absolute(&root.path);
        let failed = || commit_io("read", &path);
        let before = match change.before {
            Some(before) if before.object == Object::File => {
                let file = open(&root.dir, &change.path).map_err(failed())?;
                let stat = rustix::fs::fstat(&file).map_err(failed())?;
                if Ident::of(&stat) != before.ident {
                    return Err(CommitError::Conflict(path));
                }
                read(&file, before.size, most).map_err(failed())?
            }
            _ => Content::NoFile,
        };
        let after = match &change.after {
            Some(After::File {
                instead: Some(content),
                ..
            }) => match content.len() as u64 > most {
                true => Content::TooLong,
                false => Content::Bytes(content.clone()),
            },
            Some(After::File { size, digest, .. }) => {
                let layer = self.layers(change.root).join(upper);
                let layer = stages::open_upper(&layer).map_err(failed())?;
                let file = open(&layer, &change.path).map_err(failed())?;
                let content = read(&file, *size, most).map_err(failed())?;
                if let Content::Bytes(bytes) = &content
                    && blake3::hash(bytes).as_bytes() != digest
                {
                    return Err(CommitError::NotShown(path));
                }
                content
            }
            _ => Content::NoFile,
        };
        Ok((before, after))
    }
}

fn open(dir: impl AsFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    place::open(dir, path, commit::READ)
}

fn read(file: &OwnedFd, size: u64, most: u64) -> rustix::io::Result<Content> {
    if size > most {
        return Ok(Content::TooLong);
    }
    portcullis_private::read_range(file, 0, size).map(Content::Bytes)
}
