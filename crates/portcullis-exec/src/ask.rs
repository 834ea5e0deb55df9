use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_policy::{FileId, HostEnvironment};
use rustix::fs::{Mode, OFlags};

use crate::resolve::open;

/// What a guest asks for, decoded by an ABI adapter and not yet looked at.
///
/// # Shapes and units
/// `args` are the arguments after the program's name. `env` is what the plugin sets in all: its
/// overlay, then its context, then the call's own; of two with one name, the later wins.
#[derive(Clone, Debug, Default)]
pub struct ExecAsk {
    /// A bare name, or an absolute path.
    pub program: String,
    /// The arguments.
    pub args: Vec<String>,
    /// Where to run: a path as the guest sees it, relative to the project, or absolute on the host.
    /// `None` is the project directory.
    pub cwd: Option<String>,
    /// Variables to set.
    pub env: Vec<(String, String)>,
    /// Whether the host's environment is wanted.
    pub inherit_env: bool,
    /// Bytes for standard input; `None` is end of file at once.
    pub stdin: Option<Vec<u8>>,
}

/// What all commands of one plugin instance share. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Place {
    pub(crate) project: Arc<OwnedFd>,
    pub(crate) path: PathBuf,
    pub(crate) host_env: HostEnvironment,
    /// The executable of this process.
    pub(crate) own: FileId,
}

impl Place {
    /// The environment the host was started with.
    pub fn host_env(&self) -> &HostEnvironment {
        &self.host_env
    }

    /// Opens the project directory, in which commands run that ask for no other.
    ///
    /// # Errors
    /// When `project` is not a directory that can be opened, or `/proc` does not tell which executable this is.
    pub fn open(project: &Path, host_env: HostEnvironment) -> io::Result<Self> {
        let dir = open::directory(rustix::fs::CWD, project)?;
        let path = open::real_path(&dir)?;
        let own = open::file_id(&rustix::fs::stat("/proc/self/exe")?);
        Ok(Self {
            project: Arc::new(dir),
            path,
            host_env,
            own,
        })
    }

    /// A place where nothing is ever run, for a process in a cell: there `/proc` tells nothing.
    ///
    /// # Errors
    /// When `directory` is not one.
    pub fn of_nothing(directory: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        // Cells have no `openat2`.
        let project = rustix::fs::open(directory, flags, Mode::empty())?;
        Ok(Self {
            project: Arc::new(project),
            path: directory.to_owned(),
            host_env: HostEnvironment::default(),
            own: FileId { dev: 0, ino: 0 },
        })
    }

    /// The real path of the project directory.
    pub fn project(&self) -> &Path {
        &self.path
    }
}
