//! A bare `posix_spawn` with both outputs captured: what every other way is compared with.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::wait::{WaitStatus, waitpid};

/// A program as `posix_spawn` wants it.
#[derive(Debug)]
pub struct Program {
    path: CString,
    null: File,
}

impl Program {
    /// A program by its path.
    ///
    /// # Errors
    /// A path with a zero byte in it.
    pub fn new(path: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            path: CString::new(path.as_os_str().as_bytes())?,
            null: File::open("/dev/null")?,
        })
    }

    /// Runs it to its end and gives back what it wrote.
    ///
    /// # Errors
    /// It cannot be started, or does not succeed.
    pub fn output(&self) -> anyhow::Result<[Vec<u8>; 2]> {
        let flags = rustix::pipe::PipeFlags::CLOEXEC;
        let (stdout, its_stdout) = rustix::pipe::pipe_with(flags)?;
        let (stderr, its_stderr) = rustix::pipe::pipe_with(flags)?;
        let mut actions = PosixSpawnFileActions::init()?;
        actions.add_dup2(self.null.as_raw_fd(), 0)?;
        actions.add_dup2(its_stdout.as_raw_fd(), 1)?;
        actions.add_dup2(its_stderr.as_raw_fd(), 2)?;
        let attributes = PosixSpawnAttr::init()?;
        let argv = [c"tiny"];
        let env: [&std::ffi::CStr; 0] = [];
        let pid = posix_spawn(self.path.as_c_str(), &actions, &attributes, &argv, &env)?;
        drop((its_stdout, its_stderr));
        let outputs = [read_all(stdout)?, read_all(stderr)?];
        let status = waitpid(pid, None)?;
        anyhow::ensure!(status == WaitStatus::Exited(pid, 0), "{status:?}");
        Ok(outputs)
    }
}

/// Everything that comes through a pipe until nobody can write to it any more.
pub(crate) fn read_all(pipe: OwnedFd) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::from(pipe).read_to_end(&mut bytes)?;
    Ok(bytes)
}
