//! What to change on a system that lets us make no cell.

use std::path::Path;

use crate::obstacle::{Executable, Hinders, obstacles};
use crate::{Step, Tier};

/// What stands in the way of a cell of this tier at `step`, if it is something known.
pub(super) fn find(tier: Tier, step: Step, errno: i32, helper: &Path) -> Option<String> {
    let known = obstacles(Path::new("/"), Executable::at(helper));
    let first = known
        .into_iter()
        .find(|obstacle| obstacle.hinders.concerns(tier) && explains(obstacle.hinders, step));
    if let Some(obstacle) = first {
        return Some(format!("{}: {}", obstacle.what, obstacle.fix));
    }
    let too_many = step == Step::Namespaces && errno == libc::ENOSPC;
    too_many.then(|| {
        "too many namespaces exist: raise `user.max_pid_namespaces` and its siblings".to_owned()
    })
}

/// Whether an obstacle can be why this step failed.
fn explains(hinders: Hinders, step: Step) -> bool {
    match hinders {
        Hinders::Everything => true,
        Hinders::Namespaces => !matches!(
            step,
            Step::Landlock | Step::Seccomp | Step::Capabilities | Step::ReadBack
        ),
        Hinders::OwnProc => matches!(
            step,
            Step::MountProc | Step::Root | Step::Stage | Step::Scratch
        ),
        Hinders::Landlock => matches!(step, Step::Landlock | Step::ReadBack),
        Hinders::LandlockAlone => {
            matches!(step, Step::Landlock | Step::ReadBack | Step::Unprivileged)
        }
        // Without one, cells are made all the same.
        Hinders::Cgroups => false,
    }
}
