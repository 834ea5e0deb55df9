//! What somebody else changes while a stage is open is not overwritten.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use portcullis_stage::{CommitError, Point};

use crate::fixture::{Scene, UPPER, attribute, commit, difference, put, upper, whiteout};

/// What somebody else does.
type Change = fn(&Scene);

#[test]
fn what_changed_since_the_stage_began_is_a_conflict() {
    let changes: [Change; 4] = [
        |scene| fs::write(scene.base.join("file"), "mine").unwrap(),
        |scene| {
            let private = fs::Permissions::from_mode(0o600);
            fs::set_permissions(scene.base.join("file"), private).unwrap();
        },
        |scene| {
            fs::write(scene.base.join("x"), "mine").unwrap();
            fs::rename(scene.base.join("x"), scene.base.join("file")).unwrap();
        },
        |scene| attribute(&scene.base.join("file"), "user.mine", b"1"),
    ];
    for change in changes {
        for removed in [false, true] {
            let scene = Scene::new();
            let stage = scene.begin();
            if removed {
                whiteout(&upper(&stage).join("file"));
            } else {
                put(&stage, "file", "theirs");
            }
            change(&scene);
            let before = scene.tree();
            assert_eq!(difference(&stage).conflicts.len(), 1);
            assert!(matches!(commit(stage), Err(CommitError::Unfit)));
            assert_eq!(scene.tree(), before);
        }
    }
}

#[test]
fn a_change_in_the_moment_after_the_beginning_is_seen() {
    // Within one tick of the clock that file times have.
    for _ in 0..50 {
        let scene = Scene::new();
        let stage = scene.begin();
        fs::write(scene.base.join("file"), "mine").unwrap();
        put(&stage, "file", "theirs");
        assert_eq!(difference(&stage).conflicts.len(), 1);
    }
}

#[test]
fn what_changed_right_before_is_no_conflict() {
    for _ in 0..50 {
        let scene = Scene::new();
        fs::write(scene.base.join("file"), "mine").unwrap();
        let stage = scene.begin();
        put(&stage, "file", "theirs");
        assert!(difference(&stage).is_fit());
    }
}

#[test]
fn what_is_gone_or_new_meanwhile_is_a_conflict() {
    let scene = Scene::new();
    let stage = scene.begin();
    let file = put(&stage, "file", "theirs");
    attribute(&file, "user.overlay.origin", b"");
    fs::remove_file(scene.base.join("file")).unwrap();
    assert_eq!(difference(&stage).conflicts[0].what, "is gone");
    let scene = Scene::new();
    let stage = scene.begin();
    whiteout(&upper(&stage).join("file"));
    fs::remove_file(scene.base.join("file")).unwrap();
    assert_eq!(difference(&stage).conflicts[0].what, "is gone");
    let scene = Scene::new();
    let stage = scene.begin();
    put(&stage, "new", "theirs");
    fs::write(scene.base.join("new"), "mine").unwrap();
    assert!(!difference(&stage).is_fit());
}

#[test]
fn something_new_in_a_directory_that_is_removed_is_a_conflict() {
    let scene = Scene::new();
    let stage = scene.begin();
    whiteout(&upper(&stage).join("dir"));
    fs::write(scene.base.join("dir/inner/mine"), "mine").unwrap();
    assert!(!difference(&stage).is_fit());
    assert!(commit(stage).is_err());
    assert!(scene.base.join("dir/inner/mine").exists());
}

/// At each step of a commit somebody changes something that it is about: all of it is taken back.
#[test]
fn what_changes_after_it_was_shown_takes_all_of_it_back() {
    let changes: [(&str, Change); 5] = [
        ("written", |scene| {
            fs::write(scene.base.join("tool"), "mine").unwrap()
        }),
        ("replaced", |scene| {
            fs::write(scene.base.join("x"), "mine").unwrap();
            fs::rename(scene.base.join("x"), scene.base.join("tool")).unwrap();
        }),
        ("removed", |scene| {
            fs::remove_file(scene.base.join("tool")).unwrap()
        }),
        ("in the way", |scene| {
            fs::write(scene.base.join("zz"), "mine").unwrap()
        }),
        ("in a directory", |scene| {
            fs::write(scene.base.join("dir/mine"), "mine").unwrap()
        }),
    ];
    for (name, change) in changes {
        let scene = Scene::new();
        let stage = scene.begin();
        put(&stage, "aa", "first");
        put(&stage, "file", "theirs");
        put(&stage, "tool", "theirs");
        put(&stage, "zz", "last");
        whiteout(&upper(&stage).join("dir"));
        let found = difference(&stage);
        assert!(found.is_fit());
        let steps = std::cell::Cell::new(0);
        let probe = |point| {
            if point == Point::Step {
                steps.set(steps.get() + 1);
                if steps.get() == 1 {
                    change(&scene);
                }
            }
            Ok(())
        };
        let mut before = scene.tree();
        let error = stage.commit_with(UPPER, &found, &probe).unwrap_err();
        assert!(
            matches!(error, CommitError::Conflict(_)),
            "{name}: {error:?}"
        );
        // All that is different is what somebody else did.
        let mut after = scene.tree();
        for mine in ["tool", "zz", "dir/mine"] {
            before.remove(std::path::Path::new(mine));
            after.remove(std::path::Path::new(mine));
        }
        assert_eq!(after, before, "{name}");
        assert_eq!(scene.left(), 0, "{name}");
    }
}

#[test]
fn of_two_stages_of_one_root_the_later_one_is_a_conflict() {
    let scene = Scene::new();
    let (one, other) = (scene.begin(), scene.begin());
    put(&one, "file", "one");
    put(&other, "file", "other");
    commit(one).unwrap();
    assert!(commit(other).is_err());
    assert_eq!(
        std::fs::read_to_string(scene.base.join("file")).unwrap(),
        "one"
    );
}
