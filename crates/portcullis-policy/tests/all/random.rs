//! Random policies and requests over a small alphabet, chosen so that both answers are common, and their form as real
//! grants and requests.

use std::path::PathBuf;
use std::time::Duration;

use portcullis_policy::{
    ArgumentRule, ExecRequest, FileId, Found, Grants, Origin, Program, ProgramRef, ProgramRule,
    RuleId,
};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::reference::{Asked, Line, Policy, all_of, directory, file};
use crate::support::{exec, flags, grants, pattern, strings};

const FLAGS: &[&str] = &[
    "-s",
    "-b",
    "-n",
    "-n*",
    "--stat",
    "--format=*",
    "--force",
    "--",
];
const TOKENS: &[&str] = &[
    "status",
    "log",
    "push",
    "x",
    "5",
    "",
    "-",
    "--",
    "-s",
    "-b",
    "-sb",
    "-sx",
    "-n",
    "-n5",
    "--stat",
    "--sta",
    "--format=a",
    "--force",
    "--forc",
];
const PATTERN: &[&str] = &[
    "status",
    "log",
    "status|log",
    "*",
    "*?",
    "x?",
    "<int>?",
    "-s?",
    "--stat?",
    "--?",
];
const PROGRAMS: &[&str] = &[
    "git",
    "git",
    "git",
    "git",
    "git",
    "/usr/bin/git",
    "/usr/bin/git",
    "/opt/git",
    "sh",
    "ls",
    "/usr/bin/ls",
    "gone",
    "/usr/bin/gone",
];
/// What a line may be about besides.
const DIRECTORIES: &[&str] = &["/usr/bin/*", "/usr/bin/*", "/opt/*", "/bin/*"];

fn args_pattern() -> impl Strategy<Value = Vec<&'static str>> {
    (vec(select(PATTERN), 0..4), any::<bool>()).prop_map(|(mut tokens, rest)| {
        if rest {
            tokens.push("**");
        }
        tokens
    })
}

prop_compose! {
    pub(crate) fn line()(
        id in 0..6_u8,
        program in prop_oneof![4 => select(PROGRAMS), 1 => select(DIRECTORIES)],
        sub in weighted(0.4, subsequence(vec!["status", "log", "push"], 1..=3)),
        global in prop_oneof![3 => Just(vec![]), 1 => Just(vec!["-b", "--stat"])],
        flags in weighted(0.4, subsequence(FLAGS.to_vec(), 0..=8)),
        args in weighted(0.2, args_pattern()),
        timeout in weighted(0.3, 1..60_u64),
        stdin in weighted(0.3, any::<bool>()),
    ) -> Line {
        Line { id: format!("rule-{id}"), program, sub, global, flags, args, timeout, stdin }
    }
}

pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    (
        prop::bool::weighted(0.15),
        vec(line(), 1..6),
        vec(line(), 0..2),
    )
        .prop_map(|(any, allow, deny)| Policy { any, allow, deny })
}

prop_compose! {
    pub(crate) fn asked()(
        program in select(PROGRAMS),
        sub in weighted(0.7, select(&["status", "log", "push"][..])),
        rest in vec(select(TOKENS), 0..4),
        stdin in prop::bool::weighted(0.3),
    ) -> Asked {
        Asked { program, args: sub.into_iter().chain(rest).collect(), stdin }
    }
}

pub(crate) fn to_rule(line: &Line) -> ProgramRule {
    let mut rule = ProgramRule::any_arguments(line.program);
    rule.id = RuleId(line.id.clone());
    // Two rules of one name may come from two places.
    rule.origin = Origin::Flag {
        flag: format!("{:?}", line.flags),
    };
    rule.arguments = ArgumentRule {
        args: line.args.as_deref().map(pattern),
        sub: line.sub.as_deref().map(strings),
        global_flags: flags(&line.global),
        flags: line.flags.as_deref().map(flags),
        ..ArgumentRule::default()
    };
    rule.narrowing.timeout = line.timeout.map(Duration::from_secs);
    rule.narrowing.stdin = line.stdin;
    rule
}

pub(crate) fn to_grants(policy: &Policy) -> Grants {
    let mut grants = grants(
        policy.allow.iter().map(to_rule).collect(),
        policy.deny.iter().map(to_rule).collect(),
    );
    exec(&mut grants).any_program = policy.any;
    grants
}

/// The directories of lines that hold one of these paths.
fn directories(lines: &[Line], paths: &[&str]) -> Vec<PathBuf> {
    let holds = |dir: &&str| paths.iter().any(|path| directory(path) == Some(dir));
    let dirs = lines.iter().filter_map(all_of).filter(holds);
    dirs.map(PathBuf::from).collect()
}

/// The request as the host would resolve it for this policy.
pub(crate) fn to_request(policy: &Policy, asked: &Asked) -> ExecRequest {
    let spelled = |line: &Line| ProgramRef::parse(line.program).unwrap();
    let found = match file(asked.program) {
        None => Program::Missing,
        Some(path) => Program::Found(Found {
            lies_in: directories(&policy.allow, &[path]),
            denied_in: directories(&policy.deny, &[path, asked.program]),
            path: path.into(),
            file: FileId {
                dev: 1,
                ino: path.len() as u64,
            },
            same_as: policy
                .allow
                .iter()
                .chain(&policy.deny)
                .filter(|line| file(line.program) == Some(path))
                .map(spelled)
                .collect(),
            sha256: None,
            interpreter: None,
        }),
    };
    ExecRequest {
        program: ProgramRef::parse(asked.program).unwrap(),
        found,
        args: strings(&asked.args),
        stdin: asked.stdin,
        ..ExecRequest::example("any", &[])
    }
}
