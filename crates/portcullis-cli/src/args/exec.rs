//! The arguments of `portcullis exec`.

use std::path::PathBuf;

use clap::Args;
use portcullis_config::{FlagSet, Spelling};

use super::{Common, ConfinementWord, Output, StageArgs};

/// What people run first, and what they then want to know.
const EXAMPLES: &str = "\
Examples:
  portcullis exec --read . -- grep -r TODO .
  portcullis exec --write . --net github.com:443 -- git clone https://github.com/ann/notes
  portcullis exec --read list --exec none -- sort list
  curl -s https://example.org/list | portcullis exec -- sort

The command starts in the working directory, which is empty unless it is granted: `--read .` or `--write .`. It \
reads the system (/usr and what belongs to it), has an empty home and a /tmp of its own, and reaches no network. \
Programs are looked up in the `exec_path` of the policy (/usr/local/bin, /usr/bin, /bin), not in your PATH.

An entry with the id `exec` and without `path`, in your own policy file or that of `--policy`, grants what is always \
to be granted; if it has `exec.allow`, no other programs are run. A policy file of the working tree only takes away.

Exit codes: that of the command; 128+n when signal n ended it; 124 when its time was over; 125 for failures of \
Portcullis; 126 for denials; 127 when there is no such program.";

/// Run a command that can do what is granted here and nothing else, with everything it starts.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExecArgs {
    /// Let it read this directory or file. May be given several times, as the others here.
    #[arg(long, value_name = "PATH", help_heading = GRANTS)]
    pub(crate) read: Vec<String>,
    /// Let it read and write this directory or file.
    #[arg(long, value_name = "PATH", help_heading = GRANTS)]
    pub(crate) write: Vec<String>,
    /// What it reaches: `none`, `loopback` (its own), HOST:PORT, or `open` for all that you can reach. Default: none.
    #[arg(long, value_name = "HOST:PORT", help_heading = GRANTS)]
    pub(crate) net: Vec<String>,
    /// The only other programs that it may start, or `none`. Default: any of the system.
    #[arg(long, value_name = "PROGRAM", help_heading = GRANTS)]
    pub(crate) exec: Vec<String>,
    /// Give it this variable: as you have it, or with this value, which whoever lists processes here sees.
    #[arg(long, value_name = "NAME[=VALUE]", help_heading = GRANTS)]
    pub(crate) env: Vec<String>,
    /// Kill it after this time, such as 30s or 5m. Default: never.
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<String>,
    /// What the kernel has to enforce. Default: full.
    #[arg(long, value_name = "TIER")]
    pub(crate) confinement: Option<ConfinementWord>,
    /// A policy file to trust, besides your own.
    #[arg(long, alias = "config", value_name = "FILE")]
    pub(crate) policy: Vec<PathBuf>,
    /// Read no policy but that of `--policy` and the flags.
    #[arg(long)]
    pub(crate) no_config: bool,
    /// Where it starts, and what `${project}` is. Default: the working directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<PathBuf>,
    /// Where keys and the head of the audit trail are kept.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Give it no standard input. Without this, more may be read from yours than the command takes.
    #[arg(short = 'n', long)]
    pub(crate) no_stdin: bool,
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Say what it would be allowed, and run nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) output: Output,
    /// The program, and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_names = ["PROGRAM", "ARGS"])]
    pub(crate) command: Vec<String>,
}

const GRANTS: &str = "What it may do";

impl ExecArgs {
    pub(crate) fn common(&self) -> Common {
        Common {
            config: self.policy.clone(),
            no_config: self.no_config,
            project: self.cwd.clone(),
            data_dir: self.data_dir.clone(),
            output: self.output,
        }
    }

    /// What the flags grant.
    pub(crate) fn flags(&self) -> FlagSet {
        let net = self.net.iter().filter(|net| *net != NONE);
        FlagSet {
            allow_read: self.read.clone(),
            allow_write: self.write.clone(),
            allow_net: net.cloned().collect(),
            confinement: self.confinement.map(Into::into),
            spelling: Spelling::Command,
            ..FlagSet::default()
        }
    }

    /// Whether the network is taken away, whatever a policy grants.
    pub(crate) fn without_net(&self) -> bool {
        self.net.iter().any(|net| net == NONE)
    }

    /// The only other programs; `None`: any.
    pub(crate) fn programs(&self) -> Option<Vec<&str>> {
        let programs = self.exec.iter().map(String::as_str);
        (!self.exec.is_empty()).then(|| programs.filter(|program| *program != NONE).collect())
    }
}

/// The word for an empty list.
const NONE: &str = "none";
