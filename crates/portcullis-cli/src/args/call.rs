//! The arguments of `portcullis call`.

use std::path::PathBuf;

use clap::Args;

use super::{Common, Output, Permissions, StageArgs};

/// Call a tool of a plugin of clawft, or ask a plugin of Reglet something, with JSON.
#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    /// The parameters of the tool, as JSON; `-` reads them from standard input. Default: `{}`.
    // Everywhere else the word asks for a document; here it says what is passed.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub(crate) json: String,
    /// Print one JSON document about the call on standard output, with what the tool answers.
    #[arg(long)]
    pub(crate) report: bool,
    /// Record the call in a new file that only you can read, for `portcullis replay`. It has everything that the plugin was
    /// given, but for secrets that are known.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// A policy file to trust, besides your own. May be given several times; later ones win.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,
    /// Read no policy but that of `--config` and the flags.
    #[arg(long)]
    pub(crate) no_config: bool,
    /// The project directory. Default: the working directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,
    /// Where keys and the head of the audit trail are kept.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print no warnings and no progress.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Print what is done, and where settings come from.
    #[arg(short, long, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    #[command(flatten)]
    pub(crate) permissions: Permissions,
    /// An id of the policy, a `.wasm` file or the directory of a plugin.
    pub(crate) plugin: String,
    /// The tool: `portcullis inspect --describe` lists them. Of a plugin of Reglet: `observe`, `describe`, `manifest` or
    /// `schema`.
    pub(crate) tool: String,
    /// The same as `--json`.
    #[arg(value_name = "JSON", conflicts_with = "json")]
    pub(crate) params: Option<String>,
}

impl CallArgs {
    pub(crate) fn output(&self) -> Output {
        Output {
            json: self.report,
            quiet: self.quiet,
            verbose: self.verbose,
        }
    }

    pub(crate) fn common(&self) -> Common {
        Common {
            config: self.config.clone(),
            no_config: self.no_config,
            project: self.project.clone(),
            data_dir: self.data_dir.clone(),
            output: self.output(),
        }
    }
}
