//! What a run may leave so that a commit does more than it shows.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use portcullis_stage::{CommitError, Stage, TEMPORARY, Why};
use rustix::fs::{CWD, FileType, Mode};

use crate::fixture::{
    Not, Scene, UPPER, attribute, commit, difference, lines, put, upper, whiteout,
};

/// That this is refused for this reason, and that nothing is committed then: not the harmless change either.
fn refused(scene: &Scene, stage: Stage, is: impl Fn(&Why) -> bool) {
    put(&stage, "harmless", "x");
    let before = scene.tree();
    let found = difference(&stage);
    assert!(
        found.refused.iter().any(|refusal| is(&refusal.why)),
        "{found:?}"
    );
    let error = stage.commit(UPPER, &found).unwrap_err();
    assert!(matches!(error, CommitError::Unfit), "{error:?}");
    assert_eq!(scene.tree(), before);
}

#[test]
fn set_id_and_sticky_files_are_refused() {
    for mode in [0o4755, 0o2755, 0o1755] {
        let scene = Scene::new();
        let stage = scene.begin();
        let file = put(&stage, "new", "x");
        fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
        refused(&scene, stage, |why| *why == Why::SpecialBits);
    }
    let scene = Scene::new();
    let stage = scene.begin();
    let dir = upper(&stage).join("new");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o4755)).unwrap();
    refused(&scene, stage, |why| *why == Why::SpecialBits);
}

#[test]
fn devices_fifos_and_sockets_are_refused() {
    let makes: [(FileType, u64); 3] = [
        (FileType::Fifo, 0),
        (FileType::Socket, 0),
        (FileType::CharacterDevice, rustix::fs::makedev(1, 3)),
    ];
    for (kind, device) in makes {
        if device != 0 && !rustix::process::geteuid().is_root() {
            // Only root can make one here; a run cannot either.
            continue;
        }
        let scene = Scene::new();
        let stage = scene.begin();
        let path = upper(&stage).join("new");
        rustix::fs::mknodat(CWD, path, kind, Mode::RUSR, device).unwrap();
        refused(&scene, stage, |why| *why == Why::Special);
    }
}

#[test]
fn attributes_are_refused_on_files_and_directories() {
    let scene = Scene::new();
    let stage = scene.begin();
    attribute(&put(&stage, "new", "x"), "user.evil", b"1");
    refused(&scene, stage, |why| *why == Why::Attributes);
    let scene = Scene::new();
    let stage = scene.begin();
    put(&stage, "dir/new", "x");
    attribute(&upper(&stage).join("dir"), "user.evil", b"1");
    refused(&scene, stage, |why| *why == Why::Attributes);
    let scene = Scene::new();
    attribute(&scene.base.join("file"), "user.mine", b"1");
    let stage = scene.begin();
    attribute(&put(&stage, "file", "x"), "user.mine", b"2");
    refused(&scene, stage, |why| *why == Why::Attributes);
}

#[test]
fn a_link_that_leads_out_is_refused() {
    let scene = Scene::new();
    symlink("/etc", scene.base.join("mine")).unwrap();
    for target in [
        "/etc/passwd",
        "../outside",
        "dir/../../outside",
        "mine/passwd",
        "dir/..",
        "..",
    ] {
        let stage = scene.begin();
        symlink(target, upper(&stage).join("new")).unwrap();
        let before = scene.tree();
        let found = difference(&stage);
        assert!(
            matches!(&found.refused[0].why, Why::LeadsOut(to) if to == Path::new(target)),
            "{target}: {found:?}"
        );
        assert!(commit(stage).is_err(), "{target}");
        assert_eq!(scene.tree(), before);
    }
    for target in ["file", "dir/one", "./dir/inner", "not/there"] {
        let stage = scene.begin();
        symlink(target, upper(&stage).join("new")).unwrap();
        assert!(difference(&stage).is_fit(), "{target}");
    }
    let stage = scene.begin();
    put(&stage, "a/b/c", "x");
    symlink("../../file", upper(&stage).join("a/b/up")).unwrap();
    assert!(difference(&stage).is_fit(), "it stays in the root");
}

#[test]
fn a_link_over_a_link_that_the_run_made_is_refused() {
    let scene = Scene::new();
    let stage = scene.begin();
    symlink("dir", upper(&stage).join("one")).unwrap();
    symlink("one/inner", upper(&stage).join("two")).unwrap();
    refused(&scene, stage, |why| matches!(why, Why::LeadsOut(_)));
}

#[test]
fn a_link_in_place_of_a_directory_is_not_followed() {
    let scene = Scene::new();
    let outside = scene.base.with_file_name("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("one"), "theirs").unwrap();
    let stage = scene.begin();
    put(&stage, "dir/one", "evil");
    put(&stage, "dir/new", "evil");
    let found = difference(&stage);
    // Somebody puts a link there after it was shown.
    fs::remove_dir_all(scene.base.join("dir")).unwrap();
    symlink(&outside, scene.base.join("dir")).unwrap();
    let error = stage.commit(UPPER, &found).unwrap_err();
    assert!(matches!(error, CommitError::Conflict(_)), "{error:?}");
    assert_eq!(fs::read_to_string(outside.join("one")).unwrap(), "theirs");
    assert!(!outside.join("new").exists());
}

#[test]
fn nothing_new_is_made_where_a_link_leads() {
    let scene = Scene::new();
    let outside = scene.base.with_file_name("outside");
    fs::create_dir(&outside).unwrap();
    let stage = scene.begin();
    put(&stage, "dir/new", "evil");
    let found = difference(&stage);
    fs::remove_dir_all(scene.base.join("dir")).unwrap();
    symlink(&outside, scene.base.join("dir")).unwrap();
    let error = stage.commit(UPPER, &found).unwrap_err();
    assert!(matches!(error, CommitError::Conflict(_)), "{error:?}");
    assert!(!outside.join("new").exists());
}

#[test]
fn a_link_that_is_there_already_is_not_followed_either() {
    let scene = Scene::new();
    let outside = scene.base.with_file_name("outside");
    fs::create_dir(&outside).unwrap();
    let stage = scene.begin();
    put(&stage, "dir/one", "evil");
    fs::remove_dir_all(scene.base.join("dir")).unwrap();
    symlink(&outside, scene.base.join("dir")).unwrap();
    let found = difference(&stage);
    assert!(!found.is_fit(), "{found:?}");
    assert!(commit(stage).is_err());
    assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
}

#[test]
fn a_name_of_ours_is_refused() {
    let scene = Scene::new();
    let stage = scene.begin();
    put(&stage, format!("{TEMPORARY}x/n0"), "x");
    refused(&scene, stage, |why| *why == Why::OurName);
}

#[test]
fn a_whiteout_of_what_is_kept_is_refused_also_above_it() {
    let scene = Scene::new();
    for name in ["dir/inner/two", "dir/inner", "dir"] {
        let stage = scene.begin();
        let path = upper(&stage).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        whiteout(&path);
        let found = stage.difference(UPPER, &Not("dir/inner/two")).unwrap();
        assert_eq!(
            found.refused[0].path,
            PathBuf::from("dir/inner/two"),
            "{name}"
        );
        assert!(stage.commit(UPPER, &found).is_err());
    }
    let stage = scene.begin();
    put(&stage, "dir", "a file in place of it");
    let found = stage.difference(UPPER, &Not("dir/inner/two")).unwrap();
    assert!(!found.is_fit());
}

#[test]
fn names_are_bytes() {
    let scene = Scene::new();
    let stage = scene.begin();
    let name = std::ffi::OsStr::from_bytes(b"a\n\x1b[2J\xff\xe2\x80\xae");
    put(&stage, name, "x");
    assert_eq!(lines(&difference(&stage)).len(), 1);
    commit(stage).unwrap();
    assert!(scene.base.join(name).exists());
}

#[test]
fn a_hard_link_is_committed_as_a_file_of_its_own() {
    let scene = Scene::new();
    let stage = scene.begin();
    let one = put(&stage, "one", "x");
    fs::hard_link(&one, upper(&stage).join("two")).unwrap();
    let private = scene.data.join("secret");
    fs::write(&private, "ours").unwrap();
    commit(stage).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(scene.base.join("one")).unwrap().nlink(), 1);
    assert_eq!(fs::read_to_string(scene.base.join("two")).unwrap(), "x");
}

#[test]
fn a_hard_link_of_the_base_is_broken_and_not_written_through() {
    let scene = Scene::new();
    let other = scene.base.with_file_name("other");
    fs::hard_link(scene.base.join("file"), &other).unwrap();
    let stage = scene.begin();
    put(&stage, "file", "new");
    commit(stage).unwrap();
    assert_eq!(fs::read_to_string(other).unwrap(), "old");
}

#[test]
fn the_mode_of_the_root_itself_is_refused() {
    let scene = Scene::new();
    let stage = scene.begin();
    fs::set_permissions(upper(&stage), fs::Permissions::from_mode(0o777)).unwrap();
    refused(&scene, stage, |why| *why == Why::RootMode);
}
