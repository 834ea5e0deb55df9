//! A commit that ends somewhere: killed, or with an error, before each of its steps. Afterwards the tree is the old one or
//! the new one, whole.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use portcullis_stage::{CommitError, Stages};
use rustix::process::Signal;

use crate::fixture::{Scene, UPPER, difference, everything, put, some_of_everything};

/// The directories of a commit that another process of this test makes, and where it is killed.
const WHERE: &str = "PORTCULLIS_TEST_COMMIT";

/// How many points the commit of [`some_of_everything`] has.
pub(crate) fn points() -> usize {
    let scene = Scene::new();
    let stage = scene.begin();
    some_of_everything(&stage);
    let found = difference(&stage);
    let count = Cell::new(0);
    let probe = |_| {
        count.set(count.get() + 1);
        Ok(())
    };
    stage.commit_with(UPPER, &found, &probe).unwrap();
    count.get()
}

/// Not a test of its own: the process that is killed.
#[test]
#[expect(clippy::disallowed_methods, reason = "the test's own variable")]
fn commits_and_is_killed() {
    let Ok(text) = std::env::var(WHERE) else {
        return;
    };
    let (at, paths) = text.split_once(' ').unwrap();
    let (base, data) = paths.split_once(' ').unwrap();
    let at: usize = at.parse().unwrap();
    let base = PathBuf::from(base);
    let stages = Stages::open(Path::new(data)).unwrap();
    let stage = stages.begin("p", std::slice::from_ref(&base)).unwrap();
    fs::create_dir(crate::fixture::upper(&stage)).unwrap();
    some_of_everything(&stage);
    let found = difference(&stage);
    let count = Cell::new(0);
    let probe = |_| {
        if count.get() == at {
            rustix::process::kill_process(rustix::process::getpid(), Signal::KILL).unwrap();
        }
        count.set(count.get() + 1);
        Ok(())
    };
    stage.commit_with(UPPER, &found, &probe).unwrap();
}

#[expect(
    clippy::disallowed_methods,
    reason = "the tests' own processes are not commands"
)]
pub(crate) fn commit_and_be_killed(scene: &Scene, at: usize) -> bool {
    let place = format!("{at} {} {}", scene.base.display(), scene.data.display());
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::commits_and_is_killed"])
        .env(WHERE, place)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(9)
}

#[test]
fn killed_before_each_step_it_is_the_old_tree_or_the_new_one() {
    let (mut old, mut new) = (0, 0);
    let points = points();
    for at in 0..points {
        let scene = Scene::new();
        let before = scene.tree();
        assert!(commit_and_be_killed(&scene, at), "it is killed at {at}");
        let stuck = scene.stages().recover().unwrap();
        assert!(stuck.is_empty(), "at {at}: {stuck:?}");
        let after = scene.tree();
        if after == before {
            old += 1;
        } else {
            assert_eq!(after, everything(), "at {at}");
            new += 1;
        }
        assert_eq!(scene.left(), 0, "at {at}");
    }
    assert!(points > 30, "{points}");
    // Once it is complete, before it is tidied up.
    assert_eq!((old, new), (points - 2, 2));
}

#[test]
fn a_recovery_that_is_cut_off_is_taken_up_again() {
    let points = points();
    for at in (0..points).step_by(5) {
        let scene = Scene::new();
        let before = scene.tree();
        assert!(commit_and_be_killed(&scene, at));
        // As if it had been killed before it removed the journal: it finds all of it done.
        let stages: Vec<_> = fs::read_dir(&scene.data).unwrap().flatten().collect();
        let journal = stages.iter().find(|entry| entry.path().is_dir()).unwrap();
        let (journal, copy) = (journal.path(), scene.data.with_file_name("copy"));
        copy_dir(&journal, &copy);
        scene.stages().recover().unwrap();
        fs::rename(&copy, &journal).unwrap();
        let _ = scene.stages().recover().unwrap();
        let after = scene.tree();
        assert!(
            after == before || after == everything(),
            "at {at}: {after:?}"
        );
    }
}

/// Only the files: a journal needs no more.
fn copy_dir(from: &Path, to: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn no_space_before_each_step_leaves_the_old_tree() {
    let points = points();
    for at in 0..points - 2 {
        let scene = Scene::new();
        let before = scene.tree();
        let stage = scene.begin();
        some_of_everything(&stage);
        let found = difference(&stage);
        let count = Cell::new(0);
        let probe = |_| {
            let here = count.replace(count.get() + 1);
            match here == at {
                true => Err(io::Error::from_raw_os_error(28)),
                false => Ok(()),
            }
        };
        let error = stage.commit_with(UPPER, &found, &probe).unwrap_err();
        assert!(
            matches!(error, CommitError::Io { .. }),
            "at {at}: {error:?}"
        );
        assert_eq!(scene.tree(), before, "at {at}");
        assert_eq!(scene.left(), 0, "at {at}");
    }
}

#[test]
fn what_was_changed_after_a_cut_off_commit_is_left_alone_and_said() {
    let points = points();
    let mut said = 0;
    for at in 0..points - 2 {
        let scene = Scene::new();
        assert!(commit_and_be_killed(&scene, at));
        if fs::read_to_string(scene.base.join("file")).unwrap() != "new content" {
            continue;
        }
        fs::write(scene.base.join("file"), "mine, after the crash").unwrap();
        let stuck = scene.stages().recover().unwrap();
        assert_eq!(stuck.len(), 1, "at {at}");
        assert!(stuck[0].kept.exists());
        let text = fs::read_to_string(scene.base.join("file")).unwrap();
        assert_eq!(text, "mine, after the crash");
        // And no other stage begins there.
        let roots = [scene.base.clone()];
        assert!(scene.stages().begin("p", &roots).is_err());
        said += 1;
    }
    assert!(said > 3, "{said}");
}

#[test]
fn a_stage_whose_process_was_killed_is_thrown_away_and_one_that_lives_is_not() {
    let scene = Scene::new();
    let lives = scene.begin();
    put(&lives, "new", "x");
    assert!(scene.stages().recover().unwrap().is_empty());
    assert_eq!(scene.left(), 1);
    // What is left of a killed one has nobody who holds its lock.
    let id = "0123456789abcdef";
    fs::create_dir(scene.data.join(id)).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(scene.data.join(id), fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir(scene.data.join(id).join("0")).unwrap();
    scene.stages().recover().unwrap();
    assert!(!scene.data.join(id).exists());
    assert_eq!(scene.left(), 1);
}
