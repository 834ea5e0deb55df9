//! System packages, by Debian's package manager.

use crate::{Options, shell};
use anyhow::{Result, bail};

/// Installs packages, in one call.
///
/// # Errors
/// There is no `apt-get`, it fails, or nobody said that it may be called; the text has the command then.
pub(crate) fn install(options: &Options, packages: &[&str]) -> Result<()> {
    if !shell::succeeds(shell::command("apt-get").arg("--version")) {
        bail!("this system has no apt-get");
    }
    let sudo = if shell::is_root() { "" } else { "sudo " };
    if !options.yes {
        let line = format!(
            "{sudo}apt-get install --no-install-recommends {}",
            packages.join(" ")
        );
        bail!("packages are missing; install them, or say `--yes` to have it done:\n    {line}");
    }
    let apt = || {
        let mut command = shell::command(if sudo.is_empty() { "apt-get" } else { "sudo" });
        if !sudo.is_empty() {
            command.args(["-n", "apt-get"]);
        }
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    shell::run(apt().arg("update"))?;
    shell::run(
        apt()
            .args(["install", "-y", "--no-install-recommends"])
            .args(packages),
    )
}
