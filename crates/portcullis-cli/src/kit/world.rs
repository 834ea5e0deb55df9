//! The WIT that a plugin in Python or JavaScript is built for: a world with the interfaces that its manifest asks for.
//!
//! Their tools keep every import of a world, used or not, and a plugin that imports what it is not granted is not loaded. So
//! it is built for a world of its own.

use std::fs;
use std::io;
use std::path::Path;

use portcullis_config::{AskKind, Manifest};

/// Our package, and what it depends on.
const PACKAGE: [(&str, &str); 8] = [
    ("cli.wit", include_str!("../../../../wit/cli-0.1.0/cli.wit")),
    ("env.wit", include_str!("../../../../wit/cli-0.1.0/env.wit")),
    ("fs.wit", include_str!("../../../../wit/cli-0.1.0/fs.wit")),
    (
        "http.wit",
        include_str!("../../../../wit/cli-0.1.0/http.wit"),
    ),
    ("kv.wit", include_str!("../../../../wit/cli-0.1.0/kv.wit")),
    ("log.wit", include_str!("../../../../wit/cli-0.1.0/log.wit")),
    (
        "prompt.wit",
        include_str!("../../../../wit/cli-0.1.0/prompt.wit"),
    ),
    (
        "deps/io/io.wit",
        include_str!("../../../../wit/cli-0.1.0/deps/io/io.wit"),
    ),
];

/// The name of the world.
pub(super) const WORLD: &str = "built-plugin";

/// Writes the package with that world into a directory.
pub(super) fn write(dir: &Path, manifest: &Manifest) -> io::Result<()> {
    for (name, text) in PACKAGE {
        let path = dir.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, text)?;
    }
    fs::write(dir.join("built-plugin.wit"), text(manifest))
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
        .map(|name| format!("    import {name};\n"))
        .collect();
    format!(
        "package portcullis:cli@0.1.0;\n\n/// What the manifest asks for.\nworld {WORLD} {{\n{imports}\n    \
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
