//! The arguments of `portcullis replay`.

use std::path::PathBuf;

use clap::Args;

use super::{Common, Output};

/// Run a plugin again with nothing but a record of `run --record`, and say what it does otherwise.
///
/// Nothing real is reached, no policy is read, and nothing is written to the audit trail.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Where keys and the installed plugins are kept.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
    /// The plugin's file. Default: the installed plugin with the record's digest, or the file that the record names.
    #[arg(long, value_name = "FILE")]
    pub(crate) plugin: Option<PathBuf>,
    /// Play the record to a plugin that is not the one it was made of: another version of it, to see what that does otherwise.
    #[arg(long)]
    pub(crate) allow_changed: bool,
    /// Write a test for `portcullis test` that is the record, once it was played and is identical.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "allow_changed"])]
    pub(crate) emit_test: Option<PathBuf>,
    /// The record.
    #[arg(value_name = "RECORD")]
    pub(crate) file: PathBuf,
}

impl ReplayArgs {
    pub(crate) fn common(&self) -> Common {
        Common {
            data_dir: self.data_dir.clone(),
            no_config: true,
            output: self.output,
            ..Common::default()
        }
    }
}
