//! `cargo xtask soak`: the tests that kill and time out processes, with their long counts.
//!
//! `PORTCULLIS_SOAK=1` is what such a test looks at; without it, under `cargo xtask test`, it runs a tenth. In all of it,
//! under limits only and in full confinement, as root and as an ordinary user:
//!
//! - a thousand trees time out or are killed (`portcullis-exec`, `soak::`): daemonised, deaf to SIGTERM, holding pipes
//! - the spawn server, templates and inits are killed at ten named points, from the start of a server to the exec of a
//!   command (`portcullis-confine`, `killed_server::`), and so is the host (`killed_host::`)
//! - the host is killed while it drains outputs and while it writes its trail (`portcullis`, `killed_host::`)
//! - writers of one store of state are killed ten thousand times (`portcullis-kv`, `killed::`)
//! - a plugin of Reglet is called a thousand times on one instance and on fresh ones (`portcullis`, `reglet::many::`)
//! - a command grabs at every new process for ten thousand spawns (`portcullis-confine`, `full::racer::`)

use crate::tally::Tally;
use crate::{shell, test};
use anyhow::{Result, bail};

/// The packages whose tests have long counts.
const PACKAGES: [&str; 4] = [
    "portcullis",
    "portcullis-confine",
    "portcullis-exec",
    "portcullis-kv",
];

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
    tally.print_failures();
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
