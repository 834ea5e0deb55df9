//! The installed plugins, as the policy is read with them.

use std::path::{Path, PathBuf};

use portcullis_config::{Layer, Trust, edit};
use portcullis_policy::{Digest, PluginId, Provenance};
use portcullis_registry::{Record, Registry, RegistryError, component_path};

use super::Directories;
use crate::code;
use crate::failure::{Failure, Result, Say, chain, diagnostic};

/// Everything that is installed.
#[derive(Clone, Debug)]
pub(crate) struct Installed {
    /// The directory of the registry, by its real path where it is there.
    dir: PathBuf,
    pub(crate) records: Vec<Record>,
    /// Whether what was granted to them counts.
    is_granted: bool,
}

impl Installed {
    /// Reads what is installed; nothing is where there is no registry.
    pub(crate) fn read(directories: &Directories, is_granted: bool) -> Result<Self> {
        let dir = super::real(&directories.plugins());
        let registry = Registry::existing(&dir)?;
        let records = registry.map(|registry| registry.list()).transpose()?;
        Ok(Self {
            dir,
            records: records.unwrap_or_default(),
            is_granted,
        })
    }

    /// Nothing, whatever is installed.
    pub(super) fn none(directories: &Directories) -> Self {
        Self {
            dir: super::real(&directories.plugins()),
            records: Vec::new(),
            is_granted: false,
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Record> {
        self.records.iter().find(|record| record.name == name)
    }

    /// The same with another record, in the place of one of the same name.
    pub(super) fn with(&self, record: &Record) -> Self {
        let others = self
            .records
            .iter()
            .filter(|other| other.name != record.name);
        Self {
            records: others.chain([record]).cloned().collect(),
            ..self.clone()
        }
    }

    /// The place that rules of a record are said to have. No file is there.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.toml"))
    }

    pub(super) fn layers(&self) -> impl Iterator<Item = Layer> {
        self.records.iter().map(|record| Layer::File {
            path: self.file(&record.name),
            text: match PluginId::new(&record.name) {
                Ok(id) if !self.is_granted => edit::of_content(&id, &record.sha256),
                _ => record.grants.clone(),
            },
            trust: Trust::Trusted,
        })
    }

    pub(super) fn described(&self) -> Result<Vec<portcullis_config::Installed>> {
        let records = self.records.iter();
        records.map(|record| described(&self.dir, record)).collect()
    }

    /// A change to what was granted to an installed plugin, of which nobody made another meanwhile.
    ///
    /// # Errors
    /// The change is not made.
    pub(crate) fn regrant(&self, record: &Record, grants: String) -> Result<()> {
        let registry = Registry::open(&self.dir)?;
        let after = Record {
            grants,
            ..record.clone()
        };
        Ok(registry.write()?.replace(record, &after, None)?)
    }
}

/// What of an installed plugin is revoked, if anything is: its content, what its source stood for, or the key that signed it.
pub(crate) fn revoked(record: &Record, provenance: &Provenance) -> Option<(&'static str, Digest)> {
    let known = [
        ("its content", Some(&record.sha256)),
        ("its content", record.resolved.as_ref()),
        ("the key that signed it", record.signer.as_ref()),
    ];
    known.into_iter().find_map(|(what, text)| {
        let digest = Digest::parse(text?)?;
        let is_revoked = provenance.revoked.contains(&digest);
        is_revoked.then_some((what, digest))
    })
}

/// An installed plugin as policies know it.
fn described(dir: &Path, record: &Record) -> Result<portcullis_config::Installed> {
    let damaged = |why: String| {
        let message = format!(
            "what is known of the installed plugin `{}` is damaged",
            record.name
        );
        let report = diagnostic(code::REGISTRY, message).note(why);
        Failure::usage(report.help(format!("move `{}` away, and install again", dir.display())))
    };
    let file = component_path(dir, &record.sha256);
    let beside = file.parent().unwrap_or(dir);
    let manifest =
        portcullis_config::read_manifest(&record.manifest.file, beside, &record.manifest.text)
            .map_err(|errors| damaged(errors.to_string()))?;
    let mut sha256 = [0; 32];
    hex::decode_to_slice(&record.sha256, &mut sha256)
        .map_err(|error| damaged(error.to_string()))?;
    Ok(portcullis_config::Installed {
        id: PluginId::new(&record.name).map_err(|error| damaged(error.to_string()))?,
        manifest: (beside.join(&record.manifest.file), manifest),
        sha256,
        record: record.record.clone(),
        file,
    })
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        let report = chain(code::REGISTRY, &error);
        match error {
            RegistryError::NoSpace { .. } => Self::unavailable(report),
            RegistryError::Changed { .. } => {
                Self::usage(report.help("look at it and say it again"))
            }
            RegistryError::Taken { other, .. } => {
                Self::usage(report.help(format!("portcullis remove {other}")))
            }
            RegistryError::Tampered { name, .. } | RegistryError::Gone { name, .. } => {
                Self::usage(report.help(format!(
                    "remove it and install it again: portcullis remove {name}"
                )))
            }
            _ => Self::usage(report),
        }
    }
}
