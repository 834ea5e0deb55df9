//! The directory of all stages, and one stage in it.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use portcullis_private::{PrivateDir, PrivateError, read_range, write_all};
use rustix::fs::{FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::commit;
use crate::difference::{After, Difference, Judge, Refusal, Verdict, Why};
use crate::error::{StageError, Unrecovered, stage_io};
use crate::journal::{self, RootPath, Roots, Step, Stuck};
use crate::stamp::Stamp;
use crate::survey::Survey;

const VERSION: u32 = 1;
pub(crate) const LOCK: &str = "lock";
const COMMIT: &str = "commit";
pub(crate) const ROOTS: &str = "roots.json";
pub(crate) const JOURNAL: &str = "journal.json";
pub(crate) const DONE: &str = "done";

/// Where stages are kept: a directory of ours alone, which no grant reaches.
#[derive(Debug)]
pub struct Stages {
    pub(crate) dir: PrivateDir,
}

/// A directory whose changes go to a stage.
#[derive(Debug)]
pub struct Root {
    /// Its real path.
    pub path: PathBuf,
    /// The directory, opened before the run began.
    pub dir: OwnedFd,
    pub(crate) stamp: Stamp,
}

/// What one run changes. Dropped without a commit, all of it is thrown away.
#[derive(Debug)]
pub struct Stage {
    pub(crate) id: String,
    pub(crate) dir: PrivateDir,
    pub(crate) roots: Vec<Root>,
    /// Everybody's turn at committing.
    pub(crate) turn: OwnedFd,
    /// Held as long as somebody works with it.
    _lock: OwnedFd,
    /// Whether a later one has to take it back.
    pub(crate) torn: bool,
}

impl Stages {
    /// Opens the directory of stages, making it if need be.
    ///
    /// # Errors
    /// [`StageError::Private`] if it is not ours alone.
    pub fn open(dir: &Path) -> Result<Self, StageError> {
        Ok(Self {
            dir: PrivateDir::open_or_create(dir)?,
        })
    }

    /// The directory of stages, if there is one.
    ///
    /// # Errors
    /// As those of [`open`](Self::open).
    pub fn existing(dir: &Path) -> Result<Option<Self>, StageError> {
        match dir.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            _ => Ok(Some(Self {
                dir: PrivateDir::open(dir)?,
            })),
        }
    }

    /// Begins a stage of an owner, whom [`kept`](Self::kept) names, for these directories, none of which lies in another. What
    /// earlier ones left that were killed is put in order first.
    ///
    /// Returns when a tick of the file systems' clocks has passed, some milliseconds.
    ///
    /// # Authority
    /// Ambient: the process's own rights.
    ///
    /// # Errors
    /// [`StageError`]; [`StageError::Unrecovered`] where a commit to one of these roots was cut off and cannot be taken
    /// back.
    pub fn begin(&self, owner: &str, roots: &[PathBuf]) -> Result<Stage, StageError> {
        for unrecovered in self.recover()? {
            if roots.iter().any(|root| {
                root.starts_with(&unrecovered.root) || unrecovered.root.starts_with(root)
            }) {
                return Err(unrecovered.into());
            }
        }
        let turn = self.dir.open_or_create_file(COMMIT)?;
        let mut opened = Vec::with_capacity(roots.len());
        for path in roots {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let dir =
                rustix::fs::open(path, flags, Mode::empty()).map_err(stage_io("open", path))?;
            let stamp = Stamp::now(&dir).map_err(stage_io("find the time of files in", path))?;
            opened.push(Root {
                path: path.clone(),
                dir,
                stamp,
            });
        }
        let id = random_id(self.dir.path())?;
        let alone = self.alone()?;
        let dir = PrivateDir::open_or_create(&self.dir.path().join(&id))?;
        let lock = dir.open_or_create_file(LOCK)?;
        // Nobody holds it but for the moment in which it is looked at.
        rustix::io::retry_on_intr(|| rustix::fs::flock(&lock, FlockOperation::LockExclusive))
            .map_err(stage_io("lock", dir.path()))?;
        drop(alone);
        let mut paths = Vec::with_capacity(opened.len());
        for (number, root) in opened.iter().enumerate() {
            let stat = rustix::fs::fstat(&root.dir).map_err(stage_io("examine", &root.path))?;
            paths.push(RootPath {
                path: root.path.clone(),
                dev: stat.st_dev,
                ino: stat.st_ino,
            });
            let layers = dir.path().join(number.to_string());
            rustix::fs::mkdir(&layers, Mode::RWXU).map_err(stage_io("make", layers))?;
        }
        let stage = Stage {
            id,
            dir,
            roots: opened,
            turn,
            _lock: lock,
            torn: false,
        };
        let text = Roots {
            version: VERSION,
            id: stage.id.clone(),
            owner: owner.to_owned(),
            roots: paths,
        };
        write(
            &stage.dir,
            ROOTS,
            &serde_json::to_vec(&text).unwrap_or_default(),
        )?;
        Ok(stage)
    }

    /// Puts in order what stages left whose process was killed: changes are thrown away, a commit that was cut off is taken
    /// back, one that was complete is tidied up. Gives those that could not be taken back.
    ///
    /// # Errors
    /// [`StageError`] if our own directory cannot be used.
    pub fn recover(&self) -> Result<Vec<Unrecovered>, StageError> {
        let mut stuck = Vec::new();
        for id in self.ids()? {
            let path = self.dir.path().join(&id);
            let _alone = self.alone()?;
            let dir = match PrivateDir::open(&path) {
                // It has come to its end meanwhile.
                Err(PrivateError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                    continue;
                }
                dir => dir?,
            };
            let Ok(lock) = dir.open_or_create_file(LOCK) else {
                continue;
            };
            // Somebody works with it.
            if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            match put_in_order(&dir, &id) {
                Ok(()) => remove(&path)?,
                Err(Left::Stuck(unrecovered)) => stuck.push(*unrecovered),
                Err(Left::Failed(error)) => return Err(error),
            }
        }
        Ok(stuck)
    }

    /// The names of stages: everything else there is left alone.
    pub(crate) fn ids(&self) -> Result<Vec<String>, StageError> {
        let mut names = self.dir.names()?;
        names.retain(|name| is_id(name));
        Ok(names)
    }

    /// Whoever holds this is the only one who begins a stage or puts one in order: one that is just being made is not locked
    /// yet.
    fn alone(&self) -> Result<OwnedFd, StageError> {
        let path = self.dir.path();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty()).map_err(stage_io("open", path))?;
        rustix::fs::flock(&dir, FlockOperation::LockExclusive).map_err(stage_io("lock", path))?;
        Ok(dir)
    }
}

enum Left {
    Stuck(Box<Unrecovered>),
    Failed(StageError),
}

impl From<StageError> for Left {
    fn from(error: StageError) -> Self {
        Self::Failed(error)
    }
}

impl From<PrivateError> for Left {
    fn from(error: PrivateError) -> Self {
        StageError::from(error).into()
    }
}

/// What a stage says that it is about; `None` if it was not begun.
pub(crate) fn roots(dir: &PrivateDir, id: &str) -> Result<Option<Roots>, StageError> {
    let Some(text) = read(dir, ROOTS)? else {
        return Ok(None);
    };
    match serde_json::from_slice::<Roots>(&text) {
        Ok(roots) if roots.version == VERSION && roots.id == id => Ok(Some(roots)),
        _ => Err(StageError::NotOurs(dir.path().join(ROOTS))),
    }
}

fn put_in_order(dir: &PrivateDir, id: &str) -> Result<(), Left> {
    let Some(Roots { roots, .. }) = roots(dir, id)? else {
        return Ok(());
    };
    let complete = dir.examine(DONE).is_ok_and(|found| found.is_some());
    let steps: Vec<Step> = match read(dir, JOURNAL)? {
        // Without what it says, what was there before would be taken for rubbish.
        Some(text) if !complete => serde_json::from_slice(&text)
            .map_err(|_| StageError::NotOurs(dir.path().join(JOURNAL)))?,
        Some(_) | None => Vec::new(),
    };
    let unrecovered = |root: &Path, why: String| {
        Left::Stuck(Box::new(Unrecovered {
            root: root.to_owned(),
            why,
            kept: root.join(journal::temporary(id)),
            journal: dir.path().to_owned(),
        }))
    };
    let mut opened = Vec::with_capacity(roots.len());
    for RootPath { path, dev, ino } in &roots {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let same = rustix::fs::open(path, flags, Mode::empty()).and_then(|dir| {
            let stat = rustix::fs::fstat(&dir)?;
            Ok(((stat.st_dev, stat.st_ino) == (*dev, *ino)).then_some(dir))
        });
        match same {
            Ok(Some(dir)) => opened.push(Some(dir)),
            // Nothing was begun there.
            _ if steps.is_empty() => opened.push(None),
            _ => return Err(unrecovered(path, "the directory is not there".to_owned())),
        }
    }
    let back: Option<Vec<Root>> = roots
        .iter()
        .zip(opened)
        .map(|(root, dir)| {
            Some(Root {
                path: root.path.clone(),
                stamp: Stamp::never(),
                dir: dir?,
            })
        })
        .collect();
    let Some(back) = back else { return Ok(()) };
    take_back(&steps, &back, id).map_err(|(root, why)| unrecovered(&root, why))?;
    for root in &back {
        commit::clear(root, id)
            .map_err(|errno| unrecovered(&root.path, std::io::Error::from(errno).to_string()))?;
    }
    Ok(())
}

/// Takes steps back, the last one first.
pub(crate) fn take_back(steps: &[Step], roots: &[Root], id: &str) -> Result<(), (PathBuf, String)> {
    for (number, step) in steps.iter().enumerate().rev() {
        let Some(root) = roots.get(step.root) else {
            continue;
        };
        step.take_back(number, root, id).map_err(|stuck| {
            let path = root.path.join(&step.path);
            let why = match stuck {
                Stuck::Changed => format!("{path:?} was changed since"),
                Stuck::System(errno) => format!("{path:?}: {}", std::io::Error::from(errno)),
            };
            (root.path.clone(), why)
        })?;
    }
    Ok(())
}

impl Stage {
    /// The roots.
    #[must_use]
    pub fn roots(&self) -> &[Root] {
        &self.roots
    }

    /// The directory for the layers of a root, by its number.
    #[must_use]
    pub fn layers(&self, number: usize) -> PathBuf {
        self.dir.path().join(number.to_string())
    }

    /// The stage's own directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Leaves it to the process that this one is a copy of.
    pub fn let_go(mut self) {
        self.torn = true;
    }

    /// What the run changed. To be called once, when nobody is left who could change it still: what cannot be read is made
    /// readable where it lies.
    ///
    /// `upper` is the name of the directory, in the layers of each root, that has the changes, as overlayfs writes them
    /// with `userxattr`.
    ///
    /// # Errors
    /// [`StageError::Io`].
    pub fn difference(&self, upper: &str, judge: &dyn Judge) -> Result<Difference, StageError> {
        let mut found = Difference::default();
        for (number, root) in self.roots.iter().enumerate() {
            let path = self.layers(number).join(upper);
            let upper = open_upper(&path).map_err(stage_io("open", &path))?;
            let begun = found.changes.len();
            Survey::add(root, number, &upper, &mut found)
                .map_err(stage_io("look through the changes of", &root.path))?;
            let mut changes = found.changes.split_off(begun);
            changes.sort_by(|one, other| one.path.cmp(&other.path));
            for mut change in changes {
                match judge.judge(root, &upper, &change) {
                    Verdict::AsItIs => found.changes.push(change),
                    Verdict::Nothing => {}
                    Verdict::Instead(content) => {
                        if let Some(After::File {
                            size,
                            digest,
                            instead,
                            ..
                        }) = &mut change.after
                        {
                            *size = content.len() as u64;
                            *digest = *blake3::hash(&content).as_bytes();
                            *instead = Some(content);
                            found.changes.push(change);
                        }
                    }
                    Verdict::Refused(why) => found.refused.push(Refusal {
                        root: number,
                        path: change.path,
                        why: Why::Name(why),
                    }),
                }
            }
        }
        Ok(found)
    }
}

pub(crate) fn open_upper(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            rustix::fs::chmod(path, Mode::RWXU)?;
            rustix::fs::open(path, flags, Mode::empty())
        }
        opened => opened,
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.torn {
            // What is left is removed by the next one.
            let _: Result<(), StageError> = remove(self.dir.path());
        }
    }
}

/// Removes a stage's directory, in which a run may have left directories that cannot be entered.
fn remove(path: &Path) -> Result<(), StageError> {
    let failed = |source| StageError::Io {
        action: "remove",
        path: path.to_owned(),
        source,
    };
    if fs::remove_dir_all(path).is_ok() {
        return Ok(());
    }
    enter(path);
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Makes every directory one that can be entered.
fn enter(path: &Path) {
    let _: rustix::io::Result<()> = rustix::fs::chmod(path, Mode::RWXU);
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            enter(&entry.path());
        }
    }
}

/// Writes a file of a stage's directory so that it is there whole, and on the disk, or not at all.
pub(crate) fn write(dir: &PrivateDir, name: &str, text: &[u8]) -> Result<(), StageError> {
    let path = dir.path().join(name);
    dir.write_as(name, RenameFlags::empty(), |fd| {
        write_all(fd, text)?;
        rustix::fs::fsync(fd)
    })?
    .map_err(stage_io("write", &path))?;
    sync(dir.path()).map_err(stage_io("write", &path))
}

/// Has the names in a directory written to the disk.
pub(crate) fn sync(path: &Path) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::fsync(rustix::fs::open(path, flags, Mode::empty())?)
}

fn read(dir: &PrivateDir, name: &str) -> Result<Option<Vec<u8>>, PrivateError> {
    let Some(file) = dir.open_file(name, OFlags::RDONLY)? else {
        return Ok(None);
    };
    let path = dir.path().join(name);
    let failed = |errno| portcullis_private::io_error("read", &path, errno);
    let size = rustix::fs::fstat(&file).map_err(failed)?.st_size;
    let text = read_range(&file, 0, u64::try_from(size).unwrap_or_default()).map_err(failed)?;
    Ok(Some(text))
}

/// Whether this is the name of a stage.
fn is_id(name: &str) -> bool {
    name.len() == 2 * ID && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Bytes of a stage's name.
const ID: usize = 8;

/// A name that nobody else has.
fn random_id(dir: &Path) -> Result<String, StageError> {
    let mut random = [0; ID];
    let flags = rustix::rand::GetRandomFlags::empty();
    rustix::rand::getrandom(&mut random, flags).map_err(stage_io("draw a name in", dir))?;
    Ok(hex::encode(random))
}

/// Whether a name of a temporary directory is one of ours: nothing else is removed from it.
pub(crate) fn is_ours(name: &OsStr) -> bool {
    let text = name.to_str().unwrap_or_default();
    let number = text.strip_prefix(['n', 'o']);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}
