//! Which places named from outside are believed.
//!
//! The environment can be set by the tree one works in: `.envrc`, `.env` loaders, editor tasks, CI files. A variable
//! that names where the policy, the keys or the trail are would hand all of them over. So such a place counts only if
//! nobody but the user can have chosen what is in it.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::code;
use crate::failure::{Failure, Result, Say, diagnostic, system};

/// Write permission for the group and for everyone.
const OTHERS_WRITE: u32 = 0o022;

/// Checks the place that a variable names: it, or the nearest directory above it that is there, must be owned by
/// `user`, be writable by nobody else, and lie outside `tree`, if there is one.
///
/// # Errors
/// A report that names the variable.
pub(crate) fn place(
    variable: &str,
    path: &Path,
    user: u32,
    tree: Option<&Path>,
) -> Result<PathBuf> {
    let refuse = |why: String| {
        Failure::usage(
            diagnostic(
                code::VARIABLE,
                format!(
                    "the environment variable `{variable}` may not name `{}`",
                    path.display()
                ),
            )
            .note(why)
            .help(format!(
                "unset `{variable}`, or name a directory of yours outside the working tree"
            )),
        )
    };
    if !path.is_absolute() {
        return Err(refuse("it is not an absolute path".to_owned()));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(refuse("it contains `..`".to_owned()));
    }
    let (existing, real) = nearest(path).map_err(|error| refuse(system(&error)))?;
    let meta = real.metadata().map_err(|error| refuse(system(&error)))?;
    let which = if existing == path {
        "it".to_owned()
    } else {
        format!("the directory `{}` above it", existing.display())
    };
    if meta.uid() != user {
        return Err(refuse(format!("{which} is not owned by you")));
    }
    if meta.mode() & OTHERS_WRITE != 0 {
        return Err(refuse(format!("{which} can be written by others")));
    }
    let rest = path.strip_prefix(existing).unwrap_or(Path::new(""));
    let real = if rest.as_os_str().is_empty() {
        real
    } else {
        real.join(rest)
    };
    if let Some(tree) = tree.filter(|tree| real.starts_with(tree)) {
        return Err(refuse(format!(
            "it lies in the working tree `{}`",
            tree.display()
        )));
    }
    Ok(real)
}

/// Checks `HOME`. Inside the project it counts only where the system says as well that this is the user's home: then
/// the command was started in the home directory or above it.
///
/// # Errors
/// A report that names the variable.
pub(crate) fn home(path: &Path, user: u32, project: &Path) -> Result<PathBuf> {
    let known = fs::read_to_string("/etc/passwd")
        .ok()
        .and_then(|text| home_of(&text, user));
    let is_known = known.is_some_and(|known| {
        known
            .canonicalize()
            .is_ok_and(|known| path.canonicalize().is_ok_and(|path| path == known))
    });
    place("HOME", path, user, (!is_known).then_some(project))
}

/// The home directory in a line of `passwd(5)`.
fn home_of(passwd: &str, user: u32) -> Option<PathBuf> {
    let fields = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let mut of_user =
        fields.filter(|fields| fields.get(2).is_some_and(|id| id.parse() == Ok(user)));
    of_user.find_map(|fields| fields.get(5).map(PathBuf::from))
}

/// The nearest part of the path that is there, as written and as a real path.
fn nearest(path: &Path) -> std::io::Result<(&Path, PathBuf)> {
    for part in path.ancestors() {
        match part.canonicalize() {
            Ok(real) => return Ok((part, real)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // A link to nowhere: what it will lead to is not known.
                if part.symlink_metadata().is_ok() {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Err(std::io::ErrorKind::NotFound.into())
}

/// Whether only `user` and root can have written the file.
pub(crate) fn is_own_file(meta: &Metadata, user: u32) -> bool {
    (meta.uid() == user || meta.uid() == 0) && meta.mode() & OTHERS_WRITE == 0
}

/// The working tree around a directory: up to the repository it is in, but never as far as the home directory. The
/// home directory and what is above it are nobody's tree.
pub(crate) fn working_tree(project: &Path, home: Option<&Path>) -> Option<PathBuf> {
    if home.is_some_and(|home| home.starts_with(project)) {
        return None;
    }
    let below_home = project
        .ancestors()
        .take_while(|part| home.is_none_or(|home| !home.starts_with(part)));
    let tree = below_home
        .filter(|part| part.join(".git").symlink_metadata().is_ok())
        .last();
    Some(tree.unwrap_or(project).to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn ours() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn why(path: &Path, user: u32, tree: &Path) -> String {
        let failure = place("XDG_DATA_HOME", path, user, Some(tree)).unwrap_err();
        let [crate::failure::Report::Plain(report)] = failure.reports.as_slice() else {
            panic!("{failure:?}")
        };
        assert!(report.message.contains("`XDG_DATA_HOME`"));
        report.notes[0].clone()
    }

    #[test]
    fn only_a_place_of_our_own_outside_the_tree_counts() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for name in ["own", "tree/inside", "open"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::set_permissions(root.join("open"), Permissions::from_mode(0o777)).unwrap();
        std::os::unix::fs::symlink(root.join("tree/inside"), root.join("link")).unwrap();
        std::os::unix::fs::symlink(root.join("gone"), root.join("dangling")).unwrap();
        let tree = root.join("tree");
        let user = ours();
        assert_eq!(
            place("X", &root.join("own"), user, Some(&tree)).unwrap(),
            root.join("own")
        );
        assert_eq!(
            place("X", &root.join("own/not/yet"), user, Some(&tree)).unwrap(),
            root.join("own/not/yet")
        );
        assert!(why(&root.join("tree/inside"), user, &tree).contains("working tree"));
        assert!(why(&root.join("tree/not/yet"), user, &tree).contains("working tree"));
        assert!(why(&root.join("link"), user, &tree).contains("working tree"));
        assert!(why(&root.join("open"), user, &tree).contains("written by others"));
        assert!(why(&root.join("open/not/yet"), user, &tree).contains("above it can be written"));
        assert!(why(&root.join("own"), user + 1, &tree).contains("not owned by you"));
        assert!(why(Path::new("relative"), user, &tree).contains("absolute"));
        assert!(why(&root.join("own/../own"), user, &tree).contains(".."));
        assert!(why(&root.join("dangling"), user, &tree).contains("no such file"));
    }

    #[test]
    fn the_tree_ends_at_the_repository_and_below_the_home() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().canonicalize().unwrap();
        fs::create_dir_all(home.join("repo/.git")).unwrap();
        fs::create_dir_all(home.join("repo/a/b")).unwrap();
        fs::create_dir_all(home.join("plain/a")).unwrap();
        fs::create_dir_all(home.join(".git")).unwrap();
        assert_eq!(
            working_tree(&home.join("repo/a/b"), Some(&home)),
            Some(home.join("repo"))
        );
        assert_eq!(
            working_tree(&home.join("plain/a"), Some(&home)),
            Some(home.join("plain/a"))
        );
        assert_eq!(working_tree(&home, Some(&home)), None);
    }

    #[test]
    fn a_home_inside_the_project_must_be_the_known_one() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\nbroken\n";
        assert_eq!(home_of(passwd, 1000), Some("/home/ada".into()));
        assert_eq!(home_of(passwd, 1001), None);
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().canonicalize().unwrap();
        fs::create_dir(project.join("inside")).unwrap();
        assert!(home(&project.join("inside"), ours(), &project).is_err());
        assert!(home(&project, ours(), &project.join("inside")).is_ok());
    }
}
