//! How a commit is taken back: every step, with what it finds and what it leaves.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::RenameFlags;
use rustix::io::Errno;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::place::{self, Ident};
use crate::{Root, TEMPORARY};

/// One step of a commit.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) root: usize,
    #[serde(with = "bytes")]
    pub(crate) path: PathBuf,
    pub(crate) act: Act,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Act {
    /// What is there goes to the temporary directory.
    Remove { old: Ident },
    /// Something new comes from there.
    Put { new: Ident },
    /// Both at once.
    Swap { old: Ident, new: Ident },
    /// It gets other permission bits.
    Mode {
        dev: u64,
        ino: u64,
        from: u32,
        to: u32,
    },
}

/// What a stage is about, written when it begins.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Roots {
    pub(crate) version: u32,
    pub(crate) id: String,
    pub(crate) owner: String,
    pub(crate) roots: Vec<RootPath>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RootPath {
    #[serde(with = "bytes")]
    pub(crate) path: PathBuf,
    pub(crate) dev: u64,
    pub(crate) ino: u64,
}

/// Why a step was not taken, or not taken back.
pub(crate) enum Stuck {
    /// What was there is not what was looked at.
    Changed,
    System(Errno),
}

impl From<Errno> for Stuck {
    fn from(errno: Errno) -> Self {
        match errno {
            // A link on the way, something gone, something in the way, a mount.
            Errno::LOOP | Errno::NOENT | Errno::NOTDIR | Errno::EXIST | Errno::XDEV => {
                Self::Changed
            }
            errno => Self::System(errno),
        }
    }
}

/// The temporary directory of a stage in a root.
pub(crate) fn temporary(id: &str) -> String {
    format!("{TEMPORARY}{id}")
}

pub(crate) fn new_name(number: usize) -> String {
    format!("n{number}")
}

pub(crate) fn old_name(number: usize) -> String {
    format!("o{number}")
}

impl Step {
    /// Takes the step; what came out of it is what was looked at, or it is not taken.
    pub(crate) fn take(&self, number: usize, root: &Root, id: &str) -> Result<(), Stuck> {
        if let Act::Mode { dev, ino, from, to } = self.act {
            return self.mode(root, (dev, ino), from, to).map(drop);
        }
        let (parent, name) = place::parent(&root.dir, &self.path)?;
        let temporary = place::open(&root.dir, Path::new(&temporary(id)), PLACE)?;
        match self.act {
            Act::Remove { old } => {
                let aside = old_name(number);
                rename(&parent, name, &temporary, &aside, RenameFlags::NOREPLACE)?;
                if is_unchanged(&temporary, &aside, &old)? {
                    return Ok(());
                }
                rename(&temporary, &aside, &parent, name, RenameFlags::NOREPLACE)?;
                Err(Stuck::Changed)
            }
            Act::Put { .. } => {
                let new = new_name(number);
                rename(&temporary, &new, &parent, name, RenameFlags::NOREPLACE)?;
                Ok(())
            }
            Act::Swap { old, .. } => {
                let new = new_name(number);
                rename(&temporary, &new, &parent, name, RenameFlags::EXCHANGE)?;
                if is_unchanged(&temporary, &new, &old)? {
                    return Ok(());
                }
                rename(&temporary, &new, &parent, name, RenameFlags::EXCHANGE)?;
                Err(Stuck::Changed)
            }
            Act::Mode { .. } => Ok(()),
        }
    }

    /// Takes the step back if it was taken, which the places themselves say.
    pub(crate) fn take_back(&self, number: usize, root: &Root, id: &str) -> Result<(), Stuck> {
        if let Act::Mode { dev, ino, from, to } = self.act {
            // Not set yet, or set by somebody else.
            return match self.mode(root, (dev, ino), to, from) {
                Err(Stuck::Changed) | Ok(()) => Ok(()),
                stuck => stuck,
            };
        }
        let temporary = place::open(&root.dir, Path::new(&temporary(id)), PLACE)?;
        match self.act {
            Act::Remove { .. } => {
                let aside = old_name(number);
                if place::in_directory(&temporary, &aside)?.is_none() {
                    return Ok(());
                }
                let (parent, name) = place::parent(&root.dir, &self.path)?;
                rename(&temporary, &aside, &parent, name, RenameFlags::NOREPLACE)?;
            }
            Act::Put { new } => {
                let own = new_name(number);
                if place::in_directory(&temporary, &own)?.is_some() {
                    return Ok(());
                }
                let (parent, name) = place::parent(&root.dir, &self.path)?;
                if !is_same(&parent, name, &new)? {
                    return Err(Stuck::Changed);
                }
                rename(&parent, name, &temporary, &own, RenameFlags::NOREPLACE)?;
            }
            Act::Swap { new, .. } => {
                let own = new_name(number);
                let held = place::in_directory(&temporary, &own)?.ok_or(Stuck::Changed)?;
                if new.is(&held) {
                    return Ok(());
                }
                let (parent, name) = place::parent(&root.dir, &self.path)?;
                if !is_same(&parent, name, &new)? {
                    return Err(Stuck::Changed);
                }
                rename(&temporary, &own, &parent, name, RenameFlags::EXCHANGE)?;
            }
            Act::Mode { .. } => {}
        }
        Ok(())
    }

    fn mode(&self, root: &Root, (dev, ino): (u64, u64), from: u32, to: u32) -> Result<(), Stuck> {
        let (place, stat) = place::find(&root.dir, &self.path)?;
        let is_it = (dev, ino) == (stat.st_dev, stat.st_ino) && place::permissions(&stat) == from;
        if !is_it || place::kind(&stat) == rustix::fs::FileType::Symlink {
            return Err(Stuck::Changed);
        }
        // What a directory hands down it keeps.
        place::set_mode(&place, place::special_bits(&stat) | to)?;
        Ok(())
    }
}

const PLACE: rustix::fs::OFlags = rustix::fs::OFlags::PATH.union(rustix::fs::OFlags::DIRECTORY);

fn rename(
    from: &std::os::fd::OwnedFd,
    old: impl AsRef<OsStr>,
    to: &std::os::fd::OwnedFd,
    new: impl AsRef<OsStr>,
    how: RenameFlags,
) -> rustix::io::Result<()> {
    rustix::fs::renameat_with(from, old.as_ref(), to, new.as_ref(), how)
}

/// Whether what was moved is what was looked at: a file with its size and time, a directory with nothing left in it.
fn is_unchanged(dir: &std::os::fd::OwnedFd, name: &str, old: &Ident) -> rustix::io::Result<bool> {
    let Some(stat) = place::in_directory(dir, name)? else {
        return Ok(false);
    };
    let is_directory = place::kind(&stat) == rustix::fs::FileType::Directory;
    let holds = is_directory && !place::names(dir, Path::new(name))?.is_empty();
    Ok(Ident::of(&stat) == *old && !holds)
}

/// Whether what lies there is what a commit put there. Directories may have got another mode since.
fn is_same(dir: &std::os::fd::OwnedFd, name: &OsStr, new: &Ident) -> rustix::io::Result<bool> {
    let Some(stat) = place::in_directory(dir, name)? else {
        return Ok(false);
    };
    let is_directory = place::kind(&stat) == rustix::fs::FileType::Directory;
    Ok(new.is(&stat) && (is_directory || Ident::of(&stat) == *new))
}

/// Paths as the bytes that they are.
mod bytes {
    use super::{
        Deserialize, Deserializer, OsStrExt, OsString, OsStringExt, Path, PathBuf, Serializer,
    };

    pub(super) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(path.as_os_str().as_bytes()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PathBuf, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decode(text).map_err(serde::de::Error::custom)?;
        Ok(PathBuf::from(OsString::from_vec(bytes)))
    }
}
