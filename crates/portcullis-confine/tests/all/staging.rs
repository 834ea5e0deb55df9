//! The staging namespace: what is written in it goes to the layer, nobody in it takes the overlay away, and nothing of it is
//! left when it has ended. In a process of its own, which has one thread.

use std::{
    fs,
    io::Read as _,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use portcullis_confine::{Overlay, Staging, StagingError, enter_staging};
use rustix::mount::UnmountFlags;

use crate::fixture::{command, descendants, scratch, this_executable};

crate::tests![
    what_is_written_goes_to_the_layer,
    nobody_inside_takes_the_overlay_away,
    a_command_inside_can_be_observed,
    nothing_is_left_of_it,
    it_ends_with_the_process_outside,
    it_needs_one_thread_and_another_user_than_root,
];

/// The layers of a root. overlayfs leaves a directory in them that cannot be entered.
struct Layers(PathBuf);

impl Drop for Layers {
    fn drop(&mut self) {
        let open = fs::Permissions::from_mode(0o700);
        // Not there where nothing was mounted.
        let _ = fs::set_permissions(self.0.join(Overlay::WORK).join("work"), open);
    }
}

/// A root with a file, and a directory for its layers.
fn scene(name: &str) -> (PathBuf, PathBuf) {
    let dir = scratch().canonicalize().unwrap().join(name);
    let (root, layers) = (dir.join("root"), dir.join("layers"));
    for dir in [&dir, &root, &layers] {
        fs::DirBuilder::new().mode(0o700).create(dir).unwrap();
    }
    fs::write(root.join("file"), "old").unwrap();
    (root, layers)
}

/// Another process of this test that stages a root and does this inside. `None` for root, who cannot.
fn stager(name: &str, act: &str) -> Option<(std::process::Child, PathBuf, Layers)> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    let (root, layers) = scene(name);
    let child = command(this_executable())
        .args(["--role", "stager", act])
        .args([&root, &layers])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    Some((child, root, Layers(layers)))
}

/// The role.
pub(crate) fn play(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let act = arguments.next().unwrap();
    let [root, layers] = [(); 2].map(|()| PathBuf::from(arguments.next().unwrap()));
    let overlays = [Overlay {
        root: root.clone(),
        layers,
    }];
    std::env::set_current_dir(&root).unwrap();
    if act == "threads" {
        std::thread::spawn(|| std::thread::sleep(Duration::from_secs(60)));
        let refused = matches!(enter_staging(&overlays), Err(StagingError::Threads));
        return ExitCode::from(u8::from(!refused));
    }
    match enter_staging(&overlays).unwrap() {
        Staging::Inside(staged) => {
            assert!(staged.covers(&root.join("x")) && !staged.covers(Path::new("/")));
            inside(&act, &root)
        }
        Staging::Outside(outside) => ExitCode::from(u8::try_from(outside.wait().unwrap()).unwrap()),
    }
}

#[expect(clippy::print_stdout, reason = "the test reads it")]
fn inside(act: &str, root: &Path) -> ExitCode {
    match act {
        "write" => {
            fs::write("relative", "new").unwrap();
            fs::write(root.join("file"), "new").unwrap();
            assert_eq!(fs::read_to_string("file").unwrap(), "new");
            ExitCode::from(7)
        }
        "unmount" => {
            let tried = rustix::mount::unmount(root, UnmountFlags::DETACH).is_err();
            let sets = rustix::thread::capabilities(None).unwrap();
            ExitCode::from(u8::from(!tried || !sets.effective.is_empty()))
        }
        "daemon" => {
            let script =
                "setsid sh -c 'sleep 0.5; echo late > late' < /dev/null > /dev/null 2>&1 &";
            assert!(
                command("sh")
                    .args(["-c", script])
                    .status()
                    .unwrap()
                    .success()
            );
            ExitCode::SUCCESS
        }
        "observe" => {
            let observed = crate::observed::of_a_script(root, "cat file >new");
            let of = |name: &str| observed.paths[&root.join(name)].clone();
            assert_eq!((of("file").read, of("new").write), (1, 1));
            assert_eq!(observed.unseen, 0);
            ExitCode::SUCCESS
        }
        _ => {
            println!("ready");
            std::thread::sleep(Duration::from_secs(600));
            ExitCode::SUCCESS
        }
    }
}

fn what_is_written_goes_to_the_layer() {
    let Some((mut child, root, layers)) = stager("write", "write") else {
        return;
    };
    assert_eq!(child.wait().unwrap().code(), Some(7));
    let upper = layers.0.join(Overlay::UPPER);
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    assert_eq!(read(root.join("file")), "old");
    assert!(!root.join("relative").exists(), "also by a relative path");
    assert_eq!(
        (read(upper.join("file")), read(upper.join("relative"))),
        ("new".into(), "new".into())
    );
}

fn nobody_inside_takes_the_overlay_away() {
    if let Some((mut child, _, _layers)) = stager("unmount", "unmount") {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

fn a_command_inside_can_be_observed() {
    if let Some((mut child, root, layers)) = stager("observe", "observe") {
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(layers.0.join(Overlay::UPPER).join("new").exists());
        assert!(!root.join("new").exists());
    }
}

fn nothing_is_left_of_it() {
    let Some((mut child, root, layers)) = stager("daemon", "daemon") else {
        return;
    };
    assert_eq!(child.wait().unwrap().code(), Some(0));
    std::thread::sleep(Duration::from_secs(1));
    assert!(!layers.0.join(Overlay::UPPER).join("late").exists());
    assert!(!root.join("late").exists());
}

fn it_ends_with_the_process_outside() {
    let Some((mut child, _, _layers)) = stager("leash", "wait") else {
        return;
    };
    child
        .stdout
        .take()
        .unwrap()
        .read_exact(&mut [0; 6])
        .unwrap();
    let inside = descendants(child.id());
    assert_eq!(inside.len(), 2, "an init, and the process that goes on");
    child.kill().unwrap();
    child.wait().unwrap();
    let waited = Instant::now();
    while inside
        .iter()
        .any(|pid| Path::new("/proc").join(pid.to_string()).exists())
    {
        assert!(waited.elapsed() < Duration::from_secs(20), "{inside:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn it_needs_one_thread_and_another_user_than_root() {
    match stager("threads", "threads") {
        Some((mut child, ..)) => assert_eq!(child.wait().unwrap().code(), Some(0)),
        None => assert!(matches!(enter_staging(&[]), Err(StagingError::Root))),
    }
}
