//! `cargo xtask test`: everything that must hold before a change lands, cheapest first, the tests last.

use crate::skips::{Skips, entries};
use crate::tally::Tally;
use crate::{
    Options, arrows, book, c, check, clawft, dual_use, go_sdk, guests, ordinary, rebuild,
    script_sdks, shell,
};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Command;

/// The test binaries without which a green result means nothing, one a line; `#` begins a comment.
const MUST_RUN: &str = "xtask/must-run.txt";

/// A test executable.
#[derive(Debug)]
pub(crate) struct TestBinary {
    pub(crate) package: String,
    /// `<package> <target>`.
    pub(crate) label: String,
    pub(crate) path: PathBuf,
}

/// Runs all steps, each to its end, and prints the sum.
///
/// # Errors
/// A step or a test failed, a skip was not expected, or a binary that must run did not.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut skips = Skips::default();
    let mut faults = Vec::new();
    let mut step = |name: &str, result: Result<()>| {
        if let Err(error) = result {
            eprintln!("error: {name}: {error:#}");
            faults.push(format!("{name}: {error:#}"));
        }
    };
    step("format", check::format(options, &mut skips));
    step("arrows", arrows::check());
    step("table of clawft", clawft::check());
    step("lints", check::lints(options, &mut skips));
    step("docs", check::docs());
    step("book", book::build(&mut skips));
    step("Go SDK", go_sdk::check(&mut skips));
    step("SDKs of scripts", script_sdks::check(&mut skips));
    step("C SDK", c::check(&mut skips));
    let mut tally = Tally::default();
    step(
        "guests",
        guests::run(options, &mut skips).and_then(|()| rebuild::check()),
    );
    step("tests of guests", guests::unit_tests(options, &mut tally));
    step("programs", dual_use::install(options));
    match build(&[]) {
        Ok(binaries) => {
            // First, so that the output ends with the test runner's own closing lines.
            step(
                "ordinary user",
                ordinary::run(options, &binaries, &mut tally, &mut skips),
            );
            // Before the tests, which put the ordinary binary back into its place.
            step("layers", layers(&mut tally));
            step("tests", tests(&[], &binaries, &mut tally));
            step("must run", must_run(&tally));
        }
        Err(error) => step("tests", Err(error)),
    }
    skips.extend(std::mem::take(&mut tally.skipped));
    step("skips", skips.settle(options.ci));

    skips.print();
    tally.print_failures();
    for fault in &faults {
        println!("failed: {fault}");
    }
    println!(
        "{} passed, {} failed, {} skipped",
        tally.passed,
        tally.failed,
        skips.count()
    );
    if !faults.is_empty() || tally.failed > 0 {
        bail!("not everything passed");
    }
    Ok(())
}

/// Builds all tests of the workspace, or those that `selection` leaves, and returns their executables.
///
/// # Errors
/// The code does not compile.
pub(crate) fn build(selection: &[&str]) -> Result<Vec<TestBinary>> {
    let mut cargo = shell::cargo();
    cargo.args(["test", "--workspace"]).args(selection).args([
        "--no-run",
        "--message-format",
        "json-render-diagnostics",
    ]);
    shell::show(&cargo);
    executables(&shell::output(&mut cargo)?)
}

fn executables(messages: &str) -> Result<Vec<TestBinary>> {
    let mut found = Vec::new();
    for line in messages.lines() {
        let message: serde_json::Value =
            serde_json::from_str(line).context("cannot read a message of cargo")?;
        let (Some(path), Some(target), Some(manifest)) = (
            message["executable"].as_str(),
            message["target"]["name"].as_str(),
            message["manifest_path"].as_str(),
        ) else {
            continue;
        };
        if message["profile"]["test"] != true {
            continue;
        }
        let package = package_name(manifest)?;
        found.push(TestBinary {
            label: format!("{package} {target}"),
            package,
            path: path.into(),
        });
    }
    Ok(found)
}

fn package_name(manifest: &str) -> Result<String> {
    let text = fs::read_to_string(manifest).with_context(|| format!("cannot read {manifest}"))?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    Ok(name
        .with_context(|| format!("{manifest} names no package"))?
        .to_owned())
}

/// Runs the test that leaves out one layer of the wall after the other, in a build that can: some of our own crates
/// are compiled a second time, nothing else.
fn layers(tally: &mut Tally) -> Result<()> {
    const SELECTION: [&str; 4] = [
        "--features",
        "portcullis-cli/ablation",
        "--test",
        "ablation",
    ];
    let binaries = build(&SELECTION)?;
    let mut cargo = shell::cargo();
    cargo
        .args(["test", "--workspace"])
        .args(SELECTION)
        .args(["--", "--show-output"]);
    follow(&mut cargo, &binaries, tally)
}

/// Runs `cargo test --workspace`, passes its output on and reads it into the tally. `filter` goes to the
/// test binaries.
///
/// # Errors
/// A test failed or cargo did.
pub(crate) fn tests(filter: &[&str], binaries: &[TestBinary], tally: &mut Tally) -> Result<()> {
    let mut cargo = shell::cargo();
    cargo
        .args([
            "test",
            "--workspace",
            "--no-fail-fast",
            "--",
            "--show-output",
        ])
        .args(filter);
    follow(&mut cargo, binaries, tally)
}

/// Runs a command with both its streams in one pipe, so that headings and results keep their order.
///
/// # Errors
/// The command cannot be started or does not succeed.
pub(crate) fn follow(
    command: &mut Command,
    binaries: &[TestBinary],
    tally: &mut Tally,
) -> Result<()> {
    let names: BTreeMap<_, _> = binaries
        .iter()
        .filter_map(|binary| {
            Some((
                binary.path.file_name()?.to_string_lossy().into_owned(),
                binary.label.clone(),
            ))
        })
        .collect();
    let line = shell::show(command);
    let (reader, writer) = std::io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start {line}"))?;
    // The command keeps the pipe's writing ends; without this there would never be an end of file.
    command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    for text in BufReader::new(reader).split(b'\n') {
        let text = text?;
        let text = String::from_utf8_lossy(&text);
        println!("{text}");
        tally.read(&text, &names);
    }
    let status = child.wait()?;
    tally.finish();
    if !status.success() {
        bail!("{line}: {status}");
    }
    Ok(())
}

/// Holds what ran against the committed list.
fn must_run(tally: &Tally) -> Result<()> {
    let list = fs::read_to_string(shell::root().join(MUST_RUN))
        .with_context(|| format!("cannot read {MUST_RUN}"))?;
    let missing: Vec<_> = entries(&list)
        .into_iter()
        .filter(|label| !tally.ran.contains(*label))
        .collect();
    if !missing.is_empty() {
        bail!(
            "did not run, but {MUST_RUN} says they must: {}",
            missing.join(", ")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests_of_test {
    use super::*;

    #[test]
    fn executables_are_named_after_package_and_target() {
        let manifest = shell::root().join("xtask/Cargo.toml");
        let message = |test: bool| {
            serde_json::json!({
                "reason": "compiler-artifact", "executable": "/t/all-1f", "target": { "name": "all" },
                "manifest_path": manifest, "profile": { "test": test },
            })
        };
        let found = executables(&format!("{}\n{}", message(true), message(false))).unwrap();
        assert_eq!(
            found
                .iter()
                .map(|binary| binary.label.as_str())
                .collect::<Vec<_>>(),
            ["xtask all"]
        );
    }

    #[test]
    fn a_followed_command_is_read_and_its_failure_is_an_error() {
        let mut tally = Tally::default();
        let script = "echo '   Doc-tests x'; echo 'test result: FAILED. 1 passed; 2 failed; 0 ignored' >&2; exit 3";
        let error = follow(shell::command("sh").args(["-c", script]), &[], &mut tally).unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        assert_eq!((tally.passed, tally.failed), (1, 2));
    }
}
