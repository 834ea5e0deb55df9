//! Lists of real paths, each standing for itself and everything below it.

use std::path::{Component, Path, PathBuf};

/// Sorted, and without what lies inside another path of the list. What is not absolute, or has a `..`, is no real path
/// and stands for nothing.
pub(crate) fn outermost(paths: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut sorted: Vec<_> = paths.into_iter().filter(|path| is_real(path)).collect();
    sorted.sort_unstable();
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in sorted {
        // A directory sorts before everything inside it, and nothing that is outside stands between them.
        if kept.last().is_none_or(|last| !path.starts_with(last)) {
            kept.push(path);
        }
    }
    kept
}

/// What lies in both lists.
pub(crate) fn both(one: &[PathBuf], other: &[PathBuf]) -> Vec<PathBuf> {
    let pairs = one
        .iter()
        .flat_map(|one| other.iter().map(move |other| (one, other)));
    outermost(pairs.filter_map(|(one, other)| {
        if one.starts_with(other) {
            Some(one.clone())
        } else if other.starts_with(one) {
            Some(other.clone())
        } else {
            None
        }
    }))
}

/// Whether a path is one of the list or lies inside one.
pub(crate) fn covers(list: &[PathBuf], path: &Path) -> bool {
    is_real(path) && list.iter().any(|outer| path.starts_with(outer))
}

fn is_real(path: &Path) -> bool {
    path.is_absolute() && !path.components().any(|part| part == Component::ParentDir)
}
