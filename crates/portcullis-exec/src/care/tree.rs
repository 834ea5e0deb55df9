//! A writable directory around one command: the copies that it gets before, and what is put in order afterwards.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::beneath;
use super::git_config::{self, Change, Commit, Edited, Refused};
use super::harmless;
use super::protect::{self, Changed, Gap, Keep, Protected};
use super::staged::{self, STAGED_NAME};

/// How many names are tried for something that is set aside.
const MAX_NAMES: u32 = 100;

/// Something about a working tree that the operator should know after a command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TreeNote {
    /// The repository's configuration was changed as the command changed its copy.
    ConfigChanged {
        /// The configuration.
        config: PathBuf,
        /// What is different.
        changes: Vec<Change>,
    },
    /// The command changed its copy in a way that is not carried over, so nothing is.
    ConfigRefused {
        /// The configuration.
        config: PathBuf,
        /// What stands in the way.
        refused: Refused,
    },
    /// The configuration was not written, though it might have been.
    ConfigFailed {
        /// The configuration.
        config: PathBuf,
        /// Why.
        why: String,
    },
    /// A name that somebody else executes was made while the command ran. It has another name now.
    SetAside {
        /// Where it was.
        path: PathBuf,
        /// Where it is.
        to: PathBuf,
    },
    /// As [`TreeNote::SetAside`], but it is still there.
    Appeared {
        /// Where it is.
        path: PathBuf,
        /// Why it could not be moved.
        why: String,
    },
    /// It could not be looked through for names that others execute.
    NotLookedAt {
        /// The directory.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The cache of the command had more in it than is kept, and was emptied.
    CacheEmptied {
        /// The cache.
        path: PathBuf,
        /// Bytes that were counted, up to where it was too much; [`u64::MAX`] where they could not be.
        held: u64,
        /// Bytes that are kept.
        most: u64,
        /// Why it could not be emptied, if it could not.
        why: Option<String>,
    },
    /// A protected name was replaced from outside while the command ran, so for a time it was not protected.
    Replaced(PathBuf),
}

/// A writable directory and what keeps names in it.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) path: PathBuf,
    pub(crate) dir: File,
    pub(crate) protected: Protected,
}

/// A configuration that a command has a copy of.
#[derive(Debug)]
pub(crate) struct Copied {
    config: PathBuf,
    git_dir: OwnedFd,
    base: Vec<u8>,
    copy: OwnedFd,
}

impl Tree {
    /// Whether this is a configuration of a repository in this tree.
    pub(crate) fn has_config(&self, path: &Path) -> bool {
        let named = path.file_name().is_some_and(|name| name == STAGED_NAME);
        named && self.git_dir(path).is_ok_and(|dir| staged::is_git_dir(&dir))
    }

    fn git_dir(&self, config: &Path) -> rustix::io::Result<OwnedFd> {
        let inside = config.strip_prefix(&self.path).map_err(|_| Errno::XDEV)?;
        let dir = inside.parent().unwrap_or(inside);
        open_directory(self.dir.as_fd(), dir)
    }

    /// Fills a command's copy of a configuration.
    ///
    /// # Errors
    /// The configuration cannot be read as it could be when the plan was made, or the copy cannot be written.
    pub(crate) fn fill(
        &self,
        config: &Path,
        copies: &OwnedFd,
        number: usize,
    ) -> std::io::Result<Copied> {
        let git_dir = self.git_dir(config)?;
        let base = staged::read_config(&git_dir).map_err(std::io::Error::other)?;
        let copy = open_directory(copies.as_fd(), Path::new(&number.to_string()))?;
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = beneath::open(copy.as_fd(), Path::new(STAGED_NAME), flags, Mode::empty())?;
        staged::write_at_start(&file, &base)?;
        Ok(Copied {
            config: config.to_owned(),
            git_dir,
            base,
            copy,
        })
    }

    /// Looks at what a command left, once all its processes are dead, and sets aside what it must not have made. Says
    /// also whether the same mounts as before keep what is protected.
    pub(crate) fn settle(&self, names: &[String]) -> (Vec<TreeNote>, bool) {
        let (mut notes, mut appeared) = (Vec::new(), Vec::new());
        for changed in self.protected.changed(self.dir.as_fd()) {
            match changed {
                Changed::Appeared(path) => appeared.push(path),
                Changed::Replaced(path) => notes.push(TreeNote::Replaced(path)),
            }
        }
        let same = match protect::protect(self.dir.as_fd(), &self.path, names) {
            Ok(now) => {
                appeared.extend(self.new_names(&now, &appeared));
                now.mounts == self.protected.mounts
            }
            Err(error) => {
                notes.push(TreeNote::NotLookedAt {
                    path: self.path.clone(),
                    why: error.to_string(),
                });
                false
            }
        };
        appeared.sort();
        appeared.dedup();
        notes.extend(appeared.into_iter().filter_map(|path| self.set_aside(path)));
        (notes, same)
    }

    /// Protected names that only a second look finds: those of repositories that were not there. Where the first look
    /// did not see everything, only what lies in something that appeared is known to be new.
    fn new_names(&self, now: &Protected, appeared: &[PathBuf]) -> Vec<PathBuf> {
        let cut = |gap| matches!(gap, Gap::SearchLimit | Gap::TooMany | Gap::Unreadable);
        let whole = !self
            .protected
            .not_covered
            .iter()
            .any(|uncovered| cut(uncovered.why));
        let is_new = |path: &Path| {
            let was_kept = self.protected.mounts.iter().any(|mount| mount.path == path);
            !was_kept && (whole || appeared.iter().any(|new| path.starts_with(new)))
        };
        let kept = now.mounts.iter().filter(|mount| mount.keep != Keep::Pinned);
        let new = kept.filter(|mount| is_new(&mount.path));
        new.map(|mount| mount.path.clone()).collect()
    }

    fn set_aside(&self, path: PathBuf) -> Option<TreeNote> {
        let inside = path.strip_prefix(&self.path).unwrap_or(&path);
        if harmless::is_harmless(self.dir.as_fd(), inside) {
            return None;
        }
        match self.rename(inside) {
            Ok(to) => Some(TreeNote::SetAside { path, to }),
            Err(Errno::NOENT) => None,
            Err(errno) => Some(TreeNote::Appeared {
                path,
                why: std::io::Error::from(errno).to_string(),
            }),
        }
    }

    fn rename(&self, inside: &Path) -> rustix::io::Result<PathBuf> {
        let (Some(above), Some(name)) = (inside.parent(), inside.file_name()) else {
            return Err(Errno::INVAL);
        };
        let above = open_directory(self.dir.as_fd(), above)?;
        for number in 1..=MAX_NAMES {
            let mut aside = OsString::from(name);
            aside.push(format!(".set-aside-{number}"));
            let flags = RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(&above, name, &above, &aside, flags) {
                Ok(()) => return Ok(self.path.join(inside).with_file_name(aside)),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::EXIST)
    }
}

impl Copied {
    /// Carries over what may be carried over, once all processes of the command are dead. `None` when it changed
    /// nothing.
    pub(crate) fn settle(self) -> Option<TreeNote> {
        let Self {
            config,
            base,
            copy,
            git_dir,
        } = self;
        let failed = |config, why: &dyn std::error::Error| TreeNote::ConfigFailed {
            config,
            why: why.to_string(),
        };
        let staged = match staged::read_staged(&copy) {
            Ok(staged) => staged,
            Err(error) => return Some(failed(config, &error)),
        };
        match git_config::commit(&base, &staged) {
            Commit::Unchanged => None,
            Commit::Refused(refused) => Some(TreeNote::ConfigRefused { config, refused }),
            Commit::Write(edited) => Some(match staged::apply(&git_dir, &base, &edited) {
                Ok(()) => {
                    let Edited { changes, .. } = edited;
                    TreeNote::ConfigChanged { config, changes }
                }
                Err(error) => failed(config, &error),
            }),
        }
    }
}

fn open_directory(dir: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    beneath::open(dir, path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
}
