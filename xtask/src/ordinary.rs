//! The tests of starting and confining children, once more as an ordinary user: as root they would not show
//! that namespaces and limits work without privilege.

use crate::skips::Skips;
use crate::tally::Tally;
use crate::test::{TestBinary, follow};
use crate::{Options, shell};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;

/// The packages whose tests are run twice.
const PACKAGES: [&str; 3] = ["portcullis-confine", "portcullis-exec", "portcullis-stage"];
/// A user who owns nothing, and is not the overflow user that stands for everybody in a user namespace.
const ORDINARY: u32 = 61234;

/// Runs the tests again where this is continuous integration and root; else there is nothing to repeat.
///
/// # Errors
/// A test fails for an ordinary user.
pub(crate) fn run(
    options: &Options,
    binaries: &[TestBinary],
    tally: &mut Tally,
    skips: &mut Skips,
) -> Result<()> {
    if !options.ci || !shell::is_root() {
        return Ok(());
    }
    // Binaries are copied: the repository may lie where an ordinary user cannot go.
    let home = tempfile::Builder::new().prefix("ordinary-").tempdir()?;
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755))?;
    chown(home.path(), Some(ORDINARY), Some(ORDINARY))?;
    let mut first = Ok(());
    for binary in binaries
        .iter()
        .filter(|binary| PACKAGES.contains(&binary.package.as_str()))
    {
        let name = binary
            .path
            .file_name()
            .context("a test binary has a name")?;
        let copy = home.path().join(name);
        fs::copy(&binary.path, &copy)?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
        let mut again = Tally::default();
        // Cargo prints such a line before each binary; the reader goes by it.
        again.read(
            &format!("Running ({})", copy.display()),
            &[(name.to_string_lossy().into_owned(), binary.label.clone())].into(),
        );
        let mut command = shell::command(&copy);
        // The standard library drops supplementary groups when it changes the user.
        command
            .arg("--show-output")
            .current_dir(home.path())
            .uid(ORDINARY)
            .gid(ORDINARY);
        command.env("HOME", home.path()).env("TMPDIR", home.path());
        let result = follow(&mut command, std::slice::from_ref(binary), &mut again);
        tally.passed += again.passed;
        tally.failed += again.failed;
        tally.failures.append(&mut again.failures);
        skips.extend(
            again
                .skipped
                .into_iter()
                .map(|(name, reason)| (format!("{name} (ordinary user)"), reason))
                .collect(),
        );
        if first.is_ok() {
            first = result;
        }
    }
    first
}
