//! A case as data: one act of an attacker, what is to become of it in each tier, and what shows it.

use std::fmt;

/// How much confinement the policy asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    Full,
    Namespaces,
    Landlock,
}

impl Tier {
    pub(crate) const ALL: [Self; 3] = [Self::Full, Self::Namespaces, Self::Landlock];

    /// As it is written in a policy.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Namespaces => "namespaces",
            Self::Landlock => "landlock",
        }
    }
}

/// A part of the wall that can be left out by itself, where that is compiled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    Mounts,
    Landlock,
    Seccomp,
    Namespaces,
    Caps,
    Rlimits,
    Env,
    Fds,
    Hidden,
}

impl Layer {
    pub(crate) const ALL: [Self; 9] = [
        Self::Mounts,
        Self::Landlock,
        Self::Seccomp,
        Self::Namespaces,
        Self::Caps,
        Self::Rlimits,
        Self::Env,
        Self::Fds,
        Self::Hidden,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mounts => "mounts",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::Namespaces => "namespaces",
            Self::Caps => "caps",
            Self::Rlimits => "rlimits",
            Self::Env => "env",
            Self::Fds => "fds",
            Self::Hidden => "hidden",
        }
    }
}

/// What a tier is to do about an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// The act fails with exactly this error, and nothing happened outside.
    Refused(&'static str),
    /// The act succeeds on something that is the cell's own; nothing happened outside.
    Own,
    /// This tier does not stop the act. Said in the documentation, and shown here so that it stays true.
    Open,
    /// As in the tier `full`.
    AsFull,
    /// The tier does not offer what the case is about.
    Absent,
    /// This user's commands are not started in this tier at all.
    NotStarted,
}

impl fmt::Display for Expect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => out.write_str(error),
            Self::Own => out.write_str("own"),
            Self::Open => out.write_str("**open**"),
            Self::AsFull => out.write_str("as full"),
            Self::Absent => out.write_str("–"),
            Self::NotStarted => out.write_str("not started"),
        }
    }
}

/// What a policy has to say for the act to be allowed. Names in braces are filled in by the scene.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Grant {
    /// No policy allows it; there is no such control.
    Never,
    Read(&'static str),
    Write(&'static str),
    Net(&'static str),
    /// The programs the command may execute; without the grant it may execute none.
    Exec(&'static [&'static str]),
    /// Writable directories out of which code may be run.
    WriteExec(&'static str),
}

/// What has to be there before the act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prepare {
    Nothing,
    /// `{port}`: a service of the host.
    TcpService,
    UdpService,
    /// `{socket}`: the same in the file system.
    UnixService,
    UnixDatagramService,
    /// `{abstract}`: the same under a name that is no file.
    AbstractService,
    /// `{victim}`, `{address}`: a process of the same user with a secret.
    Victim,
    /// `{key}`: a key, shared memory, a queue of the same user.
    Key,
    SharedMemory,
    Queue,
    /// `{shm}`: a file of the host's shared memory.
    ShmFile,
    /// Descriptor 9 of whoever starts the command is open on the secret.
    InheritedFile,
    /// The same with a connected socket.
    InheritedSocket,
    /// The command's starter has a controlling terminal, which is its standard input.
    Terminal,
    /// The directory `{ro}` is replaced while the command runs.
    ReplacedRoot,
    /// `{set_id}`: a program with the set-user-id bit of somebody else.
    SetId,
    /// The starter's environment has a secret under a name that nothing allows.
    HostSecret,
    /// The kernel runs files of an unknown format by an interpreter of the attacker's.
    ForeignFormat,
    /// `{probe}`: the program belongs to the user.
    OwnProgram,
    /// As `UnixService`, inside `{ro}`.
    GrantedUnixService,
}

/// How it is seen from outside that the act had its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    /// The kernel's answer is all there is: nothing outside changes and nothing is learned.
    Answer,
    /// The command came to know this text.
    Learned(&'static str),
    /// The file's content, mode, times, attributes or existence changed.
    Changed(&'static str),
    /// The service got the message.
    Delivered,
    /// The victim's life, limits, priority or memory changed.
    VictimChanged,
    /// Something was typed into the terminal.
    Typed,
}

/// One case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) number: &'static str,
    /// A sentence whose subject is the command.
    pub(crate) title: &'static str,
    pub(crate) act: &'static [&'static str],
    /// What the control does instead, where the act's own target is out of reach on some machines.
    pub(crate) free_act: Option<&'static [&'static str]>,
    pub(crate) prepare: Prepare,
    pub(crate) full: Expect,
    pub(crate) namespaces: Expect,
    pub(crate) landlock: Expect,
    /// Where the host is root and the kernel answers differently for it.
    pub(crate) full_as_root: Option<Expect>,
    /// What the policy has in any case.
    pub(crate) given: Grant,
    pub(crate) grant: Grant,
    pub(crate) truth: Truth,
    /// All of them left out, the act succeeds.
    pub(crate) leans: &'static [Layer],
    /// Unconfined, only root can do it: the positive control is then root's, for both users.
    pub(crate) needs_root: bool,
    /// The error by which a kernel says that it has no such thing, which is then not a target.
    pub(crate) missing: Option<&'static str>,
}

impl Case {
    /// What most cases have in common.
    pub(crate) const BASE: Self = Self {
        number: "",
        title: "",
        act: &[],
        free_act: None,
        prepare: Prepare::Nothing,
        full: Expect::Absent,
        namespaces: Expect::AsFull,
        landlock: Expect::AsFull,
        full_as_root: None,
        given: Grant::Never,
        grant: Grant::Never,
        truth: Truth::Answer,
        leans: &[],
        needs_root: false,
        missing: None,
    };

    pub(crate) fn expected(&self, tier: Tier, root: bool) -> Expect {
        // Without a user namespace the commands of root would be root's.
        if root && tier == Tier::Landlock {
            return Expect::NotStarted;
        }
        let full = self.full_as_root.filter(|_| root).unwrap_or(self.full);
        let own = match tier {
            Tier::Full => full,
            Tier::Namespaces => self.namespaces,
            Tier::Landlock => self.landlock,
        };
        if own == Expect::AsFull { full } else { own }
    }
}
