//! What a payload tries, and how the harness names it.

use serde::Deserialize;
use std::collections::BTreeSet;

/// One of the nine powers. The order is that of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Power {
    /// Code of the caller's choice ran: it left a sum that it had to work out.
    RunCode,
    /// `/usr/bin/id` ran and left its output.
    OtherPrograms,
    /// The content of a file outside the grant arrived in the grant.
    Read,
    /// A file outside the grant has new content.
    Write,
    /// A file outside the grant has a new mode.
    Chmod,
    /// A listener on loopback accepted a connection.
    Tcp,
    /// A listener on a pathname socket outside the grant accepted a connection.
    UnixSocket,
    /// A variable of another process's environment arrived in the grant.
    Environ,
    /// Another process died of the signal.
    Signal,
}

/// A set of powers.
pub(crate) type Powers = BTreeSet<Power>;

impl Power {
    /// All nine, in the table's order.
    pub(crate) const ALL: [Self; 9] = [
        Self::RunCode,
        Self::OtherPrograms,
        Self::Read,
        Self::Write,
        Self::Chmod,
        Self::Tcp,
        Self::UnixSocket,
        Self::Environ,
        Self::Signal,
    ];

    /// The two that a cell may leave: both act on the sandbox only.
    pub(crate) const INSIDE: [Self; 2] = [Self::RunCode, Self::OtherPrograms];

    /// The letter that stands for it in the table.
    pub(crate) const fn letter(self) -> char {
        match self {
            Self::RunCode => 'c',
            Self::OtherPrograms => 'p',
            Self::Read => 'r',
            Self::Write => 'w',
            Self::Chmod => 'm',
            Self::Tcp => 't',
            Self::UnixSocket => 'u',
            Self::Environ => 'e',
            Self::Signal => 's',
        }
    }

    /// The word of the native payload for having tried it.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::RunCode => "run-code",
            Self::OtherPrograms => "other-programs",
            Self::Read => "read",
            Self::Write => "write",
            Self::Chmod => "chmod",
            Self::Tcp => "tcp",
            Self::UnixSocket => "unix-socket",
            Self::Environ => "environ",
            Self::Signal => "signal",
        }
    }

    /// Its name in the table's legend.
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::RunCode => "run code",
            Self::OtherPrograms => "run other programs",
            Self::Read => "read a secret outside the grant",
            Self::Write => "write outside",
            Self::Chmod => "change a mode outside",
            Self::Tcp => "TCP to loopback",
            Self::UnixSocket => "connect to a Unix socket outside",
            Self::Environ => "read another process's environment",
            Self::Signal => "signal another process",
        }
    }
}

/// The letters of a set, or a dash for none.
pub(crate) fn letters(powers: &Powers) -> String {
    if powers.is_empty() {
        return "-".to_owned();
    }
    powers.iter().map(|power| power.letter()).collect()
}

/// Reads what [`letters`] wrote.
pub(crate) fn from_letters(text: &str) -> Powers {
    let known = |letter| {
        Power::ALL
            .into_iter()
            .find(|power| power.letter() == letter)
    };
    text.chars().filter_map(known).collect()
}
