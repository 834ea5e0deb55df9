//! Which mounts keep the protected names of a writable directory as they are.
//!
//! The result is plain: mounts, nested in the writable one, that the applier puts on; and what they
//! do not cover. Each mount has the identity of what was found, so that the applier can open the
//! path again and refuse if something else is there by then.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use portcullis_policy::FileId;
use rustix::io::Errno;

use super::beneath;
use super::nested;
use super::survey::Survey;

/// Mounts in one writable directory.
pub(super) const MAX_MOUNTS: usize = 2048;

/// How a place inside a writable directory is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// A mount of it on itself: writable inside as before, but it cannot be renamed or removed.
    Pinned,
    /// The same, read only.
    ReadOnly,
    /// A mount of a link's own inode on itself, so that the link cannot be replaced. Needs
    /// `open_tree` with `AT_SYMLINK_NOFOLLOW` and `move_mount`; `mount(2)` would follow it.
    Link,
}

/// One mount inside a writable directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptMount {
    /// Absolute, real (the last component of a [`Keep::Link`] is the link).
    pub path: PathBuf,
    /// How.
    pub keep: Keep,
    /// What was there. If something else is by now, the plan is void.
    pub id: FileId,
}

/// Something that no mount keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uncovered {
    /// Absolute; where a name with a `*` stands for nothing yet it is not listed.
    pub path: PathBuf,
    /// Why not.
    pub why: Gap,
}

/// Why something is not kept, or not only as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gap {
    /// It does not exist, so there is nothing to mount on. [`Protected::changed`] finds it later.
    Missing,
    /// A link leads out of the directory. The link is kept; where it leads is another grant's.
    LeadsOutside,
    /// It has other names; who can write one of them changes this one too.
    HardLinked,
    /// It is the writable directory itself.
    IsRoot,
    /// It could not be looked at; the directory above it is kept whole instead.
    Unreadable,
    /// Too many names for a `*`; their directory is kept whole instead.
    TooMany,
    /// A git configuration that git could not read either; what it names is not known.
    Unparsed,
    /// The search for repositories ended here; what is deeper or was not reached is not kept.
    SearchLimit,
}

/// What keeps a writable directory's protected names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protected {
    /// Sorted, outer before inner. None lies in another that is [`Keep::ReadOnly`].
    pub mounts: Vec<KeptMount>,
    /// What none of them covers.
    pub not_covered: Vec<Uncovered>,
    pub(super) root: PathBuf,
}

/// Something that is not as it was when the mounts were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// A protected name that was missing is there now.
    Appeared(PathBuf),
    /// Something else is there, or nothing. If another program put it there while a command ran, the
    /// mount was gone from that moment: a rename over a name takes the mounts on it away everywhere
    /// but in the namespace that the rename is made in.
    Replaced(PathBuf),
}

/// Why a writable directory cannot be granted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtectError {
    /// Something directly in it could not be looked at, and it cannot be kept whole.
    #[error("cannot look for protected names in `{}`: {source}", .root.display())]
    Root {
        /// The directory.
        root: PathBuf,
        /// Why.
        source: Errno,
    },
    /// More mounts than a plan may have.
    #[error("protecting the names in `{}` takes more than {MAX_MOUNTS} mounts", .0.display())]
    TooMany(PathBuf),
}

/// Computes the mounts that keep the protected names of a writable directory.
///
/// `names` are paths without a leading `/`, a component `*` stands for any one name. Each counts from
/// the directory and from the top of every repository found in it; those that begin with `.git/`
/// count from each git directory, wherever it is: a submodule's, a bare one, and `root` itself if it
/// is one. With them go what a repository's configuration names: `core.hooksPath` and includes.
///
/// Links are never followed by the kernel. A link among the protected names is kept as a link, and
/// where it leads, if that is in the directory, is kept as well.
///
/// # Authority
/// Ambient: looks with the process's own rights, only below `root`.
///
/// # Shapes and units
/// `root` is opened as a place, `real` its real path. At most 20,000 directory entries are looked
/// at, five levels deep, for at most 64 repositories: up to some hundred milliseconds in a large
/// tree, so not for each command. [`Protected::changed`] takes some microseconds and says whether an
/// earlier result still holds, except for repositories that are new.
///
/// # Errors
/// [`ProtectError`]; what cannot be looked at deeper inside is kept read only and reported.
pub fn protect<S: AsRef<str>>(
    root: BorrowedFd<'_>,
    real: &Path,
    names: &[S],
) -> Result<Protected, ProtectError> {
    look(root, real, names)?.finish()
}

/// What the configurations of the repositories in a directory name, and git runs or reads: `core.hooksPath` and
/// includes, and each link on the way to one. Whoever may write the directory must not change these, and [`protect`]
/// keeps them for commands.
///
/// # Authority
/// As [`protect`], which looks at as much.
///
/// # Shapes and units
/// Absolute real paths in `real`, also of what is not there yet, sorted.
///
/// # Errors
/// [`ProtectError::Root`].
pub fn named_by_git<S: AsRef<str>>(
    root: BorrowedFd<'_>,
    real: &Path,
    names: &[S],
) -> Result<Vec<PathBuf>, ProtectError> {
    Ok(look(root, real, names)?.named_by_git())
}

fn look<'a, S: AsRef<str>>(
    root: BorrowedFd<'a>,
    real: &'a Path,
    names: &[S],
) -> Result<Survey<'a>, ProtectError> {
    let mut survey = Survey {
        root,
        real,
        tree: Vec::new(),
        git: Vec::new(),
        mounts: BTreeMap::new(),
        not_covered: Vec::new(),
        named: Vec::new(),
    };
    for name in names {
        match name.as_ref().strip_prefix(".git/") {
            Some(name) => survey
                .git
                .push(name.split('/').map(str::to_owned).collect()),
            None => survey
                .tree
                .push(name.as_ref().split('/').map(str::to_owned).collect()),
        }
    }
    nested::survey(&mut survey).map_err(|source| ProtectError::Root {
        root: real.to_owned(),
        source,
    })?;
    Ok(survey)
}

impl Protected {
    /// Looks again, after the last command is dead: which protected names appeared, and which were
    /// replaced from outside. What is reported was not necessarily done by a command.
    ///
    /// # Authority
    /// As [`protect`], with the same `root`.
    pub fn changed(&self, root: BorrowedFd<'_>) -> Vec<Changed> {
        let look = |path: &Path| {
            let path = path.strip_prefix(&self.root).unwrap_or(path);
            beneath::find_if_any(root, path)
        };
        let missing = self
            .not_covered
            .iter()
            .filter(|name| name.why == Gap::Missing);
        let appeared = missing.filter(|name| !matches!(look(&name.path), Ok(None)));
        let kept = self
            .mounts
            .iter()
            .filter(|mount| mount.keep != Keep::Pinned);
        let replaced = kept
            .filter(|mount| !matches!(look(&mount.path), Ok(Some(found)) if found.id == mount.id));
        let appeared = appeared.map(|name| Changed::Appeared(name.path.clone()));
        appeared
            .chain(replaced.map(|mount| Changed::Replaced(mount.path.clone())))
            .collect()
    }
}
