use serde::{Deserialize, Serialize};

/// What becomes of staged changes when a run has succeeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Commit {
    /// They are shown, and committed if a person agrees at the terminal. Without a terminal they are thrown away.
    #[default]
    Ask,
    /// They are shown and committed.
    Always,
    /// They are shown and thrown away.
    Never,
}

impl Commit {
    /// The word for it in a policy file and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}
