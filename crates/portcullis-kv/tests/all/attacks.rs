//! Files and directories that are not ours alone, and files that are not as we leave them: an error that says so, and
//! nothing of them is changed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use portcullis_kv::{KvError, Limits, Stores};
use portcullis_private::PrivateError;
use portcullis_testkit::tests;
use rusqlite::Connection;
use rustix::fs::{CWD, FileType, Mode};

use crate::Fixture;

tests![
    files_and_directories_are_ours_alone,
    a_directory_that_others_read_is_refused,
    what_belongs_to_somebody_else_is_refused,
    links_and_other_names_of_a_file_are_refused,
    what_is_swapped_while_it_is_in_use_is_an_error_until_it_is_back,
    a_log_to_be_played_back_is_refused,
    a_file_cut_off_anywhere_is_an_error_or_whole,
    bytes_changed_anywhere_are_an_error_or_change_nothing_that_is_counted,
    another_kind_of_database_is_refused,
    triggers_views_and_further_tables_are_refused,
    the_state_of_another_owner_under_this_name_is_refused,
    counts_that_are_wrong_are_found,
];

fn filled(fixture: &Fixture) -> PathBuf {
    let stores = fixture.stores();
    let store = stores.store("p").unwrap();
    for key in ["a", "b", "c"] {
        store.set(key, &[7; 5000], &Limits::default()).unwrap();
    }
    store.path().to_owned()
}

fn refused(fixture: &Fixture) -> KvError {
    Stores::open(&fixture.directory)
        .and_then(|stores| stores.store("p"))
        .unwrap_err()
}

fn files_and_directories_are_ours_alone() {
    let fixture = Fixture::new();
    let stores = fixture.stores();
    let store = stores.store("p").unwrap();
    store.set("a", b"1", &Limits::default()).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&fixture.directory), 0o700);
    let files: Vec<_> = fs::read_dir(&fixture.directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(
        files.len(),
        3,
        "a database, its log and the index of that: {files:?}"
    );
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

fn a_directory_that_others_read_is_refused() {
    let fixture = Fixture::new();
    let path = filled(&fixture);
    for mode in [0o750, 0o705, 0o777] {
        fs::set_permissions(&fixture.directory, fs::Permissions::from_mode(mode)).unwrap();
        let error = refused(&fixture);
        assert!(matches!(error, KvError::Private(_)), "{mode:o}: {error}");
    }
    fs::set_permissions(&fixture.directory, fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = refused(&fixture);
    assert!(error.to_string().contains("others have access"), "{error}");
}

fn what_belongs_to_somebody_else_is_refused() {
    let fixture = Fixture::new();
    let path = filled(&fixture);
    let refused = |theirs: &Path| {
        let error = refused(&fixture);
        let not_ours = matches!(error, KvError::Private(PrivateError::NotOurs { .. }));
        assert!(not_ours, "{}: {error}", theirs.display());
    };
    // Only root can give a file away.
    let (root, somebody) = (rustix::process::geteuid().is_root(), Some(4242));
    if root {
        for theirs in [&path, &fixture.directory] {
            chown(theirs, somebody, None).unwrap();
            refused(theirs);
            chown(theirs, Some(0), None).unwrap();
        }
        fixture.stores().store("p").unwrap().verify().unwrap();
    } else {
        let error = Stores::open("/usr".as_ref()).unwrap_err();
        let not_ours = matches!(
            error,
            KvError::Private(PrivateError::NotOurs { owner: 0, .. })
        );
        assert!(not_ours, "{error}");
    }
}

fn links_and_other_names_of_a_file_are_refused() {
    let fixture = Fixture::new();
    let path = filled(&fixture);
    let elsewhere = path.with_file_name("elsewhere");
    let not_plain = |what: &str| {
        let error = refused(&fixture);
        assert!(
            error.to_string().contains("is not a plain file"),
            "{what}: {error}"
        );
    };
    fs::hard_link(&path, &elsewhere).unwrap();
    not_plain("a second name");
    fs::remove_file(&path).unwrap();
    symlink(&elsewhere, &path).unwrap();
    not_plain("a link");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    not_plain("a directory");
    fs::remove_dir(&path).unwrap();
    fs::rename(&elsewhere, &path).unwrap();
    for beside in ["-wal", "-shm", "-journal"] {
        let beside = PathBuf::from(format!("{}{beside}", path.display()));
        symlink("/dev/null", &beside).unwrap();
        not_plain("a link beside it");
        fs::remove_file(&beside).unwrap();
    }
    fixture.stores().store("p").unwrap().verify().unwrap();
    let link = fixture.directory.with_file_name("link");
    symlink(&fixture.directory, &link).unwrap();
    let error = Stores::open(&link).unwrap_err();
    assert!(error.to_string().contains("is not a plain file"), "{error}");
}

fn what_is_swapped_while_it_is_in_use_is_an_error_until_it_is_back() {
    let fixture = Fixture::new();
    let path = filled(&fixture);
    let stores = fixture.stores();
    let store = stores.store("p").unwrap();
    let away = path.with_file_name("away");
    let limits = Limits::default();
    for end in ["", "-wal", "-shm"] {
        let path = PathBuf::from(format!("{}{end}", path.display()));
        let make: [&dyn Fn(); 4] = [
            &|| {},
            &|| symlink(&away, &path).unwrap(),
            &|| {
                rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap()
            },
            &|| assert!(fs::copy(&away, &path).unwrap() > 0),
        ];
        for (which, make) in make.into_iter().enumerate() {
            fs::rename(&path, &away).unwrap();
            make();
            for error in [
                store.set("a", b"lost", &limits).unwrap_err(),
                store.delete("a").map(drop).unwrap_err(),
                store.clear().map(drop).unwrap_err(),
            ] {
                let replaced = matches!(error, KvError::Replaced { .. });
                assert!(replaced, "`{end}` {which}: {error:?}");
            }
            fs::rename(&away, &path).unwrap();
            assert_eq!(store.get("a").unwrap().as_deref(), Some(&[7; 5000][..]));
            store.set("d", b"0", &limits).unwrap();
        }
    }
    assert_eq!(store.verify().unwrap().keys, 4);
}

fn a_log_to_be_played_back_is_refused() {
    let fixture = Fixture::new();
    let path = filled(&fixture);
    let journal = PathBuf::from(format!("{}-journal", path.display()));
    fs::write(&journal, b"").unwrap();
    fs::set_permissions(&journal, fs::Permissions::from_mode(0o600)).unwrap();
    let error = refused(&fixture);
    assert!(matches!(error, KvError::Damaged { .. }), "{error}");
    assert!(journal.exists());
}

/// What comes of a file with these bytes: an error, or a store that is whole. Gives whether it was an error.
fn tried(fixture: &Fixture, path: &Path, bytes: &[u8]) -> bool {
    for beside in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{beside}", path.display()));
    }
    fs::write(path, bytes).unwrap();
    let used = fixture.stores().store("p").and_then(|store| {
        store.get("a")?;
        store.list("", None, 10)?;
        store.verify()
    });
    match used {
        Ok(usage) => {
            assert_eq!(usage.keys, 3);
            false
        }
        Err(error) => {
            assert!(matches!(error, KvError::Damaged { .. }), "{error:?}");
            let said = error.to_string();
            assert!(said.contains(&*path.to_string_lossy()) && said.contains("move it away"));
            assert_eq!(fs::read(path).unwrap(), bytes, "it is left as it is");
            true
        }
    }
}

fn a_file_cut_off_anywhere_is_an_error_or_whole() {
    let fixture = Fixture::new();
    let path = filled(&fixture);
    let whole = fs::read(&path).unwrap();
    let errors = (0..whole.len())
        .step_by(509)
        .filter(|&end| tried(&fixture, &path, &whole[..end]));
    assert_eq!(errors.count(), whole.len().div_ceil(509));
    assert!(!tried(&fixture, &path, &whole));
}

fn bytes_changed_anywhere_are_an_error_or_change_nothing_that_is_counted() {
    let fixture = Fixture::new();
    let path = filled(&fixture);
    let whole = fs::read(&path).unwrap();
    let mut errors = 0;
    for place in (0..128).chain((128..whole.len()).step_by(97)) {
        let mut bytes = whole.clone();
        bytes[place] ^= 0xff;
        errors += u32::from(tried(&fixture, &path, &bytes));
    }
    assert!(errors > 20, "{errors}");
    for wholly in [&b""[..], b"SQLite format 3\0", &[0; 8192], &[0xff; 8192]] {
        assert!(tried(&fixture, &path, wholly));
    }
}

fn changed(fixture: &Fixture, sql: &str) {
    let path = filled(fixture);
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

fn damaged(sql: &str, why: &str) {
    let fixture = Fixture::new();
    changed(&fixture, sql);
    let error = refused(&fixture);
    assert!(matches!(error, KvError::Damaged { .. }), "{sql}: {error}");
    assert!(error.to_string().contains(why), "{sql}: {error}");
}

fn another_kind_of_database_is_refused() {
    damaged("PRAGMA application_id = 1", "another kind of database");
    damaged("PRAGMA user_version = 2", "another kind of database");
}

fn triggers_views_and_further_tables_are_refused() {
    for sql in [
        "CREATE TRIGGER t AFTER INSERT ON entry BEGIN DELETE FROM entry; END",
        "CREATE VIEW v AS SELECT * FROM entry",
        "CREATE TABLE more (x)",
        "CREATE INDEX i ON entry (value)",
        "DROP TABLE entry; CREATE VIEW entry AS SELECT 'a' AS key, load_extension('x') AS value",
        "DROP TABLE entry; CREATE TABLE entry (key BLOB NOT NULL PRIMARY KEY, value BLOB NOT NULL)",
    ] {
        damaged(sql, "its tables are not ours");
    }
}

fn the_state_of_another_owner_under_this_name_is_refused() {
    damaged("UPDATE about SET owner = 'q'", "somebody else");
    damaged("DELETE FROM about", "somebody else");
}

fn counts_that_are_wrong_are_found() {
    let fixture = Fixture::new();
    changed(&fixture, "UPDATE about SET keys = 0, bytes = 0");
    let store = fixture.stores().store("p").unwrap();
    let error = store.verify().unwrap_err();
    assert!(error.to_string().contains("it counts"), "{error}");
    let error = store.delete("a").unwrap_err();
    assert!(matches!(error, KvError::Damaged { .. }), "{error}");
    assert!(store.get("a").unwrap().is_some(), "nothing was lost");
}
