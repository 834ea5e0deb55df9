use std::fmt;

use serde::Serialize;

use crate::text::shown;
use crate::{Capability, Confinement, Grants, Origin, PluginId, RuleId};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)+) => {
        /// The stable code of a denial. A code never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[doc = $doc])+ $name,)+ }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Code] = &[$(Code::$name,)+];

            /// The code as it is printed: `P0201`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code,)+ }
            }

            /// The page that `portcullis explain <code>` prints.
            pub const fn page(self) -> &'static str {
                match self { $(Code::$name => concat!($($doc, "\n",)+),)+ }
            }
        }
    };
}

codes! {
    /// No rule of the policy is about this program; the default is deny.
    ///
    /// Allow it with `portcullis grant <plugin> exec <program> --args '[…]'`, or add it to `exec.allow`.
    ExecNoRule = "P0201",
    /// A `deny` rule is about this command; a denial wins over every allowance, from any layer.
    ///
    /// Remove or narrow that rule, or have the plugin use another program.
    ExecDenied = "P0202",
    /// The program is allowed, but not with these arguments.
    ///
    /// Widen the rule's `sub`, `flags` or `args`, or add a second rule: a request is allowed when any rule allows it.
    ExecArguments = "P0203",
    /// The plugin was not granted the `exec` capability at all.
    ///
    /// Give it an `exec` table with an `allow` list.
    ExecNotGranted = "P0204",
    /// The program is allowed but is not there.
    ///
    /// Install it, or correct `exec_path`. The plugin's own `PATH` never counts.
    ExecNotFound = "P0205",
    /// The program is allowed, but the file found is one that is never run.
    ///
    /// Files that are setuid, writable by others, inside a directory the plugin may write, or neither ELF nor a script
    /// are refused whatever the policy says.
    ExecUnfit = "P0206",
    /// The working directory is outside every granted directory, or cannot be opened.
    ///
    /// Grant the directory with `fs.read`, or leave `cwd` out: the command then runs in the project directory.
    ExecCwd = "P0207",
    /// The plugin sets an environment variable that makes many programs run other code.
    ///
    /// The name does that, or the value: a path or a `%` where a locale, terminal or zone is named, or a value that starts
    /// with `()`.
    /// List it in `exec.allow_dangerous_env` if the plugin has to set it.
    EnvDangerous = "P0208",
    /// The plugin sets an environment variable outside `env_allow_prefixes` or the rule's `env`.
    ///
    /// Add the prefix or the name.
    EnvNotAllowed = "P0209",
    /// The request has no meaning: a NUL, an empty name, a relative program path, too many bytes.
    ///
    /// No policy makes such a request legal; the plugin has to be corrected.
    ExecInvalid = "P0210",
    /// The program's file does not have the SHA-256 that the rule names.
    ///
    /// If the program was updated on purpose, write the new digest into the rule.
    ExecDigest = "P0211",
    /// The rule does not let the command be given standard input.
    ///
    /// Remove `stdin = false` from the rule.
    ExecStdin = "P0212",
    /// The host cannot confine the command as the policy requires.
    ///
    /// What the policy asks for cannot be enforced here; the report says why, and what has to be changed on this machine.
    /// There is no best effort: a command is confined as written, or not started. A weaker `confinement` can be written
    /// out for one rule, one plugin or all of them; `portcullis doctor` tells what this machine can enforce.
    ExecConfinement = "P0213",
    /// The plugin wants a command's output to go where its own goes, and the policy does not say so.
    ///
    /// Set `exec.inherit_output = true` for the plugin. On a terminal such output is filtered as the plugin's own is; what
    /// the plugin reads and prints itself needs no grant.
    ExecInheritOutput = "P0214",
    /// The ceiling that an administrator set does not leave the command.
    ///
    /// `/etc/portcullis/ceiling.toml` is met with everything: no policy, flag, answer or `portcullis trust` goes beyond it.
    /// Ask whoever administers this machine.
    ExecCeiling = "P0215",
    /// A plugin of Reglet wants to give a program code in its arguments, and that has a grant of its own.
    ///
    /// A shell is granted by a rule that names one, such as `reglet = ["exec:/bin/sh"]`; the code of an interpreter by
    /// `reglet = ["inline:python3"]`, or by a rule of `exec.allow` that says which arguments. That any program may run grants
    /// neither. Better: have the plugin call the program that it needs.
    ExecInlineCode = "P0216",
    /// Too many commands of this plugin are running at once.
    ///
    /// Raise `limits.children`, or have the plugin wait.
    LimitChildren = "P0221",
    /// The plugin started too many commands within a minute.
    ///
    /// Raise `limits.spawns_per_minute`.
    LimitRate = "P0222",
    /// A command wrote more output than it may.
    ///
    /// Raise `limits.output`, or have the plugin ask for less.
    LimitOutput = "P0223",
    /// All commands of the instance together wrote more output than they may.
    ///
    /// Raise `limits.total_output`.
    LimitTotalOutput = "P0224",
    /// A command and everything it started had more memory than the rule gives them, and was killed.
    ///
    /// Raise the rule's `memory`. What several processes share counts for each of them.
    LimitMemory = "P0225",
    /// The plugin called a function of a capability more often within a minute than it may.
    ///
    /// Raise `limits.http_per_minute`, `limits.net_per_minute`, `limits.log_per_minute` or `limits.calls_per_minute`. Refused
    /// calls count too.
    LimitCalls = "P0226",
    /// The preopened directory is not one that was granted.
    ///
    /// Grant it with `fs.read` or `fs.write`.
    FsNotGranted = "P0301",
    /// The plugin may write the directory, but not this name: somebody who is not confined executes what lies there.
    ///
    /// `.git/hooks`, `.git/config`, `.envrc`, `.vscode` and others are protected in every directory that may be written,
    /// at any depth, and so are the directories that lead to them. If the plugin and its commands are meant to change
    /// one, name it in `exec.unprotect`; `portcullis inspect --json` lists them.
    FsProtected = "P0302",
    /// The path leads through a link out of what was granted.
    ///
    /// Grant where the link leads, with `fs.read` or `fs.write`, and have the plugin name it.
    FsLinkLeadsOut = "P0303",
    /// The plugin may read this, and not change it.
    ///
    /// Grant it with `fs.write`.
    FsReadOnly = "P0304",
    /// A file is longer than the plugin may read or write at once.
    ///
    /// Raise `limits.file_read` or `limits.file_write`.
    FsTooLarge = "P0305",
    /// The plugin wrote to files in all what it may.
    ///
    /// Raise `limits.total_file_write`.
    FsTotal = "P0306",
    /// The plugin holds more files, directories, listings or streams open by WASI than an instance may.
    ///
    /// It has to close some: there is no key for it. A plugin that opens one file after the other never comes near.
    FsHandles = "P0307",
    /// A plugin of fledge has as many files in the directory of its own as it may, or one of them would be too long.
    ///
    /// Raise `limits.data_files` or `limits.data_file`, or have the plugin remove something.
    FsOwnFull = "P0308",
    /// The plugin was not granted the environment variable. It cannot tell that from one that is not set.
    ///
    /// Name it in `env`, or a prefix such as `LC_*`; one that usually holds a secret only by its exact name.
    EnvNotGranted = "P0401",
    /// The plugin was not granted a place in your log. Its line is dropped, and it is not told.
    ///
    /// Set `log = true` for it. What it writes to its standard error needs no grant.
    LogNotGranted = "P0451",
    /// The plugin was not granted HTTP requests to the host at this port.
    ///
    /// Name it in `http.allow`, or use `portcullis grant <plugin> http HOST`. An entry without a port means ports 80 and 443;
    /// `*.example.com` is every name below it and not `example.com` itself.
    HttpNotGranted = "P0421",
    /// The plugin may send requests to the host, but not with this scheme, method or path.
    ///
    /// Widen `schemes`, `methods` or `paths` of the rule, or add a second rule: a request is allowed when any rule allows it.
    HttpRequest = "P0422",
    /// The host is allowed, and stands for an address that is no part of the public network.
    ///
    /// Every address is checked, also with `allow = ["*"]`, and only a checked one is connected to. Private ranges that a name is
    /// meant to resolve to are listed in the rule's `addresses`; loopback is granted as an address with its port,
    /// `"127.0.0.1:8080"`.
    HttpAddress = "P0423",
    /// The request is none that any policy allows: its URL, its method or a header.
    ///
    /// A URL has the scheme `http` or `https` and neither user name nor password. Headers that are about the connection, that
    /// name another host, or that ask a server for another method or path than the request's are the host's own matter.
    HttpInvalid = "P0424",
    /// The body of the request is longer than the plugin may send.
    ///
    /// Raise `limits.http_request`.
    HttpTooLarge = "P0425",
    /// The response has a secret in it that the host adds to requests of the plugin, and is withheld.
    ///
    /// The server said back what it was sent: as it is, in base64 or hexadecimal, escaped, or backwards. The plugin gets nothing
    /// of the response. Have the plugin ask for something else, or keep the place out of `to` of the secret.
    HttpSecret = "P0426",
    /// The ceiling that an administrator set does not leave the request.
    ///
    /// `/etc/portcullis/ceiling.toml` is met with everything: no policy, flag, answer or `portcullis trust` goes beyond it.
    /// Ask whoever administers this machine.
    HttpCeiling = "P0427",
    /// A secret that belongs to the request cannot be added, so the request is not sent.
    ///
    /// `http.secrets` names where it is: a variable that is set, or a file that can be read and that the plugin and its commands
    /// cannot. It has 8 to 4096 visible ASCII characters; a file may end with a line break.
    HttpNoSecret = "P0428",
    /// The plugin sent so many requests that none has been answered yet, and now another.
    ///
    /// 64 may be under way at once. Have the plugin wait for some of the answers.
    HttpTooMany = "P0429",
    /// The plugin was not granted connections to the host at this port.
    ///
    /// Name it in `connect`, or use `portcullis grant <plugin> connect HOST:PORT`. A name server that the plugin names is such a
    /// host too, at port 53. What its commands reach is another key, `net`.
    NetConnect = "P0431",
    /// The plugin was not granted lookups of the name.
    ///
    /// Name it in `lookup`, or use `portcullis grant <plugin> lookup NAME`. `*.example.com` is every name below it and not
    /// `example.com` itself. To connect to a host takes no such grant.
    NetLookup = "P0432",
    /// The host is allowed, and stands for an address that is no part of the public network.
    ///
    /// Every address is checked, also with `connect = ["*:25"]`, and only a checked one is connected to. Private ranges that a name is
    /// meant to resolve to are listed in the entry's `addresses`; loopback is granted as an address with its port,
    /// `"127.0.0.1:2525"`.
    NetAddress = "P0433",
    /// The request is none that any policy allows: its host, its port or its type.
    ///
    /// A host is a name, or an address as it is usually written: `127.1` and `0x7f000001` are neither.
    NetInvalid = "P0434",
    /// The ceiling that an administrator set does not leave the lookup or the connection.
    ///
    /// `/etc/portcullis/ceiling.toml` is met with everything: no policy, flag, answer or `portcullis trust` goes beyond it.
    /// Ask whoever administers this machine.
    NetCeiling = "P0435",
    /// The plugin was not granted state of its own.
    ///
    /// Allow it with `portcullis grant <plugin> kv`, or write `kv = true` in its entry.
    KvNotGranted = "P0441",
    /// A key or a value is longer than the plugin may keep.
    ///
    /// Raise `kv.value`. Keys have at most 256 bytes.
    KvTooLarge = "P0442",
    /// The plugin's state has no room for more keys or bytes.
    ///
    /// Raise `kv.keys` or `kv.bytes`, or have the plugin delete something. What is there can still be read and made
    /// smaller.
    KvFull = "P0443",
    /// The plugin was not granted this fact about the project. It is told `null` instead.
    ///
    /// Name it in `metadata`: `fledge_config`, `git_tags`, `git_status`, `git_log` or `env`. With `env` it is told the
    /// variables that its `env` grant names, and no others.
    MetadataNotGranted = "P0461",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// All that a guest learns of a failure: its kind, never a rule, a host path, or whether a program exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuestError {
    /// The policy does not allow it.
    Denied,
    /// The policy allows the program, and it is not there.
    NotFound,
    /// The request has no meaning.
    Invalid,
    /// A limit on the number of commands was reached.
    Limit,
    /// The command wrote more than it may.
    OutputLimit,
    /// The command had more memory than it may and was killed, which its status says too.
    MemoryLimit,
    /// The time was over before the command was started.
    TimedOut,
    /// The command could not be started.
    CannotStart,
}

impl GuestError {
    /// The text of the error that the guest receives.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Denied => "denied: the operator's policy does not allow this command",
            Self::NotFound => "not found: the program is allowed but not installed",
            Self::Invalid => "invalid request",
            Self::Limit => "limit reached: too many commands",
            Self::OutputLimit => "output limit reached",
            Self::MemoryLimit => "memory limit reached",
            Self::TimedOut => "cannot start the command: its time is over",
            Self::CannotStart => "cannot start the command",
        }
    }
}

/// What a [`Remedy`] does that grants no more than was asked for.
pub(crate) const EXACTLY_THIS: &str = "to allow exactly this";

/// The smallest change that would allow exactly what was denied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remedy {
    /// What it does, as a phrase: `to allow exactly this`.
    pub text: String,
    /// The command that does it, as arguments, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
}

impl Remedy {
    /// The command that grants a right: the words after `portcullis grant <plugin>`.
    pub fn grant(plugin: &PluginId, text: impl Into<String>, right: &[&str]) -> Self {
        let words = ["portcullis", "grant", plugin.as_str()];
        let words = words.iter().chain(right).map(|word| (*word).to_owned());
        Self {
            text: text.into(),
            command: Some(words.collect()),
        }
    }
}

/// A refusal: one value for the guest, the terminal, the JSON and the audit trail, so that they cannot disagree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Denial {
    /// The stable code.
    pub code: Code,
    /// Who asked.
    pub plugin: PluginId,
    /// What kind of authority it needed.
    pub capability: Capability,
    /// What was refused, as a phrase after the plugin's name: ``run `/usr/bin/curl` ``.
    pub action: String,
    /// The object alone: a program, a path, a name.
    pub object: String,
    /// More facts, a phrase each.
    pub notes: Vec<String>,
    /// What would allow it.
    pub remedies: Vec<Remedy>,
    /// The rule that decided, if one did.
    pub rule: Option<(RuleId, Origin)>,
    /// All that the guest learns.
    pub guest: GuestError,
}

impl Denial {
    /// A denial of which the guest is told no more than that it is one. Facts, and what would allow it, are added.
    pub(crate) fn new(
        code: Code,
        grants: &Grants,
        capability: Capability,
        action: impl Into<String>,
        object: impl Into<String>,
    ) -> Self {
        Self {
            code,
            plugin: grants.plugin.clone(),
            capability,
            action: action.into(),
            object: object.into(),
            notes: Vec::new(),
            remedies: Vec::new(),
            rule: None,
            guest: GuestError::Denied,
        }
    }

    /// The same, with another fact.
    #[must_use]
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The same, and the right that would allow it.
    #[must_use]
    pub(crate) fn allowed_by(mut self, text: &str, right: &[&str]) -> Self {
        let remedy = Remedy::grant(&self.plugin, text, right);
        self.remedies.push(remedy);
        self
    }

    /// The host cannot confine a command as it was decided: `P0213`.
    ///
    /// `reason` says why, as a clause; `remedy` what would let the host do it, as a phrase. Nothing weaker is done in
    /// its place. The guest learns only that the command cannot be started.
    pub fn unconfinable(
        plugin: &PluginId,
        program: &str,
        confinement: Confinement,
        reason: &str,
        remedy: &str,
    ) -> Self {
        let tier = confinement.name();
        Self {
            code: Code::ExecConfinement,
            plugin: plugin.clone(),
            capability: Capability::Exec,
            action: format!("run `{}`", shown(program)),
            object: program.to_owned(),
            notes: vec![format!(
                "`confinement = \"{tier}\"` cannot be enforced here: {reason}"
            )],
            remedies: vec![Remedy {
                text: remedy.to_owned(),
                command: None,
            }],
            rule: None,
            guest: GuestError::CannotStart,
        }
    }

    /// The first line of the report: who may not do what.
    pub fn headline(&self) -> String {
        format!("plugin `{}` may not {}", self.plugin, self.action)
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())
    }
}

impl std::error::Error for Denial {}
