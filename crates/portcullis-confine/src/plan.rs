//! What confinement is wanted ([`Plan`]) and what the kernel says is in force ([`Report`]).

use std::fmt;

/// How much of the confinement a cell is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tier {
    /// Resource limits, an own pid namespace with its own `/proc`, `no_new_privs`, and the exact
    /// kill of the process tree. Files and network are those of the host's user.
    Limits,
}

/// The confinement that is wanted for the command of one cell.
///
/// There is no default: a caller writes out what it asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    tier: Tier,
}

impl Plan {
    /// Asks for [`Tier::Limits`]: the command is **not** confined, but it can be killed exactly.
    #[must_use]
    pub fn limits() -> Self {
        Self { tier: Tier::Limits }
    }

    /// Returns the tier that is asked for.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }
}

/// What is in force in a cell, read back from the kernel by the cell itself.
///
/// A report is never an echo of the plan: each line is the answer of a system call that was made
/// after the cell had been set up. `Display` gives the line for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Report {
    bits: u32,
}

const PID_NAMESPACE: u32 = 1 << 0;
const MOUNT_NAMESPACE: u32 = 1 << 1;
const USER_NAMESPACE: u32 = 1 << 2;
const OWN_PROC: u32 = 1 << 3;
const NO_NEW_PRIVS: u32 = 1 << 4;
const HIDDEN_INIT: u32 = 1 << 5;
const KNOWN: u32 = (1 << 6) - 1;
/// Without these a tree cannot be killed exactly, or the command could gain privileges.
const REQUIRED: u32 = PID_NAMESPACE | MOUNT_NAMESPACE | OWN_PROC | NO_NEW_PRIVS | HIDDEN_INIT;

/// What a cell found when it asked the kernel, before it is packed into a [`Report`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) pid_namespace: bool,
    pub(crate) mount_namespace: bool,
    pub(crate) user_namespace: bool,
    pub(crate) own_proc: bool,
    pub(crate) no_new_privs: bool,
    pub(crate) hidden_init: bool,
}

impl Report {
    pub(crate) fn new(found: Findings) -> Self {
        let flags = [
            (found.pid_namespace, PID_NAMESPACE),
            (found.mount_namespace, MOUNT_NAMESPACE),
            (found.user_namespace, USER_NAMESPACE),
            (found.own_proc, OWN_PROC),
            (found.no_new_privs, NO_NEW_PRIVS),
            (found.hidden_init, HIDDEN_INIT),
        ];
        let bits = flags
            .iter()
            .filter(|(set, _)| *set)
            .fold(0, |bits, (_, flag)| bits | flag);
        Self { bits }
    }

    /// Unpacks a report from a message; `None` for bits that this version does not know.
    pub(crate) fn from_bits(bits: u32) -> Option<Self> {
        (bits & !KNOWN == 0).then_some(Self { bits })
    }

    pub(crate) fn bits(self) -> u32 {
        self.bits
    }

    /// Whether everything that [`Tier::Limits`] promises is in force.
    pub(crate) fn satisfies(self, plan: &Plan) -> bool {
        match plan.tier() {
            Tier::Limits => self.bits & REQUIRED == REQUIRED,
        }
    }

    /// Whether files and network are confined. No tier of this version does that.
    #[must_use]
    pub fn is_confined(self) -> bool {
        false
    }

    /// Whether the command sees only the processes of its own cell.
    #[must_use]
    pub fn own_pid_namespace(self) -> bool {
        self.bits & PID_NAMESPACE != 0
    }

    /// Whether mounts made in the cell stay in the cell.
    #[must_use]
    pub fn own_mount_namespace(self) -> bool {
        self.bits & MOUNT_NAMESPACE != 0
    }

    /// Whether the cell has a user namespace of its own, in which the user is mapped to itself.
    #[must_use]
    pub fn own_user_namespace(self) -> bool {
        self.bits & USER_NAMESPACE != 0
    }

    /// Whether `/proc` is that of the cell, mounted `nosuid`, `nodev`, `noexec`.
    #[must_use]
    pub fn own_proc(self) -> bool {
        self.bits & OWN_PROC != 0
    }

    /// Whether set-user-id programs and file capabilities give nothing.
    #[must_use]
    pub fn no_new_privs(self) -> bool {
        self.bits & NO_NEW_PRIVS != 0
    }

    /// Whether the cell's init cannot be traced or read by its own command.
    #[must_use]
    pub fn hidden_init(self) -> bool {
        self.bits & HIDDEN_INIT != 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("children: not confined")?;
        let lines = [
            (self.own_pid_namespace(), "own pid namespace"),
            (self.own_mount_namespace(), "own mount namespace"),
            (self.own_user_namespace(), "own user namespace"),
            (self.own_proc(), "own /proc"),
            (self.no_new_privs(), "no_new_privs"),
            (self.hidden_init(), "hidden init"),
        ];
        let mut separator = "; in force: ";
        for (_, line) in lines.iter().filter(|(set, _)| *set) {
            write!(out, "{separator}{line}")?;
            separator = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_bits_are_refused() {
        assert!(Report::from_bits(KNOWN).is_some());
        assert!(Report::from_bits(KNOWN + 1).is_none());
        assert!(Report::from_bits(u32::MAX).is_none());
    }

    #[test]
    fn every_required_finding_is_needed() {
        let full = Report::from_bits(REQUIRED).unwrap();
        assert!(full.satisfies(&Plan::limits()));
        for bit in (0..u32::BITS)
            .map(|shift| 1 << shift)
            .filter(|bit| REQUIRED & bit != 0)
        {
            let less = Report::from_bits(REQUIRED & !bit).unwrap();
            assert!(!less.satisfies(&Plan::limits()), "without bit {bit}");
        }
    }

    #[test]
    fn display_never_claims_confinement() {
        let found = Findings {
            pid_namespace: true,
            no_new_privs: true,
            ..Findings::default()
        };
        assert_eq!(
            Report::new(found).to_string(),
            "children: not confined; in force: own pid namespace, no_new_privs"
        );
        assert_eq!(
            Report::from_bits(0).unwrap().to_string(),
            "children: not confined"
        );
    }
}
