//! The arguments of `audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Common;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    /// Print the records of the trail, or of one run.
    Show {
        #[command(flatten)]
        common: Common,
        /// Only records of this run.
        #[arg(long, value_name = "ID")]
        run: Option<String>,
        /// In which form: as clawft documents it, without what it has no line for.
        #[arg(long, value_name = "FORM", conflicts_with = "json")]
        view: Option<View>,
    },
    /// Print the last records.
    Tail {
        #[command(flatten)]
        common: Common,
        /// How many.
        #[arg(short = 'n', long, default_value_t = 10)]
        lines: usize,
    },
    /// Check that no record was changed, removed or added.
    Verify {
        #[command(flatten)]
        common: Common,
        /// A head from an earlier report, `<count>:<hash>`: also finds a trail that was cut or rewritten as a whole.
        #[arg(long, value_name = "HEAD")]
        head: Option<String>,
    },
    /// Explain one record.
    Explain {
        #[command(flatten)]
        common: Common,
        /// The number of the record.
        seq: u64,
    },
    /// Make a page of one run, for a browser: what was asked, who decided, what came of it, and what would allow what was
    /// denied. It is one file that loads nothing, and nothing of the plugin can run in it.
    Report(ReportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The file to make, for you alone.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: PathBuf,
    /// The run. Default: the last that began.
    #[arg(long, value_name = "ID")]
    pub(crate) run: Option<String>,
    /// A head from an earlier report, `<count>:<hash>`, to hold the trail against as `verify` does.
    #[arg(long, value_name = "HEAD")]
    pub(crate) head: Option<String>,
    /// Replace a file that is there.
    #[arg(long)]
    pub(crate) force: bool,
}

/// A form in which records are printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum View {
    /// The lines that clawft documents, such as `[PLUGIN_FS] …`.
    Clawft,
}
