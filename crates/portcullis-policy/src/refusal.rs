use std::path::Path;

use crate::decide::{Unmatched, place};
use crate::denial::EXACTLY_THIS;
use crate::environment::Refused;
use crate::text::{json_list, shown};
use crate::{
    Capability, Code, Cwd, Denial, ExecCeiling, ExecRequest, FsAccess, Grants, GuestError,
    InlineCode, Program, ProgramRef, ProgramRule, Programs, Remedy,
};

/// Bytes of all arguments together that one command can be given.
const MAX_ARGUMENT_BYTES: usize = 128 * 1024;

/// Makes the denials of one request.
pub(crate) struct Refusal<'a> {
    pub(crate) grants: &'a Grants,
    pub(crate) request: &'a ExecRequest,
}

impl Refusal<'_> {
    /// The program for messages: the file if it is known, else the text.
    fn program(&self) -> String {
        match &self.request.found {
            Program::Found(found) => found.path.display().to_string(),
            Program::Unfit { path, .. } => path.display().to_string(),
            Program::Missing | Program::Malformed => self.request.program.to_string(),
        }
    }

    fn denial(&self, code: Code, guest: GuestError, notes: Vec<String>) -> Box<Denial> {
        let object = self.program();
        let action = format!("run `{}`", shown(&object));
        Box::new(Denial {
            notes,
            guest,
            ..Denial::new(code, self.grants, Capability::Exec, action, object)
        })
    }

    fn requested(&self) -> String {
        let program = self.request.program.to_string();
        format!(
            "requested as `{}` with arguments {}",
            shown(&program),
            shown(&json_list(&self.request.args))
        )
    }

    /// The command that would allow exactly this request; none for a program that a rule cannot name.
    fn grant_exactly_this(&self) -> Option<Remedy> {
        let program = Programs::written(&self.request.program)?.to_string();
        let args = json_list(&self.request.args);
        let right = ["exec", &program, "--args", &args];
        Some(Remedy::grant(&self.grants.plugin, EXACTLY_THIS, &right))
    }

    /// How a rule by directory comes near to the request: the program is asked for by its name, or leads out of it.
    fn beside<'r>(&self, rules: impl IntoIterator<Item = &'r ProgramRule>) -> Option<String> {
        let found = self.request.found.file()?;
        let real = shown(&found.path.to_string_lossy());
        let near = rules.into_iter().filter_map(|rule| {
            let directory = rule.program.directory()?;
            let why = match &self.request.program {
                ProgramRef::Name(_) if directory.holds(&found.path) => {
                    format!("only by its path, `{real}`, and not by a bare name")
                }
                ProgramRef::Path(path) if directory.holds(path) => {
                    format!("only what lies in it, and the program is `{real}`")
                }
                ProgramRef::Name(_) | ProgramRef::Path(_) => return None,
            };
            let (id, origin) = (&rule.id, &rule.origin);
            let note = format!("rule `{id}` ({origin}) is about `{directory}`: {why}");
            Some((place(rule), note))
        });
        near.min().map(|(_, note)| note)
    }

    pub(crate) fn no_capability(&self) -> Box<Denial> {
        let notes = vec![
            "the policy grants it no `exec`; the default is deny".to_owned(),
            self.requested(),
        ];
        let mut denial = self.denial(Code::ExecNotGranted, GuestError::Denied, notes);
        denial.remedies.extend(self.grant_exactly_this());
        denial
    }

    pub(crate) fn malformed(&self) -> Result<(), Box<Denial>> {
        let request = self.request;
        let bytes: usize = request.args.iter().map(|arg| arg.len() + 1).sum();
        let why = if request.found == Program::Malformed {
            "a program is a bare name or an absolute path"
        } else if request.args.iter().any(|arg| arg.contains('\0')) {
            "an argument contains a NUL"
        } else if bytes > MAX_ARGUMENT_BYTES {
            "its arguments are longer than 128 KiB together"
        } else {
            return Ok(());
        };
        Err(self.denial(Code::ExecInvalid, GuestError::Invalid, vec![why.to_owned()]))
    }

    pub(crate) fn denied_by(&self, rule: &ProgramRule) -> Box<Denial> {
        let what = if rule.arguments.is_any() {
            ""
        } else {
            " with these arguments"
        };
        let notes = vec![
            format!(
                "denied by rule `{}` at {}; deny rules win over allow rules",
                rule.id, rule.origin
            ),
            self.requested(),
        ];
        let mut denial = self.denial(Code::ExecDenied, GuestError::Denied, notes);
        denial.action.push_str(what);
        denial.rule = Some((rule.id.clone(), rule.origin.clone()));
        denial.remedies.push(Remedy {
            text: format!(
                "remove or narrow `{}`, or have the plugin use another program",
                rule.id
            ),
            command: None,
        });
        denial
    }

    /// What a ceiling does not leave, whatever allows it. Nobody is asked: an answer would change nothing.
    pub(crate) fn beyond_ceiling(
        &self,
        ceiling: &ExecCeiling,
        unmatched: Unmatched<'_>,
    ) -> Box<Denial> {
        let note = match &unmatched {
            Unmatched::NoRule => format!("the ceiling does not list it ({})", ceiling.origin),
            Unmatched::Arguments { rule, mismatch } => format!(
                "rule `{}` of the ceiling ({}) leaves it with other arguments; argument {}: {}",
                rule.id, rule.origin, mismatch.position, mismatch.reason
            ),
            Unmatched::Digest { rule } => format!(
                "rule `{}` of the ceiling ({}) names another SHA-256 than the file has",
                rule.id, rule.origin
            ),
        };
        let beside = self.beside(&ceiling.allow);
        let notes = [Some(note), beside, Some(self.requested())];
        let notes = notes.into_iter().flatten().collect();
        let mut denial = self.denial(Code::ExecCeiling, GuestError::Denied, notes);
        denial.rule = match unmatched {
            Unmatched::NoRule => None,
            Unmatched::Arguments { rule, .. } | Unmatched::Digest { rule } => {
                Some((rule.id.clone(), rule.origin.clone()))
            }
        };
        denial.remedies.push(Remedy {
            text: "nothing of yours goes beyond the ceiling; ask whoever administers this machine"
                .to_owned(),
            command: None,
        });
        denial
    }

    pub(crate) fn unmatched(&self, unmatched: Unmatched<'_>) -> Box<Denial> {
        match unmatched {
            Unmatched::NoRule => {
                let note = "no `exec` rule matches; the default is deny".to_owned();
                let rules = self.grants.exec.iter().flat_map(|exec| &exec.allow);
                let beside = self.beside(rules);
                let notes = [Some(note), beside, Some(self.requested())];
                let notes = notes.into_iter().flatten().collect();
                let mut denial = self.denial(Code::ExecNoRule, GuestError::Denied, notes);
                denial.remedies.extend(self.grant_exactly_this());
                denial
            }
            Unmatched::Arguments { rule, mismatch } => {
                let notes = vec![
                    format!(
                        "rule `{}` ({}) allows it with other arguments; argument {}: {}",
                        rule.id, rule.origin, mismatch.position, mismatch.reason
                    ),
                    self.requested(),
                ];
                let mut denial = self.denial(Code::ExecArguments, GuestError::Denied, notes);
                denial.action.push_str(" with these arguments");
                denial.rule = Some((rule.id.clone(), rule.origin.clone()));
                denial.remedies.extend(self.grant_exactly_this());
                denial
            }
            Unmatched::Digest { rule } => {
                let notes = vec![format!(
                    "rule `{}` ({}) names another SHA-256 than the file has",
                    rule.id, rule.origin
                )];
                let mut denial = self.denial(Code::ExecDigest, GuestError::Denied, notes);
                denial.rule = Some((rule.id.clone(), rule.origin.clone()));
                denial.remedies.push(Remedy {
                    text:
                        "if the program was updated on purpose, write its new digest into the rule"
                            .to_owned(),
                    command: None,
                });
                denial
            }
        }
    }

    pub(crate) fn unusable_program(&self) -> Result<(), Box<Denial>> {
        match &self.request.found {
            Program::Found(_) => Ok(()),
            Program::Missing | Program::Malformed => {
                let place = match &self.request.program {
                    ProgramRef::Name(_) => {
                        let dirs = self.grants.exec.iter().flat_map(|grant| &grant.search_path);
                        let dirs: Vec<_> = dirs.map(|dir| format!("`{}`", dir.display())).collect();
                        format!("it is allowed, but not found in {}", dirs.join(", "))
                    }
                    ProgramRef::Path(_) => "it is allowed, but there is no such file".to_owned(),
                };
                Err(self.denial(Code::ExecNotFound, GuestError::NotFound, vec![place]))
            }
            Program::Unfit { why, .. } => Err(self.denial(
                Code::ExecUnfit,
                GuestError::CannotStart,
                vec![why.to_string()],
            )),
        }
    }

    pub(crate) fn unusable_cwd(&self) -> Result<(), Box<Denial>> {
        let (asked, note) = match &self.request.cwd {
            Cwd::Project(_) => return Ok(()),
            Cwd::Requested { real, .. } if self.grants.fs_grant(real, FsAccess::Read).is_some() => {
                return Ok(());
            }
            Cwd::Requested { asked, real } => (
                asked,
                format!(
                    "the directory is `{}`, which is inside no granted one",
                    real.display()
                ),
            ),
            Cwd::Unusable { asked, why } => (asked, why.clone()),
        };
        let mut denial = self.denial(Code::ExecCwd, GuestError::Denied, vec![note]);
        denial.action = format!("run `{}` in `{}`", shown(&denial.object), shown(asked));
        if let Cwd::Requested { real, .. } = &self.request.cwd {
            denial.remedies.push(self.grant_directory(real));
        }
        Err(denial)
    }

    fn grant_directory(&self, dir: &Path) -> Remedy {
        let (text, dir) = (
            "to let the plugin read that directory",
            dir.display().to_string(),
        );
        Remedy::grant(&self.grants.plugin, text, &["read", &dir])
    }

    pub(crate) fn stdin(&self, rules: &[&ProgramRule]) -> Box<Denial> {
        let mut denial = self.denial(Code::ExecStdin, GuestError::Denied, Vec::new());
        denial.action.push_str(" with standard input");
        for rule in rules
            .iter()
            .filter(|rule| rule.narrowing.stdin == Some(false))
        {
            denial.notes.push(format!(
                "rule `{}` ({}) has `stdin = false`",
                rule.id, rule.origin
            ));
            denial
                .rule
                .get_or_insert_with(|| (rule.id.clone(), rule.origin.clone()));
        }
        denial
    }

    pub(crate) fn inherited_output(&self) -> Box<Denial> {
        let note = "`exec.inherit_output` is not set; the default is `false`".to_owned();
        let mut denial = self.denial(Code::ExecInheritOutput, GuestError::Denied, vec![note]);
        denial
            .action
            .push_str(" with output that goes where the plugin's own goes");
        denial
    }

    pub(crate) fn inline_code(&self, class: InlineCode) -> Box<Denial> {
        let program = self.request.program.to_string();
        let notes = vec![
            format!(
                "it is {}: code in the arguments of a command has a grant of its own for plugins of Reglet",
                class.name()
            ),
            self.requested(),
        ];
        let mut denial = self.denial(Code::ExecInlineCode, GuestError::Denied, notes);
        denial.action.push_str(" with code in its arguments");
        let asked = match class {
            InlineCode::Shell => "exec",
            InlineCode::Interpreter | InlineCode::Suspicious => "inline",
        };
        denial.remedies.push(Remedy {
            text: format!(
                "to allow it, add {} to `reglet` of the plugin; better have it call the program that it needs",
                json_list(&[format!("{asked}:{program}")])
            ),
            command: None,
        });
        denial
    }

    pub(crate) fn environment(&self, refused: Refused) -> Box<Denial> {
        let (code, guest, name, note) = match refused {
            Refused::Malformed(name) => (
                Code::ExecInvalid,
                GuestError::Invalid,
                name,
                "a name is not empty, has no `=`, no NUL and no control character; a value has no NUL",
            ),
            Refused::TooLarge => (
                Code::ExecInvalid,
                GuestError::Invalid,
                String::new(),
                "its environment is longer than 64 KiB together",
            ),
            Refused::Dangerous(name) => (
                Code::EnvDangerous,
                GuestError::Denied,
                name,
                "it makes many programs run other code; only a name in `allow_dangerous_env` may be set",
            ),
            Refused::NotAllowed(name) => (
                Code::EnvNotAllowed,
                GuestError::Denied,
                name,
                "it is outside `env_allow_prefixes`, or outside the `env` of the rule",
            ),
        };
        let mut denial = self.denial(code, guest, vec![note.to_owned()]);
        if !name.is_empty() || code != Code::ExecInvalid {
            denial.action = format!("set `{}` for `{}`", shown(&name), shown(&denial.object));
        }
        denial
    }
}
