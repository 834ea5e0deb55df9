//! `cargo xtask soak`: the tests with `soak` in their name, with their long counts.
//!
//! `PORTCULLIS_SOAK=1` is what such a test looks at; without it, under `cargo xtask test`, it runs a short count.

use crate::tally::Tally;
use crate::{shell, test};
use anyhow::{Result, bail};

/// Runs them.
///
/// # Errors
/// One fails, or there is none.
pub(crate) fn run() -> Result<()> {
    let binaries = test::build()?;
    let mut cargo = shell::cargo();
    cargo.args([
        "test",
        "--workspace",
        "--no-fail-fast",
        "--lib",
        "--bins",
        "--tests",
        "--",
        "--show-output",
        "soak",
    ]);
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
        bail!("no test with `soak` in its name ran");
    }
    Ok(())
}
