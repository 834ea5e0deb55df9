use std::fmt;

use serde::Serialize;

/// A kind of authority a plugin can be granted.
///
/// There is no catch-all: adding one breaks every `match` that has to think about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Capability {
    /// Starting native commands.
    Exec,
    /// Files and directories the guest opens itself.
    Fs,
    /// Outgoing HTTP requests of the guest.
    Http,
    /// Names the guest looks up, and connections it makes.
    Net,
    /// Environment variables the guest reads.
    Env,
    /// A key-value store that outlives the call.
    Kv,
    /// Lines in the operator's log.
    Log,
    /// Questions to the person at the terminal.
    Prompt,
    /// The plugin's own name, version and project.
    Metadata,
}

impl Capability {
    /// The name used in policy files, messages and the audit trail.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Fs => "fs",
            Self::Http => "http",
            Self::Net => "net",
            Self::Env => "env",
            Self::Kv => "kv",
            Self::Log => "log",
            Self::Prompt => "prompt",
            Self::Metadata => "metadata",
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
