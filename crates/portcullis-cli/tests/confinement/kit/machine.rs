//! The machine of this run: the users who act, the probe, and a directory that all of them can reach.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use portcullis_testkit::{guest, repository};

/// A user who owns nothing, and is not the overflow user that stands for everybody in a user namespace.
pub(crate) const ORDINARY: u32 = 61234;
/// A third user, whose rights nobody here has.
pub(crate) const STRANGER: u32 = 61235;

/// Who runs `portcullis`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum User {
    Root,
    Ordinary,
}

impl User {
    /// Those that this run can be: as an ordinary user there is no way to be root.
    pub(crate) fn available() -> &'static [Self] {
        if is_root() {
            &[Self::Root, Self::Ordinary]
        } else {
            &[Self::Ordinary]
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Ordinary => "user",
        }
    }

    /// The id to change to, if that is needed.
    pub(crate) fn id(self) -> Option<u32> {
        (is_root() && self == Self::Ordinary).then_some(ORDINARY)
    }

    /// Makes a file this user's.
    pub(crate) fn own(self, path: &Path) {
        if let Some(id) = self.id() {
            std::os::unix::fs::lchown(path, Some(id), Some(id)).unwrap();
        }
    }

    /// A process of this user, with nothing in its environment.
    pub(crate) fn command(self, program: impl AsRef<Path>) -> Command {
        let mut command = command(program.as_ref());
        if let Some(id) = self.id() {
            command.uid(id).gid(id);
        }
        command.env_clear().env("PATH", "/usr/bin:/bin");
        command.env("HOME", machine().home(self));
        command
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tests' own processes are not commands of a plugin"
)]
pub(crate) fn command(program: &Path) -> Command {
    Command::new(program)
}

/// What is made once.
#[derive(Debug)]
pub(crate) struct Machine {
    root: PathBuf,
}

/// Returns the machine, made by the first who asks.
///
/// # Panics
/// When there is no C compiler, without which there are no cases.
pub(crate) fn machine() -> &'static Machine {
    static MACHINE: OnceLock<Machine> = OnceLock::new();
    MACHINE.get_or_init(Machine::new)
}

impl Machine {
    fn new() -> Self {
        let root = tempfile::Builder::new()
            .prefix("confinement-")
            .tempdir()
            .unwrap()
            .keep()
            .canonicalize()
            .unwrap();
        open_to_all(&root);
        let machine = Self { root };
        fs::create_dir(machine.root.join("bin")).unwrap();
        open_to_all(&machine.root.join("bin"));
        machine.compile_probe();
        // The repository may lie where an ordinary user cannot go.
        fs::copy(env!("CARGO_BIN_EXE_portcullis"), machine.portcullis()).unwrap();
        fs::copy(guest("exec-args"), machine.guest()).unwrap();
        for user in User::available() {
            let home = machine.home(*user);
            fs::create_dir(&home).unwrap();
            fs::set_permissions(&home, Permissions::from_mode(0o700)).unwrap();
            user.own(&home);
        }
        machine
    }

    /// # Panics
    /// `INVALID`: without the probe nothing was tried, and that is never a success.
    fn compile_probe(&self) {
        let sources = repository().join("crates/portcullis-cli/tests/confinement/probe");
        let source = |name: &&str| sources.join(name).with_extension("c");
        let parts = [
            "main",
            "exec",
            "files",
            "ipc",
            "limits",
            "namespaces",
            "network",
            "processes",
            "trees",
        ];
        compile(&["-O1"], &parts.each_ref().map(source), &self.probe());
        compile(
            &["-shared", "-fPIC"],
            &[source(&"preload")],
            &self.library(),
        );
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn probe(&self) -> PathBuf {
        self.root.join("bin/probe")
    }

    pub(crate) fn library(&self) -> PathBuf {
        self.root.join("bin/preload.so")
    }

    pub(crate) fn portcullis(&self) -> PathBuf {
        self.root.join("bin/portcullis")
    }

    pub(crate) fn guest(&self) -> PathBuf {
        self.root.join("bin/exec-args.wasm")
    }

    /// One for all worlds of a user, so that the guest is compiled once.
    pub(crate) fn home(&self, user: User) -> PathBuf {
        self.root.join(format!("home-{}", user.name()))
    }

    /// Removes everything.
    pub(crate) fn remove(&self) {
        fs::remove_dir_all(&self.root).unwrap();
    }
}

fn compile(options: &[&str], sources: &[PathBuf], output: &Path) {
    let done = command(Path::new("cc"))
        .args(options)
        .arg("-o")
        .arg(output)
        .args(sources)
        .output();
    let done = done.unwrap_or_else(|error| panic!("INVALID: no C compiler `cc`: {error}"));
    assert!(
        done.status.success(),
        "INVALID: the probe does not compile: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

pub(crate) fn open_to_all(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

/// Gives a file to the stranger, with the bit that lends their rights.
pub(crate) fn make_set_id(path: &Path) {
    chown(path, Some(STRANGER), Some(STRANGER)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o4755)).unwrap();
}
