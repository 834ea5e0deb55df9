//! Rules about arguments: what the decision says is what a second matcher says, and narrowing never widens.
//!
//! An input is lines. The first character says what the rest is: `p` a token of the pattern, `s` a sub-command, `g` a
//! flag before it, `f` a flag after it, `d` a denied flag, `P` that paths are looked at, `a` an argument.

use portcullis_policy::{
    ArgPath, ArgToken, ArgumentRule, Confinement, Decision, ExecGrant, ExecRequest, FlagPattern,
    FsAccess, FsGrant, FsKind, Grants, Mode, Origin, PathAccess, PluginId, ProgramRule, decide,
};

use crate::reference::{self, Rule};
use crate::{Run, lines};

/// More than a command line of a person has; what is longer only takes longer.
const MAX: usize = 24;

pub(crate) fn target() -> Run {
    Box::new(|data| {
        if let Some(case) = Case::read(data) {
            case.check();
        }
    })
}

/// A rule and a command.
#[derive(Clone, Debug, Default)]
struct Case {
    rule: Rule,
    args: Vec<String>,
}

impl Case {
    fn read(data: &[u8]) -> Option<Self> {
        let mut case = Self::default();
        let rule = &mut case.rule;
        for (kind, text) in lines(data)?.take(2 * MAX) {
            match kind {
                'p' if ArgToken::parse(text).is_ok() => {
                    rule.pattern.get_or_insert_default().push(text.to_owned());
                }
                's' => rule.sub.get_or_insert_default().push(text.to_owned()),
                'g' if FlagPattern::parse(text).is_ok() => rule.global.push(text.to_owned()),
                'f' if FlagPattern::parse(text).is_ok() => {
                    rule.flags.get_or_insert_default().push(text.to_owned());
                }
                'F' => rule.flags = rule.flags.take().or_else(|| Some(Vec::new())),
                'd' if FlagPattern::parse(text).is_ok() => rule.denied.push(text.to_owned()),
                'P' => rule.paths = true,
                'a' if case.args.len() < MAX => case.args.push(text.to_owned()),
                _ => {}
            }
        }
        Some(case)
    }

    fn check(&self) {
        let allowed = allowed_by(&self.rule, &self.args);
        assert_eq!(
            allowed,
            reference::allows(&self.rule, &self.args),
            "{self:?}"
        );
        assert_eq!(
            denied_by(&self.rule, &self.args),
            reference::denies(&self.rule, &self.args),
            "as a deny rule: {self:?}"
        );
        if allowed {
            for denied in &self.rule.denied {
                assert!(!self.args.contains(denied), "{denied} passed: {self:?}");
            }
        } else {
            for less in self.rule.narrower() {
                assert!(
                    !allowed_by(&less, &self.args),
                    "{less:?} allows more than {self:?}"
                );
            }
        }
        self.check_exact();
    }

    /// What a remedy would write allows exactly this command.
    fn check_exact(&self) {
        if self.args.iter().any(|arg| arg.contains('\0')) {
            return;
        }
        let pattern = self.args.iter().map(|arg| ArgToken::escape(arg)).collect();
        let exact = Rule {
            pattern: Some(pattern),
            ..Rule::default()
        };
        assert!(
            allowed_by(&exact, &self.args),
            "{self:?} is not allowed by itself"
        );
        let more = [self.args.clone(), vec![String::new()]].concat();
        assert!(
            !allowed_by(&exact, &more),
            "{self:?} allows one argument more"
        );
    }
}

fn parsed(flags: &[String]) -> Vec<FlagPattern> {
    flags
        .iter()
        .map(|flag| FlagPattern::parse(flag).unwrap())
        .collect()
}

fn rule(rule: &Rule) -> ProgramRule {
    let tokens = |tokens: &Vec<String>| {
        tokens
            .iter()
            .map(|text| ArgToken::parse(text).unwrap())
            .collect()
    };
    let arguments = ArgumentRule {
        args: rule.pattern.as_ref().map(tokens),
        sub: rule.sub.clone(),
        global_flags: parsed(&rule.global),
        flags: rule.flags.as_deref().map(parsed),
        deny_flags: parsed(&rule.denied),
        paths: rule.paths.then_some(PathAccess::Write),
    };
    ProgramRule {
        arguments,
        ..ProgramRule::any_arguments("git")
    }
}

fn allowed_by(one: &Rule, args: &[String]) -> bool {
    decided(vec![rule(one)], vec![], args)
}

fn denied_by(one: &Rule, args: &[String]) -> bool {
    !decided(
        vec![ProgramRule::any_arguments("git")],
        vec![rule(one)],
        args,
    )
}

fn decided(allow: Vec<ProgramRule>, deny: Vec<ProgramRule>, args: &[String]) -> bool {
    let grant = |host: &str, access| FsGrant {
        host: host.into(),
        kind: FsKind::Directory,
        guest: host.to_owned(),
        access,
        origin: Origin::Code,
    };
    let grants = Grants {
        mode: Mode::Production,
        exec: Some(ExecGrant {
            allow,
            deny,
            confinement: Confinement::Limits,
            ..ExecGrant::default()
        }),
        fs: vec![
            grant(reference::READ, FsAccess::Read),
            grant(reference::WRITE, FsAccess::ReadWrite),
        ],
        ..Grants::none(PluginId::new("notes").unwrap())
    };
    let paths = args
        .iter()
        .enumerate()
        .filter(|(_, arg)| arg.starts_with('/'));
    let arg_paths = paths.map(|(index, arg)| ArgPath {
        index,
        real: arg.into(),
        exists: reference::exists(arg),
    });
    let request = ExecRequest {
        args: args.to_vec(),
        arg_paths: arg_paths.collect(),
        ..ExecRequest::example("git", &[])
    };
    // A command with a NUL in it is none, whatever the rules say.
    let nul = args.iter().any(|arg| arg.contains('\0'));
    match decide(&grants, request) {
        Decision::Allow(_) => {
            assert!(!nul, "a NUL was allowed");
            planted(args)
        }
        Decision::Ask { .. } | Decision::Deny(_) => cfg!(feature = "planted") && !planted(args),
    }
}

/// Whether a decision is passed on as it is. The bug: a flag with an empty value turns it around.
fn planted(args: &[String]) -> bool {
    !cfg!(feature = "planted")
        || !args
            .iter()
            .any(|arg| arg.starts_with("--") && arg.len() > 4 && arg.ends_with('='))
}
