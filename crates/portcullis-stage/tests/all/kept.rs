//! What is said of the stages that are kept, and that looking at them changes nothing.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use portcullis_stage::{Progress, StageError};

use crate::fixture::{Scene, difference, put, some_of_everything};
use crate::killed::{commit_and_be_killed, points};

/// The directory of a stage that nobody works with, with these files.
fn left(scene: &Scene, id: &str, files: &[(&str, &str)]) -> PathBuf {
    drop(scene.stages());
    let dir = scene.data.join(id);
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    for (name, text) in files {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    dir
}

const ID: &str = "0123456789abcdef";

#[test]
fn one_in_use_is_said_to_be_and_is_left_alone() {
    let scene = Scene::new();
    let stage = scene.begin();
    put(&stage, "new", "x");
    let kept = scene.stages().kept().unwrap();
    assert_eq!(kept.len(), 1);
    assert!(kept[0].in_use);
    assert_eq!(
        (kept[0].owner.as_str(), &kept[0].roots, kept[0].commit),
        ("p", &vec![scene.base.clone()], Progress::None)
    );
    assert!(kept[0].begun.elapsed().unwrap().as_secs() < 600);
    // Looking took nothing from it, neither its lock nor its changes.
    assert!(scene.stages().recover().unwrap().is_empty());
    assert_eq!(difference(&stage).changes.len(), 1);
    stage.let_go();
    let kept = scene.stages().kept().unwrap();
    assert!(!kept[0].in_use);
}

#[test]
fn how_far_a_commit_was_is_said() {
    let last = points() - 1;
    for (at, commit) in [
        (0, Progress::None),
        (last - 4, Progress::Begun),
        (last, Progress::Complete),
    ] {
        let scene = Scene::new();
        assert!(commit_and_be_killed(&scene, at));
        let before = scene.tree();
        let kept = scene.stages().kept().unwrap();
        assert_eq!((kept[0].commit, kept[0].in_use), (commit, false), "at {at}");
        assert_eq!(scene.tree(), before);
    }
}

#[test]
fn what_we_did_not_write_is_refused_and_no_link_is_followed() {
    let roots = |id: &str, version: u32| {
        format!(r#"{{"version":{version},"id":"{id}","owner":"p","roots":[]}}"#)
    };
    for files in [
        &[("roots.json", "x")][..],
        &[("roots.json", &*roots("../../../etc", 1))],
        &[("roots.json", &*roots(ID, 2))],
        &[("roots.json", &*roots(ID, 1)), ("journal.json", "x")],
    ] {
        let scene = Scene::new();
        let before = scene.tree();
        let dir = left(&scene, ID, files);
        let error = scene.stages().recover().unwrap_err();
        assert!(matches!(error, StageError::NotOurs(_)), "{error:?}");
        let says = scene.stages().kept();
        assert_eq!(says.is_err(), files.len() == 1, "{says:?}");
        assert!(dir.exists());
        assert_eq!(scene.tree(), before);
    }
    // Links: the stage itself, and a file of it.
    let scene = Scene::new();
    let elsewhere = scene.base.join("dir");
    let dir = left(&scene, ID, &[]);
    fs::write(elsewhere.join("roots.json"), roots(ID, 1)).unwrap();
    symlink(elsewhere.join("roots.json"), dir.join("roots.json")).unwrap();
    for _ in 0..2 {
        let before = scene.tree();
        assert!(matches!(scene.stages().kept(), Err(StageError::Private(_))));
        assert!(matches!(
            scene.stages().recover(),
            Err(StageError::Private(_))
        ));
        assert_eq!(scene.tree(), before);
        fs::remove_dir_all(&dir).ok();
        symlink(&elsewhere, &dir).ok();
    }
    // Another name is nothing of ours.
    fs::remove_file(&dir).unwrap();
    let other = left(&scene, "0123456789abcdeg", &[("roots.json", "x")]);
    assert!(scene.stages().kept().unwrap().is_empty());
    assert!(scene.stages().recover().unwrap().is_empty());
    assert!(other.exists());
}

#[test]
fn a_journal_that_names_what_lies_outside_reaches_nothing_there() {
    let scene = Scene::new();
    let stage = scene.begin();
    some_of_everything(&stage);
    stage.let_go();
    let id = scene.stages().kept().unwrap()[0].id.clone();
    let outside = scene.base.with_file_name("outside");
    fs::write(&outside, "mine").unwrap();
    let meta = fs::metadata(&outside).unwrap();
    use std::os::unix::fs::MetadataExt;
    let path: String = "../outside"
        .bytes()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let text = format!(
        r#"[{{"root":0,"path":"{path}","act":{{"Mode":{{"dev":{},"ino":{},"from":438,"to":{}}}}}}}]"#,
        meta.dev(),
        meta.ino(),
        meta.mode() & 0o777,
    );
    let journal = scene.data.join(id).join("journal.json");
    fs::write(&journal, text).unwrap();
    fs::set_permissions(journal, fs::Permissions::from_mode(0o600)).unwrap();
    let _ = scene.stages().recover().unwrap();
    assert_eq!(fs::metadata(&outside).unwrap().mode(), meta.mode());
}
