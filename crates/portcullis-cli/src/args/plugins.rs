//! The arguments of what is done with installed plugins.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::{Common, Output};
use crate::kit::Language;

#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Install without being asked. The plugin can do what your policy gives to its content, and nothing that it asks for besides.
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// The SHA-256 of what is expected there, where the source does not name it.
    #[arg(long, value_name = "SHA256")]
    pub(crate) digest: Option<String>,
    /// The manifest of a plugin that comes without one.
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// A plugin's directory, its `.wasm` file beside a manifest, the file that `pack` made, `https://…#sha256=…`, or `oci://host/repository:tag`.
    pub(crate) source: String,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Update without being asked where nothing grew. What asks for more than before is asked about all the same.
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Take a lower version too.
    #[arg(long)]
    pub(crate) downgrade: bool,
    /// Read this source instead of the one it was installed from.
    #[arg(long, value_name = "SOURCE", requires = "name")]
    pub(crate) source: Option<String>,
    /// The manifest of a plugin that comes without one. Default: the one it was installed with.
    #[arg(long, value_name = "FILE", requires = "name")]
    pub(crate) manifest: Option<PathBuf>,
    /// The installed plugin. Default: all of them.
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Also throw away the state that it has kept, without being asked.
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// The installed plugin.
    pub(crate) name: String,
}

/// A verb about all installed plugins.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) common: Common,
}

/// A verb about one installed plugin.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The installed plugin.
    pub(crate) name: String,
}

/// A verb about one installed plugin, or all of them.
#[derive(Debug, Args)]
pub(crate) struct SomeArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The installed plugin. Default: all of them.
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ReviewArgs {
    #[command(flatten)]
    pub(crate) some: SomeArgs,
    /// Only what was not used, each with what takes it away.
    #[arg(long)]
    pub(crate) unused: bool,
    /// How many of the last runs count. Default: all that the trail has.
    #[arg(long, value_name = "N")]
    pub(crate) runs: Option<NonZeroUsize>,
}

#[derive(Debug, Args)]
pub(crate) struct PackArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Where to. Default: `NAME-VERSION.tar` in the working directory.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// The plugin's directory, or its `.wasm` file beside a manifest. Default: the working directory.
    pub(crate) plugin: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PushArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Under which name: `oci://host/repository:tag`.
    pub(crate) to: String,
    /// The plugin's directory, its `.wasm` file beside a manifest, or the file that `pack` made. Of that, what signed it is
    /// published too.
    pub(crate) plugin: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The private key: PEM of Ed25519 or P-256, without a password.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The plugin's directory, its `.wasm` file beside a manifest, the file that `pack` made, or `oci://host/repository:tag`.
    pub(crate) plugin: String,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Run only tests whose name has this in it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,
    /// Test files, or directories with such. Default: `tests`.
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// Let the build read this as well. May be given several times.
    #[arg(long, value_name = "PATH")]
    pub(crate) read: Vec<String>,
    /// Let the build reach this host. Default: none; what it depends on is there already.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) net: Vec<String>,
    /// Let the build do what you can do.
    #[arg(long)]
    pub(crate) unconfined: bool,
    /// Where keys and the head of the audit trail are kept.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
    /// The plugin's directory. Default: the working directory.
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// What it is written in.
    #[arg(long, value_name = "LANGUAGE")]
    pub(crate) lang: Language,
    #[command(flatten)]
    pub(crate) output: Output,
    /// The plugin's directory, which is made; its name is the plugin's.
    #[arg(value_name = "NAME")]
    pub(crate) dir: PathBuf,
}

impl BuildArgs {
    pub(crate) fn common(&self) -> Common {
        Common {
            data_dir: self.data_dir.clone(),
            output: self.output,
            ..Common::default()
        }
    }
}
