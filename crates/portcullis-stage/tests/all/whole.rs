//! What is shown and what is committed, where nothing goes wrong.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use portcullis_stage::{After, CommitError, Content};

use crate::fixture::{
    Scene, UPPER, attribute, commit, difference, everything, lines, put, some_of_everything, upper,
    whiteout,
};

#[test]
fn everything_is_shown_and_committed() {
    let scene = Scene::new();
    let stage = scene.begin();
    some_of_everything(&stage);
    let found = difference(&stage);
    assert!(found.is_fit(), "{found:?}");
    assert_eq!(
        lines(&found),
        [
            "- dir",
            "+ dir",
            "- dir/inner",
            "- dir/inner/two",
            "- dir/one",
            "~ file",
            "- gone",
            "- link",
            "+ made",
            "+ made/deep",
            "+ made/deep/er",
            "+ new",
            "+ to",
            "~ tool"
        ]
    );
    assert_eq!(stage.commit(UPPER, &found).unwrap().changes, 14);
    assert_eq!(scene.tree(), everything());
    assert_eq!(scene.left(), 0, "nothing of the stage is left");
}

#[test]
fn what_is_thrown_away_changes_nothing() {
    let scene = Scene::new();
    let before = scene.tree();
    let stage = scene.begin();
    some_of_everything(&stage);
    drop(stage);
    assert_eq!(scene.tree(), before);
    assert_eq!(scene.left(), 0);
}

#[test]
fn an_opaque_directory_removes_what_it_hides() {
    let scene = Scene::new();
    let stage = scene.begin();
    put(&stage, "dir/inner/two", "again");
    attribute(&upper(&stage).join("dir"), "user.overlay.opaque", b"y");
    attribute(
        &upper(&stage).join("dir/inner"),
        "user.overlay.opaque",
        b"y",
    );
    assert_eq!(lines(&difference(&stage)), ["~ dir/inner/two", "- dir/one"]);
    commit(stage).unwrap();
    assert!(!scene.base.join("dir/one").exists());
    assert_eq!(
        fs::read_to_string(scene.base.join("dir/inner/two")).unwrap(),
        "again"
    );
}

#[test]
fn what_is_the_same_again_is_no_change() {
    let scene = Scene::new();
    let stage = scene.begin();
    put(&stage, "file", "old");
    put(&stage, "dir/one", "1");
    assert!(difference(&stage).is_empty(), "{:?}", difference(&stage));
}

#[test]
fn a_mode_alone_is_set_on_what_is_there() {
    let scene = Scene::new();
    let inode = |name: &str| fs::metadata(scene.base.join(name)).unwrap().ino();
    let before = (inode("tool"), inode("dir"));
    let stage = scene.begin();
    let tool = put(&stage, "tool", "#!");
    fs::set_permissions(tool, fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(upper(&stage).join("dir")).unwrap();
    fs::set_permissions(upper(&stage).join("dir"), fs::Permissions::from_mode(0o700)).unwrap();
    let found = difference(&stage);
    assert!(matches!(
        found.changes[0].after,
        Some(After::Mode { mode: 0o700 })
    ));
    commit(stage).unwrap();
    let mode = |name: &str| fs::metadata(scene.base.join(name)).unwrap().mode() & 0o7777;
    assert_eq!((mode("tool"), mode("dir")), (0o600, 0o700));
    assert_eq!((inode("tool"), inode("dir")), before);
}

#[test]
fn what_cannot_be_read_is_read_all_the_same() {
    let scene = Scene::new();
    let stage = scene.begin();
    let path = put(&stage, "closed/file", "x");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o000)).unwrap();
    commit(stage).unwrap();
    let meta = fs::metadata(scene.base.join("closed")).unwrap();
    assert_eq!(meta.mode() & 0o7777, 0);
}

#[test]
fn attributes_of_what_was_there_are_kept() {
    let scene = Scene::new();
    attribute(&scene.base.join("file"), "user.mine", b"1");
    let stage = scene.begin();
    let file = put(&stage, "file", "new");
    attribute(&file, "user.mine", b"1");
    attribute(&file, "user.overlay.origin", b"");
    commit(stage).unwrap();
    let mut value = [0; 8];
    let path = scene.base.join("file");
    assert_eq!(
        rustix::fs::getxattr(&path, "user.mine", &mut value).unwrap(),
        1
    );
    assert!(rustix::fs::getxattr(&path, "user.overlay.origin", &mut value).is_err());
}

#[test]
fn committed_is_what_was_shown() {
    let scene = Scene::new();
    let before = scene.tree();
    let stage = scene.begin();
    let file = put(&stage, "file", "shown");
    let found = difference(&stage);
    fs::write(file, "other").unwrap();
    let error = stage.commit(crate::fixture::UPPER, &found).unwrap_err();
    assert!(matches!(error, CommitError::NotShown(_)), "{error:?}");
    assert_eq!(scene.tree(), before);
}

#[test]
fn a_hundred_thousand_names_are_found_and_committed() {
    let scene = Scene::new();
    let stage = scene.begin();
    let dir = upper(&stage).join("many");
    fs::create_dir(&dir).unwrap();
    for number in 0..100_000 {
        fs::File::create(dir.join(number.to_string())).unwrap();
    }
    assert_eq!(commit(stage).unwrap().changes, 100_001);
    assert_eq!(
        fs::read_dir(scene.base.join("many")).unwrap().count(),
        100_000
    );
}

#[test]
fn a_whiteout_of_a_directory_removes_everything_in_it_one_by_one() {
    let scene = Scene::new();
    let stage = scene.begin();
    whiteout(&upper(&stage).join("dir"));
    assert_eq!(
        lines(&difference(&stage)),
        ["- dir", "- dir/inner", "- dir/inner/two", "- dir/one"]
    );
    commit(stage).unwrap();
    assert!(!scene.base.join("dir").exists());
}

#[test]
fn what_is_looked_at_is_what_would_be_committed() {
    let scene = Scene::new();
    let stage = scene.begin();
    let new = put(&stage, "file", "new");
    whiteout(&upper(&stage).join("gone"));
    let found = difference(&stage);
    let content = |number: usize, most| stage.content(UPPER, &found.changes[number], most);
    let bytes = |text: &str| Content::Bytes(text.into());
    assert_eq!(content(0, 3).unwrap(), (bytes("old"), bytes("new")));
    assert_eq!(content(0, 2).unwrap(), (Content::TooLong, Content::TooLong));
    assert_eq!(content(1, 3).unwrap(), (bytes("old"), Content::NoFile));
    fs::write(new, "yet").unwrap();
    let error = content(0, 3).unwrap_err();
    assert!(matches!(error, CommitError::NotShown(_)), "{error:?}");
    fs::write(scene.base.join("gone"), "mine").unwrap();
    let error = content(1, 9).unwrap_err();
    assert!(matches!(error, CommitError::Conflict(_)), "{error:?}");
}
