//! Patterns for whole argument lists and paths: `true` where the rule lets the arguments pass.

use std::path::Path;

use portcullis_policy::{
    ArgPath, ArgToken, ArgumentRule, ExecRequest, FlagPattern, FsAccess, FsGrant, Origin,
    PathAccess, ProgramRule,
};

use crate::support::{check, flags, grants, is_allowed, pattern, rule, strings};

#[test]
fn whole_patterns() {
    let token = |text: &str| ArgumentRule {
        args: Some(pattern(&[text])),
        ..ArgumentRule::default()
    };
    check(
        "literal",
        &token("status"),
        &[
            (&["status"], true),
            (&["statu"], false),
            (&["status", "x"], false),
            (&[], false),
        ],
    );
    check(
        "a|b",
        &token("add|rm"),
        &[
            (&["add"], true),
            (&["rm"], true),
            (&["add|rm"], false),
            (&["a"], false),
        ],
    );
    check(
        "escapes",
        &token(r"\*\|\?\\"),
        &[
            (&[r"*|?\"], true),
            (&["*"], false),
            (&["x|?\\"], false),
            (&[r"\*\|\?\\"], false),
        ],
    );
    check(
        "empty literal",
        &token(""),
        &[(&[""], true), (&[], false), (&[" "], false)],
    );
    check(
        "*",
        &token("*"),
        &[
            (&["x"], true),
            (&[""], true),
            (&["a b\nc"], true),
            (&["ü"], true),
            (&["/etc/passwd"], true),
            (&["-x"], false),
            (&["-"], false),
            (&["--"], false),
            (&["x", "y"], false),
            (&[], false),
        ],
    );
    check(
        "**",
        &token("**"),
        &[(&[], true), (&["-x", "--", "", "y"], true)],
    );
    check(
        "<int>",
        &token("<int>"),
        &[
            (&["0"], true),
            (&["0123456789012345678901234567890"], true),
            (&["-1"], false),
            (&["+1"], false),
            (&["1.0"], false),
            (&["0x1"], false),
            (&["1 "], false),
            (&["٣"], false),
            (&[""], false),
        ],
    );
    check(
        "<word>",
        &token("<word>"),
        &[
            (&["a-b_c.d/e"], true),
            (&["../x"], true),
            (&["-a"], false),
            (&["a b"], false),
            (&["a\n"], false),
            (&["a=b"], false),
            (&["$x"], false),
            (&["ä"], false),
            (&["аpple"], false),
            (&[""], false),
        ],
    );
}

#[test]
fn optional_tokens_and_any_rest() {
    let args = |tokens: &[&str]| ArgumentRule {
        args: Some(pattern(tokens)),
        ..ArgumentRule::default()
    };
    check(
        "curl",
        &args(&["-sS", "-f?", "<url:https://api.example.com/**>"]),
        &[
            (&["-sS", "https://api.example.com/x"], true),
            (&["-sS", "-f", "https://api.example.com/x"], true),
            (&["-sS", "-f", "-f", "https://api.example.com/x"], false),
            (&["-Ss", "https://api.example.com/x"], false),
            (&["-sS", "-o", "https://api.example.com/x"], false),
            (&["https://api.example.com/x", "-sS"], false),
            (&["-sS"], false),
            (&[], false),
        ],
    );
    check(
        "two optional words, then one that is needed",
        &args(&["*?", "*?", "x"]),
        &[
            (&["x"], true),
            (&["x", "x"], true),
            (&["a", "b", "x"], true),
            (&["a", "b"], false),
            (&["a", "b", "c", "x"], false),
        ],
    );
    check(
        "log **",
        &args(&["log", "**"]),
        &[
            (&["log"], true),
            (&["log", "--all", "-p"], true),
            (&["-c", "x", "log"], false),
            (&["push"], false),
        ],
    );
    // Policy files refuse this place for `**`; a policy from code still gets what it says.
    check(
        "** in the middle",
        &args(&["a", "**", "z"]),
        &[
            (&["a", "z"], true),
            (&["a", "-x", "y", "z"], true),
            (&["a", "z", "y"], false),
            (&["a"], false),
        ],
    );
}

#[test]
fn parts_of_a_rule_narrow_each_other() {
    let both = ArgumentRule {
        sub: Some(strings(&["fmt", "validate"])),
        args: Some(pattern(&["-check?", "-json?", "**"])),
        flags: Some(flags(&["-check", "-json"])),
        ..ArgumentRule::default()
    };
    check(
        "sub + args + flags",
        &both,
        &[
            (&["fmt"], true),
            (&["fmt", "-check", "x"], true),
            (&["validate", "-json"], true),
            (&["fmt", "-write"], false),
            (&["destroy", "-check"], false),
            (&["-check"], false),
            (&["-check", "fmt"], false),
            (&[], false),
        ],
    );
}

#[test]
fn the_work_is_bounded_whatever_the_pattern() {
    let args = Some(
        pattern(&vec!["*?"; 60])
            .into_iter()
            .chain(pattern(&["end"]))
            .collect(),
    );
    let rule = ArgumentRule {
        args,
        ..ArgumentRule::default()
    };
    let many = vec!["x"; 59];
    check(
        "60 optional tokens",
        &rule,
        &[(&many, false), (&["end"], true)],
    );
    let rests = ArgumentRule {
        args: Some(pattern(&["**"; 20])),
        ..ArgumentRule::default()
    };
    check("20 times **", &rests, &[(&vec![""; 60_000], true)]);
}

#[test]
fn patterns_without_meaning_are_refused() {
    for bad in [
        "", "x", "-", "-*", "--*", "*", "--a*b", "-a*b*", "--ex*", "--stat*",
    ] {
        assert!(FlagPattern::parse(bad).is_err(), "{bad}");
    }
    for good in ["-n", "-n*", "--x", "--x=*", "--", "-name", "-O*", "--x=y"] {
        assert!(FlagPattern::parse(good).is_ok(), "{good}");
    }
    for bad in [
        "?", "**?", "x??", "<x>", "<>", "<INT>", "a|", "|a", "a||b", "a*", "***", "a\\",
    ] {
        assert!(ArgToken::parse(bad).is_err(), "{bad}");
    }
    for good in [
        "", "x", "x?", "x\\?", "x\\??", "*?", "<int>?", "a|b?", "\\<int>", "<", "a?b",
    ] {
        assert!(ArgToken::parse(good).is_ok(), "{good}");
    }
}

fn fs(host: &str, access: FsAccess) -> FsGrant {
    FsGrant {
        host: host.into(),
        kind: portcullis_policy::FsKind::Directory,
        guest: "/".to_owned(),
        access,
        origin: Origin::Code,
    }
}

fn path(index: usize, real: &str, exists: bool) -> ArgPath {
    ArgPath {
        index,
        real: Path::new(real).to_owned(),
        exists,
    }
}

#[test]
fn paths_lie_in_granted_directories() {
    type Row<'a> = (&'a str, &'a [&'a str], &'a [ArgPath], bool);
    let read = ArgumentRule {
        paths: Some(PathAccess::Read),
        ..ArgumentRule::default()
    };
    let write = ArgumentRule {
        paths: Some(PathAccess::Write),
        ..ArgumentRule::default()
    };
    let token = |text: &str| ArgumentRule {
        args: Some(pattern(&["x", text])),
        ..ArgumentRule::default()
    };
    let after_sub = ArgumentRule {
        sub: Some(strings(&["x"])),
        args: Some(pattern(&["<read>"])),
        ..ArgumentRule::default()
    };
    let rows = |rule: &ArgumentRule, rows: &[Row<'_>]| {
        for (title, args, paths, wanted) in rows {
            let mut grants = grants(vec![rule_for_git(rule)], vec![]);
            grants.fs = vec![
                fs("/srv/ro", FsAccess::Read),
                fs("/srv/rw", FsAccess::ReadWrite),
            ];
            let request = ExecRequest {
                arg_paths: paths.to_vec(),
                ..ExecRequest::example("git", args)
            };
            assert_eq!(
                is_allowed(&grants, request),
                *wanted,
                "{title} under {rule:?}"
            );
        }
    };
    rows(
        &read,
        &[
            ("no path", &["x"], &[], true),
            ("read", &["/srv/ro/a"], &[path(0, "/srv/ro/a", true)], true),
            (
                "the directory",
                &["/srv/ro"],
                &[path(0, "/srv/ro", true)],
                true,
            ),
            (
                "not there",
                &["/srv/ro/a"],
                &[path(0, "/srv/ro/a", false)],
                true,
            ),
            ("beside", &["/srv/rox"], &[path(0, "/srv/rox", true)], false),
            ("above", &["/srv"], &[path(0, "/srv", true)], false),
            (
                "one of two",
                &["a", "b"],
                &[path(0, "/srv/ro/a", true), path(1, "/etc/b", true)],
                false,
            ),
            (
                "in a value",
                &["--x=/etc/b"],
                &[path(0, "/etc/b", true)],
                false,
            ),
            (
                "unresolved",
                &["/srv/ro/../../etc"],
                &[path(0, "/srv/ro/../../etc", false)],
                false,
            ),
            ("relative", &["a"], &[path(0, "srv/ro/a", false)], false),
        ],
    );
    rows(
        &write,
        &[
            ("write", &["/srv/rw/a"], &[path(0, "/srv/rw/a", true)], true),
            (
                "read only",
                &["/srv/ro/a"],
                &[path(0, "/srv/ro/a", true)],
                false,
            ),
        ],
    );
    let there = path(1, "/srv/rw/a", true);
    let new = path(1, "/srv/rw/a", false);
    let flag = path(1, "/srv/rw/-a", true);
    let read_only = path(1, "/srv/ro/a", true);
    for (text, [existing, fresh, ro]) in [
        ("<read>", [true, false, true]),
        ("<write>", [true, true, false]),
        ("<new>", [false, true, false]),
    ] {
        rows(
            &token(text),
            &[
                (text, &["x", "a"], std::slice::from_ref(&there), existing),
                ("new", &["x", "a"], std::slice::from_ref(&new), fresh),
                (
                    "read only",
                    &["x", "a"],
                    std::slice::from_ref(&read_only),
                    ro,
                ),
                ("flag", &["x", "-a"], std::slice::from_ref(&flag), false),
                ("not resolved", &["x", "a"], &[], false),
                (
                    "of another argument",
                    &["x", "a"],
                    &[path(0, "/srv/rw/a", true)],
                    false,
                ),
            ],
        );
    }
    rows(
        &after_sub,
        &[("counted from the program", &["x", "a"], &[there], true)],
    );
}

fn rule_for_git(arguments: &ArgumentRule) -> ProgramRule {
    rule("git", 1, arguments.clone())
}
