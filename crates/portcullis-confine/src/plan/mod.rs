//! What confinement is wanted for a command.

mod certificates;
#[cfg(all(test, target_os = "linux"))]
mod equality;
mod root;
pub(crate) mod system;

use std::path::{Path, PathBuf};

pub use certificates::Certificates;
pub use root::{Access, Root, RootError};
pub use system::is_system;

/// How much of the confinement a cell is to have. There is no best effort: a cell that cannot have it is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tier {
    /// Own user, mount, pid, ipc, uts and network namespaces, a fresh root, Landlock, seccomp, no capabilities.
    Full,
    /// As [`Tier::Full`] without Landlock: lists of programs and the scopes inside a cell are not enforced.
    Namespaces,
    /// Landlock and seccomp in the host's own namespaces, for systems that forbid user namespaces. Metadata of files
    /// (modes, times, existence) and command lines of other processes stay reachable, and the tree is killed by a
    /// walk over its processes.
    Landlock,
    /// Resource limits, an own pid namespace with its own `/proc`, `no_new_privs`, and the exact kill of the process
    /// tree. Files and network are those of the host's user.
    Limits,
}

impl Tier {
    /// The word used in policy files and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Namespaces => "namespaces",
            Self::Landlock => "landlock",
            Self::Limits => "limits",
        }
    }

    const ALL: [Self; 4] = [Self::Full, Self::Namespaces, Self::Landlock, Self::Limits];

    /// What stands for it in a message.
    pub(crate) const fn code(self) -> u32 {
        match self {
            Self::Full => 1,
            Self::Namespaces => 2,
            Self::Landlock => 3,
            Self::Limits => 4,
        }
    }

    pub(crate) fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.code() == code)
    }

    /// Whether its cells have namespaces and a root of their own.
    #[must_use]
    pub const fn has_own_root(self) -> bool {
        matches!(self, Self::Full | Self::Namespaces)
    }

    /// Whether the cell has a Landlock domain of its own.
    pub(crate) const fn has_landlock(self) -> bool {
        matches!(self, Self::Full | Self::Landlock)
    }

    /// Whether files and network of a command are confined at all.
    pub(crate) const fn confines(self) -> bool {
        !matches!(self, Self::Limits)
    }
}

/// Which network a command reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Net {
    /// None: Internet sockets cannot even be made.
    #[default]
    None,
    /// A loopback interface that is the cell's own.
    Loopback,
    /// As `Loopback`, with a listener on [`PROXY_PORT`](crate::PROXY_PORT) whose other side the host holds
    /// ([`Cell::take_listener`](crate::Cell::take_listener)).
    Proxy,
    /// The host's own network.
    Open,
}

impl Net {
    const ALL: [Self; 4] = [Self::None, Self::Loopback, Self::Proxy, Self::Open];

    pub(crate) const fn code(self) -> u32 {
        match self {
            Self::None => 1,
            Self::Loopback => 2,
            Self::Proxy => 3,
            Self::Open => 4,
        }
    }

    pub(crate) fn from_code(code: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|net| net.code() == code)
    }
}

/// The confinement that is wanted for the command of one cell.
///
/// There is no default tier: a caller writes out what it asks for. Two equal plans may share a
/// [`Template`](crate::Template), never a cell.
///
/// # Defaults
/// - no root: the command sees the system's programs and libraries and its own empty scratch directories
/// - no network
/// - any program of the system may be executed
/// - `HOME` is `/nonexistent`
/// - the certificates of the system are trusted
/// - no cgroup of its own
///
/// # Examples
/// ```
/// use portcullis_confine::{Access, Net, Plan, Root, Tier};
///
/// let plan = Plan::new(Tier::Full).home("/home/ann").network(Net::Loopback);
/// assert_eq!(plan.tier(), Tier::Full);
/// # #[cfg(target_os = "linux")]
/// let plan = plan.root(Root::open("/usr/share".as_ref(), Access::Read)?);
/// # Ok::<(), portcullis_confine::RootError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    pub(crate) tier: Tier,
    pub(crate) net: Net,
    pub(crate) listed: bool,
    pub(crate) shared: bool,
    pub(crate) home: Option<PathBuf>,
    pub(crate) roots: Vec<Root>,
    pub(crate) empty: Vec<PathBuf>,
    pub(crate) certificates: Option<Certificates>,
    /// What a cgroup of each cell keeps; not told to the server, which has nothing to do with it.
    pub(crate) memory: Option<u64>,
    pub(crate) processes: Option<u64>,
    #[cfg(feature = "test-points")]
    pub(crate) stop: Option<crate::linux::Stop>,
}

impl Plan {
    /// Most roots and empty directories that a plan can have: their descriptors travel in one message.
    pub const MAX_ROOTS: usize = 200;

    /// A plan of this tier that grants nothing.
    #[must_use]
    pub fn new(tier: Tier) -> Self {
        Self {
            tier,
            net: Net::None,
            listed: false,
            shared: false,
            home: None,
            roots: Vec::new(),
            empty: Vec::new(),
            certificates: None,
            memory: None,
            processes: None,
            #[cfg(feature = "test-points")]
            stop: None,
        }
    }

    /// Asks for [`Tier::Limits`]: the command is **not** confined, but it can be killed exactly.
    #[must_use]
    pub fn limits() -> Self {
        Self::new(Tier::Limits)
    }

    /// Adds a directory or file. One inside another is mounted on top of it and narrows or widens it there; it cannot be
    /// renamed or removed by the command.
    #[must_use]
    pub fn root(mut self, root: Root) -> Self {
        self.roots.push(root);
        self.roots.sort_by(|a, b| a.path().cmp(b.path()));
        self
    }

    /// Makes sure that a directory is there, empty and read-only if no root lies there: for a working directory that
    /// was not granted. Absolute, without links.
    #[must_use]
    pub fn empty_directory(mut self, path: impl Into<PathBuf>) -> Self {
        self.empty.push(path.into());
        self
    }

    /// Adds all of these, as [`Plan::root`] does one.
    #[must_use]
    pub fn roots_of(self, roots: impl IntoIterator<Item = Root>) -> Self {
        roots.into_iter().fold(self, Self::root)
    }

    /// Shows these certificates wherever the system keeps its own, which are not there then. Only where cells have a root
    /// of their own.
    #[must_use]
    pub fn certificates(mut self, certificates: Certificates) -> Self {
        self.certificates = Some(certificates);
        self
    }

    /// Sets the network. Default: [`Net::None`].
    #[must_use]
    pub fn network(mut self, net: Net) -> Self {
        self.net = net;
        self
    }

    /// Sets the home directory, an empty one of the cell's own with those roots in it that lie there.
    #[must_use]
    pub fn home(mut self, home: impl Into<PathBuf>) -> Self {
        self.home = Some(home.into());
        self
    }

    /// Lets the command execute only files with [`Access::Program`], and what is in roots with [`Access::WriteExec`]; the
    /// loader beside them. The system's libraries stay readable, its programs do not; a directory with
    /// [`Access::Program`] is read and its libraries are mapped, but its programs need a root each. Needs Landlock.
    ///
    /// The loader can be made to run a program that can be read and lies where code may be mapped: one among the system's
    /// libraries, or in such a directory.
    #[must_use]
    pub fn only_listed_programs(mut self) -> Self {
        self.listed = true;
        self
    }

    /// Lets cells of this plan share scratch directories, ipc and network namespace, one after the other or at once.
    /// Each command still has its own pid namespace and Landlock domain.
    #[must_use]
    pub fn share_scratch(mut self) -> Self {
        self.shared = true;
        self
    }

    /// Has each cell be in a cgroup of its own that lets all its processes together have so many bytes of memory, where a
    /// part of the tree is ours ([`cgroup_obstacle`](crate::cgroup_obstacle) says why it is not). What several of them
    /// share counts once; what the kernel keeps for them counts, too.
    ///
    /// Elsewhere, [`Rlimits::memory_bytes`](crate::Rlimits::memory_bytes) of the command is what counts, so set both.
    #[must_use]
    pub fn limit_memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// As [`Plan::limit_memory`], for the number of processes and threads of a command and all that it starts. Elsewhere,
    /// [`Rlimits::processes`](crate::Rlimits::processes) is what counts.
    #[must_use]
    pub fn limit_processes(mut self, count: u64) -> Self {
        self.processes = Some(count);
        self
    }

    /// What may be done with a root by name: with a list, nothing in a directory of programs is executed.
    pub(crate) fn access_to(&self, root: &Root) -> Access {
        match root.access() {
            Access::Program if self.listed && root.is_directory() => Access::Read,
            access => access,
        }
    }

    /// The tier that is asked for.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// The network that is asked for.
    #[must_use]
    pub fn net(&self) -> Net {
        self.net
    }

    /// The roots, sorted by path.
    #[must_use]
    pub fn roots(&self) -> &[Root] {
        &self.roots
    }

    /// Whether cells of this plan share their scratch directories.
    #[must_use]
    pub fn shares_scratch(&self) -> bool {
        self.shared
    }

    /// Whether its cells show certificates in place of the system's.
    #[must_use]
    pub fn has_certificates(&self) -> bool {
        self.certificates.is_some() && self.tier.has_own_root()
    }

    /// The home directory, if one was set.
    #[must_use]
    pub fn home_directory(&self) -> Option<&Path> {
        self.home.as_deref()
    }
}
