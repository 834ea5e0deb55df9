//! `cargo xtask check`: format, lints, arrows, links and the table of clawft. The steps are shared with [`crate::test`].

use crate::skips::Skips;
use crate::{Options, arrows, clawft, links, shell};
use anyhow::{Result, bail};
use std::process::Command;

/// Runs the five steps; what could not run is named.
///
/// # Errors
/// A step fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut skips = Skips::default();
    format(options, &mut skips)?;
    lints(options, &mut skips)?;
    arrows::check()?;
    clawft::check()?;
    links::check()?;
    skips.print();
    skips.settle(options.ci)
}

/// Checks the format of every workspace.
///
/// # Errors
/// A file is not formatted.
pub(crate) fn format(options: &Options, skips: &mut Skips) -> Result<()> {
    if !component("rustfmt", "fmt", options) {
        skips.add("format", "rustfmt is not installed");
        return Ok(());
    }
    let mut failed = Vec::new();
    for manifest in [
        "Cargo.toml",
        "guests/Cargo.toml",
        "guests/wasip1/Cargo.toml",
        "examples/repo-report/Cargo.toml",
        "sdk/rust/Cargo.toml",
        "sdk/parity/rust/Cargo.toml",
    ] {
        if shell::run(shell::cargo().args(["fmt", "--all", "--check", "--manifest-path", manifest]))
            .is_err()
        {
            failed.push(manifest);
        }
    }
    if !failed.is_empty() {
        bail!("not formatted: {}", failed.join(", "));
    }
    Ok(())
}

/// Runs clippy; a warning is an error.
///
/// # Errors
/// Clippy warns, or the code does not compile.
pub(crate) fn lints(options: &Options, skips: &mut Skips) -> Result<()> {
    if !component("clippy", "clippy", options) {
        skips.add("lints", "clippy is not installed");
        return Ok(());
    }
    shell::run(shell::cargo().args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    shell::run(sdk("clippy").args(["--quiet", "--all-targets", "--", "-D", "warnings"]))?;
    without_cells()
}

/// Prepares a task of cargo over the Rust SDK, as authors of plugins test with it.
pub(crate) fn sdk(task: &str) -> Command {
    let mut cargo = shell::cargo();
    cargo
        .args([task, "--manifest-path", "sdk/rust/Cargo.toml"])
        .args(["--workspace", "--all-features"])
        .args(["--target-dir", "target/sdk-rust"]);
    cargo
}

/// Runs clippy over what other platforms get: the same types, and a refusal. Nothing of it is run.
fn without_cells() -> Result<()> {
    let mut clippy = shell::cargo();
    clippy
        .args(["clippy", "--quiet", "--package", "portcullis-confine"])
        // Beside the other builds, which it would make stale.
        .args(["--target-dir", "target/no-cells", "--", "-D", "warnings"])
        .env("PORTCULLIS_NO_CELLS", "1");
    shell::run(&mut clippy)
}

/// Builds the documentation; a warning is an error.
///
/// # Errors
/// A link does not resolve, or the code does not compile.
pub(crate) fn docs() -> Result<()> {
    let mut doc = shell::cargo();
    doc.args(["doc", "--quiet", "--workspace", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings");
    shell::run(&mut doc)?;
    shell::run(
        sdk("doc")
            .args(["--quiet", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

/// Returns whether a part of the toolchain is there, adding it where that is allowed and possible.
fn component(name: &str, subcommand: &str, options: &Options) -> bool {
    let there = || shell::succeeds(shell::cargo().args([subcommand, "--version"]));
    if there() {
        return true;
    }
    let add = ["component", "add", name];
    if !options.yes {
        eprintln!(
            "`{name}` is missing; install it, or say `--yes` to have it done: rustup {}",
            add.join(" ")
        );
        return false;
    }
    shell::run(shell::command("rustup").args(add)).is_ok() && there()
}
