//! fledge's `plugin.toml`: what a plugin of fledge says of itself. Its capabilities are what it asks for, and grant nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portcullis_policy::{FledgeFiles, FledgePlugin, FsAccess, Grants, Net, PluginId};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::clawft::{beneath, is_below};
use crate::commands::{PluginCommand, is_name};
use crate::error::{ConfigCode, ConfigErrors, Report};
use crate::manifest::{Ask, AskKind, Manifest};
use crate::source::Source;

/// The protocol that plugins of fledge speak.
const PROTOCOL: &str = "fledge-v1";
/// The runtime that this host has.
const WASM: &str = "wasm";
/// Bytes of the parts that have no other bound.
const MAX_WORD: usize = 256;

/// The manifest of a plugin of fledge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FledgeManifest {
    /// The name that it gives itself.
    pub name: PluginId,
    /// Its version, as written.
    pub version: String,
    /// What it does; not filtered for terminals.
    pub description: Option<String>,
    /// Its commands, each a module of its own. The first is the plugin where none is named.
    pub commands: Vec<FledgeCommand>,
    /// What it asks for.
    pub capabilities: FledgeCapabilities,
    /// Hooks that it has, by name. None is ever run.
    pub hooks: Vec<String>,
    /// Keys that it has and that mean nothing here, as `table.key`. Not filtered for terminals.
    pub unknown: Vec<String>,
}

/// A command of a plugin of fledge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FledgeCommand {
    /// What it is called. Not filtered for terminals.
    pub name: String,
    /// What it does. Not filtered for terminals.
    pub description: Option<String>,
    /// The module, below the directory of the manifest.
    pub binary: String,
}

/// What a plugin of fledge asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FledgeCapabilities {
    /// Commands.
    pub exec: bool,
    /// Keys and values that are kept.
    pub store: bool,
    /// Facts about the project and the environment.
    pub metadata: bool,
    /// `none`, `project` or `plugin`.
    pub filesystem: Option<String>,
    /// The network, which no plugin of fledge has.
    pub network: bool,
    /// Answers to messages that have an `id`: ours, and nothing to fledge.
    pub responses: bool,
}

#[derive(Debug, Deserialize)]
struct File {
    plugin: PluginTable,
    #[serde(default)]
    commands: Vec<FledgeCommand>,
    #[serde(default)]
    hooks: BTreeMap<String, Value>,
    #[serde(default)]
    capabilities: FledgeCapabilities,
}

#[derive(Debug, Deserialize)]
struct PluginTable {
    name: String,
    version: String,
    description: Option<String>,
    protocol: Option<String>,
    runtime: Option<String>,
}

/// The keys that mean something, table by table.
const KNOWN: [(&str, &[&str]); 3] = [
    (
        "plugin",
        &[
            "name",
            "version",
            "description",
            "author",
            "protocol",
            "runtime",
        ],
    ),
    ("commands", &["name", "description", "binary"]),
    (
        "capabilities",
        &[
            "exec",
            "store",
            "metadata",
            "filesystem",
            "network",
            "responses",
        ],
    ),
];

/// Whether a text is a manifest of fledge: ours has no table `plugin`.
pub(crate) fn is_of_fledge(text: &str) -> bool {
    let table: Result<Table, _> = text.parse();
    table.is_ok_and(|table| table.get("plugin").is_some_and(Value::is_table))
}

impl FledgeManifest {
    /// Reads a manifest. `path` is for messages only.
    ///
    /// # Errors
    /// What keeps the plugin from being one of this host.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, ConfigErrors> {
        let mut report = Report::default();
        let source = Source { path, text };
        let manifest = match toml::from_str::<File>(text) {
            Ok(file) => file.check().map_err(|problems| (0..0, problems)),
            Err(error) => {
                let span = error.span().unwrap_or_default();
                Err((span, vec![error.message().to_owned()]))
            }
        };
        let manifest = match manifest {
            Ok(manifest) => Some(Self {
                unknown: unknown(text),
                ..manifest
            }),
            Err((span, problems)) => {
                for problem in problems {
                    let problem = format!("a manifest of fledge: {problem}");
                    report.push(source.error(ConfigCode::Value, span.clone(), problem));
                }
                None
            }
        };
        // Without a manifest there is a mistake in the report, so the second error is never the answer.
        report
            .finish(manifest)?
            .ok_or_else(|| ConfigErrors(Vec::new()))
    }

    /// The same in the form of all manifests.
    pub(crate) fn into_manifest(self) -> Manifest {
        Manifest {
            id: self.name.clone(),
            version: self.version.clone(),
            world: PROTOCOL.to_owned(),
            description: self.description.clone(),
            component: self.commands.first().map(|first| first.binary.clone()),
            minimum_host: None,
            commands: self.first_command().into_iter().collect(),
            asks: self.asks(),
            clawft: None,
            fledge: Some(Box::new(self)),
        }
    }

    /// The command whose file it is run from, by its own name. The others have files of their own.
    fn first_command(&self) -> Option<PluginCommand> {
        let first = self.commands.first()?;
        let is_another = first.name != self.name.as_str() && is_name(&first.name);
        is_another.then(|| PluginCommand {
            name: first.name.clone(),
            description: None,
            args: Vec::new(),
        })
    }

    /// Whether a file is one of its commands, links followed.
    pub(crate) fn speaks_for(&self, dir: &Path, file: &Path) -> bool {
        let mut binaries = self.commands.iter();
        binaries.any(|command| beneath(dir, &command.binary).is_some_and(|real| real == file))
    }

    /// What the library has to know of it.
    pub fn facts(&self) -> FledgePlugin {
        FledgePlugin {
            version: self.version.clone(),
            files: self.capabilities.files(),
            network: self.capabilities.network,
            responses: self.capabilities.responses,
        }
    }

    fn asks(&self) -> Vec<Ask> {
        let asked = &self.capabilities;
        let files = asked.files();
        let kinds = [
            asked.exec.then_some(AskKind::Exec {
                program: None,
                sub: None,
            }),
            asked.store.then_some(AskKind::Kv),
            asked.metadata.then_some(AskKind::Metadata),
            files
                .wants_project()
                .then(|| directory(PROJECT, FsAccess::Read)),
            files
                .wants_own()
                .then(|| directory(OWN, FsAccess::ReadWrite)),
        ];
        let reason = "`capabilities` of `plugin.toml`".to_owned();
        let asks = kinds.into_iter().flatten();
        asks.map(|kind| Ask {
            kind,
            reason: reason.clone(),
        })
        .collect()
    }

    /// Whether any of what an ask is about is granted.
    pub(crate) fn is_granted(ask: &AskKind, grants: &Grants) -> bool {
        match ask {
            AskKind::Exec { .. } => grants.exec.is_some(),
            AskKind::Fs {
                access: FsAccess::ReadWrite,
                ..
            } => grants.data.is_some(),
            // The policy sees the project under this name.
            AskKind::Fs { .. } => grants.fs.iter().any(|grant| grant.guest == "."),
            AskKind::Kv => grants.kv.is_some(),
            AskKind::Metadata => !grants.metadata.is_empty(),
            AskKind::Env { .. }
            | AskKind::Http { .. }
            | AskKind::Net { .. }
            | AskKind::Log
            | AskKind::Prompt => true,
        }
    }

    /// Takes away what the plugin does not ask for: two keys to one door. It never adds anything.
    #[must_use]
    pub fn restrict(&self, mut grants: Grants) -> Grants {
        let asked = &self.capabilities;
        if !asked.exec {
            grants.exec = None;
            grants.net = Net::None;
        }
        if !asked.store {
            grants.kv = None;
        }
        if !asked.metadata {
            grants.metadata.clear();
            grants.env.clear();
        }
        // Directories are for its commands too; which of them the guest itself opens its world decides.
        if !asked.files().wants_project() && !asked.exec {
            grants.fs.clear();
        }
        if !asked.files().wants_own() {
            grants.data = None;
        }
        grants.http.allow.clear();
        grants.http.secrets.clear();
        grants.own_net.clear();
        grants.fledge = Some(self.facts());
        grants
    }
}

/// The names of the two directories of a plugin of fledge.
const PROJECT: &str = "/project";
const OWN: &str = "/plugin";

fn directory(path: &str, access: FsAccess) -> AskKind {
    AskKind::Fs {
        path: Some(path.to_owned()),
        access,
    }
}

impl FledgeCapabilities {
    fn files(&self) -> FledgeFiles {
        match self.filesystem.as_deref() {
            Some("project") => FledgeFiles::Project,
            Some("plugin") => FledgeFiles::Plugin,
            Some("none") => FledgeFiles::None,
            // What is not asked for is not given.
            Some(_) | None => FledgeFiles::Unasked,
        }
    }
}

impl File {
    fn check(self) -> Result<FledgeManifest, Vec<String>> {
        let mut problems = Vec::new();
        let PluginTable {
            name,
            version,
            description,
            protocol,
            runtime,
        } = self.plugin;
        match runtime.as_deref() {
            Some(WASM) => {}
            None | Some("native") => problems.push(
                "it is a native plugin, and native plugins do not exist on this host: \
                 it runs modules with `runtime = \"wasm\"`"
                    .to_owned(),
            ),
            Some(other) => problems.push(format!(
                "`plugin.runtime` is `{}`, and this host runs `wasm`",
                other.escape_debug()
            )),
        }
        if let Some(other) = protocol.filter(|protocol| protocol != PROTOCOL) {
            problems.push(format!(
                "`plugin.protocol` is `{}`, and this host speaks `{PROTOCOL}`",
                other.escape_debug()
            ));
        }
        let files = self.capabilities.filesystem.as_deref();
        if let Some(other) = files.filter(|word| !["none", "project", "plugin"].contains(word)) {
            problems.push(format!(
                "`capabilities.filesystem` is `{}`, and may be `none`, `project` or `plugin`",
                other.escape_debug()
            ));
        }
        if self.commands.is_empty() {
            problems.push("it has no `[[commands]]`, so nothing can be run".to_owned());
        }
        for command in &self.commands {
            if !is_below(&command.binary) {
                problems.push(format!(
                    "the `binary` of command `{}` is no path below the plugin's directory",
                    command.name.escape_debug()
                ));
            }
        }
        if version.len() > MAX_WORD {
            problems.push(format!("`plugin.version` is longer than {MAX_WORD} bytes"));
        }
        let id = PluginId::new(name.as_str());
        let id = id.map_err(|error| problems.push(format!("`plugin.name`: {error}")));
        match id {
            Ok(name) if problems.is_empty() => Ok(FledgeManifest {
                name,
                version,
                description,
                commands: self.commands,
                capabilities: self.capabilities,
                hooks: self.hooks.into_keys().collect(),
                unknown: Vec::new(),
            }),
            _ => Err(problems),
        }
    }
}

/// Keys that mean nothing here.
fn unknown(text: &str) -> Vec<String> {
    let Ok(file) = text.parse::<Table>() else {
        return Vec::new();
    };
    let mut unknown = Vec::new();
    for (key, value) in &file {
        let Some((_, known)) = KNOWN.iter().find(|(table, _)| table == key) else {
            // Hooks are told apart: they mean something to fledge, and must not here.
            if key != "hooks" {
                unknown.push(key.clone());
            }
            continue;
        };
        let tables = match value {
            Value::Table(table) => vec![table],
            Value::Array(list) => list.iter().filter_map(Value::as_table).collect(),
            _ => Vec::new(),
        };
        let keys = tables.into_iter().flat_map(Table::keys);
        let keys = keys.filter(|name| !known.contains(&name.as_str()));
        unknown.extend(keys.map(|name| format!("{key}.{name}")));
    }
    unknown
}

/// The manifest of fledge that names a file some directories below it.
pub(crate) fn names(dir: &Path, manifest: &Manifest, file: &Path) -> bool {
    let fledge = manifest.fledge.as_ref();
    fledge.is_some_and(|fledge| fledge.speaks_for(dir, file))
}

/// The module that a manifest of fledge names first, if it lies below the plugin's directory when links are followed.
pub(crate) fn first(dir: &Path, manifest: &Manifest) -> Option<PathBuf> {
    let fledge = manifest.fledge.as_ref()?;
    beneath(dir, &fledge.commands.first()?.binary)
}
