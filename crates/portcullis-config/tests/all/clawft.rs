//! What a plugin of clawft asks for, in its own manifest.

use std::fs;
use std::path::Path;
use std::time::Duration;

use portcullis_config::{ClawftManifest, Component, LocateError, locate};
use portcullis_policy::{FsAccess, FsGrant, FsKind, Grants, Limits, Origin, PluginId};
use serde_json::{Value, json};

/// A manifest with all that is required, changed by this.
fn manifest(change: Value) -> String {
    let mut whole = json!({ "id": "com.example.tool", "name": "Tool", "version": "1.0.0", "capabilities": ["tool"] });
    for (key, value) in change.as_object().unwrap() {
        whole[key] = value.clone();
    }
    whole.to_string()
}

fn parsed(change: Value) -> ClawftManifest {
    ClawftManifest::parse(&manifest(change)).unwrap()
}

fn refused(change: Value) -> String {
    ClawftManifest::parse(&manifest(change))
        .unwrap_err()
        .to_string()
}

#[test]
fn mistakes_are_told_in_the_words_that_are_documented() {
    for (change, words) in [
        (json!({ "id": "" }), "id is required"),
        (
            json!({ "id": "x".repeat(129) }),
            "id must be 128 characters or fewer",
        ),
        (
            json!({ "id": "a b" }),
            "id must contain only alphanumeric characters, dots, hyphens, and underscores",
        ),
        (json!({ "name": "" }), "name is required"),
        (json!({ "version": "one" }), "invalid semver version 'one'"),
        (
            json!({ "capabilities": [] }),
            "at least one capability is required",
        ),
    ] {
        assert_eq!(
            refused(change),
            format!("plugin load failed: manifest: {words}")
        );
    }
    let missing = ClawftManifest::parse("{}").unwrap_err().to_string();
    assert_eq!(missing, "plugin load failed: manifest: id is required");
    assert!(refused(json!({ "capabilities": ["root"] })).contains("unknown variant `root`"));
    assert!(refused(json!({ "permissions": { "network": false } })).contains("invalid type"));
    let longest = "x".repeat(128);
    assert_eq!(parsed(json!({ "id": longest, "later": [1] })).id, longest);
}

#[test]
fn weak_32_an_id_is_ascii_and_no_path() {
    for id in [
        ".", "..", "a..b", "-a", "a-", ".a", "a.", "_a", "\u{e9}", "a/b", "\u{ff41}",
    ] {
        assert!(
            ClawftManifest::parse(&manifest(json!({ "id": id }))).is_err(),
            "{id}"
        );
    }
    for id in ["a", "7", "com.example.my_tool-2", "A.b"] {
        assert!(
            ClawftManifest::parse(&manifest(json!({ "id": id }))).is_ok(),
            "{id}"
        );
    }
}

#[test]
fn weak_33_what_no_permission_is_refuses_the_manifest_and_a_module_lies_below_it() {
    let raw = refused(json!({ "permissions": { "raw_sockets": true } }));
    assert!(raw.contains("unknown field `raw_sockets`"), "{raw}");
    for module in [
        "../../x.wasm",
        "/x.wasm",
        "a/../../x.wasm",
        ".",
        "",
        "./x.wasm/..",
        "a\0b",
    ] {
        let said = refused(json!({ "wasm_module": module }));
        assert!(
            said.contains("below the plugin's directory"),
            "{module}: {said}"
        );
    }
    for module in ["x.wasm", "build/x.wasm"] {
        assert_eq!(
            parsed(json!({ "wasm_module": module }))
                .wasm_module
                .as_deref(),
            Some(module)
        );
    }
}

#[test]
fn weak_33_a_module_that_is_a_link_out_of_the_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let plugin = dir.path().join("plugin");
    fs::create_dir(&plugin).unwrap();
    fs::write(dir.path().join("outside.wasm"), "").unwrap();
    fs::write(plugin.join("inside.wasm"), "").unwrap();
    let at = |module: &str| {
        let text = manifest(json!({ "wasm_module": module }));
        fs::write(plugin.join("clawft.plugin.json"), text).unwrap();
        locate(&plugin)
    };
    let real = plugin.canonicalize().unwrap();
    assert_eq!(at("inside.wasm").unwrap().file, real.join("inside.wasm"));
    std::os::unix::fs::symlink("../outside.wasm", plugin.join("link.wasm")).unwrap();
    assert!(matches!(at("link.wasm"), Err(LocateError::Manifest { .. })));
    std::os::unix::fs::symlink("..", plugin.join("up")).unwrap();
    assert!(matches!(
        at("up/outside.wasm"),
        Err(LocateError::Manifest { .. })
    ));
}

#[test]
fn resources_have_defaults_and_are_clamped() {
    let of = |resources: Value| parsed(json!({ "resources": resources })).resources;
    let default = of(json!({}));
    assert_eq!(
        (default.max_fuel, default.max_memory_mb),
        (1_000_000_000, 16)
    );
    assert_eq!(
        (default.max_table_elements, default.max_execution_seconds),
        (10_000, 30)
    );
    assert_eq!(
        (
            default.max_http_requests_per_minute,
            default.max_log_messages_per_minute
        ),
        (10, 100)
    );
    let most = of(json!({
        "max_fuel": u64::MAX, "max_memory_mb": u64::MAX, "max_table_elements": u64::MAX, "max_execution_seconds": u64::MAX,
    }));
    assert_eq!((most.max_fuel, most.max_memory_mb), (10_000_000_000, 256));
    assert_eq!(
        (most.max_table_elements, most.max_execution_seconds),
        (100_000, 300)
    );
}

#[test]
fn weak_07_nothing_is_no_limit_and_no_limit_is_more_than_the_policys() {
    let resources = json!({ "max_fuel": 0, "max_memory_mb": 0, "max_execution_seconds": 0 });
    let least = parsed(json!({ "resources": resources })).resources;
    assert_eq!(
        (
            least.max_fuel,
            least.max_memory_mb,
            least.max_execution_seconds
        ),
        (1_000_000, 1, 1)
    );
    let rates = json!({ "max_http_requests_per_minute": u32::MAX, "max_log_messages_per_minute": u32::MAX });
    let limits = parsed(json!({ "resources": rates }))
        .restrict(none())
        .limits;
    let policy = Limits::default();
    assert_eq!(
        (limits.http_per_minute, limits.log_per_minute),
        (policy.http_per_minute, policy.log_per_minute)
    );
    assert_eq!(limits.memory, 16 * 1024 * 1024);
    assert_eq!(limits.call, Duration::from_secs(30));
}

fn none() -> Grants {
    Grants::none(PluginId::new("p").unwrap())
}

fn directory(host: &Path, access: FsAccess) -> FsGrant {
    FsGrant {
        host: host.to_owned(),
        kind: FsKind::Directory,
        guest: host.display().to_string(),
        access,
        origin: Origin::Code,
    }
}

#[test]
fn a_plugin_gets_the_part_of_the_file_system_that_is_asked_for_and_granted() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    for part in ["a/b", "c", "ab"] {
        fs::create_dir_all(root.join(part)).unwrap();
    }
    fs::write(root.join("c/file"), "").unwrap();
    let gets = |asked: &[&str], granted: &[(&str, FsAccess)]| {
        let asked: Vec<_> = asked
            .iter()
            .map(|path| root.join(path).display().to_string())
            .collect();
        let grants = Grants {
            fs: granted
                .iter()
                .map(|(path, access)| directory(&root.join(path), *access))
                .collect(),
            ..none()
        };
        let left = parsed(json!({ "permissions": { "filesystem": asked } }))
            .restrict(grants)
            .fs;
        let told = |grant: FsGrant| {
            let path = grant
                .host
                .strip_prefix(&root)
                .unwrap()
                .display()
                .to_string();
            (path, grant.kind, grant.access)
        };
        left.into_iter().map(told).collect::<Vec<_>>()
    };
    let (read, write) = (FsAccess::Read, FsAccess::ReadWrite);
    let whole = |path: &str, access| vec![(path.to_owned(), FsKind::Directory, access)];
    assert_eq!(gets(&["a"], &[("a", read)]), whole("a", read));
    assert_eq!(gets(&["a"], &[("a/b", write)]), whole("a/b", write));
    assert_eq!(gets(&["a/b"], &[("a", write)]), whole("a/b", write));
    assert_eq!(
        gets(&["c/file"], &[("c", write)]),
        [("c/file".to_owned(), FsKind::File, write)]
    );
    assert_eq!(gets(&["a"], &[("ab", write), ("c", write)]), []);
    assert_eq!(gets(&[], &[("a", write)]), []);
    assert_eq!(gets(&["a"], &[]), []);
    assert_eq!(
        gets(&["a/missing"], &[("a", write)]),
        [],
        "what is not there is not granted"
    );
    assert_eq!(
        parsed(json!({ "permissions": { "filesystem": ["a", "~/a"] } }))
            .restrict(none())
            .fs,
        []
    );
}

#[test]
fn variables_are_those_that_are_asked_for_and_commands_are_none() {
    let grants = Grants {
        env: vec!["APP_*".to_owned()],
        exec: Some(Default::default()),
        ..none()
    };
    let permissions = json!({ "env_vars": ["APP_MODE"], "shell": true });
    let left = parsed(json!({ "permissions": permissions })).restrict(grants);
    assert_eq!(left.env, ["APP_*"]);
    assert_eq!(left.env_asked, Some(vec!["APP_MODE".to_owned()]));
    assert_eq!(left.exec, None);
}

#[test]
fn the_manifest_is_found_beside_the_component_and_above_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    fs::create_dir(root.join("build")).unwrap();
    for file in ["build/x.wasm", "build/y.wasm"] {
        fs::write(root.join(file), "").unwrap();
    }
    let text =
        manifest(json!({ "wasm_module": "build/x.wasm", "permissions": { "env_vars": ["LANG"] } }));
    fs::write(root.join("clawft.plugin.json"), text).unwrap();
    let id = |found: Component| found.manifest.map(|(_, manifest)| manifest.id.to_string());
    let wanted = Some("com.example.tool".to_owned());
    assert_eq!(id(locate(&root).unwrap()), wanted);
    assert_eq!(id(locate(&root.join("build/x.wasm")).unwrap()), wanted);
    assert_eq!(
        id(locate(&root.join("build/y.wasm")).unwrap()),
        None,
        "another file"
    );
    let found = locate(&root).unwrap();
    assert_eq!(found.file, root.join("build/x.wasm"));
    let asks = found.manifest.unwrap().1.asks;
    assert_eq!(asks.len(), 1);
}

#[test]
fn a_mistake_in_the_file_is_shown_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("clawft.plugin.json"), "{\n  \"id\": 7\n}").unwrap();
    let Err(LocateError::Manifest { errors, .. }) = locate(dir.path()) else {
        panic!("a manifest with a mistake");
    };
    assert_eq!(errors.0[0].position(), (2, 9));
    assert!(
        errors.0[0]
            .message
            .starts_with("plugin load failed: manifest: invalid type")
    );
    fs::write(dir.path().join("clawft.plugin.json"), "[".repeat(60_000)).unwrap();
    assert!(locate(dir.path()).is_err());
}

#[test]
fn the_schema_has_every_key_and_refuses_unknown_permissions() {
    let schema = portcullis_config::schema::clawft();
    let permissions = &schema["$defs"]["ClawftPermissions"];
    assert_eq!(permissions["additionalProperties"], false);
    let keys = |of: &Value| {
        let properties = of["properties"].as_object().unwrap().clone();
        assert!(
            properties
                .values()
                .all(|key| key["description"].is_string())
        );
        properties.len()
    };
    assert_eq!((keys(&schema), keys(permissions)), (9, 4));
    assert_eq!(keys(&schema["$defs"]["ClawftResources"]), 6);
}
