//! The arguments about learning.

use std::path::PathBuf;

use clap::Args;

/// What is learnt of a run.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LearnArgs {
    /// Run it to learn what it needs: what it writes is thrown away, it reaches no network that you do not allow, and the
    /// smallest policy under which it does the same is printed. `--allow-exec=PROGRAM` asks for a shell or an interpreter by
    /// name, which are not proposed otherwise.
    #[arg(long, conflicts_with_all = ["dry_run", "trace", "record", "stage", "staged", "allow_all", "mode"])]
    pub(crate) learn: bool,
    /// Write into a file what is observed. This is how the program calls itself.
    #[arg(long, hide = true, value_name = "FILE")]
    pub(crate) observed: Option<PathBuf>,
    /// Where the plugin's own state is kept. This is how the program calls itself.
    #[arg(long, hide = true, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}
