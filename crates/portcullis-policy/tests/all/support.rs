//! Policies and requests for the tests, written as an operator would write them.

use portcullis_policy::{
    ArgToken, ArgumentRule, Authorized, Confinement, Decision, Denial, ExecGrant, ExecRequest,
    FlagPattern, Grants, Mode, Origin, PluginId, ProgramRule, RuleId, decide,
};

/// Dev mode with unconfined children, so that the rules alone decide.
pub(crate) fn grants(allow: Vec<ProgramRule>, deny: Vec<ProgramRule>) -> Grants {
    let exec = ExecGrant {
        allow,
        deny,
        confinement: Confinement::Limits,
        ..ExecGrant::default()
    };
    Grants {
        mode: Mode::Dev,
        exec: Some(exec),
        ..Grants::none(PluginId::new("notes").unwrap())
    }
}

pub(crate) fn exec(grants: &mut Grants) -> &mut ExecGrant {
    grants.exec.as_mut().unwrap()
}

/// A rule at `policy.toml:<line>` with the id `<program>@<line>`.
pub(crate) fn rule(program: &str, line: usize, arguments: ArgumentRule) -> ProgramRule {
    ProgramRule {
        id: RuleId(format!("{program}@{line}")),
        origin: Origin::File {
            file: "policy.toml".into(),
            line,
            column: 1,
        },
        arguments,
        plugin_sha256: None,
        ..ProgramRule::any_arguments(program)
    }
}

pub(crate) fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

pub(crate) fn flags(patterns: &[&str]) -> Vec<FlagPattern> {
    patterns
        .iter()
        .map(|pattern| FlagPattern::parse(pattern).unwrap())
        .collect()
}

pub(crate) fn pattern(tokens: &[&str]) -> Vec<ArgToken> {
    tokens
        .iter()
        .map(|token| ArgToken::parse(token).unwrap())
        .collect()
}

pub(crate) fn allowed(grants: &Grants, request: ExecRequest) -> Authorized<ExecRequest> {
    match decide(grants, request) {
        Decision::Allow(authorized) => authorized,
        Decision::Ask { denial, .. } | Decision::Deny(denial) => panic!("refused: {denial:#?}"),
    }
}

pub(crate) fn refused(grants: &Grants, request: ExecRequest) -> Denial {
    match decide(grants, request) {
        Decision::Allow(authorized) => panic!("allowed: {authorized:#?}"),
        Decision::Ask { denial, .. } | Decision::Deny(denial) => *denial,
    }
}

pub(crate) fn is_allowed(grants: &Grants, request: ExecRequest) -> bool {
    matches!(decide(grants, request), Decision::Allow(_))
}

/// Checks a table of argument lists against one rule for `git`; every row is told in a failure.
pub(crate) fn check(title: &str, arguments: &ArgumentRule, rows: &[(&[&str], bool)]) {
    let grants = grants(vec![rule("git", 1, arguments.clone())], vec![]);
    let wrong: Vec<_> = rows
        .iter()
        .filter(|(args, wanted)| is_allowed(&grants, ExecRequest::example("git", args)) != *wanted)
        .collect();
    assert!(wrong.is_empty(), "{title}: expected otherwise: {wrong:?}");
}

/// Checks a table of argument lists against one deny rule beside `allow = ["git"]`; `true` means denied.
pub(crate) fn check_deny(title: &str, arguments: &ArgumentRule, rows: &[(&[&str], bool)]) {
    let grants = grants(
        vec![ProgramRule::any_arguments("git")],
        vec![rule("git", 1, arguments.clone())],
    );
    let wrong: Vec<_> = rows
        .iter()
        .filter(|(args, wanted)| is_allowed(&grants, ExecRequest::example("git", args)) == *wanted)
        .collect();
    assert!(wrong.is_empty(), "{title}: expected otherwise: {wrong:?}");
}
