use std::path::Path;

use crate::argv::ArgumentContext;
use crate::authorized::Authorized;
use crate::environment::{self, Refused};
use crate::request::sealed::Sealed;
use crate::{
    Capability, Code, Confinement, Cwd, Denial, ExecGrant, ExecRequest, ExecTerms, FsAccess, Grants, GuestError, Mismatch,
    Mode, PreopenRequest, Program, ProgramRef, ProgramRule, Remedy, Request,
};

/// Bytes of all arguments together that one command can be given.
const MAX_ARGUMENT_BYTES: usize = 128 * 1024;

/// What [`decide`] answers.
#[derive(Debug)]
pub enum Decision<R: Request> {
    /// It may be carried out, under these terms.
    Allow(Authorized<R>),
    /// No rule is about it and the mode is `dev`: a person may be asked. An answer becomes a rule, and the request is
    /// decided again; without a person the denial stands.
    Ask {
        /// The request, unchanged.
        request: R,
        /// What is reported when nobody allows it.
        denial: Box<Denial>,
    },
    /// It may not.
    Deny(Box<Denial>),
}

/// Decides whether a plugin with these grants may do what it asks.
///
/// Pure and total: the same grants and request give the same answer, every request gets one, and the order of rules
/// never matters. A denying rule wins over every allowing one. When several rules allow a command, it gets only what
/// all of them leave.
pub fn decide<R: Request>(grants: &Grants, request: R) -> Decision<R> {
    request.decide(grants)
}

impl Sealed for PreopenRequest {
    fn decide(self, grants: &Grants) -> Decision<Self> {
        if grants.fs.contains(&self.grant) {
            return Decision::Allow(Authorized::new(self, ()));
        }
        let object = self.grant.host.display().to_string();
        Decision::Deny(Box::new(Denial {
            code: Code::FsNotGranted,
            plugin: grants.plugin.clone(),
            capability: Capability::Fs,
            action: format!("open the directory `{object}`"),
            object,
            notes: vec!["no `fs` rule matches; the default is deny".to_owned()],
            remedies: Vec::new(),
            rule: None,
            guest: GuestError::Denied,
        }))
    }
}

impl Sealed for ExecRequest {
    fn decide(self, grants: &Grants) -> Decision<Self> {
        match exec_terms(grants, &self) {
            Ok(terms) => Decision::Allow(Authorized::new(self, terms)),
            Err(denial) => {
                let unmatched = matches!(denial.code, Code::ExecNoRule | Code::ExecArguments);
                if unmatched && grants.mode == Mode::Dev {
                    Decision::Ask { request: self, denial }
                } else {
                    Decision::Deny(denial)
                }
            }
        }
    }
}

/// The checks in their order. Whether a program exists, and where, shows only after a rule allowed it.
fn exec_terms(grants: &Grants, request: &ExecRequest) -> Result<ExecTerms, Box<Denial>> {
    let refuse = Refusal { grants, request };
    let Some(grant) = &grants.exec else {
        return Err(refuse.no_capability());
    };
    refuse.malformed()?;
    if let Some(rule) = denying_rule(grants, grant, request) {
        return Err(refuse.denied_by(rule));
    }
    let rules = allowing_rules(grants, grant, request).map_err(|unmatched| refuse.unmatched(unmatched))?;
    refuse.unusable_program()?;
    refuse.unusable_cwd()?;
    refuse.unconfined(grant)?;
    if request.stdin && rules.iter().any(|rule| rule.narrowing.stdin == Some(false)) {
        return Err(refuse.stdin(&rules));
    }
    let only: Vec<&[String]> = rules.iter().filter_map(|rule| rule.narrowing.env.as_deref()).collect();
    let environment =
        environment::build(grant, &request.host_env, request.inherit_env, &request.env, &only)
            .map_err(|refused| refuse.environment(refused))?;
    let limits = &grants.limits;
    let timeouts = rules.iter().filter_map(|rule| rule.narrowing.timeout);
    let outputs = rules.iter().filter_map(|rule| rule.narrowing.output);
    let mut ids: Vec<_> = rules.iter().map(|rule| rule.id.clone()).collect();
    ids.sort();
    let mut not_in_force: Vec<_> = rules.iter().flat_map(|rule| rule.narrowing.kernel_keys()).collect();
    not_in_force.sort_unstable();
    not_in_force.dedup();
    Ok(ExecTerms {
        rules: ids,
        environment,
        timeout: timeouts.fold(limits.timeout, Ord::min),
        term_grace: limits.term_grace,
        output: outputs.fold(limits.output, Ord::min),
        confinement: grant.confinement,
        not_in_force,
    })
}

/// Whether a rule is about the requested program: the same file, called by the same name.
fn is_about(rule: &ProgramRule, request: &ExecRequest) -> bool {
    let same_name = rule.program.base_name() == request.program.base_name();
    same_name
        && match &request.found {
            Program::Found(found) => found.same_as.contains(&rule.program),
            Program::Missing | Program::Unfit { .. } | Program::Malformed => rule.program == request.program,
        }
}

fn argument_context<'a>(grants: &'a Grants, request: &'a ExecRequest) -> ArgumentContext<'a> {
    ArgumentContext { paths: &request.arg_paths, grants: &grants.fs }
}

/// The deny rule that is about this command. A name alone is enough, so that a second copy of a program does not
/// escape; where any program is allowed, so is the same file under another name.
fn denying_rule<'a>(grants: &Grants, grant: &'a ExecGrant, request: &ExecRequest) -> Option<&'a ProgramRule> {
    let context = argument_context(grants, request);
    let named = |rule: &ProgramRule| rule.program.base_name() == request.program.base_name();
    let linked = |rule: &ProgramRule| match &request.found {
        Program::Found(found) => grant.any_program && found.same_as.contains(&rule.program),
        Program::Missing | Program::Unfit { .. } | Program::Malformed => false,
    };
    let mut matching = grant
        .deny
        .iter()
        .filter(|rule| (named(rule) || linked(rule)) && rule.arguments.denies(&request.args, &context));
    // The smallest name, so that the report does not depend on the order of the file.
    let first = matching.next()?;
    Some(matching.fold(first, |least, rule| if rule.id < least.id { rule } else { least }))
}

/// Why no rule allows a command.
enum Unmatched<'a> {
    NoRule,
    Arguments { rule: &'a ProgramRule, mismatch: Mismatch },
    Digest { rule: &'a ProgramRule },
}

fn allowing_rules<'a>(
    grants: &Grants,
    grant: &'a ExecGrant,
    request: &ExecRequest,
) -> Result<Vec<&'a ProgramRule>, Unmatched<'a>> {
    let context = argument_context(grants, request);
    let mut allowing = Vec::new();
    let mut digest: Option<&ProgramRule> = None;
    let mut nearest: Option<(&ProgramRule, Mismatch)> = None;
    for rule in grant.allow.iter().filter(|rule| is_about(rule, request)) {
        match rule.arguments.allows(&request.args, &context) {
            Ok(()) if digest_matches(rule, request) => allowing.push(rule),
            Ok(()) => digest = digest.filter(|other| other.id <= rule.id).or(Some(rule)),
            Err(mismatch) => {
                let nearer = nearest.as_ref().is_none_or(|(other, best)| {
                    (mismatch.position, &other.id) > (best.position, &rule.id)
                });
                if nearer {
                    nearest = Some((rule, mismatch));
                }
            }
        }
    }
    match (digest, nearest) {
        _ if !allowing.is_empty() || grant.any_program => Ok(allowing),
        (Some(rule), _) => Err(Unmatched::Digest { rule }),
        (None, Some((rule, mismatch))) => Err(Unmatched::Arguments { rule, mismatch }),
        (None, None) => Err(Unmatched::NoRule),
    }
}

fn digest_matches(rule: &ProgramRule, request: &ExecRequest) -> bool {
    let Some(wanted) = rule.sha256 else { return true };
    match &request.found {
        Program::Found(found) => found.sha256 == Some(wanted),
        // Nothing will run: the rule matches so far that the next check can say what is wrong with the file.
        Program::Missing | Program::Unfit { .. } | Program::Malformed => true,
    }
}

/// Makes the denials of one request.
struct Refusal<'a> {
    grants: &'a Grants,
    request: &'a ExecRequest,
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
        Box::new(Denial {
            code,
            plugin: self.grants.plugin.clone(),
            capability: Capability::Exec,
            action: format!("run `{object}`"),
            object,
            notes,
            remedies: Vec::new(),
            rule: None,
            guest,
        })
    }

    fn requested(&self) -> String {
        format!("requested as `{}` with arguments {:?}", self.request.program, self.request.args)
    }

    /// The command that would allow exactly this request.
    fn grant_exactly_this(&self) -> Remedy {
        let args = format!("{:?}", self.request.args);
        let words = [
            "portcullis",
            "grant",
            self.grants.plugin.as_str(),
            "exec",
            &self.request.program.to_string(),
            "--args",
            &args,
        ];
        Remedy {
            text: "to allow exactly this".to_owned(),
            command: Some(words.map(str::to_owned).to_vec()),
        }
    }

    fn no_capability(&self) -> Box<Denial> {
        let notes = vec!["the policy grants it no `exec`; the default is deny".to_owned(), self.requested()];
        let mut denial = self.denial(Code::ExecNotGranted, GuestError::Denied, notes);
        denial.remedies.push(self.grant_exactly_this());
        denial
    }

    fn malformed(&self) -> Result<(), Box<Denial>> {
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

    fn denied_by(&self, rule: &ProgramRule) -> Box<Denial> {
        let what = if rule.arguments.is_any() { "" } else { " with these arguments" };
        let notes = vec![
            format!("denied by rule `{}` at {}; deny rules win over allow rules", rule.id, rule.origin),
            self.requested(),
        ];
        let mut denial = self.denial(Code::ExecDenied, GuestError::Denied, notes);
        denial.action.push_str(what);
        denial.rule = Some((rule.id.clone(), rule.origin.clone()));
        denial.remedies.push(Remedy {
            text: format!("remove or narrow `{}`, or have the plugin use another program", rule.id),
            command: None,
        });
        denial
    }

    fn unmatched(&self, unmatched: Unmatched<'_>) -> Box<Denial> {
        match unmatched {
            Unmatched::NoRule => {
                let notes = vec!["no `exec` rule matches; the default is deny".to_owned(), self.requested()];
                let mut denial = self.denial(Code::ExecNoRule, GuestError::Denied, notes);
                denial.remedies.push(self.grant_exactly_this());
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
                denial.remedies.push(self.grant_exactly_this());
                denial
            }
            Unmatched::Digest { rule } => {
                let notes = vec![format!("rule `{}` ({}) names another SHA-256 than the file has", rule.id, rule.origin)];
                let mut denial = self.denial(Code::ExecDigest, GuestError::Denied, notes);
                denial.rule = Some((rule.id.clone(), rule.origin.clone()));
                denial.remedies.push(Remedy {
                    text: "if the program was updated on purpose, write its new digest into the rule".to_owned(),
                    command: None,
                });
                denial
            }
        }
    }

    fn unusable_program(&self) -> Result<(), Box<Denial>> {
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
            Program::Unfit { why, .. } => {
                Err(self.denial(Code::ExecUnfit, GuestError::CannotStart, vec![why.to_string()]))
            }
        }
    }

    fn unusable_cwd(&self) -> Result<(), Box<Denial>> {
        let (asked, note) = match &self.request.cwd {
            Cwd::Project(_) => return Ok(()),
            Cwd::Requested { real, .. } if self.grants.fs_grant(real, FsAccess::Read).is_some() => return Ok(()),
            Cwd::Requested { asked, real } => {
                (asked, format!("the directory is `{}`, which is inside no granted one", real.display()))
            }
            Cwd::Unusable { asked, why } => (asked, why.clone()),
        };
        let mut denial = self.denial(Code::ExecCwd, GuestError::Denied, vec![note]);
        denial.action = format!("run `{}` in `{asked}`", denial.object);
        if let Cwd::Requested { real, .. } = &self.request.cwd {
            denial.remedies.push(self.grant_directory(real));
        }
        Err(denial)
    }

    fn grant_directory(&self, dir: &Path) -> Remedy {
        let words =
            ["portcullis", "grant", self.grants.plugin.as_str(), "read", &dir.display().to_string()].map(str::to_owned);
        Remedy { text: "to let the plugin read that directory".to_owned(), command: Some(words.to_vec()) }
    }

    /// Until children are confined, only `dev` mode with `confinement = "limits"` written out starts any.
    fn unconfined(&self, grant: &ExecGrant) -> Result<(), Box<Denial>> {
        let note = if grant.confinement != Confinement::Limits {
            format!("`confinement = \"{}\"` cannot be enforced by this release", grant.confinement.name())
        } else if self.grants.mode == Mode::Production {
            "production mode starts no unconfined children, and this release cannot confine them".to_owned()
        } else {
            return Ok(());
        };
        let mut denial = self.denial(Code::ExecConfinement, GuestError::CannotStart, vec![note]);
        denial.remedies.push(Remedy {
            text: "to accept unconfined children, write `mode = \"dev\"` and `confinement = \"limits\"`".to_owned(),
            command: None,
        });
        Err(denial)
    }

    fn stdin(&self, rules: &[&ProgramRule]) -> Box<Denial> {
        let mut denial = self.denial(Code::ExecStdin, GuestError::Denied, Vec::new());
        denial.action.push_str(" with standard input");
        for rule in rules.iter().filter(|rule| rule.narrowing.stdin == Some(false)) {
            denial.notes.push(format!("rule `{}` ({}) has `stdin = false`", rule.id, rule.origin));
            denial.rule = Some((rule.id.clone(), rule.origin.clone()));
        }
        denial
    }

    fn environment(&self, refused: Refused) -> Box<Denial> {
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
            denial.action = format!("set `{}` for `{}`", name.escape_debug(), denial.object);
        }
        denial
    }
}
