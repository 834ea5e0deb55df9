//! `clawft.plugin.json`: what a plugin of clawft says of itself. Its permissions are what it asks for, and grant nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_policy::{FsAccess, FsGrant, FsKind, Grants, Limits, Net, PluginId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context;
use crate::manifest::{Ask, AskKind, Manifest, restrict_hosts};

/// The name of the manifest of a plugin of clawft, beside its component.
pub const CLAWFT_MANIFEST_FILE: &str = "clawft.plugin.json";

/// Bytes that an id may have.
const MAX_ID: usize = 128;
const MIB: u64 = 1024 * 1024;

/// The manifest of a plugin of clawft. Keys that are not listed here are passed over, but for permissions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "clawft.plugin.json")]
pub struct ClawftManifest {
    /// 1 to 128 letters, digits, `.`, `_` or `-`, of ASCII; a letter or digit first and last, and no two dots in a row.
    pub id: String,
    /// What the plugin is called. Not filtered for terminals.
    pub name: String,
    /// Its version, as semantic versioning has it.
    pub version: String,
    /// What it offers; one thing at least.
    pub capabilities: Vec<ClawftCapability>,
    /// What it asks for.
    pub permissions: ClawftPermissions,
    /// How much of the machine it asks for.
    pub resources: ClawftResources,
    /// The component, below the directory of this file.
    pub wasm_module: Option<String>,
    /// Skills that come with it.
    pub skills: Vec<String>,
    /// The names of its tools.
    pub tools: Vec<String>,
}

/// What a plugin offers to clawft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClawftCapability {
    /// Tools for an agent.
    Tool,
    /// A channel for messages.
    Channel,
    /// A stage of a pipeline.
    PipelineStage,
    /// A skill.
    Skill,
    /// A place to keep memories.
    MemoryBackend,
    /// Speech.
    Voice,
}

/// What a plugin asks for. An unknown key is an error: nobody could say what was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClawftPermissions {
    /// Hosts that it talks to: a name, `*.` and a name for all below it, or `*`.
    pub network: Vec<String>,
    /// Directories or files that it reads and writes; `~/` is the home directory.
    pub filesystem: Vec<String>,
    /// Variables that it reads, by their exact names.
    pub env_vars: Vec<String>,
    /// Whether it wants commands. No function of the host gives it any.
    pub shell: bool,
}

/// How much of the machine a plugin asks for. It gets no more than the policy gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClawftResources {
    /// Instructions of one call: 1,000,000 to 10,000,000,000. Default: 1,000,000,000.
    pub max_fuel: u64,
    /// MiB of linear memory, all memories together: 1 to 256. Default: 16.
    pub max_memory_mb: u64,
    /// Elements of all tables together: up to 100,000. Default: 10,000.
    pub max_table_elements: u64,
    /// Seconds of one call: 1 to 300. Default: 30.
    pub max_execution_seconds: u64,
    /// Requests within a minute. Default: 10.
    pub max_http_requests_per_minute: u32,
    /// Lines of log within a minute. Default: 100.
    pub max_log_messages_per_minute: u32,
}

impl Default for ClawftResources {
    fn default() -> Self {
        Self {
            max_fuel: 1_000_000_000,
            max_memory_mb: 16,
            max_table_elements: 10_000,
            max_execution_seconds: 30,
            max_http_requests_per_minute: 10,
            max_log_messages_per_minute: 100,
        }
    }
}

impl ClawftResources {
    /// What is more or less than may be asked for, brought to the nearest that may.
    fn clamped(self) -> Self {
        Self {
            max_fuel: self.max_fuel.clamp(1_000_000, 10_000_000_000),
            max_memory_mb: self.max_memory_mb.clamp(1, 256),
            max_table_elements: self.max_table_elements.min(100_000),
            max_execution_seconds: self.max_execution_seconds.clamp(1, 300),
            ..self
        }
    }

    /// The smaller of what is asked for and what policy gives.
    fn within(&self, limits: &Limits) -> Limits {
        let call = Duration::from_secs(self.max_execution_seconds);
        Limits {
            memory: limits.memory.min(self.max_memory_mb * MIB),
            table_elements: limits.table_elements.min(self.max_table_elements),
            call: limits.call.min(call),
            http_per_minute: limits
                .http_per_minute
                .min(self.max_http_requests_per_minute),
            log_per_minute: limits.log_per_minute.min(self.max_log_messages_per_minute),
            fuel: [limits.fuel, Some(self.max_fuel)]
                .into_iter()
                .flatten()
                .min(),
            ..limits.clone()
        }
    }
}

/// Why a text is no manifest of clawft.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("plugin load failed: {what}")]
pub struct ClawftManifestError {
    what: String,
    /// Line and column, counted from 1; zeros where the mistake has no place.
    pub(crate) place: (usize, usize),
}

impl ClawftManifest {
    /// Reads a manifest; resources are clamped to what may be asked for.
    ///
    /// # Errors
    /// The first mistake, in the words that clawft documents.
    pub fn parse(text: &str) -> Result<Self, ClawftManifestError> {
        let mut manifest: Self =
            serde_json::from_str(text).map_err(|error| ClawftManifestError {
                what: format!("manifest: {error}"),
                place: (error.line(), error.column()),
            })?;
        manifest.check().map_err(|what| ClawftManifestError {
            what: format!("manifest: {what}"),
            place: (0, 0),
        })?;
        manifest.resources = manifest.resources.clamped();
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        if self.id.is_empty() {
            return Err("id is required".to_owned());
        }
        if self.id.len() > MAX_ID {
            return Err(format!("id must be {MAX_ID} characters or fewer"));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if !self.id.chars().all(plain) {
            return Err(
                "id must contain only alphanumeric characters, dots, hyphens, and underscores"
                    .to_owned(),
            );
        }
        let ends = |c: char| c.is_ascii_alphanumeric();
        if !self.id.starts_with(ends) || !self.id.ends_with(ends) || self.id.contains("..") {
            return Err(
                "id must begin and end with a letter or digit and have no two dots in a row"
                    .to_owned(),
            );
        }
        if self.name.is_empty() {
            return Err("name is required".to_owned());
        }
        if semver::Version::parse(&self.version).is_err() {
            return Err(format!("invalid semver version '{}'", self.version));
        }
        if self.capabilities.is_empty() {
            return Err("at least one capability is required".to_owned());
        }
        match &self.wasm_module {
            Some(module) if !is_below(module) => {
                Err("wasm_module must be a path below the plugin's directory".to_owned())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What the plugin asks for, in the form of all manifests.
    pub(crate) fn asks(&self) -> Vec<Ask> {
        let ClawftPermissions {
            network,
            filesystem,
            env_vars,
            shell,
        } = &self.permissions;
        let network = network.iter().map(|host| AskKind::Http {
            host: Some(host.clone()),
        });
        let files = filesystem.iter().map(|path| AskKind::Fs {
            path: Some(path.clone()),
            access: FsAccess::ReadWrite,
        });
        let variables = env_vars.iter().map(|name| AskKind::Env {
            name: Some(name.clone()),
        });
        let shell = shell.then_some(AskKind::Exec {
            program: None,
            sub: None,
        });
        let kinds = network.chain(files).chain(variables).chain(shell);
        let reason = format!("`permissions` of `{CLAWFT_MANIFEST_FILE}`");
        kinds
            .map(|kind| Ask {
                kind,
                reason: reason.clone(),
            })
            .collect()
    }

    /// The same in the form of all manifests. `None` where the id is no id of a plugin, which [`parse`](Self::parse) excludes.
    pub(crate) fn into_manifest(self) -> Option<Manifest> {
        Some(Manifest {
            id: PluginId::new(self.id.as_str()).ok()?,
            version: self.version.clone(),
            world: "clawft:plugin/plugin@0.1.0".to_owned(),
            description: Some(self.name.clone()),
            component: self.wasm_module.clone(),
            minimum_host: None,
            commands: Vec::new(),
            asks: self.asks(),
            clawft: Some(Box::new(self)),
            fledge: None,
        })
    }

    /// Replaces `~/` in what it asks for.
    pub(crate) fn at_home(&mut self, home: Option<&Path>) {
        for path in &mut self.permissions.filesystem {
            if let (Some(rest), Some(home)) = (path.strip_prefix("~/"), home) {
                *path = home.join(rest).display().to_string();
            }
        }
    }

    /// Takes away what the plugin does not ask for: two keys to one door. It never adds anything.
    ///
    /// Where a directory is granted and a part of it asked for, or the other way round, the part remains. Resources are
    /// the smaller of both.
    #[must_use]
    pub fn restrict(&self, grants: Grants) -> Grants {
        let asked = self.permissions.filesystem.iter();
        let asked: Vec<_> = asked.filter_map(|path| real(path)).collect();
        let fs = grants.fs.iter();
        let mut grants = Grants {
            exec: None,
            net: Net::None,
            fs: fs.flat_map(|grant| both(grant, &asked)).collect(),
            env_asked: Some(self.permissions.env_vars.clone()),
            limits: self.resources.within(&grants.limits),
            ..grants
        };
        let hosts: Vec<_> = self
            .permissions
            .network
            .iter()
            .map(String::as_str)
            .collect();
        restrict_hosts(&mut grants, Some(&hosts));
        // No function of its world looks up or connects.
        grants.own_net.clear();
        // Both have letters, digits and few signs only.
        let agent = format!("clawft-plugin/{}/{}", self.id, self.version);
        grants.http.agent = Some(agent);
        grants
    }
}

/// The real path of what a plugin asks for; `None` for what is not there, or not said by an absolute path.
fn real(path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    path.is_absolute().then(|| path.canonicalize().ok())?
}

/// What a grant and the asked paths have in common.
fn both(grant: &FsGrant, asked: &[PathBuf]) -> Vec<FsGrant> {
    if asked.iter().any(|asked| grant.host.starts_with(asked)) {
        return vec![grant.clone()];
    }
    let within = |asked: &&PathBuf| grant.kind.is_directory() && asked.starts_with(&grant.host);
    let parts = asked.iter().filter(within).filter_map(|asked| {
        let rest = asked.strip_prefix(&grant.host).ok()?;
        let kind = if asked.is_dir() {
            FsKind::Directory
        } else {
            FsKind::File
        };
        Some(FsGrant {
            host: asked.clone(),
            kind,
            guest: Path::new(&grant.guest).join(rest).display().to_string(),
            ..grant.clone()
        })
    });
    parts.collect()
}

/// Whether a path stays below the directory that it is relative to, as it is written.
pub(crate) fn is_below(path: &str) -> bool {
    use std::path::Component;
    let mut parts = Path::new(path).components().peekable();
    !path.contains('\0')
        && parts.peek().is_some()
        && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// The component that a manifest names, if it lies below the plugin's directory when links are followed.
pub(crate) fn beneath(dir: &Path, module: &str) -> Option<PathBuf> {
    let file = context::real(&dir.join(module));
    file.starts_with(dir).then_some(file)
}
