//! Policies of other hosts, as an entry of ours: each grant exactly, or narrower, or left out with the reason.
//!
//! Pure: nothing is looked up. What a file says is somebody else's text: it stands in the entry as a value of TOML or,
//! escaped, in a comment.

mod entry;
mod network;
mod storage;
mod wassette;
mod zed;

use std::path::Path;

use portcullis_policy::{Origin, PluginId};

use crate::error::{ConfigCode, ConfigErrors};
use crate::source::Source;

/// Bytes of a file that is imported.
const MAX_BYTES: usize = 1024 * 1024;

/// A policy of another host, in our words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// What it was, for messages: `a policy of Wassette`.
    pub from: &'static str,
    /// The entry for `portcullis.toml`, or what the plugin asks for, for its `plugin.toml`.
    pub toml: String,
    /// What is left out, or does not mean the same here. Each is also a comment of the entry.
    pub notes: Vec<Note>,
}

/// Something of a policy that the entry does not say as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where it is written.
    pub origin: Origin,
    /// What was written; escaped.
    pub what: String,
    /// What has become of it, a clause.
    pub why: String,
}

/// Reads a policy of another host and says it as an entry for one plugin. What cannot be said is left out and noted; nothing
/// is granted that the other policy does not grant.
///
/// By the end of its name, the file is a policy of Wassette (`.yaml`, `.yml`), the settings of Zed (`.json`), or the
/// `extension.toml` of an extension of Zed (`.toml`), of which comes what the plugin asks for.
///
/// # Errors
/// The file is none of these, is larger than 1 MiB, or has a mistake; it is then refused whole.
pub fn import(
    file: &Path,
    text: &str,
    plugin: &PluginId,
    component: &str,
) -> Result<Imported, ConfigErrors> {
    let source = Source { path: file, text };
    let whole = |message: &str| {
        let error = source.error(ConfigCode::Value, 0..0, message);
        Err(ConfigErrors(vec![error.help(
            "import a `policy.yaml` of Wassette, the `settings.json` of Zed, or the `extension.toml` of an extension of Zed",
        )]))
    };
    if text.len() > MAX_BYTES {
        return whole("a policy of more than 1 MiB is not imported");
    }
    match file.extension().and_then(|end| end.to_str()) {
        Some("yaml" | "yml") => wassette::import(source, plugin, component),
        Some("json" | "jsonc") => zed::settings(source, plugin, component),
        Some("toml") => zed::requests(source),
        _ => whole("the end of the name does not say which policy this is"),
    }
}
