//! The example runs: it prints the report of a real plugin about a real repository, and refuses what it did not grant.

#![expect(clippy::disallowed_methods, reason = "a test starts the example")]

use std::path::Path;
use std::process::{Command, Output};

fn embed(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_embed"))
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap()
}

fn git(dir: &Path, args: &[&str]) {
    let done = Command::new("git")
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn the_report_names_the_newest_commit() {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "-q"]);
    let me = [
        "-c",
        "user.name=author",
        "-c",
        "user.email=author@example.org",
    ];
    git(
        dir.path(),
        &[
            &me[..],
            &["commit", "-q", "--allow-empty", "-m", "A subject to find"],
        ]
        .concat(),
    );
    let plugin = Path::new(env!("CARGO_MANIFEST_DIR")).join("../repo-report/repo-report.wasm");
    let output = embed(dir.path(), &[plugin.to_str().unwrap()]);
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && report.contains("A subject to find"),
        "{output:?}"
    );
}

#[test]
fn what_was_not_granted_is_denied() {
    let dir = tempfile::tempdir().unwrap();
    let guest = portcullis_testkit::guest("exec-args");
    let output = embed(
        dir.path(),
        &[guest.to_str().unwrap(), "exec", "--", "git", "push"],
    );
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{output:?}");
    assert!(
        errors
            .contains("denied: plugin `embedded` may not run `/usr/bin/git` with these arguments"),
        "{errors}"
    );
}
