//! The stages that are kept: of runs that go on, and what is left of those that were killed.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use portcullis_private::PrivateDir;
use rustix::fs::{FlockOperation, OFlags};

use crate::error::{StageError, stage_io};
use crate::stages::{self, DONE, JOURNAL, LOCK, ROOTS, Stages};

/// A stage that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptStage {
    /// Its name.
    pub id: String,
    /// Its directory.
    pub path: PathBuf,
    /// Whose changes it has; empty where the run was killed before it said so.
    pub owner: String,
    /// The directories whose changes it has.
    pub roots: Vec<PathBuf>,
    /// When it began.
    pub begun: SystemTime,
    /// Whether somebody works with it.
    pub in_use: bool,
    /// How far its commit is.
    pub commit: Progress,
}

/// How far a commit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing in the directories is changed.
    None,
    /// Some of it may be: all of that is taken back, unless the one who works with it completes it.
    Begun,
    /// All of it is in its place, and only what was there before is still to be removed.
    Complete,
}

impl Stages {
    /// The stages that are kept, the oldest first. Changes nothing.
    ///
    /// # Errors
    /// [`StageError`] if one of them is not what we write.
    pub fn kept(&self) -> Result<Vec<KeptStage>, StageError> {
        let mut all = Vec::new();
        for id in self.ids()? {
            let path = self.dir.path().join(&id);
            let dir = match PrivateDir::open(&path) {
                // It ended meanwhile.
                Err(_) if !path.is_symlink() && !path.exists() => continue,
                opened => opened?,
            };
            all.push(look(id, dir)?);
        }
        all.sort_by(|one, other| (one.begun, &one.id).cmp(&(other.begun, &other.id)));
        Ok(all)
    }
}

fn look(id: String, dir: PrivateDir) -> Result<KeptStage, StageError> {
    // Held while it is looked at only, and not exclusively: nobody is kept from anything but for that moment.
    let in_use = match dir.open_file(LOCK, OFlags::RDONLY)? {
        Some(lock) => rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared).is_err(),
        None => false,
    };
    let examine = |name: &str| {
        dir.examine(name)
            .map_err(stage_io("examine", dir.path().join(name)))
    };
    let commit = match (examine(DONE)?, examine(JOURNAL)?) {
        (Some(_), _) => Progress::Complete,
        (None, Some(_)) => Progress::Begun,
        (None, None) => Progress::None,
    };
    let begun = examine(ROOTS)?
        .or(examine(LOCK)?)
        .map_or(0, |stat| stat.st_mtime);
    let said = stages::roots(&dir, &id)?;
    let (owner, roots) = said.map_or_else(Default::default, |said| {
        (
            said.owner,
            said.roots.into_iter().map(|root| root.path).collect(),
        )
    });
    Ok(KeptStage {
        id,
        path: dir.path().to_owned(),
        owner,
        roots,
        begun: SystemTime::UNIX_EPOCH
            + Duration::from_secs(u64::try_from(begun).unwrap_or_default()),
        in_use,
        commit,
    })
}
