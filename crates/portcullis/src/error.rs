use std::path::PathBuf;
use std::time::Duration;

use portcullis_policy::{Confinement, Digest, PluginId};

use crate::diagnostic::Diagnostic;
use crate::exception::Exception;
use crate::exhausted::{Exhausted, Resource};
use crate::own_state::Reach;
use crate::recognize::Kind;

/// Why a host could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The engine refused its configuration.
    #[error("cannot start the WebAssembly engine")]
    Engine(#[source] wasmtime::Error),
    /// The thread for deadlines could not be started.
    #[error("cannot start the thread that watches deadlines")]
    Ticker(#[source] std::io::Error),
    /// The project directory cannot be used.
    #[error("cannot use `{}` as the project directory: {why}", path.display())]
    Project {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// An import that keeps a plugin from being loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingImport {
    /// The interface, as the component names it; `module.name` of a core module.
    pub name: String,
    /// Why it is missing, and what would supply it.
    pub why: String,
}

/// Why a plugin could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read plugin `{plugin}` from `{}`", path.display())]
    Read {
        /// The plugin.
        plugin: PluginId,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is larger than any plugin may be.
    #[error("cannot load plugin `{plugin}`: it has {bytes} bytes, more than {limit}")]
    TooLarge {
        /// The plugin.
        plugin: PluginId,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The file does not have the digest the policy names.
    #[error(
        "cannot load plugin `{plugin}`: its SHA-256 is `{found}`, the policy names `{expected}`"
    )]
    Digest {
        /// The plugin.
        plugin: PluginId,
        /// In the policy.
        expected: String,
        /// Of the file.
        found: String,
    },
    /// The file is one that is never loaded.
    #[error("cannot load plugin `{plugin}`: it is revoked ({digest})")]
    Revoked {
        /// The plugin.
        plugin: PluginId,
        /// Its SHA-256.
        digest: Digest,
    },
    /// The file is something else than a plugin.
    #[error("cannot load plugin `{plugin}`: the file is {}", kind.describe())]
    NotAPlugin {
        /// The plugin.
        plugin: PluginId,
        /// What it is.
        kind: Kind,
        /// For a core module, the exports that it lacks to be a plugin.
        lacks: Vec<&'static str>,
    },
    /// The file is a component or module, and broken.
    #[error("cannot load plugin `{plugin}`: the {} is not valid", what(*kind))]
    Invalid {
        /// The plugin.
        plugin: PluginId,
        /// What it is.
        kind: Kind,
        /// What the validator says.
        why: String,
    },
    /// It imports what it was not granted, or what does not exist. All such imports are listed.
    #[error("cannot load plugin `{plugin}`: it imports what it is not given")]
    Imports {
        /// The plugin.
        plugin: PluginId,
        /// Each of them.
        missing: Vec<MissingImport>,
    },
    /// An import or export has another type than the interface of that name.
    #[error("cannot load plugin `{plugin}`: its interface does not fit")]
    Interface {
        /// The plugin.
        plugin: PluginId,
        /// What it is.
        kind: Kind,
        /// What does not fit.
        why: String,
    },
    /// A grant reaches the host's own files.
    #[error("cannot load plugin `{plugin}`: its grant `{}` reaches Portcullis's own `{}`", reach.grant.display(), reach.reached.display())]
    OwnState {
        /// The plugin.
        plugin: PluginId,
        /// Which grant, and what it reaches.
        reach: Reach,
    },
    /// What is changed in a granted directory is to be staged, and this process is in no staging namespace that does it.
    #[error("cannot load plugin `{plugin}`: what it changes in `{}` is to be staged, and is not here", path.display())]
    NotStaged {
        /// The plugin.
        plugin: PluginId,
        /// The directory.
        path: PathBuf,
    },
    /// A granted directory cannot be opened.
    #[error("cannot load plugin `{plugin}`: cannot open the granted directory `{}`", path.display())]
    Preopen {
        /// The plugin.
        plugin: PluginId,
        /// The directory.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
    /// Compiling took too long, and was stopped.
    #[error("cannot load plugin `{plugin}`: compiling it took more than {} ms", limit.as_millis())]
    CompileTime {
        /// The plugin.
        plugin: PluginId,
        /// The limit.
        limit: Duration,
    },
    /// Compiling took too much memory, and was stopped.
    #[error("cannot load plugin `{plugin}`: compiling it took more than {limit} bytes of memory")]
    CompileMemory {
        /// The plugin.
        plugin: PluginId,
        /// The limit.
        limit: u64,
    },
    /// The process that compiles could not be started under its confinement, or failed.
    #[error("cannot load plugin `{plugin}`: it could not be compiled under confinement `{}`", confinement.name())]
    Compiler {
        /// The plugin.
        plugin: PluginId,
        /// The confinement.
        confinement: Confinement,
        /// What went wrong, and the fix if one is known.
        why: String,
    },
    /// The engine that counts instructions cannot be started, and the plugin's are to be counted.
    #[error("cannot load plugin `{plugin}`: the engine for its `limits.fuel` cannot be started")]
    Engine {
        /// The plugin.
        plugin: PluginId,
        /// What went wrong.
        why: String,
    },
    /// It is larger than plugins of its world may be.
    #[error("plugin `{plugin}` has {bytes} bytes{packed}, and plugins of clawft may have {limit}", packed = if *packed { " when it is packed" } else { "" })]
    TooLargeForWorld {
        /// The plugin.
        plugin: PluginId,
        /// Whether its size is that which gzip leaves of it.
        packed: bool,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The spawn server cannot be started, and the plugin is granted commands.
    #[error("cannot load plugin `{plugin}`: commands cannot be started on this host")]
    Executor {
        /// The plugin.
        plugin: PluginId,
        /// What went wrong, and the fix if one is known.
        why: String,
    },
    /// What it does is to be recorded, and cannot be.
    #[error("cannot record plugin `{plugin}`")]
    Record {
        /// The plugin.
        plugin: PluginId,
        /// What went wrong.
        why: String,
    },
}

const fn what(kind: Kind) -> &'static str {
    match kind {
        Kind::Component | Kind::ClawftComponent | Kind::WasiComponent => "component",
        _ => "module",
    }
}

impl LoadError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "P0600",
            Self::NotAPlugin { .. } => "P0601",
            Self::Invalid { .. } => "P0602",
            Self::Imports { .. } => "P0603",
            Self::Interface { .. } => "P0604",
            Self::TooLarge { .. } => "P0605",
            Self::TooLargeForWorld { .. } => "P0511",
            Self::Digest { .. } => "P0606",
            Self::Revoked { .. } => "P0614",
            Self::OwnState { .. } => "P0607",
            Self::NotStaged { .. } => "P0615",
            Self::Preopen { .. } => "P0608",
            Self::CompileTime { .. } => "P0609",
            Self::Executor { .. } => "P0610",
            Self::CompileMemory { .. } => "P0611",
            Self::Compiler { .. } => "P0612",
            Self::Engine { .. } => "P0613",
            Self::Record { .. } => "P0616",
        }
    }

    /// The error for a person, with its remedies.
    pub fn diagnostic(&self) -> Diagnostic {
        let base = Diagnostic::new(self.code(), self.to_string());
        match self {
            Self::Read { source, .. } => base.note(source.to_string()),
            Self::TooLarge { .. } => base,
            Self::TooLargeForWorld { plugin, packed, .. } => {
                let key = if *packed { "clawft_gzip" } else { "clawft_module" };
                base.help(format!("raise `limits.{key}` for `{plugin}`"))
            }
            Self::CompileTime { plugin, .. } => compiling(base, "time", plugin),
            Self::CompileMemory { plugin, .. } => compiling(base, "memory", plugin),
            Self::Compiler { why, .. } => base
                .note(why)
                .note("plugins are compiled away from your files, because they may be made to attack the compiler")
                .help("run `portcullis doctor`; where this confinement cannot be had, write a weaker `confinement` at the top of the policy"),
            Self::Digest { .. } => {
                base.help("if the plugin was updated on purpose, write the new digest into the policy's `sha256`")
            }
            Self::Revoked { .. } => base
                .note("it is listed under `revoked` in a policy or a ceiling; nothing overrides the list")
                .help("get a version of the plugin that is not revoked"),
            Self::NotAPlugin { kind, lacks, .. } => {
                let base = base.note("this host runs components for the world `portcullis:cli/plugin@0.1.0`, and commands of WASI 0.2 and preview 1");
                let lacks: Vec<_> = lacks.iter().map(|name| format!("`{name}`")).collect();
                match lacks.as_slice() {
                    [] => base,
                    lacks => base.note(format!("and core modules in the form of `portcullis:core/v1`; it lacks the exports {}", lacks.join(", "))),
                }
                .help(kind.remedy())
            }
            Self::Invalid { why, .. } => base.note(why).help("build it again, or fetch it again"),
            Self::Imports { missing, .. } => missing
                .iter()
                .fold(base, |diagnostic, import| diagnostic.note(format!("`{}`: {}", import.name, import.why)))
                .help("write `late = true` for the plugin to be told at the call instead"),
            Self::Interface { kind, why, .. } => {
                base.note(why).help(match kind {
                    Kind::ClawftComponent => "build it for the world `clawft:plugin/plugin@0.1.0`",
                    Kind::WasiComponent => "build it for the world `wasi:cli/command` in version 0.2",
                    Kind::WasiCommand => "build it as a command that exports `_start` alone, or as a plugin of `docs/interfaces.md`",
                    Kind::PortcullisModule => "build it for the core-module form of `docs/interfaces.md`",
                    Kind::RegletModule => "build it with `GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o plugin.wasm .`, and register the plugin in `init`",
                    Kind::FledgeModule => "`docs/fledge.md` has the types of all functions",
                    _ => "build it against the WIT package `portcullis:cli@0.1.0` or `my:cli`",
                })
            }
            Self::OwnState { .. } => base
                .note("no grant reaches the configuration, keys, cache or audit trail of Portcullis, or its executable")
                .help("grant a directory below or beside it"),
            Self::Preopen { why, .. } | Self::Engine { why, .. } | Self::Record { why, .. } => {
                base.note(why)
            }
            Self::NotStaged { .. } => base
                .note("nothing is ever written there directly")
                .help("run it by `portcullis run`, or without `staged` in its `fs.write`"),
            Self::Executor { why, .. } => base.note(why).help("run `portcullis doctor`"),
        }
    }
}

fn compiling(base: Diagnostic, limit: &str, plugin: &PluginId) -> Diagnostic {
    base.note("few plugins need as much; one that is made to keep a compiler busy does")
        .help(format!(
            "if you trust it, raise `limits.compile_{limit}` for `{plugin}`"
        ))
}

/// Why a call into a plugin did not return.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The call's time was up. Every command it had started is dead.
    #[error("plugin `{plugin}` was stopped: call `{call}` passed its deadline of {} ms", limit.as_millis())]
    Deadline {
        /// The plugin.
        plugin: PluginId,
        /// The export.
        call: &'static str,
        /// The limit.
        limit: std::time::Duration,
        /// Where the guest was, innermost first; empty while it waited for the host.
        backtrace: Vec<String>,
    },
    /// The guest used up what it may in one call, other than time, or ended because it did not get more.
    #[error("plugin `{plugin}` was stopped: call `{call}` {}", used_up(exhausted))]
    Exhausted {
        /// The plugin.
        plugin: PluginId,
        /// The export.
        call: &'static str,
        /// What it used up.
        exhausted: Exhausted,
        /// What the engine says.
        cause: String,
        /// What the guest's language says, if it said something on the guest's standard error.
        exception: Option<Exception>,
        /// Where the guest was, innermost first.
        backtrace: Vec<String>,
    },
    /// The guest trapped.
    #[error("plugin `{plugin}` crashed in call `{call}`: {}", headline(cause, exception.as_ref()))]
    Trap {
        /// The plugin.
        plugin: PluginId,
        /// The export.
        call: &'static str,
        /// What the engine says.
        cause: String,
        /// What the guest's language says, if it said something on the guest's standard error.
        exception: Option<Exception>,
        /// Where the guest was, innermost first.
        backtrace: Vec<String>,
    },
    /// The component could not be instantiated.
    #[error("plugin `{plugin}` cannot be started: {cause}")]
    Instantiate {
        /// The plugin.
        plugin: PluginId,
        /// What the engine says.
        cause: String,
    },
    /// The guest was asked to make itself ready, and refused.
    #[error("plugin `{plugin}` did not start: its `{call}` failed: {said}")]
    Init {
        /// The plugin.
        plugin: PluginId,
        /// The export.
        call: &'static str,
        /// What the guest says, escaped and cut.
        said: String,
    },
    /// The plugin is of another world, and has nothing of that name.
    #[error("plugin `{plugin}` has no export `{call}`")]
    NoExport {
        /// The plugin.
        plugin: PluginId,
        /// The export.
        call: &'static str,
    },
    /// An earlier call was dropped or trapped; the instance is in no state to be called.
    #[error("plugin `{plugin}` cannot be called again: an earlier call did not return")]
    Poisoned {
        /// The plugin.
        plugin: PluginId,
    },
}

impl CallError {
    /// What the plugin was granted cannot be opened any more.
    pub(crate) fn unopened(plugin: &PluginId, error: &LoadError) -> Self {
        Self::Instantiate {
            plugin: plugin.clone(),
            cause: error.diagnostic().message,
        }
    }

    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Deadline { .. } => "P0701",
            Self::Trap { .. } => "P0702",
            Self::Instantiate { .. } => "P0703",
            Self::Poisoned { .. } => "P0704",
            Self::Exhausted { exhausted, .. } => match exhausted.resource {
                Resource::Time => "P0701",
                Resource::Fuel => "P0501",
                Resource::Memory => "P0502",
                Resource::Tables => "P0503",
            },
            Self::Init { .. } => "P0504",
            Self::NoExport { .. } => "P0505",
        }
    }

    /// What the call used up, if that was its end.
    pub fn exhausted(&self) -> Option<Exhausted> {
        match self {
            Self::Exhausted { exhausted, .. } => Some(*exhausted),
            Self::Deadline { limit, .. } => {
                let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
                Some(Exhausted {
                    resource: Resource::Time,
                    used: limit,
                    limit,
                })
            }
            Self::Trap { .. }
            | Self::Instantiate { .. }
            | Self::Init { .. }
            | Self::NoExport { .. }
            | Self::Poisoned { .. } => None,
        }
    }

    /// The error for a person, with its remedies.
    pub fn diagnostic(&self) -> Diagnostic {
        let base = Diagnostic::new(self.code(), self.to_string());
        match self {
            Self::Deadline {
                plugin, backtrace, ..
            } => traced(base, backtrace)
                .note("every command it had started was killed with it")
                .help(format!(
                    "raise `limits.call` for `{plugin}`, or have the plugin work in parts"
                )),
            Self::Exhausted {
                plugin,
                exhausted,
                cause,
                exception,
                backtrace,
                ..
            } => {
                let key = match exhausted.resource {
                    Resource::Fuel => "fuel",
                    Resource::Memory => "memory",
                    Resource::Tables => "table_elements",
                    Resource::Time => "call",
                };
                ended(base, cause, exception.as_ref(), backtrace).help(format!(
                    "raise `limits.{key}` for `{plugin}`, or have the plugin work in parts"
                ))
            }
            Self::Trap {
                cause,
                exception,
                backtrace,
                ..
            } => trapped(base, cause, exception.as_ref(), backtrace),
            Self::Instantiate { .. } | Self::Init { .. } | Self::NoExport { .. } => base,
            Self::Poisoned { .. } => base.help("make a new instance"),
        }
    }
}

/// How a call ended that wanted more than it may have.
fn used_up(exhausted: &Exhausted) -> String {
    let Exhausted {
        resource,
        used,
        limit,
    } = exhausted;
    match resource {
        Resource::Fuel => format!("used up its fuel of {limit} instructions"),
        Resource::Memory => {
            format!("ran out of memory: it has {used} bytes, wanted more, and may have {limit}")
        }
        Resource::Tables => {
            format!("ran out of table elements: it has {used}, wanted more, and may have {limit}")
        }
        Resource::Time => format!("passed its deadline of {limit} ms"),
    }
}

/// What a crash is about: to the engine all uncaught errors are one.
fn headline(cause: &str, exception: Option<&Exception>) -> String {
    match exception {
        Some(exception) if !exception.message.is_empty() => format!("`{}`", exception.message),
        _ => cause.to_owned(),
    }
}

/// First what the guest's language says of where it was, then the engine.
fn trapped(
    base: Diagnostic,
    cause: &str,
    exception: Option<&Exception>,
    backtrace: &[String],
) -> Diagnostic {
    match exception {
        Some(_) => ended(base, cause, exception, backtrace),
        None => traced(base, backtrace),
    }
}

fn ended(
    mut base: Diagnostic,
    cause: &str,
    exception: Option<&Exception>,
    backtrace: &[String],
) -> Diagnostic {
    if let Some(exception) = exception {
        base.trace.clone_from(&exception.trace);
        if !exception.frames.is_empty() {
            base = base.note(format!(
                "raised in {}",
                exception.frames.join(", called by ")
            ));
        }
    }
    base.note(match backtrace {
        [] => cause.to_owned(),
        frames => format!("{cause}, in {}", frames.join(", called by ")),
    })
}

fn traced(base: Diagnostic, backtrace: &[String]) -> Diagnostic {
    match backtrace {
        [] => base,
        frames => base.note(format!("in {}", frames.join(", called by "))),
    }
}
