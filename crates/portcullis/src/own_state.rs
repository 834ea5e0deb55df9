//! Portcullis's own files are out of every plugin's reach, whatever a policy says: whoever may write the code cache
//! runs native code in the host, whoever reads the cache key may sign it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use portcullis_policy::{FileId, FsAccess, FsGrant};

/// Where the host keeps what no grant may reach.
///
/// # Defaults
/// Empty: an application that keeps no cache, key or trail on disk has nothing to protect but its own executable, which
/// is always protected from writing.
#[derive(Clone, Debug, Default)]
pub struct OwnState {
    /// Neither read nor written: keys, trust, key-value data, the audit trail.
    pub secret: Vec<PathBuf>,
    /// Not written: configuration and policy files, the code cache, executables.
    pub protected: Vec<PathBuf>,
}

/// A grant that reaches the host's own files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The granted directory.
    pub grant: PathBuf,
    /// What it reaches.
    pub reached: PathBuf,
}

impl OwnState {
    /// What this grant reaches, if anything. Compared by device and inode in both directions: the grant may lie inside
    /// the state, or the state inside the grant, under any name and through any link.
    pub(crate) fn reached_by(&self, grant: &FsGrant) -> Option<Reach> {
        let protected = (grant.access == FsAccess::ReadWrite).then_some(&self.protected);
        let own = std::env::current_exe().ok().filter(|_| protected.is_some());
        let guarded = self
            .secret
            .iter()
            .chain(protected.into_iter().flatten())
            .chain(own.iter());
        let above_grant = ancestors(&grant.host);
        let root = id(&grant.host)?;
        guarded
            .filter(|path| {
                id(path).is_some_and(|id| above_grant.contains(&id))
                    || ancestors(path).contains(&root)
            })
            .map(|path| Reach {
                grant: grant.host.clone(),
                reached: path.clone(),
            })
            .next()
    }
}

fn id(path: &Path) -> Option<FileId> {
    fs::metadata(path).ok().map(|meta| FileId {
        dev: meta.dev(),
        ino: meta.ino(),
    })
}

/// The file itself and every directory above its real path; above its nearest existing parent if it is not there yet.
fn ancestors(path: &Path) -> BTreeSet<FileId> {
    let existing = path
        .ancestors()
        .find_map(|ancestor| fs::canonicalize(ancestor).ok());
    existing
        .iter()
        .flat_map(|real| real.ancestors())
        .filter_map(id)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_policy::Origin;

    fn grant(host: &Path, access: FsAccess) -> FsGrant {
        FsGrant {
            host: host.to_owned(),
            kind: portcullis_policy::FsKind::Directory,
            guest: ".".to_owned(),
            access,
            origin: Origin::Code,
        }
    }

    #[test]
    fn grants_above_inside_and_linked_to_own_state_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        for name in ["home/data/keys", "home/cache", "home/project", "elsewhere"] {
            fs::create_dir_all(base.join(name)).unwrap();
        }
        std::os::unix::fs::symlink(base.join("home/data"), base.join("elsewhere/link")).unwrap();
        let state = OwnState {
            secret: vec![base.join("elsewhere/link")],
            protected: vec![base.join("home/cache")],
        };
        let reached =
            |name: &str, access| state.reached_by(&grant(&base.join(name), access)).is_some();
        assert!(reached("home", FsAccess::Read), "the key lies below");
        assert!(reached("home/data", FsAccess::Read), "it is the state");
        assert!(
            reached("home/data/keys", FsAccess::Read),
            "it lies inside the state"
        );
        assert!(reached("home/cache", FsAccess::ReadWrite));
        assert!(
            !reached("home/cache", FsAccess::Read),
            "the cache may be read"
        );
        assert!(!reached("home/project", FsAccess::ReadWrite));
        assert!(
            !reached("elsewhere", FsAccess::ReadWrite),
            "only a link to it lies there"
        );
    }

    #[test]
    fn state_that_is_not_there_yet_is_guarded_by_its_parent() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let state = OwnState {
            secret: vec![base.join("not/yet")],
            protected: Vec::new(),
        };
        assert!(
            state
                .reached_by(&grant(&base, FsAccess::ReadWrite))
                .is_some()
        );
    }

    #[test]
    fn the_running_executable_cannot_be_granted_for_writing() {
        let exe = std::env::current_exe().unwrap().canonicalize().unwrap();
        let directory = exe.parent().unwrap();
        assert!(
            OwnState::default()
                .reached_by(&grant(directory, FsAccess::ReadWrite))
                .is_some()
        );
        assert!(
            OwnState::default()
                .reached_by(&grant(directory, FsAccess::Read))
                .is_none()
        );
    }
}
