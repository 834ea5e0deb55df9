//! The file that runs is the one that was found on the policy's path and decided on.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;

use portcullis_exec::{ExecFailure, Status};
use portcullis_policy::{Code, ExecGrant, GuestError, Program, ProgramRef, ProgramRule};
use sha2::{Digest, Sha256};

use crate::fixture::{Plugin, Refused, ask, ask_path, executor, is_full, is_root};

crate::tests![
    found_in_the_order_of_the_policys_path,
    a_plugins_path_changes_nothing,
    never_in_the_working_directory,
    a_relative_path_is_malformed,
    relative_entries_of_the_path_are_not_used,
    an_absolute_path_runs_as_itself,
    another_file_of_the_same_name_is_another_program,
    a_name_and_a_path_of_one_file_are_one_program,
    a_link_to_a_denied_program_is_denied,
    not_found_is_told_only_after_a_rule_allowed_it,
    without_the_capability_nothing_is_looked_at,
    a_swap_after_the_decision_is_harmless,
    other_files_than_decided_on_are_refused,
    argv_0_is_the_requested_name,
    a_digest_that_matches,
    a_digest_that_does_not_match,
    content_changed_after_the_digest_does_not_run,
];

/// Tells a copy of the shell from anything else.
const EXIT_7: &[&str] = &["-c", "exit 7"];

/// A plugin with two directories: `a/tool` is a shell, `b/tool` is `false`.
fn two_tools() -> (Plugin, PathBuf, PathBuf) {
    let mut plugin = Plugin::new(&["tool"]);
    let dirs = (plugin.make_dir("a"), plugin.make_dir("b"));
    plugin.copy("/bin/sh", "a/tool");
    plugin.copy("/bin/false", "b/tool");
    plugin.exec().search_path = vec![dirs.0.clone(), dirs.1.clone()];
    (plugin, dirs.0, dirs.1)
}

async fn found_in_the_order_of_the_policys_path() {
    let (mut plugin, a, b) = two_tools();
    assert_eq!(
        plugin.run(ask("tool", EXIT_7)).await.status,
        Status::Exited(7)
    );
    plugin.exec().search_path = vec![b, a];
    assert_ne!(
        plugin.run(ask("tool", EXIT_7)).await.status,
        Status::Exited(7)
    );
}

async fn a_plugins_path_changes_nothing() {
    let (mut plugin, _, b) = two_tools();
    let mut tool = ask("tool", EXIT_7);
    tool.env = vec![("PATH".to_owned(), b.display().to_string())];
    assert_eq!(plugin.denial(&tool).0, Code::EnvDangerous);
    plugin.exec().allow_dangerous_env = vec!["PATH".to_owned()];
    assert_eq!(plugin.run(tool).await.status, Status::Exited(7));
}

async fn never_in_the_working_directory() {
    let plugin = Plugin::new(&["tool"]);
    plugin.copy("/bin/sh", "tool");
    let mut tool = ask("tool", EXIT_7);
    assert_eq!(plugin.denial(&tool).0, Code::ExecNotFound);
    tool.cwd = Some("/project".to_owned());
    assert_eq!(plugin.denial(&tool).0, Code::ExecNotFound);
}

async fn a_relative_path_is_malformed() {
    let mut plugin = Plugin::new(&["sh"]);
    plugin.exec().any_program = true;
    plugin.copy("/bin/sh", "tool");
    for program in [
        "./tool",
        "a/tool",
        "",
        ".",
        "..",
        "/",
        "/bin/",
        "sh\0",
        "../bin/sh",
    ] {
        let (code, note) = plugin.denial(&ask(program, EXIT_7));
        assert_eq!(code, Code::ExecInvalid, "{program:?}: {note}");
    }
    assert_eq!(
        plugin.run(ask("sh", EXIT_7)).await.status,
        Status::Exited(7)
    );
}

async fn relative_entries_of_the_path_are_not_used() {
    let (mut plugin, a, _) = two_tools();
    plugin.exec().search_path = vec![PathBuf::new(), ".".into(), "a".into()];
    assert_eq!(plugin.denial(&ask("tool", EXIT_7)).0, Code::ExecNotFound);
    plugin.exec().search_path.push(a);
    assert_eq!(
        plugin.run(ask("tool", EXIT_7)).await.status,
        Status::Exited(7)
    );
}

async fn an_absolute_path_runs_as_itself() {
    let mut plugin = Plugin::new(&[]);
    let tool = plugin.copy("/bin/sh", "tool");
    assert_eq!(plugin.denial(&ask_path(&tool, EXIT_7)).0, Code::ExecNoRule);
    plugin.exec().allow = vec![ProgramRule::any_arguments(tool.to_str().unwrap())];
    assert_eq!(
        plugin.run(ask_path(&tool, EXIT_7)).await.status,
        Status::Exited(7)
    );
}

async fn another_file_of_the_same_name_is_another_program() {
    let (plugin, a, b) = two_tools();
    assert_eq!(
        plugin.denial(&ask_path(&b.join("tool"), EXIT_7)).0,
        Code::ExecNoRule
    );
    let first = ask_path(&a.join("tool"), EXIT_7);
    assert_eq!(plugin.run(first).await.status, Status::Exited(7));
}

async fn a_name_and_a_path_of_one_file_are_one_program() {
    let (mut plugin, a, _) = two_tools();
    let dir = plugin.make_dir("links");
    std::os::unix::fs::symlink(a.join("tool"), dir.join("tool")).unwrap();
    let spelling = dir.join("tool").to_str().unwrap().to_owned();
    plugin.exec().allow = vec![ProgramRule::any_arguments(&spelling)];
    assert_eq!(
        plugin.run(ask("tool", EXIT_7)).await.status,
        Status::Exited(7)
    );
    let (request, _) = plugin.resolve(&ask("tool", EXIT_7));
    let Program::Found(found) = request.found else {
        panic!("{:?}", request.found)
    };
    assert_eq!(found.path, a.join("tool"), "the path is the file's own");
    assert_eq!(
        found.same_as,
        [
            ProgramRef::Name("tool".to_owned()),
            ProgramRef::Path(spelling.into()),
            ProgramRef::Path(a.join("tool")),
        ]
    );
}

async fn a_link_to_a_denied_program_is_denied() {
    let mut plugin = Plugin::new(&[]);
    let denied = plugin.copy("/bin/sh", "denied");
    let other = plugin.path("other");
    fs::hard_link(&denied, &other).unwrap();
    plugin.exec().any_program = true;
    assert_eq!(
        plugin.run(ask_path(&other, EXIT_7)).await.status,
        Status::Exited(7)
    );
    plugin.exec().deny = vec![ProgramRule::any_arguments(denied.to_str().unwrap())];
    assert_eq!(plugin.denial(&ask_path(&other, EXIT_7)).0, Code::ExecDenied);
}

async fn not_found_is_told_only_after_a_rule_allowed_it() {
    let plugin = Plugin::new(&["no-such-program"]);
    let guest = |program: &str| plugin.decide(&ask(program, &[])).unwrap_err().guest;
    assert_eq!(guest("no-such-program"), GuestError::NotFound);
    assert_eq!(guest("no-such-program-either"), GuestError::Denied);
    assert_eq!(guest("sh"), GuestError::Denied);
}

async fn without_the_capability_nothing_is_looked_at() {
    let mut plugin = Plugin::new(&["sh"]);
    assert!(matches!(
        plugin.resolve(&ask("sh", &[])).0.found,
        Program::Found(_)
    ));
    plugin.grants.exec = None;
    assert_eq!(plugin.resolve(&ask("sh", &[])).0.found, Program::Missing);
    assert_eq!(plugin.denial(&ask("sh", &[])).0, Code::ExecNotGranted);
}

async fn a_swap_after_the_decision_is_harmless() {
    let (plugin, a, b) = two_tools();
    let (authorized, opened) = plugin.decide(&ask("tool", EXIT_7)).unwrap();
    fs::rename(b.join("tool"), a.join("tool")).unwrap();
    let run = executor().run(authorized, opened, None, None, plugin.permit());
    match run.await {
        Ok(completed) if !is_full() => assert_eq!(completed.status, Status::Exited(7)),
        // A cell has a program at its path, and another lies there by now.
        Err(ExecFailure::Changed(path)) if is_full() => assert_eq!(path, a.join("tool")),
        other => panic!("{other:?}"),
    }
    assert_ne!(
        plugin.run(ask("tool", EXIT_7)).await.status,
        Status::Exited(7),
        "it was swapped"
    );
}

async fn other_files_than_decided_on_are_refused() {
    let plugin = Plugin::new(&["sh", "cat"]);
    plugin.make_dir("dir");
    let mut elsewhere = ask("sh", EXIT_7);
    elsewhere.cwd = Some("dir".to_owned());
    for other in [ask("cat", &[]), elsewhere, ask("no-such-program", &[])] {
        let (authorized, _) = plugin.decide(&ask("sh", EXIT_7)).unwrap();
        let (_, opened) = plugin.resolve(&other);
        let run = executor().run(authorized, opened, None, None, plugin.permit());
        assert!(
            matches!(run.await, Err(ExecFailure::NotDecided)),
            "{other:?}"
        );
    }
}

async fn argv_0_is_the_requested_name() {
    let (plugin, a, _) = two_tools();
    let print = "/bin/cat /proc/$$/cmdline";
    let output = plugin
        .output(ask_path(&a.join("tool"), &["-c", print]))
        .await;
    assert!(output.starts_with("tool\0-c\0"), "{output}");
}

/// A plugin whose rule names the digest of `tool`, a shell.
fn pinned(owner: Option<u32>) -> (Plugin, PathBuf) {
    let mut plugin = Plugin::new(&[]);
    let tool = plugin.copy("/bin/sh", "tool");
    if is_root() {
        chown(&tool, owner, None).unwrap();
    }
    let mut rule = ProgramRule::any_arguments(tool.to_str().unwrap());
    rule.sha256 = Some(Sha256::digest(fs::read(&tool).unwrap()).into());
    let search_path = ExecGrant::default().search_path;
    *plugin.exec() = ExecGrant {
        allow: vec![rule],
        search_path,
        ..plugin.exec().clone()
    };
    (plugin, tool)
}

/// A file that only root can change is hashed and run where it is, any other is copied: try both.
const OWNERS: [Option<u32>; 2] = [Some(0), Some(65534)];

async fn a_digest_that_matches() {
    for owner in OWNERS {
        let (plugin, tool) = pinned(owner);
        let completed = plugin
            .run(ask_path(&tool, &["-c", "echo out; exit 7"]))
            .await;
        assert_eq!(
            (completed.status, &completed.stdout[..]),
            (Status::Exited(7), &b"out\n"[..])
        );
    }
}

async fn a_digest_that_does_not_match() {
    for owner in OWNERS {
        let (mut plugin, tool) = pinned(owner);
        plugin.exec().allow[0].sha256 = Some([7; 32]);
        match plugin.try_run(ask_path(&tool, EXIT_7)).await {
            Err(Refused::Denied(denial)) => assert_eq!(denial.code, Code::ExecDigest),
            other => panic!("{other:?}"),
        }
    }
}

async fn content_changed_after_the_digest_does_not_run() {
    let (plugin, tool) = pinned(Some(65534));
    let (authorized, opened) = plugin.decide(&ask_path(&tool, EXIT_7)).unwrap();
    fs::copy("/bin/false", &tool).unwrap();
    let run = executor().run(authorized, opened, None, None, plugin.permit());
    assert_eq!(run.await.unwrap().status, Status::Exited(7));
    assert_eq!(plugin.denial(&ask_path(&tool, EXIT_7)).0, Code::ExecDigest);
}
