//! What is decided differently for plugins of Reglet: variables are left out and reported, and code in arguments has a grant
//! of its own.

use std::path::PathBuf;

use portcullis_policy::{
    ArgumentRule, Code, DropReason, Environment, ExecRequest, Grants, Program, ProgramRef,
    RegletGrant,
};

use crate::support::{allowed, exec, grants, is_allowed, pattern, refused, rule};

fn reglet(allow: &[(&str, ArgumentRule)], inline: &[&str]) -> Grants {
    let rules = allow
        .iter()
        .map(|(name, arguments)| rule(name, 1, arguments.clone()));
    let inline = inline.iter().map(|name| ProgramRef::parse(name).unwrap());
    Grants {
        reglet: Some(RegletGrant {
            inline_code: inline.collect(),
        }),
        ..grants(rules.collect(), vec![])
    }
}

fn any() -> ArgumentRule {
    ArgumentRule::default()
}

/// A program with its arguments.
type Line<'a> = (&'a str, &'a [&'a str]);

/// What becomes of variables that a plugin sets.
fn environment(grants: &Grants, set: &[(&str, &str)]) -> Environment {
    let set = set
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()));
    let request = ExecRequest {
        env: set.collect(),
        ..ExecRequest::example("git", &[])
    };
    allowed(grants, request).terms().environment.clone()
}

fn value<'a>(environment: &'a Environment, name: &str) -> Option<&'a str> {
    let mut vars = environment.vars.iter();
    vars.find(|(key, _)| key == name).map(|(_, value)| &**value)
}

#[test]
fn is_always_blocked_env() {
    let granted = reglet(&[("git", any())], &[]);
    for name in [
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "LD_AUDIT",
        "DYLD_INSERT_LIBRARIES",
        "DYLD_LIBRARY_PATH",
        "IFS",
        "LOCPATH",
        "BASH_ENV",
        "ENV",
        "ld_preload",
        "PYTHONSTARTUP",
        "NODE_OPTIONS",
        "RUBYLIB",
        "PERL5LIB",
        "LUA_PATH",
        "CDPATH",
        "PS4",
        "GCONV_PATH",
        "PERL5OPT",
    ] {
        let environment = environment(&granted, &[(name, "x"), ("SAFE", "1")]);
        assert_eq!(value(&environment, name), None, "{name}");
        assert_eq!(value(&environment, "SAFE"), Some("1"));
        let dropped = &environment.dropped[0];
        assert_eq!(
            (dropped.name.as_str(), dropped.reason),
            (name, DropReason::Dangerous)
        );
    }
    for name in ["TERM", "USER", "LANG", "APP_MODE", "TZ"] {
        let environment = environment(&granted, &[(name, "x")]);
        assert_eq!(value(&environment, name), Some("x"), "{name}");
        assert_eq!(environment.dropped, [], "{name}");
    }
}

#[test]
fn sanitize_env_with_and_without_a_grant() {
    let plain = reglet(&[("git", any())], &[]);
    let mut named = plain.clone();
    exec(&mut named).allow_dangerous_env = vec!["PATH".to_owned()];
    let set = [
        ("PATH", "/opt/bin"),
        ("A", "1"),
        ("", "x"),
        ("A B\u{1b}", "y"),
        ("A", "2"),
    ];
    let without = environment(&plain, &set);
    assert_eq!(
        value(&without, "PATH"),
        Some("/usr/local/bin:/usr/bin:/bin")
    );
    assert_eq!(value(&without, "A"), Some("2"), "of two the later wins");
    let dropped: Vec<_> = without
        .dropped
        .iter()
        .map(|dropped| (dropped.name.as_str(), dropped.reason))
        .collect();
    assert_eq!(
        dropped,
        [
            ("PATH", DropReason::Dangerous),
            ("", DropReason::Malformed),
            ("A B\\u{1b}", DropReason::Malformed),
        ]
    );
    assert_eq!(value(&environment(&named, &set), "PATH"), Some("/opt/bin"));
    let mut narrow = plain.clone();
    exec(&mut narrow).env_allow_prefixes = Some(vec!["TF_".to_owned()]);
    let environment = environment(&narrow, &[("TF_X", "1"), ("OTHER", "2")]);
    assert_eq!(value(&environment, "TF_X"), Some("1"));
    assert_eq!(environment.dropped[0].reason, DropReason::NotAllowed);
    // Nobody reads a thousand names: what is too long in all is refused as everywhere.
    let long = "x".repeat(65 * 1024);
    let request = ExecRequest {
        env: vec![("A".to_owned(), long)],
        ..ExecRequest::example("git", &[])
    };
    assert_eq!(refused(&plain, request).code, Code::ExecInvalid);
}

#[test]
fn the_same_variables_are_refused_in_every_other_world() {
    let other = Grants {
        reglet: None,
        ..reglet(&[("git", any())], &[])
    };
    let request = ExecRequest {
        env: vec![("LD_PRELOAD".to_owned(), "x".to_owned())],
        ..ExecRequest::example("git", &[])
    };
    assert_eq!(refused(&other, request).code, Code::EnvDangerous);
}

#[test]
fn code_in_arguments_has_a_grant_of_its_own() {
    let exact = ArgumentRule {
        args: Some(pattern(&["-c", "print(1)"])),
        ..any()
    };
    let shell = ("sh", &["-c", "id"][..]);
    let python = ("python3", &["-c", "print(1)"][..]);
    let grep = ("grep", &["-e", "x"][..]);
    let table: [(&str, Grants, Line<'_>, bool); 12] = [
        (
            "a rule names the shell",
            reglet(&[("sh", any())], &[]),
            shell,
            true,
        ),
        (
            "a shell without arguments",
            reglet(&[("sh", any())], &[]),
            ("sh", &[]),
            true,
        ),
        (
            "a rule names the interpreter only",
            reglet(&[("python3", any())], &[]),
            python,
            false,
        ),
        (
            "its script is no code",
            reglet(&[("python3", any())], &[]),
            ("python3", &["a.py"]),
            true,
        ),
        (
            "its code is granted",
            reglet(&[("python3", any())], &["python3"]),
            python,
            true,
        ),
        (
            "that of another is",
            reglet(&[("python3", any())], &["perl"]),
            python,
            false,
        ),
        (
            "the rule says which arguments",
            reglet(&[("python3", exact)], &[]),
            python,
            true,
        ),
        (
            "a rule names what is only suspicious",
            reglet(&[("grep", any())], &[]),
            grep,
            true,
        ),
        (
            "code alone allows no program",
            reglet(&[], &["python3"]),
            python,
            false,
        ),
        (
            "a shell behind another program",
            reglet(&[("env", any())], &[]),
            ("env", &["sh", "-c", "x"]),
            false,
        ),
        (
            "and that is granted",
            reglet(&[("env", any())], &["env"]),
            ("env", &["sh", "-c", "x"]),
            true,
        ),
        (
            "by its path",
            reglet(&[("python3", any())], &["/usr/bin/python3"]),
            python,
            true,
        ),
    ];
    for (title, grants, (program, args), expected) in table {
        assert_eq!(
            is_allowed(&grants, ExecRequest::example(program, args)),
            expected,
            "{title}"
        );
    }
    let mut anything = reglet(&[], &[]);
    exec(&mut anything).any_program = true;
    for (program, args) in [shell, python, grep] {
        let denial = refused(&anything, ExecRequest::example(program, args));
        assert_eq!(denial.code, Code::ExecInlineCode, "{program}");
    }
    assert!(is_allowed(&anything, ExecRequest::example("ls", &["-l"])));
    let in_bin = |args: &[&str], program: &str| {
        let mut request = ExecRequest::example(program, args);
        let path = PathBuf::from("/usr/bin").join(program);
        if let Program::Found(found) = &mut request.found {
            found.lies_in.push("/usr/bin".into());
        }
        request.program = ProgramRef::Path(path);
        request
    };
    let all_of_bin = reglet(&[("/usr/bin/*", any())], &["perl"]);
    for (program, args) in [shell, python, grep] {
        let denial = refused(&all_of_bin, in_bin(args, program));
        assert_eq!(denial.code, Code::ExecInlineCode, "{program}");
    }
    let python_c = ArgumentRule {
        args: Some(pattern(&["-c", "**"])),
        ..any()
    };
    let denial = refused(
        &reglet(&[("/usr/bin/*", python_c)], &[]),
        in_bin(python.1, python.0),
    );
    assert_eq!(
        denial.code,
        Code::ExecInlineCode,
        "no directory says which code is whose"
    );
    for (program, args) in [("ls", &["-l"][..]), ("sh", &[]), ("perl", &["-e", "1"])] {
        assert!(is_allowed(&all_of_bin, in_bin(args, program)), "{program}");
    }
    let other = Grants {
        reglet: None,
        ..anything
    };
    assert!(
        is_allowed(&other, ExecRequest::example("sh", &["-c", "id"])),
        "in other worlds it has none"
    );
}
