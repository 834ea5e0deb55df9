//! The store with real files, real processes and real kills.
//!
//! Processes that are to be killed are this binary once more, so it has a `main` of its own.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed; a process that is to be killed is a process of its own"
)]

mod attacks;
mod disk;
mod entries;
mod full;
mod killed;
mod limits;
mod lost;
mod strace;

use libtest_mimic::{Arguments, Trial};

fn main() -> std::process::ExitCode {
    let words: Vec<_> = std::env::args().collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "writer-role", directory, worker, times] => {
            return killed::write(directory.as_ref(), worker, times.parse().unwrap());
        }
        [_, "filler-role", directory, worker] => return limits::fill(directory.as_ref(), worker),
        [_, "full-role", directory] => return full::disk(directory.as_ref()),
        [_, "reader-role", directory] => return full::read_only(directory.as_ref()),
        _ => {}
    }
    let tests = [
        entries::TESTS,
        limits::TESTS,
        attacks::TESTS,
        full::TESTS,
        killed::TESTS,
        lost::TESTS,
    ]
    .concat();
    let trials = tests.into_iter().map(|(name, run)| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

/// A directory of stores that is gone with the value.
struct Fixture {
    _parent: tempfile::TempDir,
    directory: std::path::PathBuf,
}

impl Fixture {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("kv");
        Self {
            _parent: parent,
            directory,
        }
    }

    fn stores(&self) -> portcullis_kv::Stores {
        portcullis_kv::Stores::open(&self.directory).unwrap()
    }
}
