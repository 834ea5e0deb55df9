//! What keeps a system from confining commands, and the one sentence that changes it: read from the files in which a
//! system says what it is. Nothing is tried here; that is what making a cell is for.

mod container;
mod system;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::Tier;
pub use container::Container;
use system::System;

/// Something that stands in the way of cells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Obstacle {
    /// What it keeps from working.
    pub hinders: Hinders,
    /// What was found, as a clause.
    pub what: String,
    /// What to do about it, as a sentence without its end.
    pub fix: String,
}

/// What an obstacle keeps from working.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hinders {
    /// Starting any command.
    Everything,
    /// Namespaces: every tier but `landlock`.
    Namespaces,
    /// A `/proc` of the cell's own: every tier but `landlock`.
    OwnProc,
    /// Landlock: the tiers `full` and `landlock`.
    Landlock,
    /// What the tier `landlock` rests on alone.
    LandlockAlone,
    /// A cgroup for each cell: no tier, but its limits are not as exact.
    Cgroups,
}

impl Hinders {
    /// Whether a tier needs what is hindered.
    #[must_use]
    pub fn concerns(self, tier: Tier) -> bool {
        match self {
            Self::Everything => true,
            Self::Namespaces | Self::OwnProc => tier != Tier::Landlock,
            Self::Landlock => tier.has_landlock(),
            Self::LandlockAlone => tier == Tier::Landlock,
            Self::Cgroups => false,
        }
    }
}

/// The file that serves cells, and whether only root can change it.
#[derive(Clone, Copy, Debug)]
pub struct Executable<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Whether it and all directories above it are root's, and writable by nobody else.
    pub only_root_writes: bool,
}

impl<'a> Executable<'a> {
    /// Looks at the file and all directories above it.
    #[must_use]
    pub fn at(path: &'a Path) -> Self {
        Self {
            path,
            only_root_writes: path.ancestors().all(is_roots_alone),
        }
    }
}

#[cfg(unix)]
fn is_roots_alone(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.uid() == 0 && meta.mode() & 0o022 == 0)
}

#[cfg(not(unix))]
fn is_roots_alone(_: &Path) -> bool {
    false
}

/// Everything that stands in the way on the system whose files lie below `root`, `/` for this one.
///
/// An obstacle is not always in the way: root is held by fewer of them, and a cell that can be made is proof that none
/// is. What is not there or cannot be read is no obstacle.
///
/// # Source
/// `proc(5)`, `user_namespaces(7)`, `namespaces(7)`, `landlock(7)`.
#[must_use]
pub fn obstacles(root: &Path, executable: Executable<'_>) -> Vec<Obstacle> {
    let system = System { root };
    let mut found = Vec::new();
    system.kernel(&mut found);
    system.namespaces(&mut found);
    system.app_armor(executable, &mut found);
    system.container(&mut found);
    system.landlock(&mut found);
    system.user(&mut found);
    found
}
