//! Writers of one store, in processes of their own, die by SIGKILL wherever they happen to be, while others go on. All
//! they said was written is there; nothing is torn; the counts are those of what is there.
//!
//! Each writer sets a key of its own to the next number and says so on a pipe when [`Store::set`] has returned. A value
//! says its number over and over, so that half of one is seen. It also counts a common number up, once for each value, and
//! adds and takes away keys, so that a kill meets all kinds of pages and the log being moved into the database.
//!
//! `cargo xtask soak` kills ten thousand times.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use portcullis_kv::{Limits, Store, Stores};
use portcullis_testkit::tests;

use crate::Fixture;

tests![nothing_acknowledged_is_lost_by_kills];

/// Writers at once.
const WRITERS: usize = 4;

fn kills() -> usize {
    if std::env::var_os("PORTCULLIS_SOAK").is_some() {
        10_000
    } else {
        500
    }
}

/// Longer than a page, so that it lies on several.
pub(crate) fn value(number: u64) -> Vec<u8> {
    let text = format!("{number} ");
    text.repeat(6000 / text.len()).into_bytes()
}

pub(crate) fn number(value: &[u8]) -> u64 {
    let text = std::str::from_utf8(value).unwrap();
    let number = text.split(' ').next().unwrap().parse().unwrap();
    assert!(self::value(number) == value, "torn: {text}");
    number
}

/// Numbers below the argument, the same in each run, so that a failure can be had again.
pub(crate) fn generator() -> impl FnMut(u64) -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

fn limits() -> Limits {
    Limits {
        bytes: 64 * 1024 * 1024,
        keys: 100_000,
        ..Limits::default()
    }
}

pub(crate) fn last(store: &Store, worker: &str) -> u64 {
    store.get(worker).unwrap().map_or(0, |value| number(&value))
}

/// What a writer does until it is killed. Its first line says what it found.
pub(crate) fn write(directory: &Path, worker: &str, times: u64) -> ExitCode {
    let store = Stores::open(directory).unwrap().store("p").unwrap();
    let mut said = std::io::stdout().lock();
    let mut next = last(&store, worker);
    for _ in 0..=times {
        writeln!(said, "{worker} {next}")
            .and_then(|()| said.flush())
            .unwrap();
        next += 1;
        store.increment("sum", 1, &limits()).unwrap();
        let more = format!("{worker} {}", next % 7);
        if !store.delete(&more).unwrap() {
            store.set(&more, &value(next), &limits()).unwrap();
        }
        store.set(worker, &value(next), &limits()).unwrap();
    }
    ExitCode::SUCCESS
}

struct Writer {
    child: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Writer {
    fn start(directory: &Path, worker: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("writer-role")
            .args([directory.as_os_str(), worker.as_ref()])
            .arg(u32::MAX.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said }
    }

    fn hear(&mut self) -> Option<u64> {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        // A line that was cut off by the kill was not said.
        let line = line.strip_suffix('\n')?;
        Some(line.split_once(' ').unwrap().1.parse().unwrap())
    }

    /// Kills it, and gives the last it said.
    fn kill(mut self) -> Option<u64> {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert!(
            std::os::unix::process::ExitStatusExt::signal(&status) == Some(9),
            "a writer ended by itself: {status}"
        );
        std::iter::from_fn(|| self.hear()).last()
    }
}

fn nothing_acknowledged_is_lost_by_kills() {
    let fixture = Fixture::new();
    let store = fixture.stores().store("p").unwrap();
    let mut acknowledged = HashMap::<String, u64>::new();
    let mut sum = 0;
    let mut kills = kills();
    let mut random = generator();
    while kills > 0 {
        let names: Vec<_> = (0..WRITERS.min(kills)).map(|n| format!("w{n}")).collect();
        let mut writers: Vec<_> = names
            .iter()
            .map(|name| Writer::start(&fixture.directory, name))
            .collect();
        for (name, mut writer) in names.into_iter().zip(writers.drain(..)) {
            let found = writer.hear().unwrap();
            let before = acknowledged.get(&name).copied().unwrap_or(0);
            assert!(
                found >= before,
                "{name} found {found} after it had said {before}"
            );
            let hears = random(4);
            let mut heard = found;
            for _ in 0..hears {
                heard = writer.hear().unwrap();
            }
            // And some way into the next, a different one each time.
            (0..random(20_000)).for_each(|_| std::hint::spin_loop());
            heard = writer.kill().unwrap_or(heard);
            sum += heard - before;
            acknowledged.insert(name, heard);
            kills -= 1;
        }
        let counted = store.increment("sum", 0, &limits()).unwrap();
        assert!(
            counted.cast_unsigned() >= sum,
            "{counted} of at least {sum}"
        );
        for (name, said) in &acknowledged {
            let there = last(&store, name);
            assert!(
                there == *said || there == said + 1,
                "{name}: {there} after {said}"
            );
            for place in 0..7 {
                if let Some(value) = store.get(&format!("{name} {place}")).unwrap() {
                    number(&value);
                }
            }
        }
        store.verify().unwrap();
    }
    assert!(sum > 100, "they wrote: {sum}");
}
