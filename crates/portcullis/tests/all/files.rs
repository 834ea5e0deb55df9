//! `portcullis:cli/fs`, called by a component.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use portcullis::audit::{Event, Verdict};
use portcullis::policy::{FsAccess, FsGrant, FsKind, Grants, Limits, Origin};

use crate::fixture::{Fixture, block_on, none};

portcullis_testkit::tests![
    what_was_granted_is_read_listed_and_looked_at,
    what_was_granted_to_write_is_written_made_renamed_and_removed,
    outside_of_a_grant_nothing_is_told_not_even_what_is_there,
    what_was_granted_to_read_is_not_changed,
    a_single_file_is_granted_with_nothing_beside_it,
    without_the_grant_the_plugin_is_not_loaded,
    lengths_are_limited_while_reading_and_before_writing,
    a_directory_is_listed_up_to_a_number_of_names,
    an_instance_writes_so_much_in_all,
    a_write_is_whole_keeps_permissions_and_touches_no_second_name,
    what_others_execute_is_not_written,
    only_regular_files_are_opened,
    each_call_leaves_its_lines_in_the_trail_without_content,
];

/// What separates the parts of an act.
const BETWEEN: &str = "\u{1f}";

pub(crate) fn act(parts: &[&str]) -> String {
    parts.join(BETWEEN)
}

/// A directory that is granted, and one beside it that is not.
pub(crate) struct Tree {
    _dir: tempfile::TempDir,
    pub(crate) inside: PathBuf,
    pub(crate) outside: PathBuf,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        let (inside, outside) = (base.join("inside"), base.join("outside"));
        fs::create_dir_all(inside.join("sub")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(inside.join("a.txt"), "inner").unwrap();
        fs::write(inside.join("sub/b.txt"), "deeper").unwrap();
        fs::write(outside.join("secret"), "hunter2").unwrap();
        Self {
            _dir: dir,
            inside,
            outside,
        }
    }

    pub(crate) fn granted(&self, access: FsAccess) -> Grants {
        grants(&self.inside, FsKind::Directory, access)
    }

    pub(crate) fn at(&self, name: &str) -> String {
        self.inside.join(name).display().to_string()
    }
}

pub(crate) fn grants(host: &Path, kind: FsKind, access: FsAccess) -> Grants {
    Grants {
        fs: vec![FsGrant {
            host: host.to_owned(),
            kind,
            guest: host.display().to_string(),
            access,
            origin: Origin::Code,
        }],
        ..none()
    }
}

/// What the guest says to each act.
pub(crate) fn said(fixture: &Fixture, grants: Grants, acts: &[String]) -> Vec<String> {
    block_on(async {
        let mut instance = fixture.instance("files", grants).await;
        let said = instance.run(acts).await.unwrap().unwrap();
        said.split('\n').map(str::to_owned).collect()
    })
}

fn say(grants: Grants, acts: &[String]) -> Vec<String> {
    said(&Fixture::new(), grants, acts)
}

fn what_was_granted_is_read_listed_and_looked_at() {
    let tree = Tree::new();
    symlink("sub/b.txt", tree.inside.join("link")).unwrap();
    let answers = say(
        tree.granted(FsAccess::Read),
        &[
            act(&["read", &tree.at("a.txt")]),
            act(&["read", &tree.at("link")]),
            act(&["read", &tree.at("sub/../a.txt")]),
            act(&["list", &tree.at("")]),
            act(&["stat", &tree.at("a.txt")]),
            act(&["stat", &tree.at("sub/")]),
            act(&["read", &tree.at("none")]),
            act(&["read", &tree.at("sub")]),
            act(&["list", &tree.at("a.txt")]),
            act(&["read", ""]),
        ],
    );
    assert_eq!(
        answers,
        [
            "inner",
            "deeper",
            "inner",
            "a.txt:Kind::File link:Kind::Link sub:Kind::Directory",
            "Kind::File 5",
            &answers[5].clone(),
            "failed: not-found",
            "failed: not-a-file",
            "failed: not-a-directory",
            "failed: invalid",
        ]
    );
    assert!(answers[5].starts_with("Kind::Directory "), "{}", answers[5]);
}

fn what_was_granted_to_write_is_written_made_renamed_and_removed() {
    let tree = Tree::new();
    let answers = say(
        tree.granted(FsAccess::ReadWrite),
        &[
            act(&["write", &tree.at("new.txt"), "fresh"]),
            act(&["read", &tree.at("new.txt")]),
            act(&["write", &tree.at("a.txt"), "changed"]),
            act(&["mkdir", &tree.at("made")]),
            act(&["mkdir", &tree.at("made")]),
            act(&["rename", &tree.at("new.txt"), &tree.at("made/moved")]),
            act(&["remove", &tree.at("made")]),
            act(&["remove", &tree.at("sub/b.txt")]),
            act(&["remove", &tree.at("sub")]),
            act(&["remove", &tree.at("none")]),
            act(&["write", &tree.at("none/x"), "x"]),
        ],
    );
    let expected = [
        "ok",
        "fresh",
        "ok",
        "ok",
        "failed: exists",
        "ok",
        "failed: not-empty",
        "ok",
        "ok",
        "failed: not-found",
        "failed: not-found",
    ];
    assert_eq!(answers, expected);
    assert_eq!(fs::read_to_string(tree.at("a.txt")).unwrap(), "changed");
    assert_eq!(fs::read_to_string(tree.at("made/moved")).unwrap(), "fresh");
    let left = fs::read_dir(&tree.inside).unwrap().count();
    assert_eq!(left, 2, "no draft is left");
}

fn outside_of_a_grant_nothing_is_told_not_even_what_is_there() {
    let tree = Tree::new();
    let secret = tree.outside.join("secret");
    symlink(&secret, tree.inside.join("out")).unwrap();
    symlink("../outside", tree.inside.join("dir")).unwrap();
    symlink("/nowhere/at/all", tree.inside.join("dangling")).unwrap();
    let paths = [
        secret.display().to_string(),
        tree.outside.join("none").display().to_string(),
        "/etc/shadow".to_owned(),
        "/etc/none".to_owned(),
        "relative".to_owned(),
        tree.at("../outside/secret"),
        tree.at("../outside/none"),
        tree.at("out"),
        tree.at("dangling"),
        tree.at("dir/secret"),
        tree.at("dir/none"),
    ];
    for verb in ["read", "list", "stat", "mkdir", "remove"] {
        // A link itself lies inside, and may be removed.
        let about = paths.iter().filter(|path| {
            let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
            !(matches!(verb, "remove" | "mkdir") && is_link)
        });
        let acts: Vec<_> = about.map(|path| act(&[verb, path])).collect();
        let answers = say(tree.granted(FsAccess::ReadWrite), &acts);
        for (act, answer) in acts.iter().zip(&answers) {
            assert_eq!(answer, "failed: denied", "{act:?}");
        }
    }
    let writes: Vec<_> = paths
        .iter()
        .map(|path| act(&["write", path, "x"]))
        .collect();
    let answers = say(tree.granted(FsAccess::ReadWrite), &writes);
    assert!(
        answers.iter().all(|said| said == "failed: denied"),
        "{answers:?}"
    );
    assert_eq!(fs::read_to_string(secret).unwrap(), "hunter2");
    assert_eq!(fs::read_dir(&tree.outside).unwrap().count(), 1);
}

fn what_was_granted_to_read_is_not_changed() {
    let tree = Tree::new();
    let acts = [
        act(&["write", &tree.at("a.txt"), "x"]),
        act(&["write", &tree.at("new"), "x"]),
        act(&["mkdir", &tree.at("new")]),
        act(&["remove", &tree.at("a.txt")]),
        act(&["rename", &tree.at("a.txt"), &tree.at("b")]),
    ];
    let answers = say(tree.granted(FsAccess::Read), &acts);
    assert!(
        answers.iter().all(|said| said == "failed: denied"),
        "{answers:?}"
    );
    let written = say(tree.granted(FsAccess::ReadWrite), &acts[..1]);
    assert_eq!(written, ["ok"], "the same, granted to write");
}

fn a_single_file_is_granted_with_nothing_beside_it() {
    let tree = Tree::new();
    let file = tree.inside.join("a.txt");
    let acts = [
        act(&["read", &tree.at("a.txt")]),
        act(&["read", &tree.at("sub/b.txt")]),
        act(&["list", &tree.at("")]),
        act(&["write", &tree.at("a.txt"), "mine"]),
        act(&["remove", &tree.at("a.txt")]),
        act(&["rename", &tree.at("a.txt"), &tree.at("c")]),
        act(&["read", &tree.at("a.txt")]),
    ];
    let answers = say(grants(&file, FsKind::File, FsAccess::ReadWrite), &acts);
    let denied = "failed: denied";
    assert_eq!(
        answers,
        ["inner", denied, denied, "ok", denied, denied, "mine"]
    );
    fs::remove_file(&file).unwrap();
    symlink(tree.outside.join("secret"), &file).unwrap();
    let answers = say(grants(&file, FsKind::File, FsAccess::Read), &acts[..1]);
    assert_eq!(answers, ["failed: not-a-file"], "a link in its place");
}

fn without_the_grant_the_plugin_is_not_loaded() {
    let error = block_on(Fixture::new().load("files", none())).unwrap_err();
    let told = error.diagnostic().notes.join("\n");
    assert!(
        told.contains(
            "needs the `fs` grant; to allow a directory: portcullis grant guest read <directory>"
        ),
        "{told}"
    );
}

fn limits(tree: &Tree, limits: Limits) -> Grants {
    Grants {
        limits,
        ..tree.granted(FsAccess::ReadWrite)
    }
}

fn lengths_are_limited_while_reading_and_before_writing() {
    let tree = Tree::new();
    fs::write(tree.at("ten"), "0123456789").unwrap();
    fs::write(tree.at("eleven"), "0123456789+").unwrap();
    let ten = Limits {
        file_read: 10,
        file_write: 10,
        ..Limits::default()
    };
    let answers = say(
        limits(&tree, ten.clone()),
        &[
            act(&["size", &tree.at("ten")]),
            act(&["size", &tree.at("eleven")]),
            act(&["fill", &tree.at("x"), "10"]),
            act(&["fill", &tree.at("x"), "11"]),
        ],
    );
    let large = "failed: too-large";
    assert_eq!(answers, ["10", large, "ok", large]);
    assert_eq!(fs::metadata(tree.at("x")).unwrap().len(), 10);
    // The system says that these have no length at all.
    let proc = Grants {
        limits: ten,
        ..grants(
            Path::new("/proc/sys/kernel"),
            FsKind::Directory,
            FsAccess::Read,
        )
    };
    let answers = say(proc, &[act(&["size", "/proc/sys/kernel/version"])]);
    assert_eq!(answers, [large]);
}

fn a_directory_is_listed_up_to_a_number_of_names() {
    let tree = Tree::new();
    let many = tree.inside.join("many");
    fs::create_dir(&many).unwrap();
    for name in 0..65_536 {
        fs::write(many.join(name.to_string()), "").unwrap();
    }
    let list = || {
        say(
            tree.granted(FsAccess::Read),
            &[act(&["list", &tree.at("many")])],
        )
    };
    assert_eq!(list()[0].split(' ').count(), 65_536);
    fs::write(many.join("more"), "").unwrap();
    assert_eq!(list(), ["failed: too-large"]);
}

fn an_instance_writes_so_much_in_all() {
    let tree = Tree::new();
    let total = Limits {
        total_file_write: 10,
        ..Limits::default()
    };
    let fill = |bytes| act(&["fill", &tree.at("x"), bytes]);
    let answers = say(
        limits(&tree, total),
        &[fill("6"), fill("5"), fill("4"), fill("1")],
    );
    let limit = "failed: limit";
    assert_eq!(answers, ["ok", limit, "ok", limit]);
}

fn a_write_is_whole_keeps_permissions_and_touches_no_second_name() {
    let tree = Tree::new();
    let file = tree.inside.join("a.txt");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let second = tree.outside.join("second");
    fs::hard_link(&file, &second).unwrap();
    let before = fs::metadata(&file).unwrap();
    let answers = say(
        tree.granted(FsAccess::ReadWrite),
        &[act(&["write", &tree.at("a.txt"), "changed"])],
    );
    assert_eq!(answers, ["ok"]);
    let after = fs::metadata(&file).unwrap();
    assert_eq!(after.mode() & 0o7777, 0o640);
    assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
    assert_ne!(after.ino(), before.ino(), "another file took its place");
    assert_eq!(fs::read_to_string(second).unwrap(), "inner");
}

fn what_others_execute_is_not_written() {
    let tree = Tree::new();
    fs::create_dir_all(tree.inside.join(".git/hooks")).unwrap();
    fs::write(tree.inside.join(".git/config"), "[core]\n").unwrap();
    let acts = [
        ".git/hooks/pre-commit",
        ".git/config",
        ".envrc",
        "sub/.vscode/tasks.json",
    ]
    .map(|name| act(&["write", &tree.at(name), "x"]));
    let moved = act(&["rename", &tree.at(".git"), &tree.at("git")]);
    let placed = act(&["rename", &tree.at("a.txt"), &tree.at(".envrc")]);
    let mut all = acts.to_vec();
    fs::create_dir_all(tree.inside.join("sub/.vscode")).unwrap();
    all.extend([moved, placed]);
    let answers = say(tree.granted(FsAccess::ReadWrite), &all);
    assert!(
        answers.iter().all(|said| said == "failed: denied"),
        "{answers:?}"
    );
    assert!(tree.inside.join(".git/config").exists() && !tree.inside.join(".envrc").exists());
}

fn only_regular_files_are_opened() {
    let tree = Tree::new();
    let pipe = tree.inside.join("pipe");
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(tree.inside.join("socket")).unwrap();
    let acts: Vec<_> = ["pipe", "socket"]
        .into_iter()
        .flat_map(|name| {
            [
                act(&["read", &tree.at(name)]),
                act(&["write", &tree.at(name), "x"]),
            ]
        })
        .collect();
    let answers = say(tree.granted(FsAccess::ReadWrite), &acts);
    assert!(
        answers.iter().all(|said| said == "failed: not-a-file"),
        "{answers:?}"
    );
    let devices = grants(Path::new("/dev"), FsKind::Directory, FsAccess::Read);
    let answers = say(
        devices,
        &[act(&["read", "/dev/zero"]), act(&["stat", "/dev/zero"])],
    );
    assert_eq!(answers[0], "failed: not-a-file");
    assert!(answers[1].starts_with("Kind::Other "), "{}", answers[1]);
}

fn each_call_leaves_its_lines_in_the_trail_without_content() {
    let tree = Tree::new();
    let fixture = Fixture::new();
    let acts = [
        act(&["read", &tree.at("a.txt")]),
        act(&["write", &tree.at("n"), "confidential"]),
        act(&["read", "/etc/shadow"]),
        act(&["read", &tree.at("none")]),
    ];
    said(&fixture, tree.granted(FsAccess::ReadWrite), &acts);
    let lines: Vec<_> = fixture
        .trail
        .events()
        .into_iter()
        .map(|(_, event)| event)
        .collect();
    let [
        Event::Decision(read),
        Event::Decision(write),
        Event::Done(written),
        Event::Decision(denied),
        Event::Decision(missing),
    ] = &lines[..]
    else {
        panic!("{lines:?}");
    };
    assert_eq!(read.function.as_deref(), Some("read"));
    assert_eq!(read.effect.as_ref().unwrap().bytes_in, 5);
    assert_eq!((write.verdict, &write.effect), (Verdict::Allow, &None));
    assert_eq!((written.call, written.effect.bytes_out), (write.call, 12));
    assert_eq!(denied.verdict, Verdict::Deny);
    assert_eq!(denied.code.as_deref(), Some("P0301"));
    let missing = missing.effect.as_ref().unwrap().failed.as_ref().unwrap();
    assert_eq!(missing.as_str(), "it is not there");
    let text = String::from_utf8(fixture.trail.lines()).unwrap();
    assert!(
        !text.contains("confidential") && !text.contains("inner\""),
        "{text}"
    );
}
