//! What all cases share: the compiled payload, and a copy of the command that an ordinary user can reach.

use crate::entry::directory;
use crate::mode::Mode;
use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A user who owns nothing, and is not the overflow user that stands for everybody in a user namespace.
pub(crate) const ORDINARY: u32 = 61234;

/// `games`, whom Debian gives this number everywhere: for programs that want a user with a name.
pub(crate) const NAMED: u32 = 5;

/// Built once for a run.
#[derive(Debug)]
pub(crate) struct Kit {
    directory: TempDir,
}

impl Kit {
    /// Compiles the payload and copies the command.
    ///
    /// # Errors
    /// There is no C compiler, or no room.
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let kit = Self {
            directory: open_directory()?,
        };
        compile(&["-o"], &kit.probe())?;
        compile(&["-shared", "-fPIC", "-DSHARED", "-o"], &kit.library())?;
        fs::copy("/tmp/fake-portcullis", kit.portcullis())?;
        Ok(kit)
    }

    /// Whether the command can confine a child without a plugin, which all modes but the first need.
    pub(crate) fn offers(&self, mode: Mode) -> bool {
        let help = Command::new(self.portcullis())
            .args(["exec", "--help"])
            .output();
        mode == Mode::Names || help.is_ok_and(|output| output.status.success())
    }

    /// The payload as a program.
    pub(crate) fn probe(&self) -> PathBuf {
        self.directory.path().join("probe")
    }

    /// The payload as a library.
    pub(crate) fn library(&self) -> PathBuf {
        self.directory.path().join("probe.so")
    }

    /// The command under test. The repository may lie where an ordinary user cannot go.
    pub(crate) fn portcullis(&self) -> PathBuf {
        self.directory.path().join("portcullis")
    }
}

/// A directory that everybody may enter.
///
/// # Errors
/// It cannot be made.
pub(crate) fn open_directory() -> Result<TempDir, Box<dyn Error>> {
    let directory = tempfile::Builder::new().prefix("dual-use-").tempdir()?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    Ok(directory)
}

fn compile(flags: &[&str], into: &Path) -> Result<(), Box<dyn Error>> {
    let status = Command::new("cc")
        .args(["-O1", "-Wall"])
        .args(flags)
        .arg(into)
        .arg(directory().join("payload/probe.c"))
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("cannot compile the payload: {status}").into())
    }
}
