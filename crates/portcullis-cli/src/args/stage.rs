//! The arguments about staged writes.

use clap::{Args, Subcommand, ValueEnum};
use portcullis_policy::Commit;

use super::Common;

/// Whether writes are staged.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct StageArgs {
    /// Stage what is written in every directory that may be written: it is shown afterwards, and committed whole or not at
    /// all. Alone: you are asked.
    #[arg(
        long,
        value_name = "COMMIT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "ask"
    )]
    pub(crate) stage: Option<CommitWord>,
    /// Stage what the policy says is staged. This is how the program calls itself.
    #[arg(long, hide = true, conflicts_with = "stage")]
    pub(crate) staged: bool,
}

/// What becomes of what was staged, when the run has succeeded.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum CommitWord {
    /// It is committed if you agree at the terminal.
    Ask,
    /// It is committed.
    Always,
    /// It is thrown away.
    Never,
}

impl From<CommitWord> for Commit {
    fn from(word: CommitWord) -> Self {
        match word {
            CommitWord::Ask => Self::Ask,
            CommitWord::Always => Self::Always,
            CommitWord::Never => Self::Never,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum StagesVerb {
    /// List the stages that are kept: whose they are, of which directories, since when, and whether they are in use.
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Put in order what killed runs left, as the next staged run would: changes are thrown away, a commit that was cut off is
    /// taken back, one that was complete is tidied up. Stages in use are left alone.
    Clear {
        #[command(flatten)]
        common: Common,
    },
}
