//! The registry as its users see it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use portcullis_registry::{ManifestText, Record, Registry, RegistryError};
use sha2::{Digest, Sha256};

struct Fixture {
    dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("data/plugins")
    }

    fn open(&self) -> Registry {
        Registry::open(&self.path()).unwrap()
    }

    /// The contents that are kept.
    fn contents(&self) -> BTreeSet<String> {
        let names = fs::read_dir(self.path().join("sha256")).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

fn record(name: &str, content: &[u8]) -> Record {
    Record {
        name: name.to_owned(),
        record: Record::draw().unwrap(),
        version: "1.0.0".to_owned(),
        kind: "a component".to_owned(),
        world: "w".to_owned(),
        sha256: hex::encode(Sha256::digest(content)),
        blake3: String::new(),
        bytes: content.len() as u64,
        manifest: ManifestText {
            file: "plugin.toml".to_owned(),
            text: "id = 'x'".to_owned(),
        },
        source: format!("/from/{name}"),
        resolved: None,
        listing: None,
        tier: "local".to_owned(),
        signer: None,
        signature: None,
        imports: BTreeSet::new(),
        asks: BTreeSet::new(),
        programs: BTreeSet::new(),
        commands: BTreeSet::new(),
        grants: String::new(),
        gives: BTreeSet::new(),
        policy_sha256: String::new(),
        installed: "2026-01-01T00:00:00Z".to_owned(),
        updated: None,
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_installed_is_there_for_who_opens_it_next() {
    let fixture = Fixture::new();
    assert!(Registry::existing(&fixture.path()).unwrap().is_none());
    let one = record("one", b"1");
    fixture.open().write().unwrap().install(&one, b"1").unwrap();
    let registry = Registry::existing(&fixture.path()).unwrap().unwrap();
    assert_eq!(registry.list().unwrap(), std::slice::from_ref(&one));
    assert_eq!(fs::read(registry.component(&one)).unwrap(), b"1");
    registry.verify(&one).unwrap();
    registry.verify_rows().unwrap();
}

#[test]
fn only_its_user_can_read_it() {
    let fixture = Fixture::new();
    let one = record("one", b"1");
    fixture.open().write().unwrap().install(&one, b"1").unwrap();
    let component = fixture.open().component(&one);
    assert_eq!(mode(&component), 0o600);
    for dir in component.ancestors().skip(1).take(3) {
        assert_eq!(mode(dir), 0o700, "{}", dir.display());
    }
    fs::set_permissions(fixture.path(), Permissions::from_mode(0o770)).unwrap();
    let refused = Registry::existing(&fixture.path()).unwrap_err();
    assert!(matches!(refused, RegistryError::Private(_)), "{refused}");
}

#[test]
fn a_name_is_taken_in_whatever_case_it_is_written() {
    let fixture = Fixture::new();
    let registry = fixture.open();
    registry
        .write()
        .unwrap()
        .install(&record("notes", b"1"), b"1")
        .unwrap();
    let refused = registry
        .write()
        .unwrap()
        .install(&record("Notes", b"2"), b"2");
    let refused = refused.unwrap_err();
    assert!(
        matches!(&refused, RegistryError::Taken { other, .. } if other == "notes"),
        "{refused}"
    );
    assert_eq!(registry.list().unwrap().len(), 1);
}

#[test]
fn an_update_leaves_only_the_new_content_and_a_removal_none() {
    let fixture = Fixture::new();
    let registry = fixture.open();
    let (one, two) = (record("p", b"1"), record("p", b"2"));
    registry.write().unwrap().install(&one, b"1").unwrap();
    registry
        .write()
        .unwrap()
        .replace(&one, &two, Some(b"2"))
        .unwrap();
    assert_eq!(fixture.contents(), BTreeSet::from([two.sha256.clone()]));
    registry.write().unwrap().remove(&two).unwrap();
    assert_eq!(fixture.contents(), BTreeSet::new());
    assert_eq!(registry.list().unwrap(), []);
}

#[test]
fn content_that_two_names_have_stays_with_the_other() {
    let fixture = Fixture::new();
    let registry = fixture.open();
    let (one, other) = (record("one", b"1"), record("other", b"1"));
    registry.write().unwrap().install(&one, b"1").unwrap();
    registry.write().unwrap().install(&other, b"1").unwrap();
    registry.write().unwrap().remove(&one).unwrap();
    registry.verify(&other).unwrap();
}

#[test]
fn what_was_looked_at_and_is_no_longer_so_is_not_changed() {
    let fixture = Fixture::new();
    let registry = fixture.open();
    let (one, two, three) = (record("p", b"1"), record("p", b"2"), record("p", b"3"));
    registry.write().unwrap().install(&one, b"1").unwrap();
    registry
        .write()
        .unwrap()
        .replace(&one, &two, Some(b"2"))
        .unwrap();
    let late = registry
        .write()
        .unwrap()
        .replace(&one, &three, Some(b"3"))
        .unwrap_err();
    assert!(matches!(late, RegistryError::Changed { .. }), "{late}");
    let late = registry.write().unwrap().remove(&one).unwrap_err();
    assert!(matches!(late, RegistryError::Changed { .. }), "{late}");
    assert_eq!(registry.list().unwrap(), [two]);
}

#[test]
fn what_an_interrupted_writer_left_is_thrown_away_by_the_next() {
    let fixture = Fixture::new();
    let registry = fixture.open();
    let one = record("one", b"1");
    registry.write().unwrap().install(&one, b"1").unwrap();
    let left = fixture.path().join("sha256").join("a".repeat(64));
    fs::create_dir(&left).unwrap();
    fs::set_permissions(&left, Permissions::from_mode(0o700)).unwrap();
    fs::write(left.join(".tmp-12"), b"half").unwrap();
    let beside = registry.component(&one).with_file_name(".tmp-34");
    fs::write(&beside, b"half").unwrap();
    drop(registry.write().unwrap());
    assert!(!left.exists() && !beside.exists());
    registry.verify(&one).unwrap();
}

#[test]
fn content_that_was_changed_or_is_gone_is_told() {
    let fixture = Fixture::new();
    let registry = fixture.open();
    let one = record("one", b"1");
    registry.write().unwrap().install(&one, b"1").unwrap();
    fs::write(registry.component(&one), b"2").unwrap();
    let found = registry.verify(&one).unwrap_err();
    assert!(matches!(found, RegistryError::Tampered { .. }), "{found}");
    fs::remove_file(registry.component(&one)).unwrap();
    let found = registry.verify(&one).unwrap_err();
    assert!(matches!(found, RegistryError::Gone { .. }), "{found}");
    // What is installed again under the same digest is whole again.
    registry.write().unwrap().remove(&one).unwrap();
    registry.write().unwrap().install(&one, b"1").unwrap();
    registry.verify(&one).unwrap();
}

#[test]
fn many_at_once_install_the_same_once_and_others_all() {
    let fixture = Fixture::new();
    let registry = fixture.open();
    let installed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16u8)
            .map(|n| {
                let (registry, own) = (&registry, format!("own-{n}"));
                scope.spawn(move || {
                    registry
                        .write()
                        .unwrap()
                        .install(&record(&own, &[n]), &[n])
                        .unwrap();
                    let same = record("same", &[n]);
                    usize::from(registry.write().unwrap().install(&same, &[n]).is_ok())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(installed, 1);
    let records = registry.list().unwrap();
    assert_eq!(records.len(), 17);
    for record in &records {
        registry.verify(record).unwrap();
    }
}
