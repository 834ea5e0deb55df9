//! The parts of `care` with real directories and, where it is installed, against real git.

mod config_commit;
mod config_file;
mod identity;
mod in_a_namespace;
mod names;
mod overlaid;
mod repositories;
mod staged_files;

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory of the test's own, with a real path.
pub(super) struct Dir {
    _temporary: tempfile::TempDir,
    pub(super) real: PathBuf,
}

/// What [`Dir::try_make`] makes.
pub(super) enum Made<'a> {
    Directory,
    File(&'a [u8]),
    Link(&'a str),
}

impl Dir {
    pub(super) fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let real = temporary.path().canonicalize().unwrap();
        Self {
            _temporary: temporary,
            real,
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.real.join(name)
    }

    /// A place in which something may be made: its directory is there, is in this one, and is
    /// reached without a link. Trees of links lead out of here, and what is made must not.
    fn place(&self, name: &str) -> Option<PathBuf> {
        let path = self.path(name);
        let above = path.parent()?;
        let is_ours =
            above.canonicalize().is_ok_and(|real| real == above) && above.starts_with(&self.real);
        is_ours.then_some(path)
    }

    /// Makes a directory, a file or a link, if it has a place and nothing is there.
    pub(super) fn try_make(&self, name: &str, what: Made<'_>) {
        let Some(path) = self.place(name) else {
            return;
        };
        // None of these follows a link that has the name already.
        let _ = match what {
            Made::Directory => fs::create_dir(path),
            Made::File(content) => {
                File::create_new(path).and_then(|mut file| file.write_all(content))
            }
            Made::Link(target) => std::os::unix::fs::symlink(target, path),
        };
    }

    /// Writes a file, and makes the directories above it.
    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        if let Some((above, _)) = name.rsplit_once('/') {
            self.make(above);
        }
        let path = self.place(name).expect("a place in the test's directory");
        assert!(!path.is_symlink(), "{name} is a link");
        fs::write(path, content).unwrap();
    }

    pub(super) fn make(&self, name: &str) {
        let mut path = self.real.clone();
        for part in name.split('/').filter(|part| *part != ".") {
            path.push(part);
            assert!(!path.is_symlink() && part != "..", "{name} leads elsewhere");
            let _ = fs::create_dir(&path);
        }
        assert!(path.is_dir(), "{name}");
    }

    /// Makes what git takes for one of its directories.
    pub(super) fn git_dir(&self, name: &str) {
        self.write(&format!("{name}/HEAD"), "ref: refs/heads/main\n");
        self.write(&format!("{name}/config"), "[core]\n\tbare = false\n");
        self.make(&format!("{name}/objects"));
        self.make(&format!("{name}/refs"));
        self.write(&format!("{name}/hooks/pre-commit"), "#!/bin/sh\n");
    }

    pub(super) fn link(&self, name: &str, target: &str) {
        std::os::unix::fs::symlink(target, self.place(name).unwrap()).unwrap();
    }

    pub(super) fn opened(&self, name: &str) -> OwnedFd {
        File::open(self.path(name)).unwrap().into()
    }
}

/// A program with no environment but what it needs, so that the user's own settings do not count.
#[expect(
    clippy::disallowed_methods,
    reason = "the tests' own processes are not commands"
)]
pub(super) fn program(name: &str, home: &Path) -> Command {
    let mut command = Command::new(name);
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", home);
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("LC_ALL", "C")
        .current_dir(home);
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "n")
            .env(format!("GIT_{who}_EMAIL"), "e@e");
    }
    command
}

/// Whether there is a git to compare with; says so where there is none.
pub(super) fn has_git(test: &str) -> bool {
    let found = program("git", Path::new("/")).arg("--version").output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        println!("SKIP {test}: git is not installed");
    }
    found
}

/// Runs git in a directory; it must succeed.
pub(super) fn git(dir: &Path, args: &[&str]) -> Output {
    let output = program("git", dir).args(args).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {output:?}");
    output
}
