//! The text of what an installed plugin was granted: one entry, bound to the plugin's content.

use std::path::Path;

use portcullis_policy::{DnsNames, FsAccess, HttpHosts, Places, PluginId};
use toml_edit::{Array, InlineTable, Value};

use super::{EditError, Edited, load, table};
use crate::context::Context;
use crate::manifest::{Ask, AskKind};

/// The text that grants nothing to a content of this SHA-256, in hexadecimal.
pub fn of_content(plugin: &PluginId, sha256: &str) -> String {
    format!("[[plugins]]\nid = \"{plugin}\"\nsha256 = \"{sha256}\"\n")
}

/// The same text for another content, to which somebody agreed.
///
/// # Errors
/// [`EditError`] when the text has no entry for the plugin, or in a form that is not edited.
pub fn rebind(text: &str, plugin: &PluginId, sha256: &str) -> Result<String, EditError> {
    let mut document = table::Document::parse(text)?;
    document.set_text(plugin, "sha256", sha256)?;
    Ok(document.to_string())
}

/// Grants exactly what was asked for, as far as that can be said exactly: what is left out of an ask means anything, and
/// that is not granted here. Gives the asks that were left out.
///
/// # Errors
/// [`EditError`] when the text has mistakes, or would have some.
pub fn grant_asked<'a>(
    text: &str,
    plugin: &PluginId,
    asks: &[&'a Ask],
    file: &Path,
    context: &Context,
) -> Result<(Edited, Vec<&'a Ask>), EditError> {
    let mut document = table::Document::parse(text)?;
    let mut left_out = Vec::new();
    for ask in asks {
        match of_ask(&ask.kind) {
            Some(place) => document.add_value(plugin, place)?,
            None => left_out.push(*ask),
        }
    }
    let after = document.to_string();
    load(&after, file, context).map_err(EditError::After)?;
    let changed = after != text;
    let edited = Edited {
        text: after,
        changed,
    };
    Ok((edited, left_out))
}

/// Where a grant is written: a table of the entry, or the entry itself, and a key there.
pub(super) struct Grant {
    pub(super) table: Option<&'static str>,
    pub(super) key: &'static str,
    pub(super) what: What,
}

/// A new item of a list, or the value itself.
pub(super) enum What {
    Item(Value),
    Is(Value),
}

/// The grant of exactly what is asked for.
fn of_ask(ask: &AskKind) -> Option<Grant> {
    let (table, key, what) = match ask {
        AskKind::Exec { program, sub } => {
            let program = program.as_ref()?.to_string();
            let rule = match sub {
                None => program.into(),
                Some(sub) => {
                    let mut rule = InlineTable::new();
                    rule.insert("program", program.into());
                    rule.insert("sub", Value::Array(sub.iter().collect::<Array>()));
                    Value::InlineTable(rule)
                }
            };
            (Some("exec"), "allow", What::Item(rule))
        }
        AskKind::Fs { path, access } => {
            let key = match access {
                FsAccess::Read => "read",
                FsAccess::ReadWrite => "write",
            };
            let path = on_the_host(path.as_ref()?);
            (Some("fs"), key, What::Item(path.into()))
        }
        AskKind::Env { name } => {
            let name = name.as_ref().filter(|name| !name.ends_with('*'))?;
            (None, "env", What::Item(name.into()))
        }
        AskKind::Http { host } => {
            let host = host.as_ref()?;
            let named = matches!(HttpHosts::parse(host), Ok(HttpHosts::Listed(_)));
            let value = named.then(|| host.into())?;
            (Some("http"), "allow", What::Item(value))
        }
        AskKind::Net { connect, lookup } => match (connect, lookup) {
            (Some(place), None) => {
                let any = Places::parse(place).is_ok_and(|places| places.is_any_host());
                let value = (!any).then(|| place.into())?;
                (None, "connect", What::Item(value))
            }
            (None, Some(name)) => {
                let any = DnsNames::parse(name).is_ok_and(|names| names.is_any());
                let value = (!any).then(|| name.into())?;
                (None, "lookup", What::Item(value))
            }
            (Some(_), Some(_)) | (None, None) => return None,
        },
        AskKind::Kv => (None, "kv", What::Is(true.into())),
        AskKind::Log => (None, "log", What::Is(true.into())),
        // The host gives these to every plugin.
        AskKind::Prompt | AskKind::Metadata => return None,
    };
    Some(Grant { table, key, what })
}

/// A directory as a policy names it: those that plugins of ours ask for lie in the project.
fn on_the_host(path: &str) -> String {
    match path {
        "." => "${project}".to_owned(),
        path if path.starts_with(['/', '~', '$']) => path.to_owned(),
        path => format!("${{project}}/{path}"),
    }
}
