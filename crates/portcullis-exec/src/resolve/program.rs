//! From a found file to a program that may be run at all: the checks that no policy lifts.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use portcullis_policy::{
    ExecGrant, FileId, Found, FsAccess, Grants, Program, ProgramRef, ProgramRule, Unfit,
};
use rustix::fs::{Mode, Stat};

use super::lookup::{self, Candidate, Lookup};
use super::{OpenedProgram, digest, directories, led, open, script};

/// A file that passed every check, opened for reading.
#[derive(Debug)]
pub(super) struct Fit {
    /// The path that it was found at.
    pub(super) path: PathBuf,
    pub(super) file: OwnedFd,
    pub(super) stat: Stat,
    pub(super) real: PathBuf,
    pub(super) format: Format,
}

/// What the file's first bytes say.
#[derive(Debug)]
pub(super) enum Format {
    Elf,
    /// The beginning of a `#!` script.
    Script(Vec<u8>),
}

/// A file that is never run, and why.
type Refused = (PathBuf, Unfit);

/// Finds, opens and checks the program, and its interpreter if it is a script.
pub(super) fn open(
    grants: &Grants,
    exec: &ExecGrant,
    program: &ProgramRef,
    own: FileId,
) -> (Program, Option<OpenedProgram>) {
    let fit = match lookup::find(&exec.search_path, program) {
        Lookup::Missing => return (Program::Missing, None),
        Lookup::Unfit(path, why) => return (Program::Unfit { path, why }, None),
        Lookup::File(candidate) => check(grants, own, candidate),
    };
    match fit.and_then(|fit| finish(grants, exec, program, own, fit)) {
        Ok((found, opened)) => (Program::Found(found), Some(opened)),
        Err((path, why)) => (Program::Unfit { path, why }, None),
    }
}

/// The checks on the opened file, in the order in which they are worth telling.
pub(super) fn check(grants: &Grants, own: FileId, candidate: Candidate) -> Result<Fit, Refused> {
    let Candidate { path, place, stat } = candidate;
    let real = open::real_path(&place)
        .map_err(|error| (PathBuf::new(), Unfit::Unreadable(error.to_string())))?;
    let refuse = |why| Err((real.clone(), why));
    if open::file_id(&stat) == own {
        return refuse(Unfit::OwnExecutable);
    }
    if Mode::from_raw_mode(stat.st_mode).intersects(Mode::SUID | Mode::SGID) {
        return refuse(Unfit::SetId);
    }
    if open::writable_by_others(&stat) {
        return refuse(Unfit::WritableByOthers);
    }
    if let Some(grant) = grants.fs_grant(&real, FsAccess::ReadWrite) {
        return refuse(Unfit::InWritableGrant(grant.host.clone()));
    }
    if let Some(grant) = led::led_by(grants, &path) {
        return refuse(Unfit::LedByWritableGrant(grant));
    }
    let mut head = vec![0; script::HEAD_BYTES];
    let file = open::content(&place);
    let read = file.and_then(|file| Ok((rustix::io::pread(&file, &mut head[..], 0)?, file)));
    let (bytes, file) = match read {
        Ok(read) => read,
        Err(errno) => return refuse(Unfit::Unreadable(lookup::text(errno))),
    };
    head.truncate(bytes);
    let format = if head.starts_with(b"\x7fELF") {
        Format::Elf
    } else if head.starts_with(b"#!") {
        Format::Script(head)
    } else {
        return refuse(Unfit::UnknownFormat);
    };
    Ok(Fit {
        path,
        file,
        stat,
        real,
        format,
    })
}

/// Adds what the rules ask about the file, and how it is run.
fn finish(
    grants: &Grants,
    exec: &ExecGrant,
    program: &ProgramRef,
    own: FileId,
    fit: Fit,
) -> Result<(Found, OpenedProgram), Refused> {
    let file = open::file_id(&fit.stat);
    let refused = |why| (fit.real.clone(), why);
    let name = CString::new(program.base_name())
        .map_err(|_| refused(Unfit::Unreadable("its name contains a NUL".to_owned())))?;
    let mut same_as = spellings(exec, program, file);
    // What a person is shown who is asked, and so what the answer names.
    let real = ProgramRef::Path(fit.real.clone());
    if real.base_name() == program.base_name() && !same_as.contains(&real) {
        same_as.push(real);
    }
    let (sha256, copy) = if wants_digest(exec, program) {
        let (sha256, copy) = digest::of(&fit.file, &fit.stat)
            .map_err(|error| refused(Unfit::Unreadable(error.to_string())))?;
        (Some(sha256), copy)
    } else {
        (None, None)
    };
    let (file_to_run, argv, interpreter) = match &fit.format {
        Format::Elf => (copy.unwrap_or(fit.file), vec![name], None),
        Format::Script(head) => {
            let script = script::open(grants, exec, own, &fit, head).map_err(refused)?;
            (script.file, script.argv, Some(script.interpreter))
        }
    };
    let lies_in = directories::allowing(exec, &fit.real);
    let mut paths = vec![fit.path.as_path(), &fit.real];
    // A denied program is denied also when a script brings it along that no rule names.
    if let Some(interpreter) = interpreter.as_ref().filter(|_| exec.allows_unnamed()) {
        let denied = exec.deny.iter().filter_map(|rule| rule.program.named());
        let same = denied
            .filter(|denied| lookup::identify(&exec.search_path, denied) == Some(interpreter.file));
        same_as.extend(same.cloned());
        paths.push(&interpreter.path);
    }
    let denied_in = directories::denying(exec, &paths);
    let opened = OpenedProgram {
        file: file_to_run,
        found: file,
        interpreter: interpreter.as_ref().map(|interpreter| interpreter.file),
        argv,
    };
    let found = Found {
        path: fit.real,
        file,
        same_as,
        lies_in,
        denied_in,
        sha256,
        interpreter,
    };
    Ok((found, opened))
}

fn rules_named<'a>(
    exec: &'a ExecGrant,
    program: &'a ProgramRef,
) -> impl Iterator<Item = &'a ProgramRule> {
    exec.rules()
        .filter(|rule| rule.program.is_called(program.base_name()))
}

fn wants_digest(exec: &ExecGrant, program: &ProgramRef) -> bool {
    rules_named(exec, program).any(|rule| rule.sha256.is_some())
}

/// The spellings in the rules that lead to this file: those with its name, and, where programs are allowed
/// that no rule names, those of denials under any name, so that a link to a denied program is denied too.
fn spellings(exec: &ExecGrant, program: &ProgramRef, file: FileId) -> Vec<ProgramRef> {
    let denied = exec.deny.iter().filter(|_| exec.allows_unnamed());
    let rules = rules_named(exec, program).chain(denied);
    let mut same_as = vec![program.clone()];
    for spelling in rules.filter_map(|rule| rule.program.named()) {
        let known = same_as.contains(spelling);
        if !known && lookup::identify(&exec.search_path, spelling) == Some(file) {
            same_as.push(spelling.clone());
        }
    }
    same_as
}
