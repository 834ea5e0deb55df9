//! `policy.yaml` of Wassette, version 1, as <https://github.com/microsoft/policy-mcp-rs> has it.
//!
//! It is taken at its word: a denial holds, although Wassette itself reads only what is allowed.

use portcullis_policy::{PluginId, is_secret_name, shown};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;

use super::entry::{Entry, Key};
use super::{Imported, network, storage};
use crate::error::{ConfigCode, ConfigErrors};
use crate::reglet::quoted;
use crate::source::Source;

const MIB: u64 = 1024 * 1024;

/// Where a value is written.
pub(super) trait Spot {
    fn at(&self, source: Source<'_>) -> usize;
}

impl<T> Spot for Spanned<T> {
    fn at(&self, source: Source<'_>) -> usize {
        offset(source, self.referenced)
    }
}

fn offset(source: Source<'_>, place: serde_saphyr::Location) -> usize {
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    source.offset(number(place.line()), number(place.column()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "$schema")]
    _schema: Option<IgnoredAny>,
    version: Spanned<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    permissions: Option<Permissions>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Permissions {
    storage: Option<List<Storage>>,
    network: Option<List<NetworkPlace>>,
    environment: Option<Environment>,
    resources: Option<Resources>,
    runtime: Option<Spanned<IgnoredAny>>,
    ipc: Option<Spanned<IgnoredAny>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List<T> {
    pub(super) allow: Option<Vec<T>>,
    pub(super) deny: Option<Vec<T>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Storage {
    pub(super) uri: Spanned<String>,
    pub(super) access: Vec<Access>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Access {
    Read,
    Write,
}

/// A host, or a range of addresses.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworkPlace {
    pub(super) host: Option<Spanned<String>>,
    pub(super) cidr: Option<Spanned<String>>,
}

impl NetworkPlace {
    pub(super) fn text(&self) -> &str {
        let written = self.host.as_ref().or(self.cidr.as_ref());
        written.map_or("", |text| &text.value)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Environment {
    allow: Option<Vec<Variable>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    key: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resources {
    limits: Option<Limits>,
    cpu: Option<Spanned<IgnoredAny>>,
    /// In MiB: the form of before there were `limits`.
    memory: Option<Spanned<u64>>,
    io: Option<Spanned<IgnoredAny>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    cpu: Option<Spanned<IgnoredAny>>,
    memory: Option<Spanned<String>>,
}

pub(super) fn import(
    source: Source<'_>,
    plugin: &PluginId,
    component: &str,
) -> Result<Imported, ConfigErrors> {
    let document = read(source)?;
    let mut entry = Entry::new(source);
    if let Some(permissions) = &document.permissions {
        if let Some(list) = &permissions.storage {
            storage::import(list, &mut entry);
        }
        if let Some(list) = &permissions.network {
            network::import(list, &mut entry);
        }
        variables(permissions.environment.as_ref(), &mut entry);
        if let Some(resources) = &permissions.resources {
            limits(resources, &mut entry)?;
        }
        let others = [("runtime", &permissions.runtime), ("ipc", &permissions.ipc)];
        for (name, other) in others {
            if let Some(other) = other {
                let at = other.at(source);
                entry.note(
                    Key::Other,
                    at,
                    name,
                    "is left out: there is nothing like it here, and Wassette does not enforce it",
                );
            }
        }
    }
    Ok(entry.finish("a policy of Wassette", plugin, component))
}

fn read(source: Source<'_>) -> Result<Document, ConfigErrors> {
    // Depth, nodes and aliases are bounded by default.
    let options = serde_saphyr::options! { with_snippet: false };
    let document: Document =
        serde_saphyr::from_str_with_options(source.text, options).map_err(|error| {
            let at = error.location().map_or(0, |place| offset(source, place));
            wrong(source, ConfigCode::Value, at, shown(&error.to_string()))
        })?;
    let version = &document.version;
    if version.value != "1" && !version.value.starts_with("1.") {
        let message = format!(
            "version `{}` of a policy is not known",
            shown(&version.value)
        );
        return Err(wrong(
            source,
            ConfigCode::Value,
            version.at(source),
            message,
        ));
    }
    for place in document.permissions.iter().flat_map(|all| &all.network) {
        for place in place.allow.iter().chain(&place.deny).flatten() {
            if place.host.is_some() == place.cidr.is_some() {
                let at = place.host.as_ref().map_or(0, |host| host.at(source));
                let message = "an entry of `network` has either `host` or `cidr`";
                return Err(wrong(source, ConfigCode::Value, at, message.to_owned()));
            }
        }
    }
    Ok(document)
}

fn wrong(source: Source<'_>, code: ConfigCode, at: usize, message: String) -> ConfigErrors {
    ConfigErrors(vec![source.error(code, at..at, message)])
}

fn variables(environment: Option<&Environment>, entry: &mut Entry<'_>) {
    let allowed = environment.and_then(|environment| environment.allow.as_ref());
    for variable in allowed.into_iter().flatten() {
        let name = &variable.key.value;
        let at = variable.key.at(entry.source);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            entry.note(
                Key::Variables,
                at,
                name,
                "is left out: it is not the name of one variable",
            );
            continue;
        }
        entry.value(Key::Variables, quoted(name));
        if is_secret_name(name) {
            entry.note(Key::Variables, at, name, "is told to the plugin, as it is there; a secret for requests is kept from it by `http.secrets`");
        }
    }
}

fn limits(resources: &Resources, entry: &mut Entry<'_>) -> Result<(), ConfigErrors> {
    let source = entry.source;
    let limits = resources.limits.as_ref();
    if let Some(memory) = limits.and_then(|limits| limits.memory.as_ref()) {
        let Some(bytes) = bytes(&memory.value) else {
            let message = format!("`{}` is not a size with its unit", shown(&memory.value));
            let mut errors = wrong(source, ConfigCode::Unit, memory.at(source), message);
            for error in &mut errors.0 {
                error
                    .helps
                    .push("write it as `512Mi`, `1Gi` or `500M`".to_owned());
            }
            return Err(errors);
        };
        entry.value(Key::Memory, size(bytes));
    } else if let Some(memory) = &resources.memory {
        let bytes = memory.value.checked_mul(MIB).filter(|bytes| *bytes > 0);
        let Some(bytes) = bytes else {
            let message = "this is not a number of MiB".to_owned();
            return Err(wrong(source, ConfigCode::Unit, memory.at(source), message));
        };
        entry.value(Key::Memory, size(bytes));
    }
    let cpu = [
        ("limits.cpu", limits.and_then(|limits| limits.cpu.as_ref())),
        ("cpu", resources.cpu.as_ref()),
        ("io", resources.io.as_ref()),
    ];
    for (name, value) in cpu {
        if let Some(value) = value {
            let at = value.at(source);
            entry.note(Key::Other, at, name, "is left out: Wassette does not enforce it; here `limits.call` and `limits.fuel` bound a call");
        }
    }
    Ok(())
}

/// A size as Kubernetes writes it. A number alone is refused: whoever writes one means one of several units.
fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    let unit: u64 = match unit {
        "k" | "K" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1024,
        "Mi" => MIB,
        "Gi" => 1024 * MIB,
        _ => return None,
    };
    let total = number.parse::<u64>().ok()?.checked_mul(unit)?;
    (total > 0).then_some(total)
}

fn size(bytes: u64) -> String {
    match bytes % MIB {
        0 => format!("\"{}MiB\"", bytes / MIB),
        _ => format!("\"{bytes}B\""),
    }
}
