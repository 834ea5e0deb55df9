//! Directories and keys that are not ours alone are refused.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use portcullis_codecache::{CodeCache, OpenError, Options, PrivateError};
use wasmtime::Engine;

use crate::{Place, fetch, is_hit};

fn open(dir: &Path, key_dir: &Path) -> Result<CodeCache, OpenError> {
    CodeCache::open(dir, key_dir, Options::default())
}

fn private(error: OpenError) -> PrivateError {
    match error {
        OpenError::Private(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn directories_are_0700_and_files_0600() {
    let (place, engine) = (Place::new(), Engine::default());
    place.stored(&engine, 1);
    for dir in [&place.dir, &place.key_dir] {
        assert_eq!(fs::metadata(dir).unwrap().mode() & 0o7777, 0o700);
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(
                entry.metadata().unwrap().mode() & 0o7777,
                0o600,
                "{entry:?}"
            );
        }
    }
}

#[test]
fn a_directory_that_others_may_write_is_refused() {
    for which in 0..2 {
        for mode in [0o720, 0o702, 0o777, 0o1777] {
            let place = Place::new();
            drop(place.cache());
            let dir = [&place.dir, &place.key_dir][which];
            fs::set_permissions(dir, Permissions::from_mode(mode)).unwrap();
            let error = private(open(&place.dir, &place.key_dir).unwrap_err());
            assert!(
                matches!(error, PrivateError::OpenToOthers { mode: m, .. } if m == mode),
                "{error:?}"
            );
            fs::set_permissions(dir, Permissions::from_mode(0o700)).unwrap();
            open(&place.dir, &place.key_dir).unwrap();
        }
    }
}

#[test]
fn a_key_inside_the_cache_is_refused() {
    let place = Place::new();
    let inside = place.dir.join("keys");
    fs::create_dir_all(&place.dir).unwrap();
    let around = place.key_dir.join("..").join("cache").join("keys");
    fs::create_dir_all(&place.key_dir).unwrap();
    for key_dir in [&place.dir, &inside, &around] {
        let error = open(&place.dir, key_dir).unwrap_err();
        assert!(
            matches!(error, OpenError::KeyInsideCache { .. }),
            "{error:?}"
        );
    }
    // The other way round is fine: what is around the cache is not copied with it.
    open(&place.key_dir.join("cache"), &place.key_dir).unwrap();
}

#[test]
fn a_key_that_others_may_read_or_that_is_a_link_or_cut_is_refused() {
    let place = Place::new();
    drop(place.cache());
    let key = place.key_dir.join("cache.key");

    fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
    let error = private(open(&place.dir, &place.key_dir).unwrap_err());
    assert!(
        matches!(error, PrivateError::OpenToOthers { mode: 0o640, .. }),
        "{error:?}"
    );
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();

    let elsewhere = place.key_dir.join("elsewhere");
    fs::rename(&key, &elsewhere).unwrap();
    symlink(&elsewhere, &key).unwrap();
    let error = private(open(&place.dir, &place.key_dir).unwrap_err());
    assert!(matches!(error, PrivateError::NotPlain { .. }), "{error:?}");
    fs::remove_file(&key).unwrap();
    fs::rename(&elsewhere, &key).unwrap();

    fs::write(&key, [7; 31]).unwrap();
    let error = private(open(&place.dir, &place.key_dir).unwrap_err());
    assert!(matches!(error, PrivateError::NotAKey { .. }), "{error:?}");
    fs::write(&key, [7; 32]).unwrap();
    open(&place.dir, &place.key_dir).unwrap();
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    let place = Place::new();
    fs::create_dir(&place.dir).unwrap();
    if chown(&place.dir, Some(4242), None).is_err() {
        // Only root can give a directory away; the root directory is another user's then.
        let error = private(open("/".as_ref(), &place.key_dir).unwrap_err());
        assert!(
            matches!(error, PrivateError::NotOurs { owner: 0, .. }),
            "{error:?}"
        );
        return;
    }
    let error = private(open(&place.dir, &place.key_dir).unwrap_err());
    assert!(
        matches!(error, PrivateError::NotOurs { owner: 4242, .. }),
        "{error:?}"
    );
    chown(&place.dir, Some(0), None).unwrap();
    drop(place.cache());
    chown(place.key_dir.join("cache.key"), Some(4242), None).unwrap();
    let error = private(open(&place.dir, &place.key_dir).unwrap_err());
    assert!(
        matches!(error, PrivateError::NotOurs { owner: 4242, .. }),
        "{error:?}"
    );
}

#[test]
fn a_link_to_the_cache_directory_is_refused() {
    let (place, engine) = (Place::new(), Engine::default());
    place.stored(&engine, 1);
    let link = place.key_dir.join("link");
    symlink(&place.dir, &link).unwrap();
    let error = private(open(&link, &place.key_dir).unwrap_err());
    assert!(matches!(error, PrivateError::NotPlain { .. }), "{error:?}");
    assert!(is_hit(&fetch(&place.cache(), &engine, 1)));
}
