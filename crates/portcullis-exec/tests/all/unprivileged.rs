//! The same tests once more as an ordinary user, where they are run as root.

use libtest_mimic::{Failed, Trial};

use crate::Case;

/// Runs this executable as a user without rights, and not as the overflow user 65534, whom a cell shows everybody as
/// that it has not mapped.
#[expect(
    clippy::disallowed_methods,
    reason = "the tests' own processes are not commands"
)]
fn as_ordinary_user(arguments: &[&str]) -> std::process::Command {
    let mut run = std::process::Command::new("setpriv");
    run.args([
        "--reuid",
        "61234",
        "--regid",
        "61234",
        "--clear-groups",
        "--",
    ]);
    run.arg(std::env::current_exe().unwrap())
        .args(arguments)
        .current_dir("/");
    run
}

/// One trial for each test; none if this is not root, skipped by name if an ordinary user cannot run it.
pub(crate) fn trials(cases: &[Case]) -> Vec<Trial> {
    if !crate::fixture::is_root() {
        return Vec::new();
    }
    let runs = as_ordinary_user(&["--list"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !runs {
        eprintln!("skipped: tests as an ordinary user, which cannot run this executable");
    }
    let trial = |case: &Case| {
        let name = case.name.clone();
        let run = move || run(&name);
        Trial::test(format!("unprivileged::{}", case.name), run).with_ignored_flag(!runs)
    };
    cases.iter().map(trial).collect()
}

fn run(name: &str) -> Result<(), Failed> {
    let output = as_ordinary_user(&["--exact", name]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && text.contains("1 passed") {
        Ok(())
    } else {
        Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr)).into())
    }
}
