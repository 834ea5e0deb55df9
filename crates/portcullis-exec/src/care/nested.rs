//! Which repositories lie in a writable directory, and what belongs to each.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::beneath;
use super::git_file;
use super::protect::Gap;
use super::staged::is_git_dir;
use super::survey::{Step, Survey};

const MAX_DEPTH: usize = 5;
const MAX_ENTRIES: usize = 20_000;
const MAX_REPOSITORIES: usize = 64;
/// Configurations that include one another.
const MAX_INCLUDES: usize = 4;
const MAX_POINTER: usize = 4096 + 16;

/// Finds and keeps everything.
pub(super) fn survey(survey: &mut Survey<'_>) -> Result<(), Errno> {
    let top = Path::new("");
    survey.tree_names(top)?;
    if survey.git.is_empty() {
        return Ok(());
    }
    if is_git_dir(survey.root) {
        return git_dir(survey, top, None);
    }
    repository(survey, top)?;
    search(survey)
}

/// Looks through the tree, the nearest directories first, without following links.
fn search(survey: &mut Survey<'_>) -> Result<(), Errno> {
    let (mut entries, mut repositories) = (0, 0);
    let mut queue = VecDeque::from([(PathBuf::new(), 0)]);
    while let Some((dir, depth)) = queue.pop_front() {
        let (names, whole) = match beneath::list(survey.root, &dir, MAX_ENTRIES - entries) {
            Ok(names) => names,
            // It was removed meanwhile.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(errno) => {
                survey.seal(&dir, Gap::Unreadable, errno)?;
                continue;
            }
        };
        entries += names.len();
        let is_root = depth == 0;
        let has = |name: &str| names.iter().any(|(entry, _)| entry == name);
        let is_git_dir = has("HEAD") && (has("commondir") || has("objects") && has("refs"));
        if !is_root && (has(".git") || is_git_dir) {
            if repositories == MAX_REPOSITORIES {
                survey.gap(&dir, Gap::SearchLimit);
                return Ok(());
            }
            repositories += 1;
            if !has(".git") {
                git_dir(survey, &dir, None)?;
                continue;
            }
            repository(survey, &dir)?;
            survey.tree_names(&dir)?;
        }
        if !whole || entries >= MAX_ENTRIES {
            survey.gap(&dir, Gap::SearchLimit);
            return Ok(());
        }
        let inner = names
            .iter()
            .filter(|(name, kind)| *kind == FileType::Directory && name != ".git");
        let inner: Vec<PathBuf> = inner.map(|(name, _)| dir.join(name)).collect();
        match inner.first() {
            Some(first) if depth == MAX_DEPTH => survey.gap(first, Gap::SearchLimit),
            _ => queue.extend(inner.into_iter().map(|dir| (dir, depth + 1))),
        }
    }
    Ok(())
}

/// Keeps what belongs to the repository whose working tree this is, if it is one.
fn repository(survey: &mut Survey<'_>, top: &Path) -> Result<(), Errno> {
    match survey.step(top, Path::new(".git"))? {
        Some(Step::At(path, found)) if found.kind == FileType::Directory => {
            git_dir(survey, &path, Some(top.to_owned()))
        }
        Some(Step::At(path, found)) => {
            survey.keep(&path, &found);
            // A submodule or a linked tree; its git directory is kept here if it is here.
            let pointer = beneath::read(survey.root, &path, MAX_POINTER).unwrap_or_default();
            let Some(target) = pointer.strip_prefix(b"gitdir: ") else {
                return Ok(());
            };
            let base = path.parent().unwrap_or(Path::new("")).to_owned();
            match named(survey, &base, target.trim_ascii_end())? {
                Some(Step::At(path, found)) if found.kind == FileType::Directory => {
                    git_dir(survey, &path, Some(top.to_owned()))
                }
                _ => Ok(()),
            }
        }
        Some(Step::Outside) => {
            survey.gap(&top.join(".git"), Gap::LeadsOutside);
            Ok(())
        }
        Some(Step::Missing(path)) => {
            survey.gap(&path, Gap::Missing);
            Ok(())
        }
        None => Ok(()),
    }
}

/// Keeps the protected names of a git directory, what its configuration names, and the same for the
/// submodules in it.
fn git_dir(survey: &mut Survey<'_>, dir: &Path, top: Option<PathBuf>) -> Result<(), Errno> {
    let mut todo = vec![(dir.to_owned(), top)];
    let mut seen = 0;
    while let Some((dir, top)) = todo.pop() {
        survey.git_names(&dir)?;
        // Hooks run at the top of the working tree, in a bare repository in the git directory.
        let hooks_base = top.as_deref().unwrap_or(&dir);
        for name in ["config", "config.worktree"] {
            configured(survey, &dir.join(name), hooks_base, MAX_INCLUDES)?;
        }
        for module in modules(survey, &dir.join("modules"))? {
            seen += 1;
            if seen > MAX_REPOSITORIES {
                return survey.seal(&dir.join("modules"), Gap::TooMany, Errno::TOOMANYREFS);
            }
            let top = module_top(survey, &module)?;
            todo.push((module, top));
        }
    }
    Ok(())
}

/// The git directories of submodules. Their names may have several parts.
fn modules(survey: &mut Survey<'_>, dir: &Path) -> Result<Vec<PathBuf>, Errno> {
    let (mut found, mut todo) = (Vec::new(), vec![(dir.to_owned(), 0)]);
    while let Some((dir, depth)) = todo.pop() {
        let names = match beneath::list(survey.root, &dir, MAX_REPOSITORIES * 4) {
            Ok((names, true)) => names,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            Ok((_, false)) => {
                survey.seal(&dir, Gap::TooMany, Errno::TOOMANYREFS)?;
                continue;
            }
            Err(errno) => {
                survey.seal(&dir, Gap::Unreadable, errno)?;
                continue;
            }
        };
        let has = |name: &str| names.iter().any(|(entry, _)| entry == name);
        if has("HEAD") && has("objects") && has("refs") {
            found.push(dir);
        } else if depth == MAX_DEPTH {
            survey.seal(&dir, Gap::SearchLimit, Errno::TOOMANYREFS)?;
        } else {
            let inner = names
                .into_iter()
                .filter(|(_, kind)| *kind == FileType::Directory);
            todo.extend(inner.map(|(name, _)| (dir.join(name), depth + 1)));
        }
    }
    Ok(found)
}

/// The working tree of a submodule, from its configuration, if it is in the root.
fn module_top(survey: &mut Survey<'_>, module: &Path) -> Result<Option<PathBuf>, Errno> {
    let config = beneath::read(survey.root, &module.join("config"), git_file::MAX_SIZE);
    let entries = config
        .ok()
        .and_then(|config| git_file::entries(&config).ok())
        .unwrap_or_default();
    let worktree = entries.iter().rfind(|entry| entry.key == b"core.worktree");
    let Some(path) = worktree.and_then(|entry| entry.value.as_deref()) else {
        return Ok(None);
    };
    Ok(match named(survey, module, path)? {
        Some(Step::At(path, _)) => Some(path),
        _ => None,
    })
}

/// Keeps the hooks that a configuration names, and the configurations it includes.
fn configured(
    survey: &mut Survey<'_>,
    config: &Path,
    hooks_base: &Path,
    includes: usize,
) -> Result<(), Errno> {
    let base = config.parent().unwrap_or(Path::new("")).to_owned();
    let Some(Step::At(config, found)) =
        survey.step(&base, Path::new(config.file_name().unwrap_or_default()))?
    else {
        return Ok(());
    };
    if found.kind != FileType::RegularFile {
        return Ok(());
    }
    let content = beneath::read(survey.root, &config, git_file::MAX_SIZE);
    let Some(entries) = content
        .ok()
        .and_then(|content| git_file::entries(&content).ok())
    else {
        survey.gap(&config, Gap::Unparsed);
        return Ok(());
    };
    for entry in entries {
        let Some(path) = entry.value.as_deref() else {
            continue;
        };
        match entry.parts() {
            (b"core", None, b"hookspath") => {
                keep_named(survey, hooks_base, path)?;
            }
            (b"include", None, b"path") | (b"includeif", Some(_), b"path") => {
                let Some(included) = keep_named(survey, &base, path)? else {
                    continue;
                };
                if includes == 0 {
                    survey.gap(&included, Gap::SearchLimit);
                } else {
                    configured(survey, &included, hooks_base, includes - 1)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Keeps what a configuration names, if it is in the root; where it is not, it is not writable here.
fn keep_named(survey: &mut Survey<'_>, base: &Path, path: &[u8]) -> Result<Option<PathBuf>, Errno> {
    match named(survey, base, path)? {
        Some(Step::At(path, found)) => {
            survey.keep(&path, &found);
            survey.named.push(path.clone());
            Ok(Some(path))
        }
        Some(Step::Missing(missing)) => {
            survey.gap(&missing, Gap::Missing);
            survey.named.push(missing);
            Ok(None)
        }
        _ => Ok(None),
    }
}

/// Follows a path as it stands in a file of git's, from a directory if it is relative.
fn named(survey: &mut Survey<'_>, base: &Path, path: &[u8]) -> Result<Option<Step>, Errno> {
    let path = Path::new(OsStr::from_bytes(path));
    if !path.is_absolute() {
        return survey.step(base, path);
    }
    match path.strip_prefix(survey.real) {
        Ok(path) => {
            let path = path.to_owned();
            survey.step(Path::new(""), &path)
        }
        Err(_) => Ok(Some(Step::Outside)),
    }
}
