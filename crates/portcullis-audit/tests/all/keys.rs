//! The key of the installation and the digests under it.

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::thread;

use portcullis_audit::{DigestKey, PrivateError};

#[test]
fn a_digest_is_the_same_under_one_key_and_another_under_another() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = DigestKey::open_or_create(one.path()).unwrap();
    let again = DigestKey::open_or_create(one.path()).unwrap();
    let other = DigestKey::open_or_create(two.path()).unwrap();
    assert_eq!(first.digest(b"secret"), again.digest(b"secret"));
    assert_ne!(first.digest(b"secret"), other.digest(b"secret"));
    assert_ne!(first.digest(b"secret"), first.digest(b"secreT"));
    let mut parts = first.digester();
    parts.update(b"sec");
    parts.update(b"ret");
    assert_eq!(parts.finish(), first.digest(b"secret"));
    assert_eq!(format!("{first:?}"), "DigestKey(..)");
}

#[test]
fn of_many_makers_at_once_one_wins_and_all_agree() {
    let dir = tempfile::tempdir().unwrap();
    let digests: HashSet<String> = thread::scope(|scope| {
        let makers: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    DigestKey::open_or_create(dir.path())
                        .unwrap()
                        .digest(b"x")
                        .to_string()
                })
            })
            .collect();
        makers
            .into_iter()
            .map(|maker| maker.join().unwrap())
            .collect()
    });
    assert_eq!(digests.len(), 1);
    let names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["audit-digest.key"], "no temporary file stays");
    assert_eq!(
        fs::metadata(dir.path().join("audit-digest.key"))
            .unwrap()
            .mode()
            & 0o7777,
        0o600
    );
}

#[test]
fn a_key_that_others_may_read_or_that_is_cut_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    DigestKey::open_or_create(dir.path()).unwrap();
    let path = dir.path().join("audit-digest.key");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let error = DigestKey::open_or_create(dir.path()).unwrap_err();
    assert!(
        matches!(error, PrivateError::OpenToOthers { mode: 0o640, .. }),
        "{error:?}"
    );
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    for length in [0, 31, 33] {
        fs::write(&path, vec![7; length]).unwrap();
        let error = DigestKey::open_or_create(dir.path()).unwrap_err();
        assert!(
            matches!(error, PrivateError::NotAKey { .. }),
            "{length}: {error:?}"
        );
    }
}
