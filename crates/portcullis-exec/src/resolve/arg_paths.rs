//! Arguments that may be paths, resolved for the rules that ask about them.
//!
//! A guard against mistakes: what an argument leads to can change before the command opens it, and a
//! program may read names from elsewhere. What a command can reach follows from confinement.

use std::path::{Component, Path, PathBuf};

use portcullis_policy::{ArgPath, Grants, ProgramRef, Programs};
use rustix::fs::{Mode, OFlags};

use super::open;

/// Bytes of arguments that are looked at: more are refused whatever they are.
const MAX_BYTES: usize = 128 * 1024;
/// Bytes of a path that the kernel takes (`PATH_MAX`).
const MAX_PATH: usize = 4096;
/// How many links the kernel follows in one path.
const MAX_LINKS: usize = 40;

/// Resolves what could be a path: each argument that is no flag, and what stands after a `=`.
///
/// Nothing is looked at unless a rule for this program needs it.
pub(super) fn resolve(
    grants: &Grants,
    program: &ProgramRef,
    args: &[String],
    cwd: Option<&Path>,
) -> Vec<ArgPath> {
    let mut rules = grants.exec.iter().flat_map(|exec| exec.rules());
    // A denied directory may hold a program of any name.
    let may_be_about = |programs: &Programs| {
        programs.directory().is_some() || programs.is_called(program.base_name())
    };
    let needed = rules.any(|rule| may_be_about(&rule.program) && rule.arguments.needs_paths());
    let bytes: usize = args.iter().map(|arg| arg.len() + 1).sum();
    let Some(cwd) = cwd.filter(|_| needed && bytes <= MAX_BYTES) else {
        return Vec::new();
    };
    let mut paths = Vec::new();
    for (index, arg) in args.iter().enumerate() {
        let whole = (!arg.starts_with('-')).then_some(arg.as_str());
        let value = arg
            .split_once('=')
            .map(|(_, value)| value)
            .filter(|value| !value.is_empty());
        for text in whole.into_iter().chain(value) {
            let (real, exists) = real_path(&cwd.join(text));
            paths.push(ArgPath {
                index,
                real,
                exists,
            });
        }
    }
    paths
}

/// The real path of what is there; of its nearest directory that is there joined with the rest,
/// when nothing is. What cannot be followed is `/`, which lies in no directory granted.
fn real_path(path: &Path) -> (PathBuf, bool) {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        if path.as_os_str().len() > MAX_PATH {
            break;
        }
        if let Some(real) = existing(&path) {
            return (real, true);
        }
        // A link that leads to nothing yet: what is created goes where it leads.
        let Ok(target) = std::fs::read_link(&path) else {
            return (not_there(&path), false);
        };
        path = path.parent().unwrap_or(Path::new("/")).join(target);
    }
    (PathBuf::from("/"), false)
}

/// The real path of what is there, found by the kernel in one walk: a path may have thousands of parts.
fn existing(path: &Path) -> Option<PathBuf> {
    let fd = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
    open::real_path(&fd).ok()
}

fn not_there(path: &Path) -> PathBuf {
    let nowhere = PathBuf::from("/");
    let ancestors: Vec<&Path> = path.ancestors().skip(1).collect();
    // The longest come first, and below what is missing nothing is there.
    let missing = ancestors.partition_point(|ancestor| existing(ancestor).is_none());
    let unfollowed = missing
        .checked_sub(1)
        .is_some_and(|last| ancestors[last].symlink_metadata().is_ok());
    let Some((ancestor, real)) = ancestors
        .get(missing)
        .and_then(|ancestor| Some((ancestor, existing(ancestor)?)))
    else {
        return nowhere;
    };
    let rest = path.strip_prefix(ancestor).unwrap_or(path);
    // Where `..` leads is not known before what it goes back from is there.
    let plain = rest
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if plain && !unfollowed {
        real.join(rest)
    } else {
        nowhere
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_and_what_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("in")).unwrap();
        std::fs::write(root.join("in/file"), "").unwrap();
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, root.join(name)).unwrap();
        };
        link("in/file", "good");
        link("/nowhere/new", "dangling");
        link("loop", "loop");
        link("/nowhere", "lost");
        let real = |text: &str| real_path(&root.join(text));
        assert_eq!(real("in/../in/file"), (root.join("in/file"), true));
        assert_eq!(real("good"), (root.join("in/file"), true));
        assert_eq!(real("in/new"), (root.join("in/new"), false));
        assert_eq!(real("in/new/deep"), (root.join("in/new/deep"), false));
        assert_eq!(real("/etc"), (PathBuf::from("/etc"), true));
        assert_eq!(real("dangling"), (PathBuf::from("/nowhere/new"), false));
        for lost in ["loop", "in/new/../../x", "lost/x", "in/file/x/.."] {
            assert_eq!(real(lost), (PathBuf::from("/"), false), "{lost}");
        }
    }

    #[test]
    fn long_paths_cost_no_more_than_their_length() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("b")).unwrap();
        let deep = format!("{}{}new", "b/../".repeat(300), "y/".repeat(300));
        assert_eq!(
            real_path(&root.join(&deep)),
            (root.join("y/".repeat(300)).join("new"), false)
        );
        let beyond = "b/../".repeat(1000);
        assert_eq!(real_path(&root.join(&beyond)), (PathBuf::from("/"), false));
    }
}
