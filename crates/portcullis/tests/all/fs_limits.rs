//! What a guest may write, hold and ask for by WASI: the limits of the plain calls, and some of its own.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use portcullis::Activity;
use portcullis::audit::{Event, Verdict};
use portcullis::policy::{Code, FsAccess, Grants, Limits};
use portcullis_testkit::tests;

use crate::files::act;
use crate::fixture::{
    Fixture, PREVIEW1, args, block_on, directory, has_preview1, none, tests_by_wasi,
};

tests![
    plain_calls_and_wasi_write_so_much_together,
    a_file_counts_as_long_as_a_stream_keeps_it,
    streams_are_held_in_a_number,
    listings_are_held_by_their_names,
    what_cannot_be_written_at_all_is_refused,
    listings_of_preview_1_are_held_by_their_names,
    a_listing_goes_on_where_it_was,
];

tests_by_wasi![
    every_way_of_writing_counts_to_its_last_byte,
    making_a_file_longer_counts_and_shorter_gives_nothing_back,
    what_is_skipped_counts_as_written,
    what_was_not_written_does_not_count,
    a_thousand_refusals_are_one_line_of_the_trail,
    one_call_reads_and_writes_at_most_so_much,
    opening_listing_and_changing_count_as_calls,
    reading_and_writing_what_is_open_counts_as_nothing,
    a_rate_is_the_plugins_own_and_refused_calls_count,
    files_and_directories_are_held_in_a_number,
    only_regular_files_and_directories_are_opened,
];

/// A directory `/data` to write and one `/source` to read.
struct Place {
    guest: &'static str,
    fixture: Fixture,
    data: PathBuf,
    source: PathBuf,
}

impl Place {
    fn new(guest: &'static str) -> Self {
        let fixture = Fixture::new();
        let (data, source) = (fixture.path().join("data"), fixture.path().join("source"));
        fs::create_dir_all(&data).unwrap();
        fs::create_dir_all(&source).unwrap();
        fs::write(source.join("source"), vec![b's'; 100_000]).unwrap();
        fs::write(data.join("file"), "text").unwrap();
        Self {
            guest,
            fixture,
            data,
            source,
        }
    }

    fn grants(&self, limits: Limits) -> Grants {
        Grants {
            fs: vec![
                directory(&self.data, "/data", FsAccess::ReadWrite),
                directory(&self.source, "/source", FsAccess::Read),
            ],
            limits,
            ..none()
        }
    }

    fn run(&self, limits: Limits, words: &[&str]) -> (String, Activity) {
        block_on(async {
            let grants = self.grants(limits);
            let mut instance = self.fixture.instance(self.guest, grants).await;
            let answer = instance.run(&args(words)).await.unwrap().unwrap();
            (answer, instance.activity().clone())
        })
    }

    fn say(&self, limits: Limits, words: &[&str]) -> String {
        self.run(limits, words).0
    }

    fn acts(&self, limits: Limits, acts: &[&str]) -> Vec<String> {
        let answers = self.say(limits, &[&["acts"], acts].concat());
        answers.lines().map(str::to_owned).collect()
    }

    fn length(&self, name: &str) -> u64 {
        fs::metadata(self.data.join(name)).unwrap().len()
    }
}

fn total(bytes: u64) -> Limits {
    Limits {
        total_file_write: bytes,
        ..Limits::default()
    }
}

fn calls(times: u32) -> Limits {
    Limits {
        calls_per_minute: times,
        ..Limits::default()
    }
}

/// The ways of writing that a guest has.
fn ways(guest: &str) -> &'static [&'static str] {
    match guest {
        PREVIEW1 => &["write", "size", "gap", "stream", "append", "seek"],
        _ => &[
            "write", "size", "gap", "stream", "append", "blocking", "zeroes", "splice",
        ],
    }
}

fn every_way_of_writing_counts_to_its_last_byte(guest: &'static str) {
    let place = Place::new(guest);
    for way in ways(guest) {
        let fill = |bytes| place.say(total(10_000), &["fill", "/data/new", way, bytes]);
        assert_eq!(fill("10000"), "10000, done", "{way}");
        assert_eq!(place.length("new"), 10_000, "{way}");
        let refused = fill("20000");
        assert_eq!(refused, "10000, quota", "{way}");
        assert_eq!(place.length("new"), 10_000, "{way}");
        assert_eq!(
            place.say(total(0), &["fill", "/data/new", way, "1"]),
            "0, quota",
            "{way}"
        );
        assert_eq!(place.length("new"), 0, "{way}");
    }
    // A stream of 0.2 takes what fits, and a call that would not fit is refused whole.
    let fits = if guest == PREVIEW1 { "1000" } else { "1500" };
    assert_eq!(
        place.say(total(1500), &["fill", "/data/new", "stream", "2000"]),
        format!("{fits}, quota")
    );
    assert_eq!(
        place.say(total(1500), &["fill", "/data/new", "write", "2000"]),
        "1000, quota"
    );
    assert_eq!(place.length("new"), 1000);
}

fn making_a_file_longer_counts_and_shorter_gives_nothing_back(guest: &'static str) {
    let place = Place::new(guest);
    let acts = [
        ("size /data/file 1004", "ok"),
        ("size /data/file 0", "ok"),
        ("size /data/file 1", "quota"),
        ("size /data/file 0", "ok"),
        ("write /data/file x", "quota"),
        ("truncate /data/file", "ok"),
        ("create /data/other", "ok"),
    ];
    let (wanted, answers): (Vec<_>, Vec<_>) = acts.into_iter().unzip();
    assert_eq!(place.acts(total(1000), &wanted), answers);
    assert_eq!(place.length("file"), 0);
    let huge = format!("size /data/file {}", u64::MAX);
    assert_eq!(place.acts(total(1000), &[&huge]), ["quota"]);
}

fn what_is_skipped_counts_as_written(guest: &'static str) {
    let place = Place::new(guest);
    let acts = [
        // Four bytes are there.
        ("stream-at /data/file 104 xxxx", "ok"),
        ("stream-at /data/file 1000 x", "quota"),
        ("stream-at /data/file 108 x", "ok"),
        ("stream-at /data/new 100000 x", "quota"),
    ];
    let (wanted, answers): (Vec<_>, Vec<_>) = acts.into_iter().unzip();
    assert_eq!(place.acts(total(105), &wanted), answers);
    assert_eq!(place.length("file"), 109);
    assert_eq!(place.length("new"), 0);
    let huge = format!("stream-at /data/file {} x", u64::MAX - 1);
    assert_eq!(place.acts(total(1000), &[&huge]), ["quota"]);
}

fn what_was_not_written_does_not_count(guest: &'static str) {
    let place = Place::new(guest);
    // Beyond any file: the system refuses, and everything is left.
    let limits = || total(u64::MAX);
    let huge = format!("size /data/file {}", u64::MAX);
    let answers = place.acts(limits(), &[&huge, "write /data/file text"]);
    assert_ne!(answers[0], "ok");
    assert_eq!(answers[1], "ok");
    // A file that is only read takes nothing, whatever is tried on it.
    let source = format!("{}/source", place.source.display());
    let before = fs::read(&source).unwrap();
    let answers = place.acts(
        total(10),
        &[
            "size /source/source 5",
            "overwrite /source/source xxxxxxxxxx",
            "write /data/file xxxxxxxxxx",
        ],
    );
    assert_eq!(answers, ["not-permitted", "not-permitted", "ok"]);
    assert_eq!(fs::read(&source).unwrap(), before);
}

fn plain_calls_and_wasi_write_so_much_together() {
    let place = Place::new("wasi-probe");
    let at = |name: &str| place.data.join(name).display().to_string();
    let say = |acts: &[&[&str]]| {
        block_on(async {
            let grants = place.grants(total(10));
            let mut instance = place.fixture.instance("files", grants).await;
            let acts: Vec<_> = acts.iter().map(|parts| act(parts)).collect();
            let answer = instance.run(&acts).await.unwrap().unwrap();
            answer.lines().map(str::to_owned).collect::<Vec<_>>()
        })
    };
    let (plain, by_wasi) = (at("plain"), "by-wasi");
    let answers = say(&[
        &["write", &plain, "123456"],
        &["wasi-write", by_wasi, "1234"],
        &["write", &plain, "1"],
        &["wasi-write", by_wasi, "1"],
    ]);
    assert_eq!(answers, ["ok", "ok", "failed: limit", "quota"]);
    let answers = say(&[
        &["wasi-write", by_wasi, "123456"],
        &["write", &plain, "12345"],
        &["write", &plain, "1234"],
        // One that is refused before it is written takes nothing.
        &["write", "/elsewhere", ""],
        &["wasi-write", by_wasi, ""],
    ]);
    assert_eq!(
        answers,
        ["ok", "failed: limit", "ok", "failed: denied", "ok"]
    );
}

fn a_thousand_refusals_are_one_line_of_the_trail(guest: &'static str) {
    let place = Place::new(guest);
    for way in ["write /data/file xx", "stream-at /data/file 0 xx"] {
        let (answer, activity) = place.run(total(3), &["again", "1001", way]);
        assert_eq!(answer, "ok 1, quota 1000");
        let [denial] = &activity.denials[..] else {
            panic!("{:?}", activity.denials)
        };
        assert_eq!(denial.code, Code::FsTotal);
        assert!(denial.notes[0].contains("3 bytes in all"), "{denial:?}");
    }
    let written = place.fixture.trail.events();
    let lines: Vec<_> = written
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Decision(decision) => Some(decision),
            _ => None,
        })
        .collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in lines {
        assert_eq!(line.verdict, Verdict::Deny);
        assert_eq!(line.code.as_deref(), Some("P0306"));
    }
}

fn one_call_reads_and_writes_at_most_so_much(guest: &'static str) {
    let place = Place::new(guest);
    let limits = |file_read, file_write| Limits {
        file_read,
        file_write,
        ..Limits::default()
    };
    let acts = ["once /data/new 1000", "once /data/new 100"];
    assert_eq!(
        place.acts(limits(1000, 100), &acts),
        ["100 of them", "ok"],
        "as any short write"
    );
    let read = |bytes| place.say(limits(bytes, 100), &["read", "/source/source"]);
    assert_eq!(read(1000).len(), 1000);
    assert_eq!(read(10).len(), 10);
    // By a stream in as many steps as it takes.
    let fill = |bytes| {
        place.say(
            limits(bytes, bytes),
            &["fill", "/data/new", "stream", "5000"],
        )
    };
    assert_eq!(fill(10), "5000, done");
    assert_eq!(fill(0), "0, quota");
    if guest == PREVIEW1 {
        return;
    }
    let splice = |bytes| {
        place.say(
            limits(bytes, 5000),
            &["fill", "/data/new", "splice", "5000"],
        )
    };
    assert_eq!(splice(100), "5000, done");
}

fn opening_listing_and_changing_count_as_calls(guest: &'static str) {
    // The rates are the plugin's: each act has a host of its own.
    let run = |times, act| {
        let place = Place::new(guest);
        fs::create_dir(place.data.join("sub")).unwrap();
        place.run(calls(times), &["again", "9", act])
    };
    for (act, done) in [
        ("read /data/file", "ok"),
        ("create /data/file", "ok"),
        ("read /data/absent", "no-entry"),
        ("read /data/../secret", "not-permitted"),
        ("times /data/file", "ok"),
        ("times-opened /data/file", "ok"),
        ("mkdir /data/sub", "exist"),
        ("rmdir /data/absent", "no-entry"),
        ("unlink /data/absent", "no-entry"),
        ("symlink file /data/sub", "exist"),
        ("link /data/file /data/sub", "exist"),
        ("rename /data/file /data/file", "ok"),
        // And where nothing may be changed.
        ("mkdir /source/x", "not-permitted"),
        ("unlink /source/source", "not-permitted"),
        ("rename /source/source /source/x", "not-permitted"),
        ("symlink x /source/x", "not-permitted"),
        ("times /source/source", "not-permitted"),
    ] {
        let (answer, activity) = run(5, act);
        let mut all = [format!("{done} 5"), "quota 4".to_owned()];
        all.sort();
        assert_eq!(answer, all.join(", "), "{act}");
        assert_eq!(activity.denials.len(), 4, "{act}");
        assert_eq!(activity.denials[0].code, Code::LimitCalls);
        assert_eq!(run(9, act).0, format!("{done} 9"), "{act}");
    }
}

fn reading_and_writing_what_is_open_counts_as_nothing(guest: &'static str) {
    let place = Place::new(guest);
    let fill = |way| place.say(calls(20), &["fill", "/data/new", way, "30000"]);
    assert_eq!(fill("write"), "30000, done");
    assert_eq!(fill("stream"), "30000, done");
    let stats = place.say(calls(20), &["hold", "stats", "/data/file", "100"]);
    assert_eq!(stats, "100, done");
}

fn a_rate_is_the_plugins_own_and_refused_calls_count(guest: &'static str) {
    let place = Place::new(guest);
    let again = || place.say(calls(5), &["again", "5", "read /data/absent"]);
    assert_eq!(again(), "no-entry 5");
    assert_eq!(again(), "quota 5", "another instance");
}

fn files_and_directories_are_held_in_a_number(guest: &'static str) {
    let place = Place::new(guest);
    let hold = |what, path, times| place.say(Limits::default(), &["hold-twice", what, path, times]);
    let full = "128, quota; 128, quota";
    assert_eq!(hold("files", "/data/file", "1000"), full);
    assert_eq!(hold("files", "/source/source", "1000"), full);
    assert_eq!(hold("directories", "/data", "1000"), full);
    assert_eq!(
        hold("files", "/data/file", "128"),
        "128, done; 128, done",
        "what was dropped is not held"
    );
    let words = ["hold", "files", "/data/file", "1000"];
    let (_, activity) = place.run(Limits::default(), &words);
    let [denial] = &activity.denials[..] else {
        panic!("{:?}", activity.denials)
    };
    assert_eq!(denial.code, Code::FsHandles);
    assert_eq!(denial.headline(), "plugin `guest` may not open `file` now");
}

fn a_file_counts_as_long_as_a_stream_keeps_it() {
    let place = Place::new("wasi-probe");
    let words = ["hold-twice", "orphans", "/data/file", "1000"];
    let held = place.say(Limits::default(), &words);
    assert_eq!(held, "128, quota; 128, quota");
}

fn streams_are_held_in_a_number() {
    let place = Place::new("wasi-probe");
    for what in ["readers", "writers"] {
        let words = ["hold-twice", what, "/data/file", "1000"];
        let (answer, activity) = place.run(Limits::default(), &words);
        assert_eq!(answer, "256, quota; 256, quota", "{what}");
        assert_eq!(activity.denials[0].code, Code::FsHandles);
    }
}

fn listings_are_held_by_their_names() {
    let place = Place::new("wasi-probe");
    let many = place.data.join("many");
    fs::create_dir(&many).unwrap();
    for name in 0..2046 {
        fs::write(many.join(name.to_string()), "").unwrap();
    }
    let hold = |path| {
        let words = ["hold-twice", "listings", path, "1000"];
        place.say(Limits::default(), &words)
    };
    // With `.` and `..` there are 2048, and so 64 of them are as many as there may be.
    assert_eq!(hold("/data/many"), "64, quota; 64, quota");
    assert_eq!(hold("/data"), "1000, done; 1000, done");
    let listed = place.say(Limits::default(), &["list", "/data/many"]);
    assert_eq!(listed.lines().count(), 2046);
}

fn only_regular_files_and_directories_are_opened(guest: &'static str) {
    let place = Place::new(guest);
    let at = |name| place.data.join(name);
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), mode).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    std::os::unix::fs::symlink("pipe", at("to-pipe")).unwrap();
    let acts: Vec<_> = ["pipe", "to-pipe", "socket"]
        .iter()
        .flat_map(|name| {
            [
                "read /data/{}",
                "write /data/{} x",
                "truncate /data/{}",
                "create /data/{}",
            ]
            .map(|act| act.replace("{}", name))
        })
        .collect();
    let acts: Vec<_> = acts.iter().map(String::as_str).collect();
    // A pipe that is opened waits for somebody at its other end.
    let answers = place.acts(Limits::default(), &acts);
    for (act, answer) in acts.iter().zip(answers) {
        assert_eq!(answer, "not-permitted", "{act}");
    }
    let answers = place.acts(
        Limits::default(),
        &[
            "read /data/file",
            "write-in /data new text",
            "write /data/.. x",
            "write /data x",
            "unlink /data/pipe",
            "write /data/pipe x",
        ],
    );
    assert_eq!(
        answers,
        ["ok", "ok", "not-permitted", "is-directory", "ok", "ok"]
    );
}

fn what_cannot_be_written_at_all_is_refused() {
    if !has_preview1() {
        return;
    }
    let place = Place::new(PREVIEW1);
    let limits = Limits {
        file_write: 0,
        ..Limits::default()
    };
    // No bytes of so many would have a guest try for ever.
    for way in ["write", "stream", "append"] {
        let answer = place.say(limits.clone(), &["fill", "/data/new", way, "1"]);
        assert_eq!(answer, "0, quota", "{way}");
    }
}

fn listings_of_preview_1_are_held_by_their_names() {
    if !has_preview1() {
        return;
    }
    let place = Place::new(PREVIEW1);
    let many = place.data.join("many");
    fs::create_dir(&many).unwrap();
    for name in 0..2046 {
        fs::write(many.join(name.to_string()), "").unwrap();
    }
    let words = ["hold-twice", "listings", "/data/many", "1000"];
    let (answer, activity) = place.run(Limits::default(), &words);
    assert_eq!(answer, "64, quota; 64, quota");
    assert_eq!(activity.denials[0].code, Code::FsHandles);
}

fn a_listing_goes_on_where_it_was() {
    if !has_preview1() {
        return;
    }
    let place = Place::new(PREVIEW1);
    let many = place.data.join("many");
    fs::create_dir(&many).unwrap();
    let mut names: Vec<_> = (0..700)
        .map(|name| format!("{name}{}", "x".repeat(name % 200)))
        .collect();
    for name in &names {
        fs::write(many.join(name), "").unwrap();
    }
    names.sort();
    // By some hundred calls, and the directory is looked through once.
    let (answer, activity) = place.run(calls(2), &["list", "/data/many"]);
    assert!(activity.denials.is_empty(), "{:?}", activity.denials);
    assert_eq!(answer, names.join("\n"));
    let _socket = UnixListener::bind(many.join("socket")).unwrap();
    let answer = place.say(Limits::default(), &["list", "/data/many"]);
    assert_eq!(answer.lines().count(), 701);
}
