use std::borrow::Cow;

use crate::argv::ArgumentContext;
use crate::authorized::Authorized;
use crate::environment;
use crate::look::NO_RULE;
use crate::refusal::Refusal;
use crate::request::sealed::Sealed;
use crate::rights;
use crate::{
    Capability, ChildRights, Code, Denial, ExecCeiling, ExecGrant, ExecRequest, ExecTerms, Found,
    Grants, InlineCode, Mismatch, Mode, Origin, PreopenRequest, Program, ProgramDirectory,
    ProgramRef, ProgramRule, Programs, Request, RuleId,
};

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
        let (code, action) = (Code::FsNotGranted, format!("open the directory `{object}`"));
        let denial = Denial::new(code, grants, Capability::Fs, action, object);
        Decision::Deny(Box::new(denial.note(NO_RULE)))
    }
}

impl Sealed for ExecRequest {
    fn decide(self, grants: &Grants) -> Decision<Self> {
        match exec_terms(grants, &self) {
            Ok(terms) => Decision::Allow(Authorized::new(self, terms)),
            Err(denial) => {
                let unmatched = matches!(denial.code, Code::ExecNoRule | Code::ExecArguments);
                if unmatched && grants.mode == Mode::Dev {
                    Decision::Ask {
                        request: self,
                        denial,
                    }
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
    let left = rules_of_the_ceiling(grants, grant, request)
        .map_err(|(ceiling, unmatched)| refuse.beyond_ceiling(ceiling, unmatched))?;
    let allowing =
        allowing_rules(grants, grant, request).map_err(|unmatched| refuse.unmatched(unmatched))?;
    let rules: Vec<_> = allowing.iter().chain(&left).copied().collect();
    if let Some(reglet) = &grants.reglet
        && let Some(class) = InlineCode::of_request(request)
        && !reglet.allows(class, request, &allowing)
    {
        return Err(refuse.inline_code(class));
    }
    refuse.unusable_program()?;
    refuse.unusable_cwd()?;
    if request.stdin && rules.iter().any(|rule| rule.narrowing.stdin == Some(false)) {
        return Err(refuse.stdin(&rules));
    }
    if request.inherit_output && !grant.inherit_output {
        return Err(refuse.inherited_output());
    }
    let only: Vec<&[String]> = rules
        .iter()
        .filter_map(|rule| rule.narrowing.env.as_deref())
        .collect();
    let (set, dropped) = match grants.reglet {
        Some(_) => environment::left(grant, &request.env, &only),
        None => (Cow::Borrowed(&request.env[..]), Vec::new()),
    };
    let mut environment =
        environment::build(grant, &request.host_env, request.inherit_env, &set, &only)
            .map_err(|refused| refuse.environment(refused))?;
    environment.dropped.extend(dropped);
    let limits = &grants.limits;
    let timeout = rules
        .iter()
        .filter_map(|rule| rule.narrowing.timeout)
        .fold(limits.timeout, Ord::min);
    let streamed = rules.iter().filter_map(|rule| rule.narrowing.output).min();
    let floor = left.iter().filter_map(|rule| rule.narrowing.confinement);
    let confinement = floor.fold(rights::tier(grant, &allowing), Ord::min);
    let mut not_in_force: Vec<_> = rules
        .iter()
        .flat_map(|rule| rule.narrowing.not_in_force(confinement))
        .collect();
    not_in_force.sort_unstable();
    not_in_force.dedup();
    Ok(ExecTerms {
        rules: allowing.iter().map(|rule| rule.id.clone()).collect(),
        ceiling: left
            .iter()
            .map(|rule| (rule.id.clone(), rule.origin.clone()))
            .collect(),
        environment,
        timeout,
        term_grace: limits.term_grace.min(timeout),
        output: streamed.map_or(limits.output, |output| output.min(limits.output)),
        streamed,
        confinement,
        rights: ChildRights::of(grants).narrowed(rules.iter().map(|rule| &rule.narrowing)),
        not_in_force,
    })
}

/// Whether a rule is about the requested program: the same file, called by the same name; or a file that lies in the rule's
/// directory, called by its path there.
fn is_about(rule: &ProgramRule, request: &ExecRequest) -> bool {
    let found = request.found.file();
    match &rule.program {
        Programs::Named(program) => {
            program.base_name() == request.program.base_name()
                && found.map_or(*program == request.program, |found| {
                    found.same_as.contains(program)
                })
        }
        Programs::In(directory) => {
            let lies_in = |found: &Found| found.lies_in.iter().any(|dir| dir == directory.path());
            is_spelled_in(directory, request) && found.is_none_or(lies_in)
        }
    }
}

/// Whether the request is for a path in a directory. A bare name is none, wherever it is found.
fn is_spelled_in(directory: &ProgramDirectory, request: &ExecRequest) -> bool {
    match &request.program {
        ProgramRef::Path(path) => directory.holds(path),
        ProgramRef::Name(_) => false,
    }
}

fn argument_context<'a>(grants: &'a Grants, request: &'a ExecRequest) -> ArgumentContext<'a> {
    ArgumentContext {
        paths: &request.arg_paths,
        grants: &grants.fs,
    }
}

/// The deny rule that is about this command. A name alone is enough, so that a second copy of a program does not
/// escape; where programs are allowed that no rule names, so is the same file under another name. A directory is denied
/// with all that lies or is found in it.
fn denying_rule<'a>(
    grants: &Grants,
    grant: &'a ExecGrant,
    request: &ExecRequest,
) -> Option<&'a ProgramRule> {
    let context = argument_context(grants, request);
    let unnamed = grant.allows_unnamed();
    let found = request.found.file();
    let is_denied = |rule: &ProgramRule| match &rule.program {
        Programs::Named(program) => {
            let linked = |found: &Found| unnamed && found.same_as.contains(program);
            program.base_name() == request.program.base_name() || found.is_some_and(linked)
        }
        Programs::In(directory) => {
            let inside = |found: &Found| found.denied_in.iter().any(|dir| dir == directory.path());
            is_spelled_in(directory, request) || found.is_some_and(inside)
        }
    };
    let matching = grant
        .deny
        .iter()
        .filter(|rule| is_denied(rule) && rule.arguments.denies(&request.args, &context));
    matching.min_by_key(|rule| (place(rule), rule.arguments.is_any()))
}

/// What decides between rules that would be reported alike, so that the order of the lists never shows.
pub(crate) fn place(rule: &ProgramRule) -> (&RuleId, &Origin) {
    (&rule.id, &rule.origin)
}

/// Why no rule allows a command.
pub(crate) enum Unmatched<'a> {
    NoRule,
    Arguments {
        rule: &'a ProgramRule,
        mismatch: Mismatch,
    },
    Digest {
        rule: &'a ProgramRule,
    },
}

/// The rules that allow a command, sorted by name; or the one that came nearest.
fn allowing_rules<'a>(
    grants: &Grants,
    grant: &'a ExecGrant,
    request: &ExecRequest,
) -> Result<Vec<&'a ProgramRule>, Unmatched<'a>> {
    let allowing = matching(grants, &grant.allow, request);
    if grant.any_program {
        return Ok(allowing.unwrap_or_default());
    }
    allowing
}

/// The rules of the ceiling that leave a command; none where there is no ceiling.
fn rules_of_the_ceiling<'a>(
    grants: &Grants,
    grant: &'a ExecGrant,
    request: &ExecRequest,
) -> Result<Vec<&'a ProgramRule>, (&'a ExecCeiling, Unmatched<'a>)> {
    match &grant.ceiling {
        Some(ceiling) => {
            matching(grants, &ceiling.allow, request).map_err(|unmatched| (ceiling, unmatched))
        }
        None => Ok(Vec::new()),
    }
}

/// The rules of a list that match a command, at least one, sorted by name; or the one that came nearest.
fn matching<'a>(
    grants: &Grants,
    list: &'a [ProgramRule],
    request: &ExecRequest,
) -> Result<Vec<&'a ProgramRule>, Unmatched<'a>> {
    let context = argument_context(grants, request);
    let mut allowing = Vec::new();
    let mut digests = Vec::new();
    let mut mismatches = Vec::new();
    let about = |rule: &&ProgramRule| rule.is_for(grants) && is_about(rule, request);
    for rule in list.iter().filter(about) {
        match rule.arguments.allows(&request.args, &context) {
            Ok(()) if digest_matches(rule, request) => allowing.push(rule),
            Ok(()) => digests.push(rule),
            Err(mismatch) => mismatches.push((rule, mismatch)),
        }
    }
    allowing.sort_by_key(|rule| place(rule));
    let digest = digests.into_iter().min_by_key(|rule| place(rule));
    let nearest = mismatches
        .into_iter()
        .min_by(|(rule, mismatch), (other, best)| {
            let furthest = best.position.cmp(&mismatch.position);
            furthest
                .then_with(|| (place(rule), &mismatch.reason).cmp(&(place(other), &best.reason)))
        });
    match (digest, nearest) {
        _ if !allowing.is_empty() => Ok(allowing),
        (Some(rule), _) => Err(Unmatched::Digest { rule }),
        (None, Some((rule, mismatch))) => Err(Unmatched::Arguments { rule, mismatch }),
        (None, None) => Err(Unmatched::NoRule),
    }
}

fn digest_matches(rule: &ProgramRule, request: &ExecRequest) -> bool {
    let Some(wanted) = rule.sha256 else {
        return true;
    };
    match &request.found {
        Program::Found(found) => found.sha256 == Some(wanted),
        // Nothing will run: the rule matches so far that the next check can say what is wrong with the file.
        Program::Missing | Program::Unfit { .. } | Program::Malformed => true,
    }
}
