//! Working trees granted with all that git needs for them.

use portcullis_exec::care;
use portcullis_policy::{FsGrant, FsKind, Grants};

use crate::LoadError;

/// Adds to each grant of a repository the directories outside of it where git keeps its things: those of a linked
/// working tree and of a submodule. Changes nothing that was added before.
///
/// # Authority
/// Ambient: reads `.git` and what it leads to. That a tree names a directory proves nothing; the directory has to name
/// the tree as well (`gitrepository-layout(5)`).
///
/// # Errors
/// [`LoadError::Preopen`] for a directory that is no working tree, or whose `.git` leads elsewhere.
pub fn with_repositories(mut grants: Grants) -> Result<Grants, LoadError> {
    let trees: Vec<FsGrant> = grants
        .fs
        .iter()
        .filter(|grant| grant.kind == FsKind::Repository)
        .cloned()
        .collect();
    for tree in trees {
        let found = care::repository(&tree.host).map_err(|error| LoadError::Preopen {
            plugin: grants.plugin.clone(),
            path: tree.host.clone(),
            why: error.to_string(),
        })?;
        for outside in found.outside {
            let grant = FsGrant {
                guest: outside.real.display().to_string(),
                host: outside.real,
                kind: FsKind::Directory,
                ..tree.clone()
            };
            if grants.staged.contains(&tree.host) && !grants.staged.contains(&grant.host) {
                grants.staged.push(grant.host.clone());
            }
            if !grants.fs.contains(&grant) {
                grants.fs.push(grant);
            }
        }
    }
    // What a tree leads to may lie above it.
    grants.meet_fs_ceiling();
    Ok(grants)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use portcullis_policy::{FsAccess, Origin, PluginId};

    use super::*;

    fn granted(tree: &Path) -> Grants {
        let mut grants = Grants::none(PluginId::new("p").unwrap());
        grants.fs.push(FsGrant {
            host: tree.to_owned(),
            kind: FsKind::Repository,
            guest: ".".to_owned(),
            access: FsAccess::ReadWrite,
            origin: Origin::Code,
        });
        grants
    }

    /// A linked working tree as git lays it out, without its content.
    fn linked(dir: &Path) {
        let make = |path: &str, text: &str| {
            let path = dir.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let own = dir.join("main/.git/worktrees/tree");
        make("main/.git/HEAD", "ref: refs/heads/main\n");
        make("main/.git/objects/.keep", "");
        make("main/.git/refs/.keep", "");
        make("main/.git/worktrees/tree/HEAD", "ref: refs/heads/tree\n");
        make("main/.git/worktrees/tree/commondir", "../..\n");
        let back = format!("{}\n", dir.join("tree/.git").display());
        make("main/.git/worktrees/tree/gitdir", &back);
        make("tree/.git", &format!("gitdir: {}\n", own.display()));
    }

    #[test]
    fn a_linked_tree_brings_its_git_directory_once() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        linked(&dir);
        let grants = with_repositories(granted(&dir.join("tree"))).unwrap();
        let hosts: Vec<_> = grants.fs.iter().map(|grant| grant.host.clone()).collect();
        assert_eq!(hosts, [dir.join("tree"), dir.join("main/.git")]);
        assert_eq!(grants.fs[1].kind, FsKind::Directory);
        let again = with_repositories(grants.clone()).unwrap();
        assert_eq!(again.fs, grants.fs);
        let plain = with_repositories(granted(&dir.join("main"))).unwrap();
        assert_eq!(plain.fs.len(), 1, "all of it lies inside");
    }

    #[test]
    fn a_tree_that_its_git_directory_does_not_know_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        linked(&dir);
        std::fs::rename(dir.join("tree"), dir.join("other")).unwrap();
        let error = with_repositories(granted(&dir.join("other"))).unwrap_err();
        let told = format!("{:?}", error.diagnostic());
        assert!(told.contains("does not belong to"), "{told}");
        let error = with_repositories(granted(&dir)).unwrap_err();
        assert!(format!("{:?}", error.diagnostic()).contains("no `.git`"));
    }
}
