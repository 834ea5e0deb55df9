//! The policy file of the working tree, which whoever wrote the tree has written.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::directories::POLICY_FILE;

/// Looks for a policy file in the project and above. The search ends before the home directory, at the border of the
/// file system and at a directory of somebody else.
pub(super) fn search(project: &Path, home: Option<&Path>, user: u32) -> Option<PathBuf> {
    let device = project.metadata().ok()?.dev();
    for dir in project.ancestors() {
        if home.is_some_and(|home| home.starts_with(dir)) {
            return None;
        }
        let meta = dir.metadata().ok()?;
        if meta.dev() != device || meta.uid() != user {
            return None;
        }
        let file = dir.join(POLICY_FILE);
        if file.symlink_metadata().is_ok() {
            return Some(file);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_search_goes_up_to_the_home() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().canonicalize().unwrap();
        let user = rustix::process::geteuid().as_raw();
        fs::create_dir_all(home.join("work/repo/sub")).unwrap();
        fs::write(home.join(POLICY_FILE), "").unwrap();
        let search = |user| search(&home.join("work/repo/sub"), Some(&home), user);
        assert_eq!(search(user), None, "that of the home is not of the tree");
        fs::write(home.join("work/repo").join(POLICY_FILE), "").unwrap();
        assert_eq!(search(user), Some(home.join("work/repo").join(POLICY_FILE)));
        assert_eq!(
            search(user + 1),
            None,
            "directories of others are not looked at"
        );
    }
}
