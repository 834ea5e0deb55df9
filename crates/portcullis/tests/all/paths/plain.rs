//! By the calls of `portcullis:cli/fs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use portcullis::policy::{FsAccess, FsKind, Grants};
use portcullis_testkit::tests;

use super::{GUEST_NAME, Outside, Seen, World, failed, seen, table, text_of, to_nothing};
use crate::files::{act, said};
use crate::fixture::{block_on, directory, none};

tests![
    there_are_enough_of_them,
    no_path_leads_out_of_a_grant,
    no_path_tells_what_is_there_outside,
    the_legal_twins_reach_what_they_name,
    nothing_outside_is_made_moved_or_removed,
    what_is_no_regular_file_is_not_opened,
    the_links_of_proc_lead_nowhere,
    a_granted_file_leads_to_nothing_else,
    a_grant_in_a_grant_is_not_widened_by_it,
    a_directory_that_is_replaced_is_not_granted,
];

fn there_are_enough_of_them() {
    let world = World::new();
    let (attacks, odd) = (world.attacks(), world.all(&[table::LOOKALIKES]));
    let attacks: BTreeSet<_> = attacks.into_iter().chain(odd).collect();
    let legal: BTreeSet<_> = world.all(&[table::LEGAL, table::NEW]).into_iter().collect();
    let lists = [
        table::CLIMBING,
        table::LINKS,
        table::ELSEWHERE,
        table::LOOKALIKES,
    ];
    let by_one_spelling: usize = lists.iter().map(|list| list.len()).sum();
    assert!(by_one_spelling >= 150);
    let all = attacks.len() + legal.len();
    assert!(
        attacks.len() >= 300 && legal.len() * 10 >= all * 4,
        "{} of {all}",
        legal.len()
    );
    let one = table::LEGAL.len() + table::NEW.len();
    assert!(one * 10 >= (by_one_spelling + one) * 4, "{one}");
}

fn no_path_leads_out_of_a_grant() {
    let world = World::new();
    let outside = Outside::of(&world);
    let attacks = world.attacks();
    let odd = world.all(&[table::LOOKALIKES]);
    let reading = |path: &String| ["read", "stat", "list"].map(|verb| act(&[verb, path]));
    let acts: Vec<_> = attacks.iter().flat_map(reading).collect();
    let answers = world.say(FsAccess::ReadWrite, &acts);
    for (act, answer) in acts.iter().zip(&answers) {
        assert!(failed(answer), "{act:?}: {answer}");
    }
    let acts: Vec<_> = odd.iter().map(|path| act(&["read", path])).collect();
    for (act, answer) in acts.iter().zip(world.say(FsAccess::ReadWrite, &acts)) {
        let legal = world.inside.to_str().unwrap();
        assert!(
            failed(&answer) || answer.starts_with(legal),
            "{act:?}: {answer}"
        );
    }
    let write = |path: &String| act(&["write", path, "planted"]);
    let acts: Vec<_> = attacks.iter().map(write).collect();
    for (act, answer) in acts.iter().zip(world.say(FsAccess::ReadWrite, &acts)) {
        assert!(failed(&answer), "{act:?}: {answer}");
    }
    let acts: Vec<_> = odd.iter().map(write).collect();
    world.say(FsAccess::ReadWrite, &acts);
    outside.is_untouched();
    let planted = seen(&world.above);
    let planted = planted
        .iter()
        .filter(|(_, seen)| seen.content == b"planted");
    for (path, _) in planted {
        assert!(path.starts_with(&world.inside), "{path:?}");
    }
}

fn no_path_tells_what_is_there_outside() {
    let world = World::new();
    world.link_to_nothing();
    let attacks = world.attacks();
    let pairs: Vec<_> = attacks
        .iter()
        .filter_map(|path| Some((path, to_nothing(path)?)))
        .collect();
    assert!(pairs.len() > 100, "{}", pairs.len());
    for verb in ["read", "stat", "list", "write"] {
        let asked = |path: &str| match verb {
            "write" => act(&[verb, path, "x"]),
            verb => act(&[verb, path]),
        };
        let there: Vec<_> = pairs.iter().map(|(path, _)| asked(path)).collect();
        let absent: Vec<_> = pairs.iter().map(|(_, path)| asked(path)).collect();
        let there = world.say(FsAccess::ReadWrite, &there);
        let absent = world.say(FsAccess::ReadWrite, &absent);
        for ((pair, there), absent) in pairs.iter().zip(there).zip(absent) {
            assert_eq!(there, absent, "{verb} {pair:?}");
        }
    }
}

fn the_legal_twins_reach_what_they_name() {
    let world = World::new();
    let outside = Outside::of(&world);
    let paths = world.all(&[table::LEGAL]);
    let acts: Vec<_> = paths.iter().map(|path| act(&["read", path])).collect();
    for (path, answer) in paths.iter().zip(world.say(FsAccess::Read, &acts)) {
        assert_eq!(answer, text_of(&world.real(path)), "{path:?}");
    }
    let paths = world.all(&[table::LEGAL, table::NEW]);
    let real: Vec<_> = paths.iter().map(|path| world.real(path)).collect();
    let acts: Vec<_> = paths
        .iter()
        .enumerate()
        .flat_map(|(at, path)| {
            let written = format!("number {at}");
            [act(&["write", path, &written]), act(&["read", path])]
        })
        .collect();
    let answers = world.say(FsAccess::ReadWrite, &acts);
    for (at, both) in answers.chunks(2).enumerate() {
        assert_eq!(both, ["ok", &format!("number {at}")], "{:?}", paths[at]);
    }
    // The last that was written there.
    let last: BTreeMap<_, _> = real.iter().zip(0..).collect();
    for (path, at) in last {
        assert_eq!(
            fs::read_to_string(path).unwrap(),
            format!("number {at}"),
            "{path:?}"
        );
    }
    outside.is_untouched();
    let drafts = seen(&world.inside);
    assert!(
        !drafts
            .keys()
            .any(|path| text_of(path).contains(".portcullis-")),
        "{drafts:?}"
    );
}

fn nothing_outside_is_made_moved_or_removed() {
    type Acts = fn(&str) -> Vec<String>;
    let kinds: &[Acts] = &[
        |path| vec![act(&["mkdir", path])],
        |path| vec![act(&["remove", path])],
        |path| vec![act(&["rename", path, "/data/stolen"])],
        |path| {
            vec![
                act(&["write", "/data/mine", "planted"]),
                act(&["rename", "/data/mine", path]),
            ]
        },
        |path| vec![act(&["rename", "/data/many", path])],
    ];
    for kind in kinds {
        let world = World::new();
        let outside = Outside::of(&world);
        let climbing = world.all(&[table::CLIMBING, table::ELSEWHERE]);
        let others = world.all(&[table::LINKS, table::LOOKALIKES]);
        for (paths, must_fail) in [(climbing, true), (others, false)] {
            let acts: Vec<_> = paths.iter().flat_map(|path| kind(path)).collect();
            let answers = world.say(FsAccess::ReadWrite, &acts);
            for (act, answer) in acts.iter().zip(answers) {
                assert!(
                    !must_fail || failed(&answer) || act.starts_with("write"),
                    "{act:?}: {answer}"
                );
            }
        }
        outside.is_untouched();
    }
    let world = World::new();
    let answers = world.say(
        FsAccess::ReadWrite,
        &[
            act(&["mkdir", "/data/made"]),
            act(&["rename", "inside/a.txt", "/data/made/b"]),
            act(&["remove", "/data/made/b"]),
            act(&["remove", "/data/to-secret"]),
            act(&["rename", "/data/dir-out", "/data/renamed"]),
        ],
    );
    assert_eq!(
        answers, ["ok"; 5],
        "the same inside; of a link, the link itself"
    );
    assert_eq!(
        fs::read_link(world.inside.join("renamed")).unwrap(),
        Path::new("../outside")
    );
}

fn what_is_no_regular_file_is_not_opened() {
    let world = World::new();
    let at = |name: &str| world.inside.join(name);
    rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    symlink("pipe", at("to-pipe")).unwrap();
    let mut names = vec!["pipe", "socket", "to-pipe", "sub", "self", "."];
    let device = rustix::fs::mknodat(
        rustix::fs::CWD,
        at("device"),
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::RWXU,
        rustix::fs::makedev(1, 3),
    );
    match device {
        Ok(()) => names.push("device"),
        Err(errno) => println!("SKIP a device: {errno}"),
    }
    let before = seen(&world.inside);
    let acts: Vec<_> = names
        .iter()
        .flat_map(|name| {
            [
                act(&["read", &format!("@/{name}")]),
                act(&["write", &format!("@/{name}"), "x"]),
            ]
        })
        .map(|act| act.replace('@', GUEST_NAME))
        .collect();
    for (act, answer) in acts.iter().zip(world.say(FsAccess::ReadWrite, &acts)) {
        assert_eq!(answer, "failed: not-a-file", "{act:?}");
    }
    let after = seen(&world.inside);
    let kept = |seen: &BTreeMap<PathBuf, Seen>| {
        let mut nodes = seen
            .iter()
            .map(|(path, seen)| (path.clone(), seen.kind, seen.inode));
        nodes.by_ref().collect::<Vec<_>>()
    };
    assert_eq!(kept(&after), kept(&before));
}

fn the_links_of_proc_lead_nowhere() {
    let world = World::new();
    let grants = Grants {
        fs: vec![directory(Path::new("/proc"), "/proc", FsAccess::Read)],
        ..none()
    };
    let leads = [
        "self/root/etc/passwd",
        "self/root",
        "self/cwd/secret",
        "self/cwd",
        "self/exe",
        "self/fd/0",
        "self/fd/1",
        "self/ns/mnt",
        "self/ns/user",
        "self/task/../root/etc/passwd",
        "thread-self/root/etc/passwd",
        "thread-self/cwd",
        "1/root/etc/passwd",
        "1/exe",
        "../etc/passwd",
        "self/../../etc/passwd",
    ];
    let acts: Vec<_> = leads
        .iter()
        .flat_map(|path| {
            ["read", "stat", "list"].map(|verb| act(&[verb, &format!("/proc/{path}")]))
        })
        .collect();
    for (act, answer) in acts.iter().zip(said(&world.fixture, grants.clone(), &acts)) {
        assert!(failed(&answer), "{act:?}: {answer}");
    }
    let legal = [
        "version",
        "sys/kernel/ostype",
        "self/comm",
        "self/../sys/../version",
    ];
    let acts: Vec<_> = legal
        .iter()
        .map(|path| act(&["size", &format!("/proc/{path}")]))
        .collect();
    for (act, answer) in acts.iter().zip(said(&world.fixture, grants, &acts)) {
        assert!(
            answer.parse::<u32>().is_ok_and(|bytes| bytes > 0),
            "{act:?}: {answer}"
        );
    }
}

fn a_granted_file_leads_to_nothing_else() {
    let world = World::new();
    let outside = Outside::of(&world);
    let mut grant = directory(&world.inside, "notes", FsAccess::ReadWrite);
    grant.host = world.inside.join("a.txt");
    grant.kind = FsKind::File;
    let grants = Grants {
        fs: vec![grant],
        ..none()
    };
    let host = world.inside.to_str().unwrap();
    let attacks = [
        "/a.txt/../sub/b.txt",
        "/a.txt/../a.txt",
        "/a.txt/../../outside/secret",
        "/a.txt.",
        "/a.txt2",
        "/a.tx",
        "/A.TXT",
        "/link",
        "/second-name",
        "/sub/../a.txt/x",
        "/sub/up-inside",
        "/",
        "/.",
        "",
        "/sub/b.txt",
        "/a.txt\0",
    ];
    let attacks: Vec<_> = attacks
        .iter()
        .map(|rest| format!("{host}{rest}"))
        .chain(["notes/../sub/b.txt", "notes/x", "notes2", "sub/b.txt"].map(str::to_owned))
        .collect();
    for verb in ["read", "write"] {
        let acts: Vec<_> = attacks
            .iter()
            .map(|path| {
                if verb == "read" {
                    act(&[verb, path])
                } else {
                    act(&[verb, path, "x"])
                }
            })
            .collect();
        for (act, answer) in acts.iter().zip(said(&world.fixture, grants.clone(), &acts)) {
            assert!(failed(&answer), "{act:?}: {answer}");
        }
    }
    let legal = ["a.txt", "./a.txt", "/./a.txt", "//a.txt"].map(|rest| format!("{host}/{rest}"));
    let legal = legal.into_iter().chain([
        "notes".to_owned(),
        "./notes".to_owned(),
        "inside/a.txt".to_owned(),
    ]);
    let acts: Vec<_> = legal.map(|path| act(&["read", &path])).collect();
    for (act, answer) in acts.iter().zip(said(&world.fixture, grants, &acts)) {
        assert_eq!(answer, text_of(&world.inside.join("a.txt")), "{act:?}");
    }
    outside.is_untouched();
}

fn a_grant_in_a_grant_is_not_widened_by_it() {
    let world = World::new();
    symlink("sub", world.inside.join("to-sub")).unwrap();
    symlink("../a.txt", world.inside.join("sub/above")).unwrap();
    let grants = Grants {
        fs: vec![
            directory(&world.inside, GUEST_NAME, FsAccess::Read),
            directory(&world.inside.join("sub"), "/sub", FsAccess::ReadWrite),
        ],
        ..none()
    };
    let before = fs::read_to_string(world.inside.join("a.txt")).unwrap();
    let acts: Vec<_> = [
        "/data/a.txt",
        "/data/sub/../a.txt",
        "/sub/../a.txt",
        "/data/sub/above",
        "/sub/above",
        "/data/new",
    ]
    .iter()
    .map(|path| act(&["write", path, "x"]))
    .collect();
    for (act, answer) in acts.iter().zip(said(&world.fixture, grants.clone(), &acts)) {
        assert_eq!(answer, "failed: denied", "{act:?}");
    }
    assert_eq!(
        fs::read_to_string(world.inside.join("a.txt")).unwrap(),
        before
    );
    let acts = [
        act(&["write", "inside/sub/new", "x"]),
        act(&["write", "/sub/new", "y"]),
        act(&["read", "/data/sub/../a.txt"]),
        act(&["read", "/data/to-sub/new"]),
    ];
    assert_eq!(
        said(&world.fixture, grants, &acts),
        ["ok", "ok", &before, "y"]
    );
}

/// Who grants a directory by its path means what lies there, and not what somebody else puts in its place.
fn a_directory_that_is_replaced_is_not_granted() {
    let world = World::new();
    let acts = [
        act(&["read", "/data/a.txt"]),
        act(&["write", "/data/new", "x"]),
    ];
    block_on(async {
        let mut instance = world
            .fixture
            .instance("files", world.grants(FsAccess::ReadWrite))
            .await;
        let said = instance.run(&acts).await.unwrap().unwrap();
        assert_eq!(said.split('\n').nth(1), Some("ok"));
        let moved = world.above.join("moved");
        fs::rename(&world.inside, &moved).unwrap();
        symlink("outside", &world.inside).unwrap();
        fs::write(world.outside.join("a.txt"), "theirs").unwrap();
        let said = instance.run(&acts).await.unwrap().unwrap();
        assert!(said.split('\n').all(failed), "{said}");
        fs::remove_file(&world.inside).unwrap();
        fs::rename(&moved, &world.inside).unwrap();
        let said = instance.run(&acts).await.unwrap().unwrap();
        assert_eq!(said.split('\n').nth(1), Some("ok"), "it is back");
    });
    assert!(!world.outside.join("new").exists());
}
