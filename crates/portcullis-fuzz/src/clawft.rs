//! The JSON that a plugin of clawft brings along: its manifest, and what its `describe` returns.

#[path = "../../portcullis/src/abi/clawft/description.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the source of another crate, of which a part is used"
)]
mod description;

use std::path::{Component, Path};

use description::Description;
use portcullis_config::{ClawftManifest, ClawftPermissions};
use portcullis_policy::{FsAccess, FsGrant, FsKind, Grants, Limits, Origin, PluginId};

use crate::Run;

pub(crate) fn target() -> Run {
    Box::new(|data| {
        let Ok(text) = std::str::from_utf8(data) else {
            return;
        };
        if let Ok(manifest) = ClawftManifest::parse(text) {
            let manifest = planted(manifest);
            plain(&manifest);
            bounded(&manifest);
            takes_away(&manifest);
        }
        if let Ok(described) = Description::parse(text) {
            kept(&described);
        }
    })
}

/// Its id is a name that is no path anywhere, and its module lies below it.
fn plain(manifest: &ClawftManifest) {
    let id = &manifest.id;
    PluginId::new(id.as_str()).expect("an id of clawft is an id of a plugin");
    let bytes = id.as_bytes();
    let ends = [bytes[0], bytes[bytes.len() - 1]];
    assert!(ends.iter().all(u8::is_ascii_alphanumeric), "{id:?}");
    assert!(!id.contains("..") && !id.contains('/'), "{id:?}");
    assert!(!manifest.capabilities.is_empty() && !manifest.name.is_empty());
    let module = manifest.wasm_module.iter();
    let mut parts = module.flat_map(|module| Path::new(module).components());
    assert!(
        parts.all(|part| matches!(part, Component::Normal(_))),
        "{:?}",
        manifest.wasm_module
    );
}

fn bounded(manifest: &ClawftManifest) {
    let asked = &manifest.resources;
    assert!((1_000_000..=10_000_000_000).contains(&asked.max_fuel));
    assert!((1..=256).contains(&asked.max_memory_mb));
    assert!(asked.max_table_elements <= 100_000);
    assert!((1..=300).contains(&asked.max_execution_seconds));
}

/// Whatever it asks for, it has no more than it was granted.
fn takes_away(manifest: &ClawftManifest) {
    let whole = FsGrant {
        host: "/nonexistent/granted".into(),
        kind: FsKind::Directory,
        guest: "/nonexistent/granted".to_owned(),
        access: FsAccess::Read,
        origin: Origin::Code,
    };
    let granted = Grants {
        env: vec!["LANG".to_owned()],
        exec: Some(Default::default()),
        fs: vec![whole.clone()],
        limits: Limits {
            memory: 3 << 20,
            ..Limits::default()
        },
        ..Grants::none(PluginId::new("p").unwrap())
    };
    let left = manifest.restrict(granted.clone());
    let ClawftPermissions {
        filesystem,
        env_vars,
        ..
    } = &manifest.permissions;
    assert_eq!((left.exec, &left.env), (None, &granted.env));
    assert_eq!(left.env_asked.as_ref(), Some(env_vars));
    assert!(left.fs.iter().all(|grant| *grant == whole));
    assert!(left.fs.is_empty() || filesystem.iter().any(|path| path.starts_with('/')));
    assert_eq!(
        left.limits,
        left.limits.min(&granted.limits),
        "less of each"
    );
}

/// What was taken of a description is all that there is to it: read again, it is the same.
fn kept(described: &Description) {
    assert!(described.tools.len() <= 1000);
    let text = serde_json::to_string(described).unwrap();
    assert_eq!(Description::parse(&text).as_ref(), Ok(described));
}

#[cfg(not(feature = "planted"))]
fn planted(manifest: ClawftManifest) -> ClawftManifest {
    manifest
}

/// The bug: a plugin of a certain name has more memory than any.
#[cfg(feature = "planted")]
fn planted(mut manifest: ClawftManifest) -> ClawftManifest {
    if manifest.id.ends_with('z') {
        manifest.resources.max_memory_mb = 257;
    }
    manifest
}
