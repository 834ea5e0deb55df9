//! Looking up on the host what a command's output names.
//!
//! The names are anybody's text, and a look-up can have an effect: on an automounter, on AFS and on some file systems
//! of user space, the name of a directory is the name of a host that is then asked for. That would be a way to the
//! network for a command that has none. So nothing is looked up there, links are followed one by one, and not without
//! end.

use std::cell::Cell;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// What every cell makes itself: nothing there is the host's.
const OWN: [&str; 3] = ["/proc", "/dev", "/sys"];
/// Steps that one command's output is worth.
const MAX_STEPS: u32 = 10_000;
/// Links on the way to one file, as in the kernel.
const MAX_LINKS: u32 = 40;

/// What a name leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// This real path.
    There(PathBuf),
    /// Nothing.
    NotThere,
    /// Nobody looked.
    NotLookedAt,
}

/// Looks names up, as long as that has no effect.
#[derive(Debug)]
pub(super) struct Lookup {
    /// Below these it could have one.
    avoided: Vec<PathBuf>,
    steps: Cell<u32>,
}

impl Lookup {
    /// Reads which file systems are mounted. Where that cannot be read nothing is looked up.
    pub(super) fn new() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo");
        let avoided = mounts.map_or_else(|_| vec!["/".into()], |mounts| active(&mounts));
        Self::avoiding(avoided)
    }

    pub(super) fn avoiding(avoided: Vec<PathBuf>) -> Self {
        Self {
            avoided: avoided.into_iter().chain(OWN.map(PathBuf::from)).collect(),
            steps: Cell::new(MAX_STEPS),
        }
    }

    /// Follows an absolute path, link by link.
    pub(super) fn find(&self, path: &Path) -> Found {
        let mut ahead: Vec<PathBuf> = parts(path);
        let mut real = PathBuf::from("/");
        let mut links = MAX_LINKS;
        while let Some(part) = ahead.pop() {
            if part == Path::new("..") {
                real.pop();
                continue;
            }
            let here = real.join(&part);
            if !self.may_look(&here) {
                return Found::NotLookedAt;
            }
            let Ok(meta) = fs::symlink_metadata(&here) else {
                return Found::NotThere;
            };
            if !meta.is_symlink() {
                real = here;
                continue;
            }
            let Some(left) = links.checked_sub(1) else {
                return Found::NotThere;
            };
            links = left;
            let Ok(target) = fs::read_link(&here) else {
                return Found::NotThere;
            };
            if target.is_absolute() {
                real = PathBuf::from("/");
            }
            ahead.extend(parts(&target));
        }
        Found::There(real)
    }

    fn may_look(&self, path: &Path) -> bool {
        let left = self.steps.get();
        self.steps.set(left.saturating_sub(1));
        left > 0 && !self.avoided.iter().any(|avoided| path.starts_with(avoided))
    }
}

/// The parts of a path, the first one last.
fn parts(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    });
    parts.collect()
}

/// Where file systems are mounted on which a look-up may ask somebody.
///
/// # Source
/// proc(5), "mountinfo": the fifth field is the place, escaped; the type follows ` - `.
fn active(mounts: &str) -> Vec<PathBuf> {
    let place = |line: &str| {
        let (fields, kind) = line.split_once(" - ")?;
        let kind = kind.split(' ').next()?;
        let asks = matches!(kind, "autofs" | "afs" | "fuse") || kind.starts_with("fuse.");
        let place = fields.split(' ').nth(4)?;
        asks.then(|| PathBuf::from(unescaped(place)))
    };
    mounts.lines().filter_map(place).collect()
}

/// Blanks, tabs, line feeds and backslashes are written as three octal digits.
fn unescaped(text: &str) -> String {
    let codes = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    codes.iter().fold(text.to_owned(), |text, (code, char)| {
        text.replace(code, char)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_and_their_ends_are_real() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        symlink("../a", root.join("a/up")).unwrap();
        symlink(root.join("a/up/b"), root.join("far")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let lookup = Lookup::new();
        for path in ["a/b", "far", "a/up/b/../b", "a/./b/"] {
            assert_eq!(
                lookup.find(&root.join(path)),
                Found::There(root.join("a/b")),
                "{path}"
            );
        }
        for path in ["missing", "a/missing/b", "loop", "loop/x"] {
            assert_eq!(lookup.find(&root.join(path)), Found::NotThere, "{path}");
        }
        assert_eq!(lookup.find(Path::new("/proc/self")), Found::NotLookedAt);
    }

    #[test]
    fn nothing_is_looked_up_where_that_asks_somebody() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("net/host")).unwrap();
        symlink("net/host", root.join("link")).unwrap();
        let lookup = Lookup::avoiding(vec![root.join("net")]);
        for path in ["net/host", "link", "link/x", "net"] {
            assert_eq!(lookup.find(&root.join(path)), Found::NotLookedAt, "{path}");
        }
        assert_eq!(lookup.find(&root), Found::There(root.clone()));
    }

    #[test]
    fn file_systems_that_ask_are_known_by_their_type() {
        let mounts = "22 1 0:21 / / rw - ext4 /dev/sda1 rw\n\
            30 22 0:30 / /net rw shared:1 - autofs auto rw\n\
            31 22 0:31 / /home/a\\040b/far rw,nosuid - fuse.sshfs x rw\n\
            32 22 0:32 / /home rw - nfs4 server:/home rw\n";
        assert_eq!(
            active(mounts),
            [PathBuf::from("/net"), "/home/a b/far".into()]
        );
    }

    #[test]
    fn looking_comes_to_an_end() {
        let lookup = Lookup::avoiding(Vec::new());
        for _ in 0..MAX_STEPS {
            assert_eq!(
                lookup.find(Path::new("/no-such-directory")),
                Found::NotThere
            );
        }
        assert_eq!(lookup.find(Path::new("/usr")), Found::NotLookedAt);
    }
}
