//! The command line as it is written: plain records, nothing looked up.

mod audit;
mod call;
mod exec;
mod learn;
mod plugins;
#[cfg(test)]
mod reference;
mod replay;
mod stage;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use portcullis_config::{AllowExec, FlagSet};
use portcullis_policy::{Confinement, MetadataKey, Mode};

pub(crate) use audit::{AuditVerb, ReportArgs, View};
pub(crate) use call::CallArgs;
pub(crate) use exec::ExecArgs;
pub(crate) use learn::LearnArgs;
pub(crate) use plugins::{
    BuildArgs, InstallArgs, ListArgs, NewArgs, PackArgs, PushArgs, RemoveArgs, ReviewArgs,
    ShowArgs, SignArgs, SomeArgs, TestArgs, UpdateArgs,
};
pub(crate) use replay::ReplayArgs;
pub(crate) use stage::{StageArgs, StagesVerb};

/// Run other people's plugins: each can do exactly what it was granted, and so can every process it starts.
#[derive(Debug, Parser)]
#[command(
    name = "portcullis",
    version,
    propagate_version = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run a plugin.
    Run(RunArgs),
    Exec(ExecArgs),
    Call(CallArgs),
    Replay(ReplayArgs),
    /// Show what a plugin is, what it asks for and what it may do. Runs nothing of it, unless `--describe` says so.
    Inspect(InspectArgs),
    /// Install a plugin: shows what it is and asks for, and asks at the terminal. Runs nothing of it.
    Install(InstallArgs),
    /// List the installed plugins.
    List(ListArgs),
    /// Show what is known of an installed plugin, and what it may do.
    Show(ShowArgs),
    /// Show what installed plugins may do, and what of it they ever did.
    Review(ReviewArgs),
    /// Read the sources of installed plugins again. What asks for more than before is asked about.
    Update(UpdateArgs),
    /// Remove an installed plugin, what was granted to it and what it has kept.
    Remove(RemoveArgs),
    /// Check that installed plugins are what was installed.
    Verify(SomeArgs),
    /// Pack a plugin into one file, with what `push` would publish of it.
    Pack(PackArgs),
    /// Publish a plugin in a registry.
    Push(PushArgs),
    /// Sign a plugin in files or in a registry: its name, its version and its content.
    Sign(SignArgs),
    /// Make a new plugin: a component to build, a manifest, a policy, and a test.
    New(NewArgs),
    /// Build a plugin with the tools of its language, in a cell that reaches its directory and nothing else of yours.
    Build(BuildArgs),
    /// Build and test a plugin, and again whenever something of it changes.
    Dev(BuildArgs),
    /// Run the tests of a plugin: in a world that they script, under its policy. Nothing real is reached.
    Test(TestArgs),
    /// Check policy files: mistakes, their own tests, and rules that allow more than they seem to.
    Check(CheckArgs),
    /// Explain an error code, a line of a trace or of the audit trail, or why a command would be allowed or denied.
    Explain(ExplainArgs),
    /// Grant a plugin a right, in your policy file.
    Grant(EditArgs),
    /// Take a right away from a plugin, in your policy file.
    Revoke(EditArgs),
    /// Say the policy of another host as an entry of yours: a `policy.yaml` of Wassette, or `settings.json` and
    /// `extension.toml` of Zed. What cannot be said is left out, and named.
    Import(ImportArgs),
    /// Trust the policy of the working tree as it is now: shows what it would give, and asks at the terminal.
    Trust(TrustArgs),
    /// Look at the audit trail.
    #[command(subcommand)]
    Audit(AuditVerb),
    /// Look at the cache of compiled code.
    #[command(subcommand)]
    Cache(CacheVerb),
    /// Look at the state that a plugin keeps.
    #[command(subcommand)]
    Kv(KvVerb),
    /// Look at what staged runs keep, and put in order what killed ones left.
    #[command(subcommand)]
    Stages(StagesVerb),
    /// Check that this machine can run plugins, and say what is missing.
    Doctor(DoctorArgs),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the JSON Schema of a file format.
    Schema {
        /// The format.
        format: Format,
    },
}

/// Where policy comes from, and how much is said.
#[derive(Debug, Default, Args)]
pub(crate) struct Common {
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
    #[command(flatten)]
    pub(crate) output: Output,
}

/// How much is said, and in which form.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct Output {
    /// Print one JSON document on standard output.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print no warnings and no progress.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Print what is done, and where settings come from.
    #[arg(short, long, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
}

/// What `--allow-exec` without a list stands for. No argument can have a NUL, so nobody can write it.
const ALL: &str = "\0";

const PERMISSIONS: &str = "Permissions for this run";

/// Permissions on the command line.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = PERMISSIONS)]
pub(crate) struct Permissions {
    /// Allow commands: these programs with any arguments, or without a list any program.
    #[arg(long, value_name = "PROGRAM", num_args = 0..=1, require_equals = true, value_delimiter = ',', default_missing_value = ALL)]
    allow_exec: Option<Vec<String>>,
    /// Deny these programs, whatever else is allowed.
    #[arg(
        long,
        value_name = "PROGRAM",
        require_equals = true,
        value_delimiter = ','
    )]
    deny_exec: Vec<String>,
    /// Let the plugin read these environment variables; a trailing `*` stands for any rest.
    #[arg(
        long,
        value_name = "NAME",
        require_equals = true,
        value_delimiter = ','
    )]
    allow_env: Vec<String>,
    /// Let the plugin write lines into your log, on standard error.
    #[arg(long)]
    allow_log: bool,
    /// Let the plugin and its commands read these directories, and its commands these files.
    #[arg(
        long,
        value_name = "PATH",
        require_equals = true,
        value_delimiter = ','
    )]
    allow_read: Vec<String>,
    /// Let the plugin and its commands read and write these directories, and its commands these files.
    #[arg(
        long,
        value_name = "PATH",
        require_equals = true,
        value_delimiter = ','
    )]
    allow_write: Vec<String>,
    /// Let commands reach these hosts, with `loopback` their own, or with `open` all that you can reach.
    #[arg(
        long,
        value_name = "HOST:PORT",
        require_equals = true,
        value_delimiter = ','
    )]
    allow_net: Vec<String>,
    /// Let the plugin itself send HTTP requests to these hosts.
    #[arg(
        long,
        value_name = "HOST",
        require_equals = true,
        value_delimiter = ','
    )]
    allow_http: Vec<String>,
    /// Let the plugin itself connect to these places.
    #[arg(
        long,
        value_name = "HOST:PORT",
        require_equals = true,
        value_delimiter = ','
    )]
    allow_connect: Vec<String>,
    /// Let the plugin itself look these names up in DNS.
    #[arg(
        long,
        value_name = "NAME",
        require_equals = true,
        value_delimiter = ','
    )]
    allow_lookup: Vec<String>,
    /// Allow any program, any variable, and the project to read and write. Denials stay, and so does confinement.
    #[arg(short = 'A', long)]
    allow_all: bool,
    /// How strict to be where no rule matches.
    #[arg(long, value_name = "MODE")]
    mode: Option<ModeWord>,
    /// What the kernel has to enforce on commands.
    #[arg(long, value_name = "TIER")]
    confinement: Option<ConfinementWord>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ModeWord {
    /// What no rule allows is denied.
    Production,
    /// What no rule allows is asked, or denied where nobody can be asked.
    Dev,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ConfinementWord {
    /// Namespaces, a fresh root, Landlock and seccomp.
    Full,
    /// Without Landlock.
    Namespaces,
    /// Without namespaces.
    Landlock,
    /// Time, output and environment only.
    Limits,
}

impl Permissions {
    pub(crate) fn flags(&self) -> FlagSet {
        let allow_exec = self.allow_exec.as_ref().map(|programs| {
            if programs.iter().any(|program| program == ALL) {
                AllowExec::All
            } else {
                AllowExec::Programs(programs.clone())
            }
        });
        FlagSet {
            allow_all: self.allow_all,
            allow_exec,
            deny_exec: self.deny_exec.clone(),
            allow_env: self.allow_env.clone(),
            allow_log: self.allow_log,
            allow_read: self.allow_read.clone(),
            allow_write: self.allow_write.clone(),
            allow_net: self.allow_net.clone(),
            allow_http: self.allow_http.clone(),
            allow_connect: self.allow_connect.clone(),
            allow_lookup: self.allow_lookup.clone(),
            mode: self.mode.map(|mode| match mode {
                ModeWord::Production => Mode::Production,
                ModeWord::Dev => Mode::Dev,
            }),
            confinement: self.confinement.map(Into::into),
            ..FlagSet::default()
        }
    }
}

impl From<ConfinementWord> for Confinement {
    fn from(word: ConfinementWord) -> Self {
        match word {
            ConfinementWord::Full => Self::Full,
            ConfinementWord::Namespaces => Self::Namespaces,
            ConfinementWord::Landlock => Self::Landlock,
            ConfinementWord::Limits => Self::Limits,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Load and check the plugin, say what it would be allowed, and run nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Show each call of the plugin on standard error as it happens, with its decision and time.
    #[arg(long)]
    pub(crate) trace: bool,
    /// Record the run in a new file that only you can read, for `portcullis replay`. It has everything that the plugin was
    /// given, but for secrets that are known.
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub(crate) record: Option<PathBuf>,
    /// Let the plugin read standard input; without this it is at its end. Commands of WASI always read it.
    #[arg(long)]
    pub(crate) stdin: bool,
    /// The answer to a question of the plugin, by the name it gives the question. May be given several times.
    #[arg(long, value_name = "ID=VALUE")]
    pub(crate) answer: Vec<String>,
    #[command(flatten)]
    pub(crate) learn: LearnArgs,
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    #[command(flatten)]
    permissions: Permissions,
    /// Let the plugin and its commands read and write a directory. The plugin sees it by its second name, or else by the one
    /// that is written.
    #[arg(short = 'D', long = "dir", value_name = "HOST[::GUEST]", help_heading = PERMISSIONS)]
    dirs: Vec<String>,
    /// Tell the plugin itself a variable: your value of it, or this one.
    #[arg(long, value_name = "NAME[=VALUE]", help_heading = PERMISSIONS)]
    env: Vec<String>,
    /// The plugin (an id of the policy, a `.wasm` file or the directory of a plugin), and what is passed to it. A `--` between
    /// them is not passed on.
    #[arg(required = true, trailing_var_arg = true, value_names = ["PLUGIN", "ARGS"])]
    pub(crate) plugin: Vec<String>,
}

impl RunArgs {
    /// The plugin, and what is passed to it.
    pub(crate) fn called(&self) -> (&str, &[String]) {
        let (plugin, rest) = self
            .plugin
            .split_first()
            .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        // Written so that the rest is seen to be the plugin's; a second one is its own.
        let own = match rest {
            [end, own @ ..] if end == "--" => own,
            own => own,
        };
        (plugin, own)
    }

    pub(crate) fn flags(&self) -> FlagSet {
        FlagSet {
            dirs: self.dirs.clone(),
            env: self.env.clone(),
            ..self.permissions.flags()
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Also run the `describe` of a plugin of clawft, with nothing granted and for at most a second, and list its tools.
    #[arg(long)]
    pub(crate) describe: bool,
    #[command(flatten)]
    pub(crate) permissions: Permissions,
    /// An id of the policy, a `.wasm` file or the directory of a plugin.
    pub(crate) plugin: String,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The policy to import.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The plugin that the entry is for.
    #[arg(long, value_name = "ID")]
    pub(crate) plugin: String,
    /// Its component, relative to the policy that the entry is for. Default: its id and `.wasm`.
    #[arg(long, value_name = "WASM")]
    pub(crate) path: Option<String>,
    /// Write the entry into this file, which must not be there yet. Default: print it.
    #[arg(long = "output", value_name = "NEW")]
    pub(crate) into: Option<PathBuf>,
    /// End with 1 also when there are only warnings.
    #[arg(long)]
    pub(crate) strict: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// End with 1 also when there are only warnings.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Policy files to check on their own. Default: everything that `run` would read.
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    override_usage = "portcullis explain <CODE>\n       portcullis explain [OPTIONS] <LINE | ->\n       portcullis explain [OPTIONS] <PLUGIN> exec <PROGRAM> [ARGS]..."
)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The working directory that the command would ask for.
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<String>,
    /// A variable that the plugin would set, as NAME=VALUE.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// As if the plugin asked for the host's environment.
    #[arg(long)]
    pub(crate) inherit_env: bool,
    #[command(flatten)]
    pub(crate) permissions: Permissions,
    /// A code such as P0201; a line of `run --trace`, of `audit show`, of the trail or of a denial, or `-` to read one from
    /// standard input; or a plugin, `exec`, a program and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_names = ["CODE|LINE|PLUGIN"])]
    pub(crate) subject: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct EditArgs {
    /// The policy file to change, instead of your own.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The project directory, for `${project}` in the file. Default: the working directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) project: Option<PathBuf>,
    /// Where installed plugins are kept.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
    /// The name of an installed plugin, an id of the policy, a `.wasm` file or the directory of a plugin.
    pub(crate) plugin: String,
    #[command(subcommand)]
    pub(crate) right: RightVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RightVerb {
    /// A command that it may run.
    Exec {
        /// A bare name, an absolute path, or `/usr/bin/*` for the programs directly in a directory.
        program: String,
        /// Exactly these arguments, as a JSON list of strings. Default: any.
        #[arg(long, value_name = "JSON")]
        args: Option<String>,
    },
    /// A directory that it and its commands may read, or a file that its commands may read.
    Read {
        /// The directory or file.
        path: String,
    },
    /// As `read`, also to write.
    Write {
        /// The directory or file.
        path: String,
    },
    /// What its commands may reach of the network.
    Net {
        /// `HOST:PORT`, `*.DOMAIN:PORT`, `loopback`, or `open` for all that you can reach.
        #[arg(value_name = "HOST:PORT")]
        host: String,
    },
    /// An environment variable that it may read.
    Env {
        /// The name; a trailing `*` stands for any rest.
        name: String,
    },
    /// Lines in your log.
    Log,
    /// A host that the plugin itself may send HTTP requests to.
    Http {
        /// `HOST` for ports 80 and 443, `HOST:PORT`, `*.DOMAIN`, or `*` for all of the public network.
        host: String,
    },
    /// A place that the plugin itself may connect to.
    Connect {
        /// `HOST:PORT`, `HOST:FIRST-LAST`, `HOST:*`, or `*:PORT` for all of the public network.
        #[arg(value_name = "HOST:PORT")]
        place: String,
    },
    /// A name that the plugin itself may look up in DNS.
    Lookup {
        /// `NAME`, `*.DOMAIN`, or `*` for every name.
        name: String,
    },
    /// State of its own: 256 keys and 1 MiB. For other sizes write `kv` into the policy file. What is kept stays when it
    /// is revoked.
    Kv,
    /// A directory of its own, for a plugin of fledge: `/plugin`. What lies there stays when it is revoked.
    Data,
    /// What a plugin of fledge may be told of the project.
    Metadata {
        /// The fact.
        key: MetadataWord,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum MetadataWord {
    /// What `fledge.toml` says.
    FledgeConfig,
    /// Tags of the repository.
    GitTags,
    /// What is changed in the working tree; also its branch and remote.
    GitStatus,
    /// The last commits.
    GitLog,
    /// The variables that `env` grants.
    Env,
}

impl From<MetadataWord> for MetadataKey {
    fn from(word: MetadataWord) -> Self {
        match word {
            MetadataWord::FledgeConfig => Self::FledgeConfig,
            MetadataWord::GitTags => Self::GitTags,
            MetadataWord::GitStatus => Self::GitStatus,
            MetadataWord::GitLog => Self::GitLog,
            MetadataWord::Env => Self::Env,
        }
    }
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct TrustArgs {
    #[command(subcommand)]
    pub(crate) verb: Option<TrustVerb>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TrustVerb {
    /// Show what the policy of the working tree would give, and whether it is trusted.
    Show {
        #[command(flatten)]
        common: Common,
    },
    /// List what is trusted.
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Trust a policy no longer.
    Revoke {
        #[command(flatten)]
        common: Common,
        /// The policy. Default: that of the working tree.
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CacheVerb {
    /// Say where the cache of compiled code and those of commands are, and how much is in them.
    Info {
        #[command(flatten)]
        common: Common,
    },
    /// List the caches that are kept between commands, and whose they are.
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Remove everything in them, but for caches that a command is using.
    Clear {
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KvVerb {
    /// List its keys.
    List {
        /// The plugin: its id in the policy, or its path.
        plugin: String,
        /// Only keys that begin with this.
        #[arg(long, default_value = "")]
        prefix: String,
        #[command(flatten)]
        common: Common,
    },
    /// Print the value of a key. Exit code 1: it has none.
    Get {
        /// The plugin: its id in the policy, or its path.
        plugin: String,
        /// The key.
        key: String,
        #[command(flatten)]
        common: Common,
    },
    /// Remove everything it keeps, also while it runs.
    Clear {
        /// The plugin: its id in the policy, or its path.
        plugin: String,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// `portcullis.toml`
    Policy,
    /// `ceiling.toml`
    Ceiling,
    /// `plugin.toml`
    Manifest,
    /// `clawft.plugin.json`
    Clawft,
}

impl Verb {
    /// Whether it stages what is written, if it runs something.
    pub(crate) fn stage(&self) -> Option<&StageArgs> {
        match self {
            Self::Run(args) => Some(&args.stage),
            Self::Exec(args) => Some(&args.stage),
            Self::Call(args) => Some(&args.stage),
            _ => None,
        }
    }

    /// Whether somebody else looks at what comes of it.
    pub(crate) fn is_trial(&self) -> bool {
        matches!(self, Self::Run(args) if args.learn.state.is_some())
    }

    /// Whether it only says what it would do.
    pub(crate) fn is_dry_run(&self) -> bool {
        match self {
            Self::Run(args) => args.dry_run,
            Self::Exec(args) => args.dry_run,
            _ => false,
        }
    }

    /// How much is to be said.
    pub(crate) fn output(&self) -> Output {
        match self {
            Self::Run(args) => args.common.output,
            Self::Exec(args) => args.output,
            Self::Call(args) => args.output(),
            Self::Replay(args) => args.output,
            Self::Inspect(args) => args.common.output,
            Self::Install(args) => args.common.output,
            Self::List(args) => args.common.output,
            Self::Show(args) => args.common.output,
            Self::Review(args) => args.some.common.output,
            Self::Verify(args) => args.common.output,
            Self::Update(args) => args.common.output,
            Self::Remove(args) => args.common.output,
            Self::Pack(args) => args.common.output,
            Self::Push(args) => args.common.output,
            Self::Sign(args) => args.common.output,
            Self::New(args) => args.output,
            Self::Build(args) | Self::Dev(args) => args.output,
            Self::Test(args) => args.common.output,
            Self::Check(args) => args.common.output,
            Self::Import(args) => args.output,
            Self::Explain(args) => args.common.output,
            Self::Grant(args) | Self::Revoke(args) => args.output,
            Self::Audit(
                AuditVerb::Show { common, .. }
                | AuditVerb::Tail { common, .. }
                | AuditVerb::Verify { common, .. }
                | AuditVerb::Explain { common, .. }
                | AuditVerb::Report(ReportArgs { common, .. }),
            )
            | Self::Cache(
                CacheVerb::Info { common }
                | CacheVerb::List { common }
                | CacheVerb::Clear { common },
            )
            | Self::Kv(
                KvVerb::List { common, .. }
                | KvVerb::Get { common, .. }
                | KvVerb::Clear { common, .. },
            )
            | Self::Stages(StagesVerb::List { common } | StagesVerb::Clear { common })
            | Self::Doctor(DoctorArgs { common })
            | Self::Trust(TrustArgs {
                verb:
                    Some(
                        TrustVerb::Show { common }
                        | TrustVerb::List { common }
                        | TrustVerb::Revoke { common, .. },
                    ),
                ..
            })
            | Self::Trust(TrustArgs { verb: None, common }) => common.output,
            Self::Completions { .. } | Self::Schema { .. } => Output::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn run(words: &[&str]) -> RunArgs {
        let words = ["portcullis", "run"].iter().chain(words);
        match Cli::try_parse_from(words).unwrap().verb {
            Verb::Run(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_plugin_is_the_plugins() {
        let args = run(&["-A", "p.wasm", "--json", "-q", "--", "x"]);
        assert_eq!(args.plugin, ["p.wasm", "--json", "-q", "--", "x"]);
        assert!(!args.common.output.json);
        assert!(Cli::try_parse_from(["portcullis", "run", "--allow-everything", "p"]).is_err());
    }

    #[test]
    fn a_missing_list_allows_all_and_an_empty_one_does_not() {
        let allowed = |flag| run(&[flag, "p"]).permissions.flags().allow_exec;
        assert_eq!(allowed("--allow-exec"), Some(AllowExec::All));
        assert_eq!(
            allowed("--allow-exec="),
            Some(AllowExec::Programs(vec![String::new()]))
        );
        let both = Some(AllowExec::Programs(vec!["git".to_owned(), "df".to_owned()]));
        assert_eq!(allowed("--allow-exec=git,df"), both);
        assert_eq!(run(&["p"]).permissions.flags(), FlagSet::default());
    }
}
