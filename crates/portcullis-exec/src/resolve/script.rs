//! `#!` scripts: what reads them, and whether they can be trusted to stay what they are.
//!
//! A script cannot be run by its opened file, because its interpreter opens it again by name. So a
//! script is run only from a path that no ordinary user can change. Its interpreter is opened and
//! checked like any program; `env NAME` is resolved here, on the policy's search path, and `env`
//! itself never runs.

use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use portcullis_confine::is_system;
use portcullis_policy::{ExecGrant, FileId, Grants, Interpreter, ProgramRef, Unfit};

use super::lookup::{self, Lookup};
use super::open;
use super::program::{self, Fit, Format};

/// How much of a script its first line may take: what the kernel reads (`BINPRM_BUF_SIZE`).
pub(super) const HEAD_BYTES: usize = 256;

/// A script that can be run.
#[derive(Debug)]
pub(super) struct Script {
    /// The interpreter, opened for reading.
    pub(super) file: OwnedFd,
    pub(super) interpreter: Interpreter,
    /// The interpreter's name, its argument if there is one, the script's real path.
    pub(super) argv: Vec<CString>,
}

/// Opens what a script's `#!` line names.
pub(super) fn open(
    grants: &Grants,
    exec: &ExecGrant,
    own: FileId,
    script: &Fit,
    head: &[u8],
) -> Result<Script, Unfit> {
    pinned(script)?;
    let Line {
        interpreter,
        argument,
    } = parse(head).map_err(Unfit::Script)?;
    let candidate = match lookup::find(&exec.search_path, &interpreter) {
        Lookup::File(candidate) => candidate,
        Lookup::Missing => {
            return Err(Unfit::Script(format!(
                "there is no interpreter `{interpreter}`"
            )));
        }
        Lookup::Unfit(path, why) => return Err(unfit_interpreter(&path, &why)),
    };
    let fit = program::check(grants, own, candidate)
        .map_err(|(path, why)| unfit_interpreter(&path, &why))?;
    if let Format::Script(_) = fit.format {
        return Err(Unfit::Script(format!(
            "its interpreter `{}` is a script itself",
            fit.real.display()
        )));
    }
    let no_nul = |bytes: &[u8]| {
        CString::new(bytes).map_err(|_| Unfit::Script("it contains a NUL".to_owned()))
    };
    let mut argv = vec![no_nul(interpreter.base_name().as_bytes())?];
    if let Some(argument) = argument {
        argv.push(no_nul(argument.as_bytes())?);
    }
    argv.push(no_nul(script.real.as_os_str().as_bytes())?);
    let file = open::file_id(&fit.stat);
    Ok(Script {
        file: fit.file,
        interpreter: Interpreter {
            path: fit.real,
            file,
        },
        argv,
    })
}

fn unfit_interpreter(path: &Path, why: &Unfit) -> Unfit {
    Unfit::Script(format!("its interpreter `{}`: {why}", path.display()))
}

/// Checks that the script and each directory above it can be changed by root alone.
fn pinned(script: &Fit) -> Result<(), Unfit> {
    let refuse = |path: &Path| Err(Unfit::ScriptNotPinned(path.to_owned()));
    let is_system = is_system(&script.real);
    let is_pinned = |stat: &_| open::is_roots_alone(stat) || (is_system && open::is_nobodys(stat));
    if !is_pinned(&script.stat) {
        return refuse(&script.real);
    }
    for ancestor in script.real.ancestors().skip(1) {
        match rustix::fs::lstat(ancestor) {
            Ok(stat) if is_pinned(&stat) => {}
            Ok(_) | Err(_) => return refuse(ancestor),
        }
    }
    Ok(())
}

/// A `#!` line that can be followed.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    interpreter: ProgramRef,
    argument: Option<String>,
}

/// Reads a `#!` line as the kernel does: a path, then at most one argument with all its blanks.
fn parse(head: &[u8]) -> Result<Line, String> {
    let line = match head.iter().position(|&byte| byte == b'\n') {
        Some(end) => &head[2..end],
        // The kernel would cut it, and run what it does not say.
        None if head.len() >= HEAD_BYTES => {
            return Err(format!("it is longer than {HEAD_BYTES} bytes"));
        }
        None => &head[2..],
    };
    let line = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
    if line.contains(['\0', '\r']) {
        return Err("it contains a NUL or a carriage return".to_owned());
    }
    let line = line.trim_matches([' ', '\t']);
    let (path, argument) = match line.split_once([' ', '\t']) {
        Some((path, rest)) => (path, Some(rest.trim_start_matches([' ', '\t']))),
        None => (line, None),
    };
    if Path::new(path).file_name() == Some(OsStr::new("env")) && path.starts_with('/') {
        return env_name(argument).map(|interpreter| Line {
            interpreter,
            argument: None,
        });
    }
    match ProgramRef::parse(path) {
        Some(interpreter @ ProgramRef::Path(_)) => Ok(Line {
            interpreter,
            argument: argument.map(str::to_owned),
        }),
        Some(ProgramRef::Name(_)) | None => Err(format!("`{path}` is not an absolute path")),
    }
}

/// The program that `env` would run, if it would do nothing else.
fn env_name(argument: Option<&str>) -> Result<ProgramRef, String> {
    let name = argument.ok_or("`env` without a program")?;
    if name.starts_with('-') {
        return Err(format!("options of `env` are not followed: `{name}`"));
    }
    if name.contains([' ', '\t', '=']) {
        return Err(format!("`env` would not run a program named `{name}`"));
    }
    match ProgramRef::parse(name) {
        Some(program) => Ok(program),
        None => Err(format!(
            "`{name}` is neither a bare name nor an absolute path"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<(String, Option<String>), String> {
        parse(text.as_bytes()).map(|line| (line.interpreter.to_string(), line.argument))
    }

    #[test]
    fn lines_as_the_kernel_reads_them() {
        let ok =
            |path: &str, argument: Option<&str>| Ok((path.to_owned(), argument.map(str::to_owned)));
        assert_eq!(line("#!/bin/sh\necho"), ok("/bin/sh", None));
        assert_eq!(line("#! \t/bin/sh  \n"), ok("/bin/sh", None));
        assert_eq!(line("#!/bin/sh -eu -x \n"), ok("/bin/sh", Some("-eu -x")));
        assert_eq!(line("#!/bin/sh"), ok("/bin/sh", None));
        assert_eq!(line("#!/usr/bin/env python3\n"), ok("python3", None));
        assert_eq!(line("#!/usr/bin/env /opt/tool\n"), ok("/opt/tool", None));
    }

    #[test]
    fn lines_that_cannot_be_followed() {
        for text in [
            "#!",
            "#!\n",
            "#! \n",
            "#!sh\n",
            "#!./sh\n",
            "#!/bin/\n",
            "#!/bin/sh\0\n",
            "#!/bin/sh\r\n",
            "#!/usr/bin/env\n",
            "#!/usr/bin/env -S python3 -u\n",
            "#!/usr/bin/env -i sh\n",
            "#!/usr/bin/env A=1\n",
            "#!/usr/bin/env python3 -u\n",
            "#!/usr/bin/env ./sh\n",
            "#!/usr/bin/env ..\n",
        ] {
            assert!(line(text).is_err(), "{text:?}: {:?}", line(text));
        }
        assert!(parse(b"#!/bin/\xff\n").is_err());
        let long = format!("#!/bin/{}", "x".repeat(HEAD_BYTES));
        assert!(parse(&long.as_bytes()[..HEAD_BYTES]).is_err());
    }
}
