//! Who runs `portcullis`.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::own_home;

/// `games`, whom Debian gives this number everywhere: `ssh` wants a user with a name.
const ORDINARY: u32 = 5;
/// Where commands of a plugin are looked for.
const PATH: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    Root,
    Ordinary,
}

impl User {
    /// Those that this run can be: as an ordinary user there is no way to be root.
    pub(crate) fn available() -> &'static [Self] {
        if is_root() {
            &[Self::Ordinary, Self::Root]
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
    fn id(self) -> Option<u32> {
        (is_root() && self == Self::Ordinary).then_some(ORDINARY)
    }

    /// Whether it is this process's own.
    pub(crate) fn is_self(self) -> bool {
        self.id().is_none()
    }

    /// Makes a file this user's.
    pub(crate) fn own(self, path: &Path) {
        if let Some(id) = self.id() {
            std::os::unix::fs::lchown(path, Some(id), Some(id)).unwrap();
        }
    }

    /// A process of this user's, with nothing in its environment but its home.
    pub(crate) fn command(self, program: &Path, home: &Path) -> Command {
        let mut command = command(program);
        if let Some(id) = self.id() {
            command.uid(id).gid(id);
        }
        command.env_clear().env("PATH", PATH.join(":"));
        command.env("HOME", home);
        command
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where a program is that a plugin may be allowed.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let at_home = program.strip_prefix("~/").map(|path| own_home().join(path));
    let places = PATH.iter().map(|dir| Path::new(dir).join(program));
    let mut places = at_home.into_iter().chain(places);
    places.find(|path| {
        let meta = path.metadata();
        meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tests' own processes are not commands of a plugin"
)]
pub(crate) fn command(program: &Path) -> Command {
    Command::new(program)
}
