//! Containers, and what each calls the settings that cells need.

use std::path::Path;

/// The system calls that make a cell and that containers use to forbid.
macro_rules! calls {
    () => {
        "`clone`, `unshare`, `mount`, `umount2`, `pivot_root`, `fsopen`, `fsmount`, `open_tree`, `move_mount`, \
         `mount_setattr` and `sethostname`"
    };
}

/// What a system runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Container {
    /// Docker, and what calls itself so.
    Docker,
    /// Podman.
    Podman,
    /// A pod of Kubernetes.
    Kubernetes,
    /// Some other, such as LXC or systemd-nspawn.
    Other,
}

impl Container {
    /// The container that the system below `root` runs in, if any.
    #[must_use]
    pub fn of(root: &Path) -> Option<Self> {
        let is_there = |path: &str| root.join(path).exists();
        // A pod's runtime may leave the marks of the others as well.
        if is_there("run/secrets/kubernetes.io") || is_there("var/run/secrets/kubernetes.io") {
            Some(Self::Kubernetes)
        } else if is_there("run/.containerenv") {
            Some(Self::Podman)
        } else if is_there(".dockerenv") {
            Some(Self::Docker)
        } else if is_there("run/systemd/container") {
            Some(Self::Other)
        } else {
            None
        }
    }

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Kubernetes => "kubernetes",
            Self::Other => "container",
        }
    }

    /// How it is told to allow the system calls that make a cell.
    pub(super) const fn allow_calls(self) -> &'static str {
        match self {
            Self::Docker | Self::Podman => {
                concat!(
                    "start it with `--security-opt seccomp=FILE`, the default profile with ",
                    calls!(),
                    " allowed"
                )
            }
            Self::Kubernetes => {
                concat!(
                    "give the pod `hostUsers: false` and a `seccompProfile` of type `Localhost`, the default one with ",
                    calls!(),
                    " allowed"
                )
            }
            Self::Other => {
                concat!(
                    "allow it nested namespaces, such as `security.nesting=true` for LXC, and the system calls ",
                    calls!()
                )
            }
        }
    }

    /// How it is told to show all of `/proc`.
    pub(super) const fn show_proc(self) -> &'static str {
        match self {
            Self::Docker => "start it with `--security-opt systempaths=unconfined`",
            Self::Podman => "start it with `--security-opt unmask=ALL`",
            Self::Kubernetes => {
                "give the container `procMount: Unmasked`, and the pod `hostUsers: false`"
            }
            Self::Other => "have it mount nothing over parts of `/proc`",
        }
    }
}
