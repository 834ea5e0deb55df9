//! `cargo xtask bench`: builds the benchmark for release and prints its table.

use crate::{Options, shell};
use anyhow::{Result, bail};

/// The package that measures; arguments after `--` are passed to it: names of groups of rows, for those alone.
const PACKAGE: &str = "portcullis-bench";

/// The package of the command line.
const COMMAND: &str = "portcullis-cli";

/// Runs the benchmark.
///
/// # Errors
/// There is no such package, or it does not succeed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let metadata = shell::metadata()?;
    let there = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|package| package["name"] == PACKAGE);
    if !there {
        bail!("the workspace has no package `{PACKAGE}`, so there is nothing to measure");
    }
    // What is measured loads real guests.
    crate::guests::task(options)?;
    // Whole processes are measured on the command itself.
    shell::run(shell::cargo().args(["build", "--release", "--package", COMMAND]))?;
    shell::run(
        shell::cargo()
            .args(["run", "--release", "--package", PACKAGE, "--"])
            .args(&options.rest),
    )
}
