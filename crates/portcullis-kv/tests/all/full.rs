//! A file system without room, and one that may only be read: an error that names the file, nothing torn, and nothing of what
//! was acknowledged lost.
//!
//! Each is a file system of the test's own, in namespaces of its own. Where they are not to be had, the tests are skipped by
//! name.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use portcullis_kv::{KvError, Limits, Stores};
use portcullis_testkit::tests;

use crate::Fixture;
use crate::killed::number;

tests![
    what_finds_no_room_on_the_disk_is_an_error_and_changes_nothing,
    what_may_only_be_read_is_an_error_that_names_the_file,
];

/// Runs this binary as `role` where `mount` has changed what `$1` is.
fn mounted(test: &str, mount: &str, role: &str, directory: &Path) {
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-ec"]);
        command
    };
    let possible = unshare().arg("mount -t tmpfs none /mnt").output();
    if !possible.is_ok_and(|output| output.status.success()) {
        println!("SKIP full::{test}: no file system may be mounted here");
        return;
    }
    let script = format!("{mount}; exec \"$0\" {role} \"$1\"");
    let me = std::env::current_exe().unwrap();
    let output = unshare().arg(script).arg(me).arg(directory).output();
    let output = output.unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}

fn what_finds_no_room_on_the_disk_is_an_error_and_changes_nothing() {
    let fixture = Fixture::new();
    fs::create_dir(&fixture.directory).unwrap();
    let test = "what_finds_no_room_on_the_disk_is_an_error_and_changes_nothing";
    let mount = "mount -t tmpfs -o size=4m,mode=700 none \"$1\"";
    mounted(test, mount, "full-role", &fixture.directory);
}

/// With every number of pages that are left, so that they are used up in every place.
pub(crate) fn disk(directory: &Path) -> ExitCode {
    let (limits, ballast) = (Limits::default(), directory.join("ballast"));
    let mut failures = 0;
    for pages in (0..200).step_by(3) {
        let owner = format!("{pages}");
        let stores = Stores::open(directory).unwrap();
        fs::write(&ballast, vec![7; 4096 * (1020 - pages)]).unwrap();
        let mut kept = 0;
        let filled = stores.store(&owner).and_then(|store| {
            loop {
                store.set("a", &crate::killed::value(kept + 1), &limits)?;
                kept += 1;
            }
        });
        let error: KvError = filled
            .map(|never: std::convert::Infallible| never)
            .unwrap_err();
        let names = error.to_string().contains(&*directory.to_string_lossy());
        assert!(names, "{pages}: {error:?}");
        failures += usize::from(matches!(error, KvError::NoSpace { .. }));
        fs::remove_file(&ballast).unwrap();
        drop(stores);
        // Somebody who comes later, when there is room again.
        let stores = Stores::open(directory).unwrap();
        let store = stores.store(&owner).unwrap();
        let there = store.get("a").unwrap().map_or(0, |value| number(&value));
        assert_eq!(there, kept, "{pages}: after {error}");
        store.set("b", b"1", &limits).unwrap();
        store.verify().unwrap();
        drop(store);
        for file in fs::read_dir(directory).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
    }
    assert!(failures > 30, "{failures}");
    ExitCode::SUCCESS
}

fn what_may_only_be_read_is_an_error_that_names_the_file() {
    let fixture = Fixture::new();
    let store = fixture.stores().store("p").unwrap();
    store.set("a", b"1", &Limits::default()).unwrap();
    drop(store);
    let test = "what_may_only_be_read_is_an_error_that_names_the_file";
    let mount = "mount --bind \"$1\" \"$1\"; mount -o remount,bind,ro \"$1\"";
    mounted(test, mount, "reader-role", &fixture.directory);
    let store = fixture.stores().store("p").unwrap();
    assert_eq!(store.get("a").unwrap().as_deref(), Some(&b"1"[..]));
}

pub(crate) fn read_only(directory: &Path) -> ExitCode {
    for owner in ["p", "new"] {
        let stores = Stores::open(directory).unwrap();
        let error = stores.store(owner).unwrap_err();
        let (told, path) = (error.to_string(), stores.path(owner));
        println!("{error:?}");
        assert!(told.contains(&*path.to_string_lossy()), "{told}");
    }
    ExitCode::SUCCESS
}
