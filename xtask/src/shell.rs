//! Running tools.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Returns the root of the repository.
///
/// As cargo says it now, not as it said when this was compiled: two clones may share a target directory.
pub(crate) fn root() -> PathBuf {
    let manifest =
        env("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").to_owned());
    let manifest = Path::new(&manifest);
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Returns a variable of the environment, if it is set to UTF-8 that is not empty.
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Prepares a command with the repository's root as its working directory.
pub(crate) fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.current_dir(root());
    command
}

/// Prepares the cargo that runs this task.
pub(crate) fn cargo() -> Command {
    command(env("CARGO").unwrap_or_else(|| "cargo".to_owned()))
}

/// Shows and runs a command.
///
/// # Errors
/// The command cannot be started or does not succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = show(command);
    let status = command
        .status()
        .with_context(|| format!("cannot start {line}"))?;
    if !status.success() {
        bail!("{line}: {status}");
    }
    Ok(())
}

/// Runs a command and returns its standard output; its standard error passes through.
///
/// # Errors
/// The command cannot be started or does not succeed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let line = render(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {line}"))?;
    if !output.status.success() {
        bail!("{line}: {}", output.status);
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("{line} printed something that is not UTF-8"))
}

/// Returns whether a command runs and succeeds; what it prints is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Prints a command line to standard error and returns it.
pub(crate) fn show(command: &Command) -> String {
    let line = render(command);
    eprintln!("$ {}", line.trim_matches('`'));
    line
}

fn render(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words = std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy());
    format!("`{}`", words.collect::<Vec<_>>().join(" "))
}

/// Returns whether this process is the superuser's.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// Returns the workspace as `cargo metadata` describes it, without dependencies.
///
/// # Errors
/// Cargo cannot read the workspace.
pub(crate) fn metadata() -> Result<serde_json::Value> {
    let text = output(cargo().args(["metadata", "--no-deps", "--format-version=1"]))?;
    serde_json::from_str(&text).context("cannot read what `cargo metadata` printed")
}
