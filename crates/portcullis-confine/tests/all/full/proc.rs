//! `/proc` is the cell's own: no foreign process, nothing to be written, nothing that tells about the machine's user.

use std::fs;

use portcullis_confine::{Plan, Tier};

use super::{OWN_ROOT, cells_of, output};
use crate::{
    fixture::{Run, cell_of, event_of},
    probe::{Tried, probe, probe_outside},
};

crate::tests![
    only_the_cells_processes_are_there,
    settings_of_the_kernel_cannot_be_written,
    user_namespaces_are_forbidden_in_the_kernels_settings_too,
    processes_of_the_host_and_of_other_cells_get_no_signal,
    the_init_shows_nothing_and_takes_no_signal,
];

fn only_the_cells_processes_are_there() {
    for tier in OWN_ROOT {
        let cells = cells_of(Plan::new(tier));
        let found = output(&cells, "cd /proc && ls -d [0-9]*");
        let pids: Vec<u32> = found.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(pids[0], 1);
        assert!(pids.iter().all(|&pid| pid < 10), "{tier:?} {pids:?}");
    }
    let own = std::process::id();
    assert!(fs::exists(format!("/proc/{own}")).unwrap(), "the control");
}

/// Root could write these, whatever capabilities it has: the kernel asks for the user only.
fn settings_of_the_kernel_cannot_be_written() {
    const SETTINGS: [&str; 9] = [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/ns_last_pid",
        "/proc/sys/user/max_user_namespaces",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
        "/proc/self/oom_score_adj",
        "/proc/self/timerslack_ns",
    ];
    for tier in OWN_ROOT {
        let cells = cells_of(Plan::new(tier));
        for path in SETTINGS.iter().filter(|path| fs::exists(path).unwrap()) {
            let refused = matches!(
                probe(&cells, &["write", path]),
                Tried::Refused(libc::EROFS | libc::EACCES)
            );
            assert!(refused, "{tier:?} {path}");
        }
        for place in ["/proc/bus", "/proc/fs", "/proc/sys", "/proc/irq"] {
            let writable = output(
                &cells,
                &format!("find {place} -type f -writable 2>/dev/null | head -n 3"),
            );
            assert_eq!(writable, "", "{tier:?} {place}");
        }
    }
    assert_eq!(
        probe_outside(&["write", "/proc/self/oom_score_adj"]),
        Tried::Done,
        "the control"
    );
    if super::is_root() {
        let path = ["write", "/proc/sys/vm/overcommit_memory"];
        assert_eq!(probe_outside(&path), Tried::Done, "the control");
    }
}

fn user_namespaces_are_forbidden_in_the_kernels_settings_too() {
    for tier in OWN_ROOT {
        let cells = cells_of(Plan::new(tier));
        let script = "cat /proc/sys/user/max_user_namespaces";
        assert_eq!(output(&cells, script), "0\n", "{tier:?}");
    }
    let outside = fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap();
    assert_ne!(outside.trim(), "0", "the control");
}

fn processes_of_the_host_and_of_other_cells_get_no_signal() {
    let own = std::process::id().to_string();
    assert_eq!(probe_outside(&["signal", &own]), Tried::Done, "the control");
    for tier in OWN_ROOT {
        let cells = cells_of(Plan::new(tier));
        let neighbour = cell_of(&cells);
        let (reader, writer) = std::io::pipe().unwrap();
        let run = Run {
            stdin: reader.into(),
            ..Run::shell("read line; exit 7")
        };
        let _pipes = run.start(&neighbour).unwrap();
        let init = neighbour.pid().to_string();
        for pid in [&own, &init] {
            let tried = probe(&cells, &["signal", pid]);
            assert_eq!(tried, Tried::Refused(libc::ESRCH), "{tier:?}");
        }
        // All that it may: itself, its init, nobody else.
        output(&cells, "kill -KILL -1 2>/dev/null; true");
        drop(writer);
        let ended = event_of(&neighbour);
        assert!(
            matches!(
                ended,
                portcullis_confine::Event::Exited {
                    status: portcullis_confine::Status::Code(7),
                    ..
                }
            ),
            "{ended:?}"
        );
    }
}

fn the_init_shows_nothing_and_takes_no_signal() {
    for tier in [Tier::Full, Tier::Namespaces, Tier::Limits] {
        let cells = cells_of(Plan::new(tier));
        let mut files = vec!["/proc/1/environ", "/proc/1/maps", "/proc/1/auxv"];
        if tier == Tier::Limits && super::is_root() {
            // Nothing keeps root from root.
            files.clear();
        }
        for file in files {
            assert_eq!(
                probe(&cells, &["read", file]),
                Tried::Refused(libc::EACCES),
                "{tier:?} {file}"
            );
        }
        let script =
            "for signal in TERM KILL STOP HUP; do kill -$signal 1 2>/dev/null; done; echo alive";
        assert_eq!(output(&cells, script), "alive\n", "{tier:?}");
        let own = probe(&cells, &["read", "/proc/self/environ"]);
        assert_eq!(own, Tried::Done, "the control");
    }
}
