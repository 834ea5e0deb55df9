//! Grants whose changes are staged: a host takes them only in a staging namespace that covers them. And which names may be
//! committed afterwards.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use portcullis_exec::Staged;
use portcullis_exec::care::{self, Becomes, Named};
use portcullis_policy::{Grants, Protect};
use portcullis_stage::{After, Change, Judge, Object, Root, Verdict};

/// The first staged directory that this process would write to as it is.
pub(crate) fn uncovered<'a>(grants: &'a Grants, staged: Option<&Staged>) -> Option<&'a Path> {
    let covered = |path: &Path| {
        staged.is_some_and(|staged| {
            let root = staged.roots().find(|root| path.starts_with(root));
            let meta = root.and_then(|root| std::fs::metadata(root).ok());
            // The overlay itself, and not what it was mounted on.
            meta.is_some_and(|meta| staged.is_root(meta.dev(), meta.ino()))
        })
    };
    let mut paths = grants.staged.iter().map(PathBuf::as_path);
    paths.find(|path| !covered(path))
}

/// Refuses to commit what the grants protect: the names that neither the guest nor its commands may change.
#[derive(Debug)]
pub struct Kept {
    protect: Protect,
    /// Of each root, what its git configurations name.
    named: Vec<(PathBuf, Result<Vec<PathBuf>, String>)>,
}

impl Kept {
    /// What these grants protect in these roots, as they are now.
    ///
    /// # Authority
    /// Ambient: looks below the roots with the process's own rights.
    pub fn of(grants: &Grants, roots: &[Root]) -> Self {
        let named = roots.iter().map(|root| {
            let names = grants.protect.names();
            let named = care::named_by_git(root.dir.as_fd(), &root.path, names);
            let inside = |path: PathBuf| Some(path.strip_prefix(&root.path).ok()?.to_owned());
            let named = named.map(|paths| paths.into_iter().filter_map(inside).collect());
            (root.path.clone(), named.map_err(|error| error.to_string()))
        });
        Self {
            protect: grants.protect.clone(),
            named: named.collect(),
        }
    }
}

impl Judge for Kept {
    fn judge(&self, root: &Root, upper: &OwnedFd, change: &Change) -> Verdict {
        let named = self.named.iter().find(|(path, _)| *path == root.path);
        let named = match named {
            Some((_, Ok(named))) => named.as_slice(),
            Some((_, Err(why))) => return Verdict::Refused(why.clone()),
            None => &[],
        };
        let leads_nowhere = match &change.after {
            None | Some(After::Directory { .. }) => true,
            Some(After::Mode { .. }) => change
                .before
                .is_some_and(|before| before.object == Object::Directory),
            Some(After::File { .. } | After::Link { .. }) => false,
        };
        let name = Named {
            path: &change.path,
            was_there: change.before.is_some(),
            is_file: matches!(change.after, Some(After::File { .. })),
            leads_nowhere,
        };
        match care::overlaid(root.dir.as_fd(), upper.as_fd(), &self.protect, named, name) {
            Becomes::AsItIs => Verdict::AsItIs,
            Becomes::Config(content) => Verdict::Instead(content),
            Becomes::Nothing => Verdict::Nothing,
            Becomes::Refused(why) => Verdict::Refused(why),
        }
    }
}
