//! The example plugin: what it asks git, what it makes of the answers, and that the committed component and a
//! rebuild answer alike.

use crate::host::{Answer, Request, Run, guest, root, run};
use std::path::PathBuf;

fn committed() -> PathBuf {
    root().join("examples/repo-report/repo-report.wasm")
}

/// A repository with two contributors and one changed file.
fn git(request: &Request) -> Answer {
    let stdout = match request.args[0].as_str() {
        "log" => "5f3c1b\nAda Lovelace\n2026-01-02T03:04:05+00:00\nAdd the gate\n",
        "shortlog" => "    40\tAda Lovelace\n     2\tCharles Babbage\n",
        "status" => " M src/lib.rs\n",
        other => panic!("git {other}"),
    };
    Ok((0, stdout.to_owned()))
}

fn both(args: &[&str], answer: fn(&Request) -> Answer) -> Run {
    let old = run(committed(), args, answer);
    let new = run(guest("repo-report"), args, answer);
    assert_eq!(
        (&old.result, &old.requests),
        (&new.result, &new.requests),
        "a rebuild behaves differently"
    );
    old
}

#[test]
fn the_report_names_the_newest_commit_and_counts_the_rest() {
    let ran = both(&[], git);
    let text = ran.ok();
    for part in [
        "5f3c1b",
        "Add the gate",
        "Ada Lovelace, 2026-01-02T03:04:05+00:00",
        "commits         42",
        "contributors    2",
        " M src/lib.rs",
    ] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
}

#[test]
fn the_commands_are_the_ones_the_policy_lists() {
    let lines: Vec<_> = both(&[], git)
        .requests
        .iter()
        .map(|r| format!("{} {}", r.program, r.args.join(" ")))
        .collect();
    assert_eq!(
        lines,
        [
            "git log --max-count=1 --format=%H%n%an%n%aI%n%s",
            "git shortlog --summary --numbered HEAD",
            "git status --porcelain",
        ]
    );
    let policy = std::fs::read_to_string(root().join("examples/portcullis.toml")).unwrap();
    for word in lines
        .iter()
        .flat_map(|line| line.split(' '))
        .filter(|word| word.starts_with('-'))
    {
        assert!(
            policy.contains(&format!("\"{word}\"")),
            "{word} is not in examples/portcullis.toml"
        );
    }
}

#[test]
fn a_directory_is_handed_to_every_command() {
    assert!(
        both(&["/repo"], git)
            .requests
            .iter()
            .all(|request| request.cwd.as_deref() == Some("/repo"))
    );
    assert_eq!(
        both(&["a", "b"], git).err(),
        "usage: repo-report [DIRECTORY]"
    );
}

#[test]
fn refusal_and_failure_name_the_command() {
    let refused = both(&[], |_| Err("denied".to_owned()));
    assert_eq!(refused.err(), "cannot run `git log`: denied");
    let failed = both(&[], |_| Ok((128, String::new())));
    assert_eq!(failed.err(), "`git log` failed with status 128: complaint");
}
