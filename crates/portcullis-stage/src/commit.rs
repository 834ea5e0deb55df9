//! Committing what was shown.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use portcullis_private::write_all;
use rustix::fs::{AtFlags, FileType, FlockOperation, Gid, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::difference::{After, Change, Difference, Object};
use crate::error::{CommitError, StageError, Unrecovered, commit_io};
use crate::journal::{self, Act, Step, Stuck, new_name};
use crate::place::{self, Ident};
use crate::special;
use crate::stages::{self, DONE, JOURNAL, Root, Stage};

/// What was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// How many changes.
    pub changes: usize,
}

/// Where a commit is. A test may have it fail, or the process end, before each of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Point {
    /// The temporary directory of a root is made.
    Temporary,
    /// Something new is made in it.
    Make,
    /// The content of a file is written.
    Content,
    /// The journal is written.
    Journal,
    /// A step of it is taken.
    Step,
    /// Directories are written to the disk.
    Sync,
    /// It is said to be complete.
    Done,
    /// What was there before is removed.
    Clear,
    /// The journal is removed.
    Remove,
}

/// Changes up to which each is written to the disk by itself.
const FEW: usize = 256;

/// How a file is opened whose content is read.
pub(crate) const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK);

/// Says whether a commit goes on.
type Probe<'a> = &'a dyn Fn(Point) -> std::io::Result<()>;

impl Stage {
    /// Commits a difference that was taken of this stage and agreed to.
    ///
    /// All of it is there afterwards, or, after an error, nothing. When the process is killed meanwhile, the next
    /// [`recover`](crate::Stages::recover) sees to that.
    ///
    /// # Authority
    /// Ambient: writes beneath the roots, with the process's own rights.
    ///
    /// # Errors
    /// [`CommitError`]. After [`CommitError::Torn`] something of it is there; the journal is kept.
    pub fn commit(self, upper: &str, difference: &Difference) -> Result<Committed, CommitError> {
        self.commit_with(upper, difference, &|_| Ok(()))
    }

    /// As [`commit`](Self::commit), for tests that end it somewhere.
    ///
    /// # Errors
    /// As [`commit`](Self::commit), and what `probe` says.
    #[doc(hidden)]
    pub fn commit_with(
        mut self,
        upper: &str,
        difference: &Difference,
        probe: Probe<'_>,
    ) -> Result<Committed, CommitError> {
        if !difference.is_fit() {
            return Err(CommitError::Unfit);
        }
        rustix::io::retry_on_intr(|| rustix::fs::flock(&self.turn, FlockOperation::LockExclusive))
            .map_err(commit_io("wait for", self.dir.path()))?;
        let mut work = Work {
            stage: &self,
            upper,
            probe,
            steps: Vec::new(),
            late: Vec::new(),
            each: difference.changes.len() <= FEW,
        };
        let done = work.prepare(difference).and_then(|()| work.apply());
        let steps = work.steps;
        if let Err(error) = done {
            // Before anything is taken back: with it, what was there before would be taken for rubbish.
            let _: rustix::io::Result<()> = self.dir.remove(DONE);
            return Err(match self.undo(&steps) {
                Ok(()) => error,
                Err(unrecovered) => {
                    self.torn = true;
                    CommitError::Torn(unrecovered)
                }
            });
        }
        // It is complete. What cannot be tidied up now is by the next one.
        self.torn = true;
        for root in &self.roots {
            if probe(Point::Clear).is_err() || clear(root, &self.id).is_err() {
                return Ok(Committed {
                    changes: difference.changes.len(),
                });
            }
        }
        self.torn = probe(Point::Remove).is_err();
        Ok(Committed {
            changes: difference.changes.len(),
        })
    }

    fn undo(&self, steps: &[Step]) -> Result<(), Unrecovered> {
        let stuck = |root: PathBuf, why| Unrecovered {
            kept: root.join(journal::temporary(&self.id)),
            journal: self.dir.path().to_owned(),
            root,
            why,
        };
        stages::take_back(steps, &self.roots, &self.id).map_err(|(root, why)| stuck(root, why))?;
        for root in &self.roots {
            clear(root, &self.id).map_err(|errno| {
                stuck(root.path.clone(), std::io::Error::from(errno).to_string())
            })?;
        }
        Ok(())
    }
}

struct Work<'a> {
    stage: &'a Stage,
    upper: &'a str,
    probe: Probe<'a>,
    steps: Vec<Step>,
    /// Whether each file is written to the disk by itself, instead of the whole file system at once.
    each: bool,
    /// Modes, which are set last: what a directory lets nobody do is still to be done in it.
    late: Vec<Step>,
}

impl Work<'_> {
    fn at(&self, point: Point) -> Result<(), CommitError> {
        (self.probe)(point).map_err(commit_io("go on with", self.stage.dir.path()))
    }

    /// Makes everything that is new, beside the trees, and writes down what is to be done with it.
    fn prepare(&mut self, difference: &Difference) -> Result<(), CommitError> {
        let stage = self.stage;
        let touched: BTreeSet<_> = difference
            .changes
            .iter()
            .map(|change| change.root)
            .collect();
        let mut places = Vec::with_capacity(stage.roots.len());
        for (number, root) in stage.roots.iter().enumerate() {
            places.push(match touched.contains(&number) {
                true => Some(self.place(number, root)?),
                false => None,
            });
        }
        for change in ordered(difference) {
            let root = stage.roots.get(change.root);
            if let (Some(root), Some(Some(place))) = (root, places.get(change.root)) {
                self.add(change, root, place)?;
            }
        }
        for (root, place) in stage.roots.iter().zip(&places) {
            if let Some(Place { temporary, .. }) = place {
                let written = match self.each {
                    true => rustix::fs::fsync(temporary),
                    false => rustix::fs::syncfs(temporary),
                };
                written.map_err(commit_io("write", &root.path))?;
            }
        }
        self.steps.append(&mut self.late);
        self.at(Point::Journal)?;
        let text = serde_json::to_vec(&self.steps).map_err(commit_io("write", stage.dir.path()))?;
        stages::write(&stage.dir, JOURNAL, &text).map_err(of_stage)
    }

    /// Makes the temporary directory of a root, and opens what the run left for it.
    fn place(&self, number: usize, root: &Root) -> Result<Place, CommitError> {
        self.at(Point::Temporary)?;
        let name = journal::temporary(&self.stage.id);
        let path = root.path.join(&name);
        rustix::fs::mkdirat(&root.dir, &*name, Mode::RWXU).map_err(commit_io("make", &path))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let temporary = place::open(&root.dir, Path::new(&name), flags);
        let upper = self.stage.layers(number).join(self.upper);
        Ok(Place {
            temporary: temporary.map_err(commit_io("open", path))?,
            upper: stages::open_upper(&upper).map_err(commit_io("open", upper))?,
        })
    }

    fn add(&mut self, change: &Change, root: &Root, place: &Place) -> Result<(), CommitError> {
        let old = change.before.map(|before| before.ident);
        let step = |act| Step {
            root: change.root,
            path: change.path.clone(),
            act,
        };
        let act = match (&change.after, old) {
            (None, Some(old)) => Act::Remove { old },
            (Some(After::Mode { mode }), Some(old)) => {
                self.late.push(step(Act::Mode {
                    dev: old.dev,
                    ino: old.ino,
                    from: change.before.map_or(0, |before| before.mode),
                    to: *mode,
                }));
                return Ok(());
            }
            (Some(after), old) => {
                self.at(Point::Make)?;
                let name = new_name(self.steps.len());
                let made = self.make(change, after, root, place, &name)?;
                let new = Ident::of(&made);
                if let After::Directory { mode } = after
                    && *mode != place::permissions(&made)
                {
                    self.late.push(step(Act::Mode {
                        dev: new.dev,
                        ino: new.ino,
                        from: place::permissions(&made),
                        to: *mode,
                    }));
                }
                match old {
                    Some(old) => Act::Swap { old, new },
                    None => Act::Put { new },
                }
            }
            (None, None) => return Ok(()),
        };
        self.steps.push(step(act));
        Ok(())
    }

    fn make(
        &self,
        change: &Change,
        after: &After,
        root: &Root,
        place: &Place,
        name: &str,
    ) -> Result<Stat, CommitError> {
        let path = change.absolute(&root.path);
        let Place { temporary, .. } = place;
        match after {
            After::File { .. } => return self.file(change, after, root, place, name),
            After::Directory { .. } => rustix::fs::mkdirat(temporary, name, Mode::RWXU),
            After::Link { target } => rustix::fs::symlinkat(target, temporary, name),
            // Nothing new is made for it.
            After::Mode { .. } => Ok(()),
        }
        .map_err(commit_io("make", &path))?;
        rustix::fs::statat(temporary, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(commit_io("make", path))
    }

    fn file(
        &self,
        change: &Change,
        after: &After,
        root: &Root,
        Place { temporary, upper }: &Place,
        name: &str,
    ) -> Result<Stat, CommitError> {
        let After::File {
            mode,
            digest,
            instead,
            ..
        } = after
        else {
            return Err(CommitError::Unfit);
        };
        let path = change.absolute(&root.path);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let new = rustix::fs::openat(
            temporary,
            name,
            flags | OFlags::CLOEXEC,
            Mode::RUSR | Mode::WUSR,
        )
        .map_err(commit_io("make", &path))?;
        self.at(Point::Content)?;
        let written = match instead {
            Some(content) => write_all(&new, content).map(|()| *blake3::hash(content).as_bytes()),
            None => copy(upper, &change.path, &new),
        };
        if written.map_err(commit_io("write", &path))? != *digest {
            return Err(CommitError::NotShown(path));
        }
        let old = change.before.filter(|before| before.object == Object::File);
        if old.is_some() {
            keep_what_it_had(root, &change.path, &new).map_err(|errno| {
                match Stuck::from(errno) {
                    Stuck::Changed => CommitError::Conflict(path.clone()),
                    Stuck::System(errno) => {
                        commit_io("keep the owner and attributes of", &path)(errno)
                    }
                }
            })?;
        }
        let finish = || {
            rustix::fs::fchmod(&new, Mode::from_raw_mode(mode & 0o777))?;
            if self.each {
                rustix::fs::fsync(&new)?;
            }
            rustix::fs::fstat(&new)
        };
        finish().map_err(commit_io("write", path))
    }

    /// Takes the steps, and has them written to the disk.
    fn apply(&mut self) -> Result<(), CommitError> {
        let stage = self.stage;
        let mut parents = BTreeSet::new();
        for (number, step) in self.steps.iter().enumerate() {
            let Some(root) = stage.roots.get(step.root) else {
                continue;
            };
            self.at(Point::Step)?;
            let path = root.path.join(&step.path);
            step.take(number, root, &stage.id)
                .map_err(|stuck| match stuck {
                    Stuck::Changed => CommitError::Conflict(path),
                    Stuck::System(errno) => commit_io("change", path)(errno),
                })?;
            parents.insert((step.root, step.path.parent().unwrap_or(Path::new(""))));
        }
        self.at(Point::Sync)?;
        for (number, parent) in parents {
            if let Some(root) = stage.roots.get(number) {
                sync(root, parent).map_err(commit_io("write", root.path.join(parent)))?;
            }
        }
        self.at(Point::Done)?;
        stages::write(&stage.dir, DONE, b"").map_err(of_stage)
    }
}

/// Where what is new is made, and what it is made of.
struct Place {
    temporary: OwnedFd,
    upper: OwnedFd,
}

/// What is removed first, from the inside; then everything else, from the outside.
fn ordered(difference: &Difference) -> impl Iterator<Item = &Change> {
    let of = |removed: bool| {
        let changes = difference.changes.iter();
        changes.filter(move |change| change.after.is_none() == removed)
    };
    let mut removed: Vec<_> = of(true).collect();
    removed.sort_by(|one, other| other.path.cmp(&one.path));
    removed.into_iter().chain(of(false))
}

/// Copies a file of the upper layer, and gives the digest of what was copied.
fn copy(upper: &OwnedFd, path: &Path, new: &OwnedFd) -> rustix::io::Result<[u8; 32]> {
    let file = place::open(upper, path, READ)?;
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut chunk[..]))? {
            0 => return Ok(*hasher.finalize().as_bytes()),
            read => {
                let bytes = chunk.get(..read).unwrap_or_default();
                hasher.update(bytes);
                write_all(new, bytes)?;
            }
        }
    }
}

/// The group and the attributes of a file that is replaced are kept, not those that the run left.
fn keep_what_it_had(root: &Root, path: &Path, new: &OwnedFd) -> rustix::io::Result<()> {
    let old = place::open(&root.dir, path, READ)?;
    let (before, now) = (rustix::fs::fstat(&old)?, rustix::fs::fstat(new)?);
    if place::kind(&before) != FileType::RegularFile {
        return Err(Errno::INVAL);
    }
    if before.st_gid != now.st_gid {
        rustix::fs::fchown(new, None, Some(Gid::from_raw(before.st_gid)))?;
    }
    special::carry(new, &special::attributes(&old)?)
}

fn sync(root: &Root, path: &Path) -> rustix::io::Result<()> {
    match place::open(&root.dir, path, OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(dir) => rustix::fs::fsync(dir),
        // Not to be read, or removed in a later step.
        Err(_) => rustix::fs::syncfs(&root.dir),
    }
}

/// Removes what a commit had in a root besides the tree: what was there before, or what was to be there.
pub(crate) fn clear(root: &Root, id: &str) -> rustix::io::Result<()> {
    let name = journal::temporary(id);
    let path = Path::new(&name);
    let dir = match place::open(&root.dir, path, OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    for name in place::names(&dir, Path::new(""))? {
        if !stages::is_ours(&name) {
            continue;
        }
        let stat = place::in_directory(&dir, &name)?;
        let is_directory = stat.is_some_and(|stat| place::kind(&stat) == FileType::Directory);
        let flags = match is_directory {
            true => AtFlags::REMOVEDIR,
            false => AtFlags::empty(),
        };
        rustix::fs::unlinkat(&dir, &name, flags)?;
    }
    rustix::fs::unlinkat(&root.dir, path, AtFlags::REMOVEDIR)?;
    rustix::fs::fsync(&root.dir)
}

fn of_stage(error: StageError) -> CommitError {
    let (path, source) = match error {
        StageError::Io { path, source, .. } => (path, source),
        other => (PathBuf::new(), std::io::Error::other(other.to_string())),
    };
    CommitError::Io {
        action: "write the journal",
        path,
        source,
    }
}
