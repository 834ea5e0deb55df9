//! The search for protected names: follows each without the kernel following a link, and notes what
//! keeps it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::path::{Component, Path, PathBuf};

use portcullis_policy::FileId;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::beneath::{self, Found};
use super::protect::{Gap, Keep, KeptMount, MAX_MOUNTS, ProtectError, Protected, Uncovered};

/// Names that a `*` may stand for; where there are more, their directory is kept whole.
const MAX_NAMES: usize = 256;
/// Links followed for one name.
const MAX_LINKS: usize = 16;

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
    pub(super) tree: Vec<Vec<String>>,
    pub(super) git: Vec<Vec<String>>,
    pub(super) mounts: BTreeMap<PathBuf, (Keep, FileId)>,
    pub(super) not_covered: Vec<Uncovered>,
    /// What configurations name, whether it is there or not.
    pub(super) named: Vec<PathBuf>,
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

    /// Without a slash at the end, with which a path would mean a directory only.
    fn absolute(&self, path: &Path) -> PathBuf {
        self.real.components().chain(path.components()).collect()
    }

    pub(super) fn named_by_git(&self) -> Vec<PathBuf> {
        let links = self.mounts.iter();
        let links = links.filter(|(_, (keep, _))| *keep == Keep::Link);
        let paths = links.map(|(path, _)| path).chain(&self.named);
        // The directory itself is what is granted.
        let paths = paths.filter(|path| !path.as_os_str().is_empty());
        let mut named: Vec<_> = paths.map(|path| self.absolute(path)).collect();
        named.sort_unstable();
        named.dedup();
        named
    }

    pub(super) fn finish(self) -> Result<Protected, ProtectError> {
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
