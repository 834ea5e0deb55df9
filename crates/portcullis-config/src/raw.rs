//! The policy file as it is written: plain records, each value with its place. The docs of the fields are the
//! descriptions in the published JSON Schema.

mod forms;
mod reglet;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::source::At;
pub(crate) use reglet::{GrantSet, Reglet};

pub(crate) type Text = At<String>;
pub(crate) type Texts = At<Vec<Text>>;

/// The policy of Portcullis: what each plugin may do. What is not written is not allowed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "portcullis.toml")]
pub(crate) struct PolicyFile {
    /// How strict the host is where no rule matches. Default: `production`.
    pub(crate) mode: Option<At<ModeWord>>,
    /// What the kernel enforces on the commands of all plugins, and on the process that compiles plugins. Default: `full`.
    pub(crate) confinement: Option<At<ConfinementWord>>,
    /// Absolute directories in which bare program names are looked up, in order. Default: `/usr/local/bin`,
    /// `/usr/bin`, `/bin`.
    pub(crate) exec_path: Option<Texts>,
    /// How the host itself reaches the network for commands that were granted hosts.
    pub(crate) network: Option<At<Network>>,
    /// Where the audit trail is passed on to, besides being written.
    pub(crate) audit: Option<At<Audit>>,
    /// Whose signatures count, and for which plugins. Those have to be signed then.
    #[serde(default)]
    pub(crate) signer: Vec<At<SignerTable>>,
    /// The SHA-256 of plugins that are known, or of their manifests in a registry.
    pub(crate) pinned: Option<Texts>,
    /// The SHA-256 of plugins that are not loaded, and fingerprints of keys whose signatures count no more. Files of the
    /// working tree may add to it.
    pub(crate) revoked: Option<Texts>,
    /// One entry for each plugin.
    #[serde(default)]
    pub(crate) plugins: Vec<At<Plugin>>,
}

/// A key, and the plugins for which its signatures count. Only in files that are trusted.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct SignerTable {
    /// The name of the plugins; with a `*` at its end, the beginning of their names.
    pub(crate) name: Text,
    /// The public key, of Ed25519 or P-256, in PEM or without the lines around it.
    pub(crate) key: Text,
}

/// How the host itself reaches the network for commands that were granted hosts. Only in files that are trusted.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Network {
    /// An HTTP proxy through which everything goes, such as `"http://proxy.corp:3128"`. It then checks addresses.
    pub(crate) upstream_proxy: Option<Text>,
    /// A file of certificates in PEM that commands trust, most of them instead of those of the system; relative to this file.
    pub(crate) ca_file: Option<Text>,
}

/// Where the audit trail is passed on to, besides being written. Only in files that are trusted.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Audit {
    /// To the system's log.
    pub(crate) syslog: Option<At<SyslogTable>>,
    /// To an OTLP collector, in builds that can.
    pub(crate) otlp: Option<At<OtlpTable>>,
}

/// The system's log, as RFC 5424 has it.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct SyslogTable {
    /// Its Unix datagram socket. Default: `/dev/log`.
    pub(crate) socket: Option<Text>,
    /// Which events. Default: `denials`.
    pub(crate) events: Option<At<SelectWord>>,
    /// The head of the trail goes with each record whose number this divides, and with the end of each run. Default: 100.
    pub(crate) head_every: Option<At<u64>>,
    /// Whether what cannot be passed on may not be done. Default: `false`.
    pub(crate) required: Option<At<bool>>,
}

/// A collector of telemetry.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct OtlpTable {
    /// Where it takes logs over HTTP, such as `"http://127.0.0.1:4318/v1/logs"`.
    pub(crate) endpoint: Text,
    /// Which events. Default: `denials`.
    pub(crate) events: Option<At<SelectWord>>,
    /// The head of the trail goes with each record whose number this divides, and with the end of each run. Default: 100.
    pub(crate) head_every: Option<At<u64>>,
    /// Whether what cannot be passed on may not be done. Default: `false`.
    pub(crate) required: Option<At<bool>>,
}

/// Which events are passed on.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SelectWord {
    /// None: the head alone.
    None,
    /// What was denied.
    Denials,
    /// All of them.
    All,
}

/// How strict the host is where no rule matches.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ModeWord {
    /// What no rule allows is denied.
    Production,
    /// What no rule allows is asked at the terminal; without a terminal it is denied.
    Dev,
}

/// What the kernel enforces on commands. There is no best effort: what cannot be enforced is not started.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ConfinementWord {
    /// Namespaces, a fresh root, Landlock and seccomp.
    Full,
    /// As `full`, without Landlock.
    Namespaces,
    /// Landlock and seccomp, without namespaces.
    Landlock,
    /// Environment, arguments, time and output only: a command has all rights of the operator.
    Limits,
}

/// One plugin and its grants.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Plugin {
    /// The name of the plugin: 1 to 128 letters, digits, `.`, `_` or `-`.
    pub(crate) id: Text,
    /// The wasm file, or the directory of a plugin; relative to this file.
    pub(crate) path: Option<Text>,
    /// The SHA-256 that the wasm file must have, in hexadecimal.
    pub(crate) sha256: Option<Text>,
    /// The commands it may run. Absent: none.
    pub(crate) exec: Option<At<Exec>>,
    /// If present, the plugin may set only environment variables with one of these prefixes for its commands.
    pub(crate) env_allow_prefixes: Option<Texts>,
    /// Whether importing what is not granted is an error when called instead of at load. Default: `false`.
    pub(crate) late: Option<At<bool>>,
    /// Names of host environment variables that the plugin itself may read; a trailing `*` matches any rest.
    pub(crate) env: Option<Texts>,
    /// Whether the plugin may write lines into your log. Default: `false`.
    pub(crate) log: Option<At<bool>>,
    /// The time of day that the plugin is told, for runs that can be repeated, such as `"2026-01-01T00:00:00Z"`. Its
    /// commands have the real one. Default: the real one.
    pub(crate) clock: Option<Text>,
    /// Where the plugin's random numbers begin, for runs that can be repeated: nothing secret may come of them. Default:
    /// nobody can tell them before.
    pub(crate) random: Option<At<u64>>,
    /// Directories that it and its commands may open, and files that its commands may open.
    pub(crate) fs: Option<At<Fs>>,
    /// The network its commands may reach: `"none"`, `"loopback"`, `"open"`, or a list of `"host:port"`. Default:
    /// `none`.
    pub(crate) net: Option<At<Net>>,
    /// How much of the machine it may use.
    pub(crate) limits: Option<At<Limits>>,
    /// The HTTP requests that the plugin itself may send. Absent: none.
    pub(crate) http: Option<At<Http>>,
    /// Where the plugin itself may connect to: `"host:port"`, `"host:8000-8999"`, `"host:*"`, or `"*:port"` for every host of the
    /// public network. Absent: nowhere.
    pub(crate) connect: Option<At<Vec<At<HostEntry>>>>,
    /// Names that the plugin itself may look up in DNS: `"example.com"`, `"*.example.com"` (any name below it), or `"*"`. Absent:
    /// none.
    pub(crate) lookup: Option<Texts>,
    /// State of its own that is kept: `true`, or how much. Default: none.
    pub(crate) kv: Option<At<Kv>>,
    /// Whether a plugin of fledge has a directory of its own, `/plugin`, which is kept. Default: `false`.
    pub(crate) data: Option<At<bool>>,
    /// What a plugin of fledge may be told of the project. Default: nothing.
    pub(crate) metadata: Option<At<Vec<At<MetadataWord>>>>,
    /// What a plugin of Reglet is granted, in Reglet's words, besides what stands in the other keys.
    pub(crate) reglet: Option<At<Reglet>>,
}

/// What a plugin of fledge may be told.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MetadataWord {
    /// What `fledge.toml` in the project says.
    FledgeConfig,
    /// Tags of the repository.
    GitTags,
    /// What is changed in the working tree; also its branch and remote.
    GitStatus,
    /// The last commits.
    GitLog,
    /// The variables that `env` names.
    Env,
}

impl From<MetadataWord> for portcullis_policy::MetadataKey {
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

/// The HTTP requests that a plugin itself may send.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Http {
    /// What is allowed: a host, or a rule.
    pub(crate) allow: Option<At<Vec<At<HttpEntry>>>>,
    /// Secrets of yours that the host adds to requests, each to one place. The plugin never has them.
    pub(crate) secrets: Option<At<Vec<At<SecretTable>>>>,
}

/// A header with a secret, and the requests that the host adds it to.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct SecretTable {
    /// A name for messages. Default: the place in the list.
    pub(crate) id: Option<Text>,
    /// The header, such as `"Authorization"`.
    pub(crate) header: Text,
    /// What stands before the secret, such as `"Bearer "`. Default: nothing.
    pub(crate) prefix: Option<Text>,
    /// Where the secret is: `{ env = "NAME" }` or `{ file = "PATH" }`. It is read for each request.
    pub(crate) value: At<SecretPlace>,
    /// The only requests that it goes with: those to this URL and below it, such as `"https://api.example.com/v1"`.
    pub(crate) to: Text,
}

/// Where a secret is: one of both.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct SecretPlace {
    /// A variable of your environment. Neither the plugin nor its commands have it.
    pub(crate) env: Option<Text>,
    /// A file with nothing else in it, relative to this file. Nothing may be granted to the plugin in which it is.
    pub(crate) file: Option<Text>,
}

/// A host with every method and path, or a rule.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum HttpEntry {
    /// `"api.example.com"` (ports 80 and 443), `"api.example.com:8443"`, `"*.example.com"` (any name below it),
    /// `"127.0.0.1:8080"`, or `"*"` for every host of the public network.
    Text(String),
    /// A host, and which requests to it.
    Table(Box<HttpTable>),
}

/// A host, and which requests to it.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct HttpTable {
    /// A name for messages. Default: the place in the list.
    pub(crate) id: Option<Text>,
    /// The host, as in the short form.
    pub(crate) host: Text,
    /// `"http"`, `"https"`. Default: both.
    pub(crate) schemes: Option<Texts>,
    /// The only methods, such as `"GET"`. Default: all but `CONNECT` and `TRACE`.
    pub(crate) methods: Option<Texts>,
    /// The only paths: `*` stands for one segment, `**` at the end for any number. Default: all.
    pub(crate) paths: Option<Texts>,
    /// Ranges that the name may resolve to besides public addresses, such as `"10.2.0.0/16"`.
    pub(crate) addresses: Option<Texts>,
}

/// State of the plugin's own: whether it keeps any, or how much.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Kv {
    /// Whether it keeps any; with `true` as much as is the default.
    Whether(bool),
    /// As much.
    Size(KvTable),
}

/// How much state a plugin keeps. Keys have at most 256 bytes.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct KvTable {
    /// Bytes of all keys and values together. Default: `"1MiB"`.
    pub(crate) bytes: Option<At<SizeText>>,
    /// How many keys. Default: 256.
    pub(crate) keys: Option<At<u64>>,
    /// Bytes of one value, at most `"16MiB"`. Default: `"64KiB"`.
    pub(crate) value: Option<At<SizeText>>,
}

/// The commands a plugin may run.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Exec {
    /// Whether the host's environment is passed when the plugin asks for it, without names and values that hold
    /// secrets or make programs run other code. Default: `true` in `dev` mode, `false` in `production`.
    pub(crate) inherit_env: Option<At<bool>>,
    /// Whether the plugin may have the output of a command go where its own goes, unread by it. Default: `false`.
    pub(crate) inherit_output: Option<At<bool>>,
    /// What is allowed: a program, or a rule. Absent: any program in `dev` mode, none in `production`.
    pub(crate) allow: Option<At<Vec<At<Rule>>>>,
    /// What is denied. A denial wins over every allowance, from any layer.
    pub(crate) deny: Option<At<Vec<At<Rule>>>>,
    /// Host variables passed by name to every command, also secret ones. The plugin does not see them.
    pub(crate) pass_env: Option<Texts>,
    /// Inherited variables with these prefixes are dropped, besides the built-in tables.
    pub(crate) strip_env_prefixes: Option<Texts>,
    /// Variables that make programs run other code and that the plugin may set all the same.
    pub(crate) allow_dangerous_env: Option<Texts>,
    /// What the kernel enforces on the commands of this plugin.
    pub(crate) confinement: Option<At<ConfinementWord>>,
    /// As `exec_path`, for this plugin.
    pub(crate) path: Option<Texts>,
    /// Toolchains outside `/usr`: directories that commands read and execute.
    pub(crate) system: Option<Texts>,
    /// Where commands may execute what was written: names in each directory they may write, such as `"target"`, or
    /// absolute directories. Default: nowhere.
    pub(crate) write_exec: Option<Texts>,
    /// Whether commands of one instance with equal rights share their scratch space. Default: `none` do.
    pub(crate) share: Option<At<ShareWord>>,
    /// Bytes of each of the caches that are kept between commands of the same rule, rights and variables, such as
    /// `"1GiB"`. Default: nothing is kept.
    pub(crate) cache: Option<At<SizeText>>,
    /// Names that commands may change after all, such as `".git/config"`. They are protected because somebody else
    /// executes what is in them.
    pub(crate) unprotect: Option<Texts>,
    /// As `limits.timeout`, in milliseconds.
    pub(crate) timeout_ms: Option<At<u64>>,
    /// As `limits.output`, in bytes.
    pub(crate) max_output_bytes: Option<At<u64>>,
    /// Commands that these rules must allow or deny, checked when the file is read.
    #[serde(default)]
    pub(crate) test: Vec<At<Test>>,
}

/// Which commands of one instance share their scratch space.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ShareWord {
    /// Each has its own.
    None,
    /// Those with equal rights share one.
    Plan,
}

/// A program with any arguments, or a rule.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Rule {
    /// A bare name, looked up in `exec_path`, an absolute path, or `/usr/bin/*` for the programs directly in a directory;
    /// with any arguments.
    Program(String),
    /// A program, which arguments, and what the command may not do although the plugin may.
    Table(Box<RuleTable>),
}

/// A program, which arguments, and what the command may not do although the plugin may.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct RuleTable {
    /// A name for messages. Default: the place in the list.
    pub(crate) id: Option<Text>,
    /// A bare name, looked up in `exec_path`, an absolute path, or `/usr/bin/*` for the programs directly in a directory.
    pub(crate) program: Text,
    /// The SHA-256 that the program's file must have, in hexadecimal.
    pub(crate) sha256: Option<Text>,
    /// The first argument must be one of these sub-commands.
    pub(crate) sub: Option<Texts>,
    /// Flags allowed before the sub-command. Default: none.
    pub(crate) global_flags: Option<Texts>,
    /// The only flags allowed after the sub-command; a trailing `*` stands for a value.
    pub(crate) flags: Option<Texts>,
    /// Flags refused in every spelling that could mean them. Weak: prefer `flags`.
    pub(crate) deny_flags: Option<Texts>,
    /// A pattern for the whole list of arguments: literals, `a|b`, `x?`, `*`, `**`, `<read>`, `<write>`, `<new>`,
    /// `<int>`, `<word>`, `<url:…>`.
    pub(crate) args: Option<Texts>,
    /// Each argument that is a path must lie in a directory granted with this access.
    pub(crate) paths: Option<At<PathsWord>>,
    /// The SHA-256 that the plugin itself must have, in hexadecimal: for another one the rule is not there. Written by an
    /// answer `always`.
    pub(crate) plugin_sha256: Option<Text>,
    /// Wall-clock time of the command, such as `"30s"`.
    pub(crate) timeout: Option<At<TimeText>>,
    /// Bytes of each output stream, such as `"10MiB"`.
    pub(crate) output: Option<At<SizeText>>,
    /// Whether the command may be given standard input. Default: `true`.
    pub(crate) stdin: Option<At<bool>>,
    /// The only variables the plugin may set for this command; a trailing `*` matches any rest.
    pub(crate) env: Option<Texts>,
    /// What the kernel enforces on this command, instead of the plugin's `confinement`. Of several rules that allow a
    /// command the strongest holds.
    pub(crate) confinement: Option<At<ConfinementWord>>,
    /// The network the command may reach: `"none"`, `"loopback"`, `"open"`, or a list of `"host:port"`.
    pub(crate) net: Option<At<Net>>,
    /// The only directories and files the command may read, besides those it may write.
    pub(crate) read: Option<Texts>,
    /// The only directories and files the command may write.
    pub(crate) write: Option<Texts>,
    /// The only places where the command may execute what was written.
    pub(crate) write_exec: Option<Texts>,
    /// The only other programs the command may start.
    pub(crate) exec: Option<Texts>,
    /// Bytes of memory of the command and everything it starts, such as `"512MiB"`.
    pub(crate) memory: Option<At<SizeText>>,
    /// Processes and threads of the command at once.
    pub(crate) processes: Option<At<u32>>,
    /// `false`: nothing is kept between commands of this rule.
    pub(crate) cache: Option<At<bool>>,
}

/// What the arguments of a command that are paths must be granted for.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PathsWord {
    /// Inside a directory granted for reading.
    Read,
    /// Inside a directory granted for writing.
    Write,
}

/// Which network a command may reach.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Net {
    /// All, nothing, or only itself.
    Word(NetWord),
    /// These hosts, through a proxy.
    Hosts(Vec<At<HostEntry>>),
}

/// All, nothing, or only itself.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NetWord {
    /// No network.
    None,
    /// A network of its own, in which it reaches only what it starts itself.
    Loopback,
    /// The whole network.
    Open,
}

/// Hosts and a port, or those with ranges of addresses.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum HostEntry {
    /// `"api.example.com:443"`, `"*.example.com:443"` (any name below it), `"127.0.0.1:8080"` or `"[::1]:443"`.
    Text(String),
    /// A name that resolves to addresses outside the public network.
    Table(Box<HostTable>),
}

/// A name that resolves to addresses outside the public network.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct HostTable {
    /// A name or `*.` and a name, with a port.
    pub(crate) host: Text,
    /// Ranges that it may resolve to besides public addresses, such as `"10.2.0.0/16"`.
    pub(crate) addresses: Texts,
}

/// A test of the rules: commands that they must allow or deny.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Test {
    /// Commands that must be allowed.
    #[serde(default)]
    pub(crate) allow: Vec<At<TestCommand>>,
    /// Commands that must not be allowed.
    #[serde(default)]
    pub(crate) deny: Vec<At<TestCommand>>,
}

/// A command of a test: the program and its arguments, or more about it.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum TestCommand {
    /// The program and its arguments.
    Words(Vec<Text>),
    /// A command with its circumstances, and what the rules must make of it.
    Table(Box<TestTable>),
}

/// A command with its circumstances, and what the rules must make of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct TestTable {
    /// The program and its arguments.
    pub(crate) run: Vec<Text>,
    /// The directory that the plugin asks for; relative to this file. Default: none, so the project.
    pub(crate) cwd: Option<Text>,
    /// Variables that the plugin sets, such as `"TZ=UTC"`.
    pub(crate) env: Option<Texts>,
    /// Whether the plugin gives it standard input. Default: `false`.
    pub(crate) stdin: Option<At<bool>>,
    /// The names of the rules that must decide: all that allow it, or the one that denies it; `[]` when none does.
    pub(crate) rules: Option<Texts>,
    /// The only directories and files that the command must be left to read, besides those it may write.
    pub(crate) read: Option<Texts>,
    /// The only directories and files that the command must be left to write.
    pub(crate) write: Option<Texts>,
    /// The network that the command must be left.
    pub(crate) net: Option<At<Net>>,
}

/// Directories and files that a plugin and its commands may open. A file is for commands only.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Fs {
    /// What may be opened, listed and read. `${project}`, `${plugin}` and `~` stand for directories.
    #[serde(default)]
    pub(crate) read: Vec<At<Directory>>,
    /// Where files may also be created, changed and removed.
    #[serde(default)]
    pub(crate) write: Vec<At<Directory>>,
    /// Tops of git working trees, to write, with the directories outside of them where git keeps its things: those of a
    /// linked working tree or a submodule.
    #[serde(default)]
    pub(crate) repository: Vec<At<Directory>>,
    /// What becomes of what is changed in directories that are `staged`, when a run has succeeded. Default: `"ask"`.
    pub(crate) commit: Option<At<CommitWord>>,
}

/// What becomes of staged changes.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CommitWord {
    /// They are shown, and committed if you agree at the terminal. Without a terminal they are thrown away.
    Ask,
    /// They are shown and committed.
    Always,
    /// They are shown and thrown away.
    Never,
}

impl From<CommitWord> for portcullis_policy::Commit {
    fn from(word: CommitWord) -> Self {
        match word {
            CommitWord::Ask => Self::Ask,
            CommitWord::Always => Self::Always,
            CommitWord::Never => Self::Never,
        }
    }
}

/// A directory with the name under which the plugin sees it, or a file.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum Directory {
    /// The plugin sees it under the same name; `${project}` as `.`.
    Path(String),
    /// The plugin sees it under another name, or its changes are staged.
    Named(Box<NamedDirectory>),
}

/// A directory that the plugin sees under another name, or whose changes are staged.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct NamedDirectory {
    /// The directory on the host.
    pub(crate) path: Text,
    /// The name under which the plugin sees it. Default: as without a table.
    #[serde(rename = "as")]
    pub(crate) guest: Option<Text>,
    /// Whether what is changed there goes to an overlay first, and is shown and committed after the run. Default: `false`.
    pub(crate) staged: Option<bool>,
}

/// How much of the machine a plugin may use.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(crate) struct Limits {
    /// Wall-clock time of one command. Default: `"30s"`.
    pub(crate) timeout: Option<At<TimeText>>,
    /// Time between SIGTERM and SIGKILL, taken out of `timeout`. Default: `"0s"`.
    pub(crate) term_grace: Option<At<TimeText>>,
    /// Bytes of each output stream of one command. Default: `"10MiB"`.
    pub(crate) output: Option<At<SizeText>>,
    /// Bytes of output of all commands together. Default: `"256MiB"`.
    pub(crate) total_output: Option<At<SizeText>>,
    /// Commands running at once. Default: 8.
    pub(crate) children: Option<At<u32>>,
    /// Commands started in any 60 seconds. Default: 600.
    pub(crate) spawns_per_minute: Option<At<u32>>,
    /// HTTP requests of the plugin itself within a minute. Default: 60.
    pub(crate) http_per_minute: Option<At<u32>>,
    /// Lookups of names by the plugin itself within a minute, connections, and connections to mail servers, each. Default: 60.
    pub(crate) net_per_minute: Option<At<u32>>,
    /// Lines of log within a minute. Default: 100.
    pub(crate) log_per_minute: Option<At<u32>>,
    /// Calls of any other one function, such as reading a file, within a minute. Default: 60000.
    pub(crate) calls_per_minute: Option<At<u32>>,
    /// Bytes of a file that the plugin itself reads at once. Default: `"8MiB"`.
    pub(crate) file_read: Option<At<SizeText>>,
    /// Bytes of a file that the plugin itself writes at once. Default: `"4MiB"`.
    pub(crate) file_write: Option<At<SizeText>>,
    /// Bytes that an instance of the plugin writes to files in all. Default: `"256MiB"`.
    pub(crate) total_file_write: Option<At<SizeText>>,
    /// Files, directories and links in the directory that a plugin of fledge has of its own. Default: 1000.
    pub(crate) data_files: Option<At<u32>>,
    /// Bytes of one file in it. Default: `"64MiB"`.
    pub(crate) data_file: Option<At<SizeText>>,
    /// Bytes of the body of one HTTP request of the plugin itself. Default: `"1MiB"`.
    pub(crate) http_request: Option<At<SizeText>>,
    /// Bytes of the body of a response, unpacked; the rest is cut off. Default: `"4MiB"`.
    pub(crate) http_response: Option<At<SizeText>>,
    /// Wall-clock time of one HTTP request of the plugin itself. Default: `"30s"`.
    pub(crate) http_timeout: Option<At<TimeText>>,
    /// Wall-clock time of one lookup or connection of the plugin itself. Default: `"30s"`.
    pub(crate) net_timeout: Option<At<TimeText>>,
    /// Wall-clock time of one call into the plugin. Default: `"120s"`.
    pub(crate) call: Option<At<TimeText>>,
    /// Bytes of linear memory. Default: `"256MiB"`.
    pub(crate) memory: Option<At<SizeText>>,
    /// Elements of all tables together. Default: 10000.
    pub(crate) table_elements: Option<At<u64>>,
    /// Wall-clock time of compiling the plugin, which is done once. Default: `"120s"`.
    pub(crate) compile_time: Option<At<TimeText>>,
    /// Bytes of memory that compiling the plugin may take. Default: `"2GiB"`.
    pub(crate) compile_memory: Option<At<SizeText>>,
    /// Instructions of the plugin in one call, about, from 1000000 to 10000000000. Default: they are not counted; counting
    /// them makes a plugin that computes slower.
    pub(crate) fuel: Option<At<u64>>,
    /// Bytes of the component of a plugin of clawft. Default: `"300KiB"`.
    pub(crate) clawft_module: Option<At<SizeText>>,
    /// Bytes of it when gzip has packed it. Default: `"120KiB"`.
    pub(crate) clawft_gzip: Option<At<SizeText>>,
    /// Bytes of all files in the directory of a plugin of clawft. Default: `"10MiB"`.
    pub(crate) clawft_directory: Option<At<SizeText>>,
}

/// A time: a whole number and `ms`, `s`, `m` or `h`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("pattern" = "^[0-9]+(ms|s|m|h)$"))]
pub(crate) struct TimeText(pub(crate) String);

/// A size: a whole number and `B`, `KiB`, `MiB` or `GiB`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("pattern" = "^[0-9]+(B|KiB|MiB|GiB)$"))]
pub(crate) struct SizeText(pub(crate) String);
