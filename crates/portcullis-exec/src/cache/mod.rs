//! Caches that are kept between commands: a directory each, for commands that could do the same.
//!
//! ```text
//! <place>/<plugin>/<key>/about.json   whose it is, for people
//!                        lock         held by each command that has it; its time is that of the last one
//!                        files/       what the commands have
//!                  .old-1/             what is being removed
//! ```
//!
//! A cell is given `files` and nothing around it. It is the one thing of the host's own that a command reaches, and no
//! grant leads there: the place lies among what [`OwnState`] keeps. What decides between two commands is the key
//! ([`scope`]): one that can do more, or is given more, never finds what another has left.
//!
//! [`OwnState`]: ../portcullis/struct.OwnState.html

mod keep;
mod old;
mod scope;
mod tidy;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use portcullis_confine::{Access, Root};
use portcullis_policy::PluginId;
use portcullis_private::PrivateDir;
use rustix::fs::{FlockOperation, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;

pub use keep::{Cleared, KeptCache, caches, clear_caches};
pub(crate) use scope::Scope;

use crate::ExecFailure;
use crate::care::TreeNote;

/// Files in one cache.
const MAX_FILES: u64 = 200_000;
/// Caches of one plugin.
const MAX_CACHES: usize = 16;

/// Names in the directory of one cache.
const ABOUT: &str = "about.json";
const LOCK: &str = "lock";
const FILES: &str = "files";

/// Variables by which tools are told where their caches are, what each is below a cache, and where a tool has it
/// otherwise, below the home directory.
const VARIABLES: [(&str, &str, &str); 4] = [
    ("XDG_CACHE_HOME", "", ".cache"),
    ("NPM_CONFIG_CACHE", "npm", ".npm"),
    ("CARGO_HOME", "cargo", ".cargo/registry"),
    ("GOMODCACHE", "go/mod", "go/pkg/mod"),
];

/// The variables that lead a command into its cache, unless they are set otherwise.
pub const CACHE_VARIABLES: [&str; 4] = [
    VARIABLES[0].0,
    VARIABLES[1].0,
    VARIABLES[2].0,
    VARIABLES[3].0,
];

/// Whose commands they are: a cache belongs to one plugin, and to one version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheOwner {
    /// The plugin.
    pub plugin: PluginId,
    /// A digest of its file; empty for what is no file.
    pub digest: String,
}

/// One cache, as far as a plan depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cache {
    /// The directory of the plugin's caches.
    plugin: PathBuf,
    key: String,
    about: String,
    /// Most bytes that are kept.
    most: u64,
}

/// The right of one command to have its cache: while it lasts, nobody empties or removes that.
#[derive(Debug)]
pub(crate) struct InUse {
    _lock: Lock,
}

/// The lock of a cache, given up when this is dropped: closing the descriptor would leave it to a child that the host has
/// just forked, until that executes something.
#[derive(Debug)]
struct Lock(OwnedFd);

impl Drop for Lock {
    fn drop(&mut self) {
        // Where this fails the descriptor is closed all the same.
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

impl Cache {
    pub(crate) fn new(place: &Path, scope: &Scope<'_>, most: u64) -> Result<Self, ExecFailure> {
        let failed = |error| ExecFailure::Cache {
            path: place.to_owned(),
            source: io::Error::other(error),
        };
        Ok(Self {
            plugin: place.join(scope.plugin()),
            key: scope.key().map_err(failed)?,
            about: scope.about().map_err(failed)?,
            most,
        })
    }

    fn path(&self) -> PathBuf {
        self.plugin.join(&self.key)
    }

    /// Where its commands have it.
    pub(crate) fn files(&self) -> PathBuf {
        let files = self.path().join(FILES);
        // Once it has been opened it is there.
        files.canonicalize().unwrap_or(files)
    }

    fn failed(&self, source: impl Into<io::Error>) -> ExecFailure {
        ExecFailure::Cache {
            path: self.path(),
            source: source.into(),
        }
    }

    /// Opens it for a cell, and makes it if need be, for which another of the plugin's may have to go.
    ///
    /// # Errors
    /// [`ExecFailure::Cache`] when it cannot be made, or its directory is not ours alone; [`ExecFailure::Root`].
    pub(crate) fn open(&self) -> Result<Root, ExecFailure> {
        let all = PrivateDir::open_or_create(&self.plugin);
        all.map_err(|error| self.failed(io::Error::other(error)))?;
        let dir = self.directory()?;
        if dir
            .examine(ABOUT)
            .map_err(|error| self.failed(error))?
            .is_none()
        {
            keep::make_room(&self.plugin, &self.key).map_err(|error| self.failed(error))?;
            let written = dir.write_as(ABOUT, rustix::fs::RenameFlags::empty(), |file| {
                portcullis_private::write_all(file, self.about.as_bytes())
            });
            let written = written.map_err(|error| self.failed(io::Error::other(error)))?;
            written.map_err(|error| self.failed(error))?;
        }
        tidy::directory(&self.path(), FILES).map_err(|error| self.failed(error))?;
        old::sweep_meanwhile(&self.plugin);
        Root::open(&self.files(), Access::Write).map_err(ExecFailure::Root)
    }

    fn directory(&self) -> Result<PrivateDir, ExecFailure> {
        PrivateDir::open_or_create(&self.path())
            .map_err(|error| self.failed(io::Error::other(error)))
    }

    /// Takes the right to have it. Blocks while it is being emptied.
    ///
    /// # Errors
    /// [`ExecFailure::Cache`].
    pub(crate) fn hold(&self) -> Result<InUse, ExecFailure> {
        let lock = self.directory()?.open_or_create_file(LOCK);
        let lock = lock.map_err(|error| self.failed(io::Error::other(error)))?;
        let shared =
            rustix::io::retry_on_intr(|| rustix::fs::flock(&lock, FlockOperation::LockShared));
        shared.map_err(|error| self.failed(error))?;
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        let times = Timestamps {
            last_access: now,
            last_modification: now,
        };
        rustix::fs::futimens(&lock, &times).map_err(|error| self.failed(error))?;
        Ok(InUse { _lock: Lock(lock) })
    }

    /// Empties it if a command, which has ended, left more than is kept. Not while another command has it: then that one
    /// will.
    pub(crate) fn settle(&self) -> Option<TreeNote> {
        let note = |held: u64, why: Option<io::Error>| TreeNote::CacheEmptied {
            path: self.files(),
            held,
            most: self.most,
            why: why.map(|why| why.to_string()),
        };
        let files = tidy::open(&self.path(), FILES).ok()?;
        let size = tidy::measure(files, self.most, MAX_FILES);
        if size.bytes <= self.most && size.files <= MAX_FILES {
            return None;
        }
        let lock = match exclusive(&self.path()) {
            Ok(Some(lock)) => lock,
            Ok(None) => return None,
            Err(error) => return Some(note(size.bytes, Some(error))),
        };
        // Its mode may be any; it has to be writable to be moved.
        let moved = tidy::open(&self.path(), FILES);
        let moved = moved.and_then(|_| old::set_aside(&self.plugin, &self.path().join(FILES)));
        drop(lock);
        old::sweep_meanwhile(&self.plugin);
        Some(note(size.bytes, moved.err()))
    }

    /// The variables that lead tools there, but for tools whose usual place is granted.
    pub(crate) fn variables(
        &self,
        home: Option<&Path>,
        granted: &[&Path],
    ) -> Vec<(&'static str, String)> {
        let files = self.files();
        let is_granted = |usual: &str| {
            let usual = home.map(|home| home.join(usual));
            usual.is_some_and(|usual| {
                let mut granted = granted.iter();
                granted.any(|root| usual.starts_with(root) || root.starts_with(&usual))
            })
        };
        let variables = VARIABLES.iter().filter(|(_, _, usual)| !is_granted(usual));
        let variables = variables.filter_map(|(name, below, _)| {
            // Without a slash at its end.
            let path = if below.is_empty() {
                files.clone()
            } else {
                files.join(below)
            };
            Some((*name, path.to_str()?.to_owned()))
        });
        variables.collect()
    }
}

/// The right to empty or remove a cache; `None` while a command has it.
fn exclusive(cache: &Path) -> io::Result<Option<Lock>> {
    let dir = PrivateDir::open(cache).map_err(io::Error::other)?;
    let lock = dir.open_or_create_file(LOCK).map_err(io::Error::other)?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Lock(lock))),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_given_up_even_if_a_child_has_its_descriptor() {
        let cache = tempfile::tempdir().unwrap();
        let lock = exclusive(cache.path()).unwrap().unwrap();
        let of_child = lock.0.try_clone().unwrap();
        assert!(exclusive(cache.path()).unwrap().is_none());
        drop(lock);
        assert!(exclusive(cache.path()).unwrap().is_some());
        drop(of_child);
    }
}
