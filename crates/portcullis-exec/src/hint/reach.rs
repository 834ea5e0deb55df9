//! Whether the rights of a command leave out what it complains about.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use portcullis_confine::is_system;
use portcullis_policy::{ChildRights, ProgramRef};
use rustix::fs::{Access, AtFlags, CWD};

use super::Hint;
use super::lookup::{Found, Lookup};
use super::text::{Error, is_path};

/// Where a command ran, and with which rights.
pub(super) struct Reach<'a> {
    pub(super) lookup: Lookup,
    pub(super) rights: &'a ChildRights,
    pub(super) cwd: &'a Path,
}

impl Reach<'_> {
    /// The hint that explains an error about a path, if confinement does.
    pub(super) fn judge(&self, error: Error, candidate: &str) -> Option<Hint> {
        let named = plain(&self.cwd.join(candidate))?;
        match (error, self.lookup.find(&named)) {
            (_, Found::NotLookedAt) | (Error::Missing | Error::Busy, Found::NotThere) => None,
            (Error::Missing, Found::There(real)) => self.unread(real),
            (Error::Denied | Error::ReadOnly | Error::Busy, Found::There(real)) => {
                self.unchanged(error, real)
            }
            (Error::NotMade, Found::There(real)) => {
                self.unread(real.clone()).or_else(|| self.unwritten(real))
            }
            // Any word could be meant to be a file: ssh says it of a key.
            (Error::Denied, Found::NotThere) if !is_path(candidate) => None,
            // What was to be made is not there, on the host neither.
            (Error::Denied | Error::ReadOnly | Error::NotMade, Found::NotThere) => {
                self.unmade(error, &named)
            }
        }
    }

    /// Something that is there on the host, and not in the cell.
    fn unread(&self, real: PathBuf) -> Option<Hint> {
        let visible = self.rights.reads(&real)
            || self.executes_all(&real)
            || is_above_a_root(self.rights, &real);
        (!visible && host_can(&real, Access::READ_OK)).then_some(Hint::Read(real))
    }

    /// Something that is there and could not be changed, or not be executed or read.
    fn unchanged(&self, error: Error, real: PathBuf) -> Option<Hint> {
        if let Some(name) = self.protected(&real, error) {
            return Some(Hint::Protected { path: real, name });
        }
        if self.rights.writes(&real) {
            let file = real
                .metadata()
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
            let executed = self
                .rights
                .write_exec
                .iter()
                .any(|place| real.starts_with(place));
            let kept = error == Error::Denied && file && !executed;
            return kept.then_some(Hint::Execute(real));
        }
        if self.rights.exec.is_some() && is_system(&real) && error == Error::Denied {
            let is_listed = |program: &ProgramRef| match program {
                ProgramRef::Name(name) => {
                    real.file_name().is_some_and(|file| file == name.as_str())
                }
                ProgramRef::Path(path) => *path == real,
            };
            let listed = self.rights.exec.iter().flatten().any(is_listed);
            let kept = !listed && host_can(&real, Access::EXEC_OK);
            return kept.then_some(Hint::Program(real));
        }
        self.unread(real.clone()).or_else(|| self.unwritten(real))
    }

    /// Something that is there, is read, and could be written by the host's user.
    fn unwritten(&self, real: PathBuf) -> Option<Hint> {
        let kept = !self.rights.writes(&real)
            && !self.executes_all(&real)
            && host_can(&real, Access::WRITE_OK);
        kept.then_some(Hint::Write(real))
    }

    /// Something that could not be made in the directory where it was to be.
    fn unmade(&self, error: Error, named: &Path) -> Option<Hint> {
        let Found::There(above) = self.lookup.find(named.parent()?) else {
            return None;
        };
        if let Some(name) = self.protected(&above.join(named.file_name()?), error) {
            return Some(Hint::Protected { path: above, name });
        }
        self.unwritten(above)
    }

    fn executes_all(&self, real: &Path) -> bool {
        is_system(real) || self.rights.system.iter().any(|root| real.starts_with(root))
    }

    /// The name by which a path is protected, inside a directory that is written otherwise; for something that could
    /// not be renamed also the first protected name inside of it.
    fn protected(&self, path: &Path, error: Error) -> Option<String> {
        let inside = self
            .rights
            .write
            .iter()
            .find_map(|root| path.strip_prefix(root).ok())?;
        let parts: Vec<_> = inside.components().map(Component::as_os_str).collect();
        let names = self.rights.protect.names().iter();
        let fits = |name: &&String| {
            let wanted: Vec<_> = name.split('/').collect();
            (0..parts.len()).any(|start| {
                let rest = &parts[start..];
                let same = rest
                    .iter()
                    .zip(&wanted)
                    .all(|(part, name)| *name == "*" || *part == *name);
                same && (rest.len() >= wanted.len() || error == Error::Busy)
            })
        };
        names.filter(fits).min_by_key(|name| name.len()).cloned()
    }
}

/// A directory that is in the cell because a root lies below it.
fn is_above_a_root(rights: &ChildRights, real: &Path) -> bool {
    rights
        .read
        .iter()
        .chain(&rights.system)
        .any(|root| root.starts_with(real))
}

/// A path without `.` and `..`, read as it is written; `None` for one that nobody means.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
        }
    }
    plain.parent().is_some().then_some(plain)
}

/// Whether the host's user could: what is forbidden to them as well is not forbidden by confinement.
fn host_can(path: &Path, access: Access) -> bool {
    rustix::fs::accessat(CWD, path, access, AtFlags::EACCESS).is_ok()
}
