//! From the files that were used to the directories and files that would do.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Names of one directory that are listed one by one.
const LISTED: usize = 8;
/// Places in all: with more, the directories above them are meant.
const PLACES: usize = 16;

/// How closely what is granted is cut to what was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The files themselves, where there are few in a directory.
    Files,
    /// The directories that they lie in.
    Directories,
}

/// The places within `bounds` that cover what was used, in order; none lies in another. What is not there any more, because
/// it was made in the run, is covered by the directory that it was made in.
pub(super) fn cover<'a>(
    used: impl IntoIterator<Item = &'a PathBuf>,
    bounds: &[PathBuf],
    cut: Cut,
) -> Vec<PathBuf> {
    let within = |path: &Path| bounds.iter().any(|bound| path.starts_with(bound));
    let mut places = BTreeSet::new();
    for path in used {
        let Some(real) = nearest(path) else { continue };
        let place = match cut {
            _ if repository(&real).is_some() => repository(&real),
            Cut::Directories if !real.is_dir() => real.parent(),
            Cut::Files | Cut::Directories => Some(real.as_path()),
        };
        places.extend(place.filter(|place| within(place)).map(Path::to_owned));
    }
    let mut places = outermost(places);
    loop {
        let crowded = crowded(&places, bounds);
        if crowded.is_empty() {
            return places.into_iter().collect();
        }
        places.extend(crowded);
        places = outermost(places);
    }
}

/// The real path of something, or of the directory where it would be.
fn nearest(path: &Path) -> Option<PathBuf> {
    path.ancestors().find_map(|path| path.canonicalize().ok())
}

/// The directory of git that something lies in: what git keeps there has another name with each commit.
fn repository(path: &Path) -> Option<&Path> {
    let mut above = path.ancestors();
    above.find(|dir| dir.file_name() == Some(OsStr::new(".git")))
}

fn outermost(places: BTreeSet<PathBuf>) -> BTreeSet<PathBuf> {
    let mut outer: BTreeSet<PathBuf> = BTreeSet::new();
    // A directory comes before what lies in it.
    for place in places {
        let is_covered = place.ancestors().any(|above| outer.contains(above));
        if !is_covered {
            outer.insert(place);
        }
    }
    outer
}

/// The directories that stand for too many places.
fn crowded(places: &BTreeSet<PathBuf>, bounds: &[PathBuf]) -> Vec<PathBuf> {
    let mut held: BTreeMap<&Path, usize> = BTreeMap::new();
    for place in places.iter().filter(|place| !bounds.contains(place)) {
        *held.entry(place.parent().unwrap_or(place)).or_default() += 1;
    }
    let crowded: Vec<_> = held
        .iter()
        .filter(|&(_, &count)| count > LISTED)
        .map(|(dir, _)| (*dir).to_owned())
        .collect();
    if !crowded.is_empty() || places.len() <= PLACES {
        return crowded;
    }
    // The deepest go first.
    let depth = |path: &&Path| path.components().count();
    held.keys()
        .max_by_key(|dir| depth(dir))
        .map(|dir| (*dir).to_owned())
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for name in ["a/one", "a/two", "b/c/three"] {
            std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            std::fs::write(root.join(name), "").unwrap();
        }
        (dir, root)
    }

    fn covered(root: &Path, used: &[&str], cut: Cut) -> Vec<String> {
        let used: Vec<_> = used.iter().map(|name| root.join(name)).collect();
        let places = cover(&used, &[root.to_owned()], cut);
        let names = places.iter().map(|place| {
            let name = place.strip_prefix(root).unwrap();
            name.to_str().unwrap().to_owned()
        });
        names.collect()
    }

    #[test]
    fn places_are_as_small_as_they_can_be() {
        let (_dir, root) = scene();
        let files = |used: &[&str]| covered(&root, used, Cut::Files);
        assert_eq!(files(&["a/one", "b/c/three"]), ["a/one", "b/c/three"]);
        assert_eq!(files(&["a", "a/one"]), ["a"]);
        // What was made in the run.
        assert_eq!(files(&["b/new/deep/file"]), ["b"]);
        let directories = |used: &[&str]| covered(&root, used, Cut::Directories);
        assert_eq!(directories(&["a/one", "a/two", "b/c/three"]), ["a", "b/c"]);
    }

    #[test]
    fn what_git_keeps_is_one_place() {
        let (_dir, root) = scene();
        std::fs::create_dir_all(root.join("b/.git/objects/06")).unwrap();
        std::fs::write(root.join("b/.git/HEAD"), "").unwrap();
        let used = ["b/.git/HEAD", "b/.git/objects/06/x", "b/c/three"];
        assert_eq!(covered(&root, &used, Cut::Files), ["b/.git", "b/c/three"]);
    }

    #[test]
    fn nothing_beyond_the_bounds_is_a_place() {
        let (_dir, root) = scene();
        let outside = [PathBuf::from("/etc/passwd"), PathBuf::from("/")];
        assert!(cover(&outside, &[root.join("a")], Cut::Directories).is_empty());
        let beside = [root.join("b/c/three")];
        assert!(cover(&beside, &[root.join("a")], Cut::Files).is_empty());
        // A link counts as what it leads to.
        std::os::unix::fs::symlink("/etc/passwd", root.join("a/link")).unwrap();
        assert!(cover(&[root.join("a/link")], &[root.join("a")], Cut::Files).is_empty());
    }

    #[test]
    fn many_names_are_their_directory() {
        let (_dir, root) = scene();
        let names: Vec<String> = (0..9).map(|i| format!("a/{i}")).collect();
        for name in &names {
            std::fs::write(root.join(name), "").unwrap();
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(covered(&root, &names, Cut::Files), ["a"]);
        assert_eq!(covered(&root, &names[..8], Cut::Files).len(), 8);
    }
}
