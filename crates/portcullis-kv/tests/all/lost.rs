//! The power fails, and what was not synced is lost: everything that was acknowledged is there all the same.
//!
//! Killing a process loses nothing that the kernel holds, so it would not show a sync that is missing. Here three writers
//! of one store run under `strace`, which records every call that changes a file or says something, with its data.
//! From that record a [`Disk`](crate::disk::Disk) is told everything up to a moment, and writes down what a disk could
//! have then. A device that loses writes would need a kernel with device mapper or FUSE and root; this needs neither, knows
//! of every single write, and also loses parts of one. What it cannot show is a file system or a disk that breaks what
//! `fsync` promises.
//!
//! Where there is no `strace`, or where it may not trace, the tests are skipped by name.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use portcullis_kv::{KvError, Stores};
use portcullis_testkit::tests;

use crate::Fixture;
use crate::disk::Disk;
use crate::killed::{generator, last, number};
use crate::strace::{self, Call};

tests![
    nothing_acknowledged_is_lost_when_the_power_fails,
    each_acknowledgement_comes_after_a_sync_of_the_log,
    the_names_of_what_was_made_are_synced_before_anything_is_acknowledged,
    killed_before_every_single_call_a_store_is_whole,
];

const WRITERS: usize = 3;
/// Values of each. With the pages of three writers, the log is moved into the database several times.
const VALUES: usize = 30;
/// Moments at which the power fails.
const FAILURES: usize = 100;

/// A record of writers of one store, and the disk before they began.
struct Record {
    calls: Vec<Call>,
    before: Disk,
    fixture: Fixture,
}

impl Record {
    fn new(test: &str) -> Option<Self> {
        let fixture = Fixture::new();
        drop(fixture.stores().store("p").unwrap());
        let before = Disk::of(&fixture.real());
        let log = fixture.beside("log");
        let Some(mut strace) = strace::strace(&log, &[]) else {
            println!("SKIP {test}: `strace` is not installed, or may not trace");
            return None;
        };
        let me = std::env::current_exe().unwrap();
        let script = format!(
            "for w in $(seq {WRITERS}); do \"$0\" writer-role \"$1\" w$w {VALUES} & done; wait"
        );
        strace
            .args(["sh", "-c", &script])
            .args([&me, &fixture.directory]);
        let ended = strace.stdout(Stdio::null()).status().unwrap();
        assert!(ended.success());
        Some(Self {
            calls: strace::read(&log),
            before,
            fixture,
        })
    }
}

/// A writer and the number that it says is written.
fn acknowledged(call: &Call) -> Option<(String, u64)> {
    if call.name != "write" || call.descriptor() != 1 || !call.moment.begins() {
        return None;
    }
    let said = String::from_utf8(call.data()).unwrap();
    let (worker, number) = said.trim_end().split_once(' ')?;
    Some((worker.to_owned(), number.parse().ok()?))
}

fn nothing_acknowledged_is_lost_when_the_power_fails() {
    let test = "lost::nothing_acknowledged_is_lost_when_the_power_fails";
    let Some(record) = Record::new(test) else {
        return;
    };
    let mut random = generator();
    let count = record.calls.len();
    let mut moments: Vec<_> = (0..FAILURES)
        .map(|_| usize::try_from(random(count as u64)).unwrap())
        .collect();
    moments.sort_unstable();
    let (mut disk, mut said) = (record.before.clone(), HashMap::new());
    let (mut seen, mut most) = (0, 0);
    for (round, moment) in moments.into_iter().enumerate() {
        for call in &record.calls[seen..moment] {
            said.extend(acknowledged(call));
            disk.see(call);
        }
        seen = moment;
        let left = record.fixture.beside(&format!("left-{round}"));
        disk.fail(&left, &mut random);
        let store = Stores::open(&left).unwrap().store("p").unwrap();
        for (worker, said) in &said {
            let there = last(&store, worker);
            assert!(
                there == *said || there == said + 1,
                "{worker}: {there} after {said} at call {moment}"
            );
        }
        for key in store.list("w", None, 1000).unwrap().keys {
            number(&store.get(&key).unwrap().unwrap());
        }
        store.verify().unwrap();
        most = most.max(said.values().sum());
        drop(store);
        fs::remove_dir_all(left).unwrap();
    }
    assert!(most > 10, "they wrote: {most}");
}

fn each_acknowledgement_comes_after_a_sync_of_the_log() {
    let test = "lost::each_acknowledgement_comes_after_a_sync_of_the_log";
    let Some(record) = Record::new(test) else {
        return;
    };
    let mut disk = record.before.clone();
    let mut syncs = HashMap::<u32, usize>::new();
    let mut acknowledgements = 0;
    for call in &record.calls {
        if let Some((worker, number)) = acknowledged(call) {
            let unsynced = disk.unsynced_log(call.pid);
            assert_eq!(unsynced, 0, "{worker} says {number}");
            // Three changes come before each; the first line only says what was found.
            let syncs = syncs.remove(&call.pid).unwrap_or(0);
            assert!(
                number == 0 || syncs >= 3,
                "{worker} says {number} after {syncs} syncs"
            );
            acknowledgements += 1;
        }
        let of_log = || {
            call.path()
                .to_str()
                .is_some_and(|path| path.ends_with("-wal"))
        };
        if matches!(&*call.name, "fsync" | "fdatasync") && call.moment.ends() && of_log() {
            *syncs.entry(call.pid).or_default() += 1;
        }
        disk.see(call);
    }
    assert_eq!(acknowledgements, WRITERS * (VALUES + 1));
}

fn the_names_of_what_was_made_are_synced_before_anything_is_acknowledged() {
    let test = "lost::the_names_of_what_was_made_are_synced_before_anything_is_acknowledged";
    let fixture = Fixture::new();
    let log = fixture.beside("log");
    let Some(mut strace) = strace::strace(&log, &[]) else {
        println!("SKIP {test}: `strace` is not installed, or may not trace");
        return;
    };
    let directory = fixture.directory.join("data/kv");
    strace.arg(std::env::current_exe().unwrap());
    strace.args(["writer-role".as_ref(), directory.as_os_str()]);
    let ended = strace.args(["w1", "1"]).stdout(Stdio::null()).status();
    assert!(ended.unwrap().success());
    let calls = strace::read(&log).into_iter();
    let before = calls.take_while(|call| acknowledged(call).is_none_or(|(_, number)| number == 0));
    let synced: Vec<_> = before
        .filter(|call| matches!(&*call.name, "fsync" | "fdatasync"))
        .map(|call| call.path())
        .collect();
    for name in fixture
        .directory
        .join("data/kv")
        .canonicalize()
        .unwrap()
        .ancestors()
        .take(4)
    {
        assert!(synced.contains(&name.to_owned()), "{}", name.display());
    }
}

/// Calls that change something on the disk, and how many of each are killed before, the first of all included.
const POINTS: [(&str, usize); 5] = [
    ("pwrite64", 45),
    ("fsync,fdatasync", 15),
    ("unlink,unlinkat", 6),
    ("renameat2", 1),
    ("write", 3),
];

fn killed_before_every_single_call_a_store_is_whole() {
    let mut killed = 0;
    for (calls, times) in POINTS {
        for nth in 1..=times {
            let fixture = Fixture::new();
            let log = fixture.beside("log");
            let inject = format!("inject={calls}:signal=SIGKILL:when={nth}");
            let Some(mut strace) = strace::strace(&log, &["-e", &inject]) else {
                println!(
                    "SKIP lost::killed_before_every_single_call_a_store_is_whole: `strace` is not installed, or may not trace"
                );
                return;
            };
            let me = std::env::current_exe().unwrap();
            strace
                .arg(me)
                .arg("writer-role")
                .arg(&fixture.directory)
                .args(["w1", "3"]);
            let output = strace.output().unwrap();
            killed += usize::from(!output.status.success());
            let said = String::from_utf8(output.stdout).unwrap();
            let said = said.lines().last().and_then(|line| line.split_once(' '));
            let said: u64 = said.map_or(0, |(_, number)| number.parse().unwrap());
            let store = fixture
                .stores()
                .store("p")
                .unwrap_or_else(|error: KvError| panic!("killed before {calls} {nth}: {error:?}"));
            let there = last(&store, "w1");
            assert!(
                there == said || there == said + 1,
                "{there} after {said}, killed before {calls} {nth}"
            );
            store.verify().unwrap();
        }
    }
    assert!(killed > 60, "killed {killed} times");
}

impl Fixture {
    /// As system calls have it.
    fn real(&self) -> PathBuf {
        self.directory.canonicalize().unwrap()
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.directory.with_file_name(name)
    }
}
