//! Rules by directory: what they are about, and what is said of it.

use std::path::PathBuf;

use portcullis_policy::{
    ArgumentRule, Code, ExecCeiling, ExecRequest, Found, Grants, Origin, Program, ProgramRef,
    ProgramRule, RuleId, Unfit,
};

use crate::support::{allowed, exec, grants, is_allowed, pattern, refused, rule};

fn any() -> ArgumentRule {
    ArgumentRule::default()
}

fn allow_bin() -> Grants {
    grants(vec![rule("/usr/bin/*", 3, any())], vec![])
}

/// A request for a program by a spelling, which leads to a file and was found in these directories.
fn request(spelled: &str, real: &str, dirs: &[&str]) -> ExecRequest {
    let parent = PathBuf::from(real).parent().unwrap().to_owned();
    let found = match ExecRequest::example("x", &[]).found {
        Program::Found(found) => Found {
            same_as: vec![ProgramRef::parse(spelled).unwrap()],
            path: real.into(),
            lies_in: vec![parent.clone()],
            denied_in: dirs.iter().map(PathBuf::from).chain([parent]).collect(),
            ..found
        },
        other => panic!("{other:?}"),
    };
    ExecRequest {
        program: ProgramRef::parse(spelled).unwrap(),
        found: Program::Found(found),
        ..ExecRequest::example("x", &[])
    }
}

#[test]
fn it_takes_the_path_in_the_directory_and_the_file_there() {
    let table = [
        ("/usr/bin/git", "/usr/bin/git", true),
        ("/usr//bin/git", "/usr/bin/git", true),
        ("/usr/bin/editor", "/usr/bin/vim", true),
        ("git", "/usr/bin/git", false),
        ("/bin/git", "/usr/bin/git", false),
        ("/usr/bin/../bin/git", "/usr/bin/git", false),
        ("/usr/bin/node", "/opt/node/bin/node", false),
        ("/usr/bin/deep/git", "/usr/bin/deep/git", false),
    ];
    for (spelled, real, expected) in table {
        let request = request(spelled, real, &[]);
        assert_eq!(
            is_allowed(&allow_bin(), request.clone()),
            expected,
            "{spelled}"
        );
        assert!(!is_allowed(&grants(vec![], vec![]), request), "{spelled}");
    }
}

#[test]
fn a_denial_takes_either() {
    let deny = || vec![rule("/usr/bin/*", 3, any())];
    let mut everything = grants(vec![], deny());
    exec(&mut everything).any_program = true;
    let named = |program: &str| grants(vec![rule(program, 1, any())], deny());
    for (spelled, real, dirs) in [
        ("/usr/bin/git", "/usr/bin/git", &[][..]),
        ("git", "/usr/bin/git", &[]),
        ("/bin/git", "/usr/bin/git", &[]),
        ("/usr/bin/node", "/opt/node", &[]),
        ("node", "/opt/node", &["/usr/bin"]),
        ("/usr/bin/../bin/git", "/usr/bin/git", &[]),
    ] {
        for grants in [&everything, &named(spelled)] {
            let denial = refused(grants, request(spelled, real, dirs));
            assert_eq!(denial.code, Code::ExecDenied, "{spelled}");
            assert_eq!(denial.rule.unwrap().1.to_string(), "policy.toml:3");
        }
    }
    allowed(&everything, request("/opt/git", "/opt/git", &[]));
    allowed(&named("git"), request("git", "/opt/git", &[]));
    let missing = ExecRequest {
        found: Program::Missing,
        ..request("/usr/bin/none", "/usr/bin/none", &[])
    };
    assert_eq!(refused(&everything, missing).code, Code::ExecDenied);
}

#[test]
fn a_denied_program_is_denied_under_its_other_names_in_a_directory() {
    let mut link = request("/usr/bin/alias", "/usr/bin/sh", &[]);
    if let Program::Found(found) = &mut link.found {
        found.same_as.push(ProgramRef::parse("sh").unwrap());
    }
    allowed(&allow_bin(), link.clone());
    let mut without_sh = allow_bin();
    exec(&mut without_sh).deny = vec![rule("sh", 4, any())];
    assert_eq!(refused(&without_sh, link).code, Code::ExecDenied);
}

#[test]
fn what_is_missing_or_unfit_is_told_of_its_own_programs_only() {
    let unfit = Program::Unfit {
        path: "/usr/bin/x".into(),
        why: Unfit::SetId,
    };
    for (found, code) in [
        (Program::Missing, Code::ExecNotFound),
        (unfit, Code::ExecUnfit),
    ] {
        for (spelled, code) in [
            ("/usr/bin/x", code),
            ("x", Code::ExecNoRule),
            ("/opt/x", Code::ExecNoRule),
        ] {
            let request = ExecRequest {
                found: found.clone(),
                ..request(spelled, "/usr/bin/x", &[])
            };
            assert_eq!(refused(&allow_bin(), request).code, code, "{spelled}");
        }
    }
}

#[test]
fn a_denial_says_what_the_rule_is_about_and_how_to_allow_exactly_this() {
    let notes = |spelled: &str, real: &str| {
        refused(&allow_bin(), request(spelled, real, &[])).notes[1].clone()
    };
    assert_eq!(
        notes("git", "/usr/bin/git"),
        "rule `/usr/bin/*@3` (policy.toml:3) is about `/usr/bin/*`: only by its path, `/usr/bin/git`, and not by a bare name"
    );
    assert_eq!(
        notes("/usr/bin/node", "/opt/node"),
        "rule `/usr/bin/*@3` (policy.toml:3) is about `/usr/bin/*`: only what lies in it, and the program is `/opt/node`"
    );
    let denial = refused(&allow_bin(), request("/usr/bin/node", "/opt/node", &[]));
    let command = denial.remedies[0].command.as_ref().unwrap();
    assert_eq!(command[3..], ["exec", "/usr/bin/node", "--args", "[]"]);
    // What would be read as a directory is no remedy for a file that is called so.
    let star = request("/opt/*", "/opt/*", &[]);
    assert!(refused(&allow_bin(), star.clone()).remedies.is_empty());
    assert_eq!(ProgramRule::exactly(&star, RuleId("x".to_owned())), None);
}

#[test]
fn arguments_and_what_is_taken_away_count_for_all_of_them() {
    let arguments = ArgumentRule {
        args: Some(pattern(&["--version"])),
        ..any()
    };
    let mut version = grants(vec![rule("/usr/bin/*", 3, arguments)], vec![]);
    exec(&mut version).allow[0].narrowing.stdin = Some(false);
    let git = |args: &[&str]| ExecRequest {
        args: args.iter().map(|&arg| arg.to_owned()).collect(),
        ..request("/usr/bin/git", "/usr/bin/git", &[])
    };
    allowed(&version, git(&["--version"]));
    assert_eq!(refused(&version, git(&["push"])).code, Code::ExecArguments);
    let input = ExecRequest {
        stdin: true,
        ..git(&["--version"])
    };
    assert_eq!(refused(&version, input).code, Code::ExecStdin);
}

#[test]
fn a_ceiling_leaves_what_lies_in_its_directory() {
    let mut everything = grants(vec![], vec![]);
    exec(&mut everything).any_program = true;
    exec(&mut everything).ceiling = Some(ExecCeiling {
        allow: vec![rule("/usr/bin/*", 7, any())],
        origin: Origin::Code,
    });
    allowed(&everything, request("/usr/bin/git", "/usr/bin/git", &[]));
    for (spelled, real) in [
        ("git", "/usr/bin/git"),
        ("/opt/git", "/opt/git"),
        ("/usr/bin/git", "/opt/git"),
    ] {
        let denial = refused(&everything, request(spelled, real, &[]));
        assert_eq!(denial.code, Code::ExecCeiling, "{spelled}");
    }
}
