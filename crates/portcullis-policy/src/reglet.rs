//! What is different for a plugin of Reglet: code in the arguments of a command needs a grant of its own, and variables
//! that it may not set are left out instead of refusing the command.

use crate::{ExecRequest, Found, ProgramRef, ProgramRule};

/// What is granted to a plugin of Reglet besides.
///
/// # Defaults
/// No program is given code in its arguments, but a shell that a rule names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegletGrant {
    /// Programs that may be given code in their arguments. A bare name is every program that is called so.
    pub inline_code: Vec<ProgramRef>,
}

/// Code among the arguments of a command, as Reglet tells it apart.
///
/// A guard against mistakes, not a wall: a program finds code in many places. What a command can reach follows from the
/// plugin's grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InlineCode {
    /// A shell with arguments, also behind a program that starts another.
    Shell,
    /// An interpreter that is given code.
    Interpreter,
    /// Any program with an argument that is often followed by code.
    Suspicious,
}

impl InlineCode {
    /// What a command is, if it has any; `program` is a name or a path.
    pub fn of(program: &str, args: &[String]) -> Option<Self> {
        let name = base_name(program);
        if args.is_empty() {
            return None;
        }
        let starts_shell =
            WRAPPERS.contains(&name) && args.iter().any(|arg| is_shell(base_name(arg)));
        if is_shell(name) || starts_shell {
            Some(Self::Shell)
        } else if interprets_code(name, args) {
            Some(Self::Interpreter)
        } else if args.iter().any(|arg| SUSPICIOUS.contains(&arg.as_str())) {
            Some(Self::Suspicious)
        } else {
            None
        }
    }

    /// Of a command that was resolved: by the name that it was asked for, and by that of the file that was found.
    pub(crate) fn of_request(request: &ExecRequest) -> Option<Self> {
        let found = request.found.file().and_then(|found| found.path.to_str());
        let asked = request.program.to_string();
        let names = [Some(asked.as_str()), found];
        let classes = names
            .into_iter()
            .flatten()
            .filter_map(|name| Self::of(name, &request.args));
        classes.min_by_key(|class| *class as u8)
    }

    /// The words of Reglet for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Interpreter => "interpreter code execution",
            Self::Suspicious => "suspicious execution",
        }
    }
}

impl RegletGrant {
    /// Whether a command with code in its arguments may run that these rules allow.
    ///
    /// A shell is granted by a rule that names one, an interpreter's code by a rule that says which arguments, and what is
    /// only suspicious by any rule that names the program. That any program may run, or all of a directory, grants none of
    /// them.
    pub(crate) fn allows(
        &self,
        class: InlineCode,
        request: &ExecRequest,
        rules: &[&ProgramRule],
    ) -> bool {
        let by_rule = |(program, rule): (&ProgramRef, &ProgramRule)| match class {
            InlineCode::Shell => is_shell(program.base_name()) || !rule.arguments.is_any(),
            InlineCode::Interpreter => !rule.arguments.is_any(),
            InlineCode::Suspicious => true,
        };
        let mut named = rules
            .iter()
            .filter_map(|rule| Some((rule.program.named()?, *rule)));
        named.any(by_rule) || self.names(request)
    }

    fn names(&self, request: &ExecRequest) -> bool {
        self.inline_code.iter().any(|granted| match granted {
            ProgramRef::Name(name) => name == request.program.base_name(),
            ProgramRef::Path(path) => {
                let is_it = |found: &Found| found.path == *path;
                request.program == *granted || request.found.file().is_some_and(is_it)
            }
        })
    }
}

const SHELLS: [&str; 12] = [
    "sh", "bash", "dash", "zsh", "ksh", "csh", "tcsh", "fish", "ash", "mksh", "rbash", "yash",
];

/// Programs that start the program that their arguments name.
const WRAPPERS: [&str; 15] = [
    "env", "busybox", "toybox", "xargs", "find", "nice", "nohup", "timeout", "setsid", "stdbuf",
    "time", "sudo", "doas", "chroot", "unshare",
];

/// Arguments that are often followed by code.
const SUSPICIOUS: [&str; 6] = ["-c", "-e", "-E", "-r", "--eval", "--command"];

/// How an interpreter is told code: the names that its name begins with, before a version, and its flags.
const INTERPRETERS: [(&[&str], &[&str]); 8] = [
    (&["python", "pypy"], &["-c", "--command"]),
    (&["perl"], &["-e", "-E"]),
    (&["ruby", "irb"], &["-e"]),
    (&["node", "nodejs"], &["-e", "-p", "--eval", "--print"]),
    (&["php"], &["-r", "-B", "-R", "-E"]),
    (&["lua", "luajit"], &["-e"]),
    (&["tclsh", "wish", "expect"], &["-c"]),
    (&["deno", "bun", "Rscript"], &["eval", "-e", "--eval"]),
];

const AWKS: [&str; 4] = ["awk", "gawk", "mawk", "nawk"];
const AWK_CODE: [&str; 4] = ["BEGIN{", "BEGIN {", "END{", "END {"];

/// The last component of a path, as it is written.
fn base_name(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

fn is_shell(name: &str) -> bool {
    SHELLS.contains(&name)
}

fn interprets_code(name: &str, args: &[String]) -> bool {
    if AWKS.contains(&name) {
        return args.iter().any(|arg| {
            AWK_CODE
                .iter()
                .any(|code| arg.trim_start().starts_with(code))
        });
    }
    let without_version = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let flags = INTERPRETERS
        .iter()
        .find(|(names, _)| names.contains(&without_version));
    flags.is_some_and(|(_, flags)| {
        args.iter()
            .any(|arg| flags.iter().any(|flag| is_flag(arg, flag)))
    })
}

/// Whether an argument is this flag: alone, with a value behind `=`, and a short one also with its value glued to it or as
/// the last of several letters.
fn is_flag(arg: &str, flag: &str) -> bool {
    if arg == flag
        || arg
            .strip_prefix(flag)
            .is_some_and(|rest| rest.starts_with('='))
    {
        return true;
    }
    let Some(letter) = flag.strip_prefix('-').filter(|rest| rest.len() == 1) else {
        return false;
    };
    let Some(letters) = arg.strip_prefix('-').filter(|rest| !rest.starts_with('-')) else {
        return false;
    };
    let together = letters.chars().all(|c| c.is_ascii_alphanumeric());
    letters.starts_with(letter) || (together && letters.ends_with(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(line: &[&str]) -> Option<InlineCode> {
        let args: Vec<_> = line[1..].iter().map(|&arg| arg.to_owned()).collect();
        InlineCode::of(line[0], &args)
    }

    #[test]
    fn is_shell_execution() {
        for shell in ["sh", "bash", "dash", "zsh", "ksh", "csh", "tcsh", "fish"] {
            for path in ["", "/bin/", "/usr/local/bin/"] {
                let program = format!("{path}{shell}");
                assert_eq!(
                    class(&[&program, "x"]),
                    Some(InlineCode::Shell),
                    "{program}"
                );
                assert_eq!(
                    class(&[&program]),
                    None,
                    "a shell without arguments is given no code"
                );
            }
        }
        for other in [
            "echo", "cat", "ls", "python", "node", "shiny", "bashful", "",
        ] {
            assert_eq!(class(&[other, "x"]), None, "{other}");
        }
        for wrapped in [
            &["env", "bash", "-c", "x"][..],
            &["/usr/bin/env", "A=1", "/bin/sh", "x"],
            &["busybox", "sh", "-c", "x"],
            &["xargs", "sh", "-c", "x"],
            &["find", ".", "-exec", "sh", "-c", "x", ";"],
        ] {
            assert_eq!(class(wrapped), Some(InlineCode::Shell), "{wrapped:?}");
        }
    }

    #[test]
    fn is_known_interpreter_and_has_code_execution_flags() {
        for code in [
            &["python", "-c", "x"][..],
            &["python3", "-c", "x"],
            &["python2.7", "-c", "x"],
            &["/usr/bin/python3.11", "-c", "x"],
            &["python3.13", "-cprint(1)"],
            &["python3", "-Bc", "x"],
            &["python3", "--command=x"],
            &["perl", "-e", "x"],
            &["perl5", "-E", "x"],
            &["perl", "-lane", "x"],
            &["perl", "-e'x'"],
            &["ruby", "-e", "x"],
            &["irb", "-e", "x"],
            &["node", "-e", "x"],
            &["nodejs", "--eval", "x"],
            &["node", "--eval=x"],
            &["php", "-r", "x"],
            &["php8", "-r", "x"],
            &["lua5.4", "-e", "x"],
            &["tclsh", "-c", "x"],
            &["wish", "-c", "x"],
            &["awk", "BEGIN{system(\"id\")}"],
            &["gawk", "BEGIN {x}"],
            &["mawk", "END{x}"],
            &["nawk", "-F,", "END {x}"],
        ] {
            assert_eq!(class(code), Some(InlineCode::Interpreter), "{code:?}");
        }
        for safe in [
            &["python", "script.py"][..],
            &["python3", "-m", "pytest"],
            &["node", "--inspect", "app.js"],
            &["awk", "-F", ",", "{print $1}"],
            &["perl", "script.pl"],
            &["ruby", "app.rb"],
            &["php", "index.php"],
            &["gcc", "x.c"],
            &["make", "all"],
        ] {
            assert_eq!(class(safe), None, "{safe:?}");
        }
    }

    #[test]
    fn has_suspicious_flags() {
        for line in [
            &["grep", "-r", "x"][..],
            &["grep", "-e", "x"],
            &["gcc", "-c", "x.c"],
            &["unknown", "-E", "x"],
            &["unknown", "--eval", "x"],
            &["unknown", "--command", "x"],
        ] {
            assert_eq!(class(line), Some(InlineCode::Suspicious), "{line:?}");
        }
        for line in [
            &["grep", "x"][..],
            &["ls", "-l"],
            &["unknown", "--evaluate"],
        ] {
            assert_eq!(class(line), None, "{line:?}");
        }
    }
}
