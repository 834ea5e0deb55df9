//! The cache of compiled code under somebody who writes into it, while many runs use it. Attacks on one entry at a time are in
//! the crate `portcullis-codecache`.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use portcullis_testkit::guest;

use crate::context::Context;

/// How many runs there are at once, and how often the cache is spoiled before they count as enough: who gets a processor how
/// often is the machine's affair.
const RUNS: usize = 200;
const SPOILED: usize = 50;

/// Two plugins that answer differently, in one policy.
fn two_plugins() -> Context {
    let context = Context::with_guest("exec-args");
    fs::copy(guest("env"), context.project().join("q.wasm")).unwrap();
    context
}

fn entries(context: &Context) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![context.home().join(".cache/portcullis")];
    while let Some(dir) = open.pop() {
        let inside = fs::read_dir(dir).into_iter().flatten().flatten();
        for entry in inside {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                // What is still being written is no entry, and may be gone before it is looked at.
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.retain(|path| fs::metadata(path).is_ok_and(|entry| entry.len() > 4096));
    found
}

/// What each plugin answers when it is asked for nothing.
fn answer(context: &Context, plugin: &str) -> (i32, String, String) {
    context.ended(&["run", plugin])
}

#[test]
fn two_hundred_runs_at_once_get_their_own_code_whatever_is_done_to_the_cache() {
    let context = two_plugins();
    let right = ["p.wasm", "q.wasm"].map(|plugin| answer(&context, plugin));
    assert_ne!(
        right[0], right[1],
        "they are told apart by what they answer"
    );
    let found = entries(&context);
    assert_eq!(found.len(), 2, "{found:?}");
    let over = AtomicBool::new(false);
    let spoiled = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                if sabotage(&context, spoiled.load(Ordering::Relaxed)) {
                    spoiled.fetch_add(1, Ordering::Relaxed);
                }
                thread::yield_now();
            }
        });
        let end = EndOnDrop(&over);
        runs_at_once(&context, &right);
        while spoiled.load(Ordering::Relaxed) < SPOILED {
            runs_at_once(&context, &right);
        }
        drop(end);
    });
    for (plugin, right) in ["p.wasm", "q.wasm"].into_iter().zip(&right) {
        // Once more, should the last have been a spoiled entry: that one is told of.
        answer(&context, plugin);
        assert_eq!(&answer(&context, plugin), right, "and then as before");
    }
}

/// Tells the saboteur that it is over, also when a run was answered wrongly.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Both plugins in turn, all at once: each run is answered by its own code.
fn runs_at_once(context: &Context, right: &[(i32, String, String); 2]) {
    let runs: Vec<_> = (0..RUNS)
        .map(|number| {
            let mut command = context.portcullis(&["run", ["p.wasm", "q.wasm"][number % 2]]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    for (number, run) in runs.into_iter().enumerate() {
        let output = run.wait_with_output().unwrap();
        let (code, stdout, _) = &right[number % 2];
        let said = String::from_utf8(output.stdout).unwrap();
        let complained = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), &said),
            (Some(*code), stdout),
            "{number}: {complained}"
        );
    }
}

/// Does the next bad thing to what is in the cache. Whether there was anything to do it to.
fn sabotage(context: &Context, number: usize) -> bool {
    let found = entries(context);
    let [first, second, ..] = found.as_slice() else {
        return false;
    };
    let (Ok(one), Ok(other)) = (fs::read(first), fs::read(second)) else {
        return false;
    };
    let done = match number % 4 {
        // Each in the other's place: both are code of this host, under its key.
        0 => fs::write(first, &other).and_then(|()| fs::write(second, &one)),
        1 => fs::write(first, &one[..one.len() / 2]),
        2 => {
            let mut changed = one;
            let middle = changed.len() / 2;
            changed[middle] ^= 1;
            fs::write(first, changed)
        }
        _ => fs::remove_file(first),
    };
    done.is_ok()
}
