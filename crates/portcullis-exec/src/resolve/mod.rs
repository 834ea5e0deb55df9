//! From what the guest wrote to what is there: each name becomes one opened thing.
//!
//! Nothing here decides. What is wrong with a program or a directory is written into the request,
//! so that the one decision can answer it, and a guest does not learn what exists.

mod arg_paths;
mod cwd;
mod digest;
mod directories;
mod led;
mod lookup;
pub(crate) mod open;
mod program;
mod script;

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use portcullis_policy::{ExecRequest, FileId, Grants, Program, ProgramRef};

use crate::ask::{ExecAsk, Place};

/// What [`resolve`] opened: the very file that will run, and the directory it will run in.
///
/// Whoever renames or replaces either after this changes nothing for the command.
#[derive(Debug)]
pub struct Opened {
    pub(crate) program: Option<OpenedProgram>,
    pub(crate) cwd: Option<OpenedDirectory>,
    /// Where the policy looks for programs.
    pub(crate) search_path: Vec<PathBuf>,
}

/// The file that will run, opened for reading.
#[derive(Debug)]
pub(crate) struct OpenedProgram {
    /// The ELF file: the program itself, or its interpreter.
    pub(crate) file: OwnedFd,
    /// What was found under the requested spelling.
    pub(crate) found: FileId,
    /// The interpreter of a script.
    pub(crate) interpreter: Option<FileId>,
    /// What stands before the request's own arguments: a name; for a script all that its `#!` says.
    pub(crate) argv: Vec<CString>,
}

/// The directory that the command will run in.
#[derive(Debug)]
pub(crate) struct OpenedDirectory {
    pub(crate) dir: Arc<OwnedFd>,
    pub(crate) real: PathBuf,
}

/// Finds and opens what the guest asks for, on the search path of the policy.
///
/// Never fails: what is missing, unfit or malformed is in the request, so that
/// [`decide`](portcullis_policy::decide) answers it. Does not check any rule.
///
/// # Authority
/// Ambient: opens files with the process's own rights, and executes nothing.
///
/// # Shapes and units
/// Blocks for some microseconds, longer only when a rule names a SHA-256: then the whole program is
/// read. A program that an ordinary user could change is then copied into sealed memory while it is
/// hashed, and the copy runs; such a program finds no file at `/proc/self/exe`.
///
/// # Source
/// `open(2)`, `openat2(2)`, `execve(2)` for the form of `#!`.
pub fn resolve(grants: &Grants, place: &Place, ask: &ExecAsk) -> (ExecRequest, Opened) {
    let (cwd, directory) = cwd::open(grants, place, ask.cwd.as_deref());
    let parsed = ProgramRef::parse(&ask.program);
    let (found, program) = match (&parsed, &grants.exec) {
        (None, _) => (Program::Malformed, None),
        // Without the capability nothing is looked at; the denial says so whatever is found.
        (Some(_), None) => (Program::Missing, None),
        (Some(program), Some(exec)) => program::open(grants, exec, program, place.own),
    };
    let program_ref = parsed.unwrap_or_else(|| ProgramRef::Name(ask.program.clone()));
    let arg_paths = arg_paths::resolve(grants, &program_ref, &ask.args, cwd.path());
    let request = ExecRequest {
        program: program_ref,
        found,
        args: ask.args.clone(),
        arg_paths,
        cwd,
        env: ask.env.clone(),
        inherit_env: ask.inherit_env,
        host_env: place.host_env.clone(),
        stdin: ask.stdin.is_some(),
        inherit_output: false,
    };
    (
        request,
        Opened {
            program,
            cwd: directory,
            search_path: grants
                .exec
                .iter()
                .flat_map(|exec| exec.search_path.clone())
                .collect(),
        },
    )
}

/// The real path of a program and which file it is, if it is there and could be run.
pub(crate) fn find_file(
    search_path: &[PathBuf],
    program: &ProgramRef,
) -> Option<(PathBuf, FileId)> {
    match lookup::find(search_path, program) {
        lookup::Lookup::File(candidate) => {
            let real = open::real_path(&candidate.place).ok()?;
            Some((real, open::file_id(&candidate.stat)))
        }
        lookup::Lookup::Unfit(..) | lookup::Lookup::Missing => None,
    }
}
