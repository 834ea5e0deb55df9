//! The same tests once more as an ordinary user, where they are run as root.

use libtest_mimic::{Failed, Trial};

use crate::{
    Case,
    fixture::{command, this_executable},
};

/// Runs this executable as a user without rights, and not as the overflow user 65534, whom a cell shows everybody as
/// that it has not mapped.
fn as_ordinary_user(arguments: &[&str]) -> std::process::Command {
    let mut run = command("setpriv");
    run.args([
        "--reuid",
        "61234",
        "--regid",
        "61234",
        "--clear-groups",
        "--",
    ]);
    run.arg(this_executable()).args(arguments).current_dir("/");
    run
}

/// One trial for each test; none if this is no root, skipped by name if an ordinary user cannot run it.
#[expect(clippy::print_stderr, reason = "what is skipped is said")]
pub(crate) fn trials(cases: &[Case]) -> Vec<Trial> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    let runs = as_ordinary_user(&["--list"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !runs {
        eprintln!("skipped: tests as an ordinary user, which cannot run this executable");
    }
    let names = cases.iter().map(|case| case.name.clone());
    names
        .map(|name| {
            let test = name.clone();
            let run = move || run_as_ordinary_user(&test);
            Trial::test(format!("unprivileged::{name}"), run).with_ignored_flag(!runs)
        })
        .collect()
}

fn run_as_ordinary_user(name: &str) -> Result<(), Failed> {
    let output = as_ordinary_user(&["--exact", name]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.success() && text.contains("1 passed") {
        Ok(())
    } else {
        Err(format!("{text}{}", String::from_utf8_lossy(&output.stderr)).into())
    }
}
