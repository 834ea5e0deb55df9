//! Programs that can be made to run anything: what each gains when it is allowed by name, and what is left of it
//! behind the wall.
//!
//! One test for each program and mode, as an ordinary user where the tests run as root; confined modes through a wasm
//! guest and the shipped binary. `PORTCULLIS_TABLE=write` writes what was measured to `docs/dual-use.md`; without it
//! each test holds its program's cell against that file.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "a test reports to whoever runs it")]
#![expect(
    clippy::disallowed_methods,
    reason = "the tests' own processes are not commands"
)]

mod case;
mod entry;
// What `check` warns of: one list for the command and its tests.
mod kit;
#[path = "../../src/dual_use.rs"]
mod known;
mod lint;
mod mode;
mod power;
mod scene;
mod table;

use case::{Case, Measured};
use entry::Entry;
use kit::{Kit, NAMED, ORDINARY};
use libtest_mimic::{Arguments, Trial};
use mode::Mode;
use std::process::ExitCode;
use std::sync::Arc;

/// The programs that are tried once more as root, where this is root: one of a kind is enough, for what differs is
/// the user and not the program.
const AS_ROOT: [&str; 7] = ["bash", "python3", "vim.basic", "tar", "git", "make", "gdb"];

fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    // Two at once: a case is a handful of short processes, and some are slow to start.
    args.test_threads.get_or_insert(2);
    let entries = entry::load().unwrap();
    let root = rustix::process::geteuid().is_root();
    let others: &[u32] = if root { &[ORDINARY, NAMED] } else { &[] };
    let kit = Arc::new(Kit::new(others).unwrap());
    let measured = Arc::new(Measured::default());
    let bless = table::is_asked_to_write();
    let mut trials = if bless {
        Vec::new()
    } else {
        table::trials(&entries)
    };
    trials.push(lint::trial(&kit, &entries));
    for entry in &entries {
        let Some(program) = entry.program() else {
            trials.extend(missing(entry));
            continue;
        };
        for mode in Mode::ALL {
            let case = |prefix, user| Case {
                kit: kit.clone(),
                entry: entry.clone(),
                mode,
                user,
                prefix,
                bless,
            };
            let ordinary = if entry.named { NAMED } else { ORDINARY };
            let mut add = |case: Case| trials.push(case.trial(program.clone(), &measured));
            add(case("", root.then_some(ordinary)));
            // Without namespaces nothing of root's is started, and so there is nothing to measure.
            if root && AS_ROOT.contains(&&*entry.name) && mode != Mode::Landlock {
                add(case("root::", None));
            }
        }
    }
    let conclusion = libtest_mimic::run(&args, trials);
    if bless {
        table::write(&entries, &measured).unwrap();
    }
    conclusion.exit_code()
}

/// A program that is not installed. In continuous integration that is a failure, unless its package is too large for
/// it; else it is a skip.
fn missing(entry: &Entry) -> Option<Trial> {
    let (name, package) = (&entry.name, &entry.package);
    let reason = format!("no `{name}`: install the package `{package}`");
    if entry.heavy {
        println!("not tried: dual_use::{name}: {reason}");
        return None;
    }
    if std::env::var("CI").is_ok_and(|value| value == "true" || value == "1") {
        let fail = move || Err(format!("INVALID: {reason}").into());
        return Some(Trial::test(format!("installed::{name}"), fail));
    }
    println!("SKIP dual_use::{name}: {reason}");
    None
}
