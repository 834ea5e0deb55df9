//! What all cases share: the compiled payload, and a copy of the command that an ordinary user can reach.

use crate::entry::directory;
use std::error::Error;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
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
    /// Compiles the payload, copies the command and its guest, and makes room for what each user keeps. `users` are
    /// those besides the one who runs the tests.
    ///
    /// # Errors
    /// There is no C compiler, no guest, or no room.
    pub(crate) fn new(users: &[u32]) -> Result<Self, Box<dyn Error>> {
        let kit = Self {
            directory: open_directory()?,
        };
        compile(&["-o"], &kit.probe())?;
        compile(&["-shared", "-fPIC", "-DSHARED", "-o"], &kit.library())?;
        fs::copy(env!("CARGO_BIN_EXE_portcullis"), kit.portcullis())?;
        fs::copy(portcullis_testkit::guest("exec-args"), kit.guest())?;
        for user in users.iter().copied().map(Some).chain([None]) {
            for part in ["", "cache", "data"] {
                private_directory(&kit.state(user).join(part), user)?;
            }
        }
        Ok(kit)
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

    /// The plugin: it runs what its arguments say.
    pub(crate) fn guest(&self) -> PathBuf {
        self.directory.path().join("plugin.wasm")
    }

    /// A user's keys and compiled code, kept from case to case so that the plugin is compiled once.
    pub(crate) fn state(&self, user: Option<u32>) -> PathBuf {
        let name = user.map_or_else(|| "state".to_owned(), |user| format!("state-{user}"));
        self.directory.path().join(name)
    }
}

/// A directory that everybody may enter, at its real path.
///
/// # Errors
/// It cannot be made.
pub(crate) fn open_directory() -> Result<TempDir, Box<dyn Error>> {
    let parent = std::env::temp_dir().canonicalize()?;
    let directory = tempfile::Builder::new()
        .prefix("dual-use-")
        .tempdir_in(parent)?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    Ok(directory)
}

/// Makes a directory that belongs to a user and that nobody else can enter.
fn private_directory(path: &Path, user: Option<u32>) -> Result<(), Box<dyn Error>> {
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    Ok(chown(path, user, user)?)
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
