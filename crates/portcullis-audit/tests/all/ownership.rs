//! Directories and files that others could write to are refused.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use portcullis_audit::{AppendError, Options, PrivateError, Sink, Trail, Verdict};

use crate::{Place, append, decision, time};

fn open(place: &Place) -> Result<Trail, PrivateError> {
    Trail::open(&place.audit, place.options())
}

#[test]
fn directories_are_0700_and_files_0600() {
    let (place, _) = Place::filled(1);
    for dir in [&place.audit, &place.data] {
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
    for mode in [0o720, 0o702, 0o777] {
        let (place, _) = Place::filled(1);
        fs::set_permissions(&place.audit, Permissions::from_mode(mode)).unwrap();
        let error = open(&place).unwrap_err();
        assert!(
            matches!(error, PrivateError::OpenToOthers { mode: m, .. } if m == mode),
            "{error:?}"
        );
        fs::set_permissions(&place.audit, Permissions::from_mode(0o755)).unwrap();
        open(&place).unwrap();
    }
}

#[test]
fn a_data_directory_that_others_may_write_is_refused() {
    let (place, _) = Place::filled(1);
    fs::set_permissions(&place.data, Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(
        open(&place).unwrap_err(),
        PrivateError::OpenToOthers { .. }
    ));
}

#[test]
fn a_directory_of_another_user_is_refused() {
    let place = Place::new();
    fs::create_dir(&place.audit).unwrap();
    if std::os::unix::fs::chown(&place.audit, Some(4242), None).is_err() {
        // Only root can give a directory away; the root directory is another user's then.
        let error = Trail::open("/".as_ref(), Options::default()).unwrap_err();
        assert!(
            matches!(error, PrivateError::NotOurs { owner: 0, .. }),
            "{error:?}"
        );
        return;
    }
    let error = open(&place).unwrap_err();
    assert!(
        matches!(error, PrivateError::NotOurs { owner: 4242, .. }),
        "{error:?}"
    );
}

#[test]
fn links_are_not_followed() {
    let (place, _) = Place::filled(1);
    let link = place.audit.with_file_name("link");
    symlink(&place.audit, &link).unwrap();
    let error = Trail::open(&link, Options::default()).unwrap_err();
    assert!(matches!(error, PrivateError::NotPlain { .. }), "{error:?}");

    let elsewhere = place.audit.with_file_name("elsewhere");
    fs::rename(place.audit.join("head.json"), &elsewhere).unwrap();
    symlink(&elsewhere, place.audit.join("head.json")).unwrap();
    let error = open(&place)
        .unwrap()
        .append(time(2), &decision(2, Verdict::Allow))
        .unwrap_err();
    assert!(
        matches!(error, AppendError::Store(PrivateError::NotPlain { .. })),
        "{error:?}"
    );
}

#[test]
fn a_record_file_with_a_second_name_is_refused() {
    let (place, _) = Place::filled(1);
    append(&open(&place).unwrap(), 2);
    fs::hard_link(place.file(1), place.audit.join("second")).unwrap();
    let error = open(&place)
        .unwrap()
        .append(time(3), &decision(3, Verdict::Allow))
        .unwrap_err();
    assert!(
        matches!(error, AppendError::Store(PrivateError::NotPlain { .. })),
        "{error:?}"
    );
}
