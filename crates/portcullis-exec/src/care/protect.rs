//! Which mounts keep the protected names of a writable directory as they are.
//!
//! The result is plain: mounts, nested in the writable one, that the applier puts on; and what they
//! do not cover. Each mount has the identity of what was found, so that the applier can open the
//! path again and refuse if something else is there by then.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::path::{Component, Path, PathBuf};

use portcullis_policy::FileId;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::beneath::{self, Found};
use super::nested;

/// Names that a `*` may stand for; where there are more, their directory is kept whole.
const MAX_NAMES: usize = 256;
/// Links followed for one name.
const MAX_LINKS: usize = 16;
/// Mounts in one writable directory.
const MAX_MOUNTS: usize = 2048;

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
    root: PathBuf,
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
/// at, five levels deep, for at most 64 repositories.
///
/// # Errors
/// [`ProtectError`]; what cannot be looked at deeper inside is kept read only and reported.
pub fn protect<S: AsRef<str>>(
    root: BorrowedFd<'_>,
    real: &Path,
    names: &[S],
) -> Result<Protected, ProtectError> {
    let mut survey = Survey {
        root,
        real,
        tree: Vec::new(),
        git: Vec::new(),
        mounts: BTreeMap::new(),
        not_covered: Vec::new(),
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
    survey.finish()
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

/// What a name leads to. Paths are relative to the root, without links.
pub(super) enum Step {
    /// Nothing; what would have to be made is here, links followed.
    Missing(PathBuf),
    Outside,
    At(PathBuf, Found),
}

/// The search and what it found so far. An error is one that concerns the root itself.
pub(super) struct Survey<'a> {
    pub(super) root: BorrowedFd<'a>,
    pub(super) real: &'a Path,
    tree: Vec<Vec<String>>,
    pub(super) git: Vec<Vec<String>>,
    mounts: BTreeMap<PathBuf, (Keep, FileId)>,
    not_covered: Vec<Uncovered>,
}

impl Survey<'_> {
    /// Keeps the names that count from the root, `None`, or from a repository's top. Missing ones
    /// are reported for the root only.
    pub(super) fn tree_names(&mut self, top: &Path) -> Result<(), Errno> {
        for name in self.tree.clone() {
            self.expand(top, &name, top.as_os_str().is_empty())?;
        }
        Ok(())
    }

    /// Keeps the names that count from a git directory.
    pub(super) fn git_names(&mut self, git_dir: &Path) -> Result<(), Errno> {
        for name in self.git.clone() {
            self.expand(git_dir, &name, true)?;
        }
        Ok(())
    }

    fn expand(&mut self, base: &Path, name: &[String], report: bool) -> Result<(), Errno> {
        let Some((first, rest)) = name.split_first() else {
            return Ok(());
        };
        let names = if first == "*" {
            match self.list(base)? {
                Some(names) => names,
                None => return Ok(()),
            }
        } else {
            vec![OsString::from(first)]
        };
        for one in names {
            match self.step(base, Path::new(&one))? {
                Some(Step::At(path, found))
                    if found.kind == FileType::Directory && !rest.is_empty() =>
                {
                    self.expand(&path, rest, report)?;
                }
                // Also a file where a directory would have to be: nothing can come to be below it.
                Some(Step::At(path, found)) => self.keep(&path, &found),
                Some(Step::Outside) => self.gap(&base.join(&one), Gap::LeadsOutside),
                Some(Step::Missing(path)) if report && first != "*" => {
                    let rest: PathBuf = rest.iter().take_while(|part| *part != "*").collect();
                    self.gap(&path.join(rest), Gap::Missing);
                }
                Some(Step::Missing(_)) | None => {}
            }
        }
        Ok(())
    }

    /// The names in a directory; `None` if it is kept whole instead.
    fn list(&mut self, dir: &Path) -> Result<Option<Vec<OsString>>, Errno> {
        match beneath::list(self.root, dir, MAX_NAMES) {
            Ok((names, true)) => Ok(Some(names.into_iter().map(|(name, _)| name).collect())),
            Ok((_, false)) => self
                .seal(dir, Gap::TooMany, Errno::TOOMANYREFS)
                .map(|()| None),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(Some(Vec::new())),
            Err(errno) => self.seal(dir, Gap::Unreadable, errno).map(|()| None),
        }
    }

    /// Follows a relative path from a directory, keeping each link on the way. `None` if what could
    /// not be looked at is kept whole instead.
    pub(super) fn step(&mut self, base: &Path, path: &Path) -> Result<Option<Step>, Errno> {
        let mut at = base.to_owned();
        let mut todo: Vec<PathBuf> = parts(path);
        let mut links = 0;
        let mut found = match self.look(&at)? {
            Some(Some(found)) => found,
            Some(None) => return Ok(Some(Step::Missing(at.join(path)))),
            None => return Ok(None),
        };
        let missing = |at: PathBuf, todo: &[PathBuf]| {
            Some(Step::Missing(
                todo.iter().rev().fold(at, |at, part| at.join(part)),
            ))
        };
        while let Some(part) = todo.pop() {
            match part.components().next() {
                Some(Component::Normal(_)) if found.kind != FileType::Directory => {
                    return Ok(missing(at.join(part), &todo));
                }
                Some(Component::Normal(name)) => {
                    let next = at.join(name);
                    found = match self.look(&next)? {
                        Some(Some(found)) => found,
                        Some(None) => return Ok(missing(next, &todo)),
                        None => return Ok(None),
                    };
                    if found.kind != FileType::Symlink {
                        at = next;
                        continue;
                    }
                    self.mount(&next, Keep::Link, found.id)?;
                    links += 1;
                    let target = beneath::target(&found.place)?;
                    if links > MAX_LINKS || !self.enter(&mut at, &target, &mut todo) {
                        return Ok(Some(Step::Outside));
                    }
                }
                Some(Component::ParentDir) => {
                    if !at.pop() {
                        return Ok(Some(Step::Outside));
                    }
                }
                Some(Component::RootDir | Component::Prefix(_)) => return Ok(Some(Step::Outside)),
                Some(Component::CurDir) | None => {}
            }
            found = beneath::find(self.root, &at)?;
        }
        Ok(Some(Step::At(at, found)))
    }

    /// Goes on with a link's target. False if it begins outside.
    fn enter(&self, at: &mut PathBuf, target: &Path, todo: &mut Vec<PathBuf>) -> bool {
        let target = if target.is_absolute() {
            at.clear();
            match target.strip_prefix(self.real) {
                Ok(target) => target,
                Err(_) => return false,
            }
        } else {
            target
        };
        todo.extend(parts(target));
        true
    }

    /// What is at a path without links, if anything. `None` if that could not be looked at and the
    /// directory above is kept whole.
    fn look(&mut self, path: &Path) -> Result<Option<Option<Found>>, Errno> {
        match beneath::find_if_any(self.root, path) {
            Ok(found) => Ok(Some(found)),
            Err(errno) => {
                let above = path.parent().unwrap_or(Path::new("")).to_owned();
                self.seal(&above, Gap::Unreadable, errno).map(|()| None)
            }
        }
    }

    /// Keeps a directory whole, because what is in it is not known.
    pub(super) fn seal(&mut self, dir: &Path, gap: Gap, errno: Errno) -> Result<(), Errno> {
        if dir.as_os_str().is_empty() {
            return Err(errno);
        }
        let mut dir = dir;
        let found = loop {
            match beneath::find(self.root, dir) {
                Ok(found) => break found,
                Err(errno) => match dir.parent() {
                    Some(above) if !above.as_os_str().is_empty() => dir = above,
                    _ => return Err(errno),
                },
            }
        };
        self.gap(dir, gap);
        self.mount(dir, Keep::ReadOnly, found.id)
    }

    /// Keeps what was found as it is.
    pub(super) fn keep(&mut self, path: &Path, found: &Found) {
        if path.as_os_str().is_empty() {
            return self.gap(path, Gap::IsRoot);
        }
        if found.kind == FileType::RegularFile && found.names > 1 {
            self.gap(path, Gap::HardLinked);
        }
        if self.mount(path, Keep::ReadOnly, found.id).is_err() {
            self.gap(path, Gap::Missing);
        }
    }

    /// Notes a mount, and one for each directory above it.
    fn mount(&mut self, path: &Path, keep: Keep, id: FileId) -> Result<(), Errno> {
        for above in path
            .ancestors()
            .skip(1)
            .filter(|above| !above.as_os_str().is_empty())
        {
            if !self.mounts.contains_key(above) {
                let found = beneath::find(self.root, above)?;
                self.mounts
                    .insert(above.to_owned(), (Keep::Pinned, found.id));
            }
        }
        let kept = self.mounts.entry(path.to_owned()).or_insert((keep, id));
        if kept.0 == Keep::Pinned {
            *kept = (keep, id);
        }
        Ok(())
    }

    pub(super) fn gap(&mut self, path: &Path, why: Gap) {
        let gap = Uncovered {
            path: self.absolute(path),
            why,
        };
        if !self.not_covered.contains(&gap) {
            self.not_covered.push(gap);
        }
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        if path.as_os_str().is_empty() {
            self.real.to_owned()
        } else {
            self.real.join(path)
        }
    }

    fn finish(self) -> Result<Protected, ProtectError> {
        let mut mounts: Vec<KeptMount> = Vec::new();
        let mut closed: Option<PathBuf> = None;
        // A path sorts before everything below it.
        for (path, (keep, id)) in &self.mounts {
            // A writable mount in a read-only one would be a hole in it.
            if closed
                .as_ref()
                .is_some_and(|closed| path.starts_with(closed))
            {
                continue;
            }
            if *keep == Keep::ReadOnly {
                closed = Some(path.clone());
            }
            mounts.push(KeptMount {
                path: self.absolute(path),
                keep: *keep,
                id: *id,
            });
        }
        if mounts.len() > MAX_MOUNTS {
            return Err(ProtectError::TooMany(self.real.to_owned()));
        }
        Ok(Protected {
            mounts,
            not_covered: self.not_covered,
            root: self.real.to_owned(),
        })
    }
}

/// The components of a path, the first one last.
fn parts(path: &Path) -> Vec<PathBuf> {
    path.components()
        .rev()
        .map(|part| PathBuf::from(part.as_os_str()))
        .collect()
}
