//! Install, update and remove, interrupted before every single system call that changes something, and with a disk that is
//! full at each: what is installed is what was installed before or what was to be, and the next writer is not in the way.
//!
//! Where there is no `strace`, or where it may not trace, the tests are skipped by name.

use std::fs;
use std::process::Output;

use crate::context::{Context, skip};
use crate::installing::{context, names, write};

/// Everything that changes files, and the errors that a full disk has it fail with.
const CALLS: [(&str, bool); 13] = [
    ("openat", true),
    ("mkdir", true),
    ("mkdirat", true),
    ("write", true),
    ("pwrite64", true),
    ("ftruncate", true),
    ("fsync", true),
    ("fdatasync", true),
    ("rename", true),
    ("renameat2", true),
    ("unlink", false),
    ("unlinkat", false),
    ("rmdir", false),
];
/// More than it makes of any.
const MOST: usize = 400;

/// A verb, and what is installed before and after it.
struct Act {
    args: &'static [&'static str],
    before: &'static [&'static str],
    after: &'static [&'static str],
}

const INSTALL: Act = Act {
    args: &["install", "--yes", "notes"],
    before: &[],
    after: &["1.1.0"],
};
const UPDATE: Act = Act {
    args: &["update", "notes"],
    before: &["1.0.0"],
    after: &["1.1.0"],
};
const REMOVE: Act = Act {
    args: &["remove", "notes"],
    before: &["1.0.0"],
    after: &[],
};

/// What is done to the process.
#[derive(Clone, Copy)]
enum Fault {
    Killed,
    Full,
}

impl Fault {
    const fn inject(self) -> &'static str {
        match self {
            Self::Killed => "signal=SIGKILL",
            Self::Full => "error=ENOSPC",
        }
    }
}

/// A machine on which the act is about to be done, and the other version lies where it is read.
fn prepared(act: &Act) -> Context {
    let context = context("");
    if !act.before.is_empty() {
        assert_eq!(context.ended(&["install", "--yes", "notes"]).0, 0);
        assert_eq!(context.ended(&["grant", "notes", "log"]).0, 0);
    }
    write(&context, "1.1.0", "", b'b');
    context
}

/// A copy of it.
fn copy(prepared: &Context) -> Context {
    let context = Context::new();
    for part in ["home", "project"] {
        let mut copying = context.command("cp");
        let to = context.root().join(part);
        let copied = copying.arg("-aT").arg(prepared.root().join(part)).arg(to);
        assert!(copied.status().unwrap().success());
    }
    context
}

fn may_trace(context: &Context) -> bool {
    let mut tried = context.command("strace");
    let tried = tried
        .args(["-o", "/dev/null", "-e", "trace=none", "true"])
        .output();
    tried.is_ok_and(|tried| tried.status.success())
}

/// The act under `strace`, with these options.
fn traced(context: &Context, act: &Act, call: &str, options: &[&str]) -> (Output, String) {
    let log = context.root().join("log");
    let mut strace = context.command("timeout");
    strace.args(["60", "strace", "-f", "-y", "-o"]);
    strace
        .arg(&log)
        .args(["-e", &format!("trace={call}")])
        .args(options);
    strace.arg(env!("CARGO_BIN_EXE_portcullis")).args(act.args);
    let output = strace.output().unwrap();
    (output, fs::read_to_string(&log).unwrap())
}

/// Which calls of the first thread are about a file: what runs the others is told by descriptors that no disk has.
fn on_files(context: &Context, act: &Act, call: &str) -> Vec<usize> {
    let (output, log) = traced(context, act, call, &[]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let first = log.split(' ').next().unwrap().to_owned();
    let calls = log
        .lines()
        .filter(|line| line.starts_with(&first) && line.contains(call));
    let is_on_a_file = |line: &str| match call {
        "openat" => line.contains("O_CREAT"),
        "write" | "pwrite64" => line.contains("</"),
        _ => true,
    };
    let numbered = calls.enumerate().filter(|(_, line)| is_on_a_file(line));
    numbered.map(|(at, _)| at + 1).collect()
}

/// The act with a fault at the n-th of its calls; `None` when it makes fewer.
fn faulty(context: &Context, act: &Act, call: &str, fault: Fault, nth: usize) -> Option<Output> {
    let inject = format!("inject={call}:{}:when={nth}", fault.inject());
    let (output, log) = traced(context, act, call, &["-e", &inject]);
    let happened = log.contains("(INJECTED)") || log.contains("+++ killed by SIGKILL");
    happened.then_some(output)
}

fn each(act: &Act, fault: Fault) {
    if !may_trace(&Context::new()) {
        return skip("`strace` is not installed, or may not trace");
    }
    let prepared = prepared(act);
    let mut faults = 0;
    for (call, can_fail) in CALLS {
        if matches!(fault, Fault::Full) && !can_fail {
            continue;
        }
        let points = match fault {
            // Opening what is there changes nothing.
            Fault::Killed if call != "openat" => (1..=MOST).collect(),
            Fault::Killed | Fault::Full => on_files(&copy(&prepared), act, call),
        };
        for nth in points {
            let context = copy(&prepared);
            let Some(output) = faulty(&context, act, call, fault, nth) else {
                match fault {
                    Fault::Killed => break,
                    Fault::Full => continue,
                }
            };
            faults += 1;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            whole(
                &context,
                act,
                output.status.success(),
                &format!("{call} {nth}: {said}"),
            );
        }
    }
    assert!(faults > 3, "{faults} faults");
}

/// What is there is the old or the new, and if it was acknowledged the new; and the next writer does its work.
fn whole(context: &Context, act: &Act, acknowledged: bool, at: &str) {
    let there: Vec<_> = names(context)
        .into_iter()
        .map(|(_, version)| version)
        .collect();
    assert!(
        there == act.after || (there == act.before && !acknowledged),
        "{there:?} after {at}"
    );
    let (code, _, error) = context.ended(&["verify"]);
    assert_eq!(code, 0, "{error} after {at}");
    if !there.is_empty() {
        let shown = context.json(&["show", "--json", "notes"]);
        let grants = shown["grants"].as_str().unwrap();
        let sha256 = shown["plugin"]["sha256"].as_str().unwrap();
        assert!(grants.contains(sha256), "{grants} of {sha256} after {at}");
        assert_eq!(
            grants.contains("log = true"),
            !act.before.is_empty(),
            "{grants} after {at}"
        );
    }
    if there == act.before {
        let (code, _, error) = context.ended(act.args);
        assert_eq!(code, 0, "{error} after {at}");
    } else if there.is_empty() {
        assert_eq!(
            context.ended(&["install", "--yes", "notes"]).0,
            0,
            "after {at}"
        );
    }
    let installed = names(context).len();
    let contents = context
        .home()
        .join(".local/share/portcullis/plugins/sha256");
    let kept = fs::read_dir(contents).unwrap().count();
    // A writer that was interrupted after all was done may leave what the next throws away.
    if there == act.before {
        assert_eq!(kept, installed, "after {at}");
    }
}

#[test]
fn an_install_that_is_killed_at_any_point_is_one_or_none() {
    each(&INSTALL, Fault::Killed);
}

#[test]
fn an_update_that_is_killed_at_any_point_is_one_or_none() {
    each(&UPDATE, Fault::Killed);
}

#[test]
fn a_removal_that_is_killed_at_any_point_is_one_or_none() {
    each(&REMOVE, Fault::Killed);
}

#[test]
fn an_install_onto_a_full_disk_is_one_or_none() {
    each(&INSTALL, Fault::Full);
}

#[test]
fn an_update_onto_a_full_disk_is_one_or_none() {
    each(&UPDATE, Fault::Full);
}

#[test]
fn a_removal_on_a_full_disk_is_one_or_none() {
    each(&REMOVE, Fault::Full);
}
