//! WASI preview 1 of core modules: what is its own. What it has in common with 0.2 is tested with that: the guard
//! ([`fs_guard`](crate::fs_guard)), the limits ([`fs_limits`](crate::fs_limits)), paths and races ([`paths`](crate::paths)).

use std::fs;
use std::path::PathBuf;

use portcullis::audit::Event;
use portcullis::policy::{FsAccess, Grants};
use portcullis_testkit::tests;

use crate::fixture::{Fixture, PREVIEW1, args, block_on, directory, has_preview1, none};

tests![
    what_may_only_be_read_is_changed_by_no_call,
    two_directories_are_two_grants,
    numbers_of_descriptors_lead_nowhere,
    what_is_allowed_leaves_no_line,
];

struct Place {
    fixture: Fixture,
    data: PathBuf,
}

impl Place {
    fn new() -> Option<Self> {
        if !has_preview1() {
            return None;
        }
        let fixture = Fixture::new();
        let data = fixture.path().join("data");
        fs::create_dir_all(data.join("dir")).unwrap();
        fs::write(data.join("file"), "text").unwrap();
        Some(Self { fixture, data })
    }

    fn say(&self, fs: &[(&str, &str, FsAccess)], words: &[&str]) -> String {
        let fs = fs.iter().map(|&(host, guest, access)| {
            directory(&self.fixture.path().join(host), guest, access)
        });
        let grants = Grants {
            fs: fs.collect(),
            ..none()
        };
        block_on(async {
            let mut instance = self.fixture.instance(PREVIEW1, grants).await;
            instance.run(&args(words)).await.unwrap().unwrap()
        })
    }
}

/// Each call that changes something, in an order in which all of them can.
const CHANGES: [&str; 18] = [
    "write /data/file x",
    "overwrite /data/file y",
    "truncate /data/file",
    "create /data/file",
    "open-link /data/new",
    "size /data/file 4",
    "stream-at /data/file 0 text",
    "once /data/file 4",
    "mkdir /data/made",
    "rmdir /data/made",
    "symlink file /data/link",
    "unlink /data/link",
    "link /data/file /data/second",
    "rename /data/second /data/third",
    "unlink /data/third",
    "times /data/file",
    "times-opened /data/file",
    "write-in /data/dir new x",
];

fn what_may_only_be_read_is_changed_by_no_call() {
    let Some(place) = Place::new() else { return };
    let look = || {
        let file = fs::metadata(place.data.join("file")).unwrap();
        let entries = |dir: &str| fs::read_dir(place.data.join(dir)).unwrap().count();
        let content = fs::read_to_string(place.data.join("file")).unwrap();
        (
            content,
            file.modified().unwrap(),
            entries("."),
            entries("dir"),
        )
    };
    let before = look();
    let acts = [&["acts"], &CHANGES[..]].concat();
    let answers = place.say(&[("data", "/data", FsAccess::Read)], &acts);
    for (act, answer) in CHANGES.iter().zip(answers.lines()) {
        assert_eq!(answer, "not-permitted", "{act}");
    }
    assert_eq!(look(), before);
    let read = place.say(
        &[("data", "/data", FsAccess::Read)],
        &["read", "/data/file"],
    );
    assert_eq!(read, "text");
    // The twin: all of it is done where it may be.
    let may = [("data", "/data", FsAccess::ReadWrite)];
    let answers = place.say(&may, &acts);
    for (act, answer) in CHANGES.iter().zip(answers.lines()) {
        assert_eq!(answer, "ok", "{act}");
    }
    let (content, modified, entries, in_dir) = look();
    assert_eq!((content.as_str(), entries, in_dir), ("xxxx", 3, 1));
    assert_eq!(modified, std::time::UNIX_EPOCH);
    assert_eq!(
        place.say(&may, &["acts", "allocate /data/file"]),
        "unsupported"
    );
}

fn two_directories_are_two_grants() {
    let Some(place) = Place::new() else { return };
    fs::create_dir(place.fixture.path().join("read")).unwrap();
    fs::write(place.fixture.path().join("read/file"), "kept").unwrap();
    let both = [
        ("data", "/data", FsAccess::ReadWrite),
        ("read", "/read", FsAccess::Read),
    ];
    let acts = [
        ("rename /read/file /data/stolen", "not-permitted"),
        ("rename /data/file /read/given", "not-permitted"),
        ("link /read/file /data/stolen", "not-permitted"),
        ("link /data/file /read/given", "not-permitted"),
        ("write /data/../read/file x", "not-permitted"),
        ("write /data/new x", "ok"),
        ("read /read/file", "ok"),
    ];
    let words: Vec<_> = std::iter::once("acts")
        .chain(acts.iter().map(|(act, _)| *act))
        .collect();
    let answers = place.say(&both, &words);
    for ((act, wanted), answer) in acts.iter().zip(answers.lines()) {
        assert_eq!(answer, *wanted, "{act}");
    }
    let kept = fs::read_to_string(place.fixture.path().join("read/file")).unwrap();
    assert_eq!(kept, "kept");
}

fn numbers_of_descriptors_lead_nowhere() {
    let Some(place) = Place::new() else { return };
    let told = place.say(&[("data", "/data", FsAccess::ReadWrite)], &["numbers"]);
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        [
            "the lowest number is free: 1 2",
            "onto an open one: ok",
            "the old number: bad-descriptor",
            "the new number: text",
            "from a closed one: bad-descriptor",
            "onto a closed one: bad-descriptor",
            "onto itself: ok",
            "far away: bad-descriptor",
            "still there: text",
            "output onto a file: ok",
            "a stream has no place: SPIPE",
            "it is written: 18",
            "the free number is that of output: 1",
            "a file may be output: text",
            "and is not written: bad-descriptor",
            "closed: ok",
            "closed twice: bad-descriptor",
            "nothing there: bad-descriptor",
            "nor a name: bad-descriptor",
            "a file in its place: ok",
            "is no directory: not-directory",
        ]
    );
    let content = fs::read_to_string(place.data.join("file")).unwrap();
    assert_eq!(content, "text");
}

fn what_is_allowed_leaves_no_line() {
    let Some(place) = Place::new() else { return };
    let may = [("data", "/data", FsAccess::ReadWrite)];
    let decisions = || {
        let events = place.fixture.trail.events();
        let decisions = events
            .iter()
            .filter(|(_, event)| matches!(event, Event::Decision(_)));
        decisions.count()
    };
    place.say(&may, &["acts", "write /data/file x", "unlink /data/file"]);
    assert_eq!(decisions(), 0);
    place.say(
        &may,
        &["acts", "write /data/.envrc x", "unlink /data/absent"],
    );
    assert_eq!(decisions(), 1, "and what is refused leaves one");
}
