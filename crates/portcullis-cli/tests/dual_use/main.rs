//! Programs that can be made to run anything: what each gains when it is allowed by name, and what is left of it
//! behind the wall.
//!
//! One test for each program and mode, as an ordinary user where the tests run as root. `--table` writes the
//! measured table to `docs/dual-use.md`; without it each test holds its program's cell against that file.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stderr, reason = "a test reports to whoever runs it")]
#![expect(
    clippy::disallowed_methods,
    reason = "the tests' own processes are not commands"
)]

mod case;
mod entry;
mod kit;
mod mode;
mod power;
mod scene;
mod table;

use case::{Case, Measured};
use kit::{Kit, NAMED, ORDINARY};
use libtest_mimic::Arguments;
use mode::Mode;
use std::process::ExitCode;
use std::sync::Arc;

/// The programs that are tried once more as root, where this is root: one of a kind is enough, for what differs is
/// the user and not the program.
const AS_ROOT: [&str; 7] = ["bash", "python3", "vim.basic", "tar", "git", "make", "gdb"];

fn main() -> ExitCode {
    let (table, args): (Vec<_>, Vec<_>) = std::env::args().partition(|arg| arg == "--table");
    let mut args = Arguments::from_iter(args);
    // Two at once: a case is a handful of short processes, and some are slow to start.
    args.test_threads.get_or_insert(2);
    let entries = entry::load().unwrap();
    let kit = Arc::new(Kit::new().unwrap());
    let measured = Arc::new(Measured::default());
    let bless = !table.is_empty();
    let mut trials = if bless {
        Vec::new()
    } else {
        table::trials(&entries)
    };
    let root = rustix::process::geteuid().is_root();
    for mode in Mode::ALL.into_iter().filter(|&mode| kit.offers(mode)) {
        for entry in &entries {
            let case = |prefix, user| Case {
                kit: kit.clone(),
                entry: entry.clone(),
                mode,
                user,
                prefix,
                bless,
            };
            let ordinary = if entry.named { NAMED } else { ORDINARY };
            trials.push(case("", root.then_some(ordinary)).trial(&measured));
            if root && AS_ROOT.contains(&&*entry.name) {
                trials.push(case("root::", None).trial(&measured));
            }
        }
    }
    let conclusion = libtest_mimic::run(&args, trials);
    if bless {
        table::write(&entries, &measured).unwrap();
    }
    conclusion.exit_code()
}
