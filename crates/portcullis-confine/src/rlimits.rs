//! Resource limits of one command.

/// Resource limits of one command and everything it starts. `None` keeps the host's own limit; a
/// value above the host's hard limit is lowered to it.
///
/// # Defaults
/// - `core_bytes`: 0, because a core file holds the command's environment
/// - everything else: `None`
///
/// # Source
/// `getrlimit(2)`; soft and hard limit are set to the same value. `memory_bytes` has no counterpart there: the cell's
/// init looks at it fifty times a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rlimits {
    /// Largest core file, in bytes (`RLIMIT_CORE`).
    pub core_bytes: Option<u64>,
    /// Processor time of one process, in seconds (`RLIMIT_CPU`).
    pub cpu_seconds: Option<u64>,
    /// Address space of one process, in bytes (`RLIMIT_AS`).
    pub address_space_bytes: Option<u64>,
    /// Largest file the command may write, in bytes (`RLIMIT_FSIZE`).
    pub file_bytes: Option<u64>,
    /// Open descriptors of one process (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
    /// Processes of the user, counted per user namespace where the cell has its own
    /// (`RLIMIT_NPROC`).
    pub processes: Option<u64>,
    /// Memory of the whole tree together, in bytes: what its processes have written to and the cell's scratch
    /// directories hold. A tree that has more is killed, and [`Event::OverMemory`](crate::Event::OverMemory) says so.
    ///
    /// What several processes share counts for each of them. Files in memory that no process has mapped (`memfd`,
    /// System V segments) do not count, and a tree that grows fast has more for a moment.
    pub memory_bytes: Option<u64>,
}

impl Default for Rlimits {
    fn default() -> Self {
        Self {
            core_bytes: Some(0),
            cpu_seconds: None,
            address_space_bytes: None,
            file_bytes: None,
            open_files: None,
            processes: None,
            memory_bytes: None,
        }
    }
}

/// How many limits the kernel keeps for us.
pub(crate) const RLIMIT_COUNT: usize = 6;

impl Rlimits {
    /// The values that the kernel keeps, in the order of the message, which is that of the fields.
    pub(crate) fn values(&self) -> [Option<u64>; RLIMIT_COUNT] {
        [
            self.core_bytes,
            self.cpu_seconds,
            self.address_space_bytes,
            self.file_bytes,
            self.open_files,
            self.processes,
        ]
    }
}
