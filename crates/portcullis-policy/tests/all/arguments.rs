//! The argument language, a table per form: `true` where the rule lets the arguments pass.

use portcullis_policy::{ArgumentRule, ExecRequest, ProgramRule};

use crate::support::{check, check_deny, flags, grants, pattern, refused, strings};

const HUGE: usize = 1024 * 1024;

/// The example of the design: read-only git.
fn read_only_git() -> ArgumentRule {
    ArgumentRule {
        sub: Some(strings(&["status", "diff", "log", "rev-parse", "ls-files"])),
        flags: Some(flags(&[
            "--stat",
            "--name-only",
            "--porcelain=*",
            "--oneline",
            "-n",
            "-n*",
            "--format=*",
            "--",
            "-s",
            "-b",
            "--author",
        ])),
        ..ArgumentRule::default()
    }
}

#[test]
fn sub_and_flags() {
    check(
        "sub + flags",
        &read_only_git(),
        &[
            (&["status"], true),
            (&["status", "--porcelain=v1"], true),
            (&["status", "--porcelain="], true),
            (&["status", "--porcelain"], false),
            (&["status", "--porcelain", "v1"], false),
            (&["status", "-sb"], true),
            (&["status", "-s", "-b"], true),
            (&["status", "-sx"], false),
            (&["status", "-sb="], false),
            (&["diff", "--stat"], true),
            (&["diff", "--stat=80"], false),
            (&["diff", "--ext"], false),
            (&["diff", "--ext-diff"], false),
            (&["diff", "--sta"], false),
            (&["diff", "--STAT"], false),
            (&["diff", "--stat", "HEAD~1", "HEAD"], true),
            (&["diff", "--output=/etc/x"], false),
            (&["diff", "--", "--ext-diff"], true),
            (&["diff", "-"], true),
            (&["diff", "--stat\n"], false),
            (&["diff", "--stat\u{0}"], false),
            (&["diff", "\u{2010}\u{2010}ext-diff"], true), // an operand for git too
            (&["diff", "\u{ff0d}c"], true),
            (&["log", "-n5"], true),
            (&["log", "-n", "5"], true),
            (&["log", "-5"], false),
            (&["log", "--format=%H\n%s"], true),
            (&["log", "--format", "%H"], false),
            (&["log", "--oneline", "--", "src"], true),
            (&["log", ""], true),
            (&["log", "-n", "--output=x"], false),
            // `--` after a flag that may take a value may be that value
            (&["log", "--author", "--", "--output=x"], false),
            (&["log", "--author", "--", "--", "--output=x"], true),
            (&["log", "--author", "x", "--", "--output=x"], true),
            (&["log", "--format=x", "--", "--output=x"], true),
            (&["push"], false),
            (&["Status"], false),
            (&["status "], false),
            (&["stat"], false),
            (&["ѕtatus"], false), // with a Cyrillic letter
            (&["", "status"], false),
            (&["-", "status"], false),
            (&[], false),
            (&["-c", "core.pager=x", "status"], false),
            (&["-C", "/etc", "status"], false),
            (&["--git-dir=/etc", "status"], false),
            (&["--exec-path=/tmp", "status"], false),
            (&["-p", "status"], false),
            (&["--", "status"], false),
        ],
    );
}

#[test]
fn sub_alone_leaves_flags_open_but_not_before_it() {
    let sub = ArgumentRule {
        sub: Some(strings(&["log"])),
        ..ArgumentRule::default()
    };
    check(
        "sub",
        &sub,
        &[
            (&["log"], true),
            (&["log", "--anything=x", "-z", "--", "y"], true),
            (&["log", "push"], true),
            (&["push", "log"], false),
            (&["-c", "x", "log"], false),
            (&["--no-pager", "log"], false),
        ],
    );
    let global = ArgumentRule {
        global_flags: flags(&["--no-pager", "-p", "-P"]),
        ..sub
    };
    check(
        "global flags",
        &global,
        &[
            (&["--no-pager", "log"], true),
            (&["-p", "log"], true),
            (&["-pP", "log"], true),
            (&["--no-pager", "-c", "x=y", "log"], false),
            (&["--no-pager=x", "log"], false),
            (&["--no-pag", "log"], false),
            (&["--no-pager", "push"], false),
            (&["--no-pager"], false),
            (&["log", "--no-pager"], true),
        ],
    );
}

#[test]
fn a_global_flag_with_a_separate_value_hides_the_sub_command() {
    // Documented at `global_flags`: the language does not know that `-C` takes `status` for its value.
    let rule = ArgumentRule {
        sub: Some(strings(&["status"])),
        global_flags: flags(&["-C"]),
        ..ArgumentRule::default()
    };
    check(
        "-C",
        &rule,
        &[
            (&["-C", "status", "push"], true),
            (&["-C", "/srv", "status"], false),
        ],
    );
}

#[test]
fn flags_without_sub() {
    let rule = ArgumentRule {
        flags: Some(flags(&["-l", "-a", "-w*", "--color=*"])),
        ..ArgumentRule::default()
    };
    check(
        "flags",
        &rule,
        &[
            (&[], true),
            (&["x", "y"], true),
            (&["-l", "x", "-a"], true),
            (&["-la"], true),
            (&["-al", "-w5"], true),
            (&["-law"], true),
            (&["-law5"], false),
            (&["-w"], true),
            (&["-wXYZ"], true),
            (&["--color=never"], true),
            (&["--color"], false),
            (&["--colour=never"], false),
            (&["-lz"], false),
            (&["-l=a"], false),
            (&["-l\u{301}"], false),
            (&["--"], false),
            (&["-"], true),
            (&["---"], false),
            (&["--", "-z"], false),
            (&["+x", "@file", "of=/dev/sda", "/x"], true), // operands, whatever a program makes of them
        ],
    );
    let none = ArgumentRule {
        flags: Some(vec![]),
        ..ArgumentRule::default()
    };
    check(
        "no flags",
        &none,
        &[
            (&["x"], true),
            (&["-x"], false),
            (&["--"], false),
            (&["x", "--y=z"], false),
        ],
    );
}

#[test]
fn deny_flags_guess_every_spelling() {
    let rule = ArgumentRule {
        deny_flags: flags(&["--force", "-o", "--exec=*", "-rf"]),
        ..ArgumentRule::default()
    };
    check(
        "deny_flags",
        &rule,
        &[
            (&[], true),
            (&["push"], true),
            (&["--all"], true),
            (&["--force"], false),
            (&["--force=x"], false),
            (&["--forc"], false),
            (&["--f"], false),
            (&["-force"], false),
            (&["-fo"], false),
            (&["-f"], true),
            (&["--force-with-lease"], true),
            (&["--fork"], true),
            (&["-o"], false),
            (&["-oVALUE"], false),
            (&["-xo"], false),
            (&["--o"], false),
            (&["-o=x"], false),
            (&["--exec"], false),
            (&["--exec=x"], false),
            (&["--ex", "x"], false),
            (&["-exec", "x"], false),
            (&["-rf"], false),
            (&["-fr"], false),
            (&["-rfv"], false),
            (&["-r"], true),
            (&["-n", "5"], true),
            (&["-"], true),
            (&["--"], true),
            (&["--", "--force"], false),
            (&["-m", "--", "--force"], false),
            (&["force", "o", "exec"], true),
            (&[""], true),
        ],
    );
}

#[test]
fn at_most_128_kib_of_arguments() {
    let any = ArgumentRule::default();
    let (fits, over, huge) = (
        "x".repeat(128 * 1024 - 1),
        "x".repeat(128 * 1024),
        "x".repeat(HUGE),
    );
    let many = vec![""; 128 * 1024 + 1];
    check(
        "size",
        &any,
        &[
            (&[&fits], true),
            (&[&over], false),
            (&[&huge], false),
            (&many[1..], true),
            (&many, false),
        ],
    );
    let over_the_limit = refused(
        &grants(vec![ProgramRule::any_arguments("git")], vec![]),
        ExecRequest::example("git", &[&huge]),
    );
    assert_eq!(
        over_the_limit.notes,
        ["its arguments are longer than 128 KiB together"]
    );
}

#[test]
fn deny_rules_find_what_they_name_anywhere() {
    let push = ArgumentRule {
        sub: Some(strings(&["push"])),
        ..ArgumentRule::default()
    };
    check_deny(
        "deny sub",
        &push,
        &[
            (&["push"], true),
            (&["-c", "x=y", "push"], true),
            (&["-C", "/srv", "--no-pager", "push", "origin"], true),
            (&["--", "push"], true),
            (&["status"], false),
            (&["pushed"], false),
            (&["--push"], false),
            (&[], false),
        ],
    );
    let force = ArgumentRule {
        flags: Some(flags(&["--force", "-f"])),
        ..push.clone()
    };
    check_deny(
        "deny sub + flags",
        &force,
        &[
            (&["push", "--force"], true),
            (&["--force", "push"], true),
            (&["push", "--forc"], true),
            (&["push", "-uf"], true),
            (&["push", "-o", "--", "--force"], true), // `--` may be the value of `-o`
            (&["push"], false),
            (&["push", "--follow-tags"], false),
            (&["fetch", "--force"], false),
        ],
    );
    let weak = ArgumentRule {
        deny_flags: flags(&["--force"]),
        ..ArgumentRule::default()
    };
    check_deny(
        "deny_flags of a deny rule",
        &weak,
        &[
            (&["push", "--force"], true),
            (&["push"], false),
            (&[], false),
        ],
    );
    let shell = ArgumentRule {
        args: Some(pattern(&["-c", "**"])),
        ..ArgumentRule::default()
    };
    check_deny(
        "deny args",
        &shell,
        &[
            (&["-c"], true),
            (&["-c", "x"], true),
            (&["x"], false),
            (&["x", "-c"], false),
        ],
    );
    let both = ArgumentRule {
        args: Some(pattern(&["origin", "**"])),
        ..push
    };
    check_deny(
        "deny sub + args",
        &both,
        &[
            (&["push", "origin"], true),
            (&["-v", "push", "origin", "x"], true),
            (&["push", "fork"], false),
            (&["origin"], false),
        ],
    );
    check_deny(
        "deny a program",
        &ArgumentRule::default(),
        &[(&[], true), (&["status"], true)],
    );
}
