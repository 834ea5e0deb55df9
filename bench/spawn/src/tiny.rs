//! The smallest program there is: what is measured is starting it.

use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = include_str!("tiny.c");
/// What it writes.
pub const OUTPUT: &[u8] = b"hello\n";

/// Compiles it with the system's compiler, static and without a C library.
///
/// # Errors
/// There is no compiler, or it fails.
pub fn build(dir: &Path) -> anyhow::Result<PathBuf> {
    let (source, program) = (dir.join("tiny.c"), dir.join("tiny"));
    std::fs::write(&source, SOURCE)?;
    let flags = [
        "-Os",
        "-static",
        "-nostdlib",
        "-fno-stack-protector",
        "-s",
        "-o",
    ];
    let status = Command::new("cc")
        .args(flags)
        .arg(&program)
        .arg(&source)
        .status()?;
    anyhow::ensure!(status.success(), "cc cannot compile the tiny program");
    Ok(program)
}
