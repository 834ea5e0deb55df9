//! What the kernel says is in force in a cell.

use std::fmt;

use crate::{Plan, Tier};

macro_rules! protections {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $text:literal;)*) => {
        /// One thing that the kernel enforces, or does not, found out by asking it or by trying.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Protection { $($(#[$doc])* $name,)* }

        impl Protection {
            /// Every protection, in the order in which they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            const fn bit(self) -> u32 {
                match self { $(Self::$name => 1 << $bit,)* }
            }

            /// A phrase for reports.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

protections! {
    /// The command sees only the processes of its own cell, and they are killed with it.
    PidNamespace = 0, "own pid namespace";
    /// Mounts made in the cell stay in the cell.
    MountNamespace = 1, "own mount namespace";
    /// The cell has a user namespace of its own.
    UserNamespace = 2, "own user namespace";
    /// System V and POSIX message queues and shared memory are the cell's own.
    IpcNamespace = 3, "own ipc namespace";
    /// The host's name cannot be changed.
    UtsNamespace = 4, "own uts namespace";
    /// The host's network cannot be reached.
    NetNamespace = 5, "own network namespace";
    /// `/proc` is that of the cell.
    OwnProc = 6, "own /proc";
    /// The root is the cell's own and read-only; the host's is gone.
    OwnRoot = 7, "own read-only root";
    /// Set-user-id programs and file capabilities give nothing.
    NoNewPrivs = 8, "no_new_privs";
    /// The command's sets of capabilities are empty. Without a user namespace the bounding set is what it was; nothing
    /// is gained from it under `no_new_privs`.
    NoCapabilities = 9, "no capabilities";
    /// The command is not the host's root: a user that owns nothing else where the host is root.
    Unprivileged = 10, "unprivileged user";
    /// A system call filter is installed, and refused what it has to refuse.
    Seccomp = 11, "seccomp";
    /// A Landlock domain is in force, and refused what it has to refuse.
    Landlock = 12, "Landlock";
    /// The cell's init cannot be traced or read by its own command.
    HiddenInit = 13, "hidden init";
    /// The cell's init can tell how much memory its tree has: a limit on it would be kept.
    MemoryWatch = 14, "memory watch";
    /// The cell has a cgroup that limits the memory of all its processes together. Takes the place of the watch.
    MemoryCgroup = 15, "memory cgroup";
    /// The cell has a cgroup that limits how many processes and threads it has.
    ProcessesCgroup = 16, "processes cgroup";
}

/// What the host finds out itself, and believes nobody else.
const HOSTS_OWN: u32 = Protection::MemoryCgroup.bit() | Protection::ProcessesCgroup.bit();

/// What is in force in a cell, read back from the kernel: by the cell itself, and what it inherits from its template
/// and cannot undo by the template.
///
/// A report is never an echo of the plan: each line is the answer of a system call that was made after that part had
/// been set up, or the refusal of an act that was tried in the cell. Of cgroups, which no cell can see, the host says
/// what it has read. `Display` gives the line for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Report {
    tier: Tier,
    bits: u32,
    landlock_abi: u8,
}

/// Every bit that has a meaning in a message.
const KNOWN: u32 = {
    let mut known = 0;
    let mut index = 0;
    while index < Protection::ALL.len() {
        known |= Protection::ALL[index].bit();
        index += 1;
    }
    known & !HOSTS_OWN
};

/// The oldest Landlock with both scopes, which the tier without namespaces rests on (Linux 6.12).
const ABI_WITH_SCOPES: u8 = 6;

impl Report {
    /// A report of these findings.
    pub(crate) fn new(
        tier: Tier,
        landlock_abi: u8,
        found: impl IntoIterator<Item = Protection>,
    ) -> Self {
        let bits = found
            .into_iter()
            .fold(0, |bits, protection| bits | protection.bit());
        Self {
            tier,
            bits,
            landlock_abi,
        }
    }

    /// Unpacks a report from two words of a message; `None` for what this version does not know.
    pub(crate) fn from_words([bits, second]: [u32; 2]) -> Option<Self> {
        let [code, landlock_abi, 0, 0] = second.to_le_bytes() else {
            return None;
        };
        let tier = Tier::from_code(u32::from(code))?;
        (bits & !KNOWN == 0).then_some(Self {
            tier,
            bits,
            landlock_abi,
        })
    }

    pub(crate) fn words(self) -> [u32; 2] {
        let [code, ..] = self.tier.code().to_le_bytes();
        let second = u32::from_le_bytes([code, self.landlock_abi, 0, 0]);
        [self.bits, second]
    }

    /// The same, in a cgroup that keeps these limits.
    pub(crate) fn in_cgroup(mut self, limits: impl IntoIterator<Item = Protection>) -> Self {
        for limit in limits {
            self.bits |= limit.bit();
            if limit == Protection::MemoryCgroup {
                self.bits &= !Protection::MemoryWatch.bit();
            }
        }
        self
    }

    /// The first protection that the plan promises and that is not in force.
    pub(crate) fn missing(self, plan: &Plan) -> Option<Protection> {
        let required = required(plan);
        let scopes = plan.tier == Tier::Landlock && self.landlock_abi < ABI_WITH_SCOPES;
        let missing = required
            .into_iter()
            .find(|&protection| !self.has(protection));
        missing.or(scopes.then_some(Protection::Landlock))
    }

    /// Whether this is in force.
    #[must_use]
    pub fn has(self, protection: Protection) -> bool {
        self.bits & protection.bit() != 0
    }

    /// Whether files and network are confined.
    #[must_use]
    pub fn is_confined(self) -> bool {
        self.tier.confines()
    }

    /// The tier that was asked for and is in force.
    #[must_use]
    pub fn tier(self) -> Tier {
        self.tier
    }

    /// The version of Landlock that enforces; 0 where it does not.
    #[must_use]
    pub fn landlock_abi(self) -> u8 {
        self.landlock_abi
    }

    /// Everything that is in force.
    pub fn in_force(self) -> impl Iterator<Item = Protection> {
        Protection::ALL
            .iter()
            .copied()
            .filter(move |&protection| self.has(protection))
    }

    /// Everything that is not in force, but for cgroups and what a cgroup takes the place of: the limits of a cell
    /// without one are kept in another way.
    pub fn not_in_force(self) -> impl Iterator<Item = Protection> {
        let kept = move |protection| match protection {
            Protection::MemoryCgroup | Protection::ProcessesCgroup => true,
            Protection::MemoryWatch => self.has(Protection::MemoryCgroup),
            _ => false,
        };
        Protection::ALL
            .iter()
            .copied()
            .filter(move |&protection| !self.has(protection) && !kept(protection))
    }
}

/// What must be in force for a plan, or its cell is not handed out.
fn required(plan: &Plan) -> Vec<Protection> {
    use Protection as P;
    let tree = [P::PidNamespace, P::MountNamespace, P::OwnProc];
    let always = [P::NoNewPrivs, P::HiddenInit];
    let confined = [P::NoCapabilities, P::Unprivileged, P::Seccomp];
    let own_root = [
        P::UserNamespace,
        P::IpcNamespace,
        P::UtsNamespace,
        P::OwnRoot,
    ];
    let own_net = (plan.net != crate::Net::Open).then_some(P::NetNamespace);
    let mut required = always.to_vec();
    if plan.tier != Tier::Landlock {
        required.extend(tree);
    }
    if plan.tier.confines() {
        required.extend(confined);
    }
    if plan.tier.has_own_root() {
        required.extend(own_root.into_iter().chain(own_net));
    }
    if plan.tier.has_landlock() {
        required.push(P::Landlock);
    }
    required
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_confined() {
            write!(out, "children: confined ({})", self.tier.name())?;
        } else {
            out.write_str("children: not confined")?;
        }
        let mut separator = "; in force: ";
        for protection in self.in_force() {
            write!(out, "{separator}{}", protection.text())?;
            if protection == Protection::Landlock {
                write!(out, " (ABI {})", self.landlock_abi)?;
            }
            separator = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Net;

    fn everything(tier: Tier) -> Report {
        Report::new(tier, 7, Protection::ALL.iter().copied())
    }

    #[test]
    fn unknown_words_are_refused() {
        let own = Protection::ALL.iter().copied();
        let own = own.filter(|p| p.bit() & HOSTS_OWN == 0);
        let report = Report::new(Tier::Full, 7, own);
        let words = report.words();
        assert_eq!(Report::from_words(words), Some(report));
        for claimed in [Protection::MemoryCgroup, Protection::ProcessesCgroup] {
            let words = report.in_cgroup([claimed]).words();
            assert_eq!(Report::from_words(words), None, "{claimed:?}");
        }
        assert_eq!(Report::from_words([KNOWN + 1, words[1]]), None);
        assert_eq!(Report::from_words([0, 0]), None, "no tier has this code");
        assert_eq!(Report::from_words([0, 1 << 16 | words[1]]), None);
    }

    #[test]
    fn every_required_protection_is_needed() {
        for tier in [Tier::Full, Tier::Namespaces, Tier::Landlock, Tier::Limits] {
            let plan = Plan::new(tier);
            assert_eq!(everything(tier).missing(&plan), None);
            for needed in required(&plan) {
                let rest = Protection::ALL.iter().copied().filter(|&p| p != needed);
                let less = Report::new(tier, 7, rest);
                assert_eq!(less.missing(&plan), Some(needed), "{tier:?}");
            }
        }
    }

    #[test]
    fn an_open_network_needs_no_namespace_and_scopes_need_their_abi() {
        let rest = Protection::ALL
            .iter()
            .copied()
            .filter(|&p| p != Protection::NetNamespace);
        let report = Report::new(Tier::Full, 7, rest);
        assert_eq!(
            report.missing(&Plan::new(Tier::Full).network(Net::Open)),
            None
        );
        assert!(report.missing(&Plan::new(Tier::Full)).is_some());
        let old = Report::new(Tier::Landlock, 5, Protection::ALL.iter().copied());
        assert_eq!(
            old.missing(&Plan::new(Tier::Landlock)),
            Some(Protection::Landlock)
        );
    }

    #[test]
    fn a_cgroup_takes_the_place_of_the_watch() {
        use Protection as P;
        let watched = Report::new(Tier::Full, 7, [P::MemoryWatch]);
        let memory = watched.in_cgroup([P::MemoryCgroup]);
        assert!(memory.has(P::MemoryCgroup) && !memory.has(P::MemoryWatch));
        let processes = watched.in_cgroup([P::ProcessesCgroup]);
        assert!(processes.has(P::ProcessesCgroup) && processes.has(P::MemoryWatch));
        let not = |report: Report| report.not_in_force().any(|p| p == P::MemoryWatch);
        assert!(!not(watched) && !not(memory) && not(Report::new(Tier::Full, 7, [])));
        let cgroups = |p| matches!(p, P::MemoryCgroup | P::ProcessesCgroup);
        assert!(!watched.not_in_force().any(cgroups));
    }

    #[test]
    fn display_claims_what_is_in_force() {
        let found = [Protection::PidNamespace, Protection::NoNewPrivs];
        assert_eq!(
            Report::new(Tier::Limits, 0, found).to_string(),
            "children: not confined; in force: own pid namespace, no_new_privs"
        );
        assert_eq!(
            Report::new(Tier::Full, 7, [Protection::Landlock]).to_string(),
            "children: confined (full); in force: Landlock (ABI 7)"
        );
    }
}
