//! Cells without namespaces: Landlock and the filter alone.

use portcullis_confine::{Helper, Plan, Protection, SpawnServer, StartError, Step, Tier};

use std::time::Duration;

use crate::fixture::{
    Cells, PATIENCE, Run, STUBBORN_TREE, STUBBORN_TREE_LINES, Witness, cell_of, event_of, read_all,
    wait_readable,
};

crate::tests![
    everything_that_can_be_is_in_force,
    a_command_cannot_kill_what_is_to_kill_it,
    nothing_outlives_the_server,
    processes_that_never_stay_are_caught,
];

/// Root's commands would be root, so there are no such cells for them.
fn cells() -> Option<Cells> {
    let plan = Plan::new(Tier::Landlock);
    if !rustix::process::geteuid().is_root() {
        return Some(Cells::of(&plan));
    }
    let started = SpawnServer::start(&Helper::find(None).unwrap(), &plan);
    let refused = matches!(
        started,
        Err(StartError::Cell {
            step: Step::Unprivileged,
            ..
        })
    );
    assert!(refused, "{started:?}");
    None
}

fn everything_that_can_be_is_in_force() {
    let Some(cells) = cells() else { return };
    let report = cell_of(&cells).report();
    for protection in [
        Protection::NoNewPrivs,
        Protection::NoCapabilities,
        Protection::Unprivileged,
        Protection::Seccomp,
        Protection::Landlock,
        Protection::HiddenInit,
    ] {
        assert!(report.has(protection), "{protection:?}: {report}");
    }
}

/// The init is no first process of a namespace, which nobody inside can kill.
fn a_command_cannot_kill_what_is_to_kill_it() {
    let Some(cells) = cells() else { return };
    let mut witness = Witness::new();
    let mut run = Run::shell(
        "exec 3>&0; kill -9 $PPID && echo killed
         (setsid sh -c 'echo >&3; echo up; exec sleep 1000 >&3' 2>&3 &) | head -n 1",
    );
    run.stdin = witness.hand_over();
    let cell = cell_of(&cells);
    let mut pipes = run.start(&cell).unwrap();
    drop(run);
    witness.wait_for_lines(1);
    let event = event_of(&cell);
    assert!(witness.is_let_go(), "something outlived it: {event:?}");
    assert_eq!(read_all(&mut pipes.stdout), "up\n", "{event:?}");
}

fn nothing_outlives_the_server() {
    let Some(cells) = cells() else { return };
    let mut witness = Witness::new();
    let run = Run {
        stdin: witness.hand_over(),
        ..Run::shell(STUBBORN_TREE)
    };
    let parked = cell_of(&cells);
    let cell = cell_of(&cells);
    let _pipes = run.start(&cell).unwrap();
    drop(run);
    witness.wait_for_lines(STUBBORN_TREE_LINES);
    let server = i32::try_from(cells.server.pid()).unwrap();
    let server = rustix::process::Pid::from_raw(server).unwrap();
    rustix::process::kill_process(server, rustix::process::Signal::KILL).unwrap();
    assert!(witness.wait_for_end() < Duration::from_secs(1));
    assert!(
        wait_readable(parked.pidfd(), PATIENCE),
        "a parked cell is left"
    );
}

/// Each lives only long enough to start the next: who looks at a list of processes comes too late.
fn processes_that_never_stay_are_caught() {
    let Some(cells) = cells() else { return };
    let mut witness = Witness::new();
    let run = Run {
        stdin: witness.hand_over(),
        ..Run::shell(
            "exec 3>&0; hop() { hop & }
             for i in 1 2 3 4 5 6 7 8; do hop; done; echo >&3; exec sleep 1000 3>&-",
        )
    };
    let cell = cell_of(&cells);
    let _pipes = run.start(&cell).unwrap();
    drop(run);
    witness.wait_for_lines(1);
    cell.kill();
    assert!(witness.wait_for_end() < Duration::from_secs(1));
}
