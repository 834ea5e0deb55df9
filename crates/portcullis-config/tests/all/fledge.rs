//! What a plugin of fledge asks for, in fledge's own manifest.

use std::fs;
use std::path::Path;

use portcullis_config::{LocateError, Manifest, locate};
use portcullis_policy::{
    DataGrant, ExecGrant, FledgeFiles, Grants, KvGrant, KvOwner, KvSize, MetadataKey, Origin,
    PluginId,
};

const HEAD: &str = "[plugin]\nname = \"canary\"\nversion = \"1.2.3\"\nruntime = \"wasm\"\nprotocol = \"fledge-v1\"\n";
const COMMAND: &str = "[[commands]]\nname = \"c\"\nbinary = \"c.wasm\"\n";

fn parse(text: &str) -> Result<Manifest, String> {
    Manifest::parse(Path::new("plugin.toml"), text).map_err(|errors| errors.to_string())
}

fn with(capabilities: &str) -> Manifest {
    parse(&format!("{HEAD}{COMMAND}[capabilities]\n{capabilities}\n")).unwrap()
}

fn refused(text: &str) -> String {
    parse(text).unwrap_err()
}

/// Everything that a plugin of fledge can be granted.
fn everything() -> Grants {
    let owner = || KvOwner::Application {
        name: String::new(),
    };
    Grants {
        exec: Some(ExecGrant::default()),
        kv: Some(KvGrant {
            size: KvSize::default(),
            owner: owner(),
            origin: Origin::Code,
        }),
        data: Some(DataGrant {
            owner: owner(),
            origin: Origin::Code,
        }),
        metadata: vec![MetadataKey::GitLog],
        env: vec!["LANG".to_owned()],
        ..Grants::none(PluginId::new("canary").unwrap())
    }
}

#[test]
fn a_manifest_is_read_as_it_is_and_its_name_is_the_id() {
    let manifest = parse(&format!(
        "{HEAD}license = \"MIT\"\n{COMMAND}more = 1\n[hooks]\nbuild = \"make\"\n[extra]\na = 1\n"
    ))
    .unwrap();
    assert_eq!(manifest.id.as_str(), "canary");
    assert_eq!(manifest.version, "1.2.3");
    assert_eq!(manifest.component.as_deref(), Some("c.wasm"));
    let fledge = manifest.fledge.unwrap();
    assert_eq!(fledge.hooks, ["build"]);
    let mut unknown = fledge.unknown;
    unknown.sort();
    assert_eq!(unknown, ["commands.more", "extra", "plugin.license"]);
}

#[test]
fn a_native_plugin_does_not_exist_here_whatever_else_it_says() {
    let native = HEAD.replace("\"wasm\"", "\"native\"");
    assert!(refused(&format!("{native}{COMMAND}")).contains("native plugins do not exist"));
    let absent = HEAD.replace("runtime = \"wasm\"\n", "");
    assert!(refused(&format!("{absent}{COMMAND}")).contains("native plugins do not exist"));
    // A-NOPROTO: the runtime alone decides.
    let without = HEAD.replace("protocol = \"fledge-v1\"\n", "");
    assert!(parse(&format!("{without}{COMMAND}")).is_ok());
}

#[test]
fn what_cannot_be_run_is_said() {
    for (text, why) in [
        (
            format!("{}{COMMAND}", HEAD.replace("-v1", "-v2")),
            "`plugin.protocol` is `fledge-v2`",
        ),
        (
            format!("{HEAD}{COMMAND}[capabilities]\nfilesystem = \"all\""),
            "`capabilities.filesystem` is `all`",
        ),
        (
            format!("{HEAD}{COMMAND}[capabilities]\nexec = \"yes\""),
            "a manifest of fledge: ",
        ),
        (HEAD.to_owned(), "no `[[commands]]`"),
        (
            format!("{HEAD}{}", COMMAND.replace("c.wasm", "../c.wasm")),
            "no path below",
        ),
        (
            format!("{HEAD}{}", COMMAND.replace("c.wasm", "/c.wasm")),
            "no path below",
        ),
        (
            format!("{}{COMMAND}", HEAD.replace("canary", "a b")),
            "`plugin.name`",
        ),
        (
            "[plugin]\nname = \"x\"".to_owned(),
            "a manifest of fledge: ",
        ),
    ] {
        let said = refused(&text);
        assert!(said.contains(why), "{why}: {said}");
    }
}

#[test]
fn what_is_not_asked_for_is_not_given() {
    let nothing = with("").restrict(everything());
    assert!(nothing.exec.is_none() && nothing.kv.is_none() && nothing.data.is_none());
    assert!(nothing.metadata.is_empty() && nothing.env.is_empty());
    assert_eq!(nothing.fledge.unwrap().files, FledgeFiles::Unasked);
    let all = with(
        "exec = true\nstore = true\nmetadata = true\nfilesystem = \"plugin\"\nresponses = true",
    );
    let given = all.restrict(everything());
    assert!(given.exec.is_some() && given.kv.is_some() && given.data.is_some());
    assert_eq!(given.metadata, [MetadataKey::GitLog]);
    let facts = given.fledge.unwrap();
    assert!(facts.responses && facts.files == FledgeFiles::Plugin);
    // Asking alone gives nothing.
    let none = Grants::none(PluginId::new("canary").unwrap());
    let given = all.restrict(none.clone());
    assert!(given.exec.is_none() && given.kv.is_none() && given.data.is_none());
    assert_eq!(all.asks_not_granted(&none).len(), 5);
}

#[test]
fn each_command_is_a_module_below_the_directory() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().canonicalize().unwrap();
    let second = "[[commands]]\nname = \"d\"\nbinary = \"target/d.wasm\"\n";
    fs::write(dir.join("plugin.toml"), format!("{HEAD}{COMMAND}{second}")).unwrap();
    fs::create_dir(dir.join("target")).unwrap();
    for file in ["c.wasm", "target/d.wasm", "other.wasm"] {
        fs::write(dir.join(file), "").unwrap();
    }
    assert_eq!(locate(&dir).unwrap().file, dir.join("c.wasm"));
    for (file, speaks) in [
        ("c.wasm", true),
        ("target/d.wasm", true),
        ("other.wasm", false),
    ] {
        let found = locate(&dir.join(file)).unwrap();
        assert_eq!(found.manifest.is_some(), speaks, "{file}");
    }
    fs::remove_file(dir.join("c.wasm")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.join("c.wasm")).unwrap();
    assert!(matches!(locate(&dir), Err(LocateError::Unreadable { .. })));
}
