//! Who commits: a few values of the user's own git configuration, as variables for a command.
//!
//! In a cell there is no home directory and so no `~/.gitconfig`, which also holds helpers, aliases,
//! urls and commands. Without a name git refuses to commit, and people would grant their home. So
//! the host reads the file and passes on what is on a short list.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::beneath;
use super::git_file::{self, Entry};

type Fits = fn(&str) -> bool;

/// What is passed on, and whether the value may be so. Nothing that names a file or a program.
const PASSED: &[(&str, Fits)] = &[
    ("user.name", is_line),
    ("user.email", is_line),
    ("init.defaultbranch", is_branch),
    ("core.autocrlf", is_autocrlf),
];

/// Reads one of the user's configuration files, `$HOME/.gitconfig` or `git/config` in
/// `$XDG_CONFIG_HOME`. Nothing where there is none, and nothing where it is not a regular file, over
/// a mebibyte, or not what git would read. Includes are not followed.
///
/// # Authority
/// Ambient: reads with the process's own rights, and follows links, since it is the user's own file.
pub fn read_user_config(path: &Path) -> Vec<Entry> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let Ok(file) = rustix::fs::open(path, flags, Mode::empty()) else {
        return Vec::new();
    };
    parse(file.as_fd()).unwrap_or_default()
}

fn parse(file: impl AsFd) -> Option<Vec<Entry>> {
    let content = beneath::read_all(file, git_file::MAX_SIZE).ok()?;
    git_file::entries(&content).ok()
}

/// Makes git's `GIT_CONFIG_COUNT`, `GIT_CONFIG_KEY_n` and `GIT_CONFIG_VALUE_n` of the user's
/// configuration and the granted directories.
///
/// Of `user.name`, `user.email`, `init.defaultBranch` and `core.autocrlf` the last value counts, as
/// in git, so give the entries of `$XDG_CONFIG_HOME/git/config` before those of `~/.gitconfig`. Each
/// of `roots` becomes a `safe.directory`, for trees that belong to somebody else; git compares it
/// with the top of the working tree. A root that is not UTF-8, has a control character, or ends like
/// a pattern is left out.
///
/// These are values of the host: they are set after the names that a plugin asks for are judged, and
/// nothing a plugin sets may come beside them.
///
/// # Source
/// `git-config(1)`: "ENVIRONMENT"; `safe.directory`.
pub fn git_environment<'a>(
    user: &[Entry],
    roots: impl IntoIterator<Item = &'a Path>,
) -> Vec<(String, String)> {
    let passed = PASSED.iter().filter_map(|(key, fits)| {
        let entry = user.iter().rfind(|entry| entry.key == key.as_bytes())?;
        let value = std::str::from_utf8(entry.value.as_deref()?).ok()?;
        fits(value).then(|| ((*key).to_owned(), value.to_owned()))
    });
    let safe = roots.into_iter().filter_map(|root| {
        let root = root
            .to_str()
            .filter(|root| is_line(root) && !root.ends_with('*'))?;
        root.starts_with('/')
            .then(|| ("safe.directory".to_owned(), root.to_owned()))
    });
    let pairs: Vec<_> = passed.chain(safe).collect();
    let mut variables = vec![("GIT_CONFIG_COUNT".to_owned(), pairs.len().to_string())];
    for (index, (key, value)) in pairs.into_iter().enumerate() {
        variables.push((format!("GIT_CONFIG_KEY_{index}"), key));
        variables.push((format!("GIT_CONFIG_VALUE_{index}"), value));
    }
    variables
}

fn is_line(value: &str) -> bool {
    !value.is_empty() && value.len() <= 1024 && !value.contains(char::is_control)
}

fn is_branch(value: &str) -> bool {
    let plain = |char: char| char.is_alphanumeric() || "._/-".contains(char);
    is_line(value) && !value.starts_with('-') && value.chars().all(plain)
}

fn is_autocrlf(value: &str) -> bool {
    matches!(value, "true" | "false" | "input")
}
