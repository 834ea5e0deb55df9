//! What git configurations in the written directories name: hooks and included configurations that lie in the tree.
//!
//! Such a name can be any. So the repositories are looked for, as they are for commands, before the first change and now
//! and then afterwards: nothing that a plugin or its commands do adds such a name, only a person outside does.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use portcullis_exec::care;
use portcullis_policy::{ChangeRequest, FsAccess, Grants, Kept};

use super::roots::real_directory;

/// The least time between two looks.
const AGAIN: Duration = Duration::from_secs(1);
/// The part of the time that is spent with looking, at most: one in so many.
const SHARE: u32 = 50;

/// What was found last. Shared by the instances of a plugin.
#[derive(Debug, Default)]
pub(crate) struct NamedByGit(Mutex<Option<Looked>>);

#[derive(Debug)]
struct Looked {
    kept: Vec<Kept>,
    until: Instant,
}

impl NamedByGit {
    /// The request with the paths that stand against it.
    pub(super) fn with(&self, grants: &Grants, request: ChangeRequest) -> ChangeRequest {
        // What a look that panicked left is what there was before.
        let mut looked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        let current = looked.take().filter(|looked| began < looked.until);
        let current = current.unwrap_or_else(|| {
            let kept = look(grants);
            let pause = (began.elapsed() * SHARE).max(AGAIN);
            Looked {
                kept,
                until: Instant::now() + pause,
            }
        });
        let kept = current.kept.clone();
        *looked = Some(current);
        ChangeRequest { kept, ..request }
    }
}

fn look(grants: &Grants) -> Vec<Kept> {
    let written = grants
        .fs
        .iter()
        .filter(|grant| grant.access == FsAccess::ReadWrite && grant.kind.is_directory());
    written
        .flat_map(|grant| {
            let root = &grant.host;
            named(root, grants).unwrap_or_else(|error| {
                // What cannot be looked through is closed.
                vec![Kept {
                    path: root.clone(),
                    why: format!("it cannot be looked through for what git runs: {error}"),
                }]
            })
        })
        .collect()
}

fn named(root: &Path, grants: &Grants) -> std::io::Result<Vec<Kept>> {
    let dir = real_directory(root)?;
    let paths = care::named_by_git(dir.as_fd(), root, grants.protect.names());
    let kept = paths.map_err(std::io::Error::other)?.into_iter();
    Ok(kept
        .map(|path| Kept {
            path,
            why: "a git configuration names it, and git runs or reads what lies there".to_owned(),
        })
        .collect())
}
