//! A code is a code, a signal is a signal, and a failure to start is neither.

use std::fs::File;

use portcullis_confine::{Event, Status, Step};

use crate::fixture::{Run, copy_of, event_of, file_of, new_cell, read_all};

crate::tests![PROCESSES:
    every_code,
    signals_are_signals,
    own_sigterm,
    sigpipe_is_default,
    signal_mask_is_empty,
    terminate_reaches_the_command,
];

crate::tests![failed_exec_is_no_status, forbidden_exec_is_no_status];

fn every_code() {
    for code in 0..=255_u8 {
        assert_eq!(
            Run::shell(&format!("exit {code}")).status(),
            Status::Code(code)
        );
    }
}

fn signals_are_signals() {
    for (name, number) in [
        ("KILL", 9),
        ("ABRT", 6),
        ("SEGV", 11),
        ("HUP", 1),
        ("USR1", 10),
    ] {
        let run = Run::shell(&format!("kill -{name} $$; echo alive"));
        assert_eq!(run.status(), Status::Signal(number), "{name}");
    }
}

/// As pid 1 of its namespace the shell would survive this.
fn own_sigterm() {
    let (event, output, _) = Run::shell("kill -TERM $$; echo alive").finish();
    assert!(matches!(
        event,
        Event::Exited {
            status: Status::Signal(15),
            stragglers: 0,
            ..
        }
    ));
    assert_eq!(output, "");
}

fn sigpipe_is_default() {
    // The status of the first command of a pipeline, in plain sh.
    let script = "{ yes; echo $? >&2; } | head -n 1 >/dev/null";
    let (_, _, errors) = Run::shell(script).finish();
    assert_eq!(errors, "141\n");
}

fn signal_mask_is_empty() {
    let lines = Run::shell("grep -E '^Sig(Blk|Ign)' /proc/self/status").output();
    assert_eq!(
        lines,
        "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"
    );
}

fn failed_exec_is_no_status() {
    // Right by its first bytes, and no program all the same.
    let damaged = file_of(b"\x7fELF and nothing else", "damaged");
    assert_eq!(exec_error(File::open(damaged).unwrap()), libc::ENOEXEC);
}

fn forbidden_exec_is_no_status() {
    let plain = copy_of("/bin/true", "not-executable", 0o644);
    assert_eq!(exec_error(File::open(plain).unwrap()), libc::EACCES);
}

fn exec_error(program: File) -> i32 {
    match (Run {
        program,
        ..Run::shell("true")
    })
    .finish()
    .0
    {
        Event::Failed {
            step: Step::Exec,
            errno,
        } => errno,
        other => panic!("{other:?}"),
    }
}

fn terminate_reaches_the_command() {
    let cell = new_cell();
    let run =
        Run::shell("trap 'echo grace; exit 7' TERM; echo ready; while :; do sleep 0.01; done");
    let mut pipes = run.start(&cell).unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(&mut pipes.stdout, &mut ready).unwrap();
    cell.terminate();
    assert_eq!(read_all(&mut pipes.stdout), "grace\n");
    assert!(matches!(
        event_of(&cell),
        Event::Exited {
            status: Status::Code(7),
            ..
        }
    ));

    let cell = new_cell();
    let _pipes = Run::shell("exec sleep 1000").start(&cell).unwrap();
    cell.terminate();
    assert!(matches!(
        event_of(&cell),
        Event::Exited {
            status: Status::Signal(15),
            ..
        }
    ));
}
