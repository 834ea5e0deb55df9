//! From a spelling to a file: the search path of the policy, and nothing else.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use portcullis_policy::{FileId, ProgramRef, Unfit};
use rustix::fs::{Access, AtFlags, Stat};
use rustix::io::Errno;

use super::open;

/// A file that is there, opened as a place.
#[derive(Debug)]
pub(super) struct Candidate {
    /// The path that it was found at.
    pub(super) path: PathBuf,
    pub(super) place: OwnedFd,
    pub(super) stat: Stat,
}

/// What is at a spelling.
#[derive(Debug)]
pub(super) enum Lookup {
    File(Candidate),
    Unfit(PathBuf, Unfit),
    Missing,
}

/// Finds a program: a name in the absolute directories of the search path, in order; a path as it is.
///
/// As `execvp(3)` does, a name goes on past what is no executable file; if nothing better comes, the
/// first of those is the answer.
pub(super) fn find(search_path: &[PathBuf], program: &ProgramRef) -> Lookup {
    match program {
        ProgramRef::Path(path) => at(path),
        ProgramRef::Name(name) => {
            let mut first_unfit = Lookup::Missing;
            for dir in search_path.iter().filter(|dir| dir.is_absolute()) {
                match at(&dir.join(name)) {
                    Lookup::File(candidate) => return Lookup::File(candidate),
                    Lookup::Missing => {}
                    unfit @ Lookup::Unfit(..) => {
                        if matches!(first_unfit, Lookup::Missing) {
                            first_unfit = unfit;
                        }
                    }
                }
            }
            first_unfit
        }
    }
}

/// The identity of what is at a spelling, if it is a program at all.
pub(super) fn identify(search_path: &[PathBuf], program: &ProgramRef) -> Option<FileId> {
    match find(search_path, program) {
        Lookup::File(candidate) => Some(open::file_id(&candidate.stat)),
        Lookup::Unfit(..) | Lookup::Missing => None,
    }
}

fn at(path: &Path) -> Lookup {
    let unreadable = |errno: Errno| Lookup::Unfit(path.to_owned(), Unfit::Unreadable(text(errno)));
    let place = match open::place(rustix::fs::CWD, path) {
        Ok(place) => place,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => return Lookup::Missing,
        Err(errno) => return unreadable(errno),
    };
    let stat = match rustix::fs::fstat(&place) {
        Ok(stat) => stat,
        Err(errno) => return unreadable(errno),
    };
    let unfit = |why| {
        let real = open::real_path(&place).unwrap_or_else(|_| path.to_owned());
        Lookup::Unfit(real, why)
    };
    if !open::is_regular(&stat) {
        return unfit(Unfit::NotRegular);
    }
    let by_descriptor = open::by_descriptor(&place);
    match rustix::fs::accessat(
        rustix::fs::CWD,
        by_descriptor,
        Access::EXEC_OK,
        AtFlags::EACCESS,
    ) {
        Ok(()) => Lookup::File(Candidate {
            path: path.to_owned(),
            place,
            stat,
        }),
        Err(_) => unfit(Unfit::NotExecutable),
    }
}

/// An error number in the system's words.
pub(super) fn text(errno: Errno) -> String {
    std::io::Error::from(errno).to_string()
}
