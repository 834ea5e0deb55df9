use std::path::PathBuf;

use crate::request::sealed::Sealed;
use crate::text::shown;
use crate::{Authorized, Capability, Code, Decision, Denial, FsAccess, Grants, Request};

/// Why a file or directory is denied that no rule is about.
pub(crate) const NO_RULE: &str = "no `fs` rule matches; the default is deny";

/// What a guest wants to know of a file or directory, without changing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsLook {
    /// The content of a file.
    Read,
    /// The names in a directory.
    List,
    /// What it is, how long, and when it was changed.
    Stat,
}

/// A file or directory that a guest looks at itself.
#[derive(Clone, Debug)]
pub struct LookRequest {
    /// What it wants to know.
    pub look: FsLook,
    /// The real path of what was opened.
    pub path: PathBuf,
}

impl Request for LookRequest {
    type Terms = ();
}

impl Sealed for LookRequest {
    fn decide(self, grants: &Grants) -> Decision<Self> {
        if grants.fs_grant(&self.path, FsAccess::Read).is_some() {
            return Decision::Allow(Authorized::new(self, ()));
        }
        let object = self.path.display().to_string();
        let (code, action) = (Code::FsNotGranted, self.look.of(&shown(&object)));
        let denial = Denial::new(code, grants, Capability::Fs, action, object);
        Decision::Deny(Box::new(denial.note(NO_RULE)))
    }
}

impl FsLook {
    /// As a phrase after the plugin's name.
    pub fn of(self, path: &str) -> String {
        match self {
            Self::Read => format!("read `{path}`"),
            Self::List => format!("list `{path}`"),
            Self::Stat => format!("look at `{path}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FsGrant, FsKind, Origin, PluginId, decide};

    fn allows(kind: FsKind, host: &str, path: &str) -> bool {
        let mut grants = Grants::none(PluginId::new("p").unwrap());
        grants.fs.push(FsGrant {
            host: host.into(),
            kind,
            guest: host.to_owned(),
            access: FsAccess::Read,
            origin: Origin::Code,
        });
        let request = LookRequest {
            look: FsLook::Read,
            path: path.into(),
        };
        matches!(decide(&grants, request), Decision::Allow(_))
    }

    #[test]
    fn what_lies_in_a_granted_directory_is_seen_and_nothing_beside_it() {
        for path in ["/srv/data", "/srv/data/a", "/srv/data/a/b"] {
            assert!(allows(FsKind::Directory, "/srv/data", path), "{path}");
        }
        for path in [
            "/srv",
            "/srv/database",
            "/srv/data/../x",
            "srv/data/a",
            "/",
            "",
        ] {
            assert!(!allows(FsKind::Directory, "/srv/data", path), "{path}");
        }
    }

    #[test]
    fn a_granted_file_is_that_file_alone() {
        assert!(allows(FsKind::File, "/srv/notes.txt", "/srv/notes.txt"));
        for path in ["/srv", "/srv/notes", "/srv/notes.txt.bak"] {
            assert!(!allows(FsKind::File, "/srv/notes.txt", path), "{path}");
        }
    }
}
