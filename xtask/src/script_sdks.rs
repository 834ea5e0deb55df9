//! The SDKs in Python and JavaScript: their tests, which need no WebAssembly, on the interpreters of this machine.

use crate::shell;
use crate::skips::Skips;
use anyhow::Result;

/// Runs the tests of both; without its interpreter, or with one that is too old, an SDK is skipped.
///
/// # Errors
/// A test fails.
pub(crate) fn check(skips: &mut Skips) -> Result<()> {
    let probe = "import sys; sys.exit(sys.version_info < (3, 11))";
    let python = if shell::succeeds(shell::command("python3").args(["-c", probe])) {
        // Without compiled files beside the sources.
        let mut tests = shell::command("python3");
        tests
            .args(["-B", "-W", "error", "-m", "unittest", "discover"])
            .args(["--start-directory", "tests"])
            .current_dir(shell::root().join("sdk/python"))
            .env("PYTHONPATH", "src");
        shell::run(&mut tests)
    } else {
        skips.add("python-sdk", "Python 3.11 or newer is not installed");
        Ok(())
    };
    let probe = "process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)";
    let javascript = if shell::succeeds(shell::command("node").args(["-e", probe])) {
        let mut tests = shell::command("node");
        shell::run(
            tests
                .arg("--test")
                .current_dir(shell::root().join("sdk/js")),
        )
    } else {
        skips.add("javascript-sdk", "Node 20 or newer is not installed");
        Ok(())
    };
    python.and(javascript)
}
