//! Where a test takes place: directories of its own, with its files and its programs.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::file::Test;
use super::stand_in::{MARK, SCRIPTS, Scripts};

/// What all tests have in common.
#[derive(Debug)]
pub(crate) struct Workshop {
    dir: TempDir,
}

/// The directories of one test. They are removed with it.
#[derive(Debug)]
pub(crate) struct Stage {
    _dir: TempDir,
    root: PathBuf,
    names: BTreeSet<String>,
}

impl Workshop {
    /// # Errors
    /// There is no room for temporary files.
    pub(crate) fn new() -> io::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("portcullis-test-")
            .tempdir()?;
        Ok(Self { dir })
    }

    /// A stage with the files and programs of a test.
    pub(crate) fn stage(&self, test: &Test) -> io::Result<Stage> {
        let dir = tempfile::tempdir_in(&self.dir)?;
        let stage = Stage {
            root: dir.path().canonicalize()?,
            _dir: dir,
            names: test
                .commands
                .iter()
                .map(|command| command.program().to_owned())
                .collect(),
        };
        for directory in [
            stage.home(),
            stage.project(),
            stage.programs(),
            stage.calls(),
        ] {
            DirBuilder::new().mode(0o700).create(directory)?;
        }
        for (path, content) in &test.files {
            let path = stage.project().join(path);
            if let Some(parent) = path.parent() {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(parent)?;
            }
            fs::write(path, content)?;
        }
        let scripts = Scripts {
            commands: test.commands.clone(),
            calls: stage.calls(),
        };
        fs::write(stage.root.join(SCRIPTS), serde_json::to_vec(&scripts)?)?;
        for name in &stage.names {
            fs::hard_link(self.stand_in()?, stage.programs().join(name))?;
        }
        Ok(stage)
    }

    /// A copy of this executable: no plugin may start that itself, whatever it is called.
    fn stand_in(&self) -> io::Result<PathBuf> {
        let path = self.dir.path().join("stand-in");
        if !path.exists() {
            let partial = self.dir.path().join("unmarked");
            fs::copy("/proc/self/exe", &partial)?;
            fs::set_permissions(&partial, Permissions::from_mode(0o755))?;
            fs::OpenOptions::new()
                .append(true)
                .open(&partial)?
                .write_all(MARK)?;
            fs::rename(partial, &path)?;
        }
        Ok(path)
    }
}

impl Stage {
    /// Whether it is what the test lays ready for the plugin.
    pub(crate) fn has(&self, path: &Path) -> bool {
        [self.home(), self.project()]
            .iter()
            .any(|dir| path.starts_with(dir))
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    pub(crate) fn project(&self) -> PathBuf {
        self.root.join("project")
    }

    pub(crate) fn programs(&self) -> PathBuf {
        self.root.join("programs")
    }

    pub(crate) fn calls(&self) -> PathBuf {
        self.root.join("calls")
    }

    /// The programs that there are.
    pub(crate) fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// Where the certificate of the scripted servers is.
    pub(crate) fn authority(&self) -> PathBuf {
        self.root.join("authority.pem")
    }
}
