//! Which directories of the rules a program lies in.

use std::path::{Path, PathBuf};

use portcullis_policy::{ExecGrant, FileId, ProgramDirectory};
use rustix::fs::CWD;

use super::open;

/// The directories of rules that hold a program's real path directly, as an allowing rule asks.
pub(super) fn allowing(exec: &ExecGrant, real: &Path) -> Vec<PathBuf> {
    let ceiling = exec.ceiling.iter().flat_map(|ceiling| &ceiling.allow);
    let rules = exec.allow.iter().chain(ceiling);
    let directories = rules.filter_map(|rule| rule.program.directory());
    let mut directories = directories.map(ProgramDirectory::path).peekable();
    if directories.peek().is_none() {
        return Vec::new();
    }
    let parent = real.parent();
    distinct(directories, |dir| {
        Directory::open(dir).is_some_and(|dir| parent == Some(&dir.real))
    })
}

/// The directories of denying rules that one of these paths lies directly in, by whatever name the directory is called.
pub(super) fn denying(exec: &ExecGrant, paths: &[&Path]) -> Vec<PathBuf> {
    let rules = exec.deny.iter();
    let directories = rules.filter_map(|rule| rule.program.directory());
    let mut directories = directories.map(ProgramDirectory::path).peekable();
    if directories.peek().is_none() {
        return Vec::new();
    }
    let parents: Vec<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
    let opened: Vec<_> = parents
        .iter()
        .filter_map(|dir| Directory::open(dir))
        .collect();
    distinct(directories, |dir| {
        Directory::open(dir).is_some_and(|denied| {
            // By its path too: what was opened now need not be what the program was found in.
            parents.contains(&denied.real.as_path()) || opened.iter().any(|dir| dir.id == denied.id)
        })
    })
}

fn distinct<'a>(
    directories: impl Iterator<Item = &'a Path>,
    fits: impl Fn(&Path) -> bool,
) -> Vec<PathBuf> {
    let mut fitting: Vec<PathBuf> = Vec::new();
    for dir in directories {
        if !fitting.iter().any(|known| known == dir) && fits(dir) {
            fitting.push(dir.to_owned());
        }
    }
    fitting
}

/// A directory that is there.
struct Directory {
    real: PathBuf,
    /// The same under every mount.
    id: FileId,
}

impl Directory {
    fn open(path: &Path) -> Option<Self> {
        let dir = open::directory(CWD, path).ok()?;
        let stat = rustix::fs::fstat(&dir).ok()?;
        Some(Self {
            real: open::real_path(&dir).ok()?,
            id: open::file_id(&stat),
        })
    }
}
