//! WASI preview 1 of core modules: what is its own. What it has in common with 0.2 is tested with that: the guard
//! ([`fs_guard`](crate::fs_guard)), the limits ([`fs_limits`](crate::fs_limits)), paths and races ([`paths`](crate::paths)).

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use portcullis::audit::Event;
use portcullis::policy::{FsAccess, Grants, Limits};
use portcullis::{CallError, Source};
use portcullis_testkit::{assemble, tests};

use crate::fixture::{Fixture, PREVIEW1, args, block_on, directory, has_preview1, none};

tests![
    what_may_only_be_read_is_changed_by_no_call,
    two_directories_are_two_grants,
    numbers_of_descriptors_lead_nowhere,
    what_is_allowed_leaves_no_line,
    no_call_harms_the_host_whatever_it_is_given,
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

/// Every function, with its parameters: `i` of 32 bits, `I` of 64.
const FUNCTIONS: [(&str, &str); 46] = [
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "iIi"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "iII"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_prestat_get", "ii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_seek", "iIii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_exit", "i"),
    ("proc_raise", "i"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

/// Rows of numbers that each function is called with.
const ROWS: usize = 40;
/// The numbers of a row: of descriptors, places in two pages of memory and beyond, lengths, flags.
const NUMBERS: [u64; 24] = [
    0,
    1,
    2,
    3,
    4,
    5,
    8,
    16,
    64,
    100,
    1000,
    1024,
    4096,
    65_528,
    65_535,
    65_536,
    131_064,
    131_071,
    131_072,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 40,
    u64::MAX,
];

/// A module that opens `file` and calls a function with the row of numbers that its argument names.
fn calls(function: &str, parameters: &str, row: impl Fn(usize, usize) -> u64) -> Vec<u8> {
    let types: Vec<_> = parameters
        .chars()
        .map(|one| if one == 'I' { "i64" } else { "i32" })
        .collect();
    let given: Vec<_> = types
        .iter()
        .enumerate()
        .map(|(at, ty)| {
            let load = format!(
                "(i64.load (i32.add (local.get $row) (i32.const {})))",
                at * 8
            );
            match *ty {
                "i32" => format!("(i32.wrap_i64 {load})"),
                _ => load,
            }
        })
        .collect();
    let (result, call) = match function {
        "proc_exit" => ("", format!("(call $call {})", given.join(" "))),
        _ => (
            "(result i32)",
            format!("(drop (call $call {}))", given.join(" ")),
        ),
    };
    let rows: String = (0..ROWS)
        .flat_map(|number| (0..9).map(move |at| (number, at)))
        .flat_map(|(number, at)| row(number, at).to_le_bytes())
        .map(|byte| format!("\\{byte:02x}"))
        .collect();
    let module = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "path_open"
                (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "{function}" (func $call (param {types}) {result}))
            (memory (export "memory") 2)
            (data (i32.const 0) "\e8\03\00\00\04\00\00\00\00\04\00\00\04\00\00\00../x/file")
            (data (i32.const 1000) "file") (data (i32.const 1024) "made/../file")
            (data (i32.const 2000) "{{\"ok\":\"\"}}") (data (i32.const 70000) "{rows}")
            (func (export "allocate") (param i32) (result i32) (i32.const 3000))
            (func (export "run") (param i64) (result i64) (local $row i32)
                (drop (call $open (i32.const 3) (i32.const 0) (i32.const 1000) (i32.const 4) (i32.const 0)
                    (i64.const 0x42) (i64.const 0x42) (i32.const 0) (i32.const 60000)))
                ;; Two digits, after a bracket and a quote.
                (local.set $row (i32.add (i32.const 70000) (i32.mul (i32.const 72) (i32.add
                    (i32.mul (i32.const 10) (i32.sub (i32.load8_u (i32.const 3002)) (i32.const 48)))
                    (i32.sub (i32.load8_u (i32.const 3003)) (i32.const 48))))))
                {call} (i64.const 0x7d0_0000_0009)))"#,
        types = types.join(" ")
    );
    assemble(module.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{module}"))
}

fn no_call_harms_the_host_whatever_it_is_given() {
    let fixture = Fixture::new();
    let (data, outside) = (fixture.path().join("data"), fixture.path().join("file"));
    fs::create_dir(&data).unwrap();
    fs::write(&outside, "outside").unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let numbers: Vec<_> = (0..ROWS * 9)
        .map(|_| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        })
        .collect();
    let row = |number: usize, at: usize| {
        let random = numbers[number * 9 + at];
        // The first is a descriptor for the most part.
        let among = if at == 0 { 6 } else { NUMBERS.len() as u64 };
        NUMBERS[usize::try_from(random % among).unwrap()]
    };
    let (mut returned, mut trapped) = (0, 0);
    block_on(async {
        for (function, parameters) in FUNCTIONS {
            let grants = Grants {
                fs: vec![directory(&data, "/data", FsAccess::ReadWrite)],
                limits: Limits {
                    call: Duration::from_secs(1),
                    total_file_write: 1 << 20,
                    calls_per_minute: u32::MAX,
                    ..Limits::default()
                },
                ..none()
            };
            let bytes = calls(function, parameters, row);
            let plugin = fixture.host.load(Source { bytes, grants }).await.unwrap();
            for number in 0..ROWS {
                let _ = fs::write(data.join("file"), "text");
                let mut instance = plugin.instantiate("test").await.unwrap();
                match instance.run(&[format!("{number:02}")]).await {
                    Ok(answer) => {
                        assert_eq!(answer, Ok(String::new()), "{function} {number}");
                        returned += 1;
                    }
                    Err(CallError::Trap { .. }) => trapped += 1,
                    // It waits for a time that does not come.
                    Err(CallError::Deadline { .. }) if function == "poll_oneoff" => {}
                    Err(error) => panic!("{function} {number}: {error}"),
                }
            }
        }
    });
    assert!(
        returned > 200 && trapped > 100,
        "{returned} returned, {trapped} trapped"
    );
    assert_eq!(fs::read_to_string(outside).unwrap(), "outside");
    let beside = fs::read_dir(fixture.path()).unwrap().count();
    assert_eq!(beside, 2, "nothing was made beside what was granted");
}
