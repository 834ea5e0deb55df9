//! `cargo xtask soak`: the tests that kill and time out processes, with their long counts.
//!
//! `PORTCULLIS_SOAK=1` is what such a test looks at; without it, under `cargo xtask test`, it runs a tenth.

use crate::tally::Tally;
use crate::{shell, test};
use anyhow::{Result, bail};

/// The packages whose tests have long counts.
const PACKAGES: [&str; 3] = ["portcullis", "portcullis-confine", "portcullis-exec"];

/// Runs them.
///
/// # Errors
/// One fails, or none ran.
pub(crate) fn run() -> Result<()> {
    let binaries = test::build(&[])?;
    let mut cargo = shell::cargo();
    cargo.arg("test");
    for package in PACKAGES {
        cargo.args(["--package", package]);
    }
    cargo.args(["--no-fail-fast", "--tests", "--", "--show-output"]);
    let mut tally = Tally::default();
    let result = test::follow(cargo.env("PORTCULLIS_SOAK", "1"), &binaries, &mut tally);
    println!(
        "{} passed, {} failed, {} skipped",
        tally.passed,
        tally.failed,
        tally.skipped.len()
    );
    result?;
    if tally.passed == 0 {
        bail!("no test ran");
    }
    Ok(())
}
