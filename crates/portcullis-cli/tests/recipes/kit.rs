//! What all recipes share: copies of the command and of the guest that an ordinary user can reach.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use portcullis_testkit::guest;

use crate::site;
use crate::user::User;

#[derive(Debug)]
pub(crate) struct Kit {
    root: PathBuf,
}

static KIT: OnceLock<Kit> = OnceLock::new();

/// Returns the kit, made by the first who asks.
pub(crate) fn kit() -> &'static Kit {
    KIT.get_or_init(Kit::new)
}

/// Takes away what was made.
pub(crate) fn end() {
    site::end();
    if let Some(kit) = KIT.get() {
        fs::remove_dir_all(&kit.root).unwrap();
    }
}

impl Kit {
    fn new() -> Self {
        // Not in `/tmp`, which each command has for itself: homes and projects of people do not lie there.
        let root = tempfile::Builder::new()
            .prefix("recipes-")
            .tempdir_in("/var/tmp");
        let kit = Self {
            root: root.unwrap().keep(),
        };
        open_to_all(&kit.root);
        // The repository may lie where an ordinary user cannot go.
        fs::copy(env!("CARGO_BIN_EXE_portcullis"), kit.portcullis()).unwrap();
        fs::copy(guest("exec-args"), kit.guest()).unwrap();
        for &user in User::available() {
            fs::create_dir(kit.state(user)).unwrap();
            fs::set_permissions(kit.state(user), Permissions::from_mode(0o700)).unwrap();
            user.own(&kit.state(user));
        }
        kit
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn portcullis(&self) -> PathBuf {
        self.root.join("portcullis")
    }

    pub(crate) fn guest(&self) -> PathBuf {
        self.root.join("plugin.wasm")
    }

    /// Where Portcullis keeps what is its own; one for all worlds of a user, so that the guest is compiled once.
    pub(crate) fn state(&self, user: User) -> PathBuf {
        self.root.join(format!("state-{}", user.name()))
    }
}

pub(crate) fn open_to_all(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}
