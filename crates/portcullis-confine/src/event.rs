//! What a cell tells its host about the one command it ran.

use std::{fmt, time::Duration};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// The command ended by itself with this code.
    Code(u8),
    /// This signal ended the command. Never to be mistaken for a code.
    Signal(i32),
}

impl Status {
    /// Reads a wait status; `None` for a process that has not ended.
    pub(crate) fn from_wait(raw: i32) -> Option<Self> {
        let [low, code, 0, 0] = raw.to_le_bytes() else {
            return None;
        };
        match (low & 0x7f, low & 0x80) {
            (0, 0) => Some(Self::Code(code)),
            // 0x7f marks a stopped process, which is none that ended; 0x80 a core dump.
            (1..0x7f, _) if code == 0 => Some(Self::Signal(i32::from(low & 0x7f))),
            _ => None,
        }
    }
}

/// What the whole tree of a cell used, as far as its processes were waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Usage {
    /// Processor time outside the kernel.
    pub user: Duration,
    /// Processor time inside the kernel.
    pub system: Duration,
    /// Largest resident set of any one process, in bytes.
    pub max_rss_bytes: u64,
}

/// What became of the command of a cell. Each cell sends exactly one, then is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The command was never started.
    Failed {
        /// Where it failed.
        step: Step,
        /// The error number of that step.
        errno: i32,
    },
    /// The command ended by itself or by a signal, and nothing of its tree is left.
    Exited {
        /// How it ended.
        status: Status,
        /// Processes that outlived it and were killed before this event was sent.
        stragglers: u32,
        /// What the tree used.
        usage: Usage,
    },
    /// The leash was pulled while the command ran, and nothing of its tree is left.
    Killed {
        /// Processes that were killed, the command included.
        processes: u32,
        /// What the tree used.
        usage: Usage,
    },
    /// The tree had more memory than [`Rlimits::memory_bytes`](crate::Rlimits::memory_bytes) or
    /// [`Plan::limit_memory`](crate::Plan::limit_memory), and nothing of it is left.
    OverMemory {
        /// Processes that were killed, the command included; at least so many where the kernel did it.
        processes: u32,
        /// What the tree used.
        usage: Usage,
    },
}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// One step of making a cell or of starting a command in it, named in errors.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Step { $($(#[$doc])* $name = $code,)* }

        impl Step {
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];

            pub(crate) fn from_code(code: u32) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }

            pub(crate) fn code(self) -> u32 { self as u32 }
        }

        impl fmt::Display for Step {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(match self { $(Self::$name => $text,)* })
            }
        }
    };
}

steps! {
    /// The server made the socket of a cell.
    Socket = 1, "making the cell's socket";
    /// The server cloned the init into its namespaces.
    Namespaces = 2, "making the cell's namespaces";
    /// The init tied its life to the server's.
    Leash = 3, "tying the cell to its server";
    /// The init mapped its user to itself.
    UserMap = 4, "mapping the user into the cell";
    /// The init made its mounts private.
    PrivateMounts = 5, "making the cell's mounts private";
    /// The init mounted its own `/proc`.
    MountProc = 6, "mounting the cell's own /proc";
    /// The init hid itself from what it starts.
    Hide = 7, "hiding the cell's init";
    /// The init prepared its signals.
    Signals = 8, "preparing the cell's signals";
    /// The init read back what is in force, and something was missing.
    ReadBack = 9, "reading back what is in force";
    /// The init left the server's session.
    Session = 10, "making the cell's session";
    /// The command was to be another user than root.
    Unprivileged = 11, "running root's command as another user";
    /// The granted directories were mounted for another user than root.
    Owners = 12, "mounting what was granted for another user than root";
    /// The template found the system's directories and devices.
    System = 13, "finding the system's directories";
    /// The template made its root.
    Root = 14, "making the cell's root";
    /// The template put aside what its cells mount.
    Stage = 15, "preparing the cell's mounts";
    /// The plan's roots were mounted.
    Roots = 16, "mounting what was granted";
    /// The scratch directories were mounted.
    Scratch = 17, "mounting the cell's scratch directories";
    /// User namespaces were forbidden in the cell.
    UserNamespaces = 18, "forbidding user namespaces in the cell";
    /// The cell's network was set up.
    Network = 19, "setting up the cell's network";
    /// Capabilities were given up.
    Capabilities = 20, "giving up capabilities";
    /// The Landlock domain was entered.
    Landlock = 21, "entering the Landlock domain";
    /// The system call filter was installed.
    Seccomp = 22, "installing the system call filter";
    /// The host looked whether the cell is in the cgroup that was made for it.
    Cgroup = 23, "finding the cell in its cgroup";
    /// The init read the request for its command.
    Request = 32, "reading the request";
    /// The program is something this kernel runs by itself.
    CheckProgram = 33, "checking the program's format";
    /// The init cloned the command.
    Clone = 34, "starting a process";
    /// The command's own process group.
    ProcessGroup = 35, "making a process group";
    /// The command's resource limits.
    Limits = 36, "setting resource limits";
    /// The command's standard input, output and error.
    Stdio = 37, "setting standard input and output";
    /// The command's working directory.
    WorkingDirectory = 38, "entering the working directory";
    /// All other descriptors are marked to be closed.
    CloseDescriptors = 39, "closing descriptors";
    /// The command's signal mask.
    SignalMask = 40, "unblocking signals";
    /// The program itself.
    Exec = 41, "executing the program";
    /// The filter by which the command is observed.
    Observer = 42, "letting the command be observed";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wait_statuses() {
        assert_eq!(Status::from_wait(0), Some(Status::Code(0)));
        assert_eq!(Status::from_wait(255 << 8), Some(Status::Code(255)));
        assert_eq!(Status::from_wait(15), Some(Status::Signal(15)));
        assert_eq!(Status::from_wait(11 | 0x80), Some(Status::Signal(11)));
        for stopped_or_impossible in [0x137f, 0xffff, 0x80, 0x0f0f, 1 << 16, -1] {
            assert_eq!(
                Status::from_wait(stopped_or_impossible),
                None,
                "{stopped_or_impossible:x}"
            );
        }
    }

    #[test]
    fn step_codes_are_reversible() {
        for &step in Step::ALL {
            assert_eq!(Step::from_code(step.code()), Some(step));
        }
        assert_eq!(Step::from_code(0), None);
    }
}
