//! The WIT that a plugin in Python or JavaScript is built for: a world with the interfaces that its manifest asks for.
//!
//! Their tools keep every import of a world, used or not, and a plugin that imports what it is not granted is not loaded. So
//! it is built for a world of its own.

use std::fs;
use std::io;
use std::path::Path;

use portcullis_config::{AskKind, Manifest};

/// Our package and the one that it depends on, as dependencies of the plugin's own.
const PACKAGES: [(&str, &str); 8] = [
    (
        "deps/cli/cli.wit",
        include_str!("../../../../wit/cli-0.1.0/cli.wit"),
    ),
    (
        "deps/cli/env.wit",
        include_str!("../../../../wit/cli-0.1.0/env.wit"),
    ),
    (
        "deps/cli/fs.wit",
        include_str!("../../../../wit/cli-0.1.0/fs.wit"),
    ),
    (
        "deps/cli/http.wit",
        include_str!("../../../../wit/cli-0.1.0/http.wit"),
    ),
    (
        "deps/cli/kv.wit",
        include_str!("../../../../wit/cli-0.1.0/kv.wit"),
    ),
    (
        "deps/cli/log.wit",
        include_str!("../../../../wit/cli-0.1.0/log.wit"),
    ),
    (
        "deps/cli/prompt.wit",
        include_str!("../../../../wit/cli-0.1.0/prompt.wit"),
    ),
    (
        "deps/io/io.wit",
        include_str!("../../../../wit/cli-0.1.0/deps/io/io.wit"),
    ),
];

/// The name of the world.
pub(super) const WORLD: &str = "plugin";

/// The package of streams and pollables.
const IO: &str = "wasi:io";
/// What it is called while `componentize-qjs` runs the script for the first time: a name of the same length. It supplies what
/// it knows of WASI then and makes up every other import, and what it makes up does not fit with streams of WASI.
const STAND_IN: &str = "wasj:io";

/// How a package is called whose streams are those of WASI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Streams {
    AsTheyAre,
    StandIn,
}

/// Writes the plugin's package with that world into a directory.
pub(super) fn write(dir: &Path, manifest: &Manifest, streams: Streams) -> io::Result<()> {
    let world = text(manifest);
    for (name, text) in PACKAGES.into_iter().chain([("world.wit", world.as_str())]) {
        let path = dir.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match streams {
            Streams::AsTheyAre => fs::write(path, text)?,
            Streams::StandIn => fs::write(path, text.replace(IO, STAND_IN))?,
        }
    }
    Ok(())
}

/// A component with the streams of WASI again.
pub(crate) fn with_streams(mut bytes: Vec<u8>) -> Vec<u8> {
    let places: Vec<_> = bytes
        .windows(STAND_IN.len())
        .enumerate()
        .filter(|(_, window)| *window == STAND_IN.as_bytes())
        .map(|(place, _)| place)
        .collect();
    for place in places {
        bytes[place..place + IO.len()].copy_from_slice(IO.as_bytes());
    }
    bytes
}

fn text(manifest: &Manifest) -> String {
    let mut interfaces: Vec<_> = manifest
        .asks
        .iter()
        .filter_map(|ask| interface(&ask.kind))
        .collect();
    interfaces.sort_unstable();
    interfaces.dedup();
    let imports: String = interfaces
        .iter()
        .map(|name| format!("    import portcullis:cli/{name}@0.1.0;\n"))
        .collect();
    format!(
        "package plugin:built;\n\n/// What the manifest asks for.\nworld {WORLD} {{\n{imports}\n    \
         export run: func(args: list<string>) -> result<string, string>;\n}}\n"
    )
}

/// The interface of a capability; none for those that are no plugin's of our world.
fn interface(kind: &AskKind) -> Option<&'static str> {
    match kind {
        AskKind::Exec { .. } => Some("command"),
        AskKind::Fs { .. } => Some("fs"),
        AskKind::Http { .. } => Some("http"),
        AskKind::Env { .. } => Some("env"),
        AskKind::Kv => Some("kv"),
        AskKind::Log => Some("log"),
        AskKind::Prompt => Some("prompt"),
        AskKind::Net { .. } | AskKind::Metadata => None,
    }
}
