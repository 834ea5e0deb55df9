use std::path::{Component, Path};

use crate::Protect;

/// How a path is bound by a protected name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// The name is found through it: a directory above the name, or what would lie in its place.
    Above,
    /// It is the name, or lies in it.
    Within,
}

/// A protected name that binds a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound<'a> {
    /// The name as it is written in the list, and lifted by.
    pub name: &'a str,
    /// How the path stands to it.
    pub standing: Standing,
}

/// Where git keeps its things in a working tree.
const GIT_DIR: &str = ".git/";

impl Protect {
    /// The protected name that a path is, lies in, or is a directory above of, if there is one.
    ///
    /// A name counts from every directory of the path: `vendor/x/.git/hooks` is one as `.git/hooks` is. Letters count
    /// the same in upper and lower case, as they do for some file systems.
    ///
    /// # Shapes and units
    /// `path` is relative to a directory that may be written, without links and without `..`.
    pub fn binds(&self, path: &Path) -> Option<Bound<'_>> {
        nearest(self.bounds(path))
    }

    /// The protected name that binds a path relative to a git directory, wherever that is and whatever it is called.
    pub fn binds_in_git_dir(&self, path: &Path) -> Option<Bound<'_>> {
        nearest(self.bounds_in_git_dir(path))
    }

    /// What of a git directory is protected or leads to it: the first component of each such name.
    pub fn first_in_git_dir(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = self.names().iter().map(String::as_str);
        names.filter_map(|name| {
            let inside = name.strip_prefix(GIT_DIR)?;
            Some((name, inside.split('/').next().unwrap_or(inside)))
        })
    }

    pub(crate) fn bounds(&self, path: &Path) -> impl Iterator<Item = Bound<'_>> {
        let parts = parts(path);
        self.names().iter().filter_map(move |name| {
            let standings = (0..parts.len()).filter_map(|from| stands(name, &parts[from..]));
            Some(Bound {
                name,
                standing: standings.max()?,
            })
        })
    }

    pub(crate) fn bounds_in_git_dir(&self, path: &Path) -> impl Iterator<Item = Bound<'_>> {
        let parts = parts(path);
        self.names().iter().filter_map(move |name| {
            let standing = stands(name.strip_prefix(GIT_DIR)?, &parts)?;
            Some(Bound { name, standing })
        })
    }
}

/// Of several, the first that the path lies in, else the first.
pub(crate) fn nearest<'a>(bounds: impl Iterator<Item = Bound<'a>>) -> Option<Bound<'a>> {
    bounds.reduce(|one, other| {
        if other.standing > one.standing {
            other
        } else {
            one
        }
    })
}

fn parts(path: &Path) -> Vec<&[u8]> {
    let parts = path.components();
    parts
        .filter(|part| matches!(part, Component::Normal(_)))
        .map(|part| part.as_os_str().as_encoded_bytes())
        .collect()
}

fn stands(name: &str, parts: &[&[u8]]) -> Option<Standing> {
    let wanted = name.split('/').map(str::as_bytes);
    follows(wanted, parts, |wanted, part| {
        wanted == b"*" || wanted.eq_ignore_ascii_case(part)
    })
}

/// How a path stands to another, letter case aside.
pub(crate) fn stands_to(path: &Path, other: &Path) -> Option<Standing> {
    follows(
        parts(other).into_iter(),
        &parts(path),
        <[u8]>::eq_ignore_ascii_case,
    )
}

fn follows<'a>(
    wanted: impl Iterator<Item = &'a [u8]>,
    parts: &[&[u8]],
    is: impl Fn(&[u8], &[u8]) -> bool,
) -> Option<Standing> {
    let mut parts = parts.iter();
    for (index, wanted) in wanted.enumerate() {
        match parts.next() {
            Some(part) if is(wanted, part) => {}
            None if index > 0 => return Some(Standing::Above),
            Some(_) | None => return None,
        }
    }
    Some(Standing::Within)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(path: &str) -> Option<(String, Standing)> {
        let protect = Protect::default();
        let bound = protect.binds(Path::new(path))?;
        Some((bound.name.to_owned(), bound.standing))
    }

    #[test]
    fn names_bind_themselves_and_what_lies_in_them() {
        for (path, name) in [
            (".git/hooks", ".git/hooks"),
            (".git/hooks/pre-commit", ".git/hooks"),
            (".git/config", ".git/config"),
            ("vendor/x/.git/hooks/pre-commit", ".git/hooks"),
            (".git/modules/a/config", ".git/modules/*/config"),
            (".envrc", ".envrc"),
            ("deep/down/.envrc", ".envrc"),
            (".vscode/tasks.json", ".vscode"),
            (".GIT/Hooks/pre-commit", ".git/hooks"),
            // A file in place of a directory is the name all the same.
            (".config/git", ".config/git"),
        ] {
            assert_eq!(
                bound(path),
                Some((name.to_owned(), Standing::Within)),
                "{path}"
            );
        }
    }

    #[test]
    fn directories_above_a_name_are_bound_by_it() {
        for path in [
            ".git",
            "x/.git",
            ".git/modules",
            ".git/modules/a",
            ".config",
            ".local",
        ] {
            let standing = bound(path).map(|(_, standing)| standing);
            assert_eq!(standing, Some(Standing::Above), "{path}");
        }
    }

    #[test]
    fn everything_else_is_free() {
        for path in [
            "",
            "src/main.rs",
            ".git/HEAD",
            ".git/index.lock",
            ".git/objects/aa/bb",
            ".git/refs/heads/config",
            ".git/refs/heads/hooks",
            "hooks/pre-commit",
            "config",
            ".gitignore",
            ".github/workflows/ci.yml",
            "envrc",
            ".envrc.example",
            "x.vscode",
            "modules/a/config",
        ] {
            assert_eq!(bound(path), None, "{path}");
        }
    }

    #[test]
    fn a_git_directory_has_the_names_without_its_own() {
        let protect = Protect::default();
        let bound = |path| {
            let bound = protect.binds_in_git_dir(Path::new(path));
            bound.map(|bound| (bound.name, bound.standing))
        };
        assert_eq!(bound("hooks/x"), Some((".git/hooks", Standing::Within)));
        assert_eq!(bound("config"), Some((".git/config", Standing::Within)));
        assert_eq!(
            bound("modules/a"),
            Some((".git/modules/*/commondir", Standing::Above))
        );
        assert_eq!(bound("HEAD"), None);
        assert_eq!(bound("refs/heads/config"), None, "only from its top");
        assert_eq!(bound(".envrc"), None, "no name of git's");
    }

    #[test]
    fn what_is_lifted_binds_nothing() {
        let mut protect = Protect::default();
        protect.lift(".git/hooks");
        assert_eq!(protect.binds(Path::new(".git/hooks/pre-commit")), None);
        assert_eq!(protect.binds_in_git_dir(Path::new("hooks/x")), None);
        assert!(protect.binds(Path::new(".git/config")).is_some());
        assert!(
            protect
                .first_in_git_dir()
                .all(|(_, first)| first != "hooks")
        );
        assert!(Protect::nothing().binds(Path::new(".git/config")).is_none());
    }
}
