//! A limit on the memory of a whole tree.

use std::time::Duration;

use portcullis_confine::{Event, Plan, Protection, Status, Tier};

use super::{OWN_ROOT, confining};
use crate::fixture::{Cells, Run, Witness, cell_of, event_of};

crate::tests![
    one_that_has_too_much_is_killed,
    a_tree_whose_processes_have_too_much_together_is_killed,
    what_lies_in_scratch_directories_counts,
    what_nobody_maps_counts,
    below_the_limit_nothing_happens,
    the_report_says_that_it_would_be_kept,
];

const MIB: u64 = 1 << 20;

/// A process that has so many mebibytes, and keeps them.
fn eater(mebibytes: u64) -> String {
    format!(
        "python3 -c 'import time; block = b\"x\" * ({mebibytes} << 20); print(len(block), flush=True); time.sleep(1000)'"
    )
}

fn limited(script: &str, most: u64) -> Run {
    let mut run = Run::shell(script);
    run.limits.memory_bytes = Some(most);
    run
}

fn tiers() -> impl Iterator<Item = Tier> {
    confining().into_iter().chain([Tier::Limits])
}

fn one_that_has_too_much_is_killed() {
    for tier in tiers() {
        let cells = Cells::of(&Plan::new(tier));
        let (event, ..) = limited(&eater(300), 100 * MIB).finish_in(&cell_of(&cells));
        let over = matches!(event, Event::OverMemory { processes: 1.., .. });
        assert!(over, "{tier:?} {event:?}");
    }
}

/// Each of them is far below the limit, so that no limit of one process would do; and they multiply.
fn a_tree_whose_processes_have_too_much_together_is_killed() {
    let script = format!(
        "exec 3>&0
        bomb() {{ echo >&3; {} >/dev/null & }}
        while :; do (setsid sh -c '{}' 2>/dev/null) & bomb; sleep 0.05; done",
        eater(30),
        "exec sleep 1000"
    );
    for tier in tiers() {
        let mut witness = Witness::new();
        let mut run = limited(&script, 200 * MIB);
        run.stdin = witness.hand_over();
        let cells = Cells::of(&Plan::new(tier));
        let cell = cell_of(&cells);
        let _pipes = run.start(&cell).unwrap();
        drop(run);
        match event_of(&cell) {
            Event::OverMemory { processes, .. } => {
                assert!(processes >= 5, "{tier:?}: {processes}");
            }
            other => panic!("{tier:?}: {other:?}"),
        }
        assert!(witness.wait_for_end() < Duration::from_secs(1));
    }
}

fn what_lies_in_scratch_directories_counts() {
    for tier in OWN_ROOT {
        for place in ["/tmp", "/dev/shm"] {
            let script = format!("head -c 60M /dev/zero > {place}/file; sleep 1000");
            let cells = Cells::of(&Plan::new(tier));
            let (event, ..) = limited(&script, 40 * MIB).finish_in(&cell_of(&cells));
            assert!(
                matches!(event, Event::OverMemory { .. }),
                "{tier:?} {event:?}"
            );
        }
    }
}

fn below_the_limit_nothing_happens() {
    // Long enough to be looked at more than once.
    let script = "python3 -c 'import time; block = b\"x\" * (50 << 20); time.sleep(0.1)'; \
        (head -c 5M /dev/zero > /tmp/$$ && rm -f /tmp/$$); exit 3";
    for tier in tiers() {
        let cells = Cells::of(&Plan::new(tier));
        let (event, _, errors) = limited(script, 200 * MIB).finish_in(&cell_of(&cells));
        assert!(
            matches!(
                event,
                Event::Exited {
                    status: Status::Code(3),
                    ..
                }
            ),
            "{tier:?} {event:?} {errors}"
        );
    }
}

fn the_report_says_that_it_would_be_kept() {
    for tier in tiers() {
        let report = cell_of(&Cells::of(&Plan::new(tier))).report();
        assert!(report.has(Protection::MemoryWatch), "{tier:?}: {report}");
    }
}

/// A System V segment stays in memory when everybody has let go of it.
fn what_nobody_maps_counts() {
    let script = "python3 -c '
import ctypes, time
c = ctypes.CDLL(None)
c.shmat.restype = ctypes.c_void_p
at = c.shmat(c.shmget(1, 300 << 20, 0o1600), None, 0)
ctypes.memset(at, 1, 300 << 20)
c.shmdt(ctypes.c_void_p(at))
print(\"kept\", flush=True)
time.sleep(1000)'";
    for tier in OWN_ROOT {
        let cells = Cells::of(&Plan::new(tier));
        let (event, output, errors) = limited(script, 200 * MIB).finish_in(&cell_of(&cells));
        let over = matches!(event, Event::OverMemory { .. });
        assert!(over, "{tier:?} {event:?} {output}{errors}");
    }
}
