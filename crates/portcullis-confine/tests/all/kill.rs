//! When a command has ended or its leash was pulled, nothing of its tree is left.

use std::{io::Read, os::fd::OwnedFd, os::unix::net::UnixStream, time::Duration};

use portcullis_confine::{Event, SendError, Status, TestPoint};
use rustix::process::{Pid, Signal};

use crate::fixture::{
    PATIENCE, Run, STUBBORN_TREE, STUBBORN_TREE_LINES, Witness, children, event_of, new_cell,
    wait_readable,
};

crate::tests![
    daemon_is_dead_before_exited,
    leash_kills_the_tree,
    dropping_kills_the_tree,
    dropping_kills_the_tree_of_an_init_that_does_not_listen,
    leash_kills_a_tree_that_grows,
    leash_ends_a_parked_cell,
    sigterm_ends_a_parked_cell,
    leash_right_after_the_start,
    sigterm_right_after_the_start,
    the_process_that_waits_is_killed,
    leash_before_clone,
    leash_between_clone_and_exec,
    test_points_let_go,
];

const ONE_SECOND: Duration = Duration::from_secs(1);

fn daemon_is_dead_before_exited() {
    let mut witness = Witness::new();
    let mut run = Run::shell(
        "exec 3>&0
         (setsid sh -c 'trap \"\" TERM; echo >&3; echo up; exec sleep 1000 >&3' 2>&3 &) | head -n 1
         exit 3",
    );
    run.stdin = witness.hand_over();
    let cell = new_cell();
    let _pipes = run.start(&cell).unwrap();
    drop(run);
    witness.wait_for_lines(1);
    let event = event_of(&cell);
    assert!(witness.is_let_go(), "the daemon outlived its command");
    assert!(matches!(
        event,
        Event::Exited {
            status: Status::Code(3),
            stragglers: 1,
            ..
        }
    ));
}

/// A cell with a stubborn tree in it, and the tree's witness.
fn stubborn() -> (portcullis_confine::Cell, Witness) {
    let mut witness = Witness::new();
    let cell = new_cell();
    let run = Run {
        stdin: witness.hand_over(),
        ..Run::shell(STUBBORN_TREE)
    };
    run.start(&cell).unwrap();
    drop(run);
    witness.wait_for_lines(STUBBORN_TREE_LINES);
    (cell, witness)
}

fn leash_kills_the_tree() {
    let (cell, mut witness) = stubborn();
    cell.terminate();
    cell.kill();
    assert!(witness.wait_for_end() < ONE_SECOND);
    match event_of(&cell) {
        Event::Killed { processes, .. } => assert!(processes >= 7, "{processes}"),
        other => panic!("{other:?}"),
    }
    assert!(wait_readable(cell.pidfd(), PATIENCE));
}

fn dropping_kills_the_tree() {
    let (cell, mut witness) = stubborn();
    assert!(!witness.is_at_end());
    drop(cell);
    assert!(witness.wait_for_end() < ONE_SECOND);
}

/// A command of root can stop its init, or take it over; here the test does it from outside.
fn dropping_kills_the_tree_of_an_init_that_does_not_listen() {
    let (cell, mut witness) = stubborn();
    rustix::process::pidfd_send_signal(cell.pidfd(), rustix::process::Signal::STOP).unwrap();
    cell.kill();
    drop(cell);
    assert!(witness.wait_for_end() < ONE_SECOND);
}

fn leash_kills_a_tree_that_grows() {
    let mut witness = Witness::new();
    let cell = new_cell();
    let script = "exec 3>&0
        for i in 1 2; do (while :; do setsid sleep 0.2 & echo >&3; done) & done; wait";
    let run = Run {
        stdin: witness.hand_over(),
        ..Run::shell(script)
    };
    run.start(&cell).unwrap();
    drop(run);
    witness.wait_for_lines(50);
    cell.kill();
    assert!(witness.wait_for_end() < ONE_SECOND);
    assert!(matches!(event_of(&cell), Event::Killed { .. }));
}

fn leash_ends_a_parked_cell() {
    let cell = new_cell();
    assert!(!wait_readable(cell.pidfd(), Duration::ZERO));
    cell.kill();
    assert!(wait_readable(cell.pidfd(), ONE_SECOND));
    assert!(cell.receive().is_err(), "a parked cell has nothing to say");
}

fn sigterm_ends_a_parked_cell() {
    let cell = new_cell();
    cell.terminate();
    assert!(wait_readable(cell.pidfd(), ONE_SECOND));
    assert!(cell.receive().is_err(), "a parked cell has nothing to say");
}

/// Wherever the request is by then: on its way, taken, or done.
fn leash_right_after_the_start() {
    for _ in 0..50 {
        let mut witness = Witness::new();
        let cell = new_cell();
        let run = Run {
            stdin: witness.hand_over(),
            ..Run::shell("exec sleep 1000")
        };
        run.start(&cell).unwrap();
        drop(run);
        cell.kill();
        let event = event_of(&cell);
        assert!(
            matches!(event, Event::Killed { processes: 1, .. }),
            "{event:?}"
        );
        assert!(witness.is_let_go());
    }
}

fn sigterm_right_after_the_start() {
    for _ in 0..50 {
        let cell = new_cell();
        let run = Run::shell("exec sleep 1000");
        run.start(&cell).unwrap();
        cell.terminate();
        let event = event_of(&cell);
        let terminated = matches!(
            event,
            Event::Exited {
                status: Status::Signal(libc::SIGTERM),
                ..
            }
        );
        assert!(terminated, "{event:?}");
    }
}

/// A cell whose waiting process is gone runs nothing, and says so before anything is lost.
fn the_process_that_waits_is_killed() {
    let cell = new_cell();
    let waiting = children(cell.pid());
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    let pid = Pid::from_raw(waiting[0].cast_signed()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
    assert!(wait_readable(cell.pidfd(), ONE_SECOND));
    let started = Run::shell("echo ran").start(&cell);
    assert!(matches!(started, Err(SendError::Gone)));
}

/// A command that has stopped at `point`, with the test's end of the socket it stopped on.
fn stopped_at(point: TestPoint) -> (portcullis_confine::Cell, UnixStream, crate::fixture::Pipes) {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let run = Run {
        stop: Some((point, OwnedFd::from(theirs))),
        ..Run::shell("echo ran")
    };
    let cell = new_cell();
    let pipes = run.start(&cell).unwrap();
    ours.read_exact(&mut [0]).unwrap();
    (cell, ours, pipes)
}

/// The request has come, and nothing of it is done.
fn leash_before_clone() {
    leash_at(TestPoint::BeforeClone);
}

fn leash_between_clone_and_exec() {
    leash_at(TestPoint::BetweenCloneAndExec);
}

fn leash_at(point: TestPoint) {
    let (cell, mut announce, mut pipes) = stopped_at(point);
    cell.kill();
    assert!(matches!(
        event_of(&cell),
        Event::Killed { processes: 1, .. }
    ));
    assert_eq!(
        announce.read(&mut [0]).unwrap(),
        0,
        "someone still holds the socket"
    );
    assert_eq!(crate::fixture::read_all(&mut pipes.stdout), "");
}

/// What stopped runs on when it is let go: the points change nothing else.
fn test_points_let_go() {
    for point in [TestPoint::BeforeClone, TestPoint::BetweenCloneAndExec] {
        let (cell, announce, mut pipes) = stopped_at(point);
        drop(announce);
        assert_eq!(crate::fixture::read_all(&mut pipes.stdout), "ran\n");
        assert!(matches!(
            event_of(&cell),
            Event::Exited {
                status: Status::Code(0),
                ..
            }
        ));
    }
}
