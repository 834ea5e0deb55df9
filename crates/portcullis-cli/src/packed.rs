//! Packed plugins, where a plugin is named by a file or in a policy.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use portcullis_config::{Component, PluginEntry, PolicySet, SelectError, read_manifest};
use portcullis_fetch::{Limits, Options, Source, is_packed, unpack};

use crate::failure::Result;

/// The plugin that a selector means, as [`PolicySet::plugin`] answers it, whether it is packed or not.
///
/// # Errors
/// It is in a packed file, which is none.
pub(crate) fn entry(
    policy: &PolicySet,
    selector: &str,
) -> Result<std::result::Result<PluginEntry, SelectError>> {
    Ok(match located(&policy.file_of(selector))? {
        Some(component) => policy.plugin_of(selector, component),
        None => policy.plugin(selector),
    })
}

/// What a packed file has in it, and the manifest that speaks for that; `None` for any other file, and for none.
///
/// # Errors
/// It is no packed plugin, or its manifest has mistakes.
fn located(file: &Path) -> Result<Option<Component>> {
    if !is_one(file) {
        return Ok(None);
    }
    let source = Source::Path(file.to_owned());
    let package = portcullis_fetch::read(&source, &Limits::default(), &Options::default())?;
    let manifest = match package.manifest() {
        Some(found) => {
            let text = String::from_utf8_lossy(&found.bytes);
            let manifest = read_manifest(found.name, "/".as_ref(), &text)?;
            Some((file.join(found.name), manifest))
        }
        None => None,
    };
    Ok(Some(Component {
        file: file.to_owned(),
        manifest,
    }))
}

/// The component in the bytes of a packed file.
///
/// # Errors
/// It is no packed plugin.
pub(crate) fn component(file: &Path, bytes: &[u8]) -> Result<Vec<u8>> {
    let source = Source::Path(file.to_owned());
    let package = unpack(source, bytes, &Limits::default())?;
    Ok(package.into_component())
}

/// What cannot be read is told by whoever reads all of it.
fn is_one(file: &Path) -> bool {
    let mut head = Vec::new();
    let is_file = fs::metadata(file).is_ok_and(|meta| meta.is_file());
    is_file
        && File::open(file)
            .and_then(|file| file.take(512).read_to_end(&mut head))
            .is_ok()
        && is_packed(&head)
}
