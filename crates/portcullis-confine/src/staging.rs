//! Staged writes: what is asked for, what comes of it, and why it cannot be had. The rest is
//! [`enter_staging`](crate::enter_staging).

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// A directory whose changes are to go elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// The directory: its real path.
    pub root: PathBuf,
    /// An empty directory of ours alone (0700), on a file system with extended attributes (`user.*`), and not below any
    /// root. The changes come to lie in its [`UPPER`](Overlay::UPPER).
    pub layers: PathBuf,
}

impl Overlay {
    /// The directory, in [`layers`](Overlay::layers), that has the changes, in the form of the kernel's overlayfs with
    /// `userxattr`.
    pub const UPPER: &str = "upper";
    /// Beside it, what overlayfs needs for itself.
    pub const WORK: &str = "work";
}

/// A staging namespace, seen from inside. That one is there is proof of being in it.
#[derive(Clone, Debug)]
pub struct Staged {
    pub(crate) roots: Vec<(PathBuf, u64, u64)>,
}

impl Staged {
    /// Whether this directory, by its device and inode, is the top of an overlay.
    #[must_use]
    pub fn is_root(&self, device: u64, inode: u64) -> bool {
        self.roots
            .iter()
            .any(|&(_, dev, ino)| (dev, ino) == (device, inode))
    }

    /// Whether what lies at a real path is staged.
    #[must_use]
    pub fn covers(&self, real: &Path) -> bool {
        self.roots.iter().any(|(root, ..)| real.starts_with(root))
    }

    /// The directories whose changes go elsewhere: real paths.
    pub fn roots(&self) -> impl Iterator<Item = &Path> {
        self.roots.iter().map(|(root, ..)| root.as_path())
    }
}

/// What was being done for a staging namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum StagingStep {
    /// Making the namespaces.
    Namespaces = 1,
    /// Saying who is who in them.
    UserMap = 2,
    /// Making mounts a matter of this namespace only.
    Private = 3,
    /// A `/proc` of its own.
    Proc = 4,
    /// Opening a root again, which has to be the same directory.
    Root = 5,
    /// Making the two directories of an overlay.
    Layers = 6,
    /// Mounting an overlay.
    Overlay = 7,
    /// Going to the working directory as it is now.
    Cwd = 8,
    /// Giving up the rights that all this took.
    Capabilities = 9,
    /// Starting the process that goes on inside.
    Start = 10,
}

impl StagingStep {
    const ALL: [Self; 10] = [
        Self::Namespaces,
        Self::UserMap,
        Self::Private,
        Self::Proc,
        Self::Root,
        Self::Layers,
        Self::Overlay,
        Self::Cwd,
        Self::Capabilities,
        Self::Start,
    ];

    pub(crate) fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&step| step as u8 == number)
    }
}

impl fmt::Display for StagingStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespaces => "making user, mount and process namespaces",
            Self::UserMap => "mapping the user",
            Self::Private => "making mounts private",
            Self::Proc => "mounting /proc",
            Self::Root => "opening the directory",
            Self::Layers => "making the layers",
            Self::Overlay => "mounting the overlay",
            Self::Cwd => "entering the working directory",
            Self::Capabilities => "giving up capabilities",
            Self::Start => "starting the process inside",
        })
    }
}

/// Why writes cannot be staged. Nothing was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StagingError {
    /// Commands of root run as another user, whom an overlay cannot show root's files as their own.
    #[error("writes of root cannot be staged")]
    Root,
    /// A copy of this process would have one of its threads only.
    #[error("writes can be staged only before there is a second thread")]
    Threads,
    /// `/` cannot be covered, and a relative path is none.
    #[error("`{}` cannot be staged", .0.display())]
    Unfit(PathBuf),
    /// The system refused.
    #[error("{step} failed{}: {source}", of(root.as_deref()))]
    System {
        /// What was being done.
        step: StagingStep,
        /// For which root, if it was about one.
        root: Option<PathBuf>,
        /// Why it failed.
        source: io::Error,
    },
    /// This platform has no namespaces.
    #[error("staging writes is supported on Linux only (x86_64 and aarch64)")]
    Unsupported,
}

fn of(root: Option<&Path>) -> String {
    root.map(|root| format!(" for `{}`", root.display()))
        .unwrap_or_default()
}
