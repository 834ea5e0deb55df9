//! What a plugin of fledge is told first.

use portcullis_policy::{Capability, FledgePlugin, FsAccess, MetadataKey};
use serde_json::{Map, Value, json};
use wasmtime::Result;

use crate::state::State;

/// The version of fledge that this host behaves like.
const FLEDGE: &str = "1.7.2";

/// The languages of projects, each by a file at the top.
const LANGUAGES: [(&str, &str); 9] = [
    ("Cargo.toml", "rust"),
    ("package.json", "node"),
    ("go.mod", "go"),
    ("pyproject.toml", "python"),
    ("Gemfile", "ruby"),
    ("build.gradle", "java-gradle"),
    ("build.gradle.kts", "java-gradle"),
    ("pom.xml", "java-maven"),
    ("Package.swift", "swift"),
];

/// The message, as JSON. Paths of the host, the repository and the language are in it as far as they were granted.
///
/// # Errors
/// None that happens.
pub(super) async fn message(state: &mut State, args: &[String]) -> Result<Vec<u8>> {
    let grants = state.gate.grants();
    let plugin = grants.fledge.clone().unwrap_or_default();
    let project = project(state).await;
    let message = json!({
        "type": "init",
        "protocol": "fledge-v1",
        "args": args,
        "project": project,
        "plugin": { "name": grants.plugin, "version": plugin.version, "dir": "/plugin" },
        "fledge": { "version": FLEDGE },
        "capabilities": capabilities(state, &plugin),
    });
    Ok(serde_json::to_vec(&message)?)
}

fn capabilities(state: &State, plugin: &FledgePlugin) -> Value {
    let grants = state.gate.grants();
    let mut told = Map::new();
    for (name, capability) in [
        ("exec", Capability::Exec),
        ("store", Capability::Kv),
        ("metadata", Capability::Metadata),
    ] {
        told.insert(name.to_owned(), grants.has(capability).into());
    }
    if let Some(word) = plugin.files.word() {
        told.insert("filesystem".to_owned(), word.into());
    }
    if plugin.network {
        told.insert("network".to_owned(), true.into());
    }
    if plugin.responses {
        told.insert("responses".to_owned(), true.into());
    }
    Value::Object(told)
}

async fn project(state: &mut State) -> Value {
    let grants = state.gate.grants();
    let path = state.gate.project().to_owned();
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    // Only commands have a use for where it is.
    let root = if grants.exec.is_some() {
        path.display().to_string()
    } else {
        "/project".to_owned()
    };
    let language = if grants.fs_grant(&path, FsAccess::Read).is_some() {
        let found = LANGUAGES.iter().find(|(file, _)| {
            let file = path.join(file);
            std::fs::symlink_metadata(file).is_ok_and(|meta| meta.is_file())
        });
        found.map_or("generic", |(_, language)| language)
    } else {
        "generic"
    };
    let git = if grants.metadata.contains(&MetadataKey::GitStatus) {
        state.gate.repository().await
    } else {
        Value::Null
    };
    json!({ "name": name, "root": root, "language": language, "git": git })
}
