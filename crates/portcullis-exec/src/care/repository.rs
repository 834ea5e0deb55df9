//! What `fs = { repository = "." }` grants: the working tree, and where git keeps its things for it.
//!
//! In a linked working tree and in a submodule `.git` is a file that names a directory elsewhere.
//! Whoever could write the tree chose that name, so it proves nothing. It is followed only if what
//! it leads to is a git directory that says, in a place the tree's writer could not reach, that this
//! is its tree.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use portcullis_policy::FileId;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::beneath::{self, ReadError};
use super::git_file;
use super::staged::is_git_dir;
use crate::resolve::open;

/// Longest `.git`, `gitdir` or `commondir` file.
const MAX_POINTER: usize = 4096 + 16;

/// A directory to grant, opened.
#[derive(Debug)]
pub struct RepositoryRoot {
    /// Its real path.
    pub real: PathBuf,
    /// What it is.
    pub id: FileId,
    /// The directory.
    pub dir: OwnedFd,
}

/// What belongs to a working tree.
#[derive(Debug)]
pub struct Repository {
    /// The top of the working tree, in which `.git` lies.
    pub tree: RepositoryRoot,
    /// Directories outside the tree that git needs beside it: none, or its git directory, and after
    /// that the one it shares with other working trees. None of them lies in another or in the tree.
    pub outside: Vec<RepositoryRoot>,
}

/// Why a directory is not granted as a repository.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// There is no `.git` in it.
    #[error("`{}` is not the top of a working tree: it has no `.git`", .0.display())]
    None(PathBuf),
    /// `.git` is a link, a FIFO, a device.
    #[error("`{}` is neither a directory nor a plain file", .0.display())]
    Kind(PathBuf),
    /// A file that should name a directory does not.
    #[error("`{}` does not name a directory as git writes it", .0.display())]
    Pointer(PathBuf),
    /// What it names is not where git keeps its things.
    #[error("`{}` is not a git directory, although `{}` names it", .git_dir.display(), .by.display())]
    NotGit {
        /// The directory.
        git_dir: PathBuf,
        /// Who named it.
        by: PathBuf,
    },
    /// What it names does not know this tree.
    #[error("the git directory `{}` does not belong to `{}`", .git_dir.display(), .tree.display())]
    NotOurs {
        /// The directory.
        git_dir: PathBuf,
        /// The tree that named it.
        tree: PathBuf,
    },
    /// Something could not be read.
    #[error("failed to read `{}`: {source}", .path.display())]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Finds what belongs to the working tree whose top is this directory.
///
/// # Authority
/// Ambient: opens with the process's own rights. What is returned is to be granted beside the tree,
/// so it still has to pass every check that a granted directory has to.
///
/// # Errors
/// [`RepositoryError`]: there is no `.git`, it is neither directory nor file, it names something
/// that is not a git directory, or one that does not point back to this tree.
///
/// # Source
/// `gitrepository-layout(5)`: `commondir`, `worktrees/<id>/gitdir`; `gitsubmodules(7)`.
pub fn repository(tree: &Path) -> Result<Repository, RepositoryError> {
    let tree = root(tree)?;
    let dot_git = tree.real.join(".git");
    let found = beneath::find(&tree.dir, Path::new(".git")).map_err(|errno| match errno {
        Errno::NOENT => RepositoryError::None(tree.real.clone()),
        errno => failed(&dot_git, errno.into()),
    })?;
    let git_dir = match found.kind {
        FileType::Directory => root(&dot_git)?,
        FileType::RegularFile => root(&pointed(&tree, ".git", Some("gitdir: "))?)?,
        _ => return Err(RepositoryError::Kind(dot_git)),
    };
    if !is_git_dir(&git_dir.dir) {
        return Err(RepositoryError::NotGit {
            git_dir: git_dir.real,
            by: dot_git,
        });
    }
    let inside = |root: &RepositoryRoot| root.real.starts_with(&tree.real);
    if found.kind == FileType::RegularFile && !is_own(&git_dir, &tree)? {
        return Err(RepositoryError::NotOurs {
            git_dir: git_dir.real,
            tree: tree.real,
        });
    }
    let common = common_dir(&git_dir)?;
    let mut outside = Vec::new();
    match common {
        // The usual case: the one holds the other.
        Some(common) if git_dir.real.starts_with(&common.real) => outside.push(common),
        Some(common) => outside.extend([git_dir, common]),
        None => outside.push(git_dir),
    }
    outside.retain(|root| !inside(root));
    Ok(Repository { tree, outside })
}

/// Whether a git directory says of itself that this is its tree: a linked working tree's by its file
/// `gitdir`, a submodule's by `core.worktree`.
fn is_own(git_dir: &RepositoryRoot, tree: &RepositoryRoot) -> Result<bool, RepositoryError> {
    let has = |name: &str| beneath::find_if_any(&git_dir.dir, Path::new(name));
    let linked = has("gitdir").map_err(|errno| failed(&git_dir.real, errno.into()))?;
    if linked.is_some() {
        let back = pointed(git_dir, "gitdir", None)?;
        // The `.git` file in the tree; its directory is compared, by what it is.
        let is_dot_git = back.file_name() == Some(OsStr::new(".git"));
        return Ok(is_dot_git && back.parent().is_some_and(|back| is_same(back, tree)));
    }
    let config = match super::staged::read_config(&git_dir.dir) {
        Ok(config) => config,
        Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(&git_dir.real.join("config"), unread(error))),
    };
    let entries = git_file::entries(&config)
        .map_err(|_| RepositoryError::Pointer(git_dir.real.join("config")))?;
    let worktree = entries.iter().rfind(|entry| entry.key == b"core.worktree");
    let worktree = worktree.and_then(|entry| entry.value.as_deref());
    Ok(worktree.is_some_and(|path| {
        !path.is_empty() && is_same(&git_dir.real.join(OsStr::from_bytes(path)), tree)
    }))
}

fn is_same(path: &Path, tree: &RepositoryRoot) -> bool {
    root(path).is_ok_and(|root| root.id == tree.id)
}

/// The directory that a linked working tree shares with the others, which must know it.
fn common_dir(git_dir: &RepositoryRoot) -> Result<Option<RepositoryRoot>, RepositoryError> {
    let file = git_dir.real.join("commondir");
    match beneath::find_if_any(&git_dir.dir, Path::new("commondir")) {
        Ok(None) => return Ok(None),
        Ok(Some(_)) => {}
        Err(errno) => return Err(failed(&file, errno.into())),
    }
    let common = root(&pointed(git_dir, "commondir", None)?)?;
    let plain = |path: &Path| {
        path.components()
            .all(|part| matches!(part, Component::Normal(_)))
    };
    // git makes it `worktrees/<id>` of the shared one and nothing else, so that one which lies
    // elsewhere was made by somebody who wants to be granted a stranger's.
    let knows = git_dir.real.strip_prefix(common.real.join("worktrees"));
    if !is_git_dir(&common.dir) {
        return Err(RepositoryError::NotGit {
            git_dir: common.real,
            by: file,
        });
    }
    if !knows.is_ok_and(|id| plain(id) && id.components().count() == 1) {
        return Err(RepositoryError::NotOurs {
            git_dir: common.real,
            tree: git_dir.real.clone(),
        });
    }
    Ok(Some(common))
}

/// The path that a file names, from its own directory where it is relative.
fn pointed(
    dir: &RepositoryRoot,
    name: &str,
    prefix: Option<&str>,
) -> Result<PathBuf, RepositoryError> {
    let file = dir.real.join(name);
    let content = match beneath::read(&dir.dir, Path::new(name), MAX_POINTER) {
        Ok(content) => content,
        Err(ReadError::Io(error)) => return Err(failed(&file, error)),
        Err(_) => return Err(RepositoryError::Pointer(file)),
    };
    let path = content.strip_prefix(prefix.unwrap_or_default().as_bytes());
    let path = path.map(|path| path.trim_ascii_end()).unwrap_or_default();
    if path.is_empty() || path.iter().any(|byte| byte.is_ascii_control()) {
        return Err(RepositoryError::Pointer(file));
    }
    Ok(dir.real.join(OsStr::from_bytes(path)))
}

fn root(path: &Path) -> Result<RepositoryRoot, RepositoryError> {
    let open = || -> io::Result<RepositoryRoot> {
        let dir = open::directory(rustix::fs::CWD, path)?;
        let stat = rustix::fs::fstat(&dir)?;
        Ok(RepositoryRoot {
            real: open::real_path(&dir)?,
            id: open::file_id(&stat),
            dir,
        })
    };
    open().map_err(|error| failed(path, error))
}

fn failed(path: &Path, source: io::Error) -> RepositoryError {
    RepositoryError::Io {
        path: path.to_owned(),
        source,
    }
}

fn unread(error: ReadError) -> io::Error {
    match error {
        ReadError::Io(error) => error,
        error => io::Error::other(error),
    }
}
