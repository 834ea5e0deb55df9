//! `kv`: state that a plugin keeps, how much, and who vouches for its name.

use portcullis_config::edit::{self, Edit, Right};
use portcullis_config::{ConfigCode, FlagSet, Layer, Trust};
use portcullis_policy::{KvGrant, KvOwner, KvSize, PluginId};

use crate::support::Project;

const HEAD: &str = "[[plugins]]\nid = \"p\"\npath = \"plugins/p.wasm\"\n";

fn kv(project: &Project, line: &str) -> Option<KvGrant> {
    let text = format!("{HEAD}{line}");
    project.entry(&text, FlagSet::default()).grants.kv
}

#[test]
fn whether_and_how_much() {
    let project = Project::new();
    let size = |line: &str| kv(&project, line).map(|kv| kv.size);
    assert_eq!(size(""), None);
    assert_eq!(size("kv = false"), None);
    assert_eq!(size("kv = true"), Some(KvSize::default()));
    assert_eq!(size("kv = {}"), Some(KvSize::default()));
    let some = "kv = { bytes = \"2MiB\", keys = 7, value = \"16MiB\" }";
    let expected = KvSize {
        bytes: 2 * 1024 * 1024,
        keys: 7,
        value: 16 * 1024 * 1024,
    };
    assert_eq!(size(some), Some(expected));
    let origin = kv(&project, "kv = true").unwrap().origin.to_string();
    assert!(origin.ends_with("portcullis.toml:4"), "{origin}");
}

#[test]
fn what_cannot_be_is_a_mistake() {
    let project = Project::new();
    for (line, says) in [
        (
            "kv = \"1MiB\"",
            "`plugins.kv` must be `true` or `false` or a table",
        ),
        ("kv = { bytes = 5 }", "must be"),
        ("kv = { value = \"17MiB\" }", "at most 16MiB"),
        ("kv = { size = \"1MiB\" }", "unknown key `size`"),
        ("net = true", "`plugins.net` must be"),
    ] {
        let message = project.mistakes(&[project.trusted(&format!("{HEAD}{line}"))]);
        assert!(message.contains(says), "{line}: {message}");
    }
}

#[test]
fn a_later_trusted_file_says_otherwise_and_a_found_one_says_nothing() {
    let project = Project::new();
    let base = project.trusted(&format!("{HEAD}kv = true"));
    let with = |trust, line: &str| {
        let text = format!("[[plugins]]\nid = \"p\"\n{line}");
        project.load(&[base.clone(), project.named("later.toml", &text, trust)])
    };
    let size = |line: &str| {
        let entry = with(Trust::Trusted, line).unwrap().plugin("p").unwrap();
        entry.grants.kv.map(|kv| kv.size.keys)
    };
    assert_eq!(size("kv = false"), None);
    assert_eq!(size("kv = { keys = 3 }"), Some(3));
    for line in ["kv = true", "kv = { keys = 1 }", "kv = false"] {
        let errors = with(Trust::Narrowing, line).unwrap_err();
        assert_eq!(errors.0[0].code, ConfigCode::Untrusted, "{line}");
    }
}

#[test]
fn the_file_that_grants_it_and_the_plugins_file_vouch_for_the_name() {
    let project = Project::new();
    let owner = |policy: &str, path: &str| {
        let text = format!("[[plugins]]\nid = \"p\"\npath = \"{path}\"\nkv = true");
        let layer = project.named(policy, &text, Trust::Trusted);
        let entry = project.load(&[layer]).unwrap().plugin("p").unwrap();
        entry.grants.kv.unwrap().owner
    };
    let policy = |policy: &str, path: &str| KvOwner::Policy {
        policy: project.path(policy),
        file: project.path(path),
    };
    let (a, b) = ("plugins/p.wasm", "plugins/q.wasm");
    assert_eq!(owner("one.toml", a), policy("one.toml", a));
    assert_eq!(owner("two.toml", a), policy("two.toml", a));
    assert_eq!(owner("one.toml", b), policy("one.toml", b));
    // By whichever name it is read.
    std::os::unix::fs::symlink(project.root(), project.path("out/link")).unwrap();
    std::fs::write(project.path("one.toml"), "").unwrap();
    let absolute = project.path(a).display().to_string();
    assert_eq!(owner("out/link/one.toml", &absolute), policy("one.toml", a));
}

#[test]
fn a_ceiling_lowers_it_or_takes_it_away() {
    let project = Project::new();
    let below = |line: &str| {
        let above = Layer::Ceiling {
            path: project.path("ceiling.toml"),
            text: line.to_owned(),
        };
        let below = project.trusted(&format!("{HEAD}kv = {{ keys = 10, bytes = \"1KiB\" }}"));
        project.load(&[above, below]).unwrap().plugin("p").unwrap()
    };
    let size = below("kv = { keys = 5, bytes = \"1GiB\" }")
        .grants
        .kv
        .unwrap()
        .size;
    assert_eq!((size.keys, size.bytes), (5, 1024));
    assert!(below("kv = true").grants.kv.is_some());
    let none = below("kv = false");
    assert_eq!(none.grants.kv, None);
    assert_eq!(none.cut[0].what, "keep state of its own");
}

#[test]
fn granting_and_revoking_changes_one_line() {
    let project = Project::new();
    let edit = Edit {
        plugin: PluginId::new("p").unwrap(),
        path: None,
        right: Right::Kv,
    };
    let file = project.path("portcullis.toml");
    let grant = |text: &str| edit::grant(text, &edit, &file, &project.context).unwrap();
    let revoke = |text: &str| edit::revoke(text, &edit, &file, &project.context).unwrap();
    let granted = format!("{HEAD}kv = true\n");
    assert_eq!(grant(HEAD).text, granted);
    assert_eq!(
        grant(&format!("{HEAD}kv = false # no\n")).text,
        format!("{HEAD}kv = true # no\n")
    );
    let sized = format!("{HEAD}kv = {{ keys = 3 }}\n");
    assert!(!grant(&sized).changed, "it keeps its size");
    for text in [&granted, &sized] {
        assert_eq!(revoke(text).text, HEAD);
    }
    assert!(!revoke(HEAD).changed);
}

#[test]
fn what_the_manifest_does_not_ask_for_is_not_given() {
    let project = Project::new();
    let grants = || {
        project
            .entry(&format!("{HEAD}kv = true"), FlagSet::default())
            .grants
    };
    let manifest = |asks: &str| {
        let text = format!("id = \"p\"\nversion = \"1\"\nworld = \"w\"\n{asks}");
        portcullis_config::Manifest::parse(&project.path("plugin.toml"), &text).unwrap()
    };
    let asks = manifest("[[asks]]\ncapability = \"kv\"\nreason = \"remembers\"\n");
    assert!(asks.restrict(grants()).kv.is_some());
    assert!(asks.asks_not_granted(&grants()).is_empty());
    assert_eq!(manifest("").restrict(grants()).kv, None);
}
