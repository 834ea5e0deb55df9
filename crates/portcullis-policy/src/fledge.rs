//! What a plugin of fledge says of itself in its manifest. It grants nothing.

use serde::Serialize;

use crate::{KvOwner, Origin};

/// The right to a directory of its own, kept by the host from one run to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataGrant {
    /// Whose directory it is, besides the plugin's.
    pub owner: KvOwner,
    /// The line that granted it.
    pub origin: Origin,
}

/// What the manifest of a plugin of fledge says: it is told the same when it starts.
///
/// # Defaults
/// No version, no directory, no answers: as a module without a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FledgePlugin {
    /// Its version, as written.
    pub version: String,
    /// Which directories it asks for.
    pub files: FledgeFiles,
    /// Whether it asks for the network. No plugin of fledge has any: WASI preview 1 cannot connect.
    pub network: bool,
    /// Whether it reads answers to the messages that have an `id`.
    pub responses: bool,
}

/// Which directories a plugin of fledge asks for. What its policy does not grant it does not get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FledgeFiles {
    /// It has no manifest: what was granted.
    #[default]
    Unsaid,
    /// It asks for none by saying nothing.
    Unasked,
    /// None.
    None,
    /// The project, to read.
    Project,
    /// That, and one of its own to write.
    Plugin,
}

impl FledgeFiles {
    /// As the manifest has it, if it says anything.
    pub const fn word(self) -> Option<&'static str> {
        match self {
            Self::Unsaid | Self::Unasked => None,
            Self::None => Some("none"),
            Self::Project => Some("project"),
            Self::Plugin => Some("plugin"),
        }
    }

    /// Whether it asks for the project.
    pub const fn wants_project(self) -> bool {
        matches!(self, Self::Unsaid | Self::Project | Self::Plugin)
    }

    /// Whether it asks for a directory of its own.
    pub const fn wants_own(self) -> bool {
        matches!(self, Self::Unsaid | Self::Plugin)
    }
}
